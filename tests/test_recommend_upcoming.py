"""recommend.py with the calendar: what is not out is only shown with --upcoming, whatever the clock or --at says."""

from __future__ import annotations

import csv
import datetime
import io
import sqlite3
import time

import pytest
from small_recommendations import fill, rows_of

FETCHED = datetime.datetime(2025, 9, 1, 12, tzinfo=datetime.UTC).timestamp()
NOT_OUT = {14: 20251004, 15: 20260100, 16: 20260000, 17: None}
AIRING, CANCELLED = 18, 19
ORDINARY = set(range(1, 30)) - {*NOT_OUT, AIRING, CANCELLED, 10, 20, 12, 13}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """People list 12, 13, 14, … ; on 1 September 2025, 14 to 17 were not out, 18 was airing, and 19 cancelled."""
    folder = fill(tmp_path_factory.mktemp("upcoming"))
    connection = sqlite3.connect(folder / "bert.db")
    connection.execute("UPDATE anime SET year = NULL")
    connection.execute("UPDATE catalogue_fetch SET finished_at = ?", (int(FETCHED),))
    for anime_id, start in NOT_OUT.items():
        connection.execute(
            "UPDATE anime SET status = 'NOT_YET_RELEASED', start_date = ? WHERE anime_id = ?", (start, anime_id)
        )
    connection.execute("UPDATE anime SET status = 'RELEASING', start_date = 20250706 WHERE anime_id = ?", (AIRING,))
    connection.execute("UPDATE anime SET status = 'CANCELLED', start_date = 20200101 WHERE anime_id = ?", (CANCELLED,))
    connection.commit()
    connection.close()
    return folder


@pytest.fixture
def release(run):
    """The mark of each title that is recommended."""

    def release(*flags):
        flags = flags if {"--title", "--similar-to"} & set(flags) else ("--anime", 12, 13, *flags)
        rows = rows_of(run(*flags, "--with-sequels", "--top-k", 99, "--format", "json"))
        return {row["anime_id"]: row["release"] for row in rows}

    return release


@pytest.fixture
def clock(monkeypatch):
    return lambda *moment: monkeypatch.setattr(time, "time", datetime.datetime(*moment, tzinfo=datetime.UTC).timestamp)


def out_of(found):
    return set(NOT_OUT) & set(found)


def test_nothing_that_is_not_out_is_recommended(release, clock):
    clock(2025, 9, 1, 12)
    found = release()
    assert set(found) >= ORDINARY and {*NOT_OUT, CANCELLED}.isdisjoint(found)
    assert found[AIRING] == "airing" and found[11] is None
    for flag, title in (("--similar-to", 13), ("--title", "title13")):
        assert {*NOT_OUT, CANCELLED}.isdisjoint(release(flag, title))


def test_upcoming_is_only_what_is_not_out(release, run, clock):
    clock(2025, 9, 1, 12)
    expected = {14: "next season", 15: "not out yet", 16: "not out yet", 17: "not out yet"}
    assert release("--upcoming") == release("--similar-to", 13, "--upcoming") == expected
    table = run("--anime", 13, "--upcoming", "--top-k", 4)[1]
    assert " · next season · because of Title 13" in table and table.count(" · not out yet") == 3
    marks = {
        row["anime_id"]: row["release"]
        for row in csv.DictReader(io.StringIO(run("--anime", 13, "--upcoming", "--format", "csv")[1]))
    }
    assert marks == {str(anime_id): mark for anime_id, mark in expected.items()}


@pytest.mark.parametrize(
    ("moment", "out"),
    [
        ((2025, 10, 3, 14, 59), set()),  # the last minute before the premiere's day in Japan
        ((2025, 10, 3, 15), {14}),
        ((2026, 1, 15), {14}),
        ((2026, 1, 31), {14, 15}),
        ((2026, 12, 30), {14, 15}),
        ((2027, 1, 1), {14, 15, 16}),
        ((2035, 1, 1), {14, 15, 16}),
    ],
)
def test_a_catalogue_fetched_long_ago_and_the_clock(release, clock, moment, out):
    clock(*moment)
    assert out_of(release()) == out
    assert out_of(release("--upcoming")) == set(NOT_OUT) - out


@pytest.mark.parametrize(
    ("day", "out"),
    [("2025-10-03", set()), ("2025-10-04", {14}), ("2026-01-31", {14, 15}), ("2026-12-31", {14, 15, 16})],
)
def test_a_day_stands_for_today(release, clock, day, out):
    clock(2025, 9, 1, 12)
    assert out_of(release("--at", day)) == out


def test_before_its_start_what_airs_today_was_not_out(release, clock):
    clock(2025, 9, 1, 12)
    assert AIRING not in release("--at", "2025-07-05") and release("--at", "2025-07-06")[AIRING] is None
    assert release("--at", "2025-06-30", "--upcoming")[AIRING] == "next season"


def test_a_title_that_is_not_out_still_tells_of_the_person(run, clock):
    clock(2025, 9, 1, 12)
    (first,) = rows_of(run("--anime", 17, "--top-k", 1, "--format", "json"))
    assert first["anime_id"] == AIRING and first["because"] == [{"anime_id": 17, "title": "Title 17"}]


def test_errors_are_one_line(run, clock):
    code, out, err = run("--anime", 13, "--at", "yesterday")
    assert (code, out, err) == (2, "", "error: --at must be a day such as 2026-10-04, not 'yesterday'\n")
    code, out, err = run("--anime", 13, "--at", "")
    assert (code, out) == (2, "") and err.startswith("error: --at: a value is needed, and it is empty"), "not today"
    clock(2025, 9, 1, 12)
    code, out, err = run("--anime", 13, "--upcoming", "--at", "2026-12-31", "--genre", "Drama")
    assert (code, out) == (1, "") and err == (
        "error: nothing is left to recommend: there would be 1 without --genre Drama, 8 without --upcoming"
        "; prepare_dataset.py fetches what was announced since, for the next training\n"
    )
