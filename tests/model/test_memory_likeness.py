"""How alike items are by their groups, and what is in a franchise of which something is visible."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from small_lists import ITEMS, MASK, batches_of, sequences_of, some_lists, without

from anime_bert4rec.lists.common_traits import CONTENT, FRANCHISE
from anime_bert4rec.lists.sequences import PAD, Sequences
from anime_bert4rec.model.batches import WholeLists
from anime_bert4rec.model.item_memory import ItemMemory
from anime_bert4rec.model.memory_config import MemoryConfig
from anime_bert4rec.model.memory_likeness import Likeness
from anime_bert4rec.model.memory_tables import Tables

GROUPS = [[1, 2, 5], [3, 4, 6], [1, 3, 5, 6], [1, 2], [5, 6]]


def likeness_of(franchises=(), lists=None):
    alike = sequences_of(*GROUPS)
    kinds = np.arange(len(GROUPS))
    kinds[list(franchises)] = FRANCHISE
    return Likeness.of(Sequences(alike.items, alike.blocks, alike.offsets, kinds), ITEMS, lists or sequences_of([1]))


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


def test_what_is_usually_beside_an_item():
    """The franchises are 1 with 2, and 3 with 4 and 6: of three lists with 1 two have 2, and one list has 3 and 4."""
    lists = sequences_of([1, 2, 5, 3], [2, 1, 8], [1, 8, 5, 6], [3, 4])
    got = likeness_of([1, 3], lists).missing(torch.from_numpy(lists.popularity(ITEMS)), None)
    in_all = {1: 2, 2: 2, 3: 1, 4: 1}
    expected = [in_all.get(item, 0) / (int((lists.items == item).sum()) + 0.5) for item in range(1, ITEMS + 1)]
    assert got[0].tolist() == pytest.approx(expected)


def test_what_is_missing_counts_where_nothing_of_the_franchise_is_visible():
    lists = sequences_of([1, 2], [3, 4], [3, 4, 6], [6])
    visible, popularity = torch.tensor([[2, MASK], [12, PAD]]), torch.from_numpy(lists.popularity(ITEMS))
    likeness = likeness_of([1, 3], lists)
    missing = likeness(visible, popularity, None)[-1]
    assert missing[0, [0, 1]].tolist() == [0, 0] and missing[0, [2, 3, 5]].tolist() == pytest.approx([1.2, 1.2, 0.8])
    assert missing[1, [0, 1]].tolist() == pytest.approx([1 / 1.5] * 2)


def test_what_is_usually_beside_an_item_is_that_on_other_lists():
    lists = sequences_of([1, 2, 5, 3], [2, 1, 8], [1, 8, 5, 6], [3, 4])
    popularity = torch.from_numpy(lists.popularity(ITEMS))
    for user in range(len(lists)):
        own = WholeLists(torch.from_numpy(lists.of_user(user)).long(), torch.tensor([0]))
        others = without(lists, user)
        expected = likeness_of([1, 3], others).missing(torch.from_numpy(others.popularity(ITEMS)), None)
        torch.testing.assert_close(likeness_of([1, 3], lists).missing(popularity, own), expected)


def test_it_knows_which_groups_are_genres_and_tags():
    alike = sequences_of(*GROUPS)
    kinds = np.array([CONTENT, 1, FRANCHISE, CONTENT, 4])
    likeness = Likeness.of(Sequences(alike.items, alike.blocks, alike.offsets, kinds), ITEMS, sequences_of([1]))
    assert likeness.content.tolist() == [0, 3] and likeness.sizes.contents == 2
    assert likeness_of([1]).content is None


def test_a_list_that_was_counted_is_left_out():
    sequences, alike = some_lists(unordered=True), sequences_of(*GROUPS)
    alike = Sequences(alike.items, alike.blocks, alike.offsets, np.array([0, FRANCHISE, FRANCHISE, 3, 4]))
    batch = batches_of(sequences, whole_lists=True)[0]
    memory = Tables(sequences, ITEMS, ITEMS, False, alike).memory(1.0, 10.0, 0.0)
    assert memory.config.terms[-2] == "missing"
    got = memory.terms(batch).values[-2]
    for row, user in enumerate(batches_of(sequences, whole_lists=True).users_of_batch[0]):
        others = Tables(without(sequences, user), ITEMS, ITEMS, False, alike).memory(1.0, 10.0, 0.0)
        expected = others.terms(batch._replace(lists=None)).values[-2][row]
        torch.testing.assert_close(got[row], expected)
    saved = dataclasses.asdict(memory.config)
    del saved["directions"], saved["likeness"]["contents"]
    without_content = ItemMemory(MemoryConfig.from_dict(saved))
    assert without_content.config.terms == memory.config.terms[:-1]
    assert without_content.likeness.content is None
