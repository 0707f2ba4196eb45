"""Which of the ranked titles are shown: those that are wished for, no later seasons out of turn, no recaps."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from anime_bert4rec.lists.common_traits import franchises, prequels
from anime_bert4rec.lists.records import Anime
from anime_bert4rec.recommending.person import Person
from anime_bert4rec.recommending.viewing_order import (
    NOTHING,
    SEASON_FORMATS,
    continued_by,
    latest,
    seasons_in_turn,
    to_see_before,
)
from anime_bert4rec.recommending.wishes import Wishes


class Shortlists:
    """Makes the shortlists of any number of people from one catalogue, which is looked through once."""

    def __init__(self, catalogue: Sequence[Anime], not_out: Collection[int] | None = None) -> None:
        """not_out: the ids of what isn't out on the day that it is about; if not given, by the catalogue's status."""
        if not_out is None:
            not_out = {anime.anime_id for anime in catalogue if anime.status == "NOT_YET_RELEASED"}
        self._of_id = {anime.anime_id: anime for anime in catalogue}
        self._retold = related(catalogue, leads=("SUMMARY", "COMPILATION"), comes_from=("CONTAINS",))
        seasons = [each for each in catalogue if each.format in SEASON_FORMATS and each.anime_id not in self._retold]
        self._before = seasons_in_turn(to_see_before(prequels(catalogue), self._of_id, not_out), seasons, not_out)
        self._just_before = latest(self._before, self._of_id)
        self._beside = related(catalogue, leads=("SIDE_STORY",), comes_from=("PARENT",))
        self.franchise = dict(zip(self._of_id, franchises(catalogue, by_crossovers=False), strict=True))
        """Of each anime: the smallest id of its franchise. What brings several together is in none of them."""

    def of(self, ranked: Iterable[int], people: Collection[Person], wishes: Wishes) -> Iterator[Anime]:
        """The anime of `ranked` ids, in their order, that suit all `people`, are wished for and in the catalogue.

        Recaps of what one of them has seen are left out. Unless `with_sequels`, one that continues others of the
        catalogue needs the latest of these finished and liked by everybody, and neither they nor what it is a side
        story of may be what somebody is still watching, has paused or has dropped; and only the first of a franchise
        is shown.
        """
        seen = frozenset().union(*(person.seen for person in people))
        shown: set[int] = set()
        for anime_id in ranked:
            anime = self._of_id.get(anime_id)
            if anime is None or not wishes.allow(anime) or not self._retold.get(anime_id, NOTHING).isdisjoint(seen):
                continue
            if not wishes.with_sequels:
                if self.franchise[anime_id] in shown or self._waits(anime_id, people):
                    continue
                shown.add(self.franchise[anime_id])
            yield anime

    def continued_by(self, anime_ids: Iterable[int]) -> frozenset[int]:
        """All that these titles continue and that is to be seen before, in any number of steps."""
        return continued_by(anime_ids, self._before)

    def _waits(self, anime_id: int, people: Iterable[Person]) -> bool:
        """Whether somebody has not finished and liked what this title continues, or has begun what it continues or is
        a side story of and not finished it."""
        before, beside = self._before.get(anime_id, NOTHING), self._beside.get(anime_id, NOTHING)
        needed = self._just_before.get(anime_id, NOTHING)
        return any(
            not (before | beside).isdisjoint(each.unfinished) or (needed and needed.isdisjoint(each.liked))
            for each in people
        )


def why_nothing_is_left(
    shortlists: Shortlists, ranked: Sequence[int], people: Collection[Person], wishes: Wishes
) -> str:
    """Which single wish, dropped, leaves how many titles; if none does, which two leave the most. No wish is in the way
    where nothing is `ranked`."""
    if not ranked:
        return "all that the model knows was watched, or cancelled"

    def count(wishes: Wishes) -> int:
        return sum(1 for _ in shortlists.of(ranked, people, wishes))

    lifted = wishes.each_lifted()
    single = [f"{number:,} {how}" for how, number in ((how, count(less)) for how, less in lifted) if number]
    if single:
        return f"there would be {', '.join(single)}"
    pairs = [(count(least), f"{how} and {other}") for how, less in lifted for other, least in less.each_lifted()]
    number, how = max(pairs, key=lambda pair: pair[0], default=(0, ""))
    return f"there would be {number:,} {how}" if number else "not even without two of the wishes would there be any"


def related(catalogue: Sequence[Anime], leads: Collection[str], comes_from: Collection[str]) -> dict[int, set[int]]:
    """For each anime the ids of those from which a relation leads to it, or to which one of its own goes back.

    leads, comes_from: the kinds of these relations, of which AniList may have either or both.
    """
    found: dict[int, set[int]] = {}
    for anime in catalogue:
        for relation in anime.relations:
            if relation.kind in leads:
                found.setdefault(relation.anime_id, set()).add(anime.anime_id)
            elif relation.kind in comes_from:
                found.setdefault(anime.anime_id, set()).add(relation.anime_id)
    return found
