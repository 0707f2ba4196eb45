"""The words of titles: what of their spelling counts, their initials, and which season or part they name."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

LONGEST = 300
"""Characters of a title that are looked at."""

_SPELT = str.maketrans({"×": " x ", "✕": " x ", "&": " and ", "＆": " and ", "@": "a", "＠": "a", "∀": " turn a "})
_WITH_YEAR = re.compile(r"\s*[(（]\s*(?:TV|(?:19|20)\d\d)\s*[)）]\s*$", re.I)
_BREAK = re.compile(r"[:：]\s|\s*[-–—~～〜]+\s|\s[-–—~～〜]|[(（\[「『【]|[!！?？♪★☆]+\s")
_LONG_VOWELS = (("ou", "o"), ("oo", "o"), ("uu", "u"))
_SMALL = frozenset(["a", "an", "and", "de", "ga", "in", "na", "ni", "no", "of", "on", "the", "to", "wa", "wo"])

_KANJI = "一二三四五六七八九十"
_ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]
_ROMAN = ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x"]
_KATAKANA = ["ファースト", "セカンド", "サード", "フォース"]
_COUNTED = {
    **{each: n for names in (_KANJI, _ORDINALS, _ROMAN, _KATAKANA) for n, each in enumerate(names, 1)},
    **{each: n for n, each in enumerate(["one", "two", "three", "four", "five", "six"], 1)},
}
_N = rf"(?P<n>[0-9]{{1,2}}|[{_KANJI}]|{'|'.join(_ROMAN)}|one|two|three|four|five|six)"
_NTH = rf"(?P<n>[0-9]{{1,2}}(?:st|nd|rd|th)|{'|'.join(_ORDINALS)})"
_FINAL = re.compile(r"\b(?:the )?(?:final|last) season|\bthe final\b(?= part|$)|最終季|最終シーズン|ファイナルシーズン")
_PART = (
    re.compile(rf"\b(?:part|pt|cour) ?{_N}\b"),
    re.compile(rf"(?:パート|クール) ?{_N}"),
    re.compile(rf"\b{_NTH} (?:part|cour)\b"),
    re.compile(rf"第? ?{_N} ?(?:クール|部分|パート|部)"),
)
_SEASON = (
    re.compile(rf"\b(?:season|series|stage|saison|dai) ?{_N}(?: (?:series|ki|season))?\b"),
    re.compile(rf"シーズン ?{_N}"),
    re.compile(r"\bs(?P<n>[0-9]{1,2})\b"),
    re.compile(rf"\b{_NTH} ?(?:season|series|stage|シーズン)"),
    re.compile(rf"\b{_NTH}$"),
    re.compile(rf"第? ?{_N} ?(?:期|季|シーズン|シリーズ)"),
    re.compile(rf"(?P<n>{'|'.join(_KATAKANA)}) ?シーズン"),
)
_BARE = re.compile(r"(?<=\S) (?P<n>[1-9]|1[0-9]|ii|iii|iv|vi|vii|viii|ix)$")


def fold(text: str) -> list[str]:
    """The words of `text` without case, accents and punctuation; full-width letters are as narrow ones."""
    text = text[:LONGEST].casefold()
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
    letters = text.translate(_LETTERS)
    return (letters if letters.isascii() else unicodedata.normalize("NFC", letters)).split()


class _Letters(dict[int, str | None]):
    """What becomes of each character, found out when it is first met."""

    def __missing__(self, code: int) -> str | None:
        c = chr(code)
        # The marks that make が of か are letters of the language, not accents.
        kept = c.isalnum() or c in "\u3099\u309a"
        self[code] = c if kept else None if c in "'’" or unicodedata.category(c) == "Mn" else " "
        return self[code]


_LETTERS = _Letters(_SPELT)


def sound(words: list[str]) -> list[str]:
    """Words without the length of vowels, which romaji spells in several ways: Yuusha, Yusha; Shounen, Shonen."""
    text = " ".join(words)
    for long, short in _LONG_VOWELS:
        text = text.replace(long, short)
    return text.split()


def bare_title(text: str) -> str:
    """A title without the `(TV)` or `(2011)` that tells it from its namesakes."""
    return _WITH_YEAR.sub("", text) or text if text.endswith((")", "）", " ")) else text


def parts(text: str) -> list[str]:
    """The title and its subtitles."""
    return [part for part in _BREAK.split(text[:LONGEST]) if part and part.strip()]


def initials(letters: str, words: list[str]) -> float:
    """How well `letters` abbreviate `words`: 1 if each word (small ones need not) gives its first letter, 0.1 if some
    give a second one (FullMetal Alchemist: Brotherhood), else 0."""
    if not words or len(letters) > 2 * len(words) or words[0][0] != letters[0]:
        return 0.0
    if _spells(letters, words, second=False):
        return 1.0
    return 0.1 if len(words) > 1 and _spells(letters, words, second=True) else 0.0


def _spells(letters: str, words: list[str], second: bool) -> bool:
    if not letters or not words:
        return not letters and all(word in _SMALL for word in words)
    word, rest = words[0], words[1:]
    if word in _SMALL and _spells(letters, rest, second):
        return True
    if word[0] != letters[0]:
        return False
    if _spells(letters[1:], rest, second):
        return True
    twice = second and len(letters) > 1 and len(word) > 4 and letters[1] in word[2:]
    return twice and _spells(letters[2:], rest, second)


class Numbered(NamedTuple):
    """The words of a title or a query, and what they say of season and part."""

    base: list[str]
    """The words without those that number."""
    season: int | None = None
    part: int | None = None
    final: bool = False

    @property
    def is_numbered(self) -> bool:
        return self.season is not None or self.part is not None or self.final


def numbered(words: list[str]) -> Numbered:
    """`attack on titan season 3 part 2` is (attack on titan, 3, 2). A number that is all there is numbers nothing."""
    text = " ".join(words)
    without, final = _FINAL.subn(" ", text)
    without, part = _taken(without, _PART)
    without, season = _taken(without, _SEASON)
    if season is None:
        without, season = _taken(without.strip(), (_BARE,))
    base = without.split()
    return Numbered(base, season, part, bool(final)) if base else Numbered(words)


def _taken(text: str, patterns: tuple[re.Pattern[str], ...]) -> tuple[str, int | None]:
    for pattern in patterns:
        found = pattern.search(text)
        if found:
            return f"{text[: found.start()]} {text[found.end() :]}", _number(found["n"])
    return text, None


def _number(text: str) -> int:
    digits = re.match(r"[0-9]+", text)
    return int(digits[0]) if digits else _COUNTED[text]
