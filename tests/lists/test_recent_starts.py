"""Who started what when: worked out by hand, and nothing of the day itself, of the person, or of later days."""

from __future__ import annotations

import datetime
import math

import numpy as np
import pytest

from anime_bert4rec.lists import recent_starts
from anime_bert4rec.lists.dates import day_of
from anime_bert4rec.lists.recent_starts import (
    FAR_OFF,
    FEATURES,
    FEWEST_RECENT,
    LEAST,
    WINDOW,
    Calendar,
    RecentStarts,
    Starts,
    features_at,
    season_of,
    start_days,
    started_on,
)
from anime_bert4rec.lists.records import Anime, ListEntry, Relation
from anime_bert4rec.lists.sequences import BULK_DAY, UNDATED, Sequences, Vocabulary

ITEMS = Vocabulary.of(range(1, 7))
SPRING = 2020 * 4 + 1
CATALOGUE = [
    Anime(1, season="SPRING", year=2020),
    Anime(2, season="WINTER", year=2020, relations=(Relation(1, "SEQUEL"),)),  # so 1 continues 2
    Anime(3, start_date=20200500),
    Anime(4, year=2020),
    Anime(5, season="SUMMER", year=2020),
    Anime(900, relations=(Relation(3, "PREQUEL"),)),
]
CALENDAR = Calendar.of(CATALOGUE, ITEMS)
MOMENT = day_of(20200501)


def row(user, anime, started=None, completed=None, created=None):
    return user, anime, started, completed, None if created is None else day_of(created) * 86_400 + 3_600


def others(count=FEWEST_RECENT, anime=6, started=20200420):
    return [row(100 + number, anime, started) for number in range(count)]


def starts_of(*rows):
    return Starts.of(rows, ITEMS)


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        ((20200501, 0, 0), 20200501),
        ((20200501, 20200101, 20200601), 20200501),  # what is typed in counts, whatever else says
        ((20200500, 0, 20200601), 20200601),  # of a month, no day is known
        ((20200000, 0, 0), None),
        ((20200015, 0, 0), None),  # nor of a year
        ((0, 20200701, 20200601), 20200601),
        ((0, 20200601, 20200601), 20200601),
        ((0, 20200531, 20200601), None),  # completed before it was added: when it was started, nobody knows
        ((0, 20200701, 0), None),
        ((0, 0, 0), None),
    ],
)
def test_the_day_of_a_start(dates, expected):
    started, completed, created = dates
    seconds = day_of(created) * 86_400 + 86_399 if created else 0
    (day,) = start_days(*(np.array([each]) for each in (started, completed, seconds)))
    assert day == (UNDATED if expected is None else day_of(expected))


def test_started_on_leaves_out_what_has_no_day():
    entries = [ListEntry(1, 5, started=20200501), ListEntry(2, 6), ListEntry(3, 7, created=86_400)]
    later = day_of(20200501) * 86_400
    entries.append(ListEntry(4, 8, completed=20200430, created=later))  # listed when it had been watched
    assert started_on(entries) == {5: day_of(20200501), 7: 1}
    assert started_on([]) == {}


def test_starts_come_by_days_and_unknown_titles_drop_out():
    starts = starts_of(row(2, 3, 20200502), row(1, 77, 20200501), row(1, 2, 20200501), row(1, 4, 20200000))
    assert (starts.users.tolist(), starts.items.tolist()) == ([1, 2], [2, 3])
    assert starts.days.tolist() == [MOMENT, MOMENT + 1] and starts.counted.all()
    assert len(starts_of()) == 0 and not starts_of().counted.any()


def test_bulk_days_say_nothing():
    many = Vocabulary.of(range(1, 40))
    rows = [row(1, anime, 20200430) for anime in range(1, BULK_DAY + 1)]
    rows += [row(2, anime, 20200430) for anime in range(1, BULK_DAY)]
    starts = Starts.of(rows, many)
    assert starts.counted[starts.users == 2].all() and not starts.counted[starts.users == 1].any()
    assert set(starts.before(MOMENT).users.tolist()) == {2}
    assert len(starts.of_user_before(1, MOMENT)[0]) == BULK_DAY  # but they were watched


def test_neither_the_day_itself_nor_the_person_counts():
    starts = starts_of(
        row(1, 1, 20200430), row(2, 2, 20200430), row(2, 3, 20200501), row(3, 4, 20200502), row(3, 5, 20190502)
    )
    assert starts.before(MOMENT).items.tolist() == [5, 1, 2]
    assert starts.before(MOMENT, 1).items.tolist() == [5, 2]
    assert day_of(20190502) == MOMENT - WINDOW
    assert starts.before(MOMENT + 1, 1).items.tolist() == [2, 3]  # the first is older than the window now


def test_what_a_person_has_just_started_is_not_among_what_others_start():
    recent = RecentStarts(starts_of(*others(), row(1, 1, 20200425), row(1, 2, 20200430)), CALENDAR)
    asked = recent.asked(int(np.flatnonzero(recent.starts.items == 2)[0]))
    assert asked.features[0, 0] == pytest.approx(math.log(LEAST)) and LEAST == 0.003


