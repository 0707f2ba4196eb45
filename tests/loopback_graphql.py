"""What the loopback AniList knows and how it answers queries; loopback_anilist.py puts it on the network.

It has AniList's habits: at most 50 a page, a depth limit, made-up totals, equal anime in random order unless ID is a
sort key, relations to manga, nulls inside lists, scores in the user's own format unless POINT_100 is asked for, a
custom list that repeats every third entry and is the only place of every seventh, errors with AniList's statuses and
words.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    Visitor,
    build_schema,
    execute_sync,
    get_argument_values,
    parse,
    validate,
    visit,
)

from anime_bert4rec.lists.records import Anime, ListEntry, UserList

SCHEMA = build_schema((Path(__file__).parent / "anilist_schema.graphql").read_text(encoding="utf-8"))
MANGA_ID = 900_000  # every anime is an adaptation of manga MANGA_ID + its own id

SORT_FIELDS = {
    "POPULARITY": "popularity",
    "TRENDING": "popularity",
    "SCORE": "averageScore",
    "FAVOURITES": "favourites",
    "START_DATE": "seasonYear",
    "EPISODES": "episodes",
}


class World:
    """The catalogue and the people, and answers about them."""

    def __init__(
        self,
        anime: Iterable[Anime | dict[str, Any]],
        users: Mapping[str, UserList | Iterable[ListEntry | dict[str, Any]]],
        private: Collection[str],
        depth: int,
    ) -> None:
        self.media = [media_of(each) if isinstance(each, Anime) else each for each in anime]
        self.users = {
            name.lower(): _user_of(number, name, listed) for number, (name, listed) in enumerate(users.items(), start=1)
        }
        self.private = {name.lower() for name in private}
        self.depth = depth

    def execute(self, query: str, variables: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """HTTP status and body of the answer."""
        try:
            document = parse(query)
        except GraphQLError as error:
            return 400, errors(error.message, 400)
        if wrong := validate(SCHEMA, document):
            return 400, errors(wrong[0].message, 400)
        if (cost := complexity(document)) > 500:
            return 400, errors(f"Max query complexity should be 500 but got {cost}.", 400)
        result = execute_sync(SCHEMA, document, root_value=self, variable_values=variables)
        if result.errors:
            status = getattr(result.errors[0].original_error, "status", 400)
            return status, errors(result.errors[0].message, status, result.data)
        return 200, {"data": result.data}

    def Page(self, info: Any, page: int = 1, perPage: int = 50) -> dict[str, Any]:
        size = min(perPage, 50)
        if page * size > self.depth:
            raise _Refusal(f"Page depth exceeds maximum allowed for API requests ({self.depth} entries)", 400)
        # pageInfo may be asked for before the media that it is about, so those are looked up first.
        asked = next(each for each in info.field_nodes[0].selection_set.selections if each.name.value == "media")
        rows = self._sorted(**get_argument_values(SCHEMA.type_map["Page"].fields["media"], asked, info.variable_values))
        shown = rows[(page - 1) * size : page * size]
        return {
            "media": [*shown, None] if shown else [],
            "pageInfo": {
                "total": 5000,
                "lastPage": 100,
                "perPage": size,
                "currentPage": page,
                "hasNextPage": page * size < len(rows),
            },
        }

    def _sorted(
        self, type: str | None = None, sort: Sequence[str] = ("ID",), popularity_lesser: int | None = None
    ) -> list[dict[str, Any]]:
        below = float("inf") if popularity_lesser is None else popularity_lesser
        rows = [each for each in self.media if _value(each, "POPULARITY") < below]
        random.shuffle(rows)
        for key in reversed(sort):
            rows.sort(key=lambda each, key=key: _value(each, key), reverse=key.endswith("_DESC"))
        return rows

    def MediaListCollection(
        self, info: Any, userName: str, type: str, chunk: int | None = None, perChunk: int = 500
    ) -> dict[str, Any]:
        if userName.lower() in self.private:
            raise _Refusal("Private User", 404)
        user = self.users.get(userName.lower())
        if user is None:
            raise _Refusal("User not found", 404)
        entries, more = user["entries"], False
        if chunk is not None:
            size = min(perChunk, 500)
            more = chunk * size < len(entries)
            entries = entries[(chunk - 1) * size : chunk * size]
        return {"user": user, "lists": _groups(entries), "hasNextChunk": more}


class _Refusal(Exception):
    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def errors(message: str, status: int | None = None, data: Any = None) -> dict[str, Any]:
    """The body of an AniList error, to be used in a Reply."""
    return {"errors": [{"message": message} | ({} if status is None else {"status": status})], "data": data}


def complexity(document: DocumentNode) -> int:
    """AniList's measure of a query, as far as it is known: one for each field that is written down."""

    class Count(Visitor):
        fields = 0

        def enter_field(self, node: FieldNode, *_: Any) -> None:
            self.fields += 1

    count = Count()
    visit(document, count)
    return count.fields


