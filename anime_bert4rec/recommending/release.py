"""Whether a title is out on a given day, airing, or yet to come.

AniList says it twice: by a status, which was true on the day when the catalogue was fetched, and by a start date, of
which only the year or the month may be known. What was out when it was fetched is so on later days, and what was not
out was not so on earlier ones. For other days the date decides where it tells. Where it doesn't, a title was not out on
a day before the catalogue was fetched if people have started it, and nobody had by then; else the status decides. With
a date that doesn't tell and no status, the title may not be out, and counts as not out.

Days are YYYYMMDD integers, as in the catalogue, and Japan's, as AniList's dates are.
"""

from __future__ import annotations

import datetime
import re

from anime_bert4rec.lists.dates import SEASONS, number_of, parts, quarter_of
from anime_bert4rec.lists.records import Anime
from anime_bert4rec.support.errors import SettingError
from anime_bert4rec.support.text import half_width

AIRING = "airing"
NEXT_SEASON = "next season"
NOT_OUT = "not out yet"
CANCELLED = "cancelled"
UPCOMING = (NEXT_SEASON, NOT_OUT)
"""What a title can be that is not out and will be."""

BEGUN = ("RELEASING", "FINISHED", "HIATUS")
"""AniList's statuses of titles that are out."""

WEEKLY = ("TV", "TV_SHORT")
"""The formats of which an episode a week is shown."""

JAPAN = datetime.timezone(datetime.timedelta(hours=9))


def day_in_japan(seconds: float) -> int:
    """The day that it is in Japan at a moment, given in unix seconds."""
    return number_of(datetime.datetime.fromtimestamp(seconds, JAPAN).date())


def read_day(text: str) -> int:
    """The day of `2026-10-04`. Raises SettingError for anything else."""
    text = half_width(text)
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise SettingError(f"--at must be a day such as 2026-10-04, not {text!r}")
    try:
        return number_of(datetime.date.fromisoformat(text))
    except ValueError:
        raise SettingError(f"--at: there is no day {text}") from None


def release_on(day: int, anime: Anime, fetched: int | None = None, first_started: int | None = None) -> str | None:
    """One of the words above for the title on that day, or None if it is out and no longer airing.

    fetched: the day on which the catalogue had the title's status, if that is known. first_started: the first day on
    which somebody started it, if one is known.
    """
    if anime.status == "CANCELLED":
        return CANCELLED
    if not _is_out(day, anime, fetched, first_started):
        return NEXT_SEASON if _starts_next_season(day, anime) else NOT_OUT
    return AIRING if _is_airing(day, anime, fetched) else None


def _is_out(day: int, anime: Anime, fetched: int | None, first_started: int | None) -> bool:
    if fetched is not None:
        if anime.status in BEGUN and day >= fetched:
            return True
        if anime.status == "NOT_YET_RELEASED" and day <= fetched:
            return False
    start = start_of(anime)
    if start and not start[0] <= day < start[1]:
        return day >= start[1]
    if first_started is not None:
        return day >= first_started
    return anime.status in BEGUN or (start is None and anime.status != "NOT_YET_RELEASED")


def _is_airing(day: int, anime: Anime, fetched: int | None) -> bool:
    """Whether the title, which is out, still airs: as its status says, or else with an episode a week."""
    end = _last_episode(anime)
    if fetched is None or day >= fetched:
        if anime.status == "RELEASING":
            return end is None or day <= max(end, fetched or 0)
        if anime.status in BEGUN:
            return False
    return end is not None and day <= end and anime.format in WEEKLY


def _starts_next_season(day: int, anime: Anime) -> bool:
    start = start_of(anime)
    return start is not None and {quarter_of(each) for each in start} == {quarter_of(day) + 1}


def start_of(anime: Anime) -> tuple[int, int] | None:
    """The first and the last day on which the title may have started; None if nothing is known of it."""
    start = anime.start_date or (anime.year or 0) * 10_000
    if not start:
        return None
    if start % 100:
        return start, start
    if start % 10_000:
        return start + 1, start + 31
    if anime.season in SEASONS and anime.year == start // 10_000:
        month = 3 * SEASONS.index(anime.season) + 1
        return start + 100 * month + 1, start + 100 * (month + 2) + 31
    return start + 101, start + 1231


def _last_episode(anime: Anime) -> int | None:
    """The day of the last episode, with one a week, if the day of the first and their number are known."""
    try:
        first = datetime.date(*parts(anime.start_date or 0))
        return number_of(first + datetime.timedelta(weeks=(anime.episodes or 0) - 1)) if anime.episodes else None
    except (ValueError, OverflowError):
        return None
