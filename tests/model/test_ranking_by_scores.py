"""Ranked by list, by score and by both: orders worked out by hand, of one person, of many and of several together."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from small_models import IDS

from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.model.predicted_scores import PredictedScores
from anime_bert4rec.model.ranking_by_scores import best_columns
from anime_bert4rec.recommender import Recommender
from anime_bert4rec.support.errors import NoPredictedScores


@pytest.fixture
def with_scores(popular):
    """The same with scores: of a mean of 70 and a spread of 10, the first title is expected at −1, the last at 2."""
    mean = np.array([-1, 0, 0, 1, 2], np.float32)
    model = popular._score.model
    model.predicted_scores = PredictedScores(mean, np.zeros((5, 1), np.float32), np.array([70, 10], np.float32))
    model.predicted_scores = model.predicted_scores.with_weight(0.5)
    return Recommender(model, Vocabulary.of(IDS))


def by_hand(log_share, scores, weight, recommender):
    """The ids of the best of all but 30."""
    expected = recommender._by_scores.expected_of(scores)
    ranked_by = np.log(log_share) + weight * (expected.values - expected.uncertainty(np.arange(5)))
    return [IDS[place] for place in np.argsort(-ranked_by) if IDS[place] != 30]


def test_of_equals_the_first_wins_also_where_the_cut_is_among_them():
    others = np.tile([1.0, -np.inf, 3, 1, 2], 200)  # 3 in the columns 2, 7, …, 2 in 4, 9, …, and 1 in 0, 3, 5, 8, …
    highest = [*range(2, 1000, 5), *range(4, 1000, 5)]
    for top_k, expected in (
        (3, [2, 7, 12]),
        (201, [*range(2, 1000, 5), 4]),
        (403, [*highest, 0, 3, 5]),
        (1000, [*highest, *sorted([*range(0, 1000, 5), *range(3, 1000, 5)])]),
        (0, []),
    ):
        assert best_columns(others, top_k, None, 0).tolist() == expected


def test_by_both_is_the_log_of_the_probability_and_the_weighted_score(with_scores):
    scores, shares = {30: 70}, [0.1, 0.2, 0.4, 0.2, 0.1]
    # Scores are all equally uncertain here: log .1 − .5, log .2, (30), log .2 + .5 and log .1 + 1.
    assert by_hand(shares, scores, 0.5, with_scores) == [40, 50, 20, 10]
    best = with_scores.recommend([30], scores=scores)
    assert [each.anime_id for each in best] == [40, 50, 20, 10]
    assert [each.score for each in best] == pytest.approx([0.2 / 0.6, 0.1 / 0.6, 0.2 / 0.6, 0.1 / 0.6])
    assert [each.anime_id for each in with_scores.recommend([30], 2, [40], scores=scores)] == [50, 20]


def test_by_score_it_does_not_matter_how_many_list_a_title(with_scores):
    best = with_scores.recommend([30], scores={30: 70}, by="score")
    assert [each.anime_id for each in best] == [50, 40, 20, 10]
    assert [each.anime_id for each in with_scores.recommend([30], by="score")] == [50, 40, 20, 10], "as most would"


def test_by_score_what_little_is_known_of_does_not_lead(with_scores):
    factors = np.zeros((5, 1), np.float32)
    factors[4] = 3  # it varies by 9 more than the others
    model = with_scores._score.model
    model.predicted_scores = dataclasses.replace(model.predicted_scores, factors=factors)
    asked = Recommender(model, Vocabulary.of(IDS))
    assert [each.anime_id for each in asked.recommend([30], scores={30: 70}, by="score")] == [40, 20, 50, 10]
    assert asked.predicted_scores([30], [70], [50, 40])[0] > asked.predicted_scores([30], [70], [40])[0]


def test_who_has_scored_nothing_and_by_list_gets_what_is_listed(with_scores, popular):
    plain = with_scores.recommend([30], by="list", scores={30: 70})
    assert [each.anime_id for each in plain] == [20, 40, 10, 50]
    assert with_scores.recommend([30]) == with_scores.recommend([30], scores={999: 70}, by="list") == plain
    assert with_scores.recommend_together([[30], [30]]) == plain


def test_who_has_scored_nothing_gets_to_the_last_bit_what_a_model_without_scores_gives(with_scores, popular):
    histories, excludes = [[20], [30], [40, 10]], [[10], [], [20]]
    plain = list(popular.recommend_many(histories, 3, excludes))
    assert list(with_scores.recommend_many(histories, 3, excludes, scores=[{}, {}, {}])) == plain
    beside = list(with_scores.recommend_many(histories, 3, excludes, scores=[{}, {30: 70, 20: 1}, {}]))
    assert (beside[0], beside[2]) == (plain[0], plain[2]) and beside[1] != plain[1]
    assert with_scores.recommend([30], 3) == popular.recommend([30], 3)
    assert with_scores.recommend_together(histories) == popular.recommend_together(histories)


def test_scores_of_titles_that_the_model_does_not_know_are_none(with_scores):
    assert with_scores.recommend([30], 3, scores={2**40: 55, -1: 80}) == with_scores.recommend([30], 3)


def test_scores_may_be_given_by_id_and_must_be_as_many_as_the_titles(with_scores):
    in_order = with_scores.predicted_scores([10, 20], [90, 20], [30, 40])
    assert with_scores.predicted_scores([10, 20], {20: 20, 10: 90, 99: 5}, [30, 40]) == in_order
    assert with_scores.predicted_scores([10, 20], {10: 90}, [30]) == with_scores.predicted_scores([10], [90], [30])
    with pytest.raises(ValueError, match="there are 1 scores for 2 anime"):
        with_scores.predicted_scores([10, 20], [90], [30])


def test_a_model_without_predicted_scores_goes_without_them(popular):
    assert popular.recommend([30], scores={30: 70}) == popular.recommend([30])
    assert popular.recommend_together([[30]], scores=[{30: 70}]) == popular.recommend([30])
    for ask in (popular.recommend, lambda ids, **more: popular.recommend_together([ids], **more)):
        with pytest.raises(NoPredictedScores):
            ask([30], by="score")
        with pytest.raises(ValueError, match="'mean' is none of list, score, both"):
            ask([30], by="mean")


def test_of_a_model_whose_weight_is_not_known_the_list_counts(with_scores):
    model = with_scores._score.model
    model.predicted_scores = dataclasses.replace(model.predicted_scores, weight=None)
    asked = Recommender(model, Vocabulary.of(IDS))
    assert asked.recommend([30], scores={30: 70}) == asked.recommend([30], by="list")
    assert [each.anime_id for each in asked.recommend([30], scores={30: 70}, by="score")] == [50, 40, 20, 10]


def test_many_at_once_are_ranked_by_their_own_scores(with_scores):
    histories, scores = [[30], [], [20], [30]], [{30: 70}, {30: 70}, {10: 100, 20: 70}, {}]
    many = list(with_scores.recommend_many(histories, 3, None, scores=scores))
    for history, given, found in zip(histories, scores, many, strict=True):
        assert found == (with_scores.recommend(history, 3, scores=given) if history else [])
    with pytest.raises(ValueError, match="zip"):
        list(with_scores.recommend_many(histories, 3, None, scores=scores[:2]))
    excludes = [[40], [], [], [20]]
    both = list(with_scores.recommend_many(histories, 3, excludes, scores=scores))
    assert [each.anime_id for each in both[0]] == [50, 20, 10] and [each.anime_id for each in both[3]] == [40, 10, 50]


def test_scores_of_what_is_no_id_are_refused(with_scores):
    with pytest.raises(TypeError):
        with_scores.predicted_scores([30.7], [90], [20])
    with pytest.raises(TypeError):
        with_scores.recommend([30], scores={40.9: 10}, by="score")


def test_ids_in_words_as_json_has_them_are_refused_instead_of_passed_over(with_scores):
    for ids, scores in (([30], {"30": 90}), (["30"], {30: 90}), (["30"], [90])):
        with pytest.raises(TypeError, match="'str' object"):
            with_scores.predicted_scores(ids, scores, [20])


def test_a_score_of_0_is_none_as_anilist_writes_it(with_scores):
    assert with_scores.recommend([30], scores={30: 0}) == with_scores.recommend([30], by="list")
    assert with_scores.recommend([30], scores={30: 70, 20: 0}) == with_scores.recommend([30], scores={30: 70})
    by_score = with_scores.recommend([30], scores={30: 0.0}, by="score")
    assert by_score == with_scores.recommend([30], by="score")
    for scores in ([0, 90], {10: 0, 20: 90}):
        assert with_scores.predicted_scores([10, 20], scores, IDS) == with_scores.predicted_scores([20], [90], IDS)
    together = with_scores.recommend_together([[30], [30]], scores=[{30: 70}, {30: 0}])
    assert together == with_scores.recommend_together([[30], [30]], scores=[{30: 70}, {}])


def test_scores_that_are_not_by_id_are_refused_instead_of_passed_over(with_scores):
    """As `predicted_scores` takes them, and none of them is the id of a title."""
    for by in ("both", "list", "score"):
        with pytest.raises(TypeError, match="by anime id, as in"):
            with_scores.recommend([30, 20], scores=[71, 72], by=by)
        with pytest.raises(TypeError, match="by anime id, as in"):
            with_scores.recommend_together([[30, 20]], scores=[[71, 72]], by=by)


def test_together_it_is_the_mean_of_what_is_expected_of_each(with_scores):
    one, other = {30: 70}, {}
    # The other has scored nothing, so that a quarter of each deviation counts: log .2 + .25 and log .1 + .5.
    best = with_scores.recommend_together([[30], [30]], scores=[one, other])
    assert [each.anime_id for each in best] == [40, 20, 50, 10]
    assert with_scores.recommend_together([[30], [30]], scores=[one, one]) == with_scores.recommend([30], scores=one)
    by_score = with_scores.recommend_together([[30], [30]], scores=[one, other], by="score")
    assert [each.anime_id for each in by_score] == [50, 40, 20, 10]


def test_predicted_scores_are_of_the_titles_that_the_model_knows(popular):
    with pytest.raises(NoPredictedScores) as error:
        popular.predicted_scores([10], [80], [20])
    assert "\n" not in str(error.value) and not popular.predicts_scores
    random = np.random.default_rng(0)
    mean, factors = random.normal(0, 0.3, 5).astype(np.float32), random.normal(size=(5, 2)).astype(np.float32)
    scores = PredictedScores(mean, factors, np.array([70, 15], np.float32))
    popular._score.model.predicted_scores = scores
    asked = Recommender(popular._score.model, Vocabulary.of(IDS))
    expected = scores.predict(np.array([5, 2]), np.array([90, 30]))
    got = asked.predicted_scores([50, 999, 20], [90, 5, 30], [10, 999, -1, 40])
    assert got == [pytest.approx(expected[0]), None, None, pytest.approx(expected[3])]
    assert asked.predicted_scores([50, 20, 50], [1, 30, 90], [10]) == [pytest.approx(expected[0])], "the last counts"
    assert asked.predicted_scores([], [], [30]) == [pytest.approx(70 + 15 * mean[2])]
    assert asked.predicted_scores([50], [90], []) == []
    for wrong in (101, -1, float("nan")):
        with pytest.raises(ValueError, match="of 100"):
            asked.predicted_scores([50], [wrong], [10])
    with pytest.raises(ValueError, match="there are 0 scores for 1 anime"):
        asked.predicted_scores([50], [], [10])
