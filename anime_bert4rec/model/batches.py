"""Batches for training and validation: cut to length, mask, bucket by length; on whole arrays, no loop over users.

Each batch is a function of (seed, epoch, number of the batch) and of nothing else, so it makes no difference which
process prepares it or whether the run was interrupted before.

There are two kinds. Masks hide entries anywhere in a list, and what is before and after them is visible. Cuts hide an
entry and all that follow it, as when the next anime is to be named; one row serves many cuts at once (see
`BERT4Rec.encode`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from anime_bert4rec.lists.sequences import PAD, Sequences, flat_ranges

CUT_RATIO = 0.1
"""Of the columns of a batch of cuts, so many are cut at."""
FEWEST_CUTS = 3
"""… but not fewer than these, for a step would learn little of short lists, of which a tenth is one item; …"""
FEW_LOGITS = 2**21
"""… unless they make more logits than these."""
ALONE_CUT_RATIO = 0.25
"""… where the network answers alone: without the memory, each cut costs less."""
WIDE_ALONE_CUT_RATIO = 0.5
"""… where there is enough for a wide network, which learns more from them."""
LARGEST_LOGITS = 2**26
"""… but only as many as make so many logits."""
FUSED_EVERY = 4
"""Every so manieth training batch is answered by network and memory together, the others by the network alone."""

MASKED_BEFORE_CUTS = 0.15
"""So many of the items before a cut look like masks to a network that learns to answer alone: it learns fewer lists by
heart. Masks do the same where there are no cuts."""

LENGTH_NOISE = 0.05
"""Lists whose lengths differ by so much may come into one batch: little padding, yet new batches every epoch."""

_VALIDATION = 2**32
"""Stands in the place of the epoch in the random seed of validation, whose masks are always the same."""


class Lists(NamedTuple):
    """Whole lists, one after the other."""

    items: Tensor
    """int64 [T]: item indices."""
    starts: Tensor
    """int64 [B]: where each list starts."""

    def padded(self) -> tuple[Tensor, Tensor]:
        """The items in a row for each list, padded at the end [B, longest], and the lengths [B]."""
        lengths = F.pad(self.starts[1:], (0, 1), value=len(self.items)) - self.starts
        at = torch.arange(int(lengths.max()), device=self.items.device)
        items = F.pad(self.items, (0, 1), value=PAD)
        return items[torch.where(at < lengths[:, None], self.starts[:, None] + at, len(self.items))], lengths


class Batch(NamedTuple):
    """Some users' lists, aligned at the end (padding on the left), with some of their items to be predicted."""

    items: Tensor
    """int64 [B, L]: item indices, PAD, or the mask; in a batch of cuts nothing is masked."""
    slots: Tensor
    """int64 [M], ascending: where the predicted items are, in `items.flatten()`; for cuts, see there."""
    targets: Tensor | None = None
    """int64 [M]: the item index, 1 … N, to be predicted at each slot."""
    cuts: Tensor | None = None
    """int64 [S], ascending: the columns that are cut at in all rows; `slots` then are row * S + place in `cuts`."""
    masked: Tensor | None = None
    """bool [B, last cut]: which items before cuts look like masks to the network; not so to the memory."""
    visible: Tensor | None = None
    """int64 [B, any]: all that is visible of the whole lists, for memories that don't look at the order."""
    entries: Tensor | None = None
    """int64 [B, L]: which entry of the lists that the memory has counted each item is, -1 for none; only where lists
    are trained on."""
    lists: Lists | None = None
    """The whole lists of the rows, what is hidden included, as far as the memory has counted them, and else empty."""
    alone: bool = False
    """Whether the network is to answer alone, without the memory."""
    weight: float = 1.0
    """What the mean loss over the slots counts for, in the mean over processes: see `share_of`."""
    seed: int = 0
    """Of the random numbers that the model needs: what is dropped out is a function of the batch, too."""

    def to(self, device: torch.device) -> Batch:
        lists = self.lists and Lists(*(part.to(device) for part in self.lists))
        tensors: dict[str, Any] = {
            name: part.to(device) for name, part in self._asdict().items() if isinstance(part, Tensor)
        }
        return self._replace(**tensors, lists=lists)


