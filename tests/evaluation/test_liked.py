"""Liked: the numbers of people whose scores and first ten are known, the table, and why there is none."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from anime_bert4rec.evaluation.liked import (
    BY_BOTH,
    BY_CATALOGUE,
    BY_LIST,
    BY_TRAINING_USERS,
    Liked,
    as_json,
    by_catalogue,
    by_training_users,
    how_liked,
    how_near,
    measure_liked,
    paragraphs,
    short_lines,
)
from anime_bert4rec.evaluation.measuring import MODEL
from anime_bert4rec.lists.scored_lists import ScoredList
from anime_bert4rec.lists.scores import Scores
from anime_bert4rec.model.predicted_scores import PredictedScores

ITEMS = 12


def predicted(mean, weight=None):
    found = PredictedScores(np.array(mean, np.float32), np.zeros((ITEMS, 1), np.float32), np.array([70, 10], "f4"))
    return found if weight is None else found.with_weight(weight)


def scored(known, hidden):
    items, scores = np.array(list(known)), np.array(list(known.values()), float)
    return ScoredList(items, items, items, scores, np.array(list(hidden)), np.array(list(hidden.values()), float))


def training():
    """Three people: of scores 60, 80 and 100, and 0, ±1.2247 in standard deviations."""
    items = np.array([1, 2, 3, 1, 2, 3, 1, 2, 4], np.int32)
    values = np.array([60, 80, 100, 100, 80, 60, 60, 80, 100], np.float32)
    of_catalogue = np.full(ITEMS, np.nan, np.float32)
    of_catalogue[:4] = [60, 70, 80, 90]
    return Scores(items, values, np.repeat([0, 1, 2], 3), of_catalogue)


def test_the_simple_predictors_are_worked_out_by_hand():
    unit = 1.5**0.5
    by_mean = by_training_users(training())(np.array([9, 10]), np.array([50.0, 70]))
    assert by_mean[:5] == pytest.approx([60 - 10 * unit / 3, 60, 60, 60 + 10 * unit, 60])
    # The line through (60, -u/3) thrice, (70, 0) thrice, (80, 0) twice, (90, u): worked out by its normal equations.
    x = np.array([60, 60, 60, 70, 70, 70, 80, 80, 90.0])
    y = np.array([-unit, unit, -unit, 0, 0, 0, unit, -unit, unit])
    slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    found = by_catalogue(training())(np.array([9, 10]), np.array([50.0, 70]))
    assert found[0] == pytest.approx(60 + 10 * (y.mean() + slope * (60 - x.mean())))
    assert found[1] - found[0] == pytest.approx(10 * slope * 10)
    assert found[5] == pytest.approx(found[0] + 10 * slope * 15), "what has no mean score has that of all, 75"


def test_who_gives_one_score_to_everything_says_nothing_of_what_is_better():
    items, values = np.array([1, 2, 1, 2], np.int32), np.array([70, 70, 60, 80], np.float32)
    of_two = Scores(items, values, np.array([0, 0, 1, 1]), np.full(ITEMS, np.nan, "f4"))
    found = by_training_users(of_two)(np.array([9, 10]), np.array([50.0, 70]))
    assert found[:3].tolist() == [55, 65, 60], "means of 0 and of what the other says, -1 and 1"


def test_without_mean_scores_in_the_catalogue_everything_is_the_persons_mean():
    none = Scores(*(getattr(training(), name) for name in ("items", "values", "person")), np.full(ITEMS, np.nan, "f4"))
    assert by_catalogue(none)(np.array([1]), np.array([65.0])).tolist() == [65] * ITEMS


def test_errors_are_in_the_persons_own_spread():
    asked = [scored({1: 60, 2: 80}, {3: 60, 4: 80}), scored({1: 70}, {2: 70})]
    found = how_near(lambda items, scores: np.arange(ITEMS) * 10.0, asked)  # 3 gets 20, 4 gets 30
    assert found["correlation"][0] == pytest.approx(1) and math.isnan(found["correlation"][1])
    assert found["error"][0] == pytest.approx((40 + 50) / 2 / 10) and math.isnan(found["error"][1])


def test_the_first_ten_by_list_and_by_both():
    # By list 12, 11, … 3 come first, 2 and 1 are known. Below the mean of 70: 12, by 30, 11, by 10; above it 3 and 4.
    asked = [scored({1: 70, 2: 70}, {12: 40, 11: 60, 3: 90, 4: 90})]
    logits = np.arange(1.0, ITEMS + 1)[None]
    weights = {BY_LIST: 0.0, BY_BOTH: 100.0}
    mean = np.zeros(ITEMS)
    mean[[10, 11]], mean[2] = -1, 1
    found = how_liked(lambda histories: logits.copy(), predicted(mean), weights, asked)
    gain = [1 / math.log2(place + 1) for place in range(1, 11)]
    all_four, both = sum(gain[:4]), sum(gain[:2])
    assert found[BY_LIST]["liked"] == pytest.approx([(gain[8] + gain[9]) / both])
    assert found[BY_LIST]["all"] == pytest.approx([(gain[0] + gain[1] + gain[8] + gain[9]) / all_four])
    assert found[BY_LIST]["disliked"].tolist() == [1]
    # By both: 3, then 10 to 4, then 12 and 11.
    assert found[BY_BOTH]["liked"] == pytest.approx([(gain[0] + gain[7]) / both])
    assert found[BY_BOTH]["disliked"].tolist() == [1]
    mean[11] = -9
    assert how_liked(lambda h: logits.copy(), predicted(mean), weights, asked)[BY_BOTH]["disliked"].tolist() == [1]


def test_what_is_known_and_disliked_is_not_ranked():
    known = np.array([1, 2])
    asked = ScoredList(known[:1], known, known, np.array([80.0, 20]), np.array([3]), np.array([90.0]))
    logits = np.array([[1.0, 9, 5, *[0] * (ITEMS - 3)]])  # 2 would come first
    found = how_liked(lambda histories: logits.copy(), predicted(np.zeros(ITEMS)), {BY_LIST: 0.0}, [asked])
    assert found[BY_LIST]["all"].tolist() == found[BY_LIST]["liked"].tolist() == [1]


def measured(count=12, weight=0.25):
    asked = [scored({1: 60, 2: 80}, {3: 60, 4: 80, 5: 20})] * count
    scores = predicted(np.linspace(-1, 1, ITEMS), weight)
    return measure_liked(lambda h: np.zeros((len(h), ITEMS)), scores, training(), asked)


def test_everything_is_in_the_table_and_in_the_json():
    found = measured()
    assert isinstance(found, Liked)
    assert list(found.predicted) == [MODEL, BY_CATALOGUE, BY_TRAINING_USERS]
    text = "\n\n".join(paragraphs(found))
    assert text.startswith("Liked (12 users, 36 hidden scores)\n") and "by both (0.25)" in text
    assert max(map(len, [*text.splitlines(), *short_lines(found)])) <= 80
    assert not re.search(r"\b0\.", "\n".join([*text.replace("(0.25)", "").splitlines(), *short_lines(found)]))
    json = as_json(found)
    assert (json["users"], json["hidden_scores"], json["weight"]) == (12, 36, 0.25)
    assert json["ranked"][BY_BOTH].keys() == {"all", "liked", "disliked"}
    assert json["predicted"][MODEL]["correlation"].keys() == {"mean", "error", "users"}
    assert json["ranked"][BY_LIST]["liked"]["error"] == pytest.approx(0, abs=1e-12)
    assert json["ranked"][BY_LIST]["liked"]["users"] == 12


def test_what_nobody_has_is_no_number():
    """Who gives one score to everything likes nothing more than the rest, and has no correlation."""
    asked = [scored({1: 70, 2: 70}, {3: 70, 4: 70})] * 12
    found = measure_liked(lambda h: np.zeros((len(h), ITEMS)), predicted(np.linspace(-1, 1, ITEMS)), training(), asked)
    json, nothing = as_json(found), {"mean": None, "error": None, "users": 0}
    assert json["predicted"][MODEL] == {"correlation": nothing, "error": nothing}
    assert json["ranked"][BY_BOTH]["liked"] == nothing and json["ranked"][BY_BOTH]["all"]["users"] == 12
    assert short_lines(found) == [] and f"{MODEL:30}{'–':>20}{'–':>18}" in paragraphs(found)[0]


def test_a_model_of_an_earlier_version_ranks_by_the_list_as_it_does_in_recommend():
    found = measured(weight=None)
    assert found.weight == 0 and "by both (0)" in "\n\n".join(paragraphs(found))
    by_list, by_both = (as_json(found)["ranked"][name] for name in (BY_LIST, BY_BOTH))
    assert by_list == by_both != as_json(measured(weight=100.0))["ranked"][BY_BOTH]


@pytest.mark.parametrize(
    ("scores", "people", "reason"),
    [
        (None, 12, "this model predicts no scores"),
        (predicted(np.zeros(ITEMS)), 0, "of those who are asked, nobody scored 20 titles"),
        (predicted(np.zeros(ITEMS)), 1, "of those who are asked, only one scored 20 titles"),
        (predicted(np.zeros(ITEMS)), 9, "of those who are asked, only 9 scored 20 titles"),
    ],
)
def test_why_there_is_none_is_said(scores, people, reason):
    asked = [scored({1: 60}, {3: 60})] * people
    found = measure_liked(lambda h: np.zeros((len(h), ITEMS)), scores, training(), asked)
    assert found == reason
    assert paragraphs(found) == [f"Liked was left out: {reason}."]
    assert short_lines(found) == [] and as_json(found) == {"skipped": reason}


def test_errors_are_in_the_spread_of_all_scores_of_a_person():
    """Known are 40 and 60, hidden 90 and 10: their standard deviation is √850, that of the known ones 10."""
    known = np.array([1, 2])
    asked = ScoredList(known, known, known, np.array([40.0, 60]), np.array([3, 4]), np.array([90.0, 10]))
    found = how_near(lambda items, scores: np.full(4, 50.0), [asked])
    assert found["error"].tolist() == pytest.approx([40 / math.sqrt(850)])
