"""Dates as numbers YYYYMMDD, in which an unknown month or day is 00, as days since 1970, and as quarters of a year."""

from __future__ import annotations

import datetime
from typing import TypeVar

import numpy as np

DAY_SECONDS = 86_400
LAST_DAY, LAST_SECOND = 9999_12_31, 253_402_300_799
"""The last day of the calendar, and its last second in unix time."""
SEASONS = ("WINTER", "SPRING", "SUMMER", "FALL")
"""AniList's words for the quarters of a year."""
_EPOCH = datetime.date(1970, 1, 1).toordinal()
_LAST = datetime.date.max.toordinal()

Dates = TypeVar("Dates", int, np.ndarray)


def parts(date: Dates) -> tuple[Dates, Dates, Dates]:
    """Year, month and day of a YYYYMMDD, or of an array of such."""
    return date // 10_000, date // 100 % 100, date % 100


def number_of(date: datetime.date) -> int:
    return date.year * 10_000 + date.month * 100 + date.day


def date_of_parts(year: int, month: int = 0, day: int = 0) -> int | None:
    """YYYYMMDD, without a day where the month is 0, which is unknown; None if there is no such day."""
    day = day if month else 0
    try:
        datetime.date(year, month or 1, day or 1)
    except (ValueError, OverflowError):
        return None
    return year * 10_000 + month * 100 + day


def day_of(date: int) -> int:
    """The day since 1970 of a whole YYYYMMDD. Raises ValueError if there is no such day."""
    return datetime.date(*parts(date)).toordinal() - _EPOCH


def date_of(day: int) -> int:
    """YYYYMMDD of a day since 1970; of one that no calendar has, the calendar's first or last."""
    return number_of(datetime.date.fromordinal(min(max(day + _EPOCH, 1), _LAST)))


def quarter_of(date: int) -> int:
    """The number of the quarter of a YYYYMMDD whose month is known: four a year, the first of year 0 is 0."""
    year, month, _ = parts(date)
    return year * 4 + (month - 1) // 3
