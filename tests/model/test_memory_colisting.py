"""What is listed together, each list counting for the same, and lists taken out of it again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_lists import COLUMN, ITEMS, batches_of, sequences_of, some_lists, without

from anime_bert4rec.model.memory_colisting import LARGEST_COUNT, CoListing, each_item_adds
from anime_bert4rec.model.memory_fitting import Tables


def table_of(sequences, weight):
    colisting = CoListing(ITEMS)
    colisting.fill(sequences, COLUMN, weight)
    return colisting


def test_by_hand():
    colisting = table_of(sequences_of([1, 2], [2, 3, 1, 4]), 8.0)
    assert colisting.table[:4, :4].tolist() == [[0, 6, 2, 2], [6, 0, 2, 2], [2, 2, 0, 2], [2, 2, 2, 0]]
    sums = colisting(torch.tensor([[0, 3, ITEMS], [ITEMS] * 3]), torch.from_numpy(COLUMN), None, 8.0)
    assert sums[:, :5].tolist() == [[2, 8, 4, 2, 0], [0, 0, 0, 0, 0]]


@pytest.mark.parametrize("most", [ITEMS, 6])
@pytest.mark.parametrize("known_more", [False, True])
def test_a_training_list_is_scored_as_though_it_had_not_been_counted(most, known_more, monkeypatch):
    """At every item, by a table that was made again without the list; also with an item that was never counted."""
    monkeypatch.setattr("anime_bert4rec.model.memory_colisting.COLUMNS_AT_ONCE", 5)
    sequences = some_lists(unordered=True)
    batches = batches_of(sequences, whole_lists=True)
    batch = batches[0]
    if known_more:
        visible = torch.cat([batch.visible, torch.full((len(batch.visible), 1), ITEMS)], 1)
        batch = batch._replace(visible=torch.where(visible[:, :-1].eq(ITEMS).any(1, keepdim=True), batch.visible[:, :1],
                                                   visible[:, -1:]))  # fmt: skip
    memory = Tables(sequences, ITEMS, most, False, None).memory(1.0, 10.0, 0.0)
    got = memory.by_colisting(batch, memory.by_popularity(batch))
    anew_of = batch._replace(lists=None)
    for row, user in enumerate(batches.users_of_batch[0]):
        others = without(sequences, user)
        memory.popularity.copy_(torch.from_numpy(others.popularity(ITEMS)))
        memory.colisting.fill(others, memory.column.numpy(), memory.config.list_weight)
        expected = memory.by_colisting(anew_of, memory.by_popularity(anew_of))[row]
        torch.testing.assert_close(got[row], expected, rtol=1e-3, atol=1e-2)


def test_what_only_one_list_has_is_exactly_nothing_without_it():
    lists = [[1, 2, 3, 4, 5, 6, 7], *[[1, 2, 8]] * 99]
    sequences = sequences_of(*lists, blocks=[np.zeros(len(one), int) for one in lists])
    batches = batches_of(sequences, whole_lists=True)
    memory = Tables(sequences, ITEMS, ITEMS, False, None).memory(1.0, 10.0, 0.0)
    for number in range(len(batches)):
        for row in np.flatnonzero(batches.users_of_batch[number] == 0):
            batch = batches[number]
            sums = memory.colisting(memory.column[batch.visible], memory.column, batch.lists, memory.config.list_weight)
            assert sums[row, 2:7].tolist() == [0] * 5


def test_the_table_is_in_the_range_of_half_precision():
    many = sequences_of(*[[1, 2]] * 70_000)
    weight = CoListing.weight_of_list(many)
    table = table_of(many, weight).table
    assert LARGEST_COUNT / 2 <= table.max().item() <= LARGEST_COUNT
    assert table[0, 1].item() == pytest.approx(70_000 * each_item_adds(torch.tensor([2]), weight).item(), rel=1e-3)
