"""NDCG against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anime_bert4rec.model.ndcg import discounts, gains, ideal, ndcg

SECOND = 1 / math.log2(3)


def test_places_by_hand() -> None:
    assert gains(np.array([1, 3, 10, 11]), 10).tolist() == pytest.approx([1, 1 / 2, 1 / math.log2(11), 0])
    assert gains(np.array([np.iinfo(np.int64).max]), 10).tolist() == [0]
    assert discounts(3).tolist() == pytest.approx([1, SECOND, 1 / 2])
    assert ideal(3).tolist() == pytest.approx([0, 1, 1 + SECOND, 1.5 + SECOND])


def test_ranked_items_by_hand() -> None:
    ranked = np.array([5, 3, 9])
    assert ndcg(ranked, np.array([3])) == pytest.approx(SECOND)
    assert ndcg(ranked, np.array([3, 9])) == pytest.approx((SECOND + 1 / 2) / (1 + SECOND))
    assert ndcg(ranked, np.array([1, 2, 4, 5])) == pytest.approx(1 / (1.5 + SECOND)), "no more than three could come"
