"""What follows what: a decayed Markov chain over items, counted so that what a list added can be taken out again.

The nearest visible items before a slot each name a row of the transition table; a mixture of these rows, and of
popularity, is a guess at the slot. For a list that the counts were made from, all that the list itself added to them is
subtracted: otherwise the table would look better than it is, or, were it subtracted at the target alone, worse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sequences import Sequences
from two_threads import in_two_threads

DECAY = 0.8
"""What a pair of entries counts for falls by this with each entry between them."""
REACH = 10
"""Pairs further apart than this are not counted."""
BACKWARD = 0.3
"""A pair counts for so much from the later item to the earlier one."""
SMOOTHING = 0.5
"""Added to the number of lists that each item is on, so that nothing is impossible (Krichevsky and Trofimov, "The
performance of universal encoding", 1981)."""
NOTHING, LEAST = 1e-3, 1e-9
"""Less than NOTHING in a row is what rounding left of it, and no chance is less than LEAST."""
PRIORS = (0.0, 3.0, 10.0, 30.0, 100.0)
"""So much of the popularity may be added to each row: those of rare items have few counts of their own."""


@dataclass(frozen=True)
class Pairs:
    """What each pair of entries of the lists adds to the table.

    Entries of a block have no order, so a pair counts for the mean over all orders of its blocks.
    """

    weights: np.ndarray
    """float16 [T, 2 REACH + 1]: what each entry adds to the row of its item, at the items of the REACH entries before
    it, of itself (nothing), and of the REACH entries after it. Rounded before it is added, so that it can be taken out
    again."""
    items: np.ndarray
    """[T, 2 REACH + 1]: these items; of other lists too, where nothing is added."""

    @classmethod
    def of(cls, sequences: Sequences) -> Pairs:
        list_start = np.repeat(sequences.offsets[:-1], sequences.lengths)
        first, number, size = np.unique(
            list_start + sequences.blocks, return_inverse=True, return_counts=True
        )  # a block is numbered by the place of its first entry
        m = size.astype(np.float64)
        to_edge = ((1 - DECAY**m) / (m * (1 - DECAY)))[number]  # the mean decay from an entry to the edge of its block
        total = (m - (1 - DECAY**m) / (1 - DECAY)) / (1 - DECAY)  # sum over d of (m - d) DECAY^(d - 1)
        within = np.where(m > 1, total / np.maximum(m * (m - 1), 1), 0.0)[number]  # the mean weight of an ordered pair
        first, last = first[number], (first + size - 1)[number]
        weights = np.zeros((len(first), 2 * REACH + 1), np.float16)
        for distance in range(1, min(REACH, len(first) - 1) + 1):
            early = np.flatnonzero(list_start[:-distance] == list_start[distance:])
            late = early + distance
            gap = np.maximum(first[late] - last[early] - 1, 0)
            apart, together = DECAY**gap * to_edge[early] * to_edge[late], within[early] * (1 + BACKWARD)
            in_a_block = first[early] == first[late]
            weights[early, REACH + distance] = np.where(in_a_block, together, apart)
            weights[late, REACH - distance] = np.where(in_a_block, together, apart * BACKWARD)
        around = np.lib.stride_tricks.sliding_window_view(np.pad(sequences.items, REACH), 2 * REACH + 1)
        return cls(weights, around)


def count_transitions(pairs: Pairs, column: np.ndarray, size: int) -> np.ndarray:
    """The table, float32 [size, size]. column: where each item index has its row and column; `size` for none."""
    table = np.zeros((size + 1, size + 1), np.float32)
    at = column[pairs.items[:, REACH]].astype(np.int64) * (size + 1)
    for distance in range(2 * REACH + 1):
        weight = pairs.weights[:, distance].astype(np.float32)
        there = np.flatnonzero(weight)
        # One flat index, for which numpy has a faster way than for two.
        np.add.at(table.reshape(-1), at[there] + column[pairs.items[there, distance]], weight[there])
    return table[:-1, :-1]


class Added(NamedTuple):
    """What the list of each of M slots has added to the counts itself."""

    weights: Tensor  # [M, K, W] to the rows of the neighbours, …
    columns: Tensor  # [M, K, W] … in these columns of the logits
    listed: Tensor  # [M, longest list] the columns of all its items, …
    lengths: Tensor  # [M] … which are so many; what is listed behind them doesn't count


class Transitions(nn.Module):
    """log of the mixture of table rows. Items without a row of their own are known by popularity alone."""

    def __init__(self, size: int, num_items: int, neighbours: int, prior: float = 0.0) -> None:
        super().__init__()
        self.prior = prior
        """How much of the popularity is added to each row."""
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

    def fit(self, neighbours: Tensor, added: Added, columns: Tensor, targets: Tensor, rounds: int = 50) -> None:
        """Take the prior and the mixture weights under which known targets are the likeliest.

        The weights by expectation maximisation (deleted interpolation, Jelinek 1980). neighbours, added: as in
        `forward`; columns: [M] of the targets in the table; targets: [M] item indices.
        """
        size = self.table.shape[1]
        own = (added.weights * (added.columns == (targets - 1)[:, None, None])).sum(2)
        counts = self.table[neighbours, columns.clamp(max=size - 1)[:, None]] * (columns < size)[:, None] - own
        left = self.row_sum[neighbours] - added.weights.sum(2)
        smoothed = self.popularity + SMOOTHING
        by_popularity = (smoothed[targets - 1] - (added.lengths > 0).float()) / (smoothed.sum() - added.lengths)
        usable = F.pad(left > NOTHING, (0, 1), value=True)

        def tried(prior: float) -> tuple[float, Tensor]:
            rows = counts.clamp_min(0) + prior * by_popularity[:, None]
            guess = torch.cat([rows / (left.clamp_min(NOTHING) + prior), by_popularity[:, None]], 1)
            weights = mixture_weights(guess, usable, self.weights, rounds)
            return (F.normalize(weights * usable, p=1, dim=1) * guess).sum(1).log().mean().item(), weights

        likelihoods, weights = zip(*in_two_threads(tried, PRIORS), strict=True)
        best = likelihoods.index(max(likelihoods))
        self.prior = PRIORS[best]
        self.weights.copy_(weights[best])

    def forward(self, neighbours: Tensor, kept: Tensor, added: Added | None = None) -> Tensor:
        """The log of the mixture, float [M, N].

        neighbours [M, K]: rows of the table, the nearest visible item first. kept [size]: the columns of the logits
        that the table has. added: for lists that the counts were made from.
        """
        left, smoothed = self.row_sum[neighbours], self.popularity + SMOOTHING
        listed = smoothed.sum()
        if added is not None:
            left, listed = left - added.weights.sum(2), listed - added.lengths
        mixture = F.normalize(self.weights * F.pad(left > NOTHING, (0, 1), value=True), p=1, dim=1)
        scale = mixture[:, :-1] / (left.clamp_min(NOTHING) + self.prior)
        rows = F.embedding_bag(neighbours, self.table, per_sample_weights=scale, mode="sum")
        of_popularity = (mixture[:, -1] + self.prior * scale.sum(1)) / listed
        if len(kept) == len(smoothed):
            guess = rows.addr_(of_popularity, smoothed)
        else:
            guess = torch.outer(of_popularity, smoothed)
            guess.index_add_(1, kept, rows)
        if added is not None:
            guess.scatter_add_(1, added.columns.flatten(1), (added.weights * -scale[:, :, None]).flatten(1))
            on_list = torch.arange(added.listed.shape[1], device=guess.device) < added.lengths[:, None]
            guess.scatter_add_(1, added.listed, on_list * -of_popularity[:, None])
        return guess.clamp_min_(LEAST).log_()


def mixture_weights(guess: Tensor, usable: Tensor, weights: Tensor, rounds: int) -> Tensor:
    """The weights [P] of the parts of a mixture, from `weights` on. guess [M, P]: what each part says of each target;
    usable: bool [M, P]."""
    for _ in range(rounds):
        mixture = F.normalize(weights * usable, p=1, dim=1)
        share = F.normalize(mixture * guess, p=1, dim=1)
        ratio = share.sum(0) / mixture.sum(0).clamp_min(1e-6)
        weights = F.normalize((ratio * weights).clamp_min(1e-4), p=1, dim=0)  # nothing is impossible
    return weights
