"""The questions that are put to AniList, and the records that its answers become.

An answer may be wrong: a field of the wrong type or out of range is unknown, an item without a usable id is skipped,
enum values that AniList has yet to invent stay text. An answer of which nothing at all can be used is no empty one: it
raises BadAnswer, so that it is asked for again and takes no good list's place. One that is longer than any of AniList's
raises Refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from anime_bert4rec.anilist.connection import BadAnswer, Refused
from anime_bert4rec.lists.dates import LAST_SECOND, date_of_parts
from anime_bert4rec.lists.records import Anime, ListEntry, Relation, Studio, Tag

TOP_ANIME = """
query TopAnime($page: Int!, $sort: [MediaSort], $popularityBelow: Int) {
  Page(page: $page, perPage: 50) {
    pageInfo { hasNextPage }
    media(type: ANIME, sort: $sort, popularity_lesser: $popularityBelow) {
      id idMal title { romaji english native } synonyms
      format status(version: 2) source(version: 3) episodes duration season seasonYear startDate { year month day }
      countryOfOrigin averageScore meanScore popularity favourites isAdult coverImage { large } siteUrl
      genres tags { name rank category isAdult isGeneralSpoiler isMediaSpoiler }
      studios { edges { isMain node { id name } } }
      relations { edges { relationType(version: 2) node { id type } } }
    }
  }
}"""
USER_LIST = """
query UserList($name: String!, $chunk: Int, $perChunk: Int) {
  MediaListCollection(userName: $name, type: ANIME, chunk: $chunk, perChunk: $perChunk) {
    hasNextChunk
    user { id name mediaListOptions { scoreFormat } }
    lists {
      entries {
        id mediaId status score(format: POINT_100) progress repeat
        startedAt { year month day } completedAt { year month day } updatedAt createdAt
      }
    }
  }
}"""
QUERIES: tuple[str, ...] = (TOP_ANIME, USER_LIST)

PER_PAGE = 50
"""Anime of one page."""

MOST_ANIME = 10 * PER_PAGE
"""The most anime that a page may hold before it is refused."""

MOST_ENTRIES = 200_000
"""The most entries of one answer: custom lists may repeat each of 11,000 several times."""

LARGEST = 2**63 - 1
"""The largest number that SQLite holds."""

MOST_PEOPLE = 2**53
"""The largest popularity that is taken: one more than it is a number that SQLite holds, too."""

MOST_PARTS = 1000
"""The most tags, relations or the like that are taken of one anime."""

LONGEST_TEXT = 10_000
"""The most characters of a text; a longer one counts as unknown."""

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # NUL and lone surrogates, which UTF-8 and SQLite do not take

Item = TypeVar("Item")


class Page(NamedTuple):
    """An answered `Page`: its anime, each once, in its order, and whether there is a next page."""

    anime: list[Anime]
    more: bool


class ListPart(NamedTuple):
    """An answered `MediaListCollection`, the whole list or a chunk of it: whose it is, None where it isn't said.

    `entries` are all that can be used, as they come, repeated ones too.
    """

    user_id: int | None
    name: str | None
    entries: list[ListEntry]
    more: bool
    score_format: str | None = None
    """How the person scores, in AniList's word, such as `POINT_10_DECIMAL`."""


def read_page(page: dict[str, Any]) -> Page:
    """The record of an answered `Page`. AniList's other numbers (total, lastPage) are made up and not read."""
    media = page.get("media")
    items = _dicts(media)
    if len(items) > MOST_ANIME:
        raise Refused(f"AniList sent {len(items):,} anime in one page, where {PER_PAGE} are the most")
    anime = _unique(map(_anime, items), lambda anime: anime.anime_id)
    if not _none_or_list(media) or (items and not anime):
        raise BadAnswer("AniList sent a page of which nothing can be used")
    return Page(anime, _dict(page.get("pageInfo")).get("hasNextPage") is True and media != [])


def read_list(collection: dict[str, Any]) -> ListPart:
    """The record of an answered `MediaListCollection`.

    Custom lists are read too: they repeat entries, and those hidden from the status lists are nowhere else.
    """
    groups = _dicts(collection.get("lists"))
    items = [item for group in groups for item in _dicts(group.get("entries"))]
    if len(items) > MOST_ENTRIES:
        raise Refused(f"AniList sent a list of {len(items):,} entries: it has none so long")
    entries = [entry for entry in map(_entry, items) if entry is not None]
    well_formed = all(map(_none_or_list, [collection.get("lists"), *(group.get("entries") for group in groups)]))
    if not well_formed or (items and not entries):
        raise BadAnswer("AniList sent a list of which nothing can be used")
    user = _dict(collection.get("user"))
    return ListPart(
        user_id=_number(user.get("id"), 1),
        name=_text(user.get("name")),
        entries=entries,
        more=collection.get("hasNextChunk") is True,
        score_format=_text(_dict(user.get("mediaListOptions")).get("scoreFormat")),
    )


def one_for_each_anime(found: Iterable[ListEntry]) -> tuple[ListEntry, ...]:
    """The best entry for each anime, sorted by id: one in a status list rather than in custom lists only, and of these
    the one that changed last."""
    best = sorted(found, key=lambda entry: (entry.status is None, -(entry.updated or 0), entry.entry_id))
    entries = _unique(best, lambda entry: entry.entry_id)
    of_each_anime = _unique(entries, lambda entry: entry.anime_id)
    return tuple(sorted(of_each_anime, key=lambda entry: entry.entry_id))


