"""Takes people out of the database: who is meant by a name, and everything that is stored of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from anime_bert4rec.lists.user_names import name_key, user_hash

ANILIST = "AniList"
"""The source of who isn't imported."""


@dataclass(frozen=True)
class Removed:
    """Somebody who is not in the database any more."""

    name: str
    source: str
    """Where the list came from: `AniList`, or the source of an import, such as `csv:ratings`."""
    entries: int


class NobodyOfThisName(Exception):
    """These names are nobody's."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


def remove(connection: sqlite3.Connection, names: Sequence[str]) -> list[Removed]:
    """Within a transaction: everybody of these names goes, or, if one is nobody's, raises NobodyOfThisName.

    On AniList case does not matter, in imports it does; there a name is also found where only its hash is stored. Who
    has one name in several places is removed from all.
    """
    found = {name: rows_of(connection, name) for name in names}
    unknown = [name for name, rows in found.items() if not rows]
    if unknown:
        raise NobodyOfThisName(unknown)
    removed = {user_id: who for rows in found.values() for user_id, who in rows.items()}
    connection.executemany("DELETE FROM user WHERE user_id = ?", [(user_id,) for user_id in removed])  # and the entries
    return list(removed.values())


def _hash(name: str) -> str:
    return f"{user_hash(name) % 2**64:016x}"


def rows_of(connection: sqlite3.Connection, name: str) -> dict[int, Removed]:
    """Everybody of this name, by user_id. Of several imports one is meant by SOURCE:NAME."""
    sourced = [f"{name[:at]}:{_hash(name[at + 1 :])}" for at, each in enumerate(name) if each == ":"]
    rows = connection.execute(
        f"""SELECT user_id, name, name_key, (SELECT count(*) FROM list_entry WHERE list_entry.user_id = user.user_id)
           FROM user
           WHERE name_key IN ({", ".join("?" * (1 + len(sourced)))}) OR (name_key NOT LIKE '%:%' AND lower(name) = ?)
              OR (name_key LIKE '%:%' AND (name = ? OR name_key LIKE '%:' || ?))
           ORDER BY user_id""",  # noqa: S608
        [name_key(name), *sourced, name_key(name), name, _hash(name)],
    )
    return {
        user_id: Removed(shown, key.rpartition(":")[0] or ANILIST, entries) for user_id, shown, key, entries in rows
    }
