"""What follows what: a decayed Markov chain over items, counted so that what a list added can be taken out again.

The nearest visible items before a position each name a row of the transition table; a mixture of these rows, and of
popularity, is a guess at the item there. For a list that the counts were made from, all that the list itself added to
them is subtracted: otherwise the table would look better than it is, or, were it subtracted only at the target, worse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anime_bert4rec.lists.sequences import Sequences, flat_ranges
from anime_bert4rec.model.two_threads import in_two_threads

DECAY = 0.8
"""What a pair of entries counts for falls by this with each entry between them."""
REACH = 10
"""Pairs further apart than this are not counted."""
BACKWARD = 0.3
"""What a pair counts for from the later item to the earlier one, as a share of what it counts for forwards."""
SMOOTHING = 0.5
"""Added to the number of lists that each item is on, so that nothing is impossible (Krichevsky and Trofimov, "The
performance of universal encoding", 1981)."""
ROUNDING_ERROR, LEAST_CHANCE = 1e-3, 1e-9
"""Less than ROUNDING_ERROR in a row is what rounding left of it, and no chance is less than LEAST_CHANCE."""
PAIRS_AT_ONCE = 2**22
"""How many pairs are counted together."""
PRIORS = (0.0, 3.0, 10.0, 30.0, 100.0)
"""How much of the popularity may be added to each row: those of rare items have few counts of their own."""


@dataclass(frozen=True)
class Pairs:
    """What each pair of entries of the lists adds to the table.

    Entries of a block have no order, so a pair counts for the mean over all orders of its blocks: it depends on nothing
    but the two blocks. Most entries are a block of their own.
    """

    weights: np.ndarray
    """float16 [K, 2 REACH + 1]: what each entry of a block adds to the row of its item, at each item of the REACH
    blocks before its own, of its own (but for itself), and of the REACH blocks after it. Rounded before it is added, so
    that it can be taken out again."""
    blocks: np.ndarray
    """[T]: the block of each entry, numbered through all lists."""
    starts: np.ndarray
    """[K + 1]: at which entry each block starts; the last one is T."""
    first_blocks: np.ndarray
    """[K]: the first block of the list that each block is in."""
    items: np.ndarray
    """[T]: the item of each entry."""

    @classmethod
    def of(cls, sequences: Sequences) -> Pairs:
        list_start = np.repeat(sequences.offsets[:-1], sequences.lengths)
        is_start = np.diff(list_start + sequences.blocks, prepend=-1) != 0
        starts, blocks = np.flatnonzero(is_start), np.cumsum(is_start) - 1
        size = np.diff(starts, append=len(blocks))
        first_blocks = blocks[list_start[starts]]
        weights = np.zeros((len(starts), 2 * REACH + 1), np.float16)
        weights[:, REACH] = _mean_weight_inside(size) * (1 + BACKWARD)
        for distance in range(1, min(REACH, len(starts) - 1) + 1):
            early = np.flatnonzero(first_blocks[:-distance] == first_blocks[distance:])
            late = early + distance
            mean = _mean_weight(starts[late] - starts[early + 1], size[early], size[late])
            weights[early, REACH + distance] = mean
            weights[late, REACH - distance] = mean * BACKWARD
        return cls(weights, blocks, np.append(starts, len(blocks)), first_blocks, sequences.items)


def _mean_weight(between: np.ndarray, early: np.ndarray, late: np.ndarray) -> np.ndarray:
    """What a pair counts for, by the mean over all orders of its two blocks.

    between: how many entries there are from one block to the other; early, late: how many each block has.
    """
    mean = np.where(between < REACH, DECAY**between, 0.0)
    several = np.flatnonzero((mean > 0) & (early + late > 2))
    between, early, late = between[several], early[several], late[several]
    total = np.zeros(len(several))
    for inside in range(REACH):  # how many entries of the two blocks are between the pair
        ways = np.minimum(np.minimum(inside + 1, early + late - 1 - inside), np.minimum(early, late)).clip(min=0)
        total += np.where(between + inside < REACH, ways * DECAY ** (between + inside), 0.0)
    mean[several] = total / (early * late)
    return mean


def _mean_weight_inside(size: np.ndarray) -> np.ndarray:
    """What an ordered pair inside one block counts for, by the same mean."""
    total = sum((np.maximum(size - distance, 0) * DECAY ** (distance - 1) for distance in range(1, REACH + 1)), 0.0)
    return total / np.maximum(size * (size - 1.0), 1)


def count_transitions(pairs: Pairs, column: np.ndarray, size: int) -> np.ndarray:
    """The table, float32 [size, size]. column: where each item index has its row and column; `size` for none."""
    table = np.zeros((size + 1, size + 1), np.float32)
    columns = column[pairs.items].astype(np.int64)
    sizes = np.diff(pairs.starts)
    for distance in range(2 * REACH + 1):
        weight = pairs.weights[pairs.blocks, distance].astype(np.float32)
        entries = np.flatnonzero(weight)
        other = pairs.blocks[entries] + distance - REACH
        for some in _parts(sizes[other]):
            entry, count = entries[some], sizes[other[some]]
            there = flat_ranges(pairs.starts[other[some]], count)
            entry = np.repeat(entry, count)
            at, added = columns[entry] * (size + 1) + columns[there], weight[entry]
            if distance == REACH:
                added = np.where(there == entry, 0, added)
            np.add.at(table.reshape(-1), at, added)  # one flat index, for which numpy has a faster way than for two
    return table[:-1, :-1]


def _parts(counts: np.ndarray) -> Iterator[slice]:
    """Parts of an array, of which each has PAIRS_AT_ONCE in all or is a single one. counts: how many each has."""
    ends, start = np.cumsum(counts), 0
    while start < len(counts):
        before = ends[start] - counts[start]
        stop = max(start + 1, int(np.searchsorted(ends, before + PAIRS_AT_ONCE, side="right")))
        yield slice(start, stop)
        start = stop


class Added(NamedTuple):
    """What the lists of M positions have added to the counts themselves: to the row of each neighbour of a position the
    same at every item of a block, but nothing at the neighbour itself."""

    weights: Tensor
    """[M, K, 2 REACH + 1]: what was added at each item of the block that `blocks` has there."""
    blocks: Tensor
    """[M, K, 2 REACH + 1]: blocks of the list, numbered from 0."""
    neighbours: Tensor
    """[M, K]: the column of each neighbour in the logits."""
    rows: Tensor
    """[M]: which of the B lists it is."""
    listed: Tensor
    """[B, longest list]: the columns of all items of each list; what is behind its end doesn't count."""
    lengths: Tensor
    """[B]: how many items each list has."""
    blocks_listed: Tensor
    """[B, longest list]: the blocks of what is listed."""
    kept: Tensor
    """[B, longest list]: whether what is listed is in the table, 1 or 0; 0 behind the end."""

    def sums(self) -> Tensor:
        """What was added to the row of each neighbour in all [M, K]."""
        sizes = torch.zeros_like(self.kept).scatter_add_(1, self.blocks_listed, self.kept)
        return (self.weights * sizes[self.rows[:, None, None], self.blocks]).sum(2) - self.to_itself()

    def at(self, columns: Tensor) -> Tensor:
        """What was added to the row of each neighbour at these columns of the logits [M], one a position: [M, K]."""
        position, place = (self.listed[self.rows] == columns[:, None]).nonzero().unbind(1)
        list_of_position = self.rows[position]
        block = self.blocks_listed[list_of_position, place][:, None, None]
        weight = (self.weights[position] * (self.blocks[position] == block)).sum(2)
        added = torch.zeros_like(self.weights[:, :, 0])
        added.index_add_(0, position, weight * self.kept[list_of_position, place][:, None])
        return added - self.to_itself() * (self.neighbours == columns[:, None])

    def to_itself(self) -> Tensor:
        """What each neighbour would have added at itself, like at any item of its block [M, K]."""
        return self.weights[:, :, self.weights.shape[2] // 2]

    def each(self, scale: Tensor, everywhere: Tensor) -> Tensor:
        """The sum over neighbours, times `scale` [M, K], and `everywhere` [M] in addition, at each of what is listed:
        [M, longest list], and 0 behind the end."""
        weights = (self.weights * scale[:, :, None]).flatten(1)
        of_block = weights.new_zeros(len(self.rows), self.listed.shape[1]).scatter_add_(
            1, self.blocks.flatten(1), weights
        )
        on_list = torch.arange(self.listed.shape[1], device=weights.device) < self.lengths[:, None]
        each = of_block.gather(1, self.blocks_listed[self.rows]).mul_(self.kept[self.rows])
        return each.addcmul_(on_list[self.rows].float(), everywhere[:, None])


class Transitions(nn.Module):
    """The logarithm of the mixture of table rows. Items without a row of their own have the share of popularity."""

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
        counts = self.table[neighbours, columns.clamp(max=size - 1)[:, None]] * (columns < size)[:, None]
        counts -= added.at(targets - 1)
        left, lengths = self.row_sum[neighbours] - added.sums(), added.lengths[added.rows]
        smoothed = self.popularity + SMOOTHING
        by_popularity = (smoothed[targets - 1] - (lengths > 0).float()) / (smoothed.sum() - lengths)
        usable = F.pad(left > ROUNDING_ERROR, (0, 1), value=True)

        def tried(prior: float) -> tuple[float, Tensor]:
            rows = counts.clamp_min(0) + prior * by_popularity[:, None]
            guess = torch.cat([rows / (left.clamp_min(ROUNDING_ERROR) + prior), by_popularity[:, None]], 1)
            weights = mixture_weights(guess, usable, self.weights, rounds)
            return (shares_of(weights * usable) * guess).sum(1).log().mean().item(), weights

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
            left, listed = left - added.sums(), listed - added.lengths[added.rows]
        mixture = F.normalize(self.weights * F.pad(left > ROUNDING_ERROR, (0, 1), value=True), p=1, dim=1)
        scale = mixture[:, :-1] / (left.clamp_min(ROUNDING_ERROR) + self.prior)
        rows = F.embedding_bag(neighbours, self.table, per_sample_weights=scale, mode="sum")
        of_popularity = (mixture[:, -1] + self.prior * scale.sum(1)) / listed
        if len(kept) == len(smoothed):
            guess = rows.addr_(of_popularity, smoothed)
        else:
            guess = torch.outer(of_popularity, smoothed)
            guess.index_add_(1, kept, rows)
        if added is not None:
            guess.scatter_add_(1, added.listed[added.rows], added.each(-scale, -of_popularity))
            guess.scatter_add_(1, added.neighbours, added.to_itself() * scale)
        return guess.clamp_min_(LEAST_CHANCE).log_()


def mixture_weights(guess: Tensor, usable: Tensor, weights: Tensor, rounds: int) -> Tensor:
    """The weights [P] of the parts of a mixture, from `weights` on. guess [M, P]: what each part says of each target;
    usable: bool [M, P]."""
    for _ in range(rounds):
        mixture = shares_of(weights * usable)
        share = shares_of(mixture * guess)
        ratio = share.sum(0) / mixture.sum(0).clamp_min(1e-6)
        weights = F.normalize((ratio * weights).clamp_min(1e-4), p=1, dim=0)  # nothing is impossible
    return weights


def shares_of(parts: Tensor) -> Tensor:
    """Each row divided by its sum; as F.normalize has it, which takes much longer for rows of a few numbers [M, P]."""
    return parts / (parts @ parts.new_ones(parts.shape[1], 1)).clamp_min(1e-12)
