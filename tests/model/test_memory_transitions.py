"""What follows what: counts by hand, lists left out of them again, and what is fitted to them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from small_lists import COLUMN, ITEMS, MASK, batches_of, masked_at, sequences_of, some_lists, without

from anime_bert4rec.model.batches import WholeLists
from anime_bert4rec.model.memory_tables import Tables
from anime_bert4rec.model.memory_transitions import (
    BACKWARD,
    DECAY,
    PRIORS,
    REACH,
    SMOOTHING,
    Added,
    Pairs,
    Transitions,
    count_transitions,
)

HALF = 1e-3
"""What rounding to float16 may make of a number."""


def table_of(sequences):
    return count_transitions(Pairs.of(sequences), COLUMN, ITEMS)


def test_transitions_by_hand():
    table = table_of(sequences_of([1, 2, 3]))
    expected = np.zeros((ITEMS, ITEMS))
    expected[0, 1] = expected[1, 2] = 1.0
    expected[0, 2] = DECAY
    expected[1, 0] = expected[2, 1] = BACKWARD
    expected[2, 0] = BACKWARD * DECAY
    assert table == pytest.approx(expected, rel=HALF)


def test_pairs_out_of_reach_are_not_counted():
    far = sequences_of([1, *([2] * REACH), 3])
    assert table_of(far)[0, 2] == 0


@pytest.mark.parametrize("reach", [1, 2, 3, 4, 10])
def test_blocks_count_for_the_mean_over_their_orders(reach, monkeypatch):
    """Also where a block is longer than the reach, in which some orders put some pairs out of it."""
    monkeypatch.setattr("anime_bert4rec.model.memory_transitions.REACH", reach)
    blocked = sequences_of([1, 2, 3, 4, 5, 6, 7, 8], blocks=[[0, 1, 1, 1, 1, 5, 6, 6]])
    orders = itertools.product(itertools.permutations([2, 3, 4, 5]), itertools.permutations([7, 8]))
    tables = [table_of(sequences_of([1, *first, 6, *second])) for first, second in orders]
    assert table_of(blocked) == pytest.approx(np.mean(tables, axis=0), rel=HALF, abs=1e-6)


@pytest.mark.parametrize("at_once", [1, 50, 2**22])
def test_in_what_order_a_bulk_day_is_stored_changes_nothing(at_once, monkeypatch):
    monkeypatch.setattr("anime_bert4rec.model.memory_transitions.PAIRS_AT_ONCE", at_once)
    blocks, column = [[0, *[1] * 20, *[21] * 12, 33, 34]] * 2, np.array([35, *range(35), 35])
    random = np.random.default_rng(0)
    lists = [random.permutation(35) + 1 for _ in range(2)]
    mixed = [
        np.concatenate([one[:1], random.permutation(one[1:21]), random.permutation(one[21:33]), one[33:]])
        for one in lists
    ]
    stored, other = (
        count_transitions(Pairs.of(sequences_of(*each, blocks=blocks)), column, 35) for each in (lists, mixed)
    )
    assert (lists[0] != mixed[0]).any() and stored == pytest.approx(other, rel=1e-6)
    assert (stored.diagonal() == 0).all(), "nothing follows itself"


@pytest.mark.parametrize("most", [ITEMS, 6])
@pytest.mark.parametrize("prior", [0.0, 5.0])
@pytest.mark.parametrize("cut_share", [0.0, 1.0])
def test_a_training_list_is_scored_as_though_it_had_not_been_counted(cut_share, prior, most, monkeypatch):
    """At every item, by transitions that were counted again without the list; lists are longer than the reach."""
    monkeypatch.setattr("anime_bert4rec.model.memory_transitions.PRIORS", (prior,))
    monkeypatch.setattr("anime_bert4rec.model.memory_transitions.REACH", 3)
    monkeypatch.setattr("anime_bert4rec.model.memory_transitions.SMOOTHING", 0.1)
    random = np.random.default_rng(1)
    lists = [random.choice(ITEMS, random.integers(3, 9), replace=False) + 1 for _ in range(30)]
    blocks = [np.array([0, 1, 1, 1, 1, 1, 6, 7])[: len(one)] for one in lists]  # blocks longer than the reach, too
    sequences = sequences_of(*lists, blocks=blocks)
    batches = batches_of(sequences, cut_share=cut_share)
    batch = batches[0]
    memory = Tables(sequences, ITEMS, most, True, None, batch).memory(0.9, 10.0, 0.0)
    column = memory.column.numpy()
    got = memory.by_transitions(batch)
    rows, _ = memory.neighbours(batch)
    assert most == ITEMS or {True, False} == {bool(column[target] < most) for target in batch.targets}
    for row, user in enumerate(batches.users_of_batch[0]):
        others, here = without(sequences, user), batch.rows == row
        anew = Transitions(most, ITEMS, rows.shape[1], prior)
        anew.fill(count_transitions(Pairs.of(others), column, most), others.popularity(ITEMS))
        anew.weights.copy_(memory.transitions.weights)
        torch.testing.assert_close(got[here], anew(rows[here], memory.kept), rtol=1e-4, atol=1e-4)
        counted = memory.transitions(rows[here], memory.kept)
        assert not torch.allclose(got[here], counted, atol=0.01)


@pytest.mark.parametrize("certain", [True, False])
def test_rows_get_as_much_of_the_popularity_as_is_likeliest(certain):
    """Nothing where what followed is certain, and something where the one thing that followed a rare item is not."""
    table = np.array([[0, 100, 0], [0, 0, 1], [0, 0, 0]], np.float32)
    popularity = np.array([30, 30, 40], np.float32)
    share = (popularity + SMOOTHING) / (popularity + SMOOTHING).sum()
    neighbours = torch.tensor([0] * 9 + [1] * 9)[:, None]
    targets = torch.tensor([2] * 9 + ([3] * 9 if certain else [1, 2, 3] * 3))
    none, no_items = torch.zeros(18, 1), torch.zeros(18, 1).long()
    no_weights = none[:, :, None], no_items[:, :, None]
    nothing = Added(*no_weights, no_items, torch.arange(18), no_items, no_items[:, 0], no_items, none)
    transitions = Transitions(3, 3, 1)
    transitions.fill(table, popularity)
    transitions.fit(neighbours, nothing, targets - 1, targets)
    assert (transitions.prior == 0) == certain
    transitions.weights.copy_(torch.tensor([1.0, 0.0]))
    rows = (table[:2] + transitions.prior * share) / (table[:2].sum(1, keepdims=True) + transitions.prior)
    chances = transitions(torch.tensor([[0], [1], [3]]), torch.arange(3)).exp().numpy()
    assert chances[:2] == pytest.approx(rows, abs=1e-6)
    transitions.weights.copy_(torch.tensor([0.5, 0.5]))
    alone = transitions(torch.tensor([[3]]), torch.arange(3)).exp().numpy()
    assert alone[0] == pytest.approx(share), "items without a row of their own are known by popularity alone"


def test_what_only_one_list_has_is_not_impossible_without_it(monkeypatch):
    """The log of nothing, at a few such targets, would outweigh all that the transitions know of others."""
    monkeypatch.setattr("anime_bert4rec.model.memory_transitions.PRIORS", (30.0,))
    sequences = sequences_of(*[[1, 2, 3, 4]] * 9, [1, 2, 5, 4])
    memory = Tables(sequences, ITEMS, ITEMS, True, None, batches_of(sequences)[0]).memory(0.9, 10.0, 0.0)
    last_list = torch.arange(36, 40)[None]
    batch = masked_at(torch.tensor([[1, 2, MASK, 4]]), torch.tensor([2]), torch.tensor([5]), entries=last_list)
    batch = batch._replace(lists=WholeLists(torch.tensor([1, 2, 5, 4]), torch.tensor([0])))
    chance = memory.by_transitions(batch)[0].exp()
    assert chance[4].item() == pytest.approx(chance[7].item()), "as of an item that nobody has"
    assert chance[4] > 0.001


def test_what_a_list_added_is_what_is_missing_when_it_is_not_counted():
    sequences = some_lists()
    alone = table_of(sequences.select(np.array([4])))
    assert table_of(sequences) - table_of(without(sequences, 4)) == pytest.approx(alone, abs=1e-5)


def test_prior_and_mixture_are_those_that_make_training_lists_the_likeliest(monkeypatch):
    """Scores the rows as `forward` does: as though they had not been counted."""
    sequences = some_lists(count=10)
    batch = batches_of(sequences)[0]
    batch = batch.only(batch.targets < 9)

    def fitted():
        memory = Tables(sequences, ITEMS, 8, True, None, batch).memory(0.9, 10.0, 0.0)
        return memory, likelihood(memory)

    def likelihood(memory):
        logs = memory.by_transitions(batch)
        return logs.gather(1, batch.targets[:, None] - 1).mean().item()

    memory, best = fitted()
    weights = memory.transitions.weights.clone()
    for k, step in itertools.product(range(len(weights)), (1.2, 0.8)):
        memory.transitions.weights.copy_(weights).mul_(torch.ones(len(weights)).index_fill_(0, torch.tensor([k]), step))
        assert likelihood(memory) < best + 1e-3
    by_prior = {}
    for prior in PRIORS:
        monkeypatch.setattr("anime_bert4rec.model.memory_transitions.PRIORS", (prior,))
        by_prior[prior] = fitted()[1]
    assert by_prior[memory.transitions.prior] == best == max(by_prior.values())


def test_the_mixture_by_hand():
    """Two neighbours and popularity, of which each row has some too."""
    table = np.array([[0, 6, 2], [1, 0, 3], [0, 0, 0]], np.float32)
    popularity = np.array([5, 3, 2], np.float32)
    share = (popularity + SMOOTHING) / (popularity + SMOOTHING).sum()
    transitions = Transitions(3, 3, 2, prior=2.0)
    transitions.fill(table, popularity)
    transitions.weights.copy_(torch.tensor([0.5, 0.3, 0.2]))
    rows = (table + 2.0 * share) / (table.sum(1, keepdims=True) + 2.0)
    both, nearest_only = transitions(torch.tensor([[0, 1], [1, 3]]), torch.arange(3)).exp().numpy()
    assert both == pytest.approx(0.5 * rows[0] + 0.3 * rows[1] + 0.2 * share, rel=1e-5)
    # The second neighbour has no row: what is left of the shares, 0.5 and 0.2, grows to sum to 1.
    assert nearest_only == pytest.approx(5 / 7 * rows[1] + 2 / 7 * share, rel=1e-5)
    empty_row = transitions(torch.tensor([[2, 0]]), torch.arange(3)).exp().numpy()[0]
    assert empty_row == pytest.approx(3 / 5 * rows[0] + 2 / 5 * share, rel=1e-5), "as one without any count"
