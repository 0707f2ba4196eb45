"""What follows what: a decayed Markov chain over items, counted so that what a list added can be taken out again.

The nearest visible items before a position each name a row of the transition table; a mixture of these rows, and of
popularity, is a guess at the item there. For a list that the counts were made from, all that the list itself added to
them is subtracted: otherwise the table would look better than it is, or, were it subtracted only at the target, worse.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anime_bert4rec.model.batches import Batch
from anime_bert4rec.model.memory_pairs import Followers, Pairs
from anime_bert4rec.model.two_threads import in_two_threads

SMOOTHING = 0.5
"""Added to the number of lists that each item is on, so that nothing is impossible (Krichevsky and Trofimov, "The
performance of universal encoding", 1981)."""
ROUNDING_ERROR, LEAST_CHANCE = 1e-3, 1e-9
"""Less than ROUNDING_ERROR in a row is what rounding left of it, and no chance is less than LEAST_CHANCE."""
PRIORS = (0.0, 3.0, 10.0, 30.0, 100.0)
"""How much of the popularity may be added to each row: those of rare items have few counts of their own."""
RELIANCES = (0.0, 0.25, 0.5)
"""A neighbour's row may count for as much as its sum to one of these powers says: the more it rests on, the more it is
worth. Where lists are short and items many, most rows rest on a few pairs (benchmarks/LOG.md)."""
ROUNDS = 50
"""Of expectation maximisation, by which the weights of the mixture are found."""


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

    def __init__(
        self,
        size: int,
        num_items: int,
        neighbours: int,
        prior: float = 0.0,
        reliance: float = 0.0,
        followers: int | None = None,
    ) -> None:
        """size: how many items have a row. followers: how many cells are not zero, if only these are kept; then all
        items have a row."""
        super().__init__()
        self.size = size if followers is None else num_items
        self.prior = prior
        """How much of the popularity is added to each row."""
        self.reliance = reliance
        """To which power of its sum each row counts."""
        if followers is None:
            self.register_buffer("table", torch.zeros(size + 1, size))  # the last row is of items without one
        else:
            self.register_buffer("row_starts", torch.zeros(num_items + 2, dtype=torch.long))
            self.register_buffer("followers", torch.zeros(followers, dtype=torch.long))
            self.register_buffer("values", torch.zeros(followers))
        self.is_sparse = followers is not None
        self.register_buffer("row_sum", torch.zeros(self.size + 1))
        self.register_buffer("popularity", torch.zeros(num_items))
        self.register_buffer("weights", torch.cat([0.8 ** torch.arange(neighbours), torch.tensor([0.1])]))

    table: Tensor
    row_starts: Tensor
    followers: Tensor
    values: Tensor
    row_sum: Tensor
    popularity: Tensor
    weights: Tensor

    def fill(self, table: np.ndarray, popularity: np.ndarray) -> None:
        """table: float32 [size, size]; popularity: on how many lists each item is [N]."""
        self.table[:-1] = torch.from_numpy(table)
        self.row_sum[:-1] = torch.from_numpy(table.sum(1))
        self.popularity.copy_(torch.from_numpy(popularity))

    def fill_sparse(self, followers: Followers, popularity: np.ndarray) -> None:
        self.row_starts.copy_(torch.from_numpy(followers.row_starts))
        self.followers.copy_(torch.from_numpy(followers.followers))
        self.values.copy_(torch.from_numpy(followers.values))
        rows = torch.arange(self.size).repeat_interleave(self.row_starts.diff()[:-1])
        self.row_sum[:-1] = torch.zeros(self.size).index_add_(0, rows, self.values)
        self.popularity.copy_(torch.from_numpy(popularity))

    def rows_of(self, items: Tensor, column: Tensor) -> Tensor:
        """The row of each item, `size` for none. column: where the items have theirs in a table of some."""
        return torch.remainder(items - 1, self.size + 1).clamp_max(self.size) if self.is_sparse else column[items]

    def added_by(self, pairs: Pairs, batch: Batch, entries: Tensor, neighbours: Tensor, column: Tensor) -> Added:
        """What the lists of a batch, from which the pairs were counted, have added themselves.

        entries, neighbours [M, K]: which of the counted entries the neighbours of each position are, and their items.
        column: as in `rows_of`.
        """
        lists = batch.lists
        assert lists is not None and batch.entries is not None

        def tensor(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array).to(entries.device)

        block = pairs.blocks[entries.clamp(min=0).cpu().numpy()]
        listed, lengths = lists.padded(), lists.lengths
        of_lists = pairs.entries_of(batch.entries.cpu().numpy(), listed.shape[1])
        first_block = pairs.blocks[of_lists[:, 0]]
        blocks_listed = tensor(pairs.blocks[of_lists] - first_block[:, None])
        within = torch.arange(listed.shape[1], device=listed.device) < lengths[:, None]
        kept = (self.rows_of(listed, column) < self.size) & within
        has_row = self.rows_of(neighbours, column) < self.size
        weights = tensor(pairs.weights[block]).float() * has_row[:, :, None]
        reach = weights.shape[2] // 2
        blocks = tensor(block)[:, :, None] + torch.arange(-reach, reach + 1, device=entries.device)
        blocks -= tensor(first_block)[batch.rows, None, None]
        return Added(
            weights,
            blocks.clamp_(0, listed.shape[1] - 1),
            (neighbours - 1).clamp(min=0),
            batch.rows,
            (listed - 1).clamp(min=0),
            lengths,
            blocks_listed.clamp_(0, listed.shape[1] - 1),
            kept.float(),
        )

    def fit(self, neighbours: Tensor, added: Added, columns: Tensor, targets: Tensor) -> None:
        """Take the prior, the reliance and the mixture weights under which known targets are the likeliest.

        The weights by expectation maximisation (deleted interpolation, Jelinek 1980). neighbours, added: as in
        `forward`; columns: [M] of the targets in the table; targets: [M] item indices.
        """
        counts = self._counts_at(neighbours, columns)
        counts -= added.at(targets - 1)
        left, lengths = self.row_sum[neighbours] - added.sums(), added.lengths[added.rows]
        smoothed = self.popularity + SMOOTHING
        by_popularity = (smoothed[targets - 1] - (lengths > 0).float()) / (smoothed.sum() - lengths)

        def tried(setting: tuple[float, float]) -> tuple[float, Tensor]:
            prior, reliance = setting
            rows = counts.clamp_min(0) + prior * by_popularity[:, None]
            guess = torch.cat([rows / (left.clamp_min(ROUNDING_ERROR) + prior), by_popularity[:, None]], 1)
            worth = _worth(left, reliance)
            weights = mixture_weights(guess, worth, self.weights)
            return (shares_of(weights * worth) * guess).sum(1).log().mean().item(), weights

        settings = list(itertools.product(PRIORS, RELIANCES))
        likelihoods, weights = zip(*in_two_threads(tried, settings), strict=True)
        best = likelihoods.index(max(likelihoods))
        self.prior, self.reliance = settings[best]
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
        mixture = F.normalize(self.weights * _worth(left, self.reliance), p=1, dim=1)
        scale = mixture[:, :-1] / (left.clamp_min(ROUNDING_ERROR) + self.prior)
        of_popularity = (mixture[:, -1] + self.prior * scale.sum(1)) / listed
        if self.is_sparse:
            guess = torch.outer(of_popularity, smoothed)
            cell, at = self._cells(neighbours)
            position = at // neighbours.shape[1]
            added_up = self.values[cell].mul_(scale.flatten()[at])
            guess.view(-1).index_add_(0, position.mul_(len(smoothed)).add_(self.followers[cell]), added_up)
        else:
            rows = F.embedding_bag(neighbours, self.table, per_sample_weights=scale, mode="sum")
            if len(kept) == len(smoothed):
                guess = rows.addr_(of_popularity, smoothed)
            else:
                guess = torch.outer(of_popularity, smoothed)
                guess.index_add_(1, kept, rows)
        if added is not None:
            guess.scatter_add_(1, added.listed[added.rows], added.each(-scale, -of_popularity))
            guess.scatter_add_(1, added.neighbours, added.to_itself() * scale)
        return guess.clamp_min_(LEAST_CHANCE).log_()

    def _cells(self, neighbours: Tensor) -> tuple[Tensor, Tensor]:
        """The cells of the rows of all neighbours [M, K], one row after the other, and which of the M × K they are
        of."""
        starts = self.row_starts[neighbours].flatten()
        counts = self.row_starts[neighbours + 1].flatten() - starts
        at = torch.arange(len(starts), device=starts.device).repeat_interleave(counts)
        return torch.arange(len(at), device=starts.device) + (starts - counts.cumsum(0) + counts)[at], at

    def _counts_at(self, neighbours: Tensor, columns: Tensor) -> Tensor:
        """What the rows of neighbours have at these columns [M], one a position: [M, K]; 0 at the column `size`."""
        if not self.is_sparse:
            size = self.table.shape[1]
            return self.table[neighbours, columns.clamp(max=size - 1)[:, None]] * (columns < size)[:, None]
        cell, at = self._cells(neighbours)
        hits = self.followers[cell] == columns[at // neighbours.shape[1]]
        found = self.values.new_zeros(neighbours.numel()).index_add_(0, at[hits], self.values[cell[hits]])
        return found.view_as(neighbours)


def _worth(sums: Tensor, reliance: float) -> Tensor:
    """What rows of these sums [M, K] count for beside each other and beside popularity, before they are weighted:
    [M, K + 1]. What is empty counts for nothing."""
    return F.pad(torch.where(sums > ROUNDING_ERROR, sums, 0) ** reliance * (sums > ROUNDING_ERROR), (0, 1), value=1.0)


def mixture_weights(guess: Tensor, worth: Tensor, weights: Tensor) -> Tensor:
    """The weights [P] of the parts of a mixture, from `weights` on. guess [M, P]: what each part says of each target;
    worth [M, P]: what each part is multiplied by besides."""
    for _ in range(ROUNDS):
        mixture = shares_of(weights * worth)
        share = shares_of(mixture * guess)
        ratio = share.sum(0) / mixture.sum(0).clamp_min(1e-6)
        weights = F.normalize((ratio * weights).clamp_min(1e-4), p=1, dim=0)  # nothing is impossible
    return weights


def shares_of(parts: Tensor) -> Tensor:
    """Each row divided by its sum; as F.normalize has it, which takes much longer for rows of a few numbers [M, P]."""
    return parts / (parts @ parts.new_ones(parts.shape[1], 1)).clamp_min(1e-12)


def nearest_before(visible: Tensor, rows: Tensor, columns: Tensor, count: int) -> Tensor:
    """Columns [M, count] of the nearest visible items before each position, the nearest first; L where there is none.

    visible: bool [B, L]; rows, columns: of the positions [M].
    """
    lists, length = visible.shape
    before = F.pad(visible.cumsum(1), (1, 0))  # how many are visible before each column
    column = torch.arange(length, device=visible.device).expand(lists, -1)
    of_place = column.new_full((lists, length + 1), length)
    of_place.scatter_(1, torch.where(visible, before[:, :-1], length), column)
    of_place[:, length] = length
    place = before[rows, columns][:, None] - 1 - torch.arange(count, device=visible.device)
    return of_place[rows[:, None], torch.where(place >= 0, place, length)]
