"""What the records of lists say of themselves."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing

from anime_bert4rec.lists.records import IS_WATCHED, Anime, ListEntry

STATUSES = (None, "", "CURRENT", "COMPLETED", "PAUSED", "DROPPED", "PLANNING", "REPEATING", "A NEW ONE")


def test_python_and_sql_agree_on_what_was_watched():
    combinations = itertools.product(STATUSES, (0, 1, 12), (None, 20150000, 20150430))
    entries = [ListEntry(k, k, status, None, seen, completed=day) for k, (status, seen, day) in enumerate(combinations)]
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE list_entry (entry_id, status, progress, completed)")
        rows = [(each.entry_id, each.status, each.progress, each.completed) for each in entries]
        connection.executemany("INSERT INTO list_entry VALUES (?, ?, ?, ?)", rows)
        found = connection.execute(f"SELECT entry_id FROM list_entry AS entry WHERE {IS_WATCHED}").fetchall()
    assert {entry_id for (entry_id,) in found} == {each.entry_id for each in entries if each.is_watched}
    unwatched = {(each.status, each.progress, each.completed) for each in entries if not each.is_watched}
    planned = set(itertools.product(["PLANNING"], (0, 1, 12), (None, 20150000, 20150430)))
    assert unwatched == {(None, 0, None), *planned}


def test_an_average_stands_for_a_mean_score_that_is_not_known():
    assert Anime(1, mean_score=70, average_score=75).usual_score == 70
    assert Anime(1, average_score=75).usual_score == 75 and Anime(1).usual_score is None
    assert Anime(1, mean_score=0, average_score=75).usual_score == 0
