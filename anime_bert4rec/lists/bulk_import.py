"""Puts the lists of many people into the database at once: all of them or, whenever it is stopped, none.

Entries come in any order, so they are first put aside in a temporary database, which SQLite makes in its temporary
folder and which is gone even if the process is killed. There they are sorted, and written from there in one
transaction.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from anime_bert4rec.lists.records import ImportedEntry
from anime_bert4rec.support.errors import UserError

CACHE_KIB = 64 * 1024
"""The KiB that SQLite may hold in memory of each database, and while it sorts."""

_COLUMNS = "entry_id, status, score, progress, started, completed, updated"


SAME_PEOPLE = 0.7
"""The share of the stored entries that a newer import of the same people has at least. Strangers share far fewer."""


class OtherPeople(Exception):
    """`known` users of an earlier import have `kept` of their `stored` anime in the new lists, too few to be theirs."""

    def __init__(self, known: int, kept: int, stored: int) -> None:
        super().__init__(f"{known} users, {kept} of {stored} entries in common")
        self.known, self.kept, self.stored = known, kept, stored


@dataclass(frozen=True)
class Imported:
    """What an import has brought."""

    users: int
    replaced: int
    """Users whose list had been imported from the same source before."""
    entries: int
    repeated: int
    """Rows that a later row about the same anime of the same user has replaced."""
    short: int = 0
    """Users who have watched too little to be trained on."""
    dropped: int = 0
    """Users of before who were trained on, and now have watched too little."""


@contextlib.contextmanager
def put_aside(connection: sqlite3.Connection, entries: Iterable[ImportedEntry]) -> Iterator[None]:
    """A schema `aside` with the entries sorted, each anime of a user once (the last row), and with the users.

    Raises UserError where the temporary folder has no room for them.
    """
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
        connection.execute(
            """CREATE TABLE aside.user (user INTEGER PRIMARY KEY, name TEXT, scores INTEGER, above_5 INTEGER,
                                        above_10 INTEGER, scale INTEGER, user_id INTEGER)"""
        )
        connection.execute(
            """INSERT INTO aside.user (user, name, scores, above_5, above_10)
               SELECT user, max(name), count(score), sum(score > 5), sum(score > 10) FROM aside.entry GROUP BY user"""
        )
    except sqlite3.OperationalError as error:
        _put_back(connection)
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
            raise
        raise UserError(
            f"the temporary folder {_temporary_folder()} has no room for the lists while they are sorted ({error}):"
            " make room, or name another with SQLITE_TMPDIR"
        ) from error
    except BaseException:
        _put_back(connection)
        raise
    try:
        yield
    finally:
        _put_back(connection)


def _put_back(connection: sqlite3.Connection) -> None:
    connection.rollback()
    connection.execute("DETACH aside")


def _temporary_folder() -> str:
    """The folder that SQLite takes, which is not Python's."""
    named = (os.environ.get(name) for name in ("SQLITE_TMPDIR", "TMPDIR"))
    folders = [*filter(None, named), "/var/tmp", "/usr/tmp", "/tmp"]  # noqa: S108
    return next((each for each in folders if Path(each).is_dir() and os.access(each, os.W_OK | os.X_OK)), ".")


