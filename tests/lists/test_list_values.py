"""What scores, statuses and dates mean, in whatever way they are written."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from anime_bert4rec.lists.csv_lists import CsvLists
from anime_bert4rec.lists.list_values import (
    ANILIST_NUMBERS,
    MAL_NUMBERS,
    NO_DATE,
    UNCLEAR_SCORE,
    BadRow,
    RowReport,
    day_comes_first,
    is_below_nothing,
    numbers_of,
    parse_day,
    parse_score,
    parse_status,
    parse_when,
    points,
)
from anime_bert4rec.lists.mal_export import read_export

DAYS = {
    20150430: "2015-04-30 2015/04/30 2015.4.30 2015-4-30 20150430 20150430.0 30/4/2015 30.04.2015 30-4-2015 4/30/2015",
    20150400: "2015-04 2015-4 2015/04 2015-04-00 201504 00/04/2015",
    20150000: "2015 2015.0 2015-00-00 2015-00-07 05/06/2015 12/05/2015 05/12/2015 00/00/2015",
    20150413: "13/4/2015 4/13/2015",
    20150505: "5/5/2015 2015-05-05",
    20160229: "2016-02-29 29/02/2016",
}
TIMES = "1430438399 1430438399.5 1430438399123 1430438399123456 1430438399000000000 1.430438399e9 2015-04-30T23:59:59Z"


@pytest.mark.parametrize(("day", "text"), [(day, text) for day, texts in DAYS.items() for text in texts.split()])
def test_days(day, text):
    assert parse_when(text) == parse_when(f"  {text} ") == (day, None)
    assert parse_day(text) == (day, True)


def test_days_in_words_and_with_a_time_of_day():
    for text in ("Apr 30, 2015", "30 April 2015", "april 30th 2015", "2015-4-30 7:05", "30/04/2015 07:05:00"):
        assert parse_when(text) == (20150430, None)
    assert parse_when("March 2015") == (20150300, None) and parse_when("Jan 2, 2015") == (20150102, None)


@pytest.mark.parametrize(
    "text", [*TIMES.split(), "2015-04-30 23:59:59", "2015/04/30 23:59:59", "2015-05-01T01:59:59+02:00"]
)
def test_times(text):
    assert parse_when(text) == (None, 1430438399)
    assert parse_day(text) == (20150430, True)


def test_times_of_nine_digits():
    assert parse_when("999999999") == (None, 999_999_999)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="needs tzset")
def test_a_time_without_a_zone_is_the_same_wherever_it_is_read(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Taipei")
        time.tzset()
        assert parse_when("2015-04-30 23:59:59") == (None, 1430438399)
    time.tzset()


@pytest.mark.parametrize(
    "text",
    [
        *["0.0e+00", "0000000000"],
        *["", "0", "-1", "NaN", "NULL", "None", "N/A", "0000-00-00", "0000-00-00 00:00:00", "0001-01-01", "1/1/1970"],
        *["0001-01-01T00:00:00", "1970-01-01", "1970-01-01 00:00:00", "1970-01-01T09:00:00+09:00", "1969-12-31"],
        *["1900-01-01", "1899-12-30", "9999-12-31"],
    ],
)
def test_what_stands_for_no_date(text):
    assert parse_when(text) == NO_DATE
    assert parse_day(text) == (None, True)


@pytest.mark.parametrize(
    "text",
    [
        "2015-02-31",
        "2015-02-29",
        "31/04/2015",
        "2015-13-01",
        "2015-01-32",
        "20151345",
        "yesterday",
        "42124",
        "3015-01-01",
        "Foo 3, 2015",
        "Ebm 3, 2015",
    ],
)
def test_what_is_no_date(text):
    assert parse_when(text) is None
    assert parse_day(text) == (None, False)


@pytest.mark.parametrize(
    ("day", "texts"),
    [
        (20150304, "4-Mar-2015|2015-Mar-04|2015 March 4|Wed, 04 Mar 2015|Wednesday, March 4, 2015|2015年3月4日"),
        (20150304, "2015 03 04|2015_03_04|'2015-03-04|Wed Mar 4 10:11:12 2015|Wed, 04 Mar 2015 10:11:12 GMT"),
        (20150304, "201503041011|20150304101112"),
        (20150300, "03/2015|3-2015|2015-03-??|2015-03-|2015年3月"),
        (20150000, "2015-??-??|2015-xx-xx|2015--"),
    ],
)
def test_days_however_they_are_put_together(day, texts):
    assert {text: parse_when(text) for text in texts.split("|")} == dict.fromkeys(texts.split("|"), (day, None))


def test_unix_times_of_any_unit_and_the_days_in_them_that_are_none():
    same = ["1425463872", "1425463872000", "1425463872000000", "1425463872000000000", "2015-03-04 10:11:12 UTC"]
    assert {parse_when(text) for text in same} == {(None, 1425463872)}
    assert parse_when("946684800000") == (None, 946684800)
    none = ["253402300799", "253402300799000", "-62135596800", "-2208988800", "—", "????-??-??", "#N/A"]
    assert {text: parse_when(text) for text in none} == dict.fromkeys(none, NO_DATE)
    wrong = ["635610000000000000", "4-2015-3", "2 days ago", "2015 2016", "not seen", "Foo-03-2015"]
    assert {text: parse_when(text) for text in wrong} == dict.fromkeys(wrong)


@pytest.mark.parametrize(("text", "status"), [("2,0", "COMPLETED"), ("02", "COMPLETED"), ("06.0", "PLANNING")])
def test_a_number_is_a_status_as_table_programs_write_it(text, status):
    assert parse_status(text) == status


@pytest.mark.parametrize("text", ["-1", "not seen", "no", "2.5", "0"])
def test_a_status_that_may_mean_anything_is_none(text):
    with pytest.raises(BadRow):
        parse_status(text)


def test_which_number_is_the_day_is_told_by_the_others():
    assert day_comes_first(["31/12/2015", "05/06/2015", "x"]) is True
    assert day_comes_first(["12/31/2015 10:11"]) is False
    assert day_comes_first(["31/12/2015", "12/31/2015"]) is None and day_comes_first(["05/06/2015"]) is None
    assert parse_when("05/06/2015", True) == (20150605, None) and parse_when("05/06/2015", False) == (20150506, None)


def test_scores():
    read = {"7": 7, " 7.5 ": 7.5, "7,5": 7.5, "100": 100, "8.0": 8, "8/10": 8, "85 / 100": 8.5, "4/5": 8, "85%": 8.5}
    assert {text: parse_score(text) for text in read} == read
    assert {parse_score(text) for text in ("", "0", "-1", "0.0", "0,0", "0.00", "0/10", "NaN", "-")} == {None}
    assert {parse_score(text) for text in ("—", "#N/A", "Not Rated", "0,0", "0/10", "<NA>")} == {None}
    assert {parse_score(text) for text in ("101", "11/10", "6/5", "-2", "inf", "good", "8 9", "1_0")} == {UNCLEAR_SCORE}


def test_the_scale_of_a_person_is_told_by_all_scores():
    assert points([8, 8.5, 1, 0.04]) == [80, 85, 10, 1]
    assert points([10, 10, 8]) == [100, 100, 80] and points([7.25, 7.24]) == [73, 72]
    assert points([85, 7, 100]) == [85, 7, 100]
    assert points([*[5.0] * 20, 100]) == [*[50] * 20, 100]
    assert points([*[5.0] * 9, 100]) == [*[50] * 9, 100], "a tenth of them is not more than a tenth"
    assert points([*[5.0] * 20, 10.5]) == [*[50] * 20, 11]
    assert points([]) == []


@pytest.mark.parametrize(
    ("status", "texts"),
    [
        ("COMPLETED", ",completed,Completed,2,2.0, null ,watched"),
        ("CURRENT", "CURRENT,watching,Currently Watching,1,1.0"),
        ("PLANNING", "planning,Plan to Watch,plan_to_watch,PlanToWatch,6"),
        ("PAUSED", "Paused,On-Hold,on_hold,onhold,3"),
        ("DROPPED", "dropped,4.0"),
        ("REPEATING", "repeating,Rewatching,re-watching"),
    ],
)
def test_statuses(status, texts):
    assert {parse_status(text) for text in texts.split(",")} == {status}


def test_statuses_that_are_unknown():
    for text in ("5", "0", "liked", "7.0"):
        with pytest.raises(BadRow):
            parse_status(text)
    assert numbers_of({"6": 9, "0": 1}) == numbers_of({"1": 3}) == MAL_NUMBERS
    assert numbers_of({"6": 1, "0.0": 5, "5": 2}) == ANILIST_NUMBERS


def test_nobody_has_watched_anything_later_than_tomorrow():
    today = datetime.now(UTC).date()
    tomorrow, later = today + timedelta(days=1), today + timedelta(days=3)
    assert parse_when(f"{tomorrow:%Y-%m-%d}") == (int(f"{tomorrow:%Y%m%d}"), None)
    assert parse_when(f"{later:%Y-%m-%d}") is None and parse_when(f"{today.year + 1}") is None
    assert parse_when(f"{later:%Y%m%d}1200") is None and parse_when(f"{later:%Y%m%d}") is None
    assert parse_when(str(int(datetime.now(UTC).timestamp()) + 3 * 86_400)) is None


def test_a_program_that_runs_for_days_reads_what_was_watched_since_it_began(monkeypatch, write):
    now = int(time.time()) + 40 * 86_400
    day = datetime.fromtimestamp(now, UTC).date()
    export = f"""<myanimelist><anime><series_animedb_id>1</series_animedb_id>
                 <my_finish_date>{day}</my_finish_date></anime></myanimelist>"""
    table, list_file = write(f"user,anime_id,date,timestamp\nAnn,1,{day},{now}\n"), write(export, "list.xml")
    monkeypatch.setattr(time, "time", lambda: now)
    (entry,), report = CsvLists(table).entries({1: 1}, False, RowReport()), read_export(list_file)
    assert entry[8:] == (int(f"{day:%Y%m%d}"), now)
    assert report.entries[0][1].completed == int(f"{day:%Y%m%d}") and not report.report.unclear


def test_what_is_below_nothing():
    below = ["-0.3", "-1.5", "-2", " -10,5 ", "-1.2e-05"]
    assert all(map(is_below_nothing, below))
    assert not any(map(is_below_nothing, ["-1", "-1.0", "-", "--", "0", "8", "-0.0", "", "n/a", "8/10"]))


def test_the_first_text_that_was_not_understood_is_told():
    report = RowReport(rows=9)
    report.leave_out("unknown status", 3, "Won't Watch\x1b[2J")
    report.leave_out("unknown status", 5, "other")
    report.leave_out("no user", 7)
    assert list(report.lines()) == [
        """2 left out: unknown status (the first: line 3, "Won't Watch")""",
        "1 left out: no user (the first: line 7)",
    ]
