"""How alike items are by their groups, and what is in a franchise of which something is visible."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_lists import ITEMS, MASK, sequences_of

from anime_bert4rec.lists.common_traits import FRANCHISE
from anime_bert4rec.lists.sequences import PAD, Sequences
from anime_bert4rec.model.memory_likeness import Likeness

GROUPS = [[1, 2, 5], [3, 4, 6], [1, 3, 5, 6], [1, 2], [5, 6]]


def likeness_of(franchises=()):
    alike = sequences_of(*GROUPS)
    kinds = np.arange(len(GROUPS))
    kinds[list(franchises)] = FRANCHISE
    return Likeness.of(Sequences(alike.items, alike.blocks, alike.offsets, kinds), ITEMS)


def test_the_mean_cosine_with_what_is_visible():
    of_group = np.zeros((ITEMS + 1, len(GROUPS)))
    for number, members in enumerate(GROUPS):
        of_group[members, number] = len(members) ** -0.5
    length = np.linalg.norm(of_group, axis=1, keepdims=True)
    unit = of_group / np.where(length > 0, length, 1)
    got = likeness_of().cosines(torch.tensor([[1, 4, PAD, MASK], [2, PAD, PAD, PAD], [PAD, PAD, MASK, 12]])).numpy()
    assert got[0] == pytest.approx((unit @ (unit[1] + unit[4]) / 2)[1:], abs=1e-6)
    assert got[1] == pytest.approx((unit @ unit[2])[1:], abs=1e-6)
    assert got[2].tolist() == [0] * ITEMS, "item 12 is in no group"


def test_the_same_franchise():
    there = likeness_of([1, 4]).same_franchise(torch.tensor([[3, PAD, 1], [2, MASK, PAD], [5, 4, PAD]]))
    listed = [[item for item in range(1, ITEMS + 1) if row[item - 1]] for row in there.tolist()]
    assert listed == [[3, 4], [], [3, 4, 5, 6]] or listed == [[3, 4, 6], [], [3, 4, 5, 6]]


def test_the_first_of_all_groups_may_be_a_franchise_too():
    there = likeness_of([0, 1]).same_franchise(torch.tensor([[2, PAD], [4, MASK], [12, PAD]]))
    assert [[item for item in range(1, ITEMS + 1) if row[item - 1]] for row in there.tolist()] == [
        [1, 2, 5],
        [3, 4, 6],
        [],
    ]
