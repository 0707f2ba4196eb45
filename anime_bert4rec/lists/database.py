"""What the scripts keep in the SQLite file: records in, rows out, one transaction a page or a user; no HTTP.

`with Database.open(path, create=True) as database:` is the way in. The schema is in lists/database_schema.py.
"""

from __future__ import annotations

import contextlib
import dataclasses
import operator
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anime_bert4rec.lists.bulk_import import Imported, put_aside, write_lists
from anime_bert4rec.lists.database_check import typed
from anime_bert4rec.lists.database_removal import Removed, remove
from anime_bert4rec.lists.database_schema import (
    MIGRATIONS,
    DatabaseError,
    connect,
    connect_to_read,
    explained,
    transaction,
)
from anime_bert4rec.lists.records import (
    Anime,
    CatalogueCursor,
    CataloguePage,
    ImportedEntry,
    ListEntry,
    Relation,
    Studio,
    Tag,
    UserList,
)
from anime_bert4rec.lists.user_names import name_key

IDS_AT_ONCE = 500  # SQLite before 3.32 allows 999 parameters

_ANIME_LISTS = {"synonyms", "genres", "tags", "studios", "relations"}
_ANIME_COLUMNS = [field.name for field in dataclasses.fields(Anime) if field.name not in _ANIME_LISTS]
_ENTRY_COLUMNS = [field.name for field in dataclasses.fields(ListEntry)]


