"""What is taken off the logarithms of scores, to rank by, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anime_bert4rec.model.content_space import ContentSpace
from anime_bert4rec.model.histories import History
from anime_bert4rec.model.item_space import ItemSpace
from anime_bert4rec.model.ranking_leaning import ExpectedPopularity, Leaning, TitleLikeness
from anime_bert4rec.support.errors import UserError

BY_LISTS = ItemSpace(np.array([0, 1]), np.array([[1, 0], [0, 2]], np.float32), num_items=3)
BY_CONTENT = ContentSpace(np.array([0, 0, 2]), np.array([0, 1, 0]), np.array([0.6, 0.8, 1.0]), num_items=3)
POPULARITY = ExpectedPopularity(in_order=np.array([10.0, 10.0, 0.0]), of_sets=np.array([1_000.0, 50.0, 0.0]))
FIRST, SECOND = (History(np.array([item]), in_order=False) for item in (1, 2))


def likeness() -> TitleLikeness:
    return TitleLikeness(BY_LISTS)


def not_asked_for() -> TitleLikeness:
    raise AssertionError("the vectors take a while, and nobody asked for them")


def test_it_leans_away_from_what_is_popular_and_towards_what_is_alike() -> None:
    both = Leaning.of(0.5, 2.0, POPULARITY, likeness).lowered(FIRST)
    # A tenth of the most listed title's, 100, is added; the cosines with the first title are 1, 0 and, unknown, 0.
    assert both == pytest.approx([0.8 * math.log(1_100) - 2, 0.8 * math.log(150), 0.8 * math.log(100)])
    in_order = Leaning.of(1.0, 0.0, POPULARITY, not_asked_for).lowered(FIRST._replace(in_order=True))
    assert in_order == pytest.approx(1.6 * np.log([11, 11, 1]))


def test_without_a_wish_nothing_is_taken_off() -> None:
    assert np.all(Leaning.of(0.0, 0.0, POPULARITY, not_asked_for).lowered(FIRST) == 0)
    assert Leaning.of(0.0, 0.0, None, not_asked_for).lowered(FIRST) == 0
    assert Leaning.of(0.0, 1.0, None, likeness).lowered(SECOND) == pytest.approx([0, -1, 0])


def test_what_is_popular_must_be_known() -> None:
    with pytest.raises(UserError, match="train again"):
        Leaning.of(0.1, 0.0, None, not_asked_for)


def test_what_titles_are_about_counts_half_beside_the_lists_that_have_them() -> None:
    both = TitleLikeness(BY_LISTS, BY_CONTENT)
    # By lists 1, 0 and, unknown, 0; by content 1, nothing known, and 3 / 5.
    assert both.likeness_to(np.array([1])) == pytest.approx([1.5, 0, 0.3])
    # The directions (.6, .8) and (1, 0) have the sum (1.6, .8), whose length is √3.2.
    of_two = np.array([0.96 + 0.64, 0, 1.6]) / math.sqrt(3.2) / 2 + [1, 0, 0]
    assert both.likeness_to(np.array([1, 3])) == pytest.approx(of_two, abs=1e-6)
    lost = both.lost_without(np.array([1, 3]), np.array([0, 1]))
    assert lost == pytest.approx(np.array([of_two - [0.3, 0, 0.5], of_two - [1.5, 0, 0.3]]), abs=1e-6)
    assert Leaning.of(0.0, 2.0, None, lambda: both).lowered(FIRST) == pytest.approx([-3, 0, -0.6])
