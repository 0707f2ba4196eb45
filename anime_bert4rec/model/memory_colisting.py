"""Which items are on the lists that have the visible ones too: the plainest memory, and the best for very short lists.

A list counts for less the longer it is, but only by the root of its length; and a visible item for less the more lists
it is on, so that each tells about what share of its lists has the others (benchmarks/LOG.md). The table is kept in half
precision, and all that is added to it is rounded to that first: so what a list has added can be taken out of the sums
again, to the last digit where no other list has added anything.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from anime_bert4rec.lists.sequences import PAD, Sequences
from anime_bert4rec.model.batches import WholeLists
from anime_bert4rec.model.fast_parts import distinct, sums_of_rows
from anime_bert4rec.model.memory_ease import COLUMNS_AT_ONCE, gram_matrix

LARGEST_COUNT = 2.0**14
"""No number in the table is larger; half precision ends at four times that."""
LARGEST_LIST_WEIGHT = 256.0
SMOOTHING = 0.2
"""What popularity adds to the co-listing, in lists of one item with something that is on as many lists as the mean."""


class CoListing(nn.Module):
    """`forward(visible, …)` → on what share of the lists that have each visible item the others are, [B, size]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("table", torch.zeros(size + 1, size, dtype=torch.float16))

    table: Tensor
    """[size + 1, size] the last row is of items without one."""

    @staticmethod
    def weight_of_list(sequences: Sequences) -> float:
        """What a list of one item would add for a pair of items, so that the table is in range."""
        shares = np.repeat(1 / np.sqrt(np.maximum(sequences.lengths, 1)), sequences.lengths)
        most = np.bincount(sequences.items, shares).max() if len(shares) else 1.0
        return min(LARGEST_LIST_WEIGHT, 2.0 ** math.floor(math.log2(LARGEST_COUNT / most)))

    def fill(self, sequences: Sequences, column: np.ndarray, list_weight: float) -> None:
        """column: where each item index has its row and column; `size` for none."""
        weights = each_item_adds(torch.from_numpy(sequences.lengths), list_weight).numpy()
        counts = gram_matrix(sequences, column, self.table.shape[1], weights)
        self.table[:-1] = counts.fill_diagonal_(0)

    def forward(
        self, visible: Tensor, column: Tensor, lists: WholeLists | None, list_weight: float, often: Tensor
    ) -> Tensor:
        """visible [B, L]: rows of the table. column: as in `fill`. lists: those that the table was made of, which are
        then left out; list_weight: as the table was filled with. often [size + 1]: on how many lists each item is, and
        a half."""
        size = self.table.shape[1]
        rows, place = distinct(visible)
        lists_of, own = often[visible], None
        if lists is not None:
            own = lists_of.new_zeros(len(visible), size + 1)
            listed = lists.padded()
            own.scatter_(1, torch.where(listed == PAD, size, column[listed]), 1.0)
            own[:, size] = 0
            lists_of = lists_of.sub_(own.gather(1, visible)).clamp_min_(0.5)
        weights = torch.exp2(-lists_of.log2().round_())  # by powers of two nothing is rounded
        of_rows = sums_of_rows(place, weights)
        sums = torch.empty(len(visible), size, device=visible.device)
        for start in range(0, size, COLUMNS_AT_ONCE):
            here = slice(start, min(start + COLUMNS_AT_ONCE, size))
            table = self.table[:, here].index_select(0, rows).float()
            sums[:, here] = of_rows(table)
        if own is not None and lists is not None:
            seen = torch.zeros_like(own).scatter_(1, visible, weights).mul_(own)  # what is visible and counted
            own.mul_(seen.sum(1, keepdim=True)).sub_(seen)
            sums.addcmul_(own[:, :-1], each_item_adds(lists.lengths, list_weight)[:, None], value=-1)
        return sums


def each_item_adds(lengths: Tensor, list_weight: float) -> Tensor:
    """What lists of these lengths add for each pair of their items [B]."""
    return (list_weight / lengths.clamp_min(1).sqrt()).half().float()


def smoothing(popularity: Tensor, lists: WholeLists | None) -> Tensor:
    """What popularity [N] adds to the co-listing, without the lists that are asked about [B or 1, 1]."""
    others = popularity.sum() - (0 if lists is None else lists.lengths[:, None])
    return (SMOOTHING / (others / len(popularity)).clamp_min(0.5)).view(-1, 1)
