"""Tells whose ids a list holds, AniList's or MyAnimeList's, by how many of them either catalogue has.

For anime from before 2014 the two mostly agree. Those ids show nothing and do no harm; the others show
whose they are, and would be other anime if they were taken for the wrong one's.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from anime_bert4rec.support.text import count_of

log = logging.getLogger(__name__)

CLEARLY = 3
"""One catalogue is clearly meant if it alone has at least 3 of the ids, and 3 times as many as the other one alone."""

CATALOGUES = {"anilist": "AniList", "mal": "MyAnimeList"}


@dataclass(frozen=True)
class Fit:
    """Of `ids` different ids, how many are AniList's and how many MyAnimeList's, by the anime of the database.

    `only_anilist` and `only_mal` count what one has and not the other, `differing` what means another anime to each.
    """

    ids: int
    anilist: int
    mal: int
    only_anilist: int
    only_mal: int
    differing: int
    whose: str = ""
    """The catalogue whose ids they are taken for: a key of CATALOGUES."""

    @property
    def better(self) -> str | None:
        """The catalogue whose ids they clearly are, or None where it is not clear."""
        ours, other = self.only_anilist, self.only_mal
        if max(ours, other) < CLEARLY or max(ours, other) < CLEARLY * min(ours, other):
            return None
        return "anilist" if ours > other else "mal"

    @property
    def harmless(self) -> bool:
        """Whether AniList may be assumed although nothing is clear: no id would be MyAnimeList's of another anime."""
        return self.only_mal == 0 and (self.only_anilist > 0 or self.differing == 0)

    @property
    def counts(self) -> str:
        return (
            f"{count_of(self.ids, 'different id')}, of which AniList has {self.anilist:,} for an anime in the database,"
            f" and MyAnimeList {self.mal:,}"
        )

    def taken(self, whose: str) -> Fit:
        return replace(self, whose=whose)


def fit_of(ids: Collection[int], anilist_ids: Collection[int], by_mal_id: Mapping[int, int]) -> Fit:
    """Count the ids that each catalogue has. `by_mal_id` maps each id of MyAnimeList to AniList's."""
    anilist = set(ids) & set(anilist_ids)
    mal = {each for each in ids if each in by_mal_id}
    both = anilist & mal
    return Fit(
        ids=len(set(ids)),
        anilist=len(anilist),
        mal=len(mal),
        only_anilist=len(anilist - mal),
        only_mal=len(mal - anilist),
        differing=sum(by_mal_id[each] != each for each in both),
    )


def anime_of_export(
    path: Path, ids: Collection[int], anilist_ids: Collection[int], by_mal_id: Mapping[int, int]
) -> Mapping[int, int]:
    """The anime of each id of an export in MyAnimeList's form, which programs for other sites write, too.

    The ids are MyAnimeList's unless they clearly are AniList's, which is logged.
    """
    fit = fit_of(ids, anilist_ids, by_mal_id)
    if fit.better != "anilist":
        return by_mal_id
    log.warning("%s: ids are taken for AniList's: %s.", path, fit.counts)
    return {each: each for each in anilist_ids}
