"""Ranking less by what is popular, and more by what is alike."""

import numpy as np
import pytest

from anime_bert4rec.model.ranking_leaning import ExpectedPopularity
from anime_bert4rec.support.errors import UserError


@pytest.mark.parametrize("titles", [[4, 5], {4, 5}])
def test_niche_ranks_with_less_of_the_popularity_and_keeps_the_scores(knowing, titles):
    """By the memory that answers: in order title k counts as on 3 (k - 1) lists, and a tenth of the most, 8.7, is
    added; in sets as on 300 (30 - k) and 870."""
    knowing._popularity = ExpectedPopularity(in_order=np.arange(30) * 3.0, of_sets=np.arange(29, -1, -1) * 300.0)
    counts = knowing._popularity.in_order + 8.7 if isinstance(titles, list) else knowing._popularity.of_sets + 870
    plain = knowing.recommend(titles, top_k=28)
    score = {each.anime_id: each.score for each in plain}
    for niche in (0.3, 1.0):
        ranked = knowing.recommend(titles, top_k=28, niche=niche)
        assert {each.anime_id: each.score for each in ranked} == score
        by_hand = [np.log(score[each.anime_id]) - 1.6 * niche * np.log(counts[each.anime_id - 1]) for each in ranked]
        assert by_hand == pytest.approx(sorted(by_hand, reverse=True), abs=1e-5)
        assert [each.anime_id for each in ranked] != [each.anime_id for each in plain]


def ids(recommendations):
    return [each.anime_id for each in recommendations]


def cosines_by_hand(recommender, history):
    """Of each title's vector, and of the sum of the directions of the history."""
    model = recommender._score.model
    direction = (model.unordered_memory or model.memory).direction
    known, vectors = recommender.vocabulary.anime_ids[direction.columns.numpy()], direction.vectors[0].numpy()
    directions = {each: vector / np.linalg.norm(vector) for each, vector in zip(known.tolist(), vectors, strict=True)}
    whole = sum(directions[each] for each in history)
    return {each: vector @ whole / np.linalg.norm(whole) for each, vector in directions.items()}


def test_alike_ranks_with_more_of_the_likeness_and_keeps_the_scores(knowing):
    titles = {4, 20}  # in no order, of which both models know enough
    plain = knowing.recommend(titles, top_k=28)
    score, cosine = {each.anime_id: each.score for each in plain}, cosines_by_hand(knowing, titles)
    for alike in (0.5, 10.0):
        ranked = knowing.recommend(titles, top_k=28, alike=alike)
        assert {each.anime_id: each.score for each in ranked} == score
        by_hand = [np.log(score[each.anime_id]) + alike * cosine[each.anime_id] for each in ranked]
        assert by_hand == pytest.approx(sorted(by_hand, reverse=True), abs=1e-5)
    assert ids(ranked) != ids(plain)
    many = knowing.recommend_many([{9}, titles, {99}], 28, alike=10.0)
    assert list(map(ids, many)) == [ids(knowing.recommend({9}, 28, alike=10.0)), ids(ranked), []]


def test_alike_to_all_of_a_long_list_in_order(knowing):
    titles = [1, 30, 2, 29, 3, 28, 4, 27, 5, 26, 6]
    score = {each.anime_id: each.score for each in knowing.recommend(titles, 30)}
    cosine = cosines_by_hand(knowing, titles)
    (ranked,) = knowing.recommend_many([titles], 30, alike=10.0)
    by_hand = [np.log(score[each.anime_id]) + 10 * cosine[each.anime_id] for each in ranked]
    assert by_hand == pytest.approx(sorted(by_hand, reverse=True), abs=1e-5)


def test_what_a_title_is_like_is_a_reason_for_it(knowing):
    cosines = {each: cosines_by_hand(knowing, [each]) for each in (4, 20)}
    beside = {each: max((4, 20), key=lambda title: cosines[title][each]) for each in (2, 3, 5, 6, 18, 19, 21, 22)}
    assert beside == dict.fromkeys((2, 3, 5, 6), 4) | dict.fromkeys((18, 19, 21, 22), 20)
    reasons = knowing.because({4, 20}, list(beside), most=1, alike=10.0)
    assert dict(zip(beside, reasons, strict=True)) == {each: (title,) for each, title in beside.items()}
    lost = knowing._likeness.lost_without(np.array([4, 20]), np.array([0, 1]))
    assert lost[1, 20] == pytest.approx(cosines_by_hand(knowing, [4, 20])[21] - cosines[4][21], abs=1e-6)
    assert knowing.because({4}, [5], alike=10.0) == [(4,)], "of one title all of it"


def test_alike_to_both_for_two_people_together(knowing):
    plain = knowing.recommend_together([{4, 5}, {20}], 27)
    first, second = cosines_by_hand(knowing, {4, 5}), cosines_by_hand(knowing, {20})
    ranked = knowing.recommend_together([{4, 5}, {20}], 27, alike=10.0)
    assert set(ranked) == set(plain) and ids(ranked) != ids(plain)
    by_hand = [np.log(each.score) + 10 * (first[each.anime_id] + second[each.anime_id]) / 2 for each in ranked]
    assert by_hand == pytest.approx(sorted(by_hand, reverse=True), abs=1e-5)


@pytest.mark.parametrize("niche", [-0.1, 1.5, float("nan")])
def test_niche_is_from_0_to_1(knowing, niche):
    with pytest.raises(ValueError, match="from 0 to 1"):
        knowing.recommend([4, 5], niche=niche)


@pytest.mark.parametrize("alike", [-0.1, 10.5, float("nan")])
def test_alike_is_from_0_to_10(knowing, alike):
    with pytest.raises(ValueError, match="from 0 to 10"):
        knowing.recommend([4, 5], alike=alike)


def test_niche_needs_a_model_that_knows_what_is_popular(popular):
    with pytest.raises(UserError, match="doesn't know how popular its titles are: train again"):
        popular.recommend([30], niche=0.5)
    assert len(popular.recommend([30], alike=1.0)) == 4, "the network's embeddings say what is alike"


def test_the_popularity_is_that_of_the_memory_that_answers(knowing):
    model = knowing._score.model
    known = ExpectedPopularity.of(model)
    assert known.in_order.tolist() == model.memory.expected_popularity().tolist()
    if model.unordered_memory is not None:
        model.unordered_memory.popularity[3] = 77
        now = ExpectedPopularity.of(model)
        assert (now.of_sets[3], now.in_order[3]) == (77 + 30, known.in_order[3])
    else:
        assert known.of_sets.tolist() == known.in_order.tolist()
