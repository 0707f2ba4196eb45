"""EASE: which items go with a list, by ridge regression of each item on all others (Steck 2019), in closed form.

Beyond the paper: more ridge for popular items (EDLAE, Steck 2020); items that share a genre, a studio or a franchise
count as though made-up users had listed them together, so that few real users suffice; and the scores for a list that
the table was fitted on can be had as though it had not been.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sequences import Sequences

POPULARITY_RIDGE = 0.25
LISTS_AT_ONCE = 4
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

    def forward(self, items: Tensor, weights: Tensor | None, own: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Scores float [B, S, size] for S slots in each of B lists.

        items [B, L]: rows of the table, `size` for what is not visible. weights [B or 1, S, L]: how much each item
        counts for each slot; None: they all count the same for one slot, and S is 1. own: for lists that the table was
        fitted on, their items as one flat tensor and where each list starts in it.

        With P the table, x such a list, q = P x and h = x·q, the identity for leaving one row out of a ridge regression
        gives the scores without it: s_j − (v·q − a_j q_j / P_jj) e_j, where v are the visible items, a = P v,
        s = −a / diag P, and e_j = (q_j / P_jj) / (1 − h + q_j² / P_jj).
        """
        size, lists, length = len(self.diagonal), *items.shape
        slots = 1 if weights is None else weights.shape[1]
        if own is None:
            factor = (-1 / self.diagonal).expand(lists, size)
        else:
            q = F.embedding_bag(own[0], self.table, own[1], mode="sum")
            padded = F.pad(q, (0, 1))
            row = torch.bucketize(torch.arange(len(own[0]), device=q.device), own[1], right=True) - 1
            h = torch.zeros(lists, device=q.device).index_add_(0, row, padded[row, own[0]])
            ratio = q / self.diagonal
            e = ratio / (1 - h[:, None] + q * ratio)
            factor = ratio * e - 1 / self.diagonal
            visible = padded.gather(1, items)
            vq = visible.sum(1)[:, None, None] if weights is None else weights @ visible[:, :, None]
        if weights is None:
            scores = F.embedding_bag(items, self.table, mode="sum")[:, None].mul_(factor[:, None])
            return scores if own is None else scores.baddbmm_(vq, e[:, None], alpha=-1)
        if slots == 1 and own is None:  # no rows are copied for a single slot
            each = weights.expand(lists, 1, length)[:, 0]
            scores = F.embedding_bag(items, self.table, per_sample_weights=each.contiguous(), mode="sum")
            return scores.mul_(factor)[:, None]
        scores = self.table.new_empty(lists, slots, size)
        weights = weights.expand(lists, slots, length)
        for start in range(0, lists, LISTS_AT_ONCE):
            part = slice(start, start + LISTS_AT_ONCE)
            rows = self.table.index_select(0, items[part].reshape(-1)).view(-1, length, size)
            chunk = torch.bmm(weights[part], rows, out=scores[part]).mul_(factor[part, None])
            if own is not None:
                chunk.baddbmm_(vq[part], e[part, None], alpha=-1)
        return scores
