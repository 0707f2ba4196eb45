"""What is listed together, and lists taken out of it again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_lists import COLUMN, ITEMS, batches_of, sequences_of, some_lists, without

from anime_bert4rec.model.batches import WholeLists
from anime_bert4rec.model.memory_colisting import LARGEST_COUNT, CoListing, each_item_adds
from anime_bert4rec.model.memory_tables import Tables


def table_of(sequences, weight):
    colisting = CoListing(ITEMS)
    colisting.fill(sequences, COLUMN, weight)
    return colisting


def test_on_how_many_lists_a_visible_item_is_does_not_count_the_list_that_is_asked_about():
    """Item 1 is on three lists, of which two are others': 3.5 would count as four, 2.5 counts as two."""
    lists = sequences_of([1, 2], [1, 3], [1, 4])
    own = WholeLists(torch.from_numpy(lists.of_user(0)).long(), torch.tensor([0]))
    often = torch.from_numpy(np.append(lists.popularity(ITEMS) + 0.5, 1).astype(np.float32))
    column = torch.from_numpy(COLUMN)
    got = table_of(lists, 16.0)(torch.tensor([[0]]), column, own, 16.0, often)
    anew = table_of(sequences_of([1, 3], [1, 4]), 16.0)
    torch.testing.assert_close(got, anew(torch.tensor([[0]]), column, None, 16.0, often - torch.eye(13)[0]))
    assert got[0, 2] > 0


def test_by_hand():
    """A list of four adds half of the weight, one of nine a third; what an item on some four lists has counts for a
    quarter."""
    lists = sequences_of([2, 3, 1, 4], [1, 2, *range(6, 13)])
    colisting = table_of(lists, 12.0)
    assert colisting.table[:4, :5].tolist() == [[0, 10, 6, 6, 0], [10, 0, 6, 6, 0], [6, 6, 0, 6, 0], [6, 6, 6, 0, 0]]
    often = torch.tensor([4.5, 3.5, 1.0, 1.0, *[0.5] * (ITEMS - 3)])
    sums = colisting(torch.tensor([[0, 3, ITEMS], [ITEMS] * 3]), torch.from_numpy(COLUMN), None, 12.0, often)
    expected = torch.tensor([[6 / 1, 10 / 4 + 6 / 1, 6 / 4 + 6 / 1, 6 / 4, 0], [0] * 5])
    torch.testing.assert_close(sums[:, :5], expected)


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
    often = torch.cat([memory.popularity + 0.5, torch.ones(1)])
    for number in range(len(batches)):
        for row in np.flatnonzero(batches.users_of_batch[number] == 0):
            batch = batches[number]
            sums = memory.colisting(
                memory.column[batch.visible], memory.column, batch.lists, memory.config.list_weight, often
            )
            assert sums[row, 2:7].tolist() == [0] * 5


def test_the_table_is_in_the_range_of_half_precision():
    many = sequences_of(*[[1, 2]] * 70_000)
    weight = CoListing.weight_of_list(many)
    table = table_of(many, weight).table
    assert LARGEST_COUNT / 2 <= table.max().item() <= LARGEST_COUNT
    assert table[0, 1].item() == pytest.approx(70_000 * each_item_adds(torch.tensor([2]), weight).item(), rel=1e-3)