def write_lists(connection: sqlite3.Connection, source: str, points: bool, sure: bool) -> Imported:
    """Within a transaction: what is put aside becomes the lists of its users, in place of what they had before.

    A user is known by `name_key` = source:hash, which no AniList name can be, has no `anilist_id`, and 0 as
    `fetched_at`. `points`: scores are of 100 already, else `_find_scales`. Unless it is `sure` that the users are those
    of an earlier import from the source, raises OtherPeople when their lists have little in common with these.
    """
    run = connection.execute
    ((rows,),) = run("SELECT count(*) FROM aside.row")
    _find_scales(connection, points)
    _adopt(connection, source)
    key = "printf('%s:%016x', :source, aside.user.user)"
    values = {"source": source}
    find_users = f"UPDATE aside.user SET user_id = (SELECT user_id FROM main.user WHERE name_key = {key})"  # noqa: S608
    run(find_users, values)
    ((users, known),) = run("SELECT count(*), count(user_id) FROM aside.user")
    if known and not sure:
        stored, kept = _in_common(connection)
        if kept < stored * SAME_PEOPLE:
            raise OtherPeople(known, kept, stored)
    # In the order of the hash, so that user_id and the hash ascend together, and the table grows at its end.
    run(
        f"""INSERT INTO main.user (name, name_key, fetched_at)
            SELECT ifnull(aside.user.name, printf('%s-%016x', replace(:source, ':', '-'), aside.user.user)), {key}, 0
            FROM aside.user WHERE true ORDER BY aside.user.user
            ON CONFLICT (name_key) DO UPDATE SET name = excluded.name""",  # noqa: S608
        values,
    )
    run(find_users, values)
    if known:
        run("DELETE FROM main.list_entry WHERE user_id IN (SELECT user_id FROM aside.user)")
    entries = run(
        f"""INSERT INTO main.list_entry (user_id, anime_id, {_COLUMNS}, repeats)
            SELECT user_id, anime_id, entry_id, status,
                   max(1, CAST(round(score * CASE WHEN score > 10 THEN 1
                                                  WHEN score > 5 THEN min(scale, 10)
                                                  ELSE scale END) AS INTEGER)),
                   progress, started, completed, updated, 0
            FROM aside.user CROSS JOIN aside.entry USING (user)"""  # noqa: S608
    ).rowcount
    return Imported(users, known, entries, rows - entries)


def _find_scales(connection: sqlite3.Connection, points: bool) -> None:
    """Find the factor that brings each user's scores to a scale of 100, from the scores themselves.

    Where more than a tenth is above 10, they are of 100, else where more than a tenth is above 5, of 10. Of the others,
    who would be of 10 and never give more than 5, or of 5, nothing is known but who else is in the file: they are of 5
    if most are like them. A single score above its user's scale is of the next larger scale.
    """
    connection.execute(
        """UPDATE aside.user SET scale = iif(:points OR 10 * above_10 > scores, 1, iif(10 * above_5 > scores, 10, NULL))
           WHERE scores > 0""",
        {"points": points},
    )
    connection.execute(
        """UPDATE aside.user SET scale = (SELECT iif(2 * sum(scale IS NULL) > count(*), 20, 10)
                                          FROM aside.user WHERE scores > 0)
           WHERE scale IS NULL"""
    )


def _in_common(connection: sqlite3.Connection) -> tuple[int, int]:
    """How many stored entries the users have, and of how many the new lists have the anime too."""
    ((stored, kept),) = connection.execute(
        """SELECT count(*), count(entry.anime_id)
           FROM aside.user JOIN main.list_entry AS old USING (user_id)
           LEFT JOIN aside.entry ON entry.user = aside.user.user AND entry.anime_id = old.anime_id"""
    )
    return stored, kept


def _adopt(connection: sqlite3.Connection, source: str) -> None:
    """Give users of versions that named no source their source, if their lists say that they are the same people."""
    kind = source.partition(":")[0]
    if kind == source:
        return
    values = {"source": source, "kind": kind}
    connection.execute(
        """UPDATE aside.user SET user_id = (
               SELECT user_id FROM main.user WHERE name_key = printf('%s:%016x', :kind, aside.user.user))""",
        values,
    )
    stored, kept = _in_common(connection)
    if stored and kept >= stored * SAME_PEOPLE:
        connection.execute(
            """UPDATE OR IGNORE main.user SET name_key = (
                   SELECT printf('%s:%016x', :source, aside.user.user) FROM aside.user
                   WHERE aside.user.user_id = main.user.user_id)
               WHERE user_id IN (SELECT user_id FROM aside.user)""",
            values,
        )
