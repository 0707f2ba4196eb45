"""Predicted scores: as the formulas have them, of whoever scores however, and refused where a file is wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from small_lists import sequences_of

from anime_bert4rec.lists.scores import Scores
from anime_bert4rec.model import predicted_scores
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.model_files import load_model, save_model
from anime_bert4rec.model.predicted_scores import (
    ALIKE_VARIANCE,
    FEW_SCORES,
    NOISE,
    OF_TYPICAL,
    OFFSET_VARIANCE,
    PredictedScores,
    fit_scores,
    standard,
)
from anime_bert4rec.support.errors import ModelFileError
from anime_bert4rec.support.forms import WrongForm

ITEMS = 20
FIRST_KIND = np.arange(1, ITEMS + 1) <= ITEMS // 2


def people_of_two_tastes(count=40, seed=0, step=10):
    """Half of them like the first half of the items; of the others it is the other way round."""
    random = np.random.default_rng(seed)
    rows = []
    for person in range(count):
        likes = FIRST_KIND if person % 2 == 0 else ~FIRST_KIND
        scores = 40 + 30 * likes + random.normal(0, 5, ITEMS) + np.linspace(0, 20, ITEMS)
        items = np.sort(random.choice(ITEMS, 12, replace=False))
        rows += [(person, item, np.clip(round(scores[item] / step) * step, 1, 100)) for item in items]
    person, items, values = (np.array(column) for column in zip(*rows, strict=True))
    return Scores(items.astype(np.int32) + 1, values.astype(np.float32), person, np.full(ITEMS, np.nan, np.float32))


@pytest.fixture(scope="module")
def learnt():
    return fit_scores(people_of_two_tastes())


def random_model(seed=0, factors=3):
    random = np.random.default_rng(seed)
    mean, table = random.normal(0, 1, ITEMS), random.normal(0, 1, (ITEMS, factors))
    return PredictedScores(mean.astype(np.float32), table.astype(np.float32), np.array([70, 15], np.float32))


def test_a_prediction_is_the_expectation_given_the_scores():
    model = random_model()
    items, scores = np.array([2, 7, 11, 20]), np.array([80.0, 40, 60, 100])
    mean = (scores.sum() + OF_TYPICAL * 70) / (4 + OF_TYPICAL)
    spread = (((scores - 70) ** 2).sum() + OF_TYPICAL * 15**2) / (4 + OF_TYPICAL)  # 70 is their mean as well
    spread = spread**0.5
    covariance = model.factors.astype(float) @ model.factors.T + OFFSET_VARIANCE
    known = items - 1
    weights = np.linalg.solve(
        covariance[np.ix_(known, known)] + NOISE * np.eye(4), (scores - mean) / spread - model.mean[known]
    )
    expected = mean + spread * (model.mean + covariance[:, known] @ weights)
    assert model.predict(items, scores) == pytest.approx(np.clip(expected, 1, 100), rel=1e-5)


def test_uncertain_is_what_little_is_known_of():
    """Beside the conditional variance of a normal distribution, of which the factors of many items have too little."""
    for factors in (3, 2):  # of four scores as many equations are solved as there are scores or factors and one
        model, items = random_model(factors=factors), np.array([2, 7, 11, 20])
        covariance = model.factors.astype(float) @ model.factors.T + OFFSET_VARIANCE
        known = items - 1
        explained = covariance[:, known] @ np.linalg.solve(
            covariance[np.ix_(known, known)] + NOISE * np.eye(4), covariance[known]
        )
        left = np.maximum(predicted_scores.ITEM_VARIANCE - np.diag(covariance), 0)
        expected = model.given(items, np.array([80.0, 40, 60, 100]))
        uncertainty = expected.uncertainty(np.arange(ITEMS))
        assert uncertainty == pytest.approx(np.sqrt(np.diag(covariance - explained) + left), rel=1e-3)
        assert expected.uncertainty(np.array([5, 1])) == pytest.approx(uncertainty[[5, 1]])
        assert expected.most_uncertain == pytest.approx(np.sqrt(np.diag(covariance) + left), rel=1e-5)
        assert (uncertainty <= expected.most_uncertain + 1e-6).all()
        nothing = model.given(items[:0], np.zeros(0))
        assert nothing.uncertainty(np.arange(ITEMS)) == pytest.approx(expected.most_uncertain)


def test_many_scores_and_few_are_solved_alike():
    wide, items = random_model(factors=3), np.arange(1, 21)
    scores = np.linspace(10, 100, 20)
    zeros = np.zeros((ITEMS, 30), np.float32)  # which change nothing but the number of factors
    narrow = dataclasses.replace(wide, factors=np.concatenate([wide.factors, zeros], 1))
    one, other = wide.given(items, scores), narrow.given(items, scores)
    assert one.values == pytest.approx(other.values, abs=1e-5)
    assert one.uncertainty(np.arange(20)) == pytest.approx(other.uncertainty(np.arange(20)), abs=1e-5)


def test_the_best_are_those_of_all_that_rank_highest():
    expected = random_model().given(np.array([2, 7]), np.array([80.0, 40]))
    random = np.random.default_rng(0)
    for weight in (0, 0.3, 2, 50):
        others = random.normal(size=ITEMS)
        others[[3, 8]] = -np.inf
        ranked_by = others + weight * (expected.values - expected.uncertainty(np.arange(ITEMS)))
        order = np.argsort(-ranked_by, kind="stable")
        for count in (1, 5, 18):
            assert expected.best(others, weight, count).tolist() == order[:count].tolist()
        assert expected.best(others, weight, 30).tolist() == order[:18].tolist()
    assert expected.best(np.full(ITEMS, -np.inf), 1.0, 5).tolist() == expected.best(others, 1.0, 0).tolist() == []
    assert expected.best(np.zeros(ITEMS), 0.0, 3).tolist() == [0, 1, 2], "of equals the first"


def test_a_score_that_is_not_given_has_no_influence(learnt):
    items, scores = np.arange(1, 11), np.linspace(10, 100, 10)
    changed = scores.copy()
    changed[4] = 1
    kept = np.arange(10) != 4
    assert np.array_equal(learnt.predict(items[kept], scores[kept]), learnt.predict(items[kept], changed[kept]))
    assert not np.array_equal(learnt.predict(items, scores), learnt.predict(items, changed))


def test_the_factors_are_of_what_was_scored_together():
    scores = people_of_two_tastes()
    learnt = fit_scores(scores)
    mean, spread = standard(scores.values.astype(float), scores.person, scores.people, learnt.typical)
    differs = np.zeros((ITEMS, scores.people))
    z = (scores.values - mean[scores.person]) / spread[scores.person] - learnt.mean[scores.items - 1]
    offset = np.bincount(scores.person, z) / (12 + predicted_scores.OF_NO_OFFSET)
    count = np.bincount(scores.items - 1)
    differs[scores.items - 1, scores.person] = z - offset[scores.person]
    differs /= np.sqrt(count + FEW_SCORES)[:, None]
    assert learnt.factors @ learnt.factors.T == pytest.approx(differs @ differs.T, abs=1e-4)


def test_what_titles_have_in_common_tells_of_those_that_nobody_scored():
    scores = people_of_two_tastes()
    kept = scores.items != 3
    unscored = Scores(scores.items[kept], scores.values[kept], scores.person[kept], scores.of_catalogue)
    alike = sequences_of(np.flatnonzero(FIRST_KIND) + 1, np.flatnonzero(~FIRST_KIND) + 1)
    learnt = fit_scores(unscored, alike)
    items = np.array([1, 2, 4, 5, 15, 16, 17])
    fan, other = (learnt.predict(items, np.where(FIRST_KIND[items - 1] == first, 90, 40)) for first in (True, False))
    assert fan[2] > other[2] + 10
    without = fit_scores(unscored)
    fan, other = (without.predict(items, np.where(FIRST_KIND[items - 1] == first, 90, 40)) for first in (True, False))
    assert abs(fan[2] - other[2]) < 5


def test_what_titles_have_in_common_is_so_much_of_their_variance():
    """Everybody scores all the same, so that nothing else is known; the mean of the squares of a feature is 1."""
    scores = people_of_two_tastes()
    alike = sequences_of(np.flatnonzero(FIRST_KIND) + 1, np.flatnonzero(~FIRST_KIND) + 1)
    learnt = fit_scores(dataclasses.replace(scores, values=np.full_like(scores.values, 80)), alike)
    of_one_kind = FIRST_KIND[:, None] == FIRST_KIND
    assert learnt.factors @ learnt.factors.T == pytest.approx(ALIKE_VARIANCE * of_one_kind, abs=1e-4)


def test_the_catalogue_tells_of_the_mean_of_what_few_have_scored():
    scores = people_of_two_tastes()
    kept = scores.items != 3
    few = Scores(scores.items[kept], scores.values[kept], scores.person[kept], scores.of_catalogue)
    means = []
    for value in (62, 78):
        of_catalogue = np.linspace(60, 80, ITEMS).astype(np.float32)
        of_catalogue[2] = value
        means.append(fit_scores(dataclasses.replace(few, of_catalogue=of_catalogue)).mean[2])
    assert means[1] > means[0] + 0.3


@pytest.mark.parametrize("step", [1, 10, 20])
def test_tastes_are_told_in_any_scale(step):
    """A hundred points, ten, and five."""
    learnt = fit_scores(people_of_two_tastes(count=300, step=step))
    hidden = people_of_two_tastes(count=30, seed=1, step=step)
    off = []
    for person in range(30):
        own = hidden.person == person
        items, values = hidden.items[own], hidden.values[own]
        known = np.arange(len(items)) % 4 > 0
        predicted = learnt.predict(items[known], values[known])[items[~known] - 1]
        off.append(np.abs(predicted - values[~known]).mean())
    assert np.mean(off) < 10  # of their own means they are 15 away


@pytest.mark.parametrize("score", [1, 50, 100])
def test_equal_scores_are_no_division_by_zero(learnt, score):
    predicted = learnt.predict(np.arange(1, 9), np.full(8, score))
    assert np.isfinite(predicted).all() and predicted.min() >= 1 and predicted.max() <= 100
    assert abs(predicted.mean() - score) < 25


def test_one_score_and_none(learnt):
    none = learnt.predict(np.zeros(0, int), np.zeros(0))
    typical, spread = learnt.typical
    assert none == pytest.approx(np.clip(typical + spread * learnt.mean, 1, 100), abs=1e-3)
    low, high = (learnt.predict(np.array([3]), np.array([score])) for score in (20, 100))
    assert np.isfinite([low, high]).all()
    assert (low < none).all() and high.mean() > none.mean()


def test_too_few_people_tell_nothing():
    scores = people_of_two_tastes(count=9)
    assert fit_scores(scores) is None
    lonely = Scores(scores.items[:1], scores.values[:1], scores.person[:1], scores.of_catalogue)
    assert fit_scores(lonely) is None
    assert fit_scores(dataclasses.replace(lonely, items=lonely.items[:0], person=lonely.person[:0])) is None


def test_people_who_score_everything_the_same():
    scores = people_of_two_tastes()
    learnt = fit_scores(dataclasses.replace(scores, values=np.full_like(scores.values, 80)))
    assert learnt.predict(np.array([1]), np.array([80.0])) == pytest.approx(np.full(ITEMS, 80), abs=1)


def test_it_is_the_same_every_time_and_draws_from_no_common_generator():
    state = torch.get_rng_state()
    one, other = (fit_scores(people_of_two_tastes()) for _ in range(2))
    assert torch.equal(state, torch.get_rng_state())
    assert np.array_equal(one.factors, other.factors)


def test_only_the_largest_factors_are_kept(monkeypatch):
    scores = people_of_two_tastes()
    whole = fit_scores(scores)
    monkeypatch.setattr(predicted_scores, "FACTORS", 4)
    learnt = fit_scores(scores)
    assert learnt.factors.shape == (ITEMS, 4)
    largest, of_whole = (np.linalg.svd(each.factors)[1][0] for each in (learnt, whole))
    assert largest == pytest.approx(of_whole, rel=1e-3)


def test_they_are_kept_as_tensors():
    model = random_model()
    again = PredictedScores.of_tensors(model.tensors(), ITEMS)
    assert all(np.array_equal(getattr(again, name), value) for name, value in vars(model).items())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mean", None),
        ("other", torch.zeros(2)),
        ("mean", torch.zeros(ITEMS + 1)),
        ("mean", torch.zeros(ITEMS, 1)),
        ("mean", torch.zeros(ITEMS, dtype=torch.long)),
        ("mean", torch.full((ITEMS,), float("nan"))),
        ("mean", torch.full((ITEMS,), 1e30)),
        ("factors", torch.zeros(ITEMS)),
        ("factors", torch.zeros(ITEMS - 1, 3)),
        ("factors", torch.full((ITEMS, 3), float("inf"))),
        ("factors", torch.zeros(ITEMS, 5000)),
        ("typical", torch.tensor([70.0, 0.0])),
        ("typical", torch.tensor([70.0, -3.0])),
        ("typical", torch.tensor([0.0, 15.0])),
        ("typical", torch.tensor([70.0])),
        ("typical", torch.tensor([float("nan"), 15.0])),
        ("typical", torch.tensor(70.0)),
    ],
)
def test_what_a_file_holds_must_be_of_the_form(name, value):
    saved = random_model().tensors()
    if value is None:
        del saved[name]
    else:
        saved[name] = value
    with pytest.raises(WrongForm):
        PredictedScores.of_tensors(saved, ITEMS)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda scores: 5,
        lambda scores: {},
        lambda scores: [scores],
        lambda scores: {**scores, "mean": 0.0},
        lambda scores: {**scores, "mean": scores["mean"][:-1]},
        lambda scores: {**scores, "mean": torch.zeros(1).expand(ITEMS)},
        lambda scores: {**scores, "mean": torch.full((ITEMS,), float("nan"))},
        lambda scores: {**scores, "factors": scores["factors"].half()},
        lambda scores: {**scores, "factors": scores["factors"].to_sparse()},
        lambda scores: {**scores, "factors": scores["factors"].to("meta")},
        lambda scores: {**scores, "more": scores["mean"]},
    ],
)
def test_a_model_file_with_other_predicted_scores_is_refused_in_one_line(tmp_path, spoil):
    path = tmp_path / "m.pth"
    model = BERT4Rec(ModelConfig(ITEMS, 8, num_heads=2, max_seq_len=5))
    model.predicted_scores = random_model()
    save_model(path, model, epoch=3, val_loss=1.5)
    assert load_model(path)[0].predicted_scores is not None
    saved = torch.load(path, weights_only=True)
    torch.save({**saved, "predicted_scores": spoil(saved["predicted_scores"])}, path)
    with pytest.raises(ModelFileError) as caught:
        load_model(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
