"""How late items are: by hand, and with lists left out; memories that were made without."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_lists import ITEMS, batches_of, cut_at, sequences_of, with_bulk_days, without

from anime_bert4rec.model.memory_pairs import Pairs
from anime_bert4rec.model.memory_tables import Tables


def memory_of(sequences):
    batch = batches_of(sequences)[0]
    return Tables(sequences, ITEMS, ITEMS, True, None, batch).memory(0.9, 10.0, 0.0)


def test_by_hand():
    """Of a block all have the mean place, and a list of one has its item midway."""
    sequences = sequences_of([1, 2, 3], [3, 1, 4, 5, 2], [3], blocks=[[0, 1, 2], [0, 1, 1, 1, 4], [0]])
    assert Pairs.of(sequences).places.tolist() == [0, 0.5, 1, 0, 0.5, 0.5, 0.5, 1, 0.5]
    memory = memory_of(sequences)
    batch = cut_at(torch.tensor([[6, 7]]), torch.tensor([1]), torch.tensor([0]), torch.tensor([0]))
    got = memory.lateness(batch, memory.popularity, None)[0].exp()
    expected = [1.5 / 4, 2.5 / 4, 2.5 / 5, 1.5 / 3, 1.5 / 3, *[0.5] * (ITEMS - 5)]
    assert got.tolist() == pytest.approx(expected)
    assert memory.terms(batch).values[3][0].exp().tolist() == pytest.approx(expected)


@pytest.mark.parametrize("cut_share", [0.0, 1.0])
def test_it_is_that_in_the_other_lists(cut_share):
    sequences = with_bulk_days(count=9)[0]
    batches = batches_of(sequences, cut_share=cut_share)
    memory, batch, users = memory_of(sequences), batches[0], batches.users_of_batch[0]
    got = memory.lateness(batch, memory.popularity, memory.pairs)
    for row, user in enumerate(users[batch.rows.numpy()]):
        others = without(sequences, user)
        places = np.bincount(others.items, Pairs.of(others).places, ITEMS + 1)[1:]
        expected = np.log((places + 1) / (others.popularity(ITEMS) + 2))
        assert got[row].tolist() == pytest.approx(expected.tolist(), abs=1e-5)
