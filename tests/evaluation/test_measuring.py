"""What is measured of rankings, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from anime_bert4rec.evaluation.measuring import coverage, mean_popularity, shuffle_gap
from anime_bert4rec.evaluation.questions import Task
from anime_bert4rec.evaluation.ranking import ranks_of


def test_the_shuffle_gap_of_a_model_that_is_blind_to_order_is_zero():
    def blind(histories):
        return np.array([(np.arange(1, 41) * int(items.sum())) % 7 for items in histories])

    def what_follows_the_newest(histories):
        return np.array([[item == items[-1] + 1 for item in range(1, 41)] for items in histories], float)

    histories = [np.arange(1, 11), np.arange(5, 16)]
    task = Task(np.arange(2), histories, [np.array([11]), np.array([16])], histories)
    in_order = ranks_of(blind(histories), histories, task.targets).ndcg(10)
    assert shuffle_gap(blind, task, in_order, seed=1) == (0, 0)
    in_order = ranks_of(what_follows_the_newest(histories), histories, task.targets).ndcg(10)
    assert in_order.tolist() == [1, 1]
    assert shuffle_gap(what_follows_the_newest, task, in_order, seed=1) == (1, 0)


def test_coverage_and_popularity_by_hand():
    top = np.array([[1, 2, 3], [1, 4, 0]])
    assert coverage(top, 8) == 4 / 8
    popularity = np.array([0.8, 0.5, 0.2, 0.0, 1, 1, 1, 1])
    assert mean_popularity(top, popularity) == pytest.approx([1.5 / 3, 0.8 / 2])
