"""What of the training lists is shown, and what is asked, when the memory is fitted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_lists import ITEMS, MASK, batches_of, masked_at, sequences_of, some_lists

from anime_bert4rec.model import memory_samples
from anime_bert4rec.model.batches import Batch
from anime_bert4rec.model.memory_samples import lists_in_part, newer_half, sample, shown_in_part
from anime_bert4rec.model.visible_items import count_visible, visible_at


def test_a_sample_is_reproducible_and_small(monkeypatch):
    monkeypatch.setattr(memory_samples, "TRIAL_TARGETS", 90)
    sequences = some_lists(count=400)
    one, again = (sample(sequences, ITEMS, 20, 1, 50, cuts=True) for _ in range(2))
    assert torch.equal(one.columns, again.columns) and len(one.items) == 50 and len(one.columns) == 90


def test_a_sample_of_short_lists_is_cut_everywhere_in_the_newer_half():
    """At one place alone the memory would be fitted to what follows the first item, say."""
    short = sequences_of(*[range(1, 8)] * 50)
    assert sample(short, ITEMS, 20, 1, 50, cuts=True).cuts.tolist() == [3, 4, 5, 6]


def test_of_cuts_the_newer_half_is_kept_and_what_it_asks():
    items = torch.arange(1, 9).view(2, 4).repeat(1, 2)  # 8 columns
    where = torch.tensor([0, 0, 1, 1]), torch.tensor([1, 4, 1, 7])
    batch = Batch(items, *where, torch.tensor([2, 3, 4, 7]), cuts=torch.tensor([1, 4, 7]))
    newer = newer_half(batch)
    assert newer.cuts.tolist() == [4, 7]
    assert (newer.rows.tolist(), newer.columns.tolist(), newer.targets.tolist()) == ([0, 1], [4, 7], [3, 7])
    assert newer.places.tolist() == [0, 1]
    older = batch._replace(cuts=torch.tensor([1, 2, 3]), columns=torch.tensor([1, 2, 1, 3]))
    assert newer_half(older) is older, "there is nothing else"
    masks = Batch(items, torch.tensor([0]), torch.tensor([0]), torch.tensor([1]))
    assert newer_half(masks) is masks


def test_lists_without_an_order_are_shown_in_part_and_all_else_is_wanted():
    sequences = some_lists(20, unordered=True)
    counts = []
    for batch, (rows, items, weights) in lists_in_part(sequences, ITEMS, 0):
        assert len(weights) == len(batch.items)
        assert len(batch.items) <= memory_samples.SHOWN_AT_ONCE
        for row, whole in enumerate(batch.lists.padded().tolist()):
            shown, wanted = (sorted(part[part > 0].tolist()) for part in (batch.visible[row], items[rows == row]))
            assert sorted(shown + wanted) == sorted(item for item in whole if item) and shown and wanted
            assert any(set(whole) - {0} == set(sequences.of_user(user).tolist()) for user in range(20))
            counts.append(len(shown))
    assert len(counts) == memory_samples.MOST_TIMES * 20
    assert counts.count(1) > 10 and max(counts) > 5, "some are shown whole but for little"
    again = lists_in_part(sequences, ITEMS, 0)
    assert torch.equal(again[0][0].visible, lists_in_part(sequences, ITEMS, 0)[0][0].visible)


def test_a_list_counts_for_the_root_of_what_is_wanted_and_each_way_to_show_it_for_the_same():
    """Of 20 items either 17 are shown, so that three are wanted each time, or at most 15."""
    lists = [np.random.default_rng(k).permutation(30)[:20] + 1 for k in range(40)]
    parts = lists_in_part(sequences_of(*lists, blocks=[[0] * 20] * 40), 30, 0)
    shown = np.concatenate([(batch.visible > 0).sum(1) for batch, _ in parts])
    weights = np.concatenate([wanted.weights for _, wanted in parts])
    whole, roots = shown == 17, np.sqrt(20 - shown)
    assert whole.mean() == pytest.approx(1 / 5, abs=0.05) and shown[~whole].max() <= 15
    assert weights[whole] == pytest.approx(1)
    assert weights[~whole] == pytest.approx(roots[~whole] / roots[~whole].mean())


def test_of_a_short_list_half_is_wanted_or_it_is_shown_whole_but_for_one():
    parts = lists_in_part(sequences_of(*[range(1, 5)] * 40, blocks=[[0] * 4] * 40), ITEMS, 0)
    shown = np.concatenate([(batch.visible > 0).sum(1) for batch, _ in parts])
    assert np.unique(shown).tolist() == [1, 2, 3] and (shown == 3).mean() == pytest.approx(1 / 5, abs=0.05)


def test_of_a_long_list_any_number_is_shown():
    lists = [np.random.default_rng(k).permutation(1200)[:1000] + 1 for k in range(3)]
    parts = lists_in_part(sequences_of(*lists, blocks=[[0] * 1000] * 3), 1200, 0)
    shown = np.concatenate([(batch.visible > 0).sum(1) for batch, _ in parts])
    assert shown.min() < 10 and ((shown > 128) & (shown < 850)).sum() > 3


def test_a_list_of_one_item_shows_nothing_of_use():
    lists = sequences_of([1], [2, 3], [4], blocks=[[0], [0, 0], [0]])
    for batch, (_, items, _) in lists_in_part(lists, ITEMS, 0):
        assert (batch.visible > 0).sum(1).tolist() == [1] * len(batch.visible)
        assert set(items.tolist()) <= {2, 3}


@pytest.mark.parametrize("cut_share", [0.0, 1.0])
def test_of_half_of_the_lists_in_order_only_what_is_near_is_shown(cut_share):
    batch = batches_of(sequences_of(*[np.random.default_rng(k).permutation(ITEMS) + 1 for k in range(40)]),
                       cut_share=cut_share)[0]  # fmt: skip
    part = shown_in_part(batch, ITEMS, np.random.default_rng(0))
    kept = part.items > 0
    assert torch.equal(part.items[kept], batch.items[kept]) and (part.entries[~kept] == -1).all()
    assert (visible_at(part, ITEMS) > 0).any(1).all(), "something is visible at each position"
    fewer = (kept.sum(1) < (batch.items > 0).sum(1))[part.rows]
    assert fewer.any() and not fewer.all()
    for row in kept[fewer.new_tensor(part.rows[fewer].tolist(), dtype=torch.long)]:
        places = row.nonzero()[:, 0]
        assert len(places) == places[-1] - places[0] + 1, "side by side"
    if cut_share:
        assert kept[:, -1].all(), "up to the cut"
    else:
        assert (part.items[part.rows, part.columns] == MASK).all()


def test_what_is_shown_in_part_is_the_same_however_many_threads_there_are():
    """Each list has many positions that could be the one around which it is shown: which it is, the seed decides."""
    rows, columns = torch.arange(1000).repeat_interleave(100), torch.arange(1, 101).repeat(1000)
    items = torch.arange(1000 * 101).view(1000, 101) % ITEMS + 1
    batch = Batch(items, rows, columns, items[rows, columns], cuts=torch.arange(1, 101))
    parts = []
    for threads in (1, 2, 2, 2):
        torch.set_num_threads(threads)
        parts.append(shown_in_part(batch, ITEMS, np.random.default_rng(0)))
    assert all(torch.equal(part.items, parts[0].items) for part in parts)


def test_nothing_is_asked_of_a_list_of_which_nothing_is_visible():
    """Of lists of one title, as a low --min-anime lets in, the mask hides all."""
    batch = masked_at(torch.tensor([[MASK, 0, 0], [2, MASK, 0]]), torch.tensor([0, 4]), torch.tensor([1, 3]))
    for seed in range(50):
        part = shown_in_part(batch, ITEMS, np.random.default_rng(seed))
        assert part.rows.tolist() == [1] and (count_visible(part, ITEMS) > 0).all()
