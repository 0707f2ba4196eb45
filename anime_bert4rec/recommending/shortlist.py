"""Which of the ranked titles are shown: those that are wished for, no later seasons out of turn, no recaps."""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from anime_bert4rec.lists.common_traits import franchises, prequels
from anime_bert4rec.lists.records import Anime
from anime_bert4rec.recommending.person import Person
from anime_bert4rec.recommending.wishes import Wishes

NOTHING: frozenset[int] = frozenset()
SEASON_FORMATS = ("TV", "TV_SHORT", "ONA")
"""The formats of which one title is a season of another."""
EXTRA_FORMATS = ("OVA", "SPECIAL", "MUSIC")
"""The formats of what often comes with something else."""


class Shortlists:
    """Makes the shortlists of any number of people from one catalogue, which is looked through once."""

    def __init__(self, catalogue: Sequence[Anime]) -> None:
        self._of_id = {anime.anime_id: anime for anime in catalogue}
        self._retold = related(catalogue, leads=("SUMMARY", "COMPILATION"), comes_from=("CONTAINS",))
        seasons = [each for each in catalogue if each.format in SEASON_FORMATS and each.anime_id not in self._retold]
        self._before = seasons_in_turn(to_see_before(prequels(catalogue), self._of_id), seasons)
        self._just_before = latest(self._before, self._of_id)
        self._beside = related(catalogue, leads=("SIDE_STORY",), comes_from=("PARENT",))
        self.franchise = dict(zip(self._of_id, franchises(catalogue), strict=True))
        """Of each anime: the smallest id of its franchise."""

    def of(self, ranked: Iterable[int], people: Collection[Person], wishes: Wishes) -> Iterator[Anime]:
        """The anime of `ranked` ids, in their order, that suit all `people`, are wished for and in the catalogue.

        Recaps of what one of them has seen are left out. Unless `with_sequels`, one that continues others of the
        catalogue needs the latest of these finished by everybody, and neither they nor what it is a side story of may
        be what somebody is still watching, has paused or has dropped; and only the first of a franchise is shown.
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
        found: set[int] = set()
        left = list(anime_ids)
        while left:
            earlier = self._before.get(left.pop(), NOTHING) - found
            found |= earlier
            left += earlier
        return frozenset(found)

    def _waits(self, anime_id: int, people: Iterable[Person]) -> bool:
        """Whether somebody has not finished what this title continues or is a side story of."""
        before, beside = self._before.get(anime_id, NOTHING), self._beside.get(anime_id, NOTHING)
        needed = self._just_before.get(anime_id, NOTHING)
        return any(
            not (before | beside).isdisjoint(each.unfinished) or (needed and needed.isdisjoint(each.liked))
            for each in people
        )


def latest(before: Mapping[int, set[int]], of_id: Mapping[int, Anime]) -> dict[int, set[int]]:
    """Of what each anime continues, what none of the rest continues in its turn: not the first season where there is a
    second one. A special or a film doesn't stand for a season, nor a season for them; where they continue each other in
    a circle, all of them."""

    def takes_its_place(later: int, earlier: int) -> bool:
        continues = earlier in before.get(later, NOTHING) and later not in before.get(earlier, NOTHING)
        return continues and of_id[later].format == of_id[earlier].format

    return {
        anime_id: {each for each in earlier if not any(takes_its_place(other, each) for other in earlier)} or earlier
        for anime_id, earlier in before.items()
    }


def to_see_before(before: Mapping[int, set[int]], of_id: Mapping[int, Anime]) -> dict[int, set[int]]:
    """`before` without what tells of earlier days but need not be seen first: what surely came out later than the
    title, and an extra that not half as many people know. What such a one continues stands in its place."""

    def may_be_left(earlier: Anime, later: Anime) -> bool:
        came_later = 0 < latest_start(later) < (earlier.start_date or 0)
        is_extra = earlier.format in EXTRA_FORMATS and later.format not in EXTRA_FORMATS
        known, title_known = earlier.popularity, later.popularity
        return came_later or (is_extra and known is not None and title_known is not None and 2 * known < title_known)

    found = {}
    for anime_id, earlier in before.items():
        needed, looked_at, left = set(), {anime_id}, list(earlier)
        while left:
            each = left.pop()
            if each not in looked_at:
                looked_at.add(each)
                if may_be_left(of_id[each], of_id[anime_id]):
                    left += before.get(each, NOTHING)
                else:
                    needed.add(each)
        if needed:
            found[anime_id] = needed
    return found


def seasons_in_turn(before: Mapping[int, set[int]], seasons: Iterable[Anime]) -> dict[int, set[int]]:
    """`before`, where each season that continues a title also continues the last of those that surely began before it
    and continue no other: AniList may name the first season alone as the prequel of all others.

    So nothing comes to continue itself that did not before.
    """
    found = {anime_id: set(earlier) for anime_id, earlier in before.items()}
    after: dict[tuple[int, str | None], list[Anime]] = {}
    for anime in seasons:
        if anime.start_date:
            for each in before.get(anime.anime_id, NOTHING):
                after.setdefault((each, anime.format), []).append(anime)
    for group in after.values():
        group.sort(key=latest_start)
        starts = [latest_start(anime) for anime in group]
        for anime in group:
            began_before = reversed(group[: bisect.bisect_left(starts, anime.start_date or 0)])
            for other in began_before:
                if before[other.anime_id] <= before[anime.anime_id]:
                    found[anime.anime_id].add(other.anime_id)
                    break
    return found


def latest_start(anime: Anime) -> int:
    """The last day on which it may have started, a number like its start date, of which day and month may be 0; 0 if
    nothing is known."""
    start = anime.start_date or 0
    return start + (0 if start % 100 or not start else 99 if start % 10_000 else 9999)


def why_nothing_is_left(
    shortlists: Shortlists, ranked: Sequence[int], people: Collection[Person], wishes: Wishes
) -> str:
    """Which single wish, dropped, leaves how many titles; if none does, which two leave the most."""

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
