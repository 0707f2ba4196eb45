"""EASE: which items go with a list, by ridge regression of each item on all others (Steck 2019), in closed form.

Beyond the paper: more ridge for popular items (EDLAE, Steck 2020); items that share a genre, a studio or a franchise
count as though made-up users had listed them together, so that few real users suffice; and the scores for a list that
the table was fitted on can be had as though it had not been.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anime_bert4rec.lists.sequences import Sequences
from anime_bert4rec.model.fast_parts import sums_of_rows

POPULARITY_RIDGE = 0.25
"""The additional ridge of an item, times the number of lists that it is on."""
UNORDERED_POPULARITY_RIDGE = 2.0
"""The same where lists have no order: with more, what is asked of short lists gains, and what is asked of long ones
loses (benchmarks/LOG.md)."""
OwnItems = tuple[Tensor, Tensor]
"""Lists that the table was fitted on: the rows of their items in one flat tensor, and where each list starts."""

COLUMNS_AT_ONCE = 256
"""How many columns of the table stay in the processor's cache while the rows of a list are added up: twice as fast."""


def gram_matrix(sequences: Sequences, column: np.ndarray, size: int, weights: np.ndarray | None = None) -> Tensor:
    """How many lists each two items are on together: float32 [size, size]. column: as in count_transitions.

    weights: what each list counts for; 1 where not given.
    """
    adds = np.ones(len(sequences)) if weights is None else weights
    gram = torch.zeros(size, size)
    owner = np.repeat(np.arange(len(sequences)), sequences.lengths)
    blocks = [slice(first, min(first + COLUMNS_AT_ONCE, size)) for first in range(0, size, COLUMNS_AT_ONCE)]
    for start in range(0, len(sequences), 1024):
        stop = min(start + 1024, len(sequences))
        here = slice(sequences.offsets[start], sequences.offsets[stop])
        row, at = owner[here] - start, column[sequences.items[here]]
        lists = torch.zeros(stop - start, size + 1)
        lists[row, at] = torch.from_numpy(adds[owner[here]].astype(np.float32))
        order = np.argsort(at, kind="stable")
        lists_of_item, starts = torch.from_numpy(row[order]), np.searchsorted(at[order], np.arange(size + 1))
        for some in blocks:  # lists are sparse: for each item, add up those that have it; and only below the diagonal
            first, last = starts[some.start], starts[size]
            bags = torch.from_numpy(starts[some.start : size] - first)
            gram[some.start :, some].add_(
                F.embedding_bag(lists_of_item[first:last], lists[:, some].contiguous(), bags, mode="sum")
            )
    for some in blocks:
        gram[some, some.stop :] = gram[some.stop :, some].t()
    return gram


