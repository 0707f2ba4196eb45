"""recommend.py and what others start now: the lists of today count at once, --at goes back, other answers stay."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import time

import numpy as np
import pytest
from small_recommendations import ask, entry, fill, rows_of

from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.dates import day_of
from anime_bert4rec.lists.recent_starts import FEWEST_RECENT
from anime_bert4rec.lists.records import UserList
from anime_bert4rec.model.model_files import load_model, save_model
from anime_bert4rec.model.recent_strengths import TERMS, RecentStrengths

NOW = ("--at", "2020-05-01")
FASHION = 17


@pytest.fixture
def folder(tmp_path):
    """Ann started 3 and 4 in January 2020 and 12 in June; on 30 April, twenty others started 17."""
    fill(tmp_path)
    learn(tmp_path, {"from the whole history": 0.05, "others' starts": 5})
    load(tmp_path, "Ann", entry(3, started=20200101), entry(4, started=20200102), entry(12, started=20200601))
    for number in range(FEWEST_RECENT):
        load(tmp_path, f"user{number}", entry(FASHION, started=20200430))
    return tmp_path


def learn(folder, strengths):
    path = folder / "out" / "models" / "best_model.pth"
    model, saved = load_model(path)
    values = np.tile(np.array([strengths.get(term, 0) for term in TERMS], np.float32), (2, 1))
    model.recent_strengths = RecentStrengths(values) if strengths else None
    save_model(path, model, epoch=saved["epoch"], val_loss=saved["val_loss"])


def load(folder, name, *entries):
    with Database.open(folder / "bert.db", create=False) as database:
        known = {user.name: user.user_id for user in database.users().values()}
        number = known.get(name, 1 + max(known.values()))
        database.save_user_list(UserList(number, name, entries), name, int(time.time()), 0)


@pytest.fixture
def ids(folder, capsys):
    """The ids that are recommended, the best first."""
    run = functools.partial(ask, folder, capsys)
    return lambda *flags: [
        row["anime_id"] for row in rows_of(run(*flags, "--with-sequels", "--top-k", 99, "--format", "json"))
    ]


def test_what_others_start_now_comes_first(ids, folder):
    assert ids("--user", "Ann", *NOW)[0] == FASHION
    assert ids("--user", "Ann", "--at", "2020-04-30")[0] != FASHION  # they start it on that day, not before it
    learn(folder, {})
    assert ids("--user", "Ann", *NOW)[0] != FASHION


def test_a_list_that_is_loaded_today_changes_the_answer_without_training(ids, folder):
    for number in range(3 * FEWEST_RECENT):
        load(folder, f"another{number}", entry(19, created=day_of(20200429) * 86_400))
    assert ids("--user", "Ann", *NOW)[:2] == [19, FASHION]


def test_the_own_starts_do_not_count(ids, folder):
    before = ids("--user", "Ann", *NOW)
    for number in range(FEWEST_RECENT):  # somebody has the same list under another name, and so becomes an other
        load(folder, f"another{number}", entry(19, started=20200429))
    load(folder, "Ann", entry(3, started=20200101), entry(4, started=20200102), entry(12, started=20200601))
    assert before[0] == FASHION and ids("--user", "Ann", *NOW)[:2] == [FASHION, 19]


def test_at_takes_the_list_as_it_was(ids):
    then, today = ids("--user", "Ann", *NOW), ids("--user", "Ann")
    assert 12 in then and 12 not in today and {3, 4}.isdisjoint(then)


def test_a_list_that_was_not_there_yet_is_said_to_be_of_later(folder, capsys):
    load(folder, "Later", entry(3, started=20210101), entry(4, started=20210102))
    code, out, err = ask(folder, capsys, "--user", "Later", *NOW)
    reason = 'the list of "Later" has 2 anime, but none that was watched by that day and that the model knows'
    assert (code, out, err) == (1, "", f"error: there is nothing to go on: {reason}\n")


def test_an_export_is_taken_as_it_was(ids, tmp_path):
    export = tmp_path / "animelist.xml"
    rows = "".join(
        f"<anime><series_animedb_id>{500 + number}</series_animedb_id><my_status>Completed</my_status>"
        f"<my_start_date>{day}</my_start_date></anime>"
        for number, day in ((3, "2020-01-01"), (12, "2020-06-01"))
    )
    export.write_text(f"<?xml version='1.0'?><myanimelist><myinfo></myinfo>{rows}</myanimelist>")
    then = ids("--mal-xml", export, *NOW)
    assert then[0] == FASHION and 12 in then and 3 not in then
    assert 12 not in ids("--mal-xml", export)


@pytest.mark.parametrize("flags", [("--anime", 3, "--anime", 4), ("--title", "title3"), ("--similar-to", "title3")])
def test_without_dates_nothing_changes(ids, folder, flags):
    told = ids(*flags, *NOW)
    learn(folder, {})
    assert told == ids(*flags, *NOW)


@pytest.mark.parametrize("whose", ["true", "name = 'Ann'", "name != 'Ann'"])
def test_lists_without_dates_are_answered_to_the_last_digit_as_ever(folder, capsys, whose):
    """Of everybody, of the one who asks or of all others: what is learnt of starts then counts for nothing."""
    flags = ("--user", "Ann", *NOW, "--top-k", 99, "--format", "json")
    dated = ask(folder, capsys, *flags)
    with contextlib.closing(sqlite3.connect(folder / "bert.db")) as database, database:
        database.execute(
            f"""UPDATE list_entry SET started = NULL, completed = NULL, updated = NULL, created = NULL
                WHERE user_id IN (SELECT user_id FROM user WHERE {whose})"""
        )
    told = ask(folder, capsys, *flags)
    learn(folder, {})
    assert told == ask(folder, capsys, *flags) != dated and len(rows_of(told)) > 10


def test_without_enough_others_nothing_changes(ids, folder):
    told = ids("--user", "Ann", "--at", "2020-03-01")
    learn(folder, {})
    assert told == ids("--user", "Ann", "--at", "2020-03-01")


def test_several_people_are_each_told_the_day(ids, folder):
    load(folder, "Bob", entry(5, started=20200101), entry(7, started=20200102))
    assert ids("--user", "Ann", "--user", "Bob", *NOW)[0] == FASHION


def test_a_model_that_has_not_learnt_it_says_so_when_asked_for_more(folder, capsys):
    learn(folder, {})
    says = "has not learnt"
    assert says not in ask(folder, capsys, "--user", "Ann")[2]
    assert ask(folder, capsys, "--user", "Ann", "--verbose")[2].count(says) == 1
    learn(folder, {"others' starts": 1})
    assert says not in ask(folder, capsys, "--user", "Ann", "--verbose")[2]
