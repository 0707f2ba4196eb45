"""Killed with SIGKILL at ten random moments, the scripts end with the same database as ever, and ask nothing twice."""

from __future__ import annotations

import random
import sqlite3
import time

import pytest
import script_process
from loopback_anilist import LoopbackAniList

from anime_bert4rec.lists.records import Anime, ListEntry, Tag

KILLS = 10
PAGES, USERS = 18, 50


@pytest.fixture
def anilist():
    anime = [
        Anime(n, title_romaji=f"Title {n}", popularity=9_000 - n, genres=("Drama",), tags=(Tag(f"Tag {n % 9}", 50),))
        for n in range(1, 50 * PAGES + 1)
    ]
    draw = random.Random(1)
    users = {
        f"user{number:02}": [
            ListEntry(number * 1000 + n, anime_id, "COMPLETED", completed=20200101 + n)
            for n, anime_id in enumerate(draw.sample(range(1, 50 * PAGES + 1), draw.randint(10, 60)))
        ]
        for number in range(USERS - 4)
    }
    with LoopbackAniList(anime=anime, users=users, private=["private1", "private2"], delay=0.02) as anilist:
        yield anilist


def content(path):
    """Every row of every table, without the times of fetching."""
    connection = sqlite3.connect(path)
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {}
    for table in tables:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        columns = [column for column in columns if column not in ("fetched_at", "started_at", "finished_at")]
        found[table] = sorted(connection.execute(f"SELECT {', '.join(columns)} FROM {table}"), key=repr)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()
    return found


def saved(path):
    """What an interrupted run has committed: the number of anime, and the names of the users."""
    if not path.exists():
        return 0, set()
    connection = sqlite3.connect(path)
    try:
        (anime,) = connection.execute("SELECT count(*) FROM anime").fetchone()
        return anime, {key for (key,) in connection.execute("SELECT name_key FROM user")}
    except sqlite3.OperationalError:  # killed before the tables were made
        return 0, set()
    finally:
        connection.close()


def asked_for(requests):
    """Pages and names, in the order in which they were asked for."""
    return [request.variables.get("page") or request.variables["name"] for request in requests]


def test_the_database_ends_as_if_nothing_had_happened_and_nothing_is_fetched_twice(anilist, tmp_path):
    names = [f"user{number:02}" for number in range(USERS - 4)] + ["private1", "nobody1", "private2", "nobody2"]
    random.Random(3).shuffle(names)
    (tmp_path / "names.txt").write_text("\n".join(names))
    everything = [*range(1, PAGES + 1), *names]

    def steps(path):
        common = ["--db", path, "--api-url", anilist.url, "--requests-per-minute", 0]
        yield "prepare_dataset.py", [*common, "--count", 50 * PAGES]
        yield "load_users.py", [*common, "--file", tmp_path / "names.txt"]

    for script, flags in steps(tmp_path / "undisturbed.db"):
        code, _, err = script_process.finish(script_process.start(script, *flags))
        assert code == 0, err
    assert asked_for(anilist.requests) == everything

    # Each kill comes a random moment after a random one of the requests of its run; some before the first.
    draw, path = random.Random(4), tmp_path / "killed.db"
    lost, kills = 0, 0
    anilist.requests.clear()
    for script, flags in steps(path):
        ready = False
        while not ready:
            anime_before, users_before = saved(path)
            start = len(anilist.requests)
            process = script_process.start(script, *flags)
            in_first_half = script == "prepare_dataset.py"
            if kills < (KILLS // 2 if in_first_half else KILLS):
                after = start + draw.randint(0, 2 if in_first_half else 6)
                script_process.wait_until(lambda after=after: len(anilist.requests) >= after, process)
                time.sleep(draw.uniform(0, 0.05 if after > start else 0.4))
                assert process.poll() is None, "ended before it could be killed: there is too little to do"
                process.kill()
                kills += 1
                script_process.finish(process)
            else:
                code, _, err = script_process.finish(process)
                assert code == 0, err
                ready = True
            anime_after, users_after = saved(path)
            pages, users = (anime_after - anime_before) // 50, len(users_after - users_before)
            asked = asked_for(anilist.requests[start:])
            assert not users_before & set(asked), "somebody was asked for again"
            # Each answer was saved, except perhaps the one that was under way.
            assert len(asked) - (pages + users) in ((0,) if ready else (0, 1))
            lost += len(asked) - (pages + users)

    assert kills == KILLS
    assert content(path) == content(tmp_path / "undisturbed.db")
    asked = asked_for(anilist.requests)
    assert list(dict.fromkeys(asked)) == everything
    assert len(asked) == len(everything) + lost
