"""Batches for training and validation: cut to length, mask, bucket by length; on whole arrays, no loop over users.

Each batch is a function of (seed, epoch, number of the batch) and of nothing else, so it makes no difference which
process prepares it or whether the run was interrupted before.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from sequences import PAD, Sequences, flat_ranges

POOL = 50
"""Batches are made of users of similar length out of a random pool of this many batches: random, yet little padding."""

_VALIDATION = 2**32
"""Stands in the place of the epoch in the random seed of validation, whose masks are always the same."""


class Batch(NamedTuple):
    """Some users' lists, aligned at the end (padding on the left), with items replaced by the mask."""

    items: torch.Tensor
    """int64 [B, L]: item indices, PAD, or the mask."""
    slots: torch.Tensor
    """int64 [M]: where the masked items are in `items.flatten()`, in ascending order."""
    targets: torch.Tensor
    """int64 [M]: the item index, 1 … N, that stood at each slot."""


class MaskedBatches(Dataset[Batch]):
    """The batches of one epoch.

    In training (`epoch` given), a list longer than `max_seq_len` is cut to a random window, what has no order is
    shuffled, and the masks are new in each epoch. In validation (`epoch=None`), the last `max_seq_len` entries are used
    in their stored order, with the same masks every time.
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
    ) -> None:
        self.sequences = sequences
        self.mask, self.batch_size = mask, batch_size
        self.max_seq_len, self.mask_prob = max_seq_len, mask_prob
        self.training = epoch is not None
        self.seed = (seed, _VALIDATION if epoch is None else epoch)
        self.users_of_batch = self._plan(np.random.default_rng(self.seed))

    def __len__(self) -> int:
        return len(self.users_of_batch)

    def __getitem__(self, number: int) -> Batch:
        if not 0 <= number < len(self):
            raise IndexError(number)
        random = np.random.default_rng((*self.seed, number + 1))
        items = self._windows(self.users_of_batch[number], random)
        masked = choose_masked(items != PAD, self.mask_prob, random)
        slots = np.flatnonzero(masked)
        targets = items.ravel()[slots]
        items.ravel()[slots] = self.mask
        return Batch(*(torch.from_numpy(a.astype(np.int64)) for a in (items, slots, targets)))

    def _plan(self, random: np.random.Generator) -> list[np.ndarray]:
        """Which users make up each batch."""
        lengths = np.minimum(self.sequences.lengths, self.max_seq_len)
        if not self.training:
            by_length = np.argsort(lengths, kind="stable")
            return _chunks(by_length, self.batch_size)
        batches = []
        for pool in _chunks(random.permutation(len(lengths)), self.batch_size * POOL):
            batches += _chunks(pool[np.argsort(lengths[pool], kind="stable")], self.batch_size)
        return [batches[k] for k in random.permutation(len(batches))]

    def _windows(self, users: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """The window of each user's list, aligned at the end: int32 [B, longest window]."""
        starts, lengths = self.sequences.offsets[users], self.sequences.lengths[users]
        entries = flat_ranges(starts, lengths)
        items = self.sequences.items[entries]
        if self.training:
            first = np.repeat(np.cumsum(lengths) - lengths, lengths)
            items = items[np.argsort(first + self.sequences.blocks[entries] + random.random(len(items)))]
        kept = np.minimum(lengths, self.max_seq_len)
        skipped = random.integers(0, lengths - kept + 1) if self.training else lengths - kept
        windows = np.full((len(users), kept.max()), PAD, np.int32)
        windows[np.arange(windows.shape[1]) >= (windows.shape[1] - kept)[:, None]] = items[
            flat_ranges(np.cumsum(lengths) - lengths + skipped, kept)
        ]
        return windows


def choose_masked(real: np.ndarray, mask_prob: float, random: np.random.Generator) -> np.ndarray:
    """Which of the `real` entries [B, L] to mask: in each row the share `mask_prob`, rounded, and at least one."""
    how_many = np.maximum(1, np.rint(mask_prob * real.sum(1))).astype(np.int64)
    noise = np.where(real, random.random(real.shape), np.inf)
    rank = np.argsort(np.argsort(noise, axis=1), axis=1)
    return rank < how_many[:, None]


def _chunks(array: np.ndarray, size: int) -> list[np.ndarray]:
    """Pieces of at most `size`, as equal as can be: a batch of one user left over would make a step of its own."""
    return np.array_split(array, max(1, -(-len(array) // size)))
