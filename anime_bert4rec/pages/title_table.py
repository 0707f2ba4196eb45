"""The titles of a page: a table by columns, in which each title has one row, whoever speaks of it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.support.text import plain

LONGEST_TITLE = 200
LONGEST_OTHERS = 300
MOST_GENRES = 12
ANILIST = "https://anilist.co/"


class TitleTable:
    """The rows so far. An anime is added when it is first spoken of, and found again afterwards."""

    def __init__(self, catalogue: Iterable[Anime]) -> None:
        self._catalogue = {anime.anime_id: anime for anime in catalogue}
        self._rows: dict[int, int] = {}
        self._genres: dict[str, int] = {}

    def row(self, anime_id: int) -> int:
        """The row of an anime, one that is not in the catalogue too."""
        return self._rows.setdefault(anime_id, len(self._rows))

    def rows(self, anime_ids: Iterable[int]) -> list[int]:
        return [self.row(each) for each in anime_ids]

    def known(self, anime_ids: Iterable[int]) -> list[int]:
        """The rows of those that have one already."""
        return [self._rows[each] for each in anime_ids if each in self._rows]

    @property
    def on_anilist(self) -> bool:
        """Whether the ids are AniList's, so that links to it lead somewhere; those of the sandbox are made up."""
        return all((self._of(each).site_url or ANILIST).startswith(ANILIST) for each in self._rows)

    def columns(self) -> dict[str, Any]:
        """The table as the scripts read it: a list for each column, None where nothing is known."""
        anime = [self._of(each) for each in self._rows]
        return {
            "id": [each.anime_id for each in anime],
            "romaji": [_title(each.title_romaji) for each in anime],
            "english": [_title(each.title_english) for each in anime],
            "native": [_title(each.title_native) for each in anime],
            "others": [_in_other_scripts(each) for each in anime],
            "year": [each.year for each in anime],
            "format": [plain(each.format or "", 20) or None for each in anime],
            "episodes": [each.episodes for each in anime],
            "mean": [each.usual_score for each in anime],
            "genres": [[self._genre(genre) for genre in each.genres[:MOST_GENRES]] for each in anime],
            "genre_names": list(self._genres),
        }

    def _of(self, anime_id: int) -> Anime:
        return self._catalogue.get(anime_id) or Anime(anime_id)

    def _genre(self, name: str) -> int:
        return self._genres.setdefault(plain(name, 40), len(self._genres))


def _title(text: str | None) -> str | None:
    return plain(text or "", LONGEST_TITLE) or None


def _in_other_scripts(anime: Anime) -> str | None:
    """The synonyms that have other letters than Latin ones, such as Chinese titles, to be searched."""
    others = [plain(each, LONGEST_TITLE) for each in anime.synonyms if _has_other_letters(each)]
    return plain(" / ".join(others), LONGEST_OTHERS) or None


def _has_other_letters(text: str) -> bool:
    return any(each.isalpha() and not unicodedata.name(each, "").startswith("LATIN") for each in text)
