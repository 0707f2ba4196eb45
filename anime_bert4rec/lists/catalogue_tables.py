"""The catalogue in the database: pages of anime in, anime out, one transaction a page."""

from __future__ import annotations

import dataclasses
import functools
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from anime_bert4rec.lists.database_file import DatabaseError, DatabaseFile, insert_into, no_anime
from anime_bert4rec.lists.database_schema import typed
from anime_bert4rec.lists.dates import DAY_SECONDS
from anime_bert4rec.lists.records import (
    Anime,
    CatalogueCursor,
    CataloguePage,
    Relation,
    Studio,
    Tag,
)

_Child = TypeVar("_Child")

RESUME_SECONDS = DAY_SECONDS
"""How long after its start a fetch may be gone on with. Later, what it has brought is no longer so, and others are the
most popular."""
IDS_AT_ONCE = 500  # SQLite before 3.32 allows 999 parameters

_ANIME_LISTS = {"synonyms", "genres", "tags", "studios", "relations"}
_ANIME_COLUMNS = [field.name for field in dataclasses.fields(Anime) if field.name not in _ANIME_LISTS]
_NEVER_ZERO = ("episodes", "duration", "average_score", "mean_score")
"""Numbers that are unknown where they are 0, as some sources have it for titles that are not out."""
_SAVE_ANIME = (
    insert_into("anime", [*_ANIME_COLUMNS, "fetch_id"])
    + " ON CONFLICT (anime_id) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in [*_ANIME_COLUMNS, "fetch_id"])
)


@dataclass(frozen=True)
class CatalogueFetch:
    """A fetch under way: where to go on, and the anime that it has brought up to now."""

    fetch_id: int
    cursor: CatalogueCursor
    seen: frozenset[int]
    given_up: bool = False
    """Whether this one is new because the last one, which had come to a page, was interrupted too long ago."""


class CatalogueTables(DatabaseFile):
    """The part of `Database` that is about anime."""

    def resume_or_start_catalogue_fetch(self, sort: str, count: int) -> CatalogueFetch:
        """The last fetch, if it was interrupted less than RESUME_SECONDS after its start and has the same sort (the
        count may differ), or else a new one."""
        now = int(time.time())
        with self._transaction() as connection:
            found = connection.execute(
                """SELECT fetch_id, next_page, popularity_below, started_at FROM catalogue_fetch
                   WHERE fetch_id = (SELECT max(fetch_id) FROM catalogue_fetch) AND finished_at IS NULL AND sort = ?""",
                (sort,),
            )
            last = next(typed(found), None)
            if last and last[3] is not None and 0 <= now - last[3] < RESUME_SECONDS:
                fetch_id, cursor = last[0], CatalogueCursor(*last[1:3])
                connection.execute("UPDATE catalogue_fetch SET count = ? WHERE fetch_id = ?", (count, fetch_id))
                seen = connection.execute("SELECT anime_id FROM anime WHERE fetch_id = ?", (fetch_id,))
                return CatalogueFetch(fetch_id, cursor, frozenset(anime_id for (anime_id,) in seen))
            cursor = CatalogueCursor()
            started = connection.execute(
                """INSERT INTO catalogue_fetch (sort, count, next_page, popularity_below, started_at)
                   VALUES (?, ?, ?, ?, ?)""",
                (sort, count, cursor.page, cursor.popularity_below, now),
            )
            assert started.lastrowid is not None
            has_brought = last is not None and CatalogueCursor(*last[1:3]) != cursor
            return CatalogueFetch(started.lastrowid, cursor, frozenset(), given_up=has_brought)

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
        """Note that there is no more to fetch, so that the next fetch starts from the first page."""
        with self._transaction() as connection:
            _finish(connection, fetch_id)

    def require_catalogue(self) -> None:
        """Raises DatabaseError, naming the commands to run, when no anime is stored."""
        if not any(self._rows("SELECT 1 FROM anime LIMIT 1")):
            raise DatabaseError(no_anime(self.path))

    def anime_ids(self) -> list[int]:
        """Every anime of the catalogue, in ascending order."""
        return [anime_id for (anime_id,) in self._rows("SELECT anime_id FROM anime ORDER BY anime_id")]

    def anime_by_mal_id(self) -> dict[int, int]:
        """The anime_id by MyAnimeList's id; the lowest, where AniList has two entries for one."""
        rows = self._rows("SELECT mal_id, min(anime_id) FROM anime WHERE mal_id IS NOT NULL GROUP BY mal_id")
        return dict(rows)

    def anime_fetched_at(self) -> dict[int, int]:
        """When the fetch was finished that brought an anime last, in unix seconds; left out where it never was."""
        rows = self._rows(
            """SELECT anime_id, finished_at FROM anime JOIN catalogue_fetch USING (fetch_id)
               WHERE finished_at IS NOT NULL"""
        )
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

        def children(columns: str, table: str, make: Callable[..., _Child]) -> dict[int, list[_Child]]:
            of_anime: dict[int, list[_Child]] = defaultdict(list)
            for anime_id, *values in self._rows(f"SELECT anime_id, {columns} FROM {table} {among} ORDER BY rowid", ids):  # noqa: S608
                of_anime[anime_id].append(make(*values))
            return of_anime

        synonyms = children("synonym", "anime_synonym", str)
        genres = children("genre", "anime_genre", str)
        tags = children("name, rank, category, is_adult, is_spoiler", "anime_tag", _tag)
        studios = children("studio_id, name, is_main", "anime_studio", _studio)
        relations = children("related_id, kind", "anime_relation", Relation)
        found = {}
        for row in self._rows(f"SELECT {', '.join(_ANIME_COLUMNS)} FROM anime {among}", ids):  # noqa: S608
            scalars = dict(zip(_ANIME_COLUMNS, row, strict=True))
            scalars["is_adult"] = bool(scalars["is_adult"])
            scalars |= {column: scalars[column] or None for column in _NEVER_ZERO}
            anime_id = scalars["anime_id"]
            found[anime_id] = Anime(
                **scalars,
                synonyms=tuple(synonyms[anime_id]),
                genres=tuple(genres[anime_id]),
                tags=tuple(tags[anime_id]),
                studios=tuple(studios[anime_id]),
                relations=tuple(relations[anime_id]),
            )
        return found


@functools.lru_cache(maxsize=10_000)  # many anime have the same tag of the same rank
def _tag(name: str, rank: int | None, category: str | None, is_adult: int, is_spoiler: int) -> Tag:
    return Tag(name, rank, category, bool(is_adult), bool(is_spoiler))


@functools.lru_cache(maxsize=10_000)
def _studio(studio_id: int, name: str, is_main: int) -> Studio:
    return Studio(studio_id, name, bool(is_main))


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
