"""The typed records that travel between AniList, the sandbox and the database.

Whoever fetches makes them, whoever stores takes them; neither knows the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class Tag:
    """A descriptive tag of an anime. `rank` is 0 to 100: how well users think it fits."""

    name: str
    rank: int | None = None
    category: str | None = None
    is_adult: bool = False
    is_spoiler: bool = False


@dataclass(frozen=True, slots=True)
class Studio:
    studio_id: int
    name: str
    is_main: bool = False


@dataclass(frozen=True, slots=True)
class Relation:
    """A link to another anime. `kind` is AniList's MediaRelation (PREQUEL, SEQUEL, …); new kinds may appear."""

    anime_id: int
    kind: str


@dataclass(frozen=True, slots=True)
class Anime:
    """One title of the catalogue. Dates are YYYYMMDD integers, in which an unknown month or day is 00."""

    anime_id: int
    mal_id: int | None = None
    title_romaji: str | None = None
    title_english: str | None = None
    title_native: str | None = None
    format: str | None = None
    status: str | None = None
    source: str | None = None
    episodes: int | None = None
    duration: int | None = None
    season: str | None = None
    year: int | None = None
    start_date: int | None = None
    country: str | None = None
    average_score: int | None = None
    mean_score: int | None = None
    popularity: int | None = None
    favourites: int | None = None
    is_adult: bool = False
    cover_url: str | None = None
    site_url: str | None = None
    synonyms: tuple[str, ...] = ()
    """Other names: abbreviations, translations, titles in Chinese, …"""
    genres: tuple[str, ...] = ()
    tags: tuple[Tag, ...] = ()
    studios: tuple[Studio, ...] = ()
    relations: tuple[Relation, ...] = ()

    @property
    def usual_score(self) -> int | None:
        """What the people of AniList give it, of 100: the mean score or, where only that is known, the average."""
        return self.mean_score if self.mean_score is not None else self.average_score


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One line of a person's list.

    `score` is 1 to 100, None when unrated. `started` and `completed` are YYYYMMDD integers like `Anime.start_date`;
    `updated` and `created` are unix seconds. None always means unknown, never 0.
    """

    entry_id: int
    anime_id: int
    status: str | None = None
    score: int | None = None
    progress: int = 0
    repeats: int = 0
    started: int | None = None
    completed: int | None = None
    updated: int | None = None
    created: int | None = None

    @property
    def is_watched(self) -> bool:
        """An entry without a status counts as watched when something of it was seen."""
        if self.status is None:
            return self.progress > 0 or self.completed is not None
        return self.status != "PLANNING"


IS_WATCHED = """(entry.status <> 'PLANNING'
    OR entry.status IS NULL AND (entry.progress > 0 OR entry.completed IS NOT NULL))"""
"""`ListEntry.is_watched` in SQL, of a row of the table list_entry that is called `entry`."""


@dataclass(frozen=True, slots=True)
class UserList:
    """A person's whole anime list, each entry once."""

    user_id: int
    name: str
    entries: tuple[ListEntry, ...]
    score_format: str | None = None
    """How the person scores, in AniList's word, such as `POINT_10_DECIMAL`; None where that isn't known."""


class ImportedEntry(NamedTuple):
    """An entry of a list that does not come from AniList, one of millions; fields as in ListEntry, except for these."""

    user: int
    """The `user_names.user_hash` of the name."""
    name: str | None
    """None where names are not kept."""
    anime_id: int
    entry_id: int
    """Grows in the order of the source. Of two entries of one user for the same anime the higher counts."""
    status: str | None
    score: float | None = None
    """The score on the scale of the source: 1 to 10, or 1 to 100."""
    progress: int = 0
    started: int | None = None
    completed: int | None = None
    updated: int | None = None


@dataclass(frozen=True, slots=True)
class CatalogueCursor:
    """Where to go on in the catalogue: the next page, below `popularity_below` if the 5,000-entry limit was passed."""

    page: int = 1
    popularity_below: int | None = None


@dataclass(frozen=True, slots=True)
class CataloguePage:
    """Anime not seen before, and the cursor of the page after it (None at the end)."""

    anime: tuple[Anime, ...]
    next: CatalogueCursor | None


class ListUnavailable(Exception):
    """This person's list cannot be read; others can. `reason` is "unknown" or "private", `where` who was asked."""

    def __init__(self, name: str, reason: str, where: str = "AniList") -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason
        self.where = where


class AniListSource(Protocol):
    """What the real client and the sandbox have in common."""

    def top_anime(
        self, count: int, sort: str, start: CatalogueCursor = CatalogueCursor(), seen: Collection[int] = ()
    ) -> Iterator[CataloguePage]:
        """Pages from `start` until `count` distinct anime are known, those in `seen` counted."""
        ...

    def user_list(self, name: str) -> UserList:
        """The list of one person. Raises ListUnavailable."""
        ...
