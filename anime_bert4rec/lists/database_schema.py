"""The tables of the database, and whether a file has these, nothing else, and in each column what belongs there.

SQLite itself keeps text in a column of numbers if it is given some, and what another program has put into a file (a
trigger, a view in the place of a table) would run as soon as the tables are used.
"""

from __future__ import annotations

import contextlib
import functools
import re
import sqlite3
from collections.abc import Collection, Iterator
from typing import Any

from anime_bert4rec.lists.dates import DAY_SECONDS, LAST_DAY, LAST_SECOND
from anime_bert4rec.support.text import plain

APPLICATION_ID = 0x42345265
"""Marks our files in the SQLite header ("B4Re"), so that another program's file is never taken for one."""

MIGRATIONS = (
    """
    CREATE TABLE catalogue_fetch (
        fetch_id INTEGER PRIMARY KEY,
        sort TEXT NOT NULL,
        count INTEGER NOT NULL,
        next_page INTEGER NOT NULL,
        popularity_below INTEGER,
        finished_at INTEGER  -- unix seconds; NULL while under way
    );
    CREATE TABLE anime (
        anime_id INTEGER PRIMARY KEY,
        mal_id INTEGER,
        title_romaji TEXT,
        title_english TEXT,
        title_native TEXT,
        format TEXT,
        status TEXT,
        source TEXT,
        episodes INTEGER,
        duration INTEGER,  -- minutes of an episode
        season TEXT,
        year INTEGER,
        start_date INTEGER,  -- YYYYMMDD, here and below; an unknown month or day is 00
        country TEXT,
        average_score INTEGER,
        mean_score INTEGER,
        popularity INTEGER,
        favourites INTEGER,
        is_adult INTEGER NOT NULL,
        cover_url TEXT,
        site_url TEXT,
        fetch_id INTEGER NOT NULL REFERENCES catalogue_fetch  -- the fetch that brought it last
    );
    CREATE TABLE anime_genre (
        anime_id INTEGER NOT NULL REFERENCES anime ON DELETE CASCADE,
        genre TEXT NOT NULL,
        PRIMARY KEY (anime_id, genre)
    );
    CREATE TABLE anime_tag (
        anime_id INTEGER NOT NULL REFERENCES anime ON DELETE CASCADE,
        name TEXT NOT NULL,
        rank INTEGER,
        category TEXT,
        is_adult INTEGER NOT NULL,
        is_spoiler INTEGER NOT NULL,
        PRIMARY KEY (anime_id, name)
    );
    CREATE TABLE anime_studio (
        anime_id INTEGER NOT NULL REFERENCES anime ON DELETE CASCADE,
        studio_id INTEGER NOT NULL,
        name TEXT NOT NULL,
        is_main INTEGER NOT NULL,
        PRIMARY KEY (anime_id, studio_id)
    );
    CREATE TABLE anime_relation (
        anime_id INTEGER NOT NULL REFERENCES anime ON DELETE CASCADE,
        related_id INTEGER NOT NULL,  -- may be an anime that the catalogue does not have
        kind TEXT NOT NULL,
        PRIMARY KEY (anime_id, related_id, kind)
    );
    CREATE TABLE user (
        user_id INTEGER PRIMARY KEY,
        anilist_id INTEGER UNIQUE,  -- NULL for a name whose list was never read
        name TEXT NOT NULL,
        name_key TEXT NOT NULL UNIQUE,
        fetched_at INTEGER NOT NULL,  -- unix seconds, here and below
        left_out TEXT  -- why not in the training set: unknown, private or short
    );
    CREATE TABLE list_entry (
        user_id INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
        anime_id INTEGER NOT NULL,  -- may be an anime that the catalogue does not have, or not yet
        entry_id INTEGER NOT NULL,
        status TEXT,
        score INTEGER,
        progress INTEGER NOT NULL,
        repeats INTEGER NOT NULL,
        started INTEGER,
        completed INTEGER,
        updated INTEGER,
        created INTEGER,
        PRIMARY KEY (user_id, anime_id)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE anime_synonym (
        anime_id INTEGER NOT NULL REFERENCES anime ON DELETE CASCADE,
        synonym TEXT NOT NULL,
        PRIMARY KEY (anime_id, synonym)
    );
    """,
    "ALTER TABLE user ADD COLUMN score_format TEXT;  -- AniList's word, such as POINT_10_DECIMAL",
    """
    CREATE TABLE training_limit (
        min_anime INTEGER NOT NULL  -- of one row: what all stored lists were judged by last
    );
    """,
    "ALTER TABLE catalogue_fetch ADD COLUMN started_at INTEGER;  -- unix seconds; NULL of earlier versions",
)
"""Version n of the schema is what the first n scripts make. Never change a script that was released: add one."""

LONGEST = 1_000_000
"""The most bytes that a text or a row may have: the longest title there is has some hundred."""
ROWS_AT_ONCE = 500

