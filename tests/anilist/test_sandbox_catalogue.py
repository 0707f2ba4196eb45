"""The catalogue of the made-up AniList is shaped like the real one's."""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter

import numpy as np
import pytest

from anime_bert4rec.anilist.sandbox import Sandbox
from anime_bert4rec.lists.records import Anime

GENRES = (
    "Action, Adventure, Comedy, Drama, Ecchi, Fantasy, Hentai, Horror, Mahou Shoujo, Mecha, Music, Mystery, "
    "Psychological, Romance, Sci-Fi, Slice of Life, Sports, Supernatural, Thriller"
)


@pytest.fixture(scope="module")
def catalogue() -> dict[int, Anime]:
    """All of it, the most popular first."""
    pages = Sandbox().top_anime(100_000, "POPULARITY_DESC")
    return {anime.anime_id: anime for page in pages for anime in page.anime}


def test_relations_are_mirrored_and_go_forward_in_time(catalogue: dict[int, Anime]) -> None:
    mirrored = {"SEQUEL": "PREQUEL", "PREQUEL": "SEQUEL", "SIDE_STORY": "PARENT", "PARENT": "SIDE_STORY"}
    kinds: Counter[str] = Counter()
    for anime in catalogue.values():
        for relation in anime.relations:
            other = catalogue[relation.anime_id]
            assert mirrored[relation.kind] in [back.kind for back in other.relations if back.anime_id == anime.anime_id]
            if relation.kind in ("SEQUEL", "SIDE_STORY") and anime.start_date and other.start_date:
                assert anime.start_date // 10_000 <= other.start_date // 10_000
            kinds[relation.kind] += 1
    assert kinds["SEQUEL"] == kinds["PREQUEL"] > 3_000
    assert kinds["SIDE_STORY"] == kinds["PARENT"] > 2_000


def test_popularity_has_a_long_tail_and_falls_with_every_sequel(catalogue: dict[int, Anime]) -> None:
    popularity = np.array([anime.popularity for anime in catalogue.values()], float)
    assert popularity[0] > 10 * popularity[1_000] > 40 * popularity[5_000] > 400 * popularity[20_000] > 0
    pairs = [
        (anime.popularity or 0, catalogue[relation.anime_id].popularity or 0)
        for anime in catalogue.values()
        for relation in anime.relations
        if relation.kind == "SEQUEL"
    ]
    assert statistics.mean(first > second for first, second in pairs) > 0.9


def test_what_anime_have(catalogue: dict[int, Anime]) -> None:
    anime = list(catalogue.values())
    assert {genre for each in anime for genre in each.genres} == set(GENRES.split(", "))
    assert all(each.genres and each.tags and each.studios for each in anime)
    assert all(0 < (tag.rank or 0) <= 100 for each in anime for tag in each.tags)
    assert all(each.is_adult == ("Hentai" in each.genres) for each in anime)
    assert 0.01 < statistics.mean(each.is_adult for each in anime) < 0.05
    assert {each.format for each in anime} == {"TV", "MOVIE", "OVA", "ONA", "SPECIAL", "TV_SHORT", "MUSIC"}
    assert {each.status for each in anime} == {"FINISHED", "RELEASING", "NOT_YET_RELEASED"}
    assert {each.season for each in anime} == {"WINTER", "SPRING", "SUMMER", "FALL", None}
    for optional in ("mal_id", "title_english", "start_date", "year", "episodes", "average_score"):
        assert 0.6 < statistics.mean(getattr(each, optional) is not None for each in anime) < 1, optional
    mal_ids = [each.mal_id for each in anime if each.mal_id]
    assert len(set(mal_ids)) == len(mal_ids)


def test_titles_are_unique_and_made_up(catalogue: dict[int, Anime]) -> None:
    anime = list(catalogue.values())
    assert len({each.title_romaji for each in anime}) == len({each.title_native for each in anime}) == len(anime)
    assert all(re.search(r"[\u30a0-\u30ff]{3}", each.title_native or "") for each in anime)
    assert {each.site_url for each in anime} == {f"https://sandbox.invalid/anime/{anime_id}" for anime_id in catalogue}


def test_ids_grow_with_time_and_scores_with_popularity(catalogue: dict[int, Anime]) -> None:
    known = [each for each in catalogue.values() if each.year and each.average_score]
    columns = np.array(
        [(each.anime_id, each.year, each.average_score, math.log(each.popularity or 1)) for each in known]
    )
    ranks = columns.argsort(axis=0).argsort(axis=0)
    assert np.corrcoef(ranks[:, 0], ranks[:, 1])[0, 1] > 0.95
    assert 0.3 < np.corrcoef(columns[:, 2], columns[:, 3])[0, 1] < 0.8
