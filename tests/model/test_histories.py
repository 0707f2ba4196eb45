"""Who names titles asks what else is on lists with them; who has them in order asks what comes next."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from one_memory import fit_memory, fit_unordered_memory
from small_lists import ITEMS, sequences_of

from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.histories import NO_HISTORY, History, HistoryScorer
from anime_bert4rec.recommender import NothingToGoOn, Recommender

KNOWN = Vocabulary.of(range(10, 130, 10))


def test_a_list_is_in_order_and_a_set_is_not():
    listed, named = (History.of(ids, KNOWN) for ids in ([30, 10, 7, 30, 20], frozenset({30, 10, 7, 20, -1, 2**70})))
    assert listed.in_order and listed.items.tolist() == [1, 3, 2], "each at its last place"
    assert not named.in_order and sorted(named.items) == [1, 2, 3]
    assert listed.newest(2).items.tolist() == [3, 2] and sorted(named.newest(2).items) == [1, 2, 3]
    assert not len(History.of({7}, KNOWN).items) and not len(History.of([], KNOWN).items)


@pytest.fixture(scope="module")
def scorer():
    """Lists that run through all items in steps of one, up to seven of them, so that each is followed by the next."""
    random = np.random.default_rng(0)
    runs = [1 + (random.integers(ITEMS) + np.arange(random.integers(4, 8))) % ITEMS for _ in range(80)]
    lists = sequences_of(*runs)
    memory, unordered = fit_memory(lists, ITEMS, max_seq_len=20, seed=0), fit_unordered_memory(lists, ITEMS, seed=0)
    config = ModelConfig(ITEMS, 8, num_heads=2, max_seq_len=20, memory=memory.config, unordered_memory=unordered.config)
    torch.manual_seed(0)
    model = BERT4Rec(config, memory, unordered)
    model.silence_network()
    return HistoryScorer(model)


def listed(*items):
    return History(np.array(items), in_order=True)


def named(*items):
    return History(np.array(items), in_order=False)


def test_what_comes_next_is_told_of_a_list_and_what_is_beside_it_of_a_set(scorer):
    next_one, beside = scorer([listed(4, 5, 6), named(4, 5, 6)])
    assert next_one[7 - 1] > next_one[3 - 1] + 1, "3 is before 4, and comes no more"
    assert abs(beside[7 - 1] - beside[3 - 1]) < 1 and min(beside[[2, 6]]) > beside[11 - 1] + 1


def test_each_is_answered_as_alone(scorer):
    asked = [named(4, 6), listed(9, 1), listed(2), named(8), named(1, 2, 3), NO_HISTORY]
    assert scorer(asked) == pytest.approx(np.concatenate([scorer([one]) for one in asked]), abs=1e-5)


@pytest.mark.parametrize("kind", [listed, named])
def test_leaving_out_is_asking_without(scorer, kind):
    got = scorer.without_each(kind(3, 5, 6, 8), np.array([0, 2, 3]))
    expected = scorer([kind(5, 6, 8), kind(3, 5, 8), kind(3, 5, 6)])
    assert got == pytest.approx(expected, abs=1e-4)
    alone = scorer.without_each(kind(5), np.array([0]))
    assert alone == pytest.approx(scorer([NO_HISTORY._replace(in_order=kind(5).in_order)]), abs=1e-5)


def test_the_network_is_not_asked_about_a_set(scorer):
    before = scorer([named(4, 6), listed(4, 6)])
    model = scorer.model
    model.gate.values.fill_(1)
    with torch.no_grad():
        model.item_bias.normal_(std=5)
    after = HistoryScorer(model)([named(4, 6), listed(4, 6)])
    assert after[0] == pytest.approx(before[0]) and np.abs(after[1] - before[1]).max() > 1
    with torch.no_grad():
        model.item_bias.zero_()
    model.silence_network()


def test_where_lists_have_no_order_one_memory_answers_for_all():
    lists = sequences_of([1, 2, 3], [2, 3, 4], [5, 6, 7], blocks=[[0, 0, 0]] * 3)
    memory = fit_memory(lists, ITEMS, max_seq_len=20, seed=0)
    config = ModelConfig(ITEMS, 8, num_heads=2, max_seq_len=20, ordered=False, memory=memory.config)
    in_order, of_set = HistoryScorer(BERT4Rec(config, memory))([listed(1, 3), named(1, 3)])
    assert in_order == pytest.approx(of_set)


@pytest.fixture
def recommender(scorer):
    """For it the items are the anime 10, 20, … 120."""
    return Recommender(scorer.model, KNOWN)


def test_sets_are_recommended_what_is_beside_them(recommender):
    """Among people with lists, too, and in any order."""
    assert {each.anime_id for each in recommender.recommend({40, 50, 60}, 2)} == {30, 70}
    assert recommender.recommend([40, 50, 60], 1)[0].anime_id == 70
    assert recommender.recommend({60, 40, 50}) == recommender.recommend(frozenset([50, 60, 40]))
    asked = [{40, 50, 60}, [40, 50, 60], set(), [110]]
    many = list(recommender.recommend_many(asked, 4))
    assert many[2] == []
    for at in (0, 1, 3):
        alone = recommender.recommend(asked[at], 4)
        assert [each.anime_id for each in many[at]] == [each.anime_id for each in alone]
    (first,) = recommender.recommend_together([{40}, [90]], 1)
    each = [recommender.scores(ids, [first.anime_id])[0] for ids in ({40}, [90])]
    assert first.score == pytest.approx((each[0] * each[1]) ** 0.5, rel=1e-4)
    with pytest.raises(NothingToGoOn, match="does not know anime 7"):
        recommender.recommend({7})


def test_reasons_of_a_set_are_those_without_which_its_score_falls_most(recommender):
    history = frozenset({30, 60, 110})
    with_all = recommender.scores(history, [70, 120])
    for at, title in enumerate([70, 120]):
        lost = {each: with_all[at] / recommender.scores(history - {each}, [title])[0] for each in history}
        reasons = recommender.because(history, [title])[0]
        assert list(reasons) == sorted((each for each in history if lost[each] > 1), key=lambda each: -lost[each])
    assert recommender.because({30}, [40]) == [(30,)]
