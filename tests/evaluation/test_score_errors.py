"""Errors and rank correlations of predicted scores, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anime_bert4rec.evaluation.score_errors import errors, rank_correlation, ranks_with_ties


def test_equal_values_share_the_mean_of_their_ranks():
    assert ranks_with_ties(np.array([50, 10, 50, 90, 50])).tolist() == [3, 1, 3, 5, 3]


def test_rank_correlation():
    assert rank_correlation(np.array([0.1, 0.2, 0.9]), np.array([10, 70, 80])) == pytest.approx(1)
    assert rank_correlation(np.array([3, 2, 1]), np.array([10, 70, 80])) == pytest.approx(-1)
    # Ranks 1 2 3 4 and 1.5 1.5 4 3: the products sum to 3.5, the sums of squares are 5 and 4.5.
    assert rank_correlation(np.arange(4), np.array([5, 5, 9, 7])) == pytest.approx(3.5 / math.sqrt(5 * 4.5))


def test_there_is_no_order_among_equal_scores():
    assert math.isnan(rank_correlation(np.array([1, 2, 3]), np.array([7, 7, 7])))
    assert math.isnan(rank_correlation(np.array([7, 7, 7]), np.array([1, 2, 3])))
    assert math.isnan(rank_correlation(np.array([1]), np.array([7])))


def test_errors_are_in_the_persons_spread():
    assert errors(np.array([60, 90]), np.array([70, 50]), 20.0).tolist() == [0.5, 2.0]
