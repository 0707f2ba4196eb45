"""What follows what: counts by hand, lists left out of them again, and what is fitted to them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from small_lists import COLUMN, ITEMS, MASK, batches_of, sequences_of, some_lists, without

from batches import Batch
from item_memory import locate
from memory_fitting import Tables
from transitions import BACKWARD, DECAY, REACH, SMOOTHING, Pairs, Transitions, count_transitions


def table_of(sequences):
    return count_transitions(sequences, Pairs.of(sequences), COLUMN, ITEMS)


def test_transitions_by_hand():
    table = table_of(sequences_of([1, 2, 3]))
    expected = np.zeros((ITEMS, ITEMS))
    expected[0, 1] = expected[1, 2] = 1.0
    expected[0, 2] = DECAY
    expected[1, 0] = expected[2, 1] = BACKWARD
    expected[2, 0] = BACKWARD * DECAY
    assert table == pytest.approx(expected)


def test_pairs_out_of_reach_are_not_counted():
    far = sequences_of([1, *([2] * REACH), 3])
    assert table_of(far)[0, 2] == 0


def test_a_block_counts_for_the_mean_over_its_orders():
    blocked = sequences_of([1, 2, 3, 4, 5], blocks=[[0, 1, 1, 1, 4]])
    orders = [sequences_of([1, *order, 5]) for order in itertools.permutations([2, 3, 4])]
    assert table_of(blocked) == pytest.approx(np.mean([table_of(one) for one in orders], axis=0), rel=1e-5)


@pytest.mark.parametrize("most", [ITEMS, 6])
@pytest.mark.parametrize("prior", [0.0, 5.0])
@pytest.mark.parametrize("cut_share", [0.0, 1.0])
def test_transitions_leave_out_what_the_list_itself_added(cut_share, prior, most, monkeypatch):
    """The mixture at the target equals one of rows that were counted again without the pair (neighbour, target), and
    with the prior of a popularity that was counted without the target."""
    monkeypatch.setattr("transitions.PRIORS", (prior,))
    sequences = some_lists()
    batch = batches_of(sequences, cut_share=cut_share)[0]
    memory = Tables(sequences, ITEMS, most, True, None, batch).memory(0.9, 10.0, 0.0)
    slots = locate(batch)
    got = memory.by_transitions(batch, slots).exp()
    rows, own = memory.neighbours(batch, slots)
    column, kept = memory.column.numpy(), memory.kept.numpy()
    table = count_transitions(sequences, Pairs.of(sequences), column, most)
    popularity, weights = memory.transitions.popularity.numpy(), memory.transitions.weights.numpy()
    share = (popularity + SMOOTHING) / (popularity + SMOOTHING).sum()
    assert most == ITEMS or {True, False} == {bool(column[target] < most) for target in batch.targets}
    for m, target in enumerate(batch.targets.tolist()):
        live, mixture = weights[-1], 0.0
        by_popularity = share[target - 1] - 1 / (popularity + SMOOTHING).sum()
        for k in range(len(weights) - 1):
            row = int(rows[m, k])
            if row == most:
                assert own[m, k] == 0
                continue
            total = table[row].sum() - own[m, k].item() + prior * share[kept].sum()
            if total > 1e-6:
                live += weights[k]
                if column[target] < most:
                    entry = table[row, column[target]] - own[m, k].item()
                    mixture += weights[k] * (max(entry, 0) + prior * by_popularity) / total
        mixture += weights[-1] * by_popularity
        assert got[m, target - 1].item() == pytest.approx(mixture / live, rel=1e-3)


@pytest.mark.parametrize("certain", [True, False])
def test_rows_get_as_much_of_the_popularity_as_is_likeliest(certain):
    """Nothing where what followed is certain, and something where the one thing that followed a rare item is not."""
    table = np.array([[0, 100, 0], [0, 0, 1], [0, 0, 0]], np.float32)
    popularity = np.array([30, 30, 40], np.float32)
    share = (popularity + SMOOTHING) / (popularity + SMOOTHING).sum()
    neighbours = torch.tensor([0] * 9 + [1] * 9)[:, None]
    targets = torch.tensor([2] * 9 + ([3] * 9 if certain else [1, 2, 3] * 3))
    transitions = Transitions(3, 3, 1)
    transitions.fill(table, popularity)
    transitions.fit(neighbours, torch.zeros(18, 2), targets - 1, targets, torch.arange(3))
    assert (transitions.prior == 0) == certain
    assert transitions.table[:-1].numpy() == pytest.approx(table + transitions.prior * share)
    assert transitions.row_sum.numpy() == pytest.approx(transitions.table.sum(1).numpy())
    assert not transitions.table[-1].any(), "items without a row of their own are known by popularity alone"


def test_what_only_one_list_has_is_not_impossible_without_it(monkeypatch):
    """The log of nothing, at a few such targets, would outweigh all that the transitions know of others."""
    monkeypatch.setattr("transitions.PRIORS", (30.0,))
    sequences = sequences_of(*[[1, 2, 3, 4]] * 9, [1, 2, 5, 4])
    memory = Tables(sequences, ITEMS, ITEMS, True, None, batches_of(sequences)[0]).memory(0.9, 10.0, 0.0)
    last_list = torch.arange(36, 40)[None]
    batch = Batch(torch.tensor([[1, 2, MASK, 4]]), torch.tensor([2]), torch.tensor([5]), entries=last_list)
    chance = memory.by_transitions(batch, locate(batch))[0].exp()
    assert chance[4].item() == pytest.approx(chance[7].item()), "as of an item that nobody has"
    assert chance[4] > 0.001


def test_what_a_list_added_is_what_is_missing_when_it_is_not_counted():
    sequences = some_lists()
    pairs = Pairs.of(sequences)
    entries = np.arange(sequences.offsets[4], sequences.offsets[5])
    source, target = (each.ravel() for each in np.meshgrid(entries, entries))
    added = np.zeros((ITEMS, ITEMS))
    np.add.at(added, (sequences.items[source] - 1, sequences.items[target] - 1), pairs.weight(source, target))
    assert table_of(sequences) - table_of(without(sequences, 4)) == pytest.approx(added, abs=1e-5)