def test_starts_fade():
    starts = starts_of(row(1, 2, 20200430), row(2, 2, 20200428), row(3, 5, 20200401))
    expected = {2: 0.0, 5: math.exp(-10) / 3 + 2 / 30 * math.exp(-1)}
    for age in (1, 3):
        expected[2] += math.exp(-age / 3) / 3 + 2 / 30 * math.exp(-age / 30)
    decayed = starts.before(MOMENT).decayed(MOMENT)
    assert decayed.tolist() == pytest.approx([0, expected[2], 0, 0, expected[5], 0])


@pytest.mark.parametrize(
    ("date", "season"), [(20200321, 0), (20200322, 1), (20200620, 1), (20200621, 2), (20201222, 4)]
)
def test_a_season_begins_ten_days_early(date, season):
    assert season_of(day_of(date)) == 2020 * 4 + season


def test_the_calendar():
    assert CALENDAR.season.tolist() == [SPRING, SPRING - 1, SPRING, 0, SPRING + 1, 0]
    assert CALENDAR.sequels([2]).tolist() == [True, False, False, False, False, False]
    assert not CALENDAR.sequels([1, 3]).any()
    assert not Calendar.of([], ITEMS).season.any() and not Calendar.of([], ITEMS).sequels([1]).any()


def test_who_follows_the_season():
    items, days = np.array([2, 1, 4, 3]), np.array([day_of(20200110), MOMENT, MOMENT, day_of(20200801)])
    assert CALENDAR.follower(items, days) == 2 / 4  # 2 and 1 in their season, 4 has none known, 3 was on before
    old = np.array([day_of(20100101)])
    assert CALENDAR.follower(np.append(4, np.repeat(1, 20)), np.append(old, np.repeat(MOMENT, 20))) == 1


@pytest.mark.parametrize(
    ("items", "days", "others"),
    [([4, 2], [1, 2], 0), ([2, 4, 3], [1, 2, 5], 2), ([2, 4, 3], [5, 5, 5], 2), ([4, 2, 3], [1, 7, 7], 1)],
)
def test_what_continues_the_newest(items, days, others):
    """1 continues 2; of titles of one day it is not known which came last."""
    found = CALENDAR.newly_continued(np.array(items), np.array(days))
    assert found.tolist() == pytest.approx([math.exp(-others / 3), 0, 0, 0, 0, 0])


def test_what_continues_several_continues_the_newest_of_them():
    calendar = Calendar(CALENDAR.season, np.array([[1, 2], [1, 3], [6, 5]]))
    found = calendar.newly_continued(np.array([3, 4, 2]), np.array([1, 2, 3]))
    assert found.tolist() == [1, 0, 0, 0, 0, 0]  # of 5, which was not started, there is no sequel
    assert not calendar.newly_continued(np.array([], int), np.array([], int)).any()


def test_the_features_of_a_moment():
    own = np.array([2, 1]), np.array([day_of(20180101), MOMENT - 1])
    found = features_at(MOMENT, starts_of(*others()).before(MOMENT), CALENDAR, [2], own)
    assert found is not None and found.shape == (6, len(FEATURES))
    of_6 = math.log(FEWEST_RECENT * (math.exp(-11 / 3) / 3 + 2 / 30 * math.exp(-11 / 30)) + LEAST)
    least = math.log(LEAST)
    assert found[0].tolist() == pytest.approx([least, 1, 0, 1, 0.5, 0.5 * least, math.exp(-1 / 3)])
    assert found[1].tolist() == pytest.approx([least, 0, 1, 0, 0, 0.5 * least, 0])
    assert found[5].tolist() == pytest.approx([of_6, 0, 0, 0, 0, 0.5 * of_6, 0], rel=1e-5)


def test_too_little_is_known():
    own, nothing = (np.array([1]), np.array([MOMENT - 1])), (np.array([], int), np.array([], int))
    few = starts_of(*others(FEWEST_RECENT - 1)).before(MOMENT)
    assert features_at(MOMENT, few, CALENDAR, [1], own) is None
    assert features_at(MOMENT, starts_of(*others()).before(MOMENT), CALENDAR, [1], nothing) is None


def test_a_later_list_does_not_change_an_earlier_moment():
    known = [*others(), row(1, 2, 20200301), row(1, 1, 20200501)]
    later = [
        row(7, 3, 20200501),
        row(1, 3, 20200501),
        row(1, 4, 20200601),
        row(8, 4, 20210101),
        row(9, 5, None, 20200401),
    ]
    before, after = (RecentStarts(starts_of(*rows), CALENDAR) for rows in (known, [*known, *later]))
    asked = [
        each.asked(int(np.flatnonzero((each.starts.users == 1) & (each.starts.items == 1))[0]))
        for each in (before, after)
    ]
    assert asked[0] is not None and asked[1] is not None
    assert np.array_equal(asked[0].features, asked[1].features)
    assert asked[0].history.tolist() == asked[1].history.tolist() == [2]
    assert (asked[0].item, asked[0].day) == (1, MOMENT)
    assert asked[0].not_ranked.tolist() == [2, 5]  # what was seen, and what is not out


