"""EASE: which items go with a list, by ridge regression of each item on all others (Steck 2019), in closed form.

Beyond the paper: more ridge for popular items (EDLAE, Steck 2020); items that share a genre, a studio or a franchise
count as though made-up users had listed them together, so that few real users suffice; and the scores for a list that
the table was fitted on can be had as though it had not been.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sequences import Sequences

POPULARITY_RIDGE = 0.25
Own = tuple[Tensor, Tensor]

LISTS_AT_ONCE = 8
"""What so few lists need stays in the processor's cache, which makes scoring two to three times as fast."""


def gram_matrix(sequences: Sequences, column: np.ndarray, size: int, weights: np.ndarray | None = None) -> Tensor:
    """On how many lists two items are together: float32 [size, size]. column: as in count_transitions.

    weights: what each list counts for; 1 where not given.
    """
    root = np.sqrt(np.ones(len(sequences)) if weights is None else weights).astype(np.float32)
    gram = torch.zeros(size, size)
    owner = np.repeat(np.arange(len(sequences)), sequences.lengths)
    for start in range(0, len(sequences), 1024):
        stop = min(start + 1024, len(sequences))
        here = slice(sequences.offsets[start], sequences.offsets[stop])
        lists = torch.zeros(stop - start, size + 1)
        entry = owner[here] - start, column[sequences.items[here]]
        lists[entry] = torch.from_numpy(root[owner[here]])
        lists = lists[:, :-1].contiguous()
        gram.add_(torch.sparse.mm(lists.t().to_sparse(), lists))  # lists are sparse: far fewer products
    return gram


class Ease(nn.Module):
    """Scores [.., size] of all items that have a column, for lists of visible items."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("table", torch.zeros(size + 1, size))  # the last row is of items without one
        self.register_buffer("diagonal", torch.ones(size))

    table: Tensor
    diagonal: Tensor

    def fill(self, gram: Tensor, ridge: float, alike: Tensor | None = None, alike_weight: float = 0.0) -> None:
        """alike: the Gram matrix [size, size] of item features; its weight is relative to the ridge."""
        regular = gram.clone()
        regular.diagonal().mul_(1 + POPULARITY_RIDGE).add_(ridge)
        if alike is not None:
            regular.add_(alike, alpha=alike_weight * ridge)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(regular))
        self.table[:-1] = inverse
        self.diagonal.copy_(inverse.diagonal())

    def forward(self, items: Tensor, weights: Tensor | None, own: Own | None = None) -> Tensor:
        """Scores float [B, S, size] for S slots in each of B lists.

        items [B, L]: rows of the table, `size` for what is not visible. weights [B, S, L]: how much each item counts
        for each slot; None: they all count the same for one slot, and S is 1. own: for lists that the table was fitted
        on, their items as one flat tensor and where each list starts in it.
        """
        left_out = None if own is None else self._leave_out(own, items)
        if weights is None:
            sums = F.embedding_bag(items, self.table, mode="sum")[:, None]
            alike = sums.new_ones(len(items), 1, items.shape[1])
            return self._scores(sums, left_out and left_out.of_part(slice(None), alike))
        scores = self.table.new_empty(*weights.shape[:2], len(self.diagonal))
        for part in _parts(items):
            rows = self.table.index_select(0, items[part].flatten()).view(*items[part].shape, -1)
            sums = torch.bmm(weights[part], rows, out=scores[part])
            self._scores(sums, left_out and left_out.of_part(part, weights[part]))
        return scores

    def before_cuts(self, items: Tensor, cuts: Tensor, recency: float, own: Own | None = None) -> Tensor:
        """The scores of what comes at each of the cuts [S], ascending, where an item before a cut counts for `recency`
        to the power of the number of columns between the two. items [B, last cut]; the rest as in `forward`.

        Each item is added to the sum of the next cut alone. The sum of the cut before, decayed, is then added to it.
        """
        column = torch.arange(items.shape[1], device=items.device)
        gap = cuts[:, None] - column
        weights = torch.where(gap > 0, recency ** (gap - 1).clamp_min(0), 0.0)
        left_out = None if own is None else self._leave_out(own, items)
        next_cut = torch.bucketize(column, cuts, right=True)
        to_next = weights[next_cut, column]
        starts = torch.searchsorted(next_cut, torch.arange(len(cuts), device=cuts.device))
        chain = (recency ** (cuts[:, None] - cuts).clamp_min(0)).tril()
        scores = self.table.new_empty(len(items), len(cuts), len(self.diagonal))
        for part in _parts(items):
            some = items[part]
            offsets = len(column) * torch.arange(len(some), device=items.device)[:, None] + starts
            each = to_next.repeat(len(some))
            bags = F.embedding_bag(some.flatten(), self.table, offsets.flatten(), per_sample_weights=each, mode="sum")
            sums = torch.matmul(chain, bags.view(len(some), len(cuts), -1), out=scores[part])
            self._scores(sums, left_out and left_out.of_part(part, weights.expand(len(some), -1, -1)))
        return scores

    def _leave_out(self, own: Own, items: Tensor) -> LeftOut:
        """With P the table, x a list that it was fitted on, q = P x and h = x·q, the identity for leaving one row out
        of a ridge regression gives the scores without it: s_j − (v·q − a_j q_j / P_jj) e_j, where v are the visible
        items, a = P v, s = −a / diag P, and e_j = (q_j / P_jj) / (1 − h + q_j² / P_jj).
        """
        flat, starts = own
        q = F.embedding_bag(flat, self.table, starts, mode="sum")
        padded = F.pad(q, (0, 1))
        row = torch.bucketize(torch.arange(len(flat), device=q.device), starts, right=True) - 1
        h = torch.zeros(len(q), device=q.device).index_add_(0, row, padded[row, flat])
        ratio = q / self.diagonal
        e = ratio / (1 - h[:, None] + q * ratio)
        return LeftOut(ratio * e - 1 / self.diagonal, e, padded.gather(1, items))

    def _scores(self, sums: Tensor, left_out: LeftOut | None) -> Tensor:
        """In the place of sums of rows [B, S, size], their scores."""
        if left_out is None:
            return sums.div_(self.diagonal.neg())
        return sums.mul_(left_out.factor[:, None]).baddbmm_(left_out.visible, left_out.e[:, None], alpha=-1)


class LeftOut(NamedTuple):
    """What the scores without a list are made with, see Ease._leave_out."""

    factor: Tensor  # [B, size], of a
    e: Tensor  # [B, size]
    visible: Tensor  # q of each item [B, L]; of a part, v·q [B, S, 1]

    def of_part(self, part: slice, weights: Tensor) -> LeftOut:
        """Of some lists, whose visible items have these weights [B, S, L]."""
        return LeftOut(self.factor[part], self.e[part], weights @ self.visible[part, :, None])


def _parts(items: Tensor) -> Iterator[slice]:
    return (slice(start, start + LISTS_AT_ONCE) for start in range(0, len(items), LISTS_AT_ONCE))
