"""Which titles are taken when they are spread over franchises, studios and genres, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anime_bert4rec.lists.records import Anime, Studio
from anime_bert4rec.recommending.diversity import TraitSimilarity, diversified

ANIME = [
    Anime(1, genres=("Action", "Drama"), studios=(Studio(7, "a", is_main=True), Studio(8, "b"))),
    Anime(2, genres=("Action", "Drama"), studios=(Studio(7, "a", is_main=True),)),
    Anime(3, genres=("Action", "Comedy", "Drama"), studios=(Studio(8, "b", is_main=True),)),
    Anime(4, genres=("Comedy",)),
    Anime(5),
]
FRANCHISE = {1: 1, 2: 2, 3: 3, 4: 4, 5: 4}


def ids(diversity, count=5):
    return [anime.anime_id for anime in diversified(ANIME, count, diversity, FRANCHISE)]


def test_how_alike_two_anime_are():
    similarity = TraitSimilarity(ANIME, FRANCHISE)
    assert similarity.to(0).tolist() == pytest.approx([1, (1 + 1) / 2, (2 / 3 + 0) / 2, 0, 0])
    assert similarity.to(3).tolist() == pytest.approx([0, 0, (1 / 3 + 0) / 2, 1, 1])  # 5 is of the same franchise


def test_without_diversity_the_order_stays():
    assert ids(0) == [1, 2, 3, 4, 5]
    assert ids(0, 2) == [1, 2] and ids(0, 9) == [1, 2, 3, 4, 5]


def test_at_a_half_likeness_weighs_as_much_as_relevance():
    """After 1: 2 is worth .631 - 1, 3 is worth .5 - .333, 4 is worth .431 - 0, 5 is worth .387 - 0, each halved.

    After 4: 2 is still at -.369, 3 at .167, and 5 at .387 - 1.
    """
    assert 1 / math.log2(3) == pytest.approx(0.631, abs=1e-3) and 1 / math.log2(5) == pytest.approx(0.431, abs=1e-3)
    assert ids(0.5) == [1, 4, 3, 2, 5]


def test_as_far_as_can_be():
    """After 1, 4 and 5 are quite unlike it, and 4 ranks better; then 3 is a third alike, and 2 and 5 are wholly."""
    assert ids(1) == [1, 4, 3, 2, 5]
    assert ids(1, 1) == [1]


def test_of_more_the_most_alike_counts():
    random = np.random.default_rng(0)
    genres = np.array(["Action", "Comedy", "Drama", "Sports", "Horror"])
    anime = [Anime(k, genres=tuple(genres[random.random(5) < 0.5])) for k in range(30)]
    franchise, similarity = {k: k for k in range(30)}, TraitSimilarity(anime, {k: k for k in range(30)})
    chosen = [each.anime_id for each in diversified(anime, 8, 0.3, franchise)]
    for taken in range(1, 8):
        worth = {
            k: 0.7 / math.log2(k + 2) - 0.3 * max(float(similarity.to(each)[k]) for each in chosen[:taken])
            for k in range(30)
            if k not in chosen[:taken]
        }
        assert worth[chosen[taken]] == pytest.approx(max(worth.values()))


def test_nothing_is_spread():
    assert diversified([], 3, 0.5, {}) == []