def _insert(table: str, columns: list[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608


_SAVE_ANIME = (
    _insert("anime", [*_ANIME_COLUMNS, "fetch_id"])
    + " ON CONFLICT (anime_id) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in [*_ANIME_COLUMNS, "fetch_id"])
)
_SAVE_ENTRY = _insert("list_entry", [*_ENTRY_COLUMNS, "user_id"]) + " ON CONFLICT DO NOTHING"

# An entry without a status counts as watched when something of it was seen.
_IS_WATCHED = """(entry.status <> 'PLANNING'
    OR entry.status IS NULL AND (entry.progress > 0 OR entry.completed IS NOT NULL))"""
_WATCHED = f"list_entry AS entry JOIN anime USING (anime_id) WHERE {_IS_WATCHED}"


@dataclass(frozen=True)
class CatalogueFetch:
    """A fetch under way: where to go on, and the anime that it has brought so far."""

    fetch_id: int
    cursor: CatalogueCursor
    seen: frozenset[int]


KEEP_SECONDS = 7 * 86_400
"""A list, and the news that there is none, is not asked for again for so long."""


@dataclass(frozen=True)
class StoredUser:
    """`watched` counts known, watched anime; `left_out` is unknown, private, short or, in the training set, None."""

    user_id: int
    name: str
    fetched_at: int
    left_out: str | None
    watched: int

    def is_kept(self, now: float) -> bool:
        """Whether it is new enough. A time in the future, from a clock that was wrong, does not count."""
        return 0 <= now - self.fetched_at < KEEP_SECONDS


class Database:
    """Make one with `Database.open`. Every method may raise DatabaseError: a full disk, a locked file, …"""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def open(cls, path: Path, *, create: bool) -> Database:
        """Open the file, made first if `create`. Raises DatabaseError when it is missing or cannot be used."""
        if not create and not path.exists():
            raise DatabaseError(_no_anime(path))
        return cls(path, connect(path, create=create))

    @classmethod
    def open_to_read(cls, path: Path) -> Database:
        """Open a file that is not to be changed, which may be where nothing can be. Raises DatabaseError as `open`."""
        if not path.exists():
            raise DatabaseError(_no_anime(path))
        return cls(path, connect_to_read(path))

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with explained(self.path), transaction(self._connection):
            yield self._connection

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that is read in the block is of one moment, whatever another process writes meanwhile."""
        with explained(self.path):
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def _rows(self, sql: str, values: Iterable[Any] = ()) -> Iterator[Any]:
        with explained(self.path):
            yield from typed(self._connection.execute(sql, tuple(values)), MIGRATIONS)

    # The catalogue

    def resume_or_start_catalogue_fetch(self, sort: str, count: int) -> CatalogueFetch:
        """The last fetch, if it was interrupted and has the same sort (the count may differ), or else a new one."""
        with self._transaction() as connection:
            found = connection.execute(
                """SELECT fetch_id, next_page, popularity_below FROM catalogue_fetch
                   WHERE fetch_id = (SELECT max(fetch_id) FROM catalogue_fetch) AND finished_at IS NULL AND sort = ?""",
                (sort,),
            )
            interrupted = next(typed(found, MIGRATIONS), None)
            if interrupted:
                fetch_id, cursor = interrupted[0], CatalogueCursor(*interrupted[1:])
                connection.execute("UPDATE catalogue_fetch SET count = ? WHERE fetch_id = ?", (count, fetch_id))
            else:
                cursor = CatalogueCursor()
                fetch_id = connection.execute(
                    "INSERT INTO catalogue_fetch (sort, count, next_page, popularity_below) VALUES (?, ?, ?, ?)",
                    (sort, count, cursor.page, cursor.popularity_below),
                ).lastrowid
            seen = connection.execute("SELECT anime_id FROM anime WHERE fetch_id = ?", (fetch_id,))
            return CatalogueFetch(fetch_id, cursor, frozenset(anime_id for (anime_id,) in seen))

    def save_catalogue_page(self, fetch_id: int, page: CataloguePage) -> tuple[int, int]:
        """Store a page together with the place to go on from. Returns how many anime were new and how many updated."""
        new = 0
        with self._transaction() as connection:
            for anime in page.anime:
                new += _save_anime(connection, anime, fetch_id)
            if page.next:
                connection.execute(
                    "UPDATE catalogue_fetch SET next_page = ?, popularity_below = ? WHERE fetch_id = ?",
                    (page.next.page, page.next.popularity_below, fetch_id),
                )
            (reached,) = connection.execute(
                """SELECT count <= (SELECT count(*) FROM anime WHERE anime.fetch_id = catalogue_fetch.fetch_id)
                   FROM catalogue_fetch WHERE fetch_id = ?""",
                (fetch_id,),
            ).fetchone()
            # The page that reaches the count may be cut, so going on behind it with a larger count would leave a gap.
            if reached or not page.next:
                _finish(connection, fetch_id)
        return new, len(page.anime) - new

    def finish_catalogue_fetch(self, fetch_id: int) -> None:
        """There is no more to fetch: the next fetch starts from the first page."""
        with self._transaction() as connection:
            _finish(connection, fetch_id)

    def require_catalogue(self) -> None:
        """Raises DatabaseError, naming the commands to run, when no anime is stored."""
        if not any(self._rows("SELECT 1 FROM anime LIMIT 1")):
            raise DatabaseError(_no_anime(self.path))

    def anime_ids(self) -> list[int]:
        """Every anime of the catalogue, in ascending order."""
        return [anime_id for (anime_id,) in self._rows("SELECT anime_id FROM anime ORDER BY anime_id")]

    def anime_by_mal_id(self) -> dict[int, int]:
        """The anime_id by MyAnimeList's id; the lowest, where AniList has two entries for one."""
        rows = self._rows("SELECT mal_id, min(anime_id) FROM anime WHERE mal_id IS NOT NULL GROUP BY mal_id")
        return dict(rows)

    def anime(self, ids: Iterable[int]) -> list[Anime]:
        """The anime of these ids, in their order; those that the catalogue does not have are left out."""
        wanted = list(ids)
        found: dict[int, Anime] = {}
        for start in range(0, len(wanted), IDS_AT_ONCE):
            found |= self._anime(wanted[start : start + IDS_AT_ONCE])
        return [found[anime_id] for anime_id in wanted if anime_id in found]

    def _anime(self, ids: list[int]) -> dict[int, Anime]:
        among = f"WHERE anime_id IN ({', '.join('?' * len(ids))})"

        def children(columns: str, table: str) -> dict[int, list[Any]]:
            of_anime: dict[int, list[Any]] = defaultdict(list)
            for anime_id, *values in self._rows(f"SELECT anime_id, {columns} FROM {table} {among} ORDER BY rowid", ids):  # noqa: S608
                of_anime[anime_id].append(values)
            return of_anime

        synonyms = children("synonym", "anime_synonym")
        genres = children("genre", "anime_genre")
        tags = children("name, rank, category, is_adult, is_spoiler", "anime_tag")
        studios = children("studio_id, name, is_main", "anime_studio")
        relations = children("related_id, kind", "anime_relation")
        found = {}
        for row in self._rows(f"SELECT {', '.join(_ANIME_COLUMNS)} FROM anime {among}", ids):  # noqa: S608
            scalars = dict(zip(_ANIME_COLUMNS, row, strict=True))
            scalars["is_adult"] = bool(scalars["is_adult"])
            anime_id = scalars["anime_id"]
            found[anime_id] = Anime(
                **scalars,
                synonyms=tuple(synonym for (synonym,) in synonyms[anime_id]),
                genres=tuple(genre for (genre,) in genres[anime_id]),
                tags=tuple(
                    Tag(name, rank, category, bool(is_adult), bool(is_spoiler))
                    for name, rank, category, is_adult, is_spoiler in tags[anime_id]
                ),
                studios=tuple(Studio(studio_id, name, bool(main)) for studio_id, name, main in studios[anime_id]),
                relations=tuple(Relation(*values) for values in relations[anime_id]),
            )
        return found

    # Users and their lists

    def save_user_list(self, user_list: UserList, requested: str, fetched_at: int, min_anime: int) -> StoredUser:
        """Replace what is stored of a person. `requested` is the name it was asked by, whatever the list calls itself.

        A person is known by the AniList id: under a new name it is the same row, and whoever had that name is dropped.
        """
        key = name_key(requested)
        with self._transaction() as connection:
            connection.execute("DELETE FROM user WHERE name_key = ? AND anilist_id IS NOT ?", (key, user_list.user_id))
            values = (user_list.name, key, fetched_at, user_list.user_id)
            changed = connection.execute(
                "UPDATE user SET name = ?, name_key = ?, fetched_at = ?, left_out = NULL WHERE anilist_id = ?", values
            )
            if not changed.rowcount:
                connection.execute(
                    "INSERT INTO user (name, name_key, fetched_at, anilist_id) VALUES (?, ?, ?, ?)", values
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
        with explained(self.path), put_aside(self._connection, entries), transaction(self._connection):
            imported = write_lists(self._connection, source, points, sure)
            _mark_short(self._connection, min_anime)
        return imported

    def remove(self, names: Sequence[str]) -> list[Removed]:
        """Take everybody of these names out, all or none. Raises NobodyOfThisName, for one that is nobody's."""
        with explained(self.path):
            self._connection.execute("PRAGMA secure_delete = ON")  # nothing is left of them in the file either
        with self._transaction() as connection:
            return remove(connection, names)

    def mark_short_users(self, min_anime: int) -> None:
        """Judge every stored list anew: the limit or the catalogue may have changed."""
        with self._transaction() as connection:
            _mark_short(connection, min_anime)

    def users(self, key: str | None = None) -> dict[str, StoredUser]:
        """Everybody who was asked for, by `name_key`; or only the one with `key`."""
        rows = self._rows(
            f"""SELECT user.name_key, user.user_id, user.name, user.fetched_at, user.left_out,
                       (SELECT count(*) FROM {_WATCHED} AND entry.user_id = user.user_id)
                FROM user WHERE ? IS NULL OR name_key = ? ORDER BY user.user_id""",  # noqa: S608
            [key, key],
        )
        return {name_key: StoredUser(*fields) for name_key, *fields in rows}

    def key_of(self, anilist_id: int) -> str | None:
        """The name_key of the person whom AniList knows by this id."""
        return next(
            (key for (key,) in self._rows("SELECT name_key FROM user WHERE anilist_id = ?", [anilist_id])), None
        )

    def entries(self, user_id: int) -> list[ListEntry]:
        """The whole list of one person, whatever the status of its entries."""
        columns = ", ".join(_ENTRY_COLUMNS)
        rows = self._rows(f"SELECT {columns} FROM list_entry WHERE user_id = ? ORDER BY anime_id", [user_id])  # noqa: S608
        return [ListEntry(*row) for row in rows]

    # For training

    def require_training_data(self) -> None:
        """Raises DatabaseError, naming the commands to run, when there is no anime or no user to train on."""
        self.require_catalogue()
        if not self.user_keys():
            raise DatabaseError(
                f"{self.path} has nobody to train on: put AniList names into datas_user.txt, then run"
                " `python load_users.py` and `python train_model.py`"
            )

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
        watched = _WATCHED if of_catalogue else f"list_entry AS entry WHERE {_IS_WATCHED}"
        return self._rows(
            f"""SELECT entry.user_id, anime_id, entry_id, completed, started, updated, created
                FROM {watched} AND entry.user_id IN (SELECT user_id FROM user WHERE left_out IS NULL)
                ORDER BY entry.user_id, anime_id"""  # noqa: S608
        )


def _no_anime(path: Path) -> str:
    return (
        f"the database {path} has no anime yet: run `python prepare_dataset.py`, `python load_users.py` and"
        " `python train_model.py`, in this order (and --sandbox or --db with each, if you use them)"
    )


def _save_anime(connection: sqlite3.Connection, anime: Anime, fetch_id: int) -> bool:
    """Returns whether the anime is new."""
    anime_id = anime.anime_id
    known = connection.execute("SELECT 1 FROM anime WHERE anime_id = ?", (anime_id,)).fetchone()
    connection.execute(_SAVE_ANIME, [*(getattr(anime, column) for column in _ANIME_COLUMNS), fetch_id])
    children = {
        "anime_synonym": [(anime_id, synonym) for synonym in anime.synonyms],
        "anime_genre": [(anime_id, genre) for genre in anime.genres],
        "anime_tag": [(anime_id, *dataclasses.astuple(tag)) for tag in anime.tags],
        "anime_studio": [(anime_id, *dataclasses.astuple(studio)) for studio in anime.studios],
        "anime_relation": [(anime_id, *dataclasses.astuple(relation)) for relation in anime.relations],
    }
    for table, rows in children.items():
        connection.execute(f"DELETE FROM {table} WHERE anime_id = ?", (anime_id,))  # noqa: S608
        if rows:
            places = ", ".join("?" * len(rows[0]))
            connection.executemany(f"INSERT INTO {table} VALUES ({places}) ON CONFLICT DO NOTHING", rows)  # noqa: S608
    return not known


def _finish(connection: sqlite3.Connection, fetch_id: int) -> None:
    connection.execute(
        "UPDATE catalogue_fetch SET finished_at = ? WHERE fetch_id = ? AND finished_at IS NULL",
        (int(time.time()), fetch_id),
    )


def _mark_short(connection: sqlite3.Connection, min_anime: int, user_id: int | None = None) -> None:
    """Set or clear `short` for one user or for all, except those out for another reason."""
    connection.execute(
        f"""UPDATE user SET left_out =
                CASE WHEN (SELECT count(*) FROM {_WATCHED} AND entry.user_id = user.user_id) < ? THEN 'short' END
            WHERE ifnull(left_out, 'short') = 'short' AND user_id = ifnull(?, user_id)""",  # noqa: S608
        (min_anime, user_id),
    )