def _anime(item: dict[str, Any]) -> Anime | None:
    anime_id = _number(item.get("id"), 1)
    if anime_id is None:
        return None
    title = _dict(item.get("title"))
    studios = [_studio(edge) for edge in _edges(item.get("studios"))]
    studios.sort(key=lambda studio: not (studio and studio.is_main))
    return Anime(
        anime_id=anime_id,
        mal_id=_number(item.get("idMal"), 1),
        title_romaji=_text(title.get("romaji")),
        title_english=_text(title.get("english")),
        title_native=_text(title.get("native")),
        format=_text(item.get("format")),
        status=_text(item.get("status")),
        source=_text(item.get("source")),
        episodes=_number(item.get("episodes"), 1),
        duration=_number(item.get("duration"), 1),
        season=_text(item.get("season")),
        year=_number(item.get("seasonYear"), 1800, 9999),
        start_date=_date(item.get("startDate")),
        country=_text(item.get("countryOfOrigin")),
        average_score=_number(item.get("averageScore"), 1, 100),
        mean_score=_number(item.get("meanScore"), 1, 100),
        popularity=_number(item.get("popularity"), 0, MOST_PEOPLE),
        favourites=_number(item.get("favourites")),
        is_adult=item.get("isAdult") is True,
        cover_url=_text(_dict(item.get("coverImage")).get("large")),
        site_url=_text(item.get("siteUrl")),
        synonyms=_texts(item.get("synonyms")),
        genres=_texts(item.get("genres")),
        tags=tuple(_unique(map(_tag, _dicts(item.get("tags"))[:MOST_PARTS]), lambda tag: tag.name)),
        studios=tuple(_unique(studios, lambda studio: studio.studio_id)),
        relations=tuple(_unique(map(_relation, _edges(item.get("relations"))), lambda relation: relation)),
    )


def _tag(item: dict[str, Any]) -> Tag | None:
    name = _text(item.get("name"))
    if name is None:
        return None
    return Tag(
        name=name,
        rank=_number(item.get("rank"), 0, 100),
        category=_text(item.get("category")),
        is_adult=item.get("isAdult") is True,
        is_spoiler=item.get("isGeneralSpoiler") is True or item.get("isMediaSpoiler") is True,
    )


def _studio(edge: dict[str, Any]) -> Studio | None:
    node = _dict(edge.get("node"))
    studio_id, name = _number(node.get("id"), 1), _text(node.get("name"))
    if studio_id is None or name is None:
        return None
    return Studio(studio_id, name, is_main=edge.get("isMain") is True)


def _relation(edge: dict[str, Any]) -> Relation | None:
    """A relation to an anime; those to manga and novels are of no use here."""
    node = _dict(edge.get("node"))
    anime_id, kind = _number(node.get("id"), 1), _text(edge.get("relationType"))
    if anime_id is None or kind is None or node.get("type") != "ANIME":
        return None
    return Relation(anime_id, kind)


def _entry(item: dict[str, Any]) -> ListEntry | None:
    entry_id, anime_id = _number(item.get("id"), 1), _number(item.get("mediaId"), 1)
    if entry_id is None or anime_id is None:
        return None
    return ListEntry(
        entry_id=entry_id,
        anime_id=anime_id,
        status=_text(item.get("status")),
        score=_score(item.get("score")),
        progress=_number(item.get("progress")) or 0,
        repeats=_number(item.get("repeat")) or 0,
        started=_date(item.get("startedAt")),
        completed=_date(item.get("completedAt")),
        updated=_number(item.get("updatedAt"), 1, LAST_SECOND),
        created=_number(item.get("createdAt"), 1, LAST_SECOND),
    )


def _score(value: Any) -> int | None:
    """1 to 100; AniList's 0 means unrated."""
    return _number(round(value) if isinstance(value, float) and 0 <= value <= 100 else value, 1, 100)


def _date(value: Any) -> int | None:
    """YYYYMMDD of a FuzzyDate, an unknown month or day as 00; None without a year or if there is no such day."""
    date = _dict(value)
    year, month, day = (_number(date.get(part)) for part in ("year", "month", "day"))
    return date_of_parts(year, month or 0, day or 0) if year and year >= 1800 else None


def _number(value: Any, low: int = 0, high: int = LARGEST) -> int | None:
    """Return `value` if it is a whole number from `low` to `high`."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if low <= value <= high else None


def _text(value: Any) -> str | None:
    """Return `value` if it is a text of a length that can be stored, without what cannot."""
    return _UNSTORABLE.sub("", value) or None if isinstance(value, str) and len(value) <= LONGEST_TEXT else None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_unique(map(_text, value[:MOST_PARTS] if isinstance(value, list) else []), lambda text: text))


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[dict[str, Any]]:
    """The objects in a list, without nulls and whatever else is in it; nothing when it isn't a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _none_or_list(value: Any) -> bool:
    return value is None or isinstance(value, list)


def _edges(connection: Any) -> list[dict[str, Any]]:
    return _dicts(_dict(connection).get("edges"))[:MOST_PARTS]


def _unique(items: Iterable[Item | None], key: Callable[[Item], Any]) -> list[Item]:
    """The first item of each key, in order, without the missing ones."""
    first: dict[Any, Item] = {}
    for item in items:
        if item is not None:
            first.setdefault(key(item), item)
    return list(first.values())
