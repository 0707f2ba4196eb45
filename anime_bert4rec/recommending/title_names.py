"""The names of anime: what of a name is its main title, and how far typed words or letters name or abbreviate it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.recommending.title_words import bare_title, fold, initials, parts, sound

LEAST_LETTERS = 5
"""A word of fewer letters must stand whole in a title."""

SUBTITLE = 0.2
"""What the initials of a subtitle count beside those of a title."""

A_LITTLE = 0.1
"""The share that is said where words are cut."""


@dataclass(eq=False)
class Name:
    """A title or synonym of the anime at `place` of a catalogue."""

    place: int
    text: str
    spelt: list[str]
    is_title: bool

    def __post_init__(self) -> None:
        self.words = sound(self.spelt)
        self.key = "".join(self.words)

    @cached_property
    def parts(self) -> list[str]:
        """The keys of the main title and of the subtitles."""
        return ["".join(sound(fold(part))) for part in parts(self.text)] or [self.key]

    def share(self, words: list[str]) -> float:
        """Which share of the title, or of what is before a subtitle, the words are; 0 if they are not all in it.

        Words that are cut count little; several words that a title begins with are enough.
        """
        if not all(word in self.key for word in words):
            return 0.0
        key = "".join(words)
        joined = key in self.key and len(key) >= (LEAST_LETTERS if key.isascii() else 2) and self._has_at_a_word(key)
        if not joined and not all(self._has(word) for word in words):
            return 0.0
        if key.isascii() and not all(word in self.words for word in words):
            return A_LITTLE
        if len(words) > 1 and self.key.startswith(key):
            return 1.0
        main = self.parts[0]
        return len(key) / len(main if main and all(word in main for word in words) else self.key)

    def abbreviated(self, letters: str) -> float:
        """How well the letters abbreviate it (see `initials`), or one of its parts, which counts less."""
        if all(word[0] != letters[0] for word in self.words):
            return 0.0
        first, *more = [words for words in map(fold, parts(self.text)[:4]) if words] or [self.spelt]
        fits = [initials(letters, self.spelt), initials(letters, first)]
        fits += [SUBTITLE * (initials(letters, words[words[0] == "the" :]) == 1) for words in more]
        best = max(fits)
        return best if best == 1 or len(letters) <= 4 else 0.0

    def _has(self, word: str) -> bool:
        return word in self.words or (len(word) >= LEAST_LETTERS and any(each.startswith(word) for each in self.words))

    def _has_at_a_word(self, key: str) -> bool:
        if not key.isascii():
            return True
        edges = [0, *itertools.accumulate(map(len, self.words))]
        ends = edges if key[-1].isdigit() else range(len(self.key) + 1)
        return any(self.key.startswith(key, start) and start + len(key) in ends for start in edges)


def names_of(anime: Anime, place: int) -> Iterator[Name]:
    """Its titles, then its synonyms, without those that have no letter."""
    titles = (anime.title_romaji, anime.title_english, anime.title_native)
    for number, text in enumerate((*titles, *anime.synonyms)):
        text = bare_title(text or "")
        words = fold(text)
        if words:
            yield Name(place, text, words, is_title=number < len(titles))
