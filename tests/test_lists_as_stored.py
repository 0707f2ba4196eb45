"""What of a file ends up in the database: read by the script and looked up in SQLite, whatever is in between."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

import load_users
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.records import Anime, CataloguePage

MAL = 100
"""In this catalogue MyAnimeList's ids are AniList's and so much."""


@pytest.fixture
def db(tmp_path):
    path = tmp_path / "lists.db"
    with Database.open(path, create=True) as database:
        fetch = database.resume_or_start_catalogue_fetch("ID", 100)
        anime = tuple(Anime(k, mal_id=k + MAL, title_romaji=f"Title {k}") for k in range(1, 31))
        database.save_catalogue_page(fetch.fetch_id, CataloguePage(anime, None))
    return path


def read(db: Path, text: str, kind: str = "csv") -> dict[int, tuple]:
    """anime_id → score, completed, updated."""
    file = db.with_name(f"lists.{kind}")
    file.write_text(text, encoding="utf-8")
    flag = {"csv": "--csv", "xml": "--mal-xml"}[kind]
    assert load_users.main(["--db", str(db), flag, str(file), "--min-anime", "1"]) == 0
    with sqlite3.connect(db) as connection:
        rows = connection.execute("SELECT anime_id, score, completed, updated FROM list_entry").fetchall()
    connection.close()
    return {anime_id: tuple(rest) for anime_id, *rest in rows}


def scores(db, *texts):
    rows = "".join(f"ann,{k},{text}\n" for k, text in enumerate(texts, 1))
    found = read(db, "user,anime_id,score\n" + rows)
    return [found[k][0] for k in range(1, len(texts) + 1)]


def test_no_score_is_written_as_nothing_as_0_and_as_minus_1(db):
    assert scores(db, "", "0", "-1", "0.0", "-1.0", "8", "9") == [None, None, None, None, None, 80, 90]


def test_scores_with_decimals_are_rounded_and_not_cut(db):
    assert scores(db, "7.86", "7.84", "9.5", "10", "1") == [79, 78, 95, 100, 10]


def test_times_in_milliseconds_are_told_from_times_in_seconds(db):
    """Eleven digits in seconds would be beyond the year 2286."""
    times = {1: 1_577_836_800, 2: 1_577_836_800_123, 3: 63_072_000_000, 4: 999_999_999}
    found = read(db, "user,anime_id,timestamp\n" + "".join(f"ann,{k},{at}\n" for k, at in times.items()))
    assert [found[k][2] for k in times] == [1_577_836_800, 1_577_836_800, 63_072_000, 999_999_999]


def test_the_day_of_watching_counts_more_than_that_of_another_column(db):
    rows = ("2020-01-05,2019-03-04", ",2019-03-04", "2020-01-05,", "2020-01-05,1577836800")
    found = read(db, "user,anime_id,date,timestamp\n" + "".join(f"ann,{k},{row}\n" for k, row in enumerate(rows, 1)))
    assert [found[k][1] for k in range(1, 5)] == [20200105, 20190304, 20200105, 20200105]
    assert found[4][2] == 1_577_836_800, "a day and a time do not exclude each other"


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="Windows has no way to change it")
def test_times_without_a_zone_are_utc_wherever_the_program_runs(db, monkeypatch):
    try:
        monkeypatch.setenv("TZ", "Asia/Taipei")
        time.tzset()
        found = read(db, "user,anime_id,date\nann,1,2020-01-01T00:00:00\nann,2,2020-01-01T00:00:00+08:00\n")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert (found[1][2], found[2][2]) == (1_577_836_800, 1_577_836_800 - 8 * 3600)


@pytest.mark.parametrize("column", ["watching_status", "my_status", "my_score"])
def test_names_of_myanimelist_s_dumps_tell_whose_ids_are_meant(db, column):
    rows = "".join(f"ann,{k + MAL},{7 if column == 'my_score' else 2}\n" for k in range(1, 21))
    assert sorted(read(db, f"user,anime_id,{column}\n" + rows)) == list(range(1, 21))


def test_of_two_columns_of_a_kind_the_surer_counts(db):
    found = read(db, "user,anime_id,date,completed_at\nann,1,2020-01-05,2021-01-01\n")
    assert found[1][1] == 20210101


def test_the_best_score_of_an_export_is_a_hundred(db):
    entries = "".join(
        f"<anime><series_animedb_id>{k + MAL}</series_animedb_id><my_score>{score}</my_score>"
        "<my_status>Completed</my_status></anime>"
        for k, score in ((1, 10), (2, 9), (3, 1), (4, 0))
    )
    found = read(db, f"<?xml version='1.0'?><myanimelist>{entries}</myanimelist>", "xml")
    assert [found[k][0] for k in range(1, 5)] == [100, 90, 10, None]
