"""Puts the lists of many people into the database at once: all of them or, whenever it is stopped, none.

Entries come in any order, so they are first put aside in a temporary database, which SQLite makes in its temporary
folder and which is gone even if the process is killed. There they are sorted, and written from there in one
transaction.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from records import ImportedEntry

CACHE_KIB = 64 * 1024
"""What SQLite may hold in memory of each database, and while it sorts."""

_COLUMNS = "entry_id, status, score, progress, started, completed, updated"


@dataclass(frozen=True)
class Imported:
    """What an import has brought."""

    users: int
    replaced: int
    """Users whose list had been imported before."""
    entries: int
    repeated: int
    """Rows that a later row about the same anime of the same user has replaced."""


@contextlib.contextmanager
def put_aside(connection: sqlite3.Connection, entries: Iterable[ImportedEntry]) -> Iterator[None]:
    """A schema `aside` with the entries sorted, each anime of a user once (the last row), and with the users."""
    connection.execute(f"PRAGMA main.cache_size = -{CACHE_KIB}")
    connection.execute("PRAGMA threads = 2")  # more than the own one, to sort
    connection.execute("ATTACH '' AS aside")  # without a name, it is a temporary file
    try:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIB}"):
            connection.execute(f"PRAGMA aside.{pragma}")
        row = f"user INTEGER, name TEXT, anime_id INTEGER, {_COLUMNS}"
        connection.execute(f"CREATE TABLE aside.row ({row})")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO aside.row VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", entries)
        connection.execute("COMMIT")
        # Where max() is asked for, SQLite takes the other columns from the row that has it.
        connection.execute(f"CREATE TABLE aside.entry ({row}, PRIMARY KEY (user, anime_id)) WITHOUT ROWID")
        connection.execute(
            f"""INSERT INTO aside.entry
                SELECT user, name, anime_id, max(entry_id), {_COLUMNS.removeprefix("entry_id, ")}
                FROM aside.row GROUP BY user, anime_id"""  # noqa: S608
        )
        connection.execute("CREATE TABLE aside.user (user INTEGER PRIMARY KEY, name TEXT, user_id INTEGER)")
        connection.execute("INSERT INTO aside.user (user, name) SELECT user, max(name) FROM aside.entry GROUP BY user")
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute("DETACH aside")


def write_lists(connection: sqlite3.Connection, source: str) -> Imported:
    """Within a transaction: what is put aside becomes the lists of its users, in place of what they had before.

    A user is known by `name_key` = source:hash, which no AniList name can be, has no `anilist_id`, and 0 as
    `fetched_at`. Scores are taken to be 1 to 10 if none is higher, otherwise 1 to 100.
    """
    run = connection.execute
    ((rows, highest),) = run("SELECT count(*), max(score) FROM aside.row")
    key = "printf('%s:%016x', :source, aside.user.user)"
    values = {"source": source, "scale": 10 if highest is not None and highest <= 10 else 1}
    ((users, known),) = run(
        f"""SELECT count(*), count(known.user_id)
            FROM aside.user LEFT JOIN main.user AS known ON name_key = {key}""",  # noqa: S608
        values,
    )
    # In the order of the hash, so that user_id and the hash ascend together, and the table grows at its end.
    run(
        f"""INSERT INTO main.user (name, name_key, fetched_at)
            SELECT ifnull(aside.user.name, printf('%s-%016x', :source, aside.user.user)), {key}, 0
            FROM aside.user WHERE true ORDER BY aside.user.user
            ON CONFLICT (name_key) DO UPDATE SET name = excluded.name""",  # noqa: S608
        values,
    )
    run(
        f"UPDATE aside.user SET user_id = (SELECT user_id FROM main.user WHERE name_key = {key})",  # noqa: S608
        values,
    )
    if known:
        run("DELETE FROM main.list_entry WHERE user_id IN (SELECT user_id FROM aside.user)")
    entries = run(
        f"""INSERT INTO main.list_entry (user_id, anime_id, {_COLUMNS}, repeats)
            SELECT user_id, anime_id, entry_id, status, max(1, CAST(round(score * :scale) AS INTEGER)),
                   progress, started, completed, updated, 0
            FROM aside.user CROSS JOIN aside.entry USING (user)""",  # noqa: S608
        values,
    ).rowcount
    return Imported(users, known, entries, rows - entries)