def share_of(batch: Batch, rank: int, world: int) -> Batch:
    """The rows that process `rank` of `world` takes of a batch of masks or cuts with targets.

    The mean over the processes of the mean loss of each times its `weight` is the mean loss over all slots of the
    batch. A share without a slot gets a row that another has too, at weight 0: each process has to take each step.
    Each has a seed of its own.
    """
    rows, width = len(batch.items), batch.items.shape[1] if batch.cuts is None else len(batch.cuts)
    first, last = rank * rows // world, (rank + 1) * rows // world
    start, stop = torch.searchsorted(batch.slots, torch.tensor([first * width, last * width])).tolist()
    weight = world * (stop - start) / len(batch.slots)
    if start == stop:
        start, stop = 0, 1
        first = int(batch.slots[0]) // width
        last = first + 1
    part = slice(first, last)
    lists = batch.lists
    if lists is not None:
        ends = F.pad(lists.starts[1:], (0, 1), value=len(lists.items))
        lists = Lists(lists.items[lists.starts[first] : ends[last - 1]], lists.starts[part] - lists.starts[first])
    return batch._replace(
        items=batch.items[part],
        slots=batch.slots[start:stop] - first * width,
        targets=None if batch.targets is None else batch.targets[start:stop],
        masked=None if batch.masked is None else batch.masked[part],
        visible=None if batch.visible is None else batch.visible[part],
        entries=None if batch.entries is None else batch.entries[part],
        lists=lists,
        weight=weight,
        seed=batch.seed + rank,
    )


class Shares(Dataset[Batch]):
    """The shares of batches that one of several processes takes."""

    def __init__(self, whole: MaskedBatches, rank: int, world: int) -> None:
        self.whole, self.rank, self.world = whole, rank, world

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, number: int) -> Batch:
        return share_of(self.whole[number], self.rank, self.world)


