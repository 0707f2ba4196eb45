"""Scores as arrays, and the scale that they are in."""

from __future__ import annotations

import numpy as np
import pytest

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.lists.scores import FIVE, HUNDRED, TEN, Scores, scale_of
from anime_bert4rec.lists.sequences import Vocabulary


def test_scores_are_of_the_vocabulary_person_by_person():
    rows = [(7, 10, 80), (7, 99, 10), (7, 30, 55), (9, 99, 100), (12, 20, 1)]
    catalogue = [
        Anime(10, mean_score=70, average_score=60),
        Anime(20, average_score=65),
        Anime(30),
        Anime(99, mean_score=5),
    ]
    scores = Scores.of(rows, catalogue, Vocabulary.of([10, 20, 30]))
    assert scores.items.tolist() == [1, 3, 2]
    assert scores.values.tolist() == [80, 55, 1]
    assert scores.person.tolist() == [0, 0, 1]
    assert (scores.people, scores.num_items) == (2, 3)
    assert np.array_equal(scores.of_catalogue, [70, 65, np.nan], equal_nan=True)


def test_ids_of_any_size_are_told_apart():
    large = [2**53, 2**53 + 1, 2**63 - 1]
    scores = Scores.of([(7, each, 80.0) for each in large[1:]], [], Vocabulary.of(large))
    assert scores.items.tolist() == [2, 3]


def test_nobody_has_scored():
    scores = Scores.of([], [], Vocabulary.of([10, 20]))
    assert (scores.people, scores.num_items, len(scores.items)) == (0, 2, 0)


@pytest.mark.parametrize(
    ("scores", "scale"),
    [
        ([], TEN),
        ([80], TEN),
        ([80, 80, 80], TEN),
        ([70, 85, 100], TEN),  # halves
        ([70, 84, 100], HUNDRED),
        ([10, 30, 50, 70, 90], TEN),  # of five scores that cannot be told
        ([10, 30, 50, 70, 90] * 2, FIVE),
        ([20, 40, 60, 80, 100] * 2, FIVE),
        ([30, 50, 70] * 4, FIVE),
        ([30, 50, 70] * 3, TEN),
        ([20, 40, 60, 80, 100, 90] * 2, TEN),
        ([10, 20] * 9, TEN),
        ([80] * 20, TEN),
        ([50, 70] * 9, TEN),
    ],
)
def test_the_scale_is_known_from_how_a_list_is_scored(scores, scale):
    assert scale_of(scores) == scale


@pytest.mark.parametrize(
    ("score_format", "scale"),
    [("POINT_100", HUNDRED), ("POINT_10_DECIMAL", TEN), ("POINT_10", TEN), ("POINT_5", FIVE), ("POINT_3", TEN)],
)
def test_what_anilist_says_of_the_scale_counts(score_format, scale):
    for scores in ([73, 84], [80] * 3, [10, 30, 50, 70, 90] * 2, []):
        assert scale_of(scores, score_format) == scale
    assert scale_of([73, 84], "POINT_7") == scale_of([73, 84]) == HUNDRED


def test_a_score_is_shown_in_the_persons_scale():
    assert (TEN.show(84.4), HUNDRED.show(84.4), FIVE.show(84.4)) == ("8.4", "84", "4.2")
    assert (TEN.show(0.3), TEN.show(120), FIVE.of_100(1), HUNDRED.of_100(100)) == ("1.0", "10.0", 1, 100)
