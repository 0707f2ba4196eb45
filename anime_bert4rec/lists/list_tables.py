"""People and their lists in the database: lists in, watched anime out, one transaction a person or an import."""

from __future__ import annotations

import dataclasses
import operator
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from anime_bert4rec.lists.bulk_import import Imported, put_aside, write_lists
from anime_bert4rec.lists.database_file import DatabaseFile, explained, insert_into, stoppable, transaction
from anime_bert4rec.lists.database_removal import ANILIST, Removed, remove, rows_of
from anime_bert4rec.lists.dates import DAY_SECONDS, date_of
from anime_bert4rec.lists.records import IS_WATCHED, ImportedEntry, ListEntry, UserList
from anime_bert4rec.lists.user_names import name_key
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.text import plain

_ENTRY_COLUMNS = [field.name for field in dataclasses.fields(ListEntry)]
_SAVE_ENTRY = insert_into("list_entry", [*_ENTRY_COLUMNS, "user_id"]) + " ON CONFLICT DO NOTHING"

_WATCHED = f"list_entry AS entry JOIN anime USING (anime_id) WHERE {IS_WATCHED}"

KEEP_SECONDS = 7 * DAY_SECONDS
"""How long a list, or the answer that there is none, is kept before AniList is asked again."""


@dataclass(frozen=True)
class StoredUser:
    """`watched` counts known, watched anime; `left_out` is unknown, private, short or, in the training set, None."""

    user_id: int
    name: str
    fetched_at: int
    left_out: str | None
    score_format: str | None
    watched: int
    is_imported: bool

    def is_kept(self, now: float) -> bool:
        """Whether it is new enough. A time in the future, from a clock that was wrong, does not count."""
        return 0 <= now - self.fetched_at < KEEP_SECONDS


