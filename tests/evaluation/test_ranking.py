"""Ranks and metrics, worked out by hand and beside scikit-learn's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score, top_k_accuracy_score
from small_lists import array, sequences_of

from anime_bert4rec.evaluation.ranking import NEVER, Ranks, best_of, mean_and_error, ranks_by, ranks_of
from anime_bert4rec.lists.sequences import flatten

NAN = math.nan


def scores(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_the_rank_counts_the_higher_scores_of_unseen_items() -> None:
    #              item 1  2    3    4    5
    row = scores([0.5, 0.9, 0.1, 0.7, 0.3])
    assert ranks_of(row, [array()], array(5)).ranks.tolist() == [4]
    assert ranks_of(row, [array(2, 4)], array(5)).ranks.tolist() == [2]
    assert ranks_of(row, [array(3)], array(5)).ranks.tolist() == [4]


def test_a_tie_counts_against_the_target() -> None:
    assert ranks_of(scores([0.5, 0.5, 0.5, 0.1]), [array()], array(1)).ranks.tolist() == [3]
    assert ranks_of(scores([0.5, 0.5, 0.5, 0.1]), [array(3)], array(1)).ranks.tolist() == [2]


def test_a_model_that_scores_all_alike_gets_nothing_right() -> None:
    assert ranks_of(np.zeros((1, 100)), [array()], array(1)).ndcg(10).tolist() == [0.0]


def test_a_score_that_is_no_number_never_counts() -> None:
    assert ranks_of(scores([NAN, 0.1, 0.2]), [array()], array(1)).ranks.tolist() == [NEVER]
    assert ranks_of(scores([NAN, 0.1, 0.2]), [array()], array(3)).ranks.tolist() == [2], "nan is a tie"
    all_nan = ranks_of(scores([NAN, NAN]), [array()], array(1))
    assert (all_nan.hit_rate(10), all_nan.ndcg(10), all_nan.reciprocal_rank()) == (0, 0, 0)


def test_a_target_that_was_seen_cannot_be_recommended() -> None:
    ranks = ranks_of(scores([0.9, 0.1, 0.2]), [array(1)], [array(1, 3)])
    assert ranks.ranks.tolist() == [1, NEVER]


def test_of_several_targets_each_is_ranked_among_all_unseen_items() -> None:
    row = scores([0.9, 0.8, 0.7, 0.6, 0.5])
    assert ranks_of(row, [array(2)], [array(5, 1, 3)]).ranks.tolist() == [1, 2, 4]
    tied = scores([0.5, 0.5, 0.5, 0.1])
    assert ranks_of(tied, [array()], [array(1, 2)]).ranks.tolist() == [2, 3], "the other item comes first"


def test_metrics_of_one_target_by_hand() -> None:
    ranks = Ranks(array(1, 2, 4, NEVER), array(0, 1, 2, 3), 4)
    assert ranks.hit_rate(2).tolist() == [1, 1, 0, 0]
    assert ranks.recall(4).tolist() == [1, 1, 1, 0]
    assert ranks.ndcg(4) == pytest.approx([1, 1 / math.log2(3), 1 / math.log2(5), 0])
    assert ranks.ndcg(3) == pytest.approx([1, 1 / math.log2(3), 0, 0])
    assert ranks.reciprocal_rank() == pytest.approx([1, 1 / 2, 1 / 4, 0])


def test_metrics_of_several_targets_by_hand() -> None:
    ranks = Ranks(array(2, 3, 9), array(0, 0, 0), 1)
    gain, best = 1 / math.log2(3) + 1 / math.log2(4), 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert ranks.ndcg(5) == pytest.approx([gain / best])
    assert ranks.ndcg(2) == pytest.approx([(1 / math.log2(3)) / (1 + 1 / math.log2(3))]), "two places hold two of three"
    assert ranks.recall(5) == pytest.approx([2 / 3])
    assert ranks.recall(2) == pytest.approx([1 / 2]), "of the two that the first two can hold"
    assert ranks.hit_rate(2).tolist() == [1]
    assert ranks.reciprocal_rank().tolist() == [0.5]


def test_ndcg_equals_scikit_learns() -> None:
    random = np.random.default_rng(0)
    table = random.permuted(np.tile(np.arange(60.0), (40, 1)), axis=1)
    seen = [random.choice(30, random.integers(0, 10), replace=False) + 1 for _ in table]
    targets = [random.choice(30, random.integers(1, 20), replace=False) + 31 for _ in table]
    ranks = ranks_of(table, seen, targets)
    for k in (1, 5, 10, 100):
        expected = []
        for row, known, hidden in zip(table, seen, targets, strict=True):
            relevant = np.isin(np.arange(1, 61), hidden)
            unseen = ~np.isin(np.arange(1, 61), known)
            expected.append(ndcg_score(relevant[None, unseen], row[None, unseen], k=k, ignore_ties=True))
        assert ranks.ndcg(k) == pytest.approx(expected)


def test_hits_and_the_mrr_of_one_target_equal_scikit_learns() -> None:
    random = np.random.default_rng(3)
    table = random.permuted(np.tile(np.arange(50.0), (30, 1)), axis=1)
    targets = random.integers(1, 51, 30)
    ranks = ranks_of(table, [array()] * 30, targets)
    for k in (1, 5, 10, 20):
        expected = top_k_accuracy_score(targets - 1, table, k=k, labels=np.arange(50))
        assert ranks.hit_rate(k).mean() == ranks.recall(k).mean() == pytest.approx(expected)
    relevant = np.arange(1, 51) == targets[:, None]
    assert ranks.reciprocal_rank().mean() == pytest.approx(label_ranking_average_precision_score(relevant, table))


def test_lists_and_sequences_mean_the_same() -> None:
    random = np.random.default_rng(1)
    table = random.random((3, 8))
    lists = [[1, 2], [3], [4, 5, 6]]
    as_arrays = ranks_of(table, [np.array(x) for x in lists], [array(7), array(8), array(7, 8)])
    as_sequences = ranks_of(table, sequences_of(*lists), sequences_of([7], [8], [7, 8]))
    assert as_arrays.ranks.tolist() == as_sequences.ranks.tolist()
    assert flatten(sequences_of(*lists))[0].tolist() == [1, 2, 3, 4, 5, 6]
    assert flatten([np.array(x) for x in lists])[1].tolist() == [2, 1, 3]


def test_ranking_in_parts_equals_ranking_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anime_bert4rec.evaluation.ranking.USERS_AT_ONCE", 3)
    table = np.random.default_rng(2).random((8, 20))
    histories = [array(user + 1) for user in range(8)]
    targets = [array(10), array(11, 12), *[array(13)] * 6]

    def scorer(some: list[np.ndarray]) -> np.ndarray:
        return table[[int(history[0]) - 1 for history in some]]

    parts, whole = ranks_by(scorer, histories, targets), ranks_of(table, histories, targets)
    assert parts.ranks.tolist() == whole.ranks.tolist()
    assert parts.ndcg(10).tolist() == whole.ndcg(10).tolist()


def test_the_best_unseen_items_best_first() -> None:
    of_both = scores([0.1, 0.9, NAN, 0.5], [0.4, 0.3, 0.2, 0.1])
    assert best_of(of_both, [array(2), array()], 2).tolist() == [[4, 1], [1, 2]]
    assert best_of(of_both, [array(2), array(1, 4)], 9).tolist() == [[4, 1, 0, 0], [2, 3, 0, 0]]


def test_a_user_without_a_target_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="user 0 has no target"):
        ranks_of(scores([0.1]), [array()], [array()])
    with pytest.raises(ValueError, match="1 rows of scores, 1 histories and 2 targets"):
        ranks_of(scores([0.1]), [array()], array(1, 1))


def test_the_standard_error_by_hand() -> None:
    mean, error = mean_and_error([0, 0, 1, 1])
    assert mean == 0.5
    assert error == pytest.approx(math.sqrt(1 / 3) / 2)  # variance (4 · 0.25) / 3, over 4 users
    assert mean_and_error([0.25]) == (0.25, 0.0)
    # Two users with two values each are as far from the mean as 1 apart: √(2 · (1 + 1)) / 4.
    assert mean_and_error([0, 0, 1, 1], [7, 7, 9, 9]) == (0.5, 0.5)
    assert mean_and_error([0, 1, 0, 1], [7, 7, 9, 9]) == (0.5, 0.0)
    assert mean_and_error([0, 1], [7, 7]) == (0.5, 0.0), "one user tells nothing of others"
