"""What is taken off the logarithms of scores, to rank by, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anime_bert4rec.model.item_space import ItemSpace
from anime_bert4rec.model.ranking_leaning import Leaning
from anime_bert4rec.support.errors import UserError

SPACE = ItemSpace(np.array([0, 1]), np.array([[1, 0], [0, 2]], np.float32), num_items=3)
POPULARITY = np.array([1_000.0, 50.0, 0.0])


def no_space() -> ItemSpace:
    raise AssertionError("the vectors take a while, and nobody asked for them")


def test_it_leans_away_from_what_is_popular_and_towards_what_is_alike() -> None:
    both = Leaning.of(0.5, 2.0, POPULARITY, lambda: SPACE).lowered(np.array([1]))
    # A tenth of the most listed title's, 100, is added; the cosines with the first title are 1, 0 and, unknown, 0.
    assert both == pytest.approx([0.5 * math.log(1_100) - 2, 0.5 * math.log(150), 0.5 * math.log(100)])
    assert Leaning.of(1.0, 0.0, POPULARITY / 100, no_space).lowered(np.array([1])) == pytest.approx(
        np.log([40, 30.5, 30])
    ), "but at least 30"


def test_without_a_wish_nothing_is_taken_off() -> None:
    assert np.all(Leaning.of(0.0, 0.0, POPULARITY, no_space).lowered(np.array([1])) == 0)
    assert Leaning.of(0.0, 0.0, None, no_space).lowered(np.array([1])) == 0
    assert Leaning.of(0.0, 1.0, None, lambda: SPACE).lowered(np.array([2])) == pytest.approx([0, -1, 0])


def test_what_is_popular_must_be_known() -> None:
    with pytest.raises(UserError, match="train again"):
        Leaning.of(0.1, 0.0, None, no_space)
