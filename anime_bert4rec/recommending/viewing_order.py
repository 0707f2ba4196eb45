"""What is to be seen before what, by the relations that AniList has, by days and by formats."""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterable, Mapping

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.recommending.release import start_of

NOTHING: frozenset[int] = frozenset()
SEASON_FORMATS = ("TV", "TV_SHORT", "ONA")
"""The formats of which one title is a season of another."""
EXTRA_FORMATS = ("OVA", "SPECIAL", "MUSIC")
"""The formats of bonus material, which often comes with a series and is no part of it."""


def need_not_be_seen(earlier: Anime, later: Anime, not_out: Collection[int]) -> bool:
    """Whether a prequel need not be seen before a title: it surely came out later, isn't out though the title is, never
    comes, or is an extra that not half as many people know. not_out: the ids of what isn't out yet."""
    if earlier.status == "CANCELLED" or (earlier.anime_id in not_out and later.anime_id not in not_out):
        return True
    start, title_start = start_of(earlier), start_of(later)
    if start and title_start and title_start[1] < start[0]:
        return True
    is_extra = earlier.format in EXTRA_FORMATS and later.format not in EXTRA_FORMATS
    known, title_known = earlier.popularity, later.popularity
    return is_extra and known is not None and title_known is not None and 2 * known < title_known


def to_see_before(
    before: Mapping[int, set[int]], of_id: Mapping[int, Anime], not_out: Collection[int]
) -> dict[int, set[int]]:
    """`before` without prequels that need not be seen first; what such a one continues stands in its place."""
    found = {}
    for anime_id, earlier in before.items():
        needed, looked_at, to_look_at = set(), {anime_id}, list(earlier)
        while to_look_at:
            each = to_look_at.pop()
            if each not in looked_at:
                looked_at.add(each)
                if need_not_be_seen(of_id[each], of_id[anime_id], not_out):
                    to_look_at += before.get(each, NOTHING)
                else:
                    needed.add(each)
        if needed:
            found[anime_id] = needed
    return found


def seasons_in_turn(
    before: Mapping[int, set[int]], seasons: Iterable[Anime], not_out: Collection[int]
) -> dict[int, set[int]]:
    """`before`, where each season that continues a title continues, in its place, the last of those that surely began
    before it, are to be seen and continue no other: AniList may name the first season alone as the prequel of all
    others."""
    found = {anime_id: set(earlier) for anime_id, earlier in before.items()}
    after: dict[tuple[int, str | None], list[tuple[int, int, int]]] = {}  # the last and first day of its start, its id
    of_id = {anime.anime_id: anime for anime in seasons}
    for anime in of_id.values():
        if start := start_of(anime):
            for each in before.get(anime.anime_id, NOTHING):
                after.setdefault((each, anime.format), []).append((start[1], start[0], anime.anime_id))
    for group in after.values():
        group.sort()
        for _, first_day, anime_id in group:
            began_before = reversed(group[: bisect.bisect_left(group, (first_day,))])
            for *_, other in began_before:
                if before[other] <= before[anime_id] and not need_not_be_seen(of_id[other], of_id[anime_id], not_out):
                    found[anime_id] -= before[other]
                    found[anime_id].add(other)
                    break
    return found


def continued_by(anime_ids: Iterable[int], before: Mapping[int, Collection[int]]) -> frozenset[int]:
    """All that these titles continue, in any number of steps."""
    found: set[int] = set()
    left = list(anime_ids)
    while left:
        earlier = set(before.get(left.pop(), NOTHING)) - found
        found |= earlier
        left += earlier
    return frozenset(found)


def latest(before: Mapping[int, set[int]], of_id: Mapping[int, Anime]) -> dict[int, set[int]]:
    """Of what each anime continues, what none of the rest continues in its turn, in any number of steps: not the first
    season where there is a second one. A special or a film doesn't stand for a season, nor a season for them; where
    they continue each other in a circle, all of them."""

    def takes_its_place(later: int, earlier: int) -> bool:
        if of_id[later].format != of_id[earlier].format:
            return False
        return earlier in continued_by([later], before) and later not in continued_by([earlier], before)

    return {
        anime_id: {each for each in earlier if not any(takes_its_place(other, each) for other in earlier)} or earlier
        for anime_id, earlier in before.items()
    }
