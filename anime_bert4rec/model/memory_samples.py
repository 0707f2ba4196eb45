"""Samples of the training lists, on which the item memory is fitted: of each, something is hidden and wanted."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from anime_bert4rec.lists.sequences import PAD, Sequences
from anime_bert4rec.model.batches import Batch, MaskedBatches, WholeLists
from anime_bert4rec.model.hidden_positions import BatchSettings
from anime_bert4rec.model.visible_items import count_visible

TRIAL_LISTS = 1_000
TRIAL_TARGETS = 6_000
MASK_RATIO = 0.2
LARGEST_SAMPLE = 25_000_000
"""The most numbers that each part of the memory gives for a sample: positions times items."""
SHOWN_IN_PART, SHOWN_AT_ONCE = 3_000, 125
"""How many lists without an order are shown in part, to learn how much the terms count for, and how many at once."""
MOST_TIMES = 15
"""A list is shown this often at the most."""
SHOWN_WHOLE, MASKED = 0.2, 0.15
"""The share of these lists that is shown whole but for the share MASKED; of the other lists a few items are shown."""
FEWEST_LEFT = 5


class Wanted(NamedTuple):
    """What is wanted of some lists, in any number."""

    rows: Tensor
    items: Tensor
    weights: Tensor
    """[R] what each list counts for."""


def sample(sequences: Sequences, num_items: int, max_seq_len: int, seed: int, lists: int, cuts: bool = False) -> Batch:
    """Up to `lists` of the training lists, which have an order, in one batch of masks or cuts that asks for
    TRIAL_TARGETS items or fewer."""
    random = np.random.default_rng(seed)
    settings = BatchSettings(
        num_items,
        batch_size=lists,
        max_seq_len=max_seq_len,
        mask_prob=MASK_RATIO,
        seed=seed,
        cut_share=float(cuts),
        fewest_cuts=2 * math.ceil(TRIAL_TARGETS / min(lists, len(sequences))),  # half of them are kept
    )
    batches = MaskedBatches(sequences, settings, epoch=0)
    batches.users_of_batch = [random.permutation(len(sequences))[:lists]]
    batch = newer_half(batches[0])
    most = min(TRIAL_TARGETS, LARGEST_SAMPLE // num_items)
    return batch.only(torch.from_numpy(np.sort(random.permutation(len(batch.rows))[:most])))


def newer_half(batch: Batch) -> Batch:
    """The batch with only the cuts in the newer half of lists in order, if any: there the next item will come."""
    if batch.cuts is None:
        return batch
    start = batch.items.shape[1] // 2
    newer = batch.columns >= start
    if not newer.any():
        return batch
    return batch.only(newer)._replace(cuts=batch.cuts[batch.cuts >= start])


def shown_in_part(batch: Batch, num_items: int, random: np.random.Generator) -> Batch:
    """A batch of lists in order in which half of the lists have only some of their items: those nearest before a cut or
    around a mask, and what is asked of these."""
    length, num_rows = batch.items.shape[1], len(batch.items)
    order = random.permutation(len(batch.rows))
    one_of_row = np.full(num_rows, length)
    one_of_row[batch.rows.numpy()[order]] = batch.columns.numpy()[order]  # the last wins, as it may not in torch
    asked = torch.from_numpy(one_of_row)
    width = torch.from_numpy(np.rint(2 ** random.uniform(0, math.log2(max(2, length)), num_rows)).astype(np.int64))
    whole = torch.from_numpy(random.random(num_rows) < 0.5)
    before = width if batch.cuts is not None else (width * torch.from_numpy(random.random(num_rows))).long()
    first = torch.where(whole, 0, asked - before)
    last = torch.full_like(first, length) if batch.cuts is not None else torch.where(whole, length, first + width + 1)
    column = torch.arange(length)
    inside = (column >= first[:, None]) & (column < last[:, None])
    items = torch.where(inside, batch.items, PAD)
    entries = None if batch.entries is None else torch.where(inside, batch.entries, -1)
    part = batch._replace(items=items, entries=entries)
    asked_for = (batch.columns >= first[batch.rows]) & (batch.columns < last[batch.rows])
    asked_for &= count_visible(part, num_items) > 0
    return part.only(asked_for) if asked_for.any() else batch.only(count_visible(batch, num_items) > 0)


def lists_in_part(sequences: Sequences, num_items: int, seed: int) -> list[tuple[Batch, Wanted]]:
    """Lists without an order, of each of which a random number of random items are shown, and all others are wanted.

    The lists of every 8 batches are sorted by how many items are shown, so that little of a batch is padding.
    """
    random = np.random.default_rng(seed)
    users = random.permutation(np.flatnonzero(sequences.lengths > 1))
    number = min(SHOWN_IN_PART, MOST_TIMES * len(users), max(1, LARGEST_SAMPLE // num_items))
    drawn = []
    for row in range(number):
        items = random.permutation(sequences.of_user(users[row % len(users)])).astype(np.int64)
        count, left = round((1 - MASKED) * len(items)), 1
        if random.random() >= SHOWN_WHOLE:
            count, left = round(len(items) ** random.random()), min(FEWEST_LEFT, len(items) // 2)
        count = max(1, min(count, len(items) - left))
        drawn.append((items[:count], items[count:], left == 1))
    # A list counts for the root of what is wanted of it: what most people have decides which ten come first. But those
    # of which much is shown are to count for as much as ever.
    roots = np.array([len(wanted) ** 0.5 for _, wanted, _ in drawn])
    whole = np.array([each for _, _, each in drawn], bool)
    for kind in (whole, ~whole):
        roots[kind] /= roots[kind].mean() if kind.any() else 1.0
    weighed = [Drawn(*parts[:2], weight) for parts, weight in zip(drawn, roots.tolist(), strict=True)]
    batches = []
    for start in range(0, number, 8 * SHOWN_AT_ONCE):
        some = sorted(weighed[start : start + 8 * SHOWN_AT_ONCE], key=lambda one: len(one.shown))
        batches += [_batch_of(some[at : at + SHOWN_AT_ONCE]) for at in range(0, len(some), SHOWN_AT_ONCE)]
    return batches


class Drawn(NamedTuple):
    """A list of which a part is shown."""

    shown: np.ndarray
    wanted: np.ndarray
    weight: float


def _batch_of(drawn: list[Drawn]) -> tuple[Batch, Wanted]:
    visible = torch.zeros(len(drawn), max(len(one.shown) for one in drawn), dtype=torch.long)
    for row, one in enumerate(drawn):
        visible[row, : len(one.shown)] = torch.from_numpy(one.shown)
    lengths = [len(one.shown) + len(one.wanted) for one in drawn]
    lists = WholeLists(
        torch.from_numpy(np.concatenate([part for one in drawn for part in (one.shown, one.wanted)])),
        torch.from_numpy(np.cumsum([0, *lengths[:-1]])),
    )
    rows = torch.arange(len(drawn))
    batch = Batch(visible, rows, torch.zeros_like(rows), visible=visible, lists=lists)
    owner = rows.repeat_interleave(torch.tensor([len(one.wanted) for one in drawn]))
    items = torch.from_numpy(np.concatenate([one.wanted for one in drawn]))
    return batch, Wanted(owner, items, torch.tensor([one.weight for one in drawn]))
