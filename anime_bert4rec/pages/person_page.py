"""The page of what is recommended to somebody: cards to filter and to sort, and the person's place on the map."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from anime_bert4rec.lists.dates import parts
from anime_bert4rec.lists.records import Anime
from anime_bert4rec.pages.kept_map import KeptMap, read_map
from anime_bert4rec.pages.page import page, write_page
from anime_bert4rec.pages.title_table import TitleTable
from anime_bert4rec.recommending.person import Person
from anime_bert4rec.recommending.rows import LANGUAGES, RecommendedAnime
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.text import plain

log = logging.getLogger(__name__)

IMAGE_HOST = "s4.anilist.co"
"""Where AniList keeps its cover pictures; a page shows pictures from nowhere else."""
COVER = re.compile(rf"https://{re.escape(IMAGE_HOST)}/[A-Za-z0-9._~%/+-]{{1,300}}", re.ASCII)


def person_page(
    rows: Sequence[RecommendedAnime],
    catalogue: Collection[Anime],
    names: Sequence[str],
    given: Sequence[int],
    made: str,
    watched: Sequence[int] = (),
    on_map: KeptMap | None = None,
    language: str = LANGUAGES[0],
    covers: bool = False,
    similar: bool = False,
) -> str:
    """The page as HTML.

    names, given: the people by name, and ids that were given as liked titles. made: the day. watched: ids, lit up on
    the map where there is one. language: that of titles, until another is chosen. covers: whether AniList's cover
    pictures are shown, which the browser then loads. similar: whether it is what is like a title, and not for anybody.
    """
    titles = TitleTable(catalogue)
    map_columns = on_map.columns(titles) if on_map else None
    pictures = {anime.anime_id: cover_of(anime) for anime in catalogue} if covers else {}
    cards = [_card(row, titles, pictures.get(row.anime_id)) for row in rows]
    image_host = IMAGE_HOST if any(card["cover"] for card in cards) else None
    if covers and not image_host:
        log.info("The page has no cover pictures: the catalogue knows of none of these titles.")
    scales = [row.score_scale for row in rows if row.score_scale is not None]
    data = {
        "names": [plain(name, 100) for name in names],
        "given": titles.rows(given),
        "similar": similar,
        "made": made,
        "scale": scales[0] if scales else None,
        "image_host": image_host,
        "spelling": language,
        "cards": cards,
        "map": map_columns,
        "lit": titles.known(watched) if on_map else [],
        "links": titles.on_anilist,
        "titles": titles.columns(),
    }
    return page("person", "Recommendations", data, image_host)


def cover_of(anime: Anime) -> str | None:
    """The address of the cover, if it is one of AniList's image host."""
    return anime.cover_url if anime.cover_url and COVER.fullmatch(anime.cover_url) else None


def _card(row: RecommendedAnime, titles: TitleTable, cover: str | None) -> dict[str, Any]:
    return {
        "rank": row.rank,
        "title": titles.row(row.anime_id),
        "predicted": _short(row.predicted_score),
        "planned": row.planned,
        "release": row.release,
        "because": titles.rows(reason.anime_id for reason in row.because),
        "cover": cover,
        "each": [[each.name, _short(each.predicted_score), each.score_scale, each.planned] for each in row.for_each],
    }


def _short(score: float | None) -> float | None:
    return None if score is None else round(score, 2)


def write_person_page(
    rows: Sequence[RecommendedAnime],
    people: Sequence[Person],
    catalogue: Collection[Anime],
    path: Path,
    map_file: Path,
    day: int,
    language: str,
    covers: bool,
    similar: bool,
) -> None:
    """Write the page of these rows for these people, with the map where there is that file. day: 20261004."""
    names = [person.name for person in people if not person.named_titles]
    given = [anime_id for person in people if person.named_titles for anime_id in person.history]
    watched = sorted({anime_id for person in people for anime_id in person.watched})
    made = "{}-{:02}-{:02}".format(*parts(day))
    try:
        on_map = read_map(map_file)
    except UserError as error:
        on_map = None
        log.info("The page has no map: %s", error)
    write_page(path, person_page(rows, catalogue, names, given, made, watched, on_map, language, covers, similar))
    log.info("The page is %s.", path)
