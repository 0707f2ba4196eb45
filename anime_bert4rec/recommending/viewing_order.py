"""What is to be seen before what, by the relations that AniList has, by days and by formats."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping

from anime_bert4rec.lists.records import Anime

NOTHING: frozenset[int] = frozenset()
SEASON_FORMATS = ("TV", "TV_SHORT", "ONA")
"""The formats of which one title is a season of another."""
EXTRA_FORMATS = ("OVA", "SPECIAL", "MUSIC")
"""The formats of bonus material, which often comes with a series and is no part of it."""


def to_see_before(before: Mapping[int, set[int]], of_id: Mapping[int, Anime]) -> dict[int, set[int]]:
    """`before` without prequels that need not be seen first: what surely came out later than the title, or never did,
    and an extra that not half as many people know. What such a one continues stands in its place."""

    def need_not_be_seen(earlier: Anime, later: Anime) -> bool:
        came_later = 0 < latest_start(later) < (earlier.start_date or 0) or earlier.status == "CANCELLED"
        came_later |= earlier.status == "NOT_YET_RELEASED" != later.status
        is_extra = earlier.format in EXTRA_FORMATS and later.format not in EXTRA_FORMATS
        known, title_known = earlier.popularity, later.popularity
        return came_later or (is_extra and known is not None and title_known is not None and 2 * known < title_known)

    found = {}
    for anime_id, earlier in before.items():
        needed, looked_at, to_look_at = set(), {anime_id}, list(earlier)
        while to_look_at:
            each = to_look_at.pop()
            if each not in looked_at:
                looked_at.add(each)
                if need_not_be_seen(of_id[each], of_id[anime_id]):
                    to_look_at += before.get(each, NOTHING)
                else:
                    needed.add(each)
        if needed:
            found[anime_id] = needed
    return found


def seasons_in_turn(before: Mapping[int, set[int]], seasons: Iterable[Anime]) -> dict[int, set[int]]:
    """`before`, where each season that continues a title continues, in its place, the last of those that surely began
    before it and continue no other: AniList may name the first season alone as the prequel of all others."""
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
                    found[anime.anime_id] -= before[other.anime_id]
                    found[anime.anime_id].add(other.anime_id)
                    break
    return found


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


def latest_start(anime: Anime) -> int:
    """The last day on which it may have started, a number like its start date, of which day and month may be 0; 0 if
    nothing is known."""
    start = anime.start_date or 0
    return start + (0 if start % 100 or not start else 99 if start % 10_000 else 9999)
