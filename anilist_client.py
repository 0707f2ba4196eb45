"""AniList's GraphQL API v2: typed records out, no SQL.

    with AniListClient(AniListSettings()) as anilist:
        for page in anilist.top_anime(3000, "POPULARITY_DESC"):
            ...

Here is what to ask for next: pages of the catalogue, chunks of a list. How it travels (pace, retries, errors) is in
anilist/connection.py; the queries, and how their answers are read, are in anilist/answers.py.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any, Self

from anime_bert4rec import __version__
from anime_bert4rec.anilist.answers import (
    PER_PAGE,
    QUERIES,
    TOP_ANIME,
    USER_LIST,
    ListPart,
    one_for_each_anime,
    read_list,
    read_page,
)
from anime_bert4rec.anilist.connection import DEFAULT_URL, AniListError, BadAnswer, Connection, NotFound
from anime_bert4rec.lists.records import AniListSource, Anime, CatalogueCursor, CataloguePage, ListUnavailable, UserList
from anime_bert4rec.lists.user_names import name_key
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.text import plain
from config import PROJECT_NAME, AniListSettings

__all__ = ["QUERIES", "AniListClient", "AniListError", "open_source"]

USER_AGENT = f"{PROJECT_NAME}/{__version__} (BERT4Rec toolkit; unofficial AniList client; python-requests)"

MAX_DEPTH = 5000
"""AniList refuses a page whose number times PER_PAGE is beyond it."""

PER_CHUNK = 500
"""Entries of one chunk of a list."""

MAX_CHUNKS = 50
"""The most chunks of a list that are fetched. AniList shows at most 11,000 entries of a list, which is 22 chunks."""

MOST_STALE = 3
"""After this many pages or chunks in a row without anything new, no more are fetched."""

BEGINNING = CatalogueCursor()

log = logging.getLogger(__name__)


def open_source(settings: AniListSettings, *, sandbox: bool) -> AniListSource:
    """AniList, or with `sandbox` the made-up one. Raises SettingError for an impossible address."""
    if sandbox:
        from anime_bert4rec.anilist import sandbox as anilist_sandbox

        return anilist_sandbox.Sandbox()
    return AniListClient(settings)


class AniListClient:
    """AniList. `sleep` and `clock`, both in seconds, are its only sources of time.

    Every method may raise AniListError. Raises SettingError for an impossible address.
    """

    def __init__(
        self,
        settings: AniListSettings,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = Connection(
            settings.api_url or os.environ.get("ANILIST_API_URL") or DEFAULT_URL,
            requests_per_minute=settings.requests_per_minute,
            timeout=settings.timeout,
            user_agent=USER_AGENT,
            referer=settings.referer,
            sleep=sleep,
            clock=clock,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def top_anime(
        self, count: int, sort: str, start: CatalogueCursor = BEGINNING, seen: Collection[int] = ()
    ) -> Iterator[CataloguePage]:
        """Pages from `start` until `count` distinct anime are known, those in `seen` counted.

        A page holds only anime that are new. Stored together with it, its `next` lets a later call go on as if there
        had been no break. Raises UserError at once when `sort` doesn't reach as far as `count`.
        """
        if count > MAX_DEPTH and sort != "POPULARITY_DESC":
            raise UserError(
                f"--count {count}: AniList shows only the first {MAX_DEPTH:,} anime of --sort {sort}; "
                f"use --count {MAX_DEPTH} or less, or --sort POPULARITY_DESC"
            )
        return self._pages(count, sort, start, set(seen))

    def _pages(self, count: int, sort: str, start: CatalogueCursor, known: set[int]) -> Iterator[CataloguePage]:
        cursor: CatalogueCursor | None = start
        # ID as the last key: without it, equal anime change places between one page and the next.
        keys = [sort] if sort in ("ID", "ID_DESC") else [sort, "ID"]
        stale = tied = 0  # pages without anything new
        while cursor and cursor.page * PER_PAGE <= MAX_DEPTH and len(known) < count:
            variables: dict[str, Any] = {"page": cursor.page, "sort": keys}
            if cursor.popularity_below is not None:  # a null might be taken for a filter
                variables["popularityBelow"] = cursor.popularity_below
            anime, more = self._connection.ask(TOP_ANIME, variables, "Page", read_page)
            new = [each for each in anime if each.anime_id not in known]
            wanted = new[: count - len(known)]
            known.update(each.anime_id for each in wanted)
            if len(wanted) < len(new):
                following: CatalogueCursor | None = cursor  # whoever wants more later needs the rest of this page
            else:
                following = _after(cursor, anime, sort) if more else None
            if new:
                stale = tied = 0
            elif _is_tied(cursor, anime):
                tied += 1
            else:
                stale += 1
            if following and (stale >= MOST_STALE or tied > MAX_DEPTH // PER_PAGE):
                log.warning("AniList sends page after page without anything new: the last %d ended it", stale + tied)
                following = None
            yield CataloguePage(tuple(wanted), following)
            cursor = following

    def user_list(self, name: str) -> UserList:
        """The whole list of one person. Raises ListUnavailable when it is private or nobody has that name."""
        try:
            parts = [self._list(name)]
        except BadAnswer as error:
            log.warning("%s; asking for the list of %s in pieces of %d", error, plain(name, limit=40), PER_CHUNK)
            parts = self._chunks(name)
        (user_id, spelling), *others = [_whose(part, name) for part in parts]
        if any(other_id != user_id for other_id, _ in others):
            raise BadAnswer(f"AniList sent the lists of several people for {plain(name, limit=40)}")
        entries = one_for_each_anime(entry for part in parts for entry in part.entries)
        return UserList(user_id, spelling, entries, parts[0].score_format)

    def _chunks(self, name: str) -> list[ListPart]:
        chunks: list[ListPart] = []
        known: set[int] = set()
        stale = 0
        for number in range(1, MAX_CHUNKS + 1):
            chunk = self._list(name, chunk=number, perChunk=PER_CHUNK)
            chunks.append(chunk)
            if not chunk.more:
                return chunks
            new = {entry.entry_id for entry in chunk.entries} - known
            known |= new
            stale = 0 if new else stale + 1
            if stale >= MOST_STALE:
                break
        log.warning("AniList's pieces of the list of %s do not end: %d were taken", plain(name, limit=40), len(chunks))
        return chunks

    def _list(self, name: str, **chunk: int) -> ListPart:
        try:
            return self._connection.ask(USER_LIST, {"name": name, **chunk}, "MediaListCollection", read_list)
        except NotFound as error:
            raise ListUnavailable(name, "private" if "private" in str(error).lower() else "unknown") from error


def _whose(part: ListPart, name: str) -> tuple[int, str]:
    """Id and name of the person, who must be the one that was asked for: AniList finds nobody by an earlier name."""
    if part.user_id is None or part.name is None:
        raise BadAnswer(f"AniList does not say whose list it sent for {plain(name, limit=40)}")
    if name_key(part.name) != name_key(name):
        raise BadAnswer(f"AniList sent the list of {plain(part.name, limit=40)} for {plain(name, limit=40)}: not taken")
    return part.user_id, part.name


def _is_tied(cursor: CatalogueCursor, anime: list[Anime]) -> bool:
    """Whether a page may repeat what came before the last window of popularity ended: what is as popular as its end."""
    below = cursor.popularity_below
    return below is not None and bool(anime) and all(each.popularity == below - 1 for each in anime)


def _after(cursor: CatalogueCursor, anime: list[Anime], sort: str) -> CatalogueCursor | None:
    """The cursor of what follows the page at `cursor`, which held `anime`.

    The last page that AniList allows is followed by the first of those no more popular than its last anime. They
    overlap in the anime that are equally popular.
    """
    if (cursor.page + 1) * PER_PAGE <= MAX_DEPTH:
        return CatalogueCursor(cursor.page + 1, cursor.popularity_below)
    lowest = min((each.popularity for each in anime if each.popularity is not None), default=None)
    before = cursor.popularity_below
    if sort != "POPULARITY_DESC" or lowest is None or (before is not None and lowest >= before):
        log.warning("AniList shows no more than %d anime here; there may be more", MAX_DEPTH)
        return None
    if before is None or lowest + 1 < before:
        return CatalogueCursor(1, lowest + 1)
    log.warning("more than %d anime have a popularity of %d; the rest of them is out of reach", MAX_DEPTH, lowest)
    return CatalogueCursor(1, lowest)
