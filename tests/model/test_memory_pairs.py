"""Which entries are near each other: counts by hand, and tables of all items without what is zero."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from small_lists import COLUMN, ITEMS, sequences_of, some_lists, without

from anime_bert4rec.model.memory_pairs import BACKWARD, DECAY, REACH, Pairs, count_followers, count_transitions

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
    monkeypatch.setattr("anime_bert4rec.model.memory_pairs.REACH", reach)
    blocked = sequences_of([1, 2, 3, 4, 5, 6, 7, 8], blocks=[[0, 1, 1, 1, 1, 5, 6, 6]])
    orders = itertools.product(itertools.permutations([2, 3, 4, 5]), itertools.permutations([7, 8]))
    tables = [table_of(sequences_of([1, *first, 6, *second])) for first, second in orders]
    assert table_of(blocked) == pytest.approx(np.mean(tables, axis=0), rel=HALF, abs=1e-6)


@pytest.mark.parametrize("at_once", [1, 50, 2**22])
def test_in_what_order_a_bulk_day_is_stored_changes_nothing(at_once, monkeypatch):
    monkeypatch.setattr("anime_bert4rec.model.memory_pairs.PAIRS_AT_ONCE", at_once)
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


def test_what_a_list_added_is_what_is_missing_when_it_is_not_counted():
    sequences = some_lists()
    alone = table_of(sequences.select(np.array([4])))
    assert table_of(sequences) - table_of(without(sequences, 4)) == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("cells_at_once", [1, 3 * ITEMS, 2**24])
def test_a_table_without_what_is_zero_is_the_same_table(cells_at_once, monkeypatch):
    monkeypatch.setattr("anime_bert4rec.model.memory_pairs.CELLS_AT_ONCE", cells_at_once)
    sequences = sequences_of([1, 2, 3], [9, 2, 4], [4, 2], blocks=[[0, 1, 2], [0, 1, 1], [0, 1]])
    table = table_of(sequences)
    found = count_followers(Pairs.of(sequences), ITEMS, most=(table > 0).sum())
    row = np.repeat(np.arange(ITEMS + 1), np.diff(found.row_starts))
    assert (row < ITEMS).all() and found.followers[row == 1].tolist() == [0, 2, 3, 8]
    filled = np.zeros_like(table)
    filled[row, found.followers] = found.values
    assert (filled == table).all() and (found.values > 0).all()
    assert count_followers(Pairs.of(sequences), ITEMS, most=(table > 0).sum() - 1) is None
