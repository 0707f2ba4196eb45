"""The words of titles and of what people type.

What of their spelling counts, which season or part they state, and how well typed words or initials fit a title.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.recommending.title_characters import TRADITIONAL

LONGEST = 300
"""Only this many characters of a title, or of what was typed, are looked at."""

LEAST_LETTERS = 5
"""A word of fewer letters must stand whole in a title, and not only begin one of its words."""

SUBTITLE = 0.2
"""The weight of the initials of a subtitle, where those of a title weigh 1."""

CUT_SHARE = 0.1
"""The share of a title that typed words count as when one of them is only a part of a word."""

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
_BARE = (
    re.compile(r"(?<=\S) (?P<n>[1-9]|1[0-9]|ii|iii|iv|vi|vii|viii|ix)$"),
    # scripts that write no spaces
    re.compile(r"(?<=[\u3041-\u30ff\u4e00-\u9fff])(?P<n>[1-9]|1[0-9]|ii|iii|iv|vi|vii|viii|ix)$"),
)


def fold(text: str) -> list[str]:
    """The words of `text` without case, accents and punctuation; full-width letters are as narrow ones, and simplified
    or Japanese forms of Chinese characters as traditional ones."""
    text = text[:LONGEST].casefold()
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
    letters = text.translate(_LETTERS)
    return (letters if letters.isascii() else unicodedata.normalize("NFC", letters)).split()


class _Letters(dict[int, str | None]):
    """What each character is replaced by, worked out when it is first met."""

    def __missing__(self, code: int) -> str | None:
        c = chr(code)
        # The marks that make が of か are letters of the language and not accents.
        kept = c.isalnum() or c in "\u3099\u309a"
        self[code] = c if kept else None if c in "'’" or unicodedata.category(c) == "Mn" else " "
        return self[code]


_LETTERS = _Letters(_SPELT | TRADITIONAL)


def sound(words: list[str]) -> list[str]:
    """Words without the length of vowels, which romaji spells in several ways: Yuusha, Yusha; Shounen, Shonen."""
    text = " ".join(words)
    for long, short in _LONG_VOWELS:
        text = text.replace(long, short)
    return text.split()


def bare_title(text: str) -> str:
    """A title without a `(TV)` or `(2011)` at its end, which only distinguishes it from its namesakes."""
    return _WITH_YEAR.sub("", text) or text if text.endswith((")", "）", " ")) else text


def subtitles_of(text: str) -> list[str]:
    """The main title, and the subtitles that punctuation sets off."""
    return [part for part in _BREAK.split(text[:LONGEST]) if part and part.strip()]


def initials_fit(letters: str, words: list[str]) -> float:
    """How well `letters` abbreviate `words`, from 0 to 1.

    It is 1 if each word gives its first letter, which small words such as `of` need not; 0.1 if some words give a
    second letter (FullMetal Alchemist: Brotherhood); and else 0.
    """
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
    """The words of a title or of what was typed, and the season and part that they state."""

    base: list[str]
    """The words without those that state a season or part."""
    season: int | None = None
    part: int | None = None
    final: bool = False

    @property
    def is_numbered(self) -> bool:
        """Whether the words state a season or part, be it the first."""
        return self.season is not None or self.part is not None or self.final

    @property
    def is_later(self) -> bool:
        """Whether the words state another season or part than the first."""
        return self.final or (self.season or 1) > 1 or (self.part or 1) > 1


def numbered(words: list[str]) -> Numbered:
    """Splits `attack on titan season 3 part 2` into (attack on titan, 3, 2).

    A number that is all of the title, as in `86`, states no season.
    """
    text = " ".join(words)
    without, final = _FINAL.subn(" ", text)
    without, part = _taken(without, _PART)
    without, season = _taken(without, _SEASON)
    if season is None:
        without, season = _taken(without.strip(), _BARE)
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


@dataclass(eq=False)
class Name:
    """A title or synonym of the anime at `place` of a catalogue."""

    place: int
    text: str
    spelt: list[str]
    """The words as they are spelt; `words` and `key` are by sound."""
    is_title: bool
    """It is False for a synonym."""
    whole: str = ""
    """The letters of it all, where `text` is without a `(TV)` or `(2011)` at its end."""

    def __post_init__(self) -> None:
        self.words = sound(self.spelt)
        self.key = "".join(self.words)

    @cached_property
    def parts(self) -> list[str]:
        """The keys of the main title and of the subtitles."""
        return ["".join(sound(fold(part))) for part in subtitles_of(self.text)] or [self.key]

    def share(self, words: list[str]) -> float:
        """The share of the letters of the title, or of the main title, that the words are; 0 if it lacks one of them.

        It is CUT_SHARE when a word is only a part of the title's, and 1 for several words that the title begins with.
        """
        if not all(word in self.key for word in words):
            return 0.0
        key = "".join(words)
        joined = key in self.key and len(key) >= (LEAST_LETTERS if key.isascii() else 2) and self._has_at_a_word(key)
        if not joined and not all(self._has(word) for word in words):
            return 0.0
        if key.isascii() and not all(word in self.words for word in words):
            return CUT_SHARE
        if len(words) > 1 and self.key.startswith(key):
            return 1.0
        main = self.parts[0]
        return len(key) / len(main if main and all(word in main for word in words) else self.key)

    def abbreviated(self, letters: str) -> float:
        """How well the letters abbreviate the whole (`initials_fit`), or a subtitle, which weighs less."""
        if all(word[0] != letters[0] for word in self.words):
            return 0.0
        first, *more = [words for words in map(fold, subtitles_of(self.text)[:4]) if words] or [self.spelt]
        fits = [initials_fit(letters, self.spelt), initials_fit(letters, first)]
        fits += [SUBTITLE * (initials_fit(letters, words[words[0] == "the" :]) == 1) for words in more]
        best = max(fits)
        return best if best == 1 or len(letters) <= 4 else 0.0

    def _has(self, word: str) -> bool:
        """Whether a word of the title is this one or, if it is long enough, begins with it."""
        return word in self.words or (len(word) >= LEAST_LETTERS and any(each.startswith(word) for each in self.words))

    def _has_at_a_word(self, key: str) -> bool:
        """Whether the letters are in the title from where a word starts; a number must also end where one ends."""
        if not key.isascii():
            return True
        edges = [0, *itertools.accumulate(map(len, self.words))]
        ends = edges if key[-1].isdigit() else range(len(self.key) + 1)
        return any(self.key.startswith(key, start) and start + len(key) in ends for start in edges)


def names_of(anime: Anime, place: int) -> Iterator[Name]:
    """The names of an anime: its titles, then its synonyms, without those that have no letter."""
    titles = (anime.title_romaji, anime.title_english, anime.title_native)
    for number, whole in enumerate((*titles, *anime.synonyms)):
        text = bare_title(whole or "")
        words = fold(text)
        if words:
            of_whole = "".join(fold(whole or "")) if text != whole else ""
            yield Name(place, text, words, number < len(titles), of_whole)
