"""Masking, windows and order: what would be wrong in silence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_lists import sequences_of, with_bulk_days

from anime_bert4rec.lists.sequences import PAD, Vocabulary
from anime_bert4rec.model import hidden_positions, training_data
from anime_bert4rec.model.batches import Batch, MaskedBatches, ask_what_comes_next, columns_of_masks
from anime_bert4rec.model.hidden_positions import BatchSettings, choose_cuts, choose_masked
from anime_bert4rec.model.training_data import Data
from config import TrainingSettings

MASK = 1001


def batches_of(sequences, *, epoch=1, batch_size=4, max_seq_len=10, mask_prob=0.3, seed=7, **more):
    settings = BatchSettings(MASK - 1, batch_size, max_seq_len, mask_prob, seed, **more)
    return MaskedBatches(sequences, settings, epoch)


def unmasked(batch):
    """The rows of a batch with the targets put back."""
    items = batch.items.clone()
    assert (items[batch.rows, batch.columns] == MASK).all()
    items[batch.rows, batch.columns] = batch.targets
    return items


def lists_in(batches):
    rows = [row[row != PAD].tolist() for batch in batches for row in unmasked(batch)]
    return sorted(rows)


def some_lists(count=30, longest=25):
    random = np.random.default_rng(0)
    return [random.choice(1000, random.integers(1, longest), replace=False) + 1 for _ in range(count)]


def test_the_targets_are_what_stood_at_the_masks():
    lists = [list(range(10 * k + 1, 10 * k + 8)) for k in range(9)]
    batches = [batches_of(sequences_of(*lists))[k] for k in range(3)]
    assert lists_in(batches) == sorted(lists)


def test_lists_are_padded_on_the_left_to_the_longest_of_the_batch():
    batch = batches_of(sequences_of([1, 2, 3], [4], [5, 6]), epoch=None)[0]
    assert batch.items.shape == (3, 3)
    assert sorted(unmasked(batch).tolist()) == [[0, 0, 4], [0, 5, 6], [1, 2, 3]]


def test_every_row_has_a_mask_and_no_padding_is_masked():
    dataset = batches_of(sequences_of(*some_lists()), mask_prob=0.05)
    for batch in dataset:
        assert (batch.items == MASK).any(1).all()
        assert (batch.targets != PAD).all()


@pytest.mark.parametrize(
    ("length", "share", "masks"),
    [(1, 0.15, 1), (20, 0.15, 3), (10, 0.5, 5), (100, 0.15, 15), (11, 0.15, 2), (9, 0.15, 1)],
)
def test_the_share_of_masks_is_exact(length, share, masks):
    real = np.zeros((3, 120), bool)
    real[:, 120 - length :] = True
    masked = choose_masked(real, share, np.random.default_rng(0))
    assert masked.sum(1).tolist() == [masks] * 3
    assert not (masked & ~real).any()


def test_every_position_is_masked_equally_often():
    masked = choose_masked(np.ones((20_000, 10), bool), 0.2, np.random.default_rng(0))
    assert masked.mean(0) == pytest.approx(np.full(10, 0.2), abs=0.01)


def test_an_epoch_is_the_same_again_and_another_epoch_is_not():
    sequences = sequences_of(*some_lists())
    first, again, second = (batches_of(sequences, epoch=epoch) for epoch in (1, 1, 2))
    for number in (3, 0):  # in any order
        for field in ("items", "rows", "columns", "targets", "entries"):
            assert torch.equal(getattr(first[number], field), getattr(again[number], field))
    assert not all(torch.equal(a.items, b.items) for a, b in zip(first, second, strict=True))


def test_another_seed_masks_differently():
    sequences = sequences_of(*[list(range(1, 11))] * 4)
    assert not torch.equal(batches_of(sequences, seed=1)[0].columns, batches_of(sequences, seed=2)[0].columns)


def test_validation_is_always_the_same():
    sequences = sequences_of(*some_lists())
    for mine, theirs in zip(batches_of(sequences, epoch=None), batches_of(sequences, epoch=None), strict=True):
        assert torch.equal(mine.items, theirs.items)


def test_validation_sees_the_last_entries_and_training_any_window():
    long = list(range(1, 21))
    sequences = sequences_of(long)
    assert lists_in(batches_of(sequences, epoch=None)) == [long[-10:]]

    starts = []
    for epoch in range(200):
        (window,) = lists_in(batches_of(sequences, epoch=epoch))
        assert window == list(range(window[0], window[0] + 10))
        starts.append(window[0])
    assert set(starts) == set(range(1, 12))
    newest = 1 / 2 + 1 / 2 / 11  # half the time, and by chance as often as any other
    assert starts.count(11) / 200 == pytest.approx(newest, abs=0.1)


def test_blocks_are_shuffled_in_training_only_and_nothing_leaves_its_block():
    blocks = [np.array([0, 1, 2, 2, 2, 2, 6, 7])]
    sequences = sequences_of(range(1, 9), blocks=blocks)
    assert lists_in(batches_of(sequences, epoch=None)) == [[1, 2, 3, 4, 5, 6, 7, 8]]

    middles = set()
    for epoch in range(300):
        (shuffled,) = lists_in(batches_of(sequences, epoch=epoch))
        assert shuffled[:2] == [1, 2] and shuffled[6:] == [7, 8]
        middles.add(tuple(shuffled[2:6]))
    assert len(middles) == 24


@pytest.mark.parametrize("cut_share", [0.0, 1.0])
def test_training_does_not_depend_on_the_order_in_which_bulk_days_are_stored(cut_share):
    ours, other = (
        batches_of(lists, max_seq_len=9, mask_prob=0.4, cut_share=cut_share, whole_lists=True, memory_every=2)
        for lists in with_bulk_days()
    )
    for one, same in zip(ours, other, strict=True):
        for name in ("items", "rows", "columns", "targets", "cuts", "masked"):
            assert (getattr(one, name) is None) == (getattr(same, name) is None)
            assert getattr(one, name) is None or torch.equal(getattr(one, name), getattr(same, name)), name
        if one.lists is not None:
            assert torch.equal(one.lists.items, same.lists.items) and torch.equal(one.visible, same.visible)


def test_each_user_is_in_each_epoch_once():
    lists = some_lists(count=300, longest=9)
    assert lists_in(batches_of(sequences_of(*lists), batch_size=7)) == sorted(list(map(int, one)) for one in lists)


def test_batches_hold_lists_of_similar_length():
    lengths = np.random.default_rng(0).integers(1, 100, 640)
    sequences = sequences_of(*[np.arange(1, n + 1) for n in lengths])
    dataset = batches_of(sequences, batch_size=16, max_seq_len=100)
    padding = sum((batch.items == PAD).sum().item() for batch in dataset)
    assert padding / sum(batch.items.numel() for batch in dataset) < 0.1


def test_a_list_has_other_companions_of_like_length_in_another_epoch():
    sequences = sequences_of(*[[k + 1] * (20 + k % 3) for k in range(90)])
    companions = [
        {frozenset(row[-1].item() for row in unmasked(batch)) for batch in batches_of(sequences, epoch=epoch)}
        for epoch in (1, 2)
    ]
    assert len(companions[0] & companions[1]) < 5


def test_both_halves_of_a_batch_have_as_much_to_do():
    lengths = np.random.default_rng(0).permutation(np.arange(1, 97))
    for batch in batches_of(sequences_of(*[range(1, n + 1) for n in lengths]), batch_size=32, max_seq_len=100):
        first, second = ((half != PAD).sum().item() for half in batch.items.split(16))
        assert first == pytest.approx(second, rel=0.1)


def test_entries_say_where_each_item_comes_from():
    sequences = sequences_of(*some_lists())
    for batch in batches_of(sequences):
        real = batch.entries >= 0
        assert torch.equal(real, batch.items != PAD)
        assert torch.equal(unmasked(batch)[real], torch.from_numpy(sequences.items)[batch.entries[real]].long())


def test_whole_lists_come_with_training_batches_only():
    long = list(range(1, 21))
    sequences = sequences_of(long, [5, 6, 7])
    batch = batches_of(sequences)[0]
    first, second = batch.lists.starts.tolist()
    assert (first, sorted(batch.lists.items[second:].tolist())) == (0, long)
    assert batch.lists.items[:second].tolist() == [5, 6, 7]
    unseen = batches_of(sequences, epoch=None)[0]
    assert unseen.lists is None and unseen.entries is None


@pytest.mark.parametrize("epoch", [1, None])
def test_all_that_is_visible_is_the_whole_list_without_what_is_hidden(epoch):
    lists = some_lists(longest=40)
    for batch in batches_of(sequences_of(*lists), epoch=epoch, whole_lists=True):
        for row, visible in enumerate(batch.visible):
            hidden = batch.targets[batch.rows == row].tolist()
            both = sorted([*visible[visible != PAD].tolist(), *hidden])
            assert both in [sorted(one.tolist()) for one in lists]


def test_cuts_ask_for_items_that_have_something_before_them():
    lists = [list(range(10 * k + 1, 10 * k + 2 + k % 9)) for k in range(40)]
    for batch in batches_of(sequences_of(*lists), cut_share=1.0):
        if batch.cuts is None:  # lists of a single entry cannot be cut
            assert batch.items.shape[1] == 1
            continue
        rows, columns = batch.rows, batch.columns
        assert torch.equal(batch.cuts[batch.places], columns)
        assert len(rows) and torch.equal(batch.items[rows, columns], batch.targets)
        assert (batch.targets != PAD).all() and (batch.items[rows, columns - 1] != PAD).all()
        assert (batch.items != MASK).all()


def test_the_share_of_cuts_is_the_same_in_every_epoch_as_far_as_whole_batches_allow():
    lists = sequences_of(*[range(1, 9)] * 12)
    cuts = [[batch.cuts is not None for batch in batches_of(lists, cut_share=0.7, epoch=e)] for e in range(1, 11)]
    assert {sum(each) for each in cuts} <= {2, 3} and sum(map(sum, cuts)) == 21
    assert {sum(each) for each in zip(*cuts, strict=True)} != {0, 10}, "not always the same batches"
    alone = [batches_of(lists, cut_share=0.7, batch_size=12, epoch=e)[0].cuts is not None for e in range(1, 11)]
    assert sum(alone) == 7


def test_every_fourth_batch_is_for_network_and_memory_together():
    lists = sequences_of(*some_lists(count=60))
    plain, mixed = (
        batches_of(
            lists, cut_share=0.5, whole_lists=True, memory_every=every, cut_ratio_without_memory=0.5, max_seq_len=8
        )
        for every in (1, 4)
    )
    assert [batch.without_memory for batch in mixed] == [number % 4 != 0 for number in range(15)]
    assert not any(batch.without_memory for batch in plain)
    for batch, same in zip(mixed, plain, strict=True):
        needed = (batch.visible, batch.entries, batch.lists)
        assert (
            all(part is None for part in needed) if batch.without_memory else all(part is not None for part in needed)
        )
        assert torch.equal(batch.items, same.items)
        if batch.cuts is not None:
            length = batch.items.shape[1]
            assert len(batch.cuts) == (length - 1 if batch.without_memory else min(length - 1, 3))
    assert any(batch.without_memory and batch.cuts is not None for batch in mixed)


def test_some_items_are_masked_for_a_network_that_learns_to_answer_alone():
    lists = sequences_of(*some_lists(count=60))
    mixed = batches_of(lists, cut_share=0.5, memory_every=4, max_seq_len=8)
    cuts = [batch for batch in mixed if batch.cuts is not None]
    assert {batch.without_memory for batch in cuts} == {True, False}
    assert all((batch.masked is None) == (batch.cuts is None) for batch in mixed)
    assert all(batch.masked.shape == batch.items[:, : batch.cuts[-1]].shape for batch in cuts)
    masked = torch.cat([batch.masked.flatten() for batch in cuts])
    assert masked.float().mean() == pytest.approx(hidden_positions.MASKED_BEFORE_CUTS, abs=0.05)
    again = batches_of(lists, cut_share=0.5, memory_every=4, max_seq_len=8)
    assert all(
        torch.equal(one.masked, other.masked) for one, other in zip(mixed, again, strict=True) if one.cuts is not None
    )
    assert all(batch.masked is None for batch in batches_of(lists, cut_share=1.0))


def test_lists_are_cut_at_a_tenth_of_the_columns_and_short_ones_at_three():
    for length, cuts in ((2, 1), (3, 2), (7, 3), (30, 3), (60, 6)):
        batch = batches_of(sequences_of(*[range(1, length + 1)] * 8), cut_share=1.0, max_seq_len=100)[0]
        assert len(batch.cuts) == len(set(batch.cuts.tolist())) == cuts


def test_three_cuts_are_made_as_far_as_the_logits_are_few(monkeypatch):
    lists = sequences_of(*[range(1, 8)] * 8)
    for few, cuts in ((MASK * 4 * 3, 3), (MASK * 4 * 2, 2), (0, 1)):
        monkeypatch.setattr(hidden_positions, "FEW_LOGITS", few)
        assert len(batches_of(lists, cut_share=1.0)[0].cuts) == cuts


@pytest.mark.parametrize("more", [{"memory_every": 4}, {"has_memory": False}])
def test_short_lists_are_cut_at_all_columns_where_no_memory_answers(more, monkeypatch):
    for length, cuts in ((7, 6), (17, 16), (20, 16)):
        lists = sequences_of(*[range(1, length + 1)] * 8)
        assert len(batches_of(lists, cut_share=1.0, max_seq_len=30, **more)[1].cuts) == cuts
    monkeypatch.setattr(hidden_positions, "LARGEST_LOGITS", MASK * 4 * 9)
    assert len(batches_of(lists, cut_share=1.0, max_seq_len=30, **more)[1].cuts) == 9


def test_so_many_cuts_that_the_logits_fit(monkeypatch):
    monkeypatch.setattr(hidden_positions, "FEWEST_CUTS_WITHOUT_MEMORY", 1)
    lists = sequences_of(*[range(1, 21)] * 8)
    more = {"cut_share": 1.0, "memory_every": 4, "max_seq_len": 20}
    for most, cuts in ((10**9, 10), (MASK * 4 * 20 // 4, 5), (0, 3)):  # never fewer than in other batches
        monkeypatch.setattr(hidden_positions, "LARGEST_LOGITS", most)
        assert len(batches_of(lists, **more, cut_ratio_without_memory=0.5)[1].cuts) == cuts


def test_a_wide_network_alone_is_asked_at_more_cuts(monkeypatch):
    monkeypatch.setattr(hidden_positions, "FEWEST_CUTS_WITHOUT_MEMORY", 1)
    lists = sequences_of(*[range(1, 21)] * 8)
    for enough, cuts in ((161, 5), (160, 10)):
        monkeypatch.setattr(training_data, "ENTRIES_FOR_A_WIDE_NETWORK", enough)
        monkeypatch.setattr(training_data, "LISTS_TO_ANSWER_ALONE", 8)
        data = Data(Vocabulary(np.arange(1, MASK)), lists, lists)
        made = training_data.batches(lists, data, TrainingSettings(batch_size=4, cut_share=1.0), epoch=1).dataset
        assert len(made[1].cuts) == cuts


def test_batches_of_long_lists_and_of_cuts_come_at_any_time_of_an_epoch():
    lists = sequences_of(*[range(1, length + 1) for length in range(2, 82)])
    made = list(batches_of(lists, max_seq_len=100, cut_share=0.5))
    widths, cuts = [batch.items.shape[1] for batch in made], [batch.cuts is not None for batch in made]
    assert widths != sorted(widths) and widths[::-1] != sorted(widths)
    assert cuts.count(True) == 10 and cuts != sorted(cuts) and cuts[::-1] != sorted(cuts)


def test_the_share_of_cuts_is_rounded():
    made = [choose_cuts(np.ones((3, 19), bool), ratio, np.random.default_rng(0)) for ratio in (0.07, 0.1)]
    assert [len(each.cuts) for each in made] == [1, 2], "of 19 columns 1.33 and 1.9"


def test_batches_are_of_equal_size():
    dataset = batches_of(sequences_of(*some_lists(count=33)), batch_size=16)
    assert [len(batch.items) for batch in dataset] == [11, 11, 11]


def test_the_question_of_what_comes_next():
    lists = [np.array([1, 2, 3, 4]), np.array([5])]
    cut = ask_what_comes_next(lists, MASK, 3, ordered=True)
    assert cut.items.tolist() == [[2, 3, 4], [PAD, PAD, 5]]
    assert (cut.cuts.tolist(), cut.rows.tolist(), cut.columns.tolist()) == ([3], [0, 1], [3, 3])

    masked = ask_what_comes_next(lists, MASK, 3, ordered=False)
    assert masked.items.tolist() == [[3, 4, MASK], [PAD, 5, MASK]]
    assert masked.items[masked.rows, masked.columns].tolist() == [MASK, MASK]
    assert masked.visible.tolist() == [[1, 2, 3, 4], [PAD, PAD, PAD, 5]]


def test_the_columns_of_masks_are_as_many_as_the_most_that_a_list_has():
    rows, columns = torch.tensor([0, 0, 2, 2, 2]), torch.tensor([1, 3, 0, 2, 4])
    of_lists, places = columns_of_masks(Batch(torch.zeros(3, 5), rows, columns))
    assert of_lists.tolist() == [[1, 3, 0], [0, 0, 0], [0, 2, 4]] and places.tolist() == [0, 1, 6, 7, 8]