class ListTables(DatabaseFile):
    """The part of `Database` that is about people and their lists."""

    def save_user_list(self, user_list: UserList, requested: str, fetched_at: int, min_anime: int) -> StoredUser:
        """Replace what is stored of a person. `requested` is the name it was asked by, whatever the list calls itself.

        A person is known by the AniList id: under a new name it is the same row, and whoever had that name is dropped.
        """
        key = name_key(requested)
        with self._transaction() as connection:
            connection.execute("DELETE FROM user WHERE name_key = ? AND anilist_id IS NOT ?", (key, user_list.user_id))
            values = (user_list.name, key, fetched_at, user_list.score_format, user_list.user_id)
            changed = connection.execute(
                """UPDATE user SET name = ?, name_key = ?, fetched_at = ?, score_format = ?, left_out = NULL
                   WHERE anilist_id = ?""",
                values,
            )
            if not changed.rowcount:
                connection.execute(
                    "INSERT INTO user (name, name_key, fetched_at, score_format, anilist_id) VALUES (?, ?, ?, ?, ?)",
                    values,
                )
            (user_id,) = connection.execute("SELECT user_id FROM user WHERE name_key = ?", (key,)).fetchone()
            connection.execute("DELETE FROM list_entry WHERE user_id = ?", (user_id,))
            fields = operator.attrgetter(*_ENTRY_COLUMNS)
            connection.executemany(_SAVE_ENTRY, ((*fields(entry), user_id) for entry in user_list.entries))
            _mark_short(connection, min_anime, user_id)
        return self.users(key)[key]

    def save_unavailable_user(self, name: str, reason: str, fetched_at: int) -> StoredUser:
        """Note why a name has no list ("unknown" or "private"), and forget the list stored for it before."""
        key = name_key(name)
        with self._transaction() as connection:
            connection.execute(
                """INSERT INTO user (name, name_key, fetched_at, left_out) VALUES (?, ?, ?, ?)
                   ON CONFLICT (name_key)
                   DO UPDATE SET fetched_at = excluded.fetched_at, left_out = excluded.left_out""",
                (name, key, fetched_at, reason),
            )
            connection.execute(
                "DELETE FROM list_entry WHERE user_id = (SELECT user_id FROM user WHERE name_key = ?)", (key,)
            )
        return self.users(key)[key]

    def import_lists(
        self,
        source: str,
        entries: Iterable[ImportedEntry],
        min_anime: int,
        *,
        points: bool = False,
        sure: bool = True,
    ) -> Imported:
        """Store lists from elsewhere, all of them or none; who was imported from `source` before gets the new list.

        `points`: scores are of 100. Unless it is `sure` that the people are the same, raises OtherPeople when their
        stored lists have little in common with the new ones. Afterwards every stored list is judged by `min_anime`, as
        by `mark_short_users`.
        """
        to = self._connection
        with explained(self.path), stoppable(to), put_aside(to, entries), transaction(to):
            imported = write_lists(to, source, points, sure)
            _, others_before = self._short_and_others()
            _mark_short(to, min_anime)
            short, others = self._short_and_others()
        return replace(imported, short=short, dropped=max(others_before - others, 0))

    def _short_and_others(self) -> tuple[int, int]:
        """How many of those who are put aside have watched too little, and how many others are trained on."""
        ((short, others),) = self._connection.execute(
            """SELECT count(*) FILTER (WHERE left_out = 'short' AND is_put_aside),
                      count(*) FILTER (WHERE left_out IS NULL AND NOT is_put_aside)
               FROM (SELECT left_out, user_id IN (SELECT user_id FROM aside.user) AS is_put_aside FROM user)"""
        )
        return short, others

    def remove(self, names: Sequence[str]) -> list[Removed]:
        """Take everybody of these names out, all or none. Raises NobodyOfThisName, for one that is nobody's."""
        with self._transaction() as connection:
            return remove(connection, names)

    def has_somebody(self, name: str) -> bool:
        """Whether somebody is of this name, letter by letter but for the case on AniList."""
        with explained(self.path):
            return bool(rows_of(self._connection, name))

    def min_anime(self) -> int | None:
        """The limit that all stored lists were judged by last, or None if they never were."""
        return next((limit for (limit,) in self._rows("SELECT min_anime FROM training_limit")), None)

    def mark_short_users(self, min_anime: int) -> int:
        """Judge every stored list anew: the limit or the catalogue may have changed. Returns how many fewer people
        there are to be trained on."""
        before, _ = self.training_size()
        with self._transaction() as connection:
            _mark_short(connection, min_anime)
        return max(before - self.training_size()[0], 0)

    def users(self, key: str | None = None) -> dict[str, StoredUser]:
        """Everybody who was asked for, by `name_key`; or only the one with `key`."""
        return dict(self._users("? IS NULL OR name_key = ?", [key, key]))

    def listed(self, name: str, imported: bool = True) -> StoredUser | None:
        """Whose list is stored under this name: somebody's of AniList, whatever the case of the letters, or else, if
        `imported`, one that was imported, letter by letter, the name or its hash.

        Raises UserError if several imports have the name.
        """
        key = name_key(name)
        of_anilist = self.users(key).get(key)
        if of_anilist and of_anilist.left_out in (None, "short"):
            return of_anilist
        if not imported:
            return None
        with explained(self.path):
            found = rows_of(self._connection, name)
        sources = {user_id: who.source for user_id, who in found.items() if who.source != ANILIST}
        if len(sources) > 1:
            shown = plain(name, 40)
            among = " or ".join(f'"{plain(each, 60)}:{shown}"' for each in sorted(sources.values()))
            raise UserError(f'"{shown}" is somebody in each of several imports: give {among}')
        return next((user for each in sources for _, user in self._users("user_id = ?", [each])), None)

    def _users(self, condition: str, values: Sequence[Any]) -> Iterator[tuple[str, StoredUser]]:
        rows = self._rows(
            f"""SELECT user.name_key, user.user_id, user.name, user.fetched_at, user.left_out, user.score_format,
                       (SELECT count(*) FROM {_WATCHED} AND entry.user_id = user.user_id), user.name_key LIKE '%:%'
                FROM user WHERE {condition} ORDER BY user.user_id""",  # noqa: S608
            values,
        )
        return ((name_key, StoredUser(*fields)) for name_key, *fields in rows)

    def key_of(self, anilist_id: int) -> str | None:
        """The name_key of the person whom AniList knows by this id."""
        return next(
            (key for (key,) in self._rows("SELECT name_key FROM user WHERE anilist_id = ?", [anilist_id])), None
        )

    def anilist_id(self, key: str) -> int | None:
        """The id by which AniList knew the person with this name_key, if a list was read."""
        return next((found for (found,) in self._rows("SELECT anilist_id FROM user WHERE name_key = ?", [key])), None)

    def entries(self, user_id: int) -> list[ListEntry]:
        """The whole list of one person, whatever the status of its entries."""
        columns = ", ".join(_ENTRY_COLUMNS).replace("score", "NULLIF(score, 0) AS score")  # of AniList, 0 is none
        rows = self._rows(f"SELECT {columns} FROM list_entry WHERE user_id = ? ORDER BY anime_id", [user_id])  # noqa: S608
        return [ListEntry(*row) for row in rows]

    def people_with_lists(self, after: int = 0) -> Iterator[tuple[int, str]]:
        """`(user_id, name)` of everybody whose list is stored, short ones too, in the order of their ids.

        Where several have one name, imported people have their source before it: `csv:SOURCE:NAME`.
        """
        listed = "ifnull(left_out, 'short') = 'short'"
        rows = self._rows(
            f"""SELECT user_id, name, name_key,
                       name IN (SELECT name FROM user WHERE {listed} GROUP BY name HAVING count(*) > 1)
                FROM user WHERE {listed} AND user_id > ? ORDER BY user_id""",  # noqa: S608
            [after],
        )
        for user_id, name, key, is_shared in rows:
            source = key.rpartition(":")[0]
            yield user_id, f"{source}:{name}" if source and is_shared else name

    # What a model is trained on

    def training_size(self) -> tuple[int, int]:
        """How many users are in the training set, and how many known, watched anime they have together."""
        ((users, watched),) = self._rows(
            f"""SELECT (SELECT count(*) FROM user WHERE left_out IS NULL),
                       (SELECT count(*) FROM {_WATCHED}
                        AND entry.user_id IN (SELECT user_id FROM user WHERE left_out IS NULL))"""  # noqa: S608
        )
        return users, watched

    def user_keys(self) -> list[tuple[int, str]]:
        """`(user_id, name_key)` of everybody in the training set."""
        rows = self._rows("SELECT user_id, name_key FROM user WHERE left_out IS NULL ORDER BY user_id")
        return [(user_id, key) for user_id, key in rows]

    def identities(self) -> list[tuple[int, str]]:
        """`(user_id, what tells a person from all others)` of everybody in the training set, ordered by user_id.

        On AniList that is the number there, which a new name does not change; in an import, the key.
        """
        rows = self._rows("SELECT user_id, anilist_id, name_key FROM user WHERE left_out IS NULL ORDER BY user_id")
        return [(user_id, key if anilist_id is None else f"anilist:{anilist_id}") for user_id, anilist_id, key in rows]

    def iter_watched(self, of_catalogue: bool = True) -> Iterator[tuple[Any, ...]]:
        """What the users of the training set have watched, ordered by user_id, then anime_id.

        `(user_id, anime_id, entry_id, completed, started, updated, created)`, as in records.ListEntry. Anime that the
        catalogue does not have are left out if `of_catalogue`.
        """
        watched = _WATCHED if of_catalogue else f"list_entry AS entry WHERE {IS_WATCHED}"
        return self._rows(
            f"""SELECT entry.user_id, anime_id, entry_id, completed, started, updated, created
                FROM {watched} AND entry.user_id IN (SELECT user_id FROM user WHERE left_out IS NULL)
                ORDER BY entry.user_id, anime_id"""  # noqa: S608
        )

    def starts(self, days: tuple[int, int] | None = None) -> Iterator[tuple[Any, ...]]:
        """When the users of the training set may have started what they have watched, in no certain order.

        `(user_id, anime_id, started, completed, created)`, as in records.ListEntry. days: only what has one of these
        dates from the first of the days to the second, both counted from 1970.
        """
        dates = map(date_of, days or (0, 0))
        seconds = days and (days[0] * DAY_SECONDS, (days[1] + 1) * DAY_SECONDS - 1)
        return self._rows(
            f"""SELECT entry.user_id, anime_id, started, completed, created
                FROM list_entry AS entry JOIN user USING (user_id)
                WHERE left_out IS NULL AND {IS_WATCHED} AND (started IS NOT NULL OR created IS NOT NULL)
                  AND (? OR started BETWEEN ? AND ? OR created BETWEEN ? AND ?)""",  # noqa: S608
            [days is None, *dates, *(seconds or (0, 0))],
        )

    def first_starts(self) -> dict[int, int]:
        """The day YYYYMMDD on which somebody started each anime first, of those of which such a day is known."""
        return dict(
            self._rows(
                """SELECT anime_id, MIN(started) FROM list_entry
                   WHERE started IS NOT NULL AND started % 100 > 0 GROUP BY anime_id"""
            )
        )

    def scores(self, user_ids: Iterable[int]) -> Iterator[tuple[int, int, float]]:
        """`(user_id, anime_id, score of 100)` of what these people have watched and scored, person by person."""
        for user_id in user_ids:
            yield from self._rows(
                f"""SELECT user_id, anime_id, score FROM list_entry AS entry
                    WHERE user_id = ? AND score > 0 AND {IS_WATCHED} ORDER BY anime_id""",  # noqa: S608
                [user_id],
            )


def _mark_short(connection: sqlite3.Connection, min_anime: int, user_id: int | None = None) -> None:
    """Set or clear `short` for one user or for all, except those out for another reason. For all, the limit is kept."""
    if user_id is None:
        connection.execute("DELETE FROM training_limit")
        connection.execute("INSERT INTO training_limit (min_anime) VALUES (?)", (min_anime,))
    connection.execute(
        f"""UPDATE user SET left_out =
                CASE WHEN (SELECT count(*) FROM {_WATCHED} AND entry.user_id = user.user_id) < ? THEN 'short' END
            WHERE ifnull(left_out, 'short') = 'short' AND user_id = ifnull(?, user_id)""",  # noqa: S608
        (min_anime, user_id),
    )
