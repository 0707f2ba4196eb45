"""What is out on which day, by hand: statuses and the days they were fetched, whole and fuzzy dates, time zones."""

from __future__ import annotations

import datetime
import time

import pytest

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.recommending.release import day_in_japan, read_day, release_on
from anime_bert4rec.support.errors import SettingError

PREMIERE = Anime(1, status="NOT_YET_RELEASED", start_date=20261004)
FETCHED = 20260901


def on(days, anime, fetched=FETCHED):
    return [release_on(day, anime, fetched) for day in days]


def around(first, last, status, fetched=FETCHED, **dated):
    """Before the first day on which the title may have started, on it, before the last one, and on that."""
    days = (first - 1, first, last - 1, last)
    return [release_on(day, Anime(1, status=status, **dated), fetched) is None for day in days]


def test_a_title_is_out_from_the_day_of_its_premiere_on():
    assert on([20260930, 20261003, 20261004, 20261005], PREMIERE) == ["next season", "not out yet", None, None]


def test_a_catalogue_fetched_last_year_says_nothing_about_today():
    assert release_on(20261128, PREMIERE, fetched=20250901) is None
    assert release_on(20261128, Anime(1, status="NOT_YET_RELEASED"), fetched=20250901) == "not out yet"


def test_without_a_date_what_nobody_had_started_was_not_out():
    """Once the catalogue says that it is out, it is, and so it is where the date tells or nobody's start is known."""
    undated = Anime(1, status="FINISHED")
    days = [20240119, 20240120, FETCHED - 1, FETCHED]
    assert [release_on(day, undated, FETCHED, 20240120) for day in days] == ["not out yet", None, None, None]
    assert [release_on(day, undated, FETCHED) for day in days] == [None] * 4
    assert release_on(20240119, undated, FETCHED, FETCHED + 5) == "not out yet"
    assert release_on(FETCHED, undated, FETCHED, FETCHED + 5) is None
    dated = Anime(1, status="FINISHED", start_date=20230104)
    assert release_on(20230104, dated, FETCHED, 20240120) is None
    only_year = Anime(1, status="FINISHED", start_date=20240000)
    days = [20231231, 20240119, 20240120, 20241231, 20250101]
    assert [release_on(day, only_year, FETCHED, 20240120) for day in days] == [*["not out yet"] * 2, *[None] * 3]
    assert release_on(20250101, only_year, FETCHED, 20251107) is None, "the year is over"
    announced = Anime(1, status="NOT_YET_RELEASED")
    assert release_on(FETCHED, announced, FETCHED, 20240120) == "not out yet", "somebody's slip"


def test_on_the_day_of_the_fetch_the_status_says_more_than_the_date():
    late = Anime(1, status="NOT_YET_RELEASED", start_date=20260801)
    assert on([20260831, 20260901, 20260902], late) == ["not out yet", "not out yet", None]
    early = Anime(1, status="FINISHED", start_date=20261004)
    assert on([20260831, 20260901, 20260902], early) == ["next season", None, None]


def test_what_is_finished_today_was_not_out_before_its_start():
    old = Anime(1, status="FINISHED", start_date=20150404)
    assert on([20150110, 20141231, 20150403, 20150404], old) == ["next season", "not out yet", "not out yet", None]


def test_what_is_cancelled_is_neither_out_nor_upcoming():
    for start in (None, 20150404, 20300101):
        assert on([20150101, 20260901, 20310101], Anime(1, status="CANCELLED", start_date=start)) == ["cancelled"] * 3


@pytest.mark.parametrize("fetched", [None, FETCHED])
@pytest.mark.parametrize("status", ["NOT_YET_RELEASED", None, "SOMETHING_NEW"])
@pytest.mark.parametrize(
    ("first", "last", "dated"),
    [
        (20270101, 20271231, {"start_date": 20270000}),
        (20270401, 20270431, {"start_date": 20270400}),
        (20270401, 20270631, {"start_date": 20270000, "season": "SPRING", "year": 2027}),
        (20270401, 20270631, {"season": "SPRING", "year": 2027}),
        (20271001, 20271231, {"season": "FALL", "year": 2027}),
        (20270101, 20271231, {"year": 2027}),
        (20261201, 20261231, {"start_date": 20261200, "season": "WINTER", "year": 2027}),
        (20260101, 20261231, {"start_date": 20260000, "season": "WINTER", "year": 2027}),
    ],
)
def test_a_fuzzy_date_that_does_not_tell_is_not_out_yet(first, last, dated, status, fetched):
    assert around(first, last, status, fetched, **dated) == [False, False, False, True]


