"""Whether a database is what this program makes: the same tables, nothing else, and in each column what belongs there.

SQLite itself keeps text in a column of numbers if it is given some, and what another program has put into a file (a
trigger, a view in the place of a table) would run as soon as the tables are used.
"""

from __future__ import annotations

import contextlib
import functools
import re
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from anime_bert4rec.command_line.script import plain

LONGEST = 1_000_000
"""Bytes of a text or a row: the longest title there is has some hundred."""
ROWS_AT_ONCE = 500

LAST_DAY, LAST_SECOND = 9999_12_31, 253_402_300_799
RANGES = {
    "anime_id": (1, 2**63 - 1),
    "year": (0, 9999),
    **dict.fromkeys(("start_date", "started", "completed"), (0, LAST_DAY)),
    **dict.fromkeys(("updated", "created", "fetched_at"), (-LAST_SECOND, LAST_SECOND)),
}
"""The smallest and the largest number of these columns."""
TYPES: dict[str, type] = {"INTEGER": int, "TEXT": str}


_COLUMN = r'"?\w+"?(?: ASC| DESC)?'
OWN_INDEX = re.compile(rf"CREATE INDEX [^(]+\({_COLUMN}(?:, ?{_COLUMN})*\)", re.IGNORECASE)
"""Of columns alone: somebody's questions are faster with it, and ours have the same answers."""


class Schema(NamedTuple):
    objects: frozenset[tuple[str, str, str, str]]
    """Type, name, table and definition of all that there is."""
    tables: tuple[str, ...]
    columns: dict[str, frozenset[type]]
    """What a column may hold, by its name, which means the same in all tables."""


class Strange(Exception):
    """What a database has that this program did not make; in a line."""


def protect(connection: sqlite3.Connection) -> None:
    """What a file defines may not call what could do harm, and nothing in it is longer than it needs to be."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)


def check_schema(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    """Raises Strange unless the tables are those that the first of the migrations make, as many as the file says."""
    connection.execute("BEGIN")
    try:
        ((version,),) = connection.execute("PRAGMA user_version")
        found = _objects(connection)
    finally:
        connection.execute("ROLLBACK")
    known = schema_of(tuple(migrations[:version])).objects
    for kind, name, _, sql in sorted(found - known):
        if kind == "index" and OWN_INDEX.fullmatch(sql):
            continue
        raise Strange(f'it has a {plain(kind, 10)} "{plain(name, 40)}" that is not of this program')
    for kind, name, *_ in sorted(known - found):
        raise Strange(f'its {kind} "{name}" is missing')


def what_is_damaged(connection: sqlite3.Connection, migrations: Sequence[str]) -> str | None:
    """In SQLite's words: pages of the file, or indices that do not fit. (The lists are their own index.)"""
    checks = ["quick_check(1)"]
    if sqlite3.sqlite_version_info >= (3, 33):  # those before know no table here
        indexed = (
            "SELECT 1 FROM main.sqlite_master WHERE type = 'index' AND tbl_name = 'list_entry' AND sql IS NOT NULL"
        )
        own_index = connection.execute(indexed).fetchone()
        tables = schema_of(tuple(migrations)).tables
        checks += [f"integrity_check({name})" for name in tables if name != "list_entry" or own_index]
    verdicts = (connection.execute(f"PRAGMA {check}").fetchone()[0] for check in checks)
    return next((plain(verdict) for verdict in verdicts if verdict != "ok"), None)


@functools.cache
def schema_of(migrations: tuple[str, ...]) -> Schema:
    """What these scripts make."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        for script in migrations:
            made.executescript(script)
        objects = _objects(made)
        tables = tuple(sorted(name for kind, name, *_ in objects if kind == "table"))
        columns: dict[str, frozenset[type]] = {}
        for table in tables:
            for _, name, kind, not_null, _, key in made.execute(f"PRAGMA table_info({table})"):
                if kind not in TYPES:
                    continue
                types = {TYPES[kind]} if not_null or key else {TYPES[kind], type(None)}
                columns[name] = columns.get(name, frozenset()) | types
    return Schema(objects, tables, columns)


def _objects(connection: sqlite3.Connection) -> frozenset[tuple[str, str, str, str]]:
    """But for the indices that tables imply, and the numbers that ANALYZE leaves."""
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM main.sqlite_master WHERE sql IS NOT NULL")
    return frozenset(
        (str(kind), str(name), str(table), " ".join(str(sql).split()))
        for kind, name, table, sql in rows
        if (kind, name) not in (("table", "sqlite_stat1"), ("table", "sqlite_stat4"))
    )


def typed(cursor: sqlite3.Cursor, migrations: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """The rows, once their columns hold what belongs there: whole numbers, in their range, or texts. Raises Strange."""
    columns = schema_of(tuple(migrations)).columns
    names = [name for name, *_ in cursor.description]
    while rows := cursor.fetchmany(ROWS_AT_ONCE):
        for name, values in zip(names, zip(*rows, strict=True), strict=True):
            if name not in columns:  # it is computed
                continue
            limits = RANGES.get(name)
            there: Collection[Any] = set(values) if limits else values
            if not set(map(type, there)) <= columns[name]:
                kind = "a text" if str in columns[name] else "a whole number"
                raise Strange(f'the column "{name}" holds something that is not {kind}')
            if limits:
                low, high = limits
                known = set(there) - {None}
                if known and not low <= min(known) <= max(known) <= high:
                    raise Strange(f'the column "{name}" holds a number that is not from {low} to {high}')
        yield from rows
