"""Which of the ranked titles are shown: by genre and year, no adult ones, no later seasons out of turn."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from anime_bert4rec.lists.common_traits import franchises
from anime_bert4rec.lists.records import Anime
from anime_bert4rec.support.errors import SettingError, UserError


@dataclass(frozen=True)
class Wishes:
    """What a person wants to be shown."""

    genres: frozenset[str] = frozenset()
    """Casefolded; a title must have all of them."""
    years: tuple[int, int] | None = None
    """First and last; a title without a known year is out."""
    with_sequels: bool = False
    """Whether later seasons are shown without their prequel, and several titles of a franchise."""
    include_adult: bool = False

    def allow(self, anime: Anime) -> bool:
        """Whether the anime has the genres and a year that are wished for, and is not adult unless that is."""
        if anime.is_adult and not self.include_adult:
            return False
        if self.years and not (anime.year and self.years[0] <= anime.year <= self.years[1]):
            return False
        return self.genres <= {genre.casefold() for genre in anime.genres}


def shortlist(
    ranked: Iterable[int], catalogue: Sequence[Anime], liked: Collection[int], wishes: Wishes
) -> Iterator[Anime]:
    """The anime of `ranked` ids, in their order, that are wished for and in the catalogue.

    Unless `with_sequels`, one that continues others of the catalogue needs one of these among the `liked`, and only the
    first of a franchise is shown.
    """
    of_id = {anime.anime_id: anime for anime in catalogue}
    before = prequels(catalogue)
    franchise = dict(zip(of_id, franchises(catalogue), strict=True))
    shown: set[int] = set()
    for anime_id in ranked:
        anime = of_id.get(anime_id)
        if anime is None or not wishes.allow(anime):
            continue
        if not wishes.with_sequels:
            if anime_id in before and before[anime_id].isdisjoint(liked):
                continue
            if franchise[anime_id] in shown:
                continue
            shown.add(franchise[anime_id])
        yield anime


def prequels(catalogue: Sequence[Anime]) -> dict[int, set[int]]:
    """For each anime that directly continues others of the catalogue, the ids of these. Either side may say so."""
    known = {anime.anime_id for anime in catalogue}
    before: dict[int, set[int]] = {}
    for anime in catalogue:
        for relation in anime.relations:
            if relation.anime_id in known and relation.anime_id != anime.anime_id:
                if relation.kind == "PREQUEL":
                    before.setdefault(anime.anime_id, set()).add(relation.anime_id)
                elif relation.kind == "SEQUEL":
                    before.setdefault(relation.anime_id, set()).add(anime.anime_id)
    return before


def read_years(text: str) -> tuple[int, int] | None:
    """The first and the last year of `2015-2020`, `2015`, `2015-` or `-2020`; None for an empty text.

    Raises SettingError for anything else.
    """
    if not text:
        return None
    found = re.fullmatch(r"([0-9]{4})?(-)?([0-9]{4})?", text)
    if not found or text == "-" or (found[3] and not found[2]):
        raise SettingError(f"--year must be a year or a range such as 2015-2020, not {text!r}")
    first = int(found[1] or 0)
    last = int(found[3] or 9999) if found[2] else first
    if first > last:
        raise SettingError(f"--year must begin with the earlier year, not {text!r}")
    return first, last


def check_genres(genres: Iterable[str], catalogue: Iterable[Anime]) -> frozenset[str]:
    """The genres, casefolded. Raises UserError, which names all that there are, for one that no anime has."""
    known = {genre.casefold(): genre for anime in catalogue for genre in anime.genres}
    for genre in genres:
        if genre.casefold() not in known:
            raise UserError(f"no anime has the genre {genre!r}; there are {', '.join(sorted(known.values()))}")
    return frozenset(genre.casefold() for genre in genres)