@pytest.mark.parametrize("status", ["RELEASING", "FINISHED", "HIATUS"])
def test_unless_the_status_says_so(status):
    title = Anime(1, status=status, format="OVA", start_date=20150000)
    assert on([20141231, 20150101, 20151231], title) == ["not out yet", None, None]


@pytest.mark.parametrize("fetched", [None, FETCHED])
@pytest.mark.parametrize("status", [None, "SOMETHING_NEW", "FINISHED", "HIATUS"])
@pytest.mark.parametrize("day", [19700101, 20260901, 21000101])
def test_without_dates_everything_is_out(day, status, fetched):
    assert release_on(day, Anime(1, status=status, episodes=12, format="TV"), fetched) is None


@pytest.mark.parametrize("day", [19700101, 20260901, 21000101])
def test_without_dates_what_was_announced_stays_so(day):
    assert on([day], Anime(1, status="NOT_YET_RELEASED")) == ["not out yet"]


@pytest.mark.parametrize(
    ("day", "dated", "word"),
    [
        (20260930, {"start_date": 20261001}, "next season"),
        (20260930, {"start_date": 20261231}, "next season"),
        (20260930, {"start_date": 20261100}, "next season"),
        (20260930, {"season": "FALL", "year": 2026}, "next season"),
        (20261231, {"start_date": 20270100}, "next season"),
        (20260930, {"start_date": 20270101}, "not out yet"),
        (20260901, {"start_date": 20260930}, "not out yet"),  # this season
        (20260930, {"start_date": 20260000}, "not out yet"),
        (20260930, {"year": 2026}, "not out yet"),
    ],
)
def test_next_season_is_the_next_quarter_of_a_year(day, dated, word):
    assert release_on(day, Anime(1, status="NOT_YET_RELEASED", **dated), FETCHED) == word


def test_what_is_airing_when_it_was_fetched():
    endless = Anime(1, status="RELEASING", start_date=19991020)
    assert on([20260901, 20270901], endless) == ["airing", "airing"]
    twelve = Anime(1, status="RELEASING", start_date=20260705, episodes=12)  # the last is shown on 20 September
    assert on([20260901, 20260920, 20260921], twelve) == ["airing", "airing", None]
    with_a_break = Anime(1, status="RELEASING", start_date=20260405, episodes=12)  # and it says that it still airs
    assert on([20260901, 20260902], with_a_break) == ["airing", None]
    assert on([20260901], Anime(1, status="RELEASING")) == ["airing"]
    assert on([20260901], Anime(1, status="RELEASING"), fetched=None) == ["airing"]


def test_what_airs_on_another_day_has_an_episode_a_week():
    for status, fetched in (("FINISHED", 20271231), ("NOT_YET_RELEASED", 20260901), (None, None)):
        title = Anime(1, status=status, format="TV", start_date=20261004, episodes=12)  # until 20 December
        assert on([20261004, 20261220, 20261221], title, fetched) == ["airing", "airing", None]
        film = Anime(1, status=status, format="MOVIE", start_date=20261004, episodes=12)
        assert on([20261004], film, fetched) == [None]
    finished = Anime(1, status="FINISHED", format="TV", start_date=20261004, episodes=12)
    assert on([20261220], finished, fetched=20261220) == [None]


def test_dates_that_no_calendar_has_do_no_harm():
    for start in (20261399, 20260231, 5, 99_991_231):
        title = Anime(1, status="RELEASING", format="TV", start_date=start, episodes=2**63 - 1)
        assert isinstance(release_on(20260901, title, FETCHED), str | None)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="Windows cannot change its zone")
@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles", "Pacific/Auckland"])
def test_the_day_is_japans_wherever_the_computer_is(zone, monkeypatch):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        midnight = datetime.datetime(2026, 10, 3, 15, tzinfo=datetime.UTC).timestamp()  # in Japan
        assert [day_in_japan(midnight + each) for each in (-1, 0, 86_399, 86_400)] == [
            20261003,
            20261004,
            20261004,
            20261005,
        ]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_days_as_they_are_typed():
    assert read_day("2026-10-04") == read_day("２０２６－１０-04") == 20261004
    for text in (
        "20261004",
        "2026-10",
        "2026-10-4",
        "2026-02-30",
        "2026-W40-7",
        "0000-01-01",
        "soon",
    ):
        with pytest.raises(SettingError, match="--at"):
            read_day(text)