def fuzzy(date: int | None) -> dict[str, int | None]:
    """YYYYMMDD as AniList's FuzzyDate."""
    if date is None:
        return {"year": None, "month": None, "day": None}
    return {"year": date // 10_000, "month": date // 100 % 100 or None, "day": date % 100 or None}


def media_of(anime: Anime) -> dict[str, Any]:
    """An anime in AniList's shape."""
    return {
        "id": anime.anime_id,
        "idMal": anime.mal_id,
        "title": {"romaji": anime.title_romaji, "english": anime.title_english, "native": anime.title_native},
        "synonyms": [*anime.synonyms, None],
        "type": "ANIME",
        "format": anime.format,
        "status": anime.status,
        "source": anime.source,
        "episodes": anime.episodes,
        "duration": anime.duration,
        "season": anime.season,
        "seasonYear": anime.year,
        "startDate": fuzzy(anime.start_date),
        "countryOfOrigin": anime.country,
        "averageScore": anime.average_score,
        "meanScore": anime.mean_score,
        "popularity": anime.popularity,
        "favourites": anime.favourites,
        "isAdult": anime.is_adult,
        "coverImage": {"large": anime.cover_url},
        "siteUrl": anime.site_url,
        "genres": [*anime.genres, None],
        "tags": [
            {
                "id": number,
                "name": tag.name,
                "rank": tag.rank,
                "category": tag.category,
                "isAdult": tag.is_adult,
                "isGeneralSpoiler": tag.is_spoiler,
                "isMediaSpoiler": False,
            }
            for number, tag in enumerate(anime.tags, start=1)
        ]
        + [None],
        "studios": {
            "edges": [
                {"isMain": studio.is_main, "node": {"id": studio.studio_id, "name": studio.name}}
                for studio in anime.studios
            ]
            + [None]
        },
        "relations": {
            "edges": [
                {"relationType": relation.kind, "node": {"id": relation.anime_id, "type": "ANIME"}}
                for relation in anime.relations
            ]
            + [{"relationType": "ADAPTATION", "node": {"id": MANGA_ID + anime.anime_id, "type": "MANGA"}}, None]
        },
    }


def _media_list_of(entry: ListEntry) -> dict[str, Any]:
    return {
        "id": entry.entry_id,
        "mediaId": entry.anime_id,
        "status": entry.status,
        "score": entry.score or 0,
        "progress": entry.progress,
        "repeat": entry.repeats,
        "startedAt": fuzzy(entry.started),
        "completedAt": fuzzy(entry.completed),
        "updatedAt": entry.updated or 0,
        "createdAt": entry.created or 0,
    }


def _user_of(number: int, name: str, listed: UserList | Iterable[ListEntry | dict[str, Any]]) -> dict[str, Any]:
    options: dict[str, str | None] | None = None
    if isinstance(listed, UserList):
        options = {"scoreFormat": listed.score_format}
        number, name, listed = listed.user_id, listed.name, listed.entries
    entries = [_media_list_of(each) if isinstance(each, ListEntry) else dict(each) for each in listed]
    for entry in entries:
        entry["userId"] = number
        entry["score"] = _score_of(entry.get("score"))
    return {"id": number, "name": name, "mediaListOptions": options, "entries": entries}


def _score_of(points: float | None) -> Callable[..., float | None]:
    """A score of 0 to 100, answered as 0 to 10, the format that this user chose, unless the query names another."""
    return lambda info, format=None: points if format == "POINT_100" or points is None else points / 10


def _groups(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any] | None]:
    groups: dict[Any, list[dict[str, Any] | None]] = {}
    for number, entry in enumerate(entries, start=1):
        if number % 7:
            groups.setdefault(entry["status"], [None]).append(entry)
    custom = [entry for number, entry in enumerate(entries, start=1) if number % 7 == 0 or number % 3 == 0]
    by_status = [{"name": str(status).title(), "status": status, "entries": each} for status, each in groups.items()]
    return [{"name": "Favourites ★", "status": None, "isCustomList": True, "entries": custom}, None, *by_status]


def _value(media: Mapping[str, Any], key: str) -> int:
    return media.get(SORT_FIELDS.get(key.removesuffix("_DESC"), "id")) or 0
