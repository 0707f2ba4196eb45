"""What follows what: lists left out of the counts again, and what is fitted to them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from small_lists import COLUMN, ITEMS, MASK, batches_of, masked_at, sequences_of, some_lists, without

from anime_bert4rec.model.batches import Batch, WholeLists
from anime_bert4rec.model.memory_pairs import Pairs, count_transitions
from anime_bert4rec.model.memory_tables import Tables
from anime_bert4rec.model.memory_transitions import PRIORS, SMOOTHING, Added, Transitions


@pytest.mark.parametrize(("most", "sparse"), [(ITEMS, False), (6, False), (6, True)])
@pytest.mark.parametrize(("prior", "reliance"), [(0.0, 0.0), (5.0, 0.5)])
@pytest.mark.parametrize("cut_share", [0.0, 1.0])
def test_a_training_list_is_scored_as_though_it_had_not_been_counted(
    cut_share, prior, reliance, most, sparse, monkeypatch
):
    """At every item, by transitions that were counted again without the list; lists are longer than the reach."""
    monkeypatch.setattr("anime_bert4rec.model.memory_transitions.PRIORS", (prior,))
    monkeypatch.setattr("anime_bert4rec.model.memory_transitions.RELIANCES", (reliance,))
    monkeypatch.setattr("anime_bert4rec.model.memory_tables.MOST_FOLLOWERS", ITEMS**2 if sparse else 0)
    monkeypatch.setattr("anime_bert4rec.model.memory_pairs.REACH", 3)
    monkeypatch.setattr("anime_bert4rec.model.memory_transitions.SMOOTHING", 0.1)
    random = np.random.default_rng(1)
    lists = [random.choice(ITEMS, random.integers(3, 9), replace=False) + 1 for _ in range(30)]
    blocks = [np.array([0, 1, 1, 1, 1, 1, 6, 7])[: len(one)] for one in lists]  # blocks longer than the reach, too
    sequences = sequences_of(*lists, blocks=blocks)
    batches = batches_of(sequences, cut_share=cut_share)
    batch = batches[0]
    memory = Tables(sequences, ITEMS, most, True, None, batch).memory(0.9, 10.0, 0.0)
    column = COLUMN if sparse else memory.column.numpy()
    got = memory.by_transitions(batch)
    rows, _ = memory.neighbours(batch)
    assert most == ITEMS or {True, False} == {bool(memory.column[target] < most) for target in batch.targets}
    for row, user in enumerate(batches.users_of_batch[0]):
        others, here = without(sequences, user), batch.rows == row
        size = ITEMS if sparse else most
        anew = Transitions(size, ITEMS, rows.shape[1], prior, reliance)
        anew.fill(count_transitions(Pairs.of(others), column, size), others.popularity(ITEMS))
        anew.weights.copy_(memory.transitions.weights)
        torch.testing.assert_close(
            got[here], anew(rows[here], torch.from_numpy(column[1:-1]).argsort()[:size]), rtol=1e-4, atol=1e-4
        )
        counted = memory.transitions(rows[here], memory.kept)
        assert not torch.allclose(got[here], counted, atol=0.01)


def test_what_has_no_row_is_not_left_out_of_one(monkeypatch):
    """Of one day are items 5 and 6, which have no row; the list is scored as though its items with a row were new."""
    monkeypatch.setattr("anime_bert4rec.model.memory_tables.MOST_FOLLOWERS", 0)
    others, own = [[1, 2, 3, 4], [2, 1, 4, 3], [3, 4, 1, 2], [4, 3, 2, 1]], [5, 6, 7, 8, 1]
    blocks = [[0, 1, 2, 3]] * 4 + [[0, 0, 2, 3, 4]]
    counted = Tables(sequences_of(*others, own, blocks=blocks), 8, 4, True, None, None)
    memory = counted._without_values(1.0)
    memory.transitions.fill(counted.counts, counted.popularity)
    asked = Batch(
        torch.tensor([[0, 5, 9, 9, 9]]),
        torch.tensor([0]),
        torch.tensor([4]),
        torch.tensor([1]),
        entries=torch.tensor([[17, 16, 18, 19, 20]]),
        lists=WholeLists(torch.tensor([6, 5, 7, 8, 1]), torch.tensor([0])),
    )
    rows, added = memory.neighbours(asked)
    assert rows[0, 0] == 4, "there is no row of item 5"
    assert not added.sums().any()
    without = counted._without_values(1.0)
    of_others = Tables(sequences_of(*others, blocks=blocks[:4]), 8, 4, True, None, None)
    without.transitions.fill(of_others.counts, of_others.popularity)
    without.kept.copy_(memory.kept), without.column.copy_(memory.column)
    plain = asked._replace(entries=None, lists=None)
    torch.testing.assert_close(memory.by_transitions(asked), without.by_transitions(plain))


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


def test_a_row_that_rests_on_more_counts_for_more_by_hand():
    table = np.array([[0, 12, 4], [1, 0, 3], [0, 0, 0]], np.float32)
    share = (np.array([5, 3, 2]) + SMOOTHING) / (10 + 3 * SMOOTHING)
    transitions = Transitions(3, 3, 2, reliance=0.5)
    transitions.fill(table, np.array([5, 3, 2], np.float32))
    transitions.weights.copy_(torch.tensor([0.5, 0.3, 0.2]))
    both, nearest_only = transitions(torch.tensor([[0, 1], [1, 2]]), torch.arange(3)).exp().numpy()
    # The roots of the sums are 4 and 2, and what popularity counts for is always multiplied by 1.
    assert both == pytest.approx((2.0 * table[0] / 16 + 0.6 * table[1] / 4 + 0.2 * share) / 2.8, rel=1e-5)
    assert nearest_only == pytest.approx((1.0 * table[1] / 4 + 0.2 * share) / 1.2, rel=1e-5)


@pytest.mark.parametrize("reliable", [True, False])
def test_rows_count_for_as_much_more_as_is_likeliest(reliable):
    """What follows is what the row says that rests on much, or what the other says, whichever is nearer."""
    table = np.zeros((4, 4), np.float32)
    table[0], table[1] = [0, 0, 90, 10], [0, 0, 1, 9]
    transitions = Transitions(4, 4, 2)
    transitions.fill(table, np.array([9, 9, 9, 9], np.float32))
    neighbours = torch.tensor([[0, 1]] * 9 + [[1, 0]] * 9)
    none, no_items = torch.zeros(18, 2), torch.zeros(18, 2).long()
    nothing = Added(none[:, :, None], no_items[:, :, None], no_items, torch.arange(18), no_items, no_items[:, 0],
                    no_items, none)  # fmt: skip
    targets = torch.full((18,), 3 if reliable else 4)
    transitions.fit(neighbours, nothing, targets - 1, targets)
    assert (transitions.reliance > 0) == reliable
