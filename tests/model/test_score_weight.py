"""What predicted scores count for beside what is listed: chosen by hand, and never by who was learnt from."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_lists import ITEMS, untrained_model

from anime_bert4rec.lists.scored_lists import ScoredList
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.next_item_scorer import ModelScorer
from anime_bert4rec.model.predicted_scores import Expectation, PredictedScores
from anime_bert4rec.model.score_weight import (
    FEWEST_ASKED,
    USUAL_WEIGHT,
    WEIGHTS,
    fit_weight,
    gains_of,
    nearest_of_the_best,
)


def expectation(values, uncertainty=0.0):
    values = np.array(values, float)
    of_all = np.full(len(values), uncertainty)
    return Expectation(70, 10, values, lambda columns: of_all[columns], of_all)


def question(hidden, given, seen=(), scores=(70.0,)):
    seen, scores = np.array(seen or [1]), np.array(scores)
    return ScoredList(seen, seen, seen[: len(scores)], scores, np.array(hidden), np.array(given, float))


def test_the_gain_is_of_what_was_liked_among_what_is_not_known():
    logits = np.array([[9.0, 1, 0.89, 0.82, 0.45]])
    asked = question(hidden=[2, 4], given=[60, 90])  # 1 is known; 4 is liked
    (liked,), (listed,) = (each.T for each in gains_of(logits, [expectation([0, -1, 0, 1, 0])], [asked]))
    # Without scores 2, 3, 4 come first. With .1 it is 4 (.92), 2 (.9), 3 (.89); with .2 2 (.8) is behind 3 and with .6
    # (.4) behind 5.
    assert liked.tolist() == pytest.approx([1 / 2, *[1.0] * (len(WEIGHTS) - 1)])
    best = 1 + 1 / math.log2(3)
    third, fourth = (1 + 1 / 2) / best, (1 + 1 / math.log2(5)) / best
    assert listed.tolist() == pytest.approx([third, 1, *[third] * 4, *[fourth] * 2])


def test_what_is_known_and_disliked_is_not_ranked():
    known = np.array([1, 2])
    asked = ScoredList(known[:1], known, known, np.array([80.0, 20]), np.array([3]), np.array([90.0]))
    logits = np.array([[1.0, 9, 5, 0]])  # 2 would come first
    liked, listed = gains_of(logits, [expectation([0, 0, 0, 0])], [asked])
    assert liked.ravel().tolist() == listed.ravel().tolist() == [1] * len(WEIGHTS)


def test_who_liked_nothing_that_is_hidden_is_not_counted():
    nobody, one = question(hidden=[2], given=[70]), question(hidden=[2], given=[80])
    of_nobody = gains_of(np.zeros((1, 3)), [expectation([0, 0, 0])], [nobody])
    assert [each.shape for each in of_nobody] == [(len(WEIGHTS), 0)] * 2
    both = gains_of(np.zeros((2, 3)), [expectation([0, 0, 0])] * 2, [nobody, one])
    assert [each.shape for each in both] == [(len(WEIGHTS), 1)] * 2


def test_of_the_weights_within_a_standard_error_of_the_best_the_one_nearest_to_the_usual_is_taken():
    gains = np.zeros((len(WEIGHTS), 4))
    assert nearest_of_the_best(gains) == USUAL_WEIGHT == WEIGHTS[4], "all are as good"
    gains[:] = np.linspace(0, 0.6, len(WEIGHTS))[:, None]
    assert nearest_of_the_best(gains) == WEIGHTS[-1], "the same for everybody"
    # The best loses to the one before it by .1 for two of four and wins by .2 for the others: .05 ± .0866.
    gains[-2] = gains[-1] + [0.1, 0.1, -0.2, -0.2]
    assert nearest_of_the_best(gains) == WEIGHTS[-2]
    gains[-2] = gains[-1] - [0.1, 0.1, 0.1, 0.11]
    assert nearest_of_the_best(gains) == WEIGHTS[-1]
    assert nearest_of_the_best(np.eye(len(WEIGHTS))[:, :1]) == 0, "one person tells no error"
    gains = np.zeros((len(WEIGHTS), 4))
    gains[4] = -0.1
    assert nearest_of_the_best(gains) == WEIGHTS[3], "of two that are as near the lower"


def some_predicted(seed=0):
    random = np.random.default_rng(seed)
    mean, factors = random.normal(0, 1, ITEMS), random.normal(0, 0.1, (ITEMS, 2))
    return PredictedScores(mean.astype(np.float32), factors.astype(np.float32), np.array([70, 15], np.float32))


def questions_of(predicted, count, liking=1):
    """People who give what is expected of them, or its opposite."""
    random, asked = np.random.default_rng(1), []
    for _ in range(count):
        items = random.permutation(ITEMS) + 1
        scores = 70 + 15 * liking * predicted.mean[items - 1]
        asked.append(ScoredList(items[:4], items[:4], items[:4], scores[:4], items[4:], scores[4:]))
    return asked


def test_it_is_fitted_on_the_memory_alone_and_changes_nothing_else():
    model, predicted = untrained_model(), some_predicted()
    before, state = model.gate.values.clone(), torch.get_rng_state()
    with_taste = fit_weight(model, predicted, questions_of(predicted, 40))
    assert with_taste.weight.item() > USUAL_WEIGHT
    assert fit_weight(model, predicted, questions_of(predicted, 40, liking=-1)).weight.item() == 0
    assert torch.equal(before, model.gate.values) and torch.equal(state, torch.get_rng_state()) and not model.training
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=9)
    again = fit_weight(model.train(), predicted, questions_of(predicted, 40))
    assert again.weight.tolist() == with_taste.weight.tolist() and model.training
    assert predicted.weight is None


def test_what_is_listed_counts_beside_what_is_liked():
    """The title that all like comes first with every weight; with scores, what nobody listed comes before the rest."""
    model, known = untrained_model(), np.array([1])
    model.silence_network()
    logits = ModelScorer(model)([known])[0]
    first, *more = [item for item in (1 + np.argsort(-logits)).tolist() if item != 1]
    mean = np.full(ITEMS, 20, np.float32)  # far more than the memory's few, in which the titles differ
    mean[np.array(more[:3]) - 1], mean[first - 1] = -20, 99
    predicted = PredictedScores(mean, np.zeros((ITEMS, 2), np.float32), np.array([70, 15], np.float32))
    asked = ScoredList(known, known, known, np.array([70.0]), np.array([first, *more[:3]]), np.array([100.0, 1, 1, 1]))
    assert fit_weight(model, predicted, [asked] * FEWEST_ASKED).weight.item() == 0


def test_too_few_people_or_no_memory_leave_the_usual_weight():
    predicted = some_predicted()
    few = questions_of(predicted, FEWEST_ASKED - 1)
    assert fit_weight(untrained_model(), predicted, few).weight.item() == pytest.approx(USUAL_WEIGHT)
    equal = [replace(each, scores=each.scores * 0 + 70, given=each.given * 0 + 70) for each in few * 2]
    of_equal = fit_weight(untrained_model(), predicted, equal)
    assert of_equal.weight.item() == pytest.approx(USUAL_WEIGHT), "nobody likes one more than another"
    model = BERT4Rec(ModelConfig(ITEMS, 8, num_heads=2, max_seq_len=4))
    assert fit_weight(model, predicted, questions_of(predicted, 40)).weight.item() == pytest.approx(USUAL_WEIGHT)
