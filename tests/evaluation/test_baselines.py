"""The baselines, on lists so small that what they give can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import cosine_similarity
from small_lists import array, sequences_of

from anime_bert4rec.evaluation import baselines
from anime_bert4rec.evaluation.baselines import EASE, ItemKNN, MarkovChain, Popularity, Weighting, co_occurrences

LISTS = sequences_of([1, 2, 3], [1, 2], [2, 3], [1])
MANY = sequences_of(*[(np.random.default_rng(u).choice(12, 4 + u % 5, replace=False) + 1).tolist() for u in range(30)])


def test_popularity_is_the_number_of_lists() -> None:
    scorer = Popularity().fit(LISTS, 4)
    assert scorer([array(1), array()]).tolist() == [[3, 3, 2, 0], [3, 3, 2, 0]]


def test_lists_together() -> None:
    assert co_occurrences(LISTS, 3).tolist() == [[3, 2, 1], [2, 3, 2], [1, 2, 2]]


def test_the_newest_item_counts_most() -> None:
    histories = [array(3, 1, 2), array()]
    assert Weighting(0.5).of(histories, 4).tolist() == [[0.5, 1, 0.25, 0], [0, 0, 0, 0]]
    assert Weighting(last=2).of(histories, 4).tolist() == [[1, 1, 0, 0], [0, 0, 0, 0]]
    assert Weighting(0.5).of([array(1, 2, 1)], 2).tolist() == [[1, 0.5]], "an item counts once, as its newest"
    assert Weighting(0.5).of(sequences_of([3, 1, 2], [2]), 3).tolist() == [[0.5, 1, 0.25], [0, 1, 0]]


def test_item_knn_by_hand() -> None:
    scores = ItemKNN(neighbours=3, shrink=0).fit(LISTS, 3)([array(1), array(1, 2)])
    to_2, to_3, between = 2 / 3, 1 / math.sqrt(6), 2 / math.sqrt(6)
    assert scores == pytest.approx(np.array([[0, to_2, to_3], [to_2, to_2, to_3 + between]]))
    shrunk = ItemKNN(neighbours=3, shrink=1).fit(LISTS, 3)([array(1)])
    assert shrunk == pytest.approx(np.array([[0, 2 / 4, 1 / (math.sqrt(6) + 1)]]))


def test_item_knn_keeps_the_nearest_neighbours_of_the_item_it_scores() -> None:
    scores = ItemKNN(neighbours=1, shrink=0).fit(LISTS, 3)([array(1), array(2)])
    assert scores == pytest.approx(np.array([[0, 0, 0], [2 / 3, 0, 2 / math.sqrt(6)]])), "1 isn't the nearest of 2 or 3"


def test_item_knn_equals_scikit_learns_cosine() -> None:
    on_list = Weighting().of(MANY, 12)
    cosine = cosine_similarity(on_list.T)
    np.fill_diagonal(cosine, 0)
    assert ItemKNN(neighbours=12, shrink=0).fit(MANY, 12)(MANY) == pytest.approx(on_list @ cosine, abs=1e-5)


def test_ease_equals_scikit_learns_ridge() -> None:
    on_list = Weighting().of(MANY, 12)
    scores = EASE(l2=3).fit(MANY, 12)(MANY)
    for item in range(12):
        others = np.delete(on_list, item, axis=1)
        ridge = Ridge(alpha=3, fit_intercept=False).fit(others, on_list[:, item])
        assert scores[:, item] == pytest.approx(ridge.predict(others), abs=1e-4)


@pytest.mark.parametrize("l2", [0.5, 20])
def test_ease_is_the_ridge_regression_of_each_item_on_the_others(l2: float) -> None:
    on_list = Weighting().of(MANY, 12).astype(float)
    expected = np.zeros((12, 12))
    for item in range(12):
        others = np.arange(12) != item
        features = on_list[:, others]
        gram = features.T @ features + l2 * np.eye(11)
        expected[others, item] = np.linalg.solve(gram, features.T @ on_list[:, item])
    assert EASE(l2=l2).fit(MANY, 12)(MANY) == pytest.approx(on_list @ expected, abs=1e-5)


def test_markov_counts_by_hand() -> None:
    chain = MarkovChain(steps=2, decay=0.5, prior=0, weighting=Weighting(0.1))
    # 1 → 2 twice in a row, 1 → 3 once two steps apart, 2 → 3 twice in a row; 3 is always last.
    row_1, row_2, row_3 = [0, 2 / 2.5, 0.5 / 2.5], [0, 0, 1], [0, 0, 0]
    scores = chain.fit(LISTS, 3)([array(1), array(2), array(3), array(1, 2)])
    assert scores == pytest.approx(np.array([row_1, row_2, row_3, [0, 0.1 * 2 / 2.5, 1 + 0.1 * 0.5 / 2.5]]))


def test_markov_does_not_step_from_one_user_to_the_next() -> None:
    scores = MarkovChain(prior=0).fit(sequences_of([1, 2], [3, 4]), 4)([array(2)])
    assert scores.tolist() == [[0, 0, 0, 0]]


def test_markov_draws_rare_items_to_popularity() -> None:
    scores = MarkovChain(steps=1, prior=2).fit(LISTS, 3)([array(3), array(2)])
    popularity = np.array([3, 3, 2]) / 8
    assert scores == pytest.approx(np.array([popularity, (np.array([0, 0, 2]) + 2 * popularity) / 4]))


def test_only_the_most_popular_items_are_in_a_table_that_would_be_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = sequences_of([1, 4, 3], [4, 1], [4, 3], [2], [1, 4])
    monkeypatch.setattr(baselines, "MAX_ITEMS", 3)
    few = ItemKNN(shrink=0).fit(lists, 4)([array(4), array(2)])
    monkeypatch.setattr(baselines, "MAX_ITEMS", 4)
    every = ItemKNN(shrink=0).fit(lists, 4)([array(4), array(2)])
    assert few == pytest.approx(every), "2 shares no list with the others"
    assert few[0].tolist() == pytest.approx([3 / math.sqrt(12), 0, 2 / math.sqrt(8), 0])