class EaseTable(nn.Module):
    """Scores [.., size] of all items that have a column, for lists of visible items."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("table", torch.zeros((size + 1) * size))
        self.register_buffer("diagonal", torch.ones(size))

    table: Tensor
    """The inverse, with one row more, of zeros, for items without one; in blocks of columns, one after the other."""
    diagonal: Tensor
    """The diagonal of the inverse."""

    def fill(
        self,
        gram: Tensor,
        ridge: float,
        alike: Tensor | None = None,
        alike_weight: float = 0.0,
        popularity_ridge: float = POPULARITY_RIDGE,
    ) -> None:
        """alike: the Gram matrix [size, size] of item features; its weight is relative to the ridge."""
        regular = gram.clone()
        regular.diagonal().mul_(1 + popularity_ridge).add_(ridge)
        if alike is not None:
            regular.add_(alike, alpha=alike_weight * ridge)
        self.inverse = torch.cholesky_inverse(torch.linalg.cholesky(regular))

    @property
    def inverse(self) -> Tensor:
        """The inverse, without the row of zeros: [size, size]."""
        return torch.cat([block[:-1] for _, block in self._blocks()], 1)

    @inverse.setter
    def inverse(self, inverse: Tensor) -> None:
        for columns, block in self._blocks():
            block[:-1] = inverse[:, columns]
        self.diagonal.copy_(inverse.diagonal())

    @property
    def scores(self) -> Tensor:
        """What each visible item adds to the score of each other one: [size, size]."""
        table = self.inverse / -self.diagonal
        table.fill_diagonal_(0)
        return table

    def _blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Each block of the table [size + 1, some columns], and which columns of the table it has."""
        size = len(self.diagonal)
        for start in range(0, size, COLUMNS_AT_ONCE):
            stop = min(start + COLUMNS_AT_ONCE, size)
            yield slice(start, stop), self.table[start * (size + 1) : stop * (size + 1)].view(size + 1, -1)

    def forward(self, items: Tensor, weights: Tensor | None, own: OwnItems | None = None) -> Tensor:
        """Scores float [B, S, size] for S positions in each of B lists.

        items [B, L]: rows of the table, `size` for what is not visible. weights [B, S, L]: how much each item counts
        for each position; None: they all count the same for one, and S is 1. own: for lists that the table was fitted
        on, whose scores are then as though it had not been.
        """
        if weights is None:
            alike = torch.ones(len(items), 1, items.shape[1], device=items.device)
            of_rows = sums_of_rows(items)
            return self._scores(alike, own, items, lambda block: of_rows(block)[:, None])
        flat = items.flatten()
        return self._scores(
            weights, own, items, lambda block: weights @ block.index_select(0, flat).view(*items.shape, -1)
        )

    def before_cuts(self, items: Tensor, cuts: Tensor, recency: float, own: OwnItems | None) -> Tensor:
        """The scores of what comes at each of the cuts [S], ascending, where an item before a cut counts for `recency`
        to the power of the number of columns between the two. items [B, last cut]; the rest as in `forward`.

        An item is added only to the sum of the first cut behind it. To each sum, that of the cut before is then added,
        decayed.
        """
        lists = len(items)
        column = torch.arange(items.shape[1], device=items.device)
        gap = cuts[:, None] - column
        weights = torch.where(gap > 0, recency ** (gap - 1).clamp_min(0), 0.0)
        if len(cuts) == 1:
            of_rows = sums_of_rows(items, weights.repeat(lists, 1))
            return self._scores(weights.expand(lists, -1, -1), own, items, lambda block: of_rows(block)[:, None])
        next_cut = torch.bucketize(column, cuts, right=True)
        to_next = weights[next_cut, column].repeat(lists)
        starts = torch.searchsorted(next_cut, torch.arange(len(cuts), device=cuts.device))
        offsets = (len(column) * torch.arange(lists, device=items.device)[:, None] + starts).flatten()
        chain = (recency ** (cuts[:, None] - cuts).clamp_min(0)).tril()

        def sums(block: Tensor) -> Tensor:
            bags = F.embedding_bag(items.flatten(), block, offsets, per_sample_weights=to_next, mode="sum")
            return chain @ bags.view(lists, len(cuts), -1)

        return self._scores(weights.expand(lists, -1, -1), own, items, sums)

    def _scores(self, weights: Tensor, own: OwnItems | None, items: Tensor, sums: Callable[[Tensor], Tensor]) -> Tensor:
        """[B, S, size], from the weighted sums [B, S, some] of rows of each block of the table.

        With P the table, v the visible items and a = P v, the scores are −a / diag P. For a list x that the table was
        fitted on, with q = P x, Sherman and Morrison's formula gives the table without it: P + q qᵀ / (1 − x·q).
        """
        scores = self.table.new_empty(*weights.shape[:2], len(self.diagonal))
        if own is not None:
            q, left = self._own_sums(own)
            by_visible = (weights @ q.gather(1, items)[:, :, None]).div_(left[:, None])
        negative = -self.diagonal
        for columns, block in self._blocks():
            a, below = sums(block), negative[columns]
            if own is not None:
                of_list = q[:, columns]
                a.addcmul_(by_visible, of_list[:, None])
                below = torch.addcmul(below, of_list, of_list / left, value=-1)[:, None]
            torch.div(a, below, out=scores[..., columns])
        return scores

    def _own_sums(self, own: OwnItems) -> tuple[Tensor, Tensor]:
        """q [B, size + 1], the last of which is 0, for items without a column, and 1 − x·q [B, 1]."""
        flat, starts = own
        q = self.table.new_zeros(len(starts), len(self.diagonal) + 1)
        for columns, block in self._blocks():
            q[:, columns] = F.embedding_bag(flat, block, starts, mode="sum")
        length = F.pad(starts[1:], (0, 1), value=len(flat)) - starts
        row = torch.arange(len(starts), device=q.device).repeat_interleave(length)
        return q, 1 - q.new_zeros(len(q)).index_add_(0, row, q[row, flat])[:, None]