RANGES = {
    "anime_id": (1, 2**63 - 1),
    "year": (0, 9999),
    **dict.fromkeys(("score", "average_score", "mean_score"), (0, 100)),
    **dict.fromkeys(("start_date", "started", "completed"), (0, LAST_DAY)),
    "min_anime": (1, 1_000_000),  # as --min-anime may be
    "finished_at": (0, LAST_SECOND - DAY_SECONDS),  # so that it is a day of the calendar in every time zone
    **dict.fromkeys(("updated", "created", "fetched_at", "started_at"), (-LAST_SECOND, LAST_SECOND)),
}
"""The smallest and the largest number of these columns."""

_COLUMN = r'"?\w+"?(?: ASC| DESC)?'
OWN_INDEX = re.compile(rf"CREATE INDEX [^(]+\({_COLUMN}(?:, ?{_COLUMN})*\)", re.IGNORECASE)
"""The definition of an index of nothing but columns. Such are allowed: somebody's own queries are faster with them, and
ours have the same answers."""


class NotOurs(Exception):
    """The database has something that this program did not make; the text says what, in a line."""


def protect(connection: sqlite3.Connection) -> None:
    """What a file defines may not call what could do harm, and nothing in it is longer than it needs to be."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)


def check_schema(connection: sqlite3.Connection) -> None:
    """Raises NotOurs unless the tables are those that the first of the migrations make, as many as the file says."""
    connection.execute("BEGIN")
    try:
        ((version,),) = connection.execute("PRAGMA user_version")
        found = _objects(connection)
    finally:
        connection.rollback()
    known, _ = _made_by(MIGRATIONS[:version])
    for kind, name, _, sql in sorted(found - known):
        if kind == "index" and OWN_INDEX.fullmatch(sql):
            continue
        raise NotOurs(f'it has a {plain(kind, 10)} "{plain(name, 40)}" that is not of this program')
    for kind, name, *_ in sorted(known - found):
        raise NotOurs(f'its {kind} "{name}" is missing')


def what_is_damaged(connection: sqlite3.Connection, whole: bool) -> str | None:
    """What SQLite finds wrong with pages of the file or with indices, in its words. None where all is well.

    whole: whether the entries of all lists are looked through, too. The schema has to be checked before.
    """
    knows_tables = sqlite3.sqlite_version_info >= (3, 33)  # those before know no table here
    checks = ["quick_check(1)"] if whole or not knows_tables else []
    if knows_tables:
        which = "type = 'index'" if whole else "type = 'table' AND tbl_name <> 'list_entry'"
        tables = connection.execute(f"SELECT DISTINCT tbl_name FROM main.sqlite_master WHERE {which}")  # noqa: S608
        checks += [f"integrity_check({table})" for (table,) in tables.fetchall()]
    verdicts = (connection.execute(f"PRAGMA {check}").fetchone()[0] for check in checks)
    return next((plain(verdict) for verdict in verdicts if verdict != "ok"), None)


def typed(cursor: sqlite3.Cursor) -> Iterator[tuple[Any, ...]]:
    """The rows, once their columns hold what belongs there: whole numbers, in their range, or texts. Raises NotOurs."""
    _, types = _made_by(MIGRATIONS)
    names = [name for name, *_ in cursor.description]
    while rows := cursor.fetchmany(ROWS_AT_ONCE):
        for name, values in zip(names, zip(*rows, strict=True), strict=True):
            if name not in types:  # it is computed
                continue
            limits = RANGES.get(name)
            there: Collection[Any] = set(values) if limits else values
            if not set(map(type, there)) <= types[name]:
                kind = "a text" if str in types[name] else "a whole number"
                raise NotOurs(f'the column "{name}" holds something that is not {kind}')
            if limits:
                low, high = limits
                known = set(there) - {None}
                if known and not low <= min(known) <= max(known) <= high:
                    raise NotOurs(f'the column "{name}" holds a number that is not from {low} to {high}')
        yield from rows


_Objects = frozenset[tuple[str, str, str, str]]
"""Type, name, table and definition of all that a database has."""


@functools.cache
def _made_by(migrations: tuple[str, ...]) -> tuple[_Objects, dict[str, set[type]]]:
    """What these scripts make, and which types a column may hold by its name, which means the same in all tables."""
    types: dict[str, set[type]] = {}
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        for script in migrations:
            made.executescript(script)
        objects = _objects(made)
        for table in {table for _, _, table, _ in objects}:
            for _, name, kind, not_null, _, key in made.execute(f"PRAGMA table_info({table})"):
                if kind in ("INTEGER", "TEXT"):
                    nothing = set() if not_null or key else {type(None)}
                    types[name] = types.get(name, set()) | {int if kind == "INTEGER" else str} | nothing
    return objects, types


def _objects(connection: sqlite3.Connection) -> _Objects:
    """All objects but the indices that tables imply, and the numbers that ANALYZE leaves."""
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM main.sqlite_master WHERE sql IS NOT NULL")
    return frozenset(
        (str(kind), str(name), str(table), " ".join(str(sql).split()))
        for kind, name, table, sql in rows
        if (kind, name) not in (("table", "sqlite_stat1"), ("table", "sqlite_stat4"))
    )
