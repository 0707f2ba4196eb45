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
SMOOTHING = 0.5
"""Added to the number of lists that each item is on, so that nothing is impossible (Krichevsky and Trofimov, "The
performance of universal encoding", 1981)."""
PRIORS = (0.0, 3.0, 10.0, 30.0, 100.0)
"""So much of the popularity may be added to each row: those of rare items have few counts of their own."""


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
        self.prior = 0.0
        """How much of the popularity is in each row; needed to train, and not saved."""

    table: Tensor
    row_sum: Tensor
    popularity: Tensor
    weights: Tensor

    def fill(self, table: np.ndarray, popularity: np.ndarray) -> None:
        """table: float32 [size, size]; popularity: on how many lists each item is [N]."""
        self.table[:-1] = torch.from_numpy(table)
        self.row_sum[:-1] = torch.from_numpy(table.sum(1))
        self.popularity.copy_(torch.from_numpy(popularity))

    def fit(
        self, neighbours: Tensor, own: Tensor, columns: Tensor, targets: Tensor, kept: Tensor, rounds: int = 50
    ) -> None:
        """Add the prior, and take the mixture weights, under which known targets are the likeliest.

        The weights by expectation maximisation (deleted interpolation, Jelinek 1980). neighbours, own, kept: as in
        `forward`; columns: [M] of the targets in the table; targets: [M] item indices.
        """
        size = self.table.shape[1]
        in_table, in_rows = columns < size, neighbours < size
        counts = self.table[neighbours, columns.clamp(max=size - 1)[:, None]] * in_table[:, None]
        own, own_popularity = own[:, :-1], own[:, -1]
        left = self.row_sum[neighbours] - own
        shares, total = self._shares()
        by_popularity = (shares[targets - 1] - own_popularity / total)[:, None]
        share = shares[kept]
        likeliest, best_weights = -torch.inf, self.weights
        for prior in PRIORS:
            there = left + prior * share.sum() * in_rows
            rows = ((counts - own).clamp_min(0) + prior * by_popularity * in_table[:, None]) / there.clamp_min(1e-6)
            guess = torch.cat([rows, by_popularity], 1)
            usable = F.pad(there > 1e-6, (0, 1), value=True)
            weights = mixture_weights(guess, usable, self.weights, rounds)
            likelihood = (F.normalize(weights * usable, p=1, dim=1) * guess).sum(1).log().mean().item()
            if likelihood > likeliest:
                likeliest, self.prior, best_weights = likelihood, prior, weights
        self.weights.copy_(best_weights)
        self.table[:-1] += self.prior * share
        self.row_sum[:-1] += self.prior * share.sum()

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
        shares, total = self._shares()
        if len(kept) == len(shares):
            guess = rows.addr_(mixture[:, -1], shares)
        else:
            guess = torch.outer(mixture[:, -1], shares)
            guess.index_add_(1, kept, rows)
        if own is not None:
            at = torch.arange(len(guess), device=guess.device), own[1] - 1
            of_popularity = own[0][:, -1] / total
            in_table = torch.zeros_like(self.popularity).index_fill_(0, kept, 1)[own[1] - 1]
            in_rows = counted + self.prior * (of_popularity * in_table)[:, None]
            guess[at] -= (scale * in_rows).sum(1) + mixture[:, -1] * of_popularity
        return guess.clamp_min_(1e-9).log_()

    def _shares(self) -> tuple[Tensor, Tensor]:
        """The smoothed shares of the items in all that is listed [N], and what a list adds 1 / total to."""
        smoothed = self.popularity + SMOOTHING
        total = smoothed.sum()
        return smoothed / total, total


def mixture_weights(guess: Tensor, usable: Tensor, weights: Tensor, rounds: int) -> Tensor:
    """The weights [P] of the parts of a mixture, from `weights` on. guess [M, P]: what each part says of each target;
    usable: bool [M, P]."""
    for _ in range(rounds):
        mixture = F.normalize(weights * usable, p=1, dim=1)
        share = F.normalize(mixture * guess, p=1, dim=1)
        ratio = share.sum(0) / mixture.sum(0).clamp_min(1e-6)
        weights = F.normalize((ratio * weights).clamp_min(1e-4), p=1, dim=0)  # nothing is impossible
    return weights
