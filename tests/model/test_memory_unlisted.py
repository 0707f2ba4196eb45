"""Items on no list: ranked by what the catalogue says, when recommendations are asked for, and only then."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from one_memory import fit_memory
from small_lists import sequences_of

from anime_bert4rec.lists.sequences import PAD
from anime_bert4rec.model.batches import MaskedBatches, ask_what_comes_next
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.gate import MEMORY
from anime_bert4rec.model.hidden_positions import BatchSettings
from anime_bert4rec.model.histories import History
from anime_bert4rec.model.memory_popularity import expected_shares, must_be_new
from anime_bert4rec.model.memory_unlisted import WEIGHT, UnlistedItems, UnlistedSizes
from anime_bert4rec.model.model_files import load_model, save_model
from anime_bert4rec.model.ranking_leaning import ExpectedPopularity, Leaning, TitleLikeness

ITEMS = 6
GROUPS = [[1, 2, 5], [3, 4, 6], [1, 3, 5, 6], [1, 2], [5, 6]]  # the last two relate no unlisted item to a listed one


def trained_on(ordered):
    lists = [[1, 2], [2, 1], [3, 4], [4, 3], [1, 2, 3]] * 8
    return sequences_of(*lists, blocks=None if ordered else [[0] * len(one) for one in lists])


def model_of(ordered, **more):
    sequences = trained_on(ordered)
    alike = sequences_of(*GROUPS)
    memory = fit_memory(sequences, ITEMS, max_seq_len=4, seed=1, alike=alike)
    return BERT4Rec(ModelConfig(ITEMS, 8, 1, 1, 4, ordered=ordered, memory=memory.config, **more), memory).eval()


def recommend(model, items):
    batch = ask_what_comes_next([np.array(items)], ITEMS + 1, 4, model.config.ordered)
    with torch.inference_mode():
        return model(batch, rank_unlisted=True)[0].numpy()


def test_in_common_by_hand():
    popularity = np.array([3, 2, 1, 1, 0, 0])
    unlisted = UnlistedItems.of(sequences_of(*GROUPS), popularity)
    assert unlisted.columns.tolist() == [4, 5]
    assert unlisted.sizes == UnlistedSizes(items=2, groups=3, members=10, memberships=4)
    share = unlisted(torch.tensor([[1, 4, PAD, ITEMS + 1], [1, 2, 3, 4]]), ITEMS)
    # Item 5 is in {1, 2, 5} and {1, 3, 5, 6}: of the first a third is on the list, of the second a quarter; a list of
    # all listed items would give two thirds and a half. Item 6 is in {3, 4, 6} and {1, 3, 5, 6}.
    assert share[0].tolist() == pytest.approx([WEIGHT * (1 / 3 + 1 / 4) / (2 / 3 + 1 / 2)] * 2)
    assert share[1].tolist() == pytest.approx([WEIGHT, WEIGHT])
    # Of item 2 alone a third of {1, 2, 5} is on the list, and nothing of the other group, nor of those of item 6.
    assert unlisted(torch.tensor([[2]]), ITEMS)[0].tolist() == pytest.approx([WEIGHT * (1 / 3) / (2 / 3 + 1 / 2), 0])


def test_what_has_nothing_in_common_with_any_listed_item_gets_no_score():
    """Its share would be one of nothing, and a score that is no number."""
    popularity = np.array([3, 2, 0, 0])
    for groups, columns in (([[1, 2, 3], [3, 4]], [2]), ([[1, 2], [3, 4]], [])):
        unlisted = UnlistedItems.of(sequences_of(*groups), popularity)
        assert unlisted.columns.tolist() == columns
        assert unlisted(torch.tensor([[1, 2]]), 4).tolist() == [[pytest.approx(WEIGHT)] * len(columns)]


@pytest.mark.parametrize("ordered", [True, False])
def test_the_one_that_has_more_in_common_comes_first(ordered):
    model = model_of(ordered)
    first, other = recommend(model, [1, 2]), recommend(model, [4, 3])
    assert np.isfinite(first).all()
    assert first[4] > first[5] and other[5] > other[4]


@pytest.mark.parametrize("ordered", [True, False])
def test_what_the_network_learnt_of_them_does_not_count(ordered):
    model = model_of(ordered)
    before = recommend(model, [1, 2])
    with torch.no_grad():
        model.item_bias.copy_(torch.arange(6.0))
    after = recommend(model, [1, 2])
    assert (after - before).tolist() == pytest.approx([0, 1, 2, 3, 0, 0], abs=1e-5)


@pytest.mark.parametrize("ordered", [True, False])
def test_what_they_follow_and_how_popular_they_are_is_not_known_and_the_mean_chance_is_taken(ordered):
    memory = model_of(ordered).memory
    batch = ask_what_comes_next([np.array([1, 2])], ITEMS + 1, 4, ordered)
    terms = dict(zip(memory.config.terms, memory.terms(batch, True).values, strict=True))
    unknown = ["transitions", "popularity"] if ordered else ["popularity", "co-listing"]
    by_popularity = memory.by_popularity(batch)
    if ordered:
        listed = memory.by_transitions(batch), by_popularity
    else:
        listed = by_popularity, memory.by_colisting(batch, by_popularity)
    for name, of_all in zip(unknown, listed, strict=True):
        assert of_all[0, :4].std() > 0.1
        assert terms[name][0, 4:].exp().tolist() == pytest.approx([of_all.exp().mean().item()] * 2, rel=1e-5)
    strengths = memory.strengths(memory.terms(batch).shares, 1)[0]
    expected = sum(term[0, 4:] * strength for term, strength in zip(terms.values(), strengths, strict=True))
    assert memory(batch, True)[0, 4:].tolist() == pytest.approx(expected.tolist(), rel=1e-5, abs=1e-5)


def test_what_is_new_is_expected_to_have_more_than_the_mean_if_it_is_popular_in_the_catalogue():
    # The mean is 4: to the power of .9, what is half again as popular as it has 1.44 times the mean's fifth.
    expected = expected_shares(torch.tensor([6.0, 1, 4, 0.5, 8.5]))
    assert expected.tolist() == pytest.approx([1.5**0.9 / 5, 0.2, 0.2, 0.2, 2.125**0.9 / 5])


@pytest.mark.parametrize(("prior", "share"), [(8.0, 1 / 6), (30.0, (30 / (48.1 / 6)) ** 0.9 / 6)])
def test_without_an_order_only_those_count_as_new_that_are_popular_in_the_catalogue(prior, share):
    """Item 5 is, and item 6 is not: it is what nobody wants, as far as anybody can tell."""
    sequences, in_catalogue = trained_on(False), np.array([500, 400, 300, 200, 600, 1], np.float32)
    memory = fit_memory(sequences, ITEMS, max_seq_len=4, seed=1, alike=sequences_of(*GROUPS), in_catalogue=in_catalogue)
    memory.popularity_prior.copy_(torch.tensor([6.0, 5, 4, 3, prior, 0.1]))
    # 88 entries for 26.1 of the prior: on no list by chance exp(-8 log(1 + 88 / 26.1)) = e^-11.8, and e^-.15. With 30,
    # for 48.1, e^-31.2, so that it is surely new.
    assert must_be_new(memory.popularity, memory.popularity_prior).tolist() == [False] * 4 + [True, False]
    batch = ask_what_comes_next([np.array([1, 2])], ITEMS + 1, 4, False)
    ranked, plain = memory.terms(batch, True).values, memory.terms(batch).values
    scores = memory.ease(memory.column[batch.all_visible], None, None)[0, 0]
    in_common = memory.unlisted(batch.all_visible, ITEMS)[0, 0].item()
    of_ease = scores[4].item() + share * scores.clamp_min(0).sum().item() + in_common
    for name, one, other in zip(memory.config.terms, ranked, plain, strict=True):
        assert torch.equal(one[:, [0, 1, 2, 3, 5]], other[:, [0, 1, 2, 3, 5]])
        if name in ("popularity", "co-listing"):
            assert one[0, 4].exp().item() == pytest.approx(share * other[0].exp().sum().item(), rel=1e-5)
        elif name == "EASE":
            assert one[0, 4].item() == pytest.approx(math.log(math.log1p(math.exp(of_ease / 0.03))), rel=1e-5)
        else:
            assert one[0, 4] == other[0, 4]
    counts_as = (memory.popularity + memory.popularity_prior).tolist()
    counts_as[4] = share * sum(counts_as)
    assert memory.expected_popularity().tolist() == pytest.approx(counts_as)
    model = BERT4Rec(ModelConfig(ITEMS, 8, 1, 1, 4, ordered=False, memory=memory.config), memory).eval()
    leaning = Leaning.of(1.0, 0.0, ExpectedPopularity.of(model), lambda: TitleLikeness.of(model))
    lowered = leaning.lowered(History(np.array([1]), in_order=False))
    assert lowered[4] == pytest.approx(1.6 * math.log(counts_as[4] + max(counts_as) / 10)), "nor is it niche"
    memory.popularity_prior[4] = 0.1
    assert torch.equal(memory.expected_popularity(), memory.popularity + memory.popularity_prior)
    torch.testing.assert_close(memory(batch, True), memory(batch), msg="nothing is new, so there is nothing to add")


def test_in_order_all_of_them_may_be_new():
    sequences, in_catalogue = trained_on(True), np.array([500, 400, 300, 200, 2, 1], np.float32)
    memory = fit_memory(sequences, ITEMS, max_seq_len=4, seed=1, alike=sequences_of(*GROUPS), in_catalogue=in_catalogue)
    batch = ask_what_comes_next([np.array([1, 2])], ITEMS + 1, 4, True)
    popularity = dict(zip(memory.config.terms, memory.terms(batch, True).values, strict=True))["popularity"]
    assert popularity[0, 4:].exp().tolist() == pytest.approx([memory.by_popularity(batch).exp().mean().item()] * 2)


def test_of_several_lists_each_has_its_own_mean():
    memory = model_of(True).memory
    lists = [np.array(items) for items in ([1, 2], [4, 3], [3])]
    together = memory(ask_what_comes_next(lists, ITEMS + 1, 4, True), True)
    for row, items in enumerate(lists):
        alone = memory(ask_what_comes_next([items], ITEMS + 1, 4, True), True)[0]
        torch.testing.assert_close(together[row], alone, rtol=1e-4, atol=1e-5)


def test_beside_a_network_that_answers_alone_their_odds_are_those_of_the_memory():
    model = model_of(True, answers_alone=True)
    with torch.no_grad():
        model.project.weight.normal_()
        model.item_bias.copy_(torch.tensor([3.0, -1, 2, 0, 9, 9]))
    batch = ask_what_comes_next([np.array([1, 2])], ITEMS + 1, 4, True)
    with torch.inference_mode():
        said, prior = model(batch, True)[0], model.memory(batch, True)[0]
    for each in (4, 5):
        odds = [logits[each] - logits[:4].logsumexp(0) for logits in (said, prior)]
        assert odds[0].item() == pytest.approx(odds[1].item(), abs=1e-4)


@pytest.mark.parametrize("weight", [0.0, -0.1])
def test_a_memory_that_counts_for_nothing_or_less_leaves_numbers(weight):
    model = model_of(True, answers_alone=True)
    with torch.no_grad():
        model.item_bias.copy_(torch.tensor([3.0, -1, 2, 0, 9, 9]))
        model.gate.values[:, MEMORY] = weight
    said = recommend(model, [1, 2])
    prior = model.memory(ask_what_comes_next([np.array([1, 2])], ITEMS + 1, 4, True), True)[0].numpy()
    expected, found = (logits[4:] - np.log(np.exp(logits[:4]).sum()) for logits in (prior, said))
    assert found.tolist() == pytest.approx(expected.tolist(), abs=1e-4)


def test_the_gate_weighs_what_the_memory_says_of_them_too():
    model = model_of(False)
    prior = model.memory(ask_what_comes_next([np.array([1, 2])], ITEMS + 1, 4, False), True)[0].numpy()
    with torch.no_grad():
        model.gate.values[:, MEMORY] = 0.5
    assert recommend(model, [1, 2])[4:].tolist() == pytest.approx((0.5 * prior[4:]).tolist())


def test_beside_a_network_that_answers_alone_they_keep_their_odds(monkeypatch):
    model = model_of(True, answers_alone=True)
    before = recommend(model, [1, 2])
    with torch.no_grad():
        model.item_bias.fill_(3.0)  # says nothing, being the same for all
    monkeypatch.setattr(
        "anime_bert4rec.model.bert4rec.MIXTURE", (1.0, 0.4)
    )  # flattens what the memory says of the others
    after = recommend(model, [1, 2])
    assert after[4] - after[5] == pytest.approx(before[4] - before[5], abs=1e-5)
    odds = [each[4] - torch.from_numpy(each[:4]).logsumexp(0).item() for each in (before, after)]
    assert odds[1] == pytest.approx(odds[0], abs=1e-5)
    assert abs(after - before)[4] > 0.5, "nothing has changed that they could have lost by"


def test_in_training_they_are_items_like_the_others():
    model, sequences = model_of(True), trained_on(True)
    made = MaskedBatches(sequences, BatchSettings(ITEMS, 4, max_seq_len=4, mask_prob=0.2, seed=1), epoch=1)
    before = model(made[0])
    with torch.no_grad():
        model.item_bias.copy_(torch.arange(6.0))
    assert torch.allclose(model(made[0]) - before, torch.arange(6.0), atol=1e-5)


def test_saved_with_the_model(tmp_path):
    model = model_of(False)
    save_model(tmp_path / "model.pth", model, epoch=1, val_loss=1.0)
    loaded, _ = load_model(tmp_path / "model.pth")
    assert np.array_equal(recommend(loaded, [1, 2]), recommend(model, [1, 2]))


@pytest.mark.parametrize("ordered", [False, True])
def test_what_nothing_is_in_common_counts_for_is_not_sought(ordered, caplog):
    """As of a catalogue of nothing but ids."""
    caplog.set_level("INFO")
    nothing = trained_on(ordered).select(np.array([], int))
    memories = [fit_memory(trained_on(ordered), ITEMS, max_seq_len=4, seed=0, alike=alike)
                for alike in (nothing, None)]  # fmt: skip
    assert caplog.text.count("item features 0;") == 2
    for name, value in memories[0].state_dict().items():
        assert torch.equal(value, memories[1].state_dict()[name]), name