class MaskedBatches(Dataset[Batch]):
    """The batches of one epoch.

    In training (`epoch` given), what has no order is shuffled, a list longer than `max_seq_len` is cut to a window
    (half the time the newest, else a random one), and the masks are new in each epoch. In validation (`epoch=None`),
    the last `max_seq_len` entries are used in their stored order, with the same masks every time.

    `cut_share` of the batches are cuts, at least `fewest_cuts` where lists are long enough; `whole_lists` adds
    `Batch.visible`. All batches but the first of every `fused_every` are for the network alone, and have what only a
    memory needs left out; where there are such batches, all cuts have `Batch.masked`. `counted`: which of the lists the
    memory has counted (positions, ascending); all if not given.
    """

    def __init__(
        self,
        sequences: Sequences,
        *,
        mask: int,
        batch_size: int,
        max_seq_len: int,
        mask_prob: float,
        seed: int,
        epoch: int | None,
        cut_share: float = 0.0,
        whole_lists: bool = False,
        counted: np.ndarray | None = None,
        fused_every: int = 1,
        alone_cut_ratio: float = ALONE_CUT_RATIO,
        fewest_cuts: int | None = None,
    ) -> None:
        self.sequences = sequences
        self.first_counted = sequences.offsets[:-1]
        """Where each list starts among those that are counted; -1 if it isn't one of them."""
        if counted is not None:
            lengths = sequences.lengths[counted]
            self.first_counted = np.full(len(sequences), -1)
            self.first_counted[counted] = np.cumsum(lengths) - lengths
        self.mask, self.batch_size = mask, batch_size
        self.max_seq_len, self.mask_prob = max_seq_len, mask_prob
        self.whole_lists, self.fused_every, self.alone_cut_ratio = whole_lists, fused_every, alone_cut_ratio
        self.fewest_cuts = fewest_cuts or max(1, min(FEWEST_CUTS, FEW_LOGITS // (batch_size * (mask - 1))))
        self.training = epoch is not None
        self.seed = (seed, _VALIDATION if epoch is None else epoch)
        random = np.random.default_rng(self.seed)
        self.users_of_batch = self._plan(random)
        # In each epoch as many as it takes to have had the share so far: by chance, epochs would differ in difficulty.
        wanted = np.rint(cut_share * len(self) * np.array([(epoch or 0) - 1, epoch or 0]))
        self.is_cut = random.permutation(len(self)) < wanted[1] - wanted[0]

    def __len__(self) -> int:
        return len(self.users_of_batch)

    def __getitem__(self, number: int) -> Batch:
        if not 0 <= number < len(self):
            raise IndexError(number)
        source = np.random.SeedSequence((*self.seed, number + 1))
        random, seed = np.random.default_rng(source), int(source.generate_state(1)[0])
        alone = number % self.fused_every != 0
        lists = flat_lists(self.sequences, self.users_of_batch[number], random if self.training else None)
        entries = self._windows(lists, random)
        items = np.where(entries >= 0, self.sequences.items[entries], PAD)
        if self.is_cut[number] and items.shape[1] > 1:
            ratio = CUT_RATIO
            if alone:
                ratio = min(self.alone_cut_ratio, max(CUT_RATIO, LARGEST_LOGITS / items.size / (self.mask - 1)))
            ratio = max(ratio, self.fewest_cuts / items.shape[1])
            cuts, slots = choose_cuts(items != PAD, ratio, random)
            targets = items[:, cuts].ravel()[slots]
            batch = Batch(_tensor(items), _tensor(slots), _tensor(targets), cuts=_tensor(cuts), seed=seed)
            if self.fused_every > 1:
                generator = torch.Generator().manual_seed(seed + 1)  # not the one of dropout
                random_numbers = torch.rand(len(items), int(cuts[-1]), generator=generator)
                batch = batch._replace(masked=random_numbers < MASKED_BEFORE_CUTS)
            hidden = np.zeros(0, np.int64)
        else:
            slots = np.flatnonzero(choose_masked(items != PAD, self.mask_prob, random))
            targets = items.ravel()[slots]
            hidden = entries.ravel()[slots]
            items.ravel()[slots] = self.mask
            batch = Batch(_tensor(items), _tensor(slots), _tensor(targets), seed=seed)
        if alone:
            return batch._replace(alone=True)
        if self.whole_lists:
            batch = batch._replace(visible=_tensor(self._visible(lists, hidden)))
        if self.training:
            users = self.users_of_batch[number]
            first = self.first_counted[users, None]
            known = (entries >= 0) & (first >= 0)
            counted = np.where(known, entries - self.sequences.offsets[users, None] + first, -1)
            lengths = np.where(first[:, 0] >= 0, lists.lengths, 0)
            whole = self.sequences.items[lists.entries[np.repeat(lengths > 0, lists.lengths)]]
            flat = Lists(_tensor(whole), _tensor(np.cumsum(lengths) - lengths))
            batch = batch._replace(entries=_tensor(counted), lists=flat)
        return batch

    def _plan(self, random: np.random.Generator) -> list[np.ndarray]:
        """Which users make up each batch. Of equal size: one user left over would make a step of its own."""
        lengths = np.minimum(self.sequences.lengths, self.max_seq_len).astype(float)
        if self.training:
            lengths *= 1 + LENGTH_NOISE * random.uniform(-1, 1, len(lengths))
        count = max(1, -(-len(lengths) // self.batch_size))
        batches = np.array_split(np.argsort(lengths, kind="stable"), count)
        # Short and long lists by turns, so that halves and other shares of a batch take equally long.
        batches = [np.concatenate([batch[::2], batch[1::2]]) for batch in batches]
        return [batches[k] for k in random.permutation(count)] if self.training else batches

    def _windows(self, lists: FlatLists, random: np.random.Generator) -> np.ndarray:
        """The entries of each list's window, aligned at the end: int64 [B, longest window], -1 for padding."""
        kept = np.minimum(lists.lengths, self.max_seq_len)
        skipped = lists.lengths - kept
        if self.training:
            anywhere = random.integers(0, skipped + 1)
            skipped = np.where(random.random(len(kept)) < 0.5, skipped, anywhere)
        windows = np.full((len(kept), kept.max()), -1, np.int64)
        inside = np.arange(windows.shape[1]) >= (windows.shape[1] - kept)[:, None]
        windows[inside] = lists.entries[flat_ranges(lists.starts + skipped, kept)]
        return windows

    def _visible(self, lists: FlatLists, hidden: np.ndarray) -> np.ndarray:
        """The items of the whole lists but for the `hidden` entries: int32 [B, longest list], padded at the end."""
        visible = np.full((len(lists.lengths), lists.lengths.max()), PAD, np.int32)
        visible[np.arange(visible.shape[1]) < lists.lengths[:, None]] = np.where(
            np.isin(lists.entries, hidden), PAD, self.sequences.items[lists.entries]
        )
        return visible


class FlatLists(NamedTuple):
    """Entries (flat indices of Sequences) of some lists, one list after the other."""

    entries: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray


def flat_lists(sequences: Sequences, users: np.ndarray, random: np.random.Generator | None) -> FlatLists:
    """The lists of `users`, in their stored order or, given `random`, with each block shuffled, to an order that does
    not depend on the stored one."""
    lengths = sequences.offsets[users + 1] - sequences.offsets[users]
    starts = np.cumsum(lengths) - lengths
    entries = flat_ranges(sequences.offsets[users], lengths)
    if random is not None:
        block = np.repeat(starts, lengths) + sequences.blocks[entries]
        entries = entries[np.lexsort((sequences.items[entries], block))]
        entries = entries[np.argsort(block + random.random(len(entries)))]
    return FlatLists(entries, starts, lengths)


def choose_masked(real: np.ndarray, mask_prob: float, random: np.random.Generator) -> np.ndarray:
    """Which of the `real` entries [B, L] to mask: in each row the share `mask_prob`, rounded, and at least one."""
    how_many = np.maximum(1, np.rint(mask_prob * real.sum(1))).astype(np.int64)
    noise = np.where(real, random.random(real.shape), np.inf)
    rank = np.argsort(np.argsort(noise, axis=1), axis=1)
    return rank < how_many[:, None]


def choose_cuts(real: np.ndarray, ratio: float, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The share `ratio` of the columns to cut at [S], and the slots, row * S + place, where a row has an entry there
    and something before it.

    real: bool [B, L], L > 1, with the padding on the left.
    """
    length = real.shape[1]
    wanted = max(1, round(ratio * length))
    cuts = np.sort(random.permutation(length - 1)[:wanted]) + 1
    if not real[:, cuts - 1].any():
        cuts = np.array([length - 1])
    return cuts, np.flatnonzero(real[:, cuts] & real[:, cuts - 1])


def columns_of_masks(batch: Batch) -> tuple[Tensor, Tensor]:
    """The columns of the slots of each list, filled up with column 0 [B, Q], and where each slot is in these [M]."""
    lists, length = batch.items.shape
    rows = batch.slots // length
    first = torch.searchsorted(rows, torch.arange(lists, device=rows.device))
    rank = torch.arange(len(rows), device=rows.device) - first[rows]
    columns = rows.new_zeros(lists, int(rank.max()) + 1)
    columns[rows, rank] = batch.slots % length
    return columns, rows * columns.shape[1] + rank


def ask_what_comes_next(lists: Sequence[np.ndarray], mask: int, max_seq_len: int, ordered: bool) -> Batch:
    """A batch with one slot a list, after its end. lists: item indices, the newest last; none is empty."""
    rows = torch.arange(len(lists))
    if ordered:
        items = _aligned_at_the_end(lists, max_seq_len)
        return Batch(items, rows, cuts=torch.tensor([items.shape[1]]))
    items = F.pad(_aligned_at_the_end(lists, max_seq_len - 1), (0, 1), value=mask)
    return Batch(items, (rows + 1) * items.shape[1] - 1, visible=_aligned_at_the_end(lists, max(map(len, lists))))


def _aligned_at_the_end(lists: Sequence[np.ndarray], most: int) -> Tensor:
    """int64 [B, L]: the newest items of each list, at most `most`, behind padding."""
    width = min(most, max(map(len, lists)))
    window = np.full((len(lists), width), PAD)
    for row, items in zip(window, lists, strict=True):
        kept = items[-width:]
        row[width - len(kept) :] = kept
    return _tensor(window)


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array.astype(np.int64))
