"""In which direction a list goes: cosines by hand, of vectors that were made without the list."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from one_memory import fit_memory
from small_lists import ITEMS, MASK, sequences_of, some_lists

from anime_bert4rec.lists.sequences import PAD
from anime_bert4rec.model import memory_direction
from anime_bert4rec.model.batches import Batch, WholeLists
from anime_bert4rec.model.item_space import spectral
from anime_bert4rec.model.memory_direction import ENOUGH, Direction, half_of
from anime_bert4rec.model.memory_ease import UNORDERED_POPULARITY_RIDGE, EaseTable, gram_matrix
from anime_bert4rec.model.memory_tables import Tables


def direction_of(*vectors):
    """Of items 1, 2, … these vectors, of all lists; of the halves, the same backwards and none."""
    made = Direction(len(vectors), ITEMS)
    made.columns.copy_(torch.arange(len(vectors)))
    made.vectors[0, :, :2] = torch.tensor(vectors)
    made.vectors[1, :, :2] = torch.tensor(vectors[::-1])
    return made


def test_the_cosine_with_the_sum_of_what_is_visible():
    direction = direction_of([1.0, 0], [0, 1.0], [0.6, 0.8])
    visible = torch.tensor([[1, 2, PAD, MASK], [PAD, 3, 3, 3], [1, PAD, PAD, PAD], [9, 10, MASK, PAD]])
    got = direction(visible, None)
    half = 0.5**0.5
    assert got[0, :3].tolist() == pytest.approx([half / 2, half / 2, 1.4 * half / 2])  # two items count a half
    assert got[1, :3].tolist() == pytest.approx([0.6 * 2 / 3, 0.8 * 2 / 3, 2 / 3])
    assert not got[2:].any(), "of one item alone, or of items without a vector, no direction is known"
    assert not got[:, 3:].any()


def test_many_items_tell_more_themselves():
    direction, weights = direction_of([1.0, 0], [0, 1.0]), []
    for count in (ENOUGH, round(ENOUGH * 2**0.5), 2 * ENOUGH, 3 * ENOUGH):
        weights.append(direction(torch.ones(1, count, dtype=torch.long), None)[0, 0].item())
    assert weights == pytest.approx([1 - 1 / ENOUGH, 0.5, 0, 0], abs=0.02)


def test_each_list_that_was_counted_is_asked_by_the_vectors_of_the_other_half():
    direction, visible = direction_of([1.0, 0], [0.6, 0.8]), torch.tensor([[1, 2]] * 3)
    of_all = direction(visible, None)
    lists = WholeLists(torch.tensor([1, 2, 1, 2, 3]), torch.tensor([0, 2, 5]))  # sums 3 and 6, and one not counted
    got = direction(visible, lists)
    assert got[0, :2].tolist() == of_all[0, :2].tolist()[::-1], "it is in half 1, and of half 0 are the backward ones"
    assert not got[1].any() and torch.equal(got[2], of_all[2])
    assert half_of(sequences_of([1, 2], [3, 2, 1], [2, 1])).tolist() == [1, 0, 1]


def test_a_list_has_no_part_in_the_vectors_that_it_is_asked_by():
    """The vectors are those of the lists of the other half, by the plain formulas."""
    sequences = some_lists(unordered=True)
    memory = Tables(sequences, ITEMS, ITEMS, False, None).memory(1.0, 10.0, 0.0)
    half, column = half_of(sequences), np.concatenate([[ITEMS], np.arange(ITEMS), [ITEMS]])
    assert 0 < half.mean() < 1
    for number, users in enumerate((half >= 0, half == 0, half == 1)):
        ease = EaseTable(ITEMS)
        gram = gram_matrix(sequences.select(np.flatnonzero(users)), column, ITEMS)
        ease.fill(gram, 10.0, popularity_ridge=UNORDERED_POPULARITY_RIDGE)
        points = spectral(((ease.scores + ease.scores.t()) / 2).numpy())
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        found = memory.direction.vectors[number, :, : points.shape[1]].numpy()
        np.testing.assert_allclose(found @ found.T, points @ points.T, atol=1e-4)
    for user in range(len(sequences)):
        own = torch.from_numpy(sequences.of_user(user).astype(np.int64))
        batch = Batch(own[None, :3], torch.tensor([0]), torch.tensor([3]), lists=WholeLists(own, torch.tensor([0])))
        expected = memory.direction._cosines(own[None, :3], 2 - int(half[user]))
        assert torch.equal(memory.terms(batch).values[-1], expected)


def test_only_the_most_popular_items_have_a_direction(monkeypatch):
    monkeypatch.setattr("anime_bert4rec.model.memory_tables.MOST_DIRECTED", 5)
    sequences = some_lists(unordered=True)
    memory = Tables(sequences, ITEMS, 8, False, None).memory(1.0, 10.0, 0.0)
    popular = np.sort(np.argsort(-sequences.popularity(ITEMS), kind="stable")[:5])
    assert memory.direction.columns.tolist() == popular.tolist() and memory.config.directions == 5
    got = memory.direction(torch.from_numpy(popular[None, :3] + 1), None)[0]
    assert (got[np.delete(np.arange(ITEMS), popular)] == 0).all() and got.abs().max() > 0.1


def test_no_direction_is_sought_for_a_setting_that_is_only_tried(monkeypatch):
    """Vectors cost more than all else that a setting is tried by: there are some of the first and of the best alone."""
    sought = []
    monkeypatch.setattr(memory_direction, "spectral", lambda table: sought.append(table) or spectral(table))
    fit_memory(some_lists(unordered=True), ITEMS, max_seq_len=20, seed=0)
    assert len(sought) in (3, 6)  # of all lists, and of each half
