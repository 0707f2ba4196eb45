"""In which direction a list goes: vectors of few numbers, of similar direction for items that go together.

The table of EASE knows pairs. In few dimensions, what is left of it knows what kind of items somebody watches, so that
items come up that go with a list as a whole, though with none of its items in particular. A list cannot be taken out of
such vectors again. So there are three sets of them: one of all lists, for people who are asked about; and one of each
half of the lists, for the training lists of the other half.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anime_bert4rec.lists.sequences import Sequences
from anime_bert4rec.model.batches import WholeLists
from anime_bert4rec.model.item_space import DIMENSIONS, spectral
from anime_bert4rec.model.visible_items import is_item

MOST_ITEMS = 3_000
"""This many of the most popular items have a direction."""

ENOUGH = 64
"""With more visible items the direction counts for less, and with twice as many for nothing."""


def half_of(sequences: Sequences) -> np.ndarray:
    """The half that each list is in, 0 or 1: a function of its items, so that equal lists are in the same one."""
    sums = np.concatenate([[0], np.cumsum(sequences.items, dtype=np.int64)])
    return (sums[sequences.offsets[1:]] - sums[sequences.offsets[:-1]]) % 2


class Direction(nn.Module):
    """`forward(visible, lists)` → the cosine of each item's vector and of the sum of the visible ones' [B, N].

    It is weighed by how many of these there are: of one item alone nothing more is known than of its pairs, and many
    tell more themselves than any direction does.
    """

    def __init__(self, items: int, num_items: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(3, items, DIMENSIONS))
        self.register_buffer("columns", torch.zeros(items, dtype=torch.long))
        self.num_items = num_items

    vectors: Tensor
    """[3, C, D] of length 1 or 0: of all lists, and of those of each half."""
    columns: Tensor
    """[C] item index - 1 of each vector, ascending."""

    def fill(self, tables: list[Tensor], columns: np.ndarray) -> None:
        """tables [C, C]: what EASE makes of all lists, and of those of each half."""
        self.columns.copy_(torch.from_numpy(columns))
        for number, table in enumerate(tables):
            points = torch.from_numpy(spectral(((table + table.t()) / 2).numpy()))
            self.vectors[number, :, : points.shape[1]] = F.normalize(points, dim=1)

    def forward(self, visible: Tensor, lists: WholeLists | None) -> Tensor:
        """visible: item indices [B, any], PAD and the mask among them. lists: those that are counted, which are asked
        about."""
        if lists is None:
            return self._cosines(visible, 0)
        listed = lists.padded()
        which = torch.where(lists.lengths > 0, 2 - listed.sum(1) % 2, 0)  # the vectors of the other half
        found = torch.empty(len(visible), self.num_items, device=visible.device)
        for number in range(len(self.vectors)):
            rows = (which == number).nonzero()[:, 0]
            if len(rows):
                found[rows] = self._cosines(visible[rows], number)
        return found

    def _cosines(self, visible: Tensor, number: int) -> Tensor:
        vectors = self.vectors[number]
        of_items = vectors.new_zeros(self.num_items + 2, vectors.shape[1]).index_copy_(0, self.columns + 1, vectors)
        count = is_item(visible, self.num_items).sum(1, keepdim=True).clamp_min(1)
        weight = (1 - 1 / count) * (1 + (ENOUGH / count).log2()).clamp(0, 1)
        whole = F.normalize(F.embedding_bag(visible, of_items, mode="sum"), dim=1) * weight
        found = vectors.new_zeros(len(visible), self.num_items)
        return found.index_copy_(1, self.columns, whole @ vectors.t())
