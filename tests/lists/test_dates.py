"""Dates as numbers, as days since 1970 and as quarters."""

from __future__ import annotations

import numpy as np
import pytest

from anime_bert4rec.lists.dates import SEASONS, date_of, date_of_parts, day_of, parts, quarter_of

DAYS = {
    -719_162: 1_01_01,
    -1: 1969_12_31,
    0: 1970_01_01,
    30: 1970_01_31,
    31: 1970_02_01,
    364: 1970_12_31,
    365: 1971_01_01,
    11_016: 2000_02_29,
    11_017: 2000_03_01,
    2_932_896: 9999_12_31,
}


@pytest.mark.parametrize(("day", "date"), DAYS.items())
def test_days_since_1970_and_dates_say_the_same(day, date):
    assert day_of(date) == day and date_of(day) == date
    assert date_of_parts(*parts(date)) == date


def test_a_day_beyond_the_calendar_is_its_first_or_last():
    assert date_of(-719_163) == date_of(-(10**12)) == 1_01_01
    assert date_of(2_932_897) == date_of(10**12) == 9999_12_31


@pytest.mark.parametrize("date", [2015_02_29, 1900_02_29, 2015_04_31, 2015_13_01, 2015_01_32, 2015_00_00, 2015_04_00])
def test_there_is_no_such_day(date):
    with pytest.raises(ValueError):
        day_of(date)


def test_a_month_or_a_day_may_be_unknown():
    assert date_of_parts(2016, 2, 29) == 2016_02_29
    assert date_of_parts(2015, 2) == 2015_02_00 and date_of_parts(2015) == date_of_parts(2015, 0, 7) == 2015_00_00
    nonsense = [(2015, 2, 29), (2015, 4, 31), (2015, 13), (2015, 1, 32), (0, 1, 1), (10_000,), (-1,), (2**63, 1, 1)]
    assert {date_of_parts(*each) for each in nonsense} == {None}


def test_the_parts_of_many_dates():
    assert [each.tolist() for each in parts(np.array([0, 2015_04_00, 2016_12_31]))] == [
        [0, 2015, 2016],
        [0, 4, 12],
        [0, 0, 31],
    ]


@pytest.mark.parametrize(
    ("date", "season"), [(1_01, "WINTER"), (3_31, "WINTER"), (4_01, "SPRING"), (9_00, "SUMMER"), (12_31, "FALL")]
)
def test_quarters_are_seasons(date, season):
    assert quarter_of(2015_00_00 + date) == 2015 * 4 + SEASONS.index(season)
    assert quarter_of(2015_12_31) + 1 == quarter_of(2016_01_01)
