"""Finds anime by title, forgivingly: case, accents, punctuation and spaces do not matter, small slips are allowed."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

from records import Anime

ALIKE = 0.8
"""How alike a title and what was typed must be, by difflib's ratio, when no title contains it."""


def find_titles(wanted: str, catalogue: Iterable[Anime]) -> list[Anime]:
    """The anime that `wanted` may mean, the most popular first.

    They are those that have it as their romaji, English or native title; else those with all its words in one title;
    else those with a title much like it.
    """
    words = fold(wanted)
    if not words:
        return []
    typed = "".join(words)
    titles = [(anime, [fold(title) for title in titles_of(anime)]) for anime in catalogue]
    exact = [anime for anime, folded in titles if any("".join(each) == typed for each in folded)]
    if exact:
        return _popular_first(exact)
    containing = [
        anime
        for anime, folded in titles
        if any(typed in "".join(each) or all(_begins(word, each) for word in words) for each in folded)
    ]
    if containing:
        return _popular_first(containing)
    matcher = difflib.SequenceMatcher(b=typed, autojunk=False)  # what it knows of `b` it keeps from title to title
    return _popular_first(anime for anime, folded in titles if any(_alike(matcher, "".join(each)) for each in folded))


def titles_of(anime: Anime) -> list[str]:
    return [title for title in (anime.title_romaji, anime.title_english, anime.title_native) if title]


def fold(text: str) -> list[str]:
    """The words of `text` without case, accents and punctuation; full-width letters are as narrow ones."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    # The marks that make が of か are letters of the language, not accents.
    bare = "".join(c for c in decomposed if unicodedata.category(c) != "Mn" or c in "\u3099\u309a")
    joined = unicodedata.normalize("NFC", bare)
    return "".join(c if c.isalnum() else "" if c in "'’" else " " for c in joined).split()


def _begins(word: str, words: list[str]) -> bool:
    return any(each.startswith(word) for each in words)


def _alike(matcher: difflib.SequenceMatcher[str], title: str) -> bool:
    matcher.set_seq1(title)
    return matcher.real_quick_ratio() >= ALIKE and matcher.quick_ratio() >= ALIKE and matcher.ratio() >= ALIKE


def _popular_first(anime: Iterable[Anime]) -> list[Anime]:
    return sorted(anime, key=lambda each: (-(each.popularity or 0), each.anime_id))
