"""The questions that are put to AniList, and the records that its answers become.

An answer is taken as it may be wrong: a field of the wrong type or out of range is unknown, an item without a usable
id is skipped, enum values that AniList has yet to invent stay text. Nothing here raises on any JSON. An answer of which
nothing at all can be used is told from an empty one, so that it is asked for again and takes no good list's place.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

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
    user { id name }
    lists {
      entries {
        id mediaId status score(format: POINT_100) progress repeat
        startedAt { year month day } completedAt { year month day } updatedAt createdAt
      }
    }
  }
}"""
QUERIES: tuple[str, ...] = (TOP_ANIME, USER_LIST)

LARGEST = 2**63 - 1  # what SQLite holds
LAST_SECOND = 253_402_300_799  # of the year 9999
MOST_PARTS = 1000  # tags, relations, … of one anime
LONGEST_TEXT = 10_000  # characters
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # NUL and lone surrogates, which UTF-8 and SQLite do not take

Item = TypeVar("Item")


def read_anime(page: dict[str, Any]) -> list[Anime]:
    """The anime of an answered `Page`, each once, in its order."""
    return _unique((_anime(item) for item in _dicts(page.get("media"))), lambda anime: anime.anime_id)


def read_more(page: dict[str, Any]) -> bool:
    """Whether an answered `Page` has a next one. AniList's other numbers (total, lastPage) are made up."""
    return _dict(page.get("pageInfo")).get("hasNextPage") is True and page.get("media") != []


def usable_page(page: dict[str, Any]) -> bool:
    """Whether an answered `Page` is empty or has an anime that can be used."""
    return _none_or_list(page.get("media")) and (not _dicts(page.get("media")) or bool(read_anime(page)))


def count_anime(page: dict[str, Any]) -> int:
    """How many anime an answered `Page` says to have, usable or not."""
    return len(_dicts(page.get("media")))


def count_entries(collection: dict[str, Any]) -> int:
    """How many entries an answered `MediaListCollection` says to have, repeated ones counted again."""
    return sum(len(_dicts(group.get("entries"))) for group in _dicts(collection.get("lists")))


def usable_list(collection: dict[str, Any]) -> bool:
    """Whether an answered `MediaListCollection` is empty or has an entry that can be used."""
    groups = _dicts(collection.get("lists"))
    well_formed = all(map(_none_or_list, [collection.get("lists"), *(group.get("entries") for group in groups)]))
    some = any(_dicts(group.get("entries")) for group in groups)
    return well_formed and (not some or bool(read_entries([collection])))


def read_user(collection: dict[str, Any]) -> tuple[int, str | None] | None:
    """Id and name of whoever an answered `MediaListCollection` belongs to; None when it doesn't say."""
    user = _dict(collection.get("user"))
    user_id = _number(user.get("id"), 1)
    return None if user_id is None else (user_id, _text(user.get("name")))


def read_entries(collections: Iterable[dict[str, Any]]) -> tuple[ListEntry, ...]:
    """The entries of answered `MediaListCollection`s, sorted by id: each once, and one for each anime.

    Custom lists are read too: they repeat entries, and those hidden from the status lists are nowhere else.
    """
    groups = (group for collection in collections for group in _dicts(collection.get("lists")))
    found = [entry for group in groups for entry in map(_entry, _dicts(group.get("entries"))) if entry is not None]
    found.sort(key=lambda entry: (entry.status is None, -(entry.updated or 0), entry.entry_id))  # the best one first
    entries = _unique(found, lambda entry: entry.entry_id)
    one_an_anime = _unique(entries, lambda entry: entry.anime_id)
    return tuple(sorted(one_an_anime, key=lambda entry: entry.entry_id))


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
        episodes=_number(item.get("episodes")),
        duration=_number(item.get("duration")),
        season=_text(item.get("season")),
        year=_number(item.get("seasonYear"), 1800, 9999),
        start_date=_date(item.get("startDate")),
        country=_text(item.get("countryOfOrigin")),
        average_score=_number(item.get("averageScore"), 0, 100),
        mean_score=_number(item.get("meanScore"), 0, 100),
        popularity=_number(item.get("popularity")),
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
    if not year or year < 1800:
        return None
    try:
        datetime.date(year, month or 1, (month and day) or 1)
    except (ValueError, OverflowError):
        return None
    return year * 10_000 + (month or 0) * 100 + ((month and day) or 0)


def _number(value: Any, low: int = 0, high: int = LARGEST) -> int | None:
    """`value` if it is a whole number from `low` to `high`."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if low <= value <= high else None


def _text(value: Any) -> str | None:
    """`value` if it is a text that can be stored, and not endless."""
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
