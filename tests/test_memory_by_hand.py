"""What the memory says, worked out by hand: near and far items, masks, items without a row, and how it is fitted."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from one_memory import fit_memory
from small_lists import COLUMN, ITEMS, MASK, batches_of, cut_at, masked_at, sequences_of, some_lists

import train_model
from anime_bert4rec.lists.sequences import Vocabulary, has_order
from anime_bert4rec.model import memory_fitting, training_data
from anime_bert4rec.model.batches import Batch, share_of
from anime_bert4rec.model.item_memory import LOWEST, SOFTNESS, log_softplus
from anime_bert4rec.model.memory_ease import POPULARITY_RIDGE, EaseTable, gram_matrix
from anime_bert4rec.model.memory_fitting import ALIKE_WEIGHTS, RECENCIES, RIDGES, best_share, climbed, not_against
from anime_bert4rec.model.memory_samples import TRIAL_LISTS, sample
from anime_bert4rec.model.memory_tables import Tables
from config import TrainingSettings


def memory_of(sequences, recency=0.5, most=ITEMS):
    return Tables(sequences, ITEMS, most, True, None, batches_of(sequences)[0]).memory(recency, 10.0, 0.0)


def softplus(score):
    return math.log(math.log1p(math.exp(score / SOFTNESS)))


def test_around_a_mask_what_is_near_counts_more_on_either_side():
    memory = memory_of(some_lists())
    batch = masked_at(torch.tensor([[0, 1, 2, MASK, 4, 5]]), torch.tensor([3]))
    got = memory.by_ease(batch)[0]
    weights = torch.zeros(1, 1, ITEMS)
    weights[0, 0, [0, 1, 3, 4]] = torch.tensor([0.5, 1.0, 1.0, 0.5])
    scores = -(weights[0, 0] @ memory.ease.inverse) / memory.ease.inverse.diagonal()
    assert got.tolist() == pytest.approx(
        [softplus(score) for score in scores.clamp(min=-20 * SOFTNESS).tolist()], rel=1e-3
    )


def test_before_a_cut_what_is_near_counts_more_and_what_follows_nothing():
    memory = memory_of(some_lists())
    batch = cut_at(torch.tensor([[0, 1, 2, 3, 4, 5]]), torch.tensor([4]), torch.tensor([0]), torch.tensor([0]))
    got = memory.by_ease(batch)[0]
    weights = torch.zeros(ITEMS)
    weights[[0, 1, 2]] = torch.tensor([0.25, 0.5, 1.0])
    scores = -(weights @ memory.ease.inverse) / memory.ease.inverse.diagonal()
    assert got.tolist() == pytest.approx(
        [softplus(score) for score in scores.clamp(min=-20 * SOFTNESS).tolist()], rel=1e-3
    )


def test_neighbours_are_items_and_neither_masks_nor_padding():
    memory = memory_of(some_lists())
    batch = masked_at(torch.tensor([[0, 3, MASK, 1, MASK, MASK, 7]]), torch.tensor([5]))
    rows, added = memory.neighbours(batch)
    assert rows[0].tolist() == [0, 2, *[ITEMS] * 6] and added is None


@pytest.mark.parametrize(("most_followers", "score"), [(0, LOWEST), (ITEMS**2, 0.0)])
def test_items_without_a_row_have_the_lowest_score(most_followers, score, monkeypatch):
    """Unless the transitions are of all items: then they are as good as unrelated."""
    monkeypatch.setattr("anime_bert4rec.model.memory_tables.MOST_FOLLOWERS", most_followers)
    sequences = sequences_of(*[[1, 2, 3, 4]] * 5, [9, 8, 1])
    memory = memory_of(sequences, most=4)
    batch = cut_at(torch.tensor([[1, 2]]), torch.tensor([2]), torch.tensor([0]), torch.tensor([0]))
    logs = memory.by_ease(batch)[0]
    assert logs[4:].tolist() == pytest.approx([softplus(score)] * 8, rel=1e-4)
    assert softplus(LOWEST) == pytest.approx(-0.25 / 0.03, abs=1e-3), "well below 0 it is the score itself"
    assert logs[2:4].min() > logs[4:].max()


def test_log_softplus_by_hand():
    points = [-20.0, -1.0, 0.0, 1.0, 50.0]
    expected = [math.log(math.log1p(math.exp(x))) for x in points]
    assert log_softplus(torch.tensor([*points, -1e9])).tolist() == pytest.approx([*expected, expected[0]], rel=1e-5)


def test_most_pairs_have_an_order_or_not():
    def order(*blocks):
        return has_order(sequences_of(*[np.arange(1, len(one) + 1) for one in blocks], blocks=blocks))

    assert order([0, 1]) and not order([0, 0]) and not order([0]), "of one pair, or of none"
    assert order([0, 0, 2, 2]), "2 + 2 < 12 / 2"
    assert not order([0, 0, 0, 3]), "6 is no less than 12 / 2"
    assert order([0, 0, 0, 3], [0, 1]) and not order([0, 0, 0, 3], [0]), "in all lists together"


def test_the_table_of_ease_is_the_inverse_that_the_formula_says():
    gram = gram_matrix(some_lists(), COLUMN, ITEMS)
    alike = gram_matrix(sequences_of([1, 2, 5], [3, 5]), COLUMN, ITEMS, np.array([1 / 3, 1 / 2]))
    ease = EaseTable(ITEMS)
    ease.fill(gram, 5.0, alike, 0.5)
    regular = gram + POPULARITY_RIDGE * gram.diagonal().diag() + 5.0 * torch.eye(ITEMS) + 0.5 * 5.0 * alike
    torch.testing.assert_close(ease.inverse, regular.inverse(), rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(ease.diagonal, regular.inverse().diagonal(), rtol=1e-3, atol=1e-6)


def test_lists_together_and_what_is_alike_the_more_the_smaller_its_group():
    together = gram_matrix(sequences_of([1, 2], [2, 3], [2]), COLUMN, ITEMS)
    assert together[:3, :3].tolist() == [[1, 1, 0], [1, 3, 1], [0, 1, 1]]
    sequences = some_lists()
    alike = sequences_of([1, 2, 5], [3, 5])
    tables = Tables(sequences, ITEMS, ITEMS, True, alike, batches_of(sequences)[0])
    assert tables.alike[[0, 0, 2, 4, 4, 0], [1, 4, 4, 4, 0, 2]].tolist() == pytest.approx(
        [1 / 3, 1 / 3, 1 / 2, 1 / 3 + 1 / 2, 1 / 3, 0]
    )


def test_lists_together_in_a_table_of_several_blocks_are_the_products_of_all_lists():
    random = np.random.default_rng(0)
    lists = [random.permutation(600)[: random.integers(0, 30)] + 1 for _ in range(1500)]
    column = np.append(np.arange(-1, 600), 550)
    column[[0, *range(551, 602)]] = 550
    weights = random.random(1500)
    shown = torch.zeros(1500, 551, dtype=torch.double)
    for row, items in enumerate(lists):
        shown[row, column[items]] = 1
    expected = (shown.t() * torch.from_numpy(weights)) @ shown
    gram = gram_matrix(sequences_of(*lists), column, 550, weights)
    torch.testing.assert_close(gram, expected[:-1, :-1].float())
    assert torch.equal(gram, gram.t())


@pytest.mark.parametrize(("scores", "rank"), [([0.0, 0, 1, 2, 0], 2), ([2.0, 2, 1, 0, 0], 1), ([0.0, 0, 1, 1, 1], 3)])
def test_what_is_behind_a_cut_is_a_candidate_and_what_is_before_it_is_not(scores, rank):
    batch = cut_at(
        torch.tensor([[1, 2, 3, 4]]), torch.tensor([2]), torch.tensor([0]), torch.tensor([0]), torch.tensor([3])
    )
    opinion = torch.tensor([scores])
    assert best_share(opinion, opinion, batch)[0] == pytest.approx(1 / math.log2(1 + rank))


def test_around_a_mask_all_that_is_visible_is_no_candidate():
    batch = masked_at(torch.tensor([[1, MASK, 4]]), torch.tensor([1]), torch.tensor([2]))
    opinion = torch.tensor([[5.0, 1.0, 2.0, 5.0, 0.0]])
    assert best_share(opinion, opinion, batch)[0] == pytest.approx(1 / math.log2(1 + 2)), "item 3 alone is before it"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_settings_are_those_that_rank_a_sample_best(seed):
    """Ridge, then item features, then recency, each with the others as they are, on the first half of the sample."""
    sequences, alike = some_lists(40, seed), sequences_of([1, 2, 5], [3, 5], [7, 8, 9, 10])
    fitted = fit_memory(sequences, ITEMS, max_seq_len=20, seed=seed, alike=alike)
    batch = sample(sequences, ITEMS, 20, seed, TRIAL_LISTS, cuts=True)
    tables, half = Tables(sequences, ITEMS, ITEMS, True, alike, batch), share_of(batch, 0, 2)
    by_transitions = tables.by_transitions(half)

    def quality(ridge, weight, recency):
        return best_share(tables.memory(recency, ridge, weight).by_ease(half), by_transitions, half)[0]

    ridge = climbed(RIDGES, 200.0, lambda ridge: quality(ridge, 0.5, 0.98))
    weight = climbed(ALIKE_WEIGHTS, 0.5, lambda weight: quality(ridge, weight, 0.98))
    recency = climbed(RECENCIES, 0.98, lambda recency: quality(ridge, weight, recency))
    assert fitted.config.recency == recency
    torch.testing.assert_close(fitted.ease.inverse, tables.memory(recency, ridge, weight).ease.inverse)


@pytest.mark.parametrize(
    ("qualities", "best", "tried"),
    [([1, 2, 3, 2, 1], 2, 3), ([1, 2, 3, 4, 5], 4, 3), ([5, 4, 3, 2, 1], 0, 4), ([0, 0, 0, 0, 0], 2, 3)],
)
def test_a_setting_is_looked_for_from_the_middle_on_as_long_as_it_gets_better(qualities, best, tried):
    asked = set()

    def quality(setting):
        asked.add(setting)
        return qualities[int(setting)]

    assert climbed([0.0, 1.0, 2.0, 3.0, 4.0], 2.0, quality) == best
    assert len(asked) == tried


def test_nothing_that_goes_together_speaks_against():
    terms = ("EASE", "popularity", "co-listing", "likeness", "franchise", "missing")
    strength = torch.tensor([[-0.3, 0.5]] * 6)
    kept = not_against(strength, terms)
    assert kept[:, 0].tolist() == pytest.approx([0, -0.3, 0, -0.3, -0.3, -0.3]) and torch.equal(
        kept[:, 1], strength[:, 1]
    )
    ordered = ("EASE", "transitions", "popularity", "lateness")
    assert not_against(strength[:4], ordered)[:, 0].tolist() == pytest.approx([0, 0, -0.3, -0.3])


def test_of_few_lists_without_an_order_nothing_that_goes_together_speaks_against():
    """By chance, what ranks ten such lists best has weights far below nothing."""
    memory = fit_memory(some_lists(10, unordered=True), ITEMS, max_seq_len=20, seed=0)
    assert memory.config.terms == ("EASE", "popularity", "co-listing", "direction")
    assert (memory.strength[0, [0, 2, 3]] >= 0).all()


def test_of_many_targets_a_few_shares_are_tried_on_most_and_the_best_one_is_the_same(monkeypatch):
    random = torch.Generator().manual_seed(0)
    rows = torch.arange(400)
    targets = torch.randint(3, 51, (400,), generator=random)
    batch = Batch(torch.ones(400, 1, dtype=torch.long), rows, torch.ones_like(rows), targets, cuts=torch.tensor([1]))
    ease, transitions = (torch.randn(400, 50, generator=random) for _ in range(2))
    for opinion, signal in ((ease, 2.0), (transitions, 1.0)):
        opinion[rows, targets - 1] += signal
    all_at_once = best_share(ease, transitions, batch)
    monkeypatch.setattr(memory_fitting, "NUMBERS_AT_ONCE", 50 * 10)
    assert best_share(ease, transitions, batch) == pytest.approx(all_at_once)
    assert 0.5 < all_at_once[1] < 1


def test_the_last_item_is_a_neighbour_like_the_others():
    memory = memory_of(some_lists())
    batch = masked_at(torch.tensor([[3, ITEMS, MASK]]), torch.tensor([2]))
    assert memory.neighbours(batch)[0][0, :2].tolist() == [ITEMS - 1, 2]


def test_the_memory_is_made_of_the_lists_that_are_counted_alone(monkeypatch):
    monkeypatch.setattr(training_data, "MOST_ENTRIES", 100)
    lists = some_lists(40)
    data = training_data.Data(Vocabulary(np.arange(1, ITEMS + 1)), lists, lists)
    counted = lists.select(data.counted)
    assert 80 < len(counted.items) <= 100 < len(lists.items)
    memory = train_model.build_model(data, TrainingSettings(hidden_size=8)).memory
    assert memory.transitions.popularity.tolist() == counted.popularity(ITEMS).tolist()


@pytest.mark.parametrize("number", [3, 12])
def test_what_is_visible_is_never_the_likeliest_at_a_mask(number):
    """Where all have the same, nothing goes together more than other things do, and EASE says: surely not again."""
    lists = [np.random.default_rng(k).permutation(20) + 1 for k in range(number)]
    memory = fit_memory(sequences_of(*lists), 30, max_seq_len=20, seed=42)
    assert memory.config.ordered and (memory.strength[:, :2] >= 0).all()
    shown = torch.tensor([[31, *range(2, 21)]])
    batch = Batch(shown, torch.tensor([0]), torch.tensor([0]))
    prior = memory(batch)[0].softmax(0)
    assert prior[0] > prior[1:20].max()