def test_what_was_not_out_is_not_asked():
    recent = RecentStarts(starts_of(*others(), row(1, 2, 20200301), row(1, 5, 20200501)), CALENDAR)
    assert recent.asked(len(recent.starts) - 1) is None
    assert recent.asked(int(np.flatnonzero(recent.starts.items == 2)[0])) is None  # its person had started nothing


def test_the_newest_fifth_of_the_last_year():
    day = datetime.date(2020, 1, 1)
    dates = [int(f"{day + datetime.timedelta(days=number):%Y%m%d}") for number in range(0, 1000, 10)]
    recent = RecentStarts(starts_of(*(row(number, 1, date) for number, date in enumerate(dates))), CALENDAR)
    assert recent.newest(1000, 0).tolist() == list(range(80, 100))
    assert recent.newest(1000, 0, np.arange(50)).tolist() == list(range(40, 50))
    drawn = recent.newest(5, 0)
    assert len(drawn) == 5 and drawn.min() >= 80 and (np.diff(drawn) > 0).all()
    assert not len(RecentStarts(starts_of(), CALENDAR).newest(10, 0))
    sparse = RecentStarts(starts_of(*(row(number, 1, 20000101 + 10_000 * number) for number in range(20))), CALENDAR)
    assert sparse.newest(10, 0).tolist() == [19]  # the others of the newest fifth are years older


def test_a_day_that_is_mistyped_is_not_the_last_one():
    dates = [20200101 + number % 28 for number in range(500)]  # 18 or 17 starts a day
    recent = RecentStarts(starts_of(*(row(number, 1, date) for number, date in enumerate(dates))), CALENDAR)
    assert recent.newest(1000, 0).tolist() == list(range(400, 500))
    rows = [row(number, 1, 99991231 if number == 499 else date) for number, date in enumerate(dates)]
    recent = RecentStarts(starts_of(*rows), CALENDAR)
    assert recent.newest(1000, 0).tolist() == list(range(400, 500))
    assert recent.asked(499) is None  # and no error
    soon = RecentStarts(starts_of(*rows[:499], row(499, 1, 20200210)), CALENDAR)
    assert soon.newest(1000, 0).tolist() == list(range(400, 500))


@pytest.mark.parametrize(("later", "is_error"), [(90, False), (91, True)])
def test_what_is_three_months_behind_the_others_may_be_the_last_day(later, is_error):
    """Of a hundred starts the newest fifth counts, of which the last may be mistyped: which of them are of a year?"""
    days = [*[-1000] * 80, -275, -274, *[0] * 17, later]
    users, items = np.arange(100), np.ones(100, np.int64)
    starts = Starts(users, items, MOMENT + np.array(days), np.ones(100, bool), 6)
    assert FAR_OFF - WINDOW == -275
    assert RecentStarts(starts, CALENDAR).newest(100, 0).tolist() == list(range(80 if is_error else 81, 100))


def test_rows_are_read_in_parts(monkeypatch):
    rows = [row(number % 7, 1 + number % 6, 20200101 + number % 20) for number in range(42)]
    whole = starts_of(*rows)
    monkeypatch.setattr(recent_starts, "ROWS_AT_ONCE", 4)
    parts = starts_of(*rows)
    for one, other in zip(vars(whole).values(), vars(parts).values(), strict=True):
        assert np.array_equal(one, other)


def test_seasons_at_the_ends_of_the_calendar():
    assert season_of(day_of(99991231)) == 9999 * 4 + 3
    starts = starts_of(row(1, 1, 101), row(2, 1, 99999999))  # of a damaged database
    assert [season_of(day) for day in starts.days.tolist()] == [4, 9999 * 4 + 3]


def test_lists_as_they_were_before():
    lists = Sequences(np.array([2, 4, 1, 3, 4, 3]), np.arange(6), np.array([0, 3, 5, 6]), np.array([1, 5, 9]))
    rows = [row(1, 2, 20200301), row(1, 4, 20200601), row(1, 1, 20200501), row(5, 4, 20200501), row(77, 4, 20200801)]
    recent = RecentStarts(starts_of(*rows), CALENDAR)
    left = recent.lists_before(day_of(20200502), lists)
    assert [left.of_user(user).tolist() for user in range(len(left))] == [[2, 1], [3, 4], [3]]
    left = recent.lists_before(day_of(20200301), lists)  # in the winter, 3 was not on yet; when 9 saw it is not known
    assert (left.user_ids.tolist(), left.items.tolist()) == ([], [])


def test_of_some_people_and_days():
    rows = [row(2, 3, 20200501), row(1, 1, 20200430), row(2, 2, 20200430)]
    assert Starts.of(rows, ITEMS, np.array([2])).items.tolist() == [2, 3]
    assert not len(Starts.of(rows, ITEMS, np.array([], int)))
