"""What follows what: a decayed Markov chain over items, counted so that what a list added can be taken out again.

The nearest visible items before a slot each name a row of the transition table; a mixture of these rows, and of
popularity, is a guess at the slot. For a list that the counts were made from, what the list itself added to the entry
of the target is subtracted (`own`): otherwise the table would look better than it is. What it added elsewhere stays,
which favours the other items of the list over the target, if anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sequences import Sequences

DECAY = 0.8
"""What a pair of entries counts for falls by this with each entry between them."""
REACH = 20
"""Pairs further apart than this are not counted."""
BACKWARD = 0.3
"""A pair counts for so much from the later item to the earlier one."""


@dataclass(frozen=True)
class Pairs:
    """What each pair of entries of the lists adds to the table. All arrays have one value an entry.

    Entries of a block have no order, so a pair counts for the mean over all orders of its blocks.
    """

    first: np.ndarray  # the flat index of the first and of the last entry of the block
    last: np.ndarray
    to_edge: np.ndarray  # the mean decay from an entry to the edge of its block
    within: np.ndarray  # the mean weight of an ordered pair inside the block

    @classmethod
    def of(cls, sequences: Sequences) -> Pairs:
        list_start = np.repeat(sequences.offsets[:-1], sequences.lengths)
        first, number, size = np.unique(
            list_start + sequences.blocks, return_inverse=True, return_counts=True
        )  # a block is numbered by the place of its first entry
        m = size.astype(np.float64)
        to_edge = (1 - DECAY**m) / (m * (1 - DECAY))
        total = (m - (1 - DECAY**m) / (1 - DECAY)) / (1 - DECAY)  # sum over d of (m - d) DECAY^(d - 1)
        within = np.where(m > 1, total / np.maximum(m * (m - 1), 1), 0.0)
        return cls(first[number], (first + size - 1)[number], to_edge[number], within[number])

    def weight(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        """What the entry `source` adds to the row of its item at the item of `target`; flat indices of one list."""
        early, late = np.minimum(source, target), np.maximum(source, target)
        gap = np.maximum(self.first[late] - self.last[early] - 1, 0)
        direction = np.where(source < target, 1.0, BACKWARD)
        apart = DECAY**gap * self.to_edge[source] * self.to_edge[target] * direction
        together = self.within[source] * (1 + BACKWARD)
        weight = np.where(self.first[source] == self.first[target], together, apart)
        return np.where((late - early <= REACH) & (source != target), weight, 0.0).astype(np.float32)


def count_transitions(sequences: Sequences, pairs: Pairs, column: np.ndarray, size: int) -> np.ndarray:
    """The table, float32 [size, size]. column: where each item index has its row and column; `size` for none."""
    owner = np.repeat(np.arange(len(sequences)), sequences.lengths)
    at = column[sequences.items].astype(np.int64)
    table = np.zeros((size + 1, size + 1), np.float32)
    for distance in range(1, min(REACH, len(at) - 1) + 1):
        early = np.flatnonzero(owner[:-distance] == owner[distance:])
        late = early + distance
        forward = pairs.weight(early, late)
        backward = np.where(pairs.first[early] == pairs.first[late], forward, BACKWARD * forward)
        for source, target, weight in ((early, late, forward), (late, early, backward)):
            # One flat index, for which numpy has a faster way than for two.
            np.add.at(table.reshape(-1), at[source] * (size + 1) + at[target], weight)
    return table[:-1, :-1]


class Transitions(nn.Module):
    """log of the mixture of table rows. Items without a row of their own are known by popularity alone."""

    def __init__(self, size: int, num_items: int, neighbours: int) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.register_buffer("table", torch.zeros(size + 1, size))  # the last row is of items without one
        self.register_buffer("row_sum", torch.zeros(size + 1))
        self.register_buffer("popularity", torch.zeros(num_items))
        self.register_buffer("weights", torch.cat([0.8 ** torch.arange(neighbours), torch.tensor([0.1])]))

    table: Tensor
    row_sum: Tensor
    popularity: Tensor
    weights: Tensor

    def fill(self, table: np.ndarray, popularity: np.ndarray) -> None:
        """table: float32 [size, size]; popularity: on how many lists each item is [N]."""
        self.table[:-1] = torch.from_numpy(table)
        self.row_sum[:-1] = torch.from_numpy(table.sum(1))
        self.popularity.copy_(torch.from_numpy(popularity))

    def fit(self, neighbours: Tensor, own: Tensor, columns: Tensor, targets: Tensor, rounds: int = 50) -> None:
        """Mixture weights by expectation maximisation over known targets (deleted interpolation, Jelinek 1980).

        neighbours, own: as in `forward`; columns: [M] of the targets in the table; targets: [M] item indices.
        """
        in_table = columns < self.table.shape[1]
        counts = self.table[neighbours, columns.clamp(max=self.table.shape[1] - 1)[:, None]] * in_table[:, None]
        own, own_popularity = own[:, :-1], own[:, -1]
        left = self.row_sum[neighbours] - own
        popularity = (self.popularity[targets - 1] - own_popularity).clamp_min(0.1)
        by_popularity = popularity / (self.popularity.sum() - own_popularity)
        guess = torch.cat([(counts - own).clamp_min(0) / left.clamp_min(1e-6), by_popularity[:, None]], 1)
        usable = F.pad(left > 1e-6, (0, 1), value=True)
        for _ in range(rounds):
            mixture = F.normalize(self.weights * usable, p=1, dim=1)
            share = F.normalize(mixture * guess, p=1, dim=1)
            ratio = share.sum(0) / mixture.sum(0).clamp_min(1e-6)
            self.weights.copy_(F.normalize((ratio * self.weights).clamp_min(1e-4), p=1, dim=0))  # nothing is impossible

    def forward(self, neighbours: Tensor, kept: Tensor, own: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """The log of the mixture, float [M, N].

        neighbours [M, K]: rows of the table, the nearest visible item first. kept [size]: the columns of the logits
        that the table has. own: what the list of each slot added at the target to the row of each neighbour and, last,
        to its popularity [M, K + 1], and the targets [M].
        """
        counted: Tensor | float = 0.0 if own is None else own[0][:, :-1]
        left = self.row_sum[neighbours] - counted
        mixture = F.normalize(self.weights * F.pad(left > 1e-6, (0, 1), value=True), p=1, dim=1)
        scale = mixture[:, :-1] / left.clamp_min(1e-6)
        rows = F.embedding_bag(neighbours, self.table, per_sample_weights=scale, mode="sum")
        total = self.popularity.sum()
        if len(kept) == len(self.popularity):
            guess = rows.addr_(mixture[:, -1], (self.popularity + 0.1) / total)
        else:
            guess = torch.outer(mixture[:, -1], (self.popularity + 0.1) / total)
            guess.index_add_(1, kept, rows)
        if own is not None:
            at = torch.arange(len(guess), device=guess.device), own[1] - 1
            guess[at] -= (scale * counted).sum(1) + mixture[:, -1] * own[0][:, -1] / total
        return guess.clamp_min_(1e-9).log_()
