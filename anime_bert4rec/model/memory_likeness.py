"""How alike items are by what the catalogue says of them, whether anybody has listed them or not.

Who has seen something of a franchise has mostly seen more of it: where nothing of one is visible, an item of it is the
less likely, the more of its franchise is usually beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from anime_bert4rec.lists.common_traits import CONTENT, FRANCHISE
from anime_bert4rec.lists.sequences import Sequences
from anime_bert4rec.model.batches import WholeLists
from anime_bert4rec.model.memory_groups import Groups
from anime_bert4rec.model.memory_transitions import SMOOTHING
from anime_bert4rec.model.visible_items import is_item

LEAST_COSINE = 0.01
"""Added to the mean cosine of items by their groups."""


@dataclass(frozen=True)
class LikenessSizes:
    """The lengths of the buffers, for a place that saved ones fit into."""

    groups: int = 0
    memberships: int = 0
    contents: int = 0
    """How many of the groups are of content; 0 in models of earlier versions, in which that isn't known."""


class Likeness(Groups):
    """The cosine of two items is that of their groups (a genre, a studio, …; see lists/common_traits.py), of which each
    counts 1 / its size. The items are all, 1 … N, and `scale` makes the cosine of each with itself 1."""

    def __init__(self, sizes: LikenessSizes, num_items: int) -> None:
        items = num_items if sizes.groups else 0
        super().__init__(items, sizes.groups, sizes.memberships, sizes.memberships)
        self.register_buffer("franchise", torch.zeros(items, dtype=torch.long))
        self.register_buffer("beside", torch.zeros(items))
        self.register_buffer("content", torch.zeros(sizes.contents, dtype=torch.long) if sizes.contents else None)

    franchise: Tensor
    """[N] the group that is the franchise of each item, plus 1; 0 for none."""
    beside: Tensor
    """[N] how many others of its franchise are on the lists that have each item, added up."""
    content: Tensor | None
    """The groups, ascending, that are genres and tags, and say what an item is about; None if there are none, or not
    known."""

    @classmethod
    def of(cls, alike: Sequences, num_items: int, lists: Sequences) -> Likeness:
        """alike: the items of each group. lists: those that tell what is beside what."""
        content = np.flatnonzero(alike.user_ids == CONTENT)
        made = cls(LikenessSizes(len(alike), len(alike.items), len(content)), num_items)
        group = np.repeat(np.arange(len(alike)), alike.lengths)
        squares = np.bincount(alike.items, 1 / alike.lengths[group], minlength=num_items + 1)[1:]
        franchise = np.zeros(num_items + 1, np.int64)
        of_franchise = (alike.user_ids == FRANCHISE)[group]
        franchise[alike.items[of_franchise]] = group[of_franchise] + 1
        made.fill(alike, np.arange(1, num_items + 1))
        made.scale.copy_(torch.from_numpy(np.where(squares > 0, 1 / np.sqrt(np.maximum(squares, 1e-9)), 0)))
        made.franchise.copy_(torch.from_numpy(franchise[1:]))
        if made.content is not None:
            made.content.copy_(torch.from_numpy(content))
        made.beside.copy_(made._counted(lists))
        return made

    @property
    def sizes(self) -> LikenessSizes:
        return LikenessSizes(
            len(self.group_starts), len(self.members), 0 if self.content is None else len(self.content)
        )

    def _counted(self, lists: Sequences) -> Tensor:
        """How many others of its franchise are on the lists that have each item, added up [N]."""
        franchise = self.franchise.numpy()[lists.items - 1]
        place = np.repeat(np.arange(len(lists)), lists.lengths) * (len(self.group_starts) + 1) + franchise
        _, entry, counts = np.unique(place, return_inverse=True, return_counts=True)
        others = np.where(franchise > 0, counts[entry] - 1, 0)
        return torch.from_numpy(np.bincount(lists.items - 1, others, minlength=len(self.franchise))).float()

    def forward(self, visible: Tensor, popularity: Tensor, lists: WholeLists | None) -> list[Tensor]:
        """The terms of the memory [B, N] each: the log of the mean cosine, the franchise, and what of it is missing.
        Arguments: as below."""
        same = self.same_franchise(visible)
        cosines = self.cosines(visible).clamp_min_(0).add_(LEAST_COSINE).log_()
        return [cosines, same, self.missing(popularity, lists) * (1 - same)]

    def cosines(self, visible: Tensor) -> Tensor:
        """The mean cosine of each item with the visible ones [B, N]. visible: item indices [B, any], PAD and the mask
        among them."""
        sums = self.sums(visible, F.pad(self.scale, (1, 1))).mul_(self.scale[:, None])
        return sums.t().div_(is_item(visible, len(self.scale)).sum(1, keepdim=True).clamp_min(1))

    def same_franchise(self, visible: Tensor) -> Tensor:
        """1 for each item that is in a franchise of which something is visible, 0 for the others [B, N]."""
        there = self.scale.new_zeros(len(visible), len(self.group_starts) + 1)
        there.scatter_(1, F.pad(self.franchise, (1, 1))[visible], 1.0)
        there[:, 0] = 0
        return there.index_select(1, self.franchise)

    def missing(self, popularity: Tensor, lists: WholeLists | None) -> Tensor:
        """How many others of its franchise are beside each item on the lists that have it, in the mean [B or 1, N].

        popularity [N]: on how many lists each item is. lists: those of them that are asked about, which are left out.
        """
        if lists is None:
            return (self.beside / (popularity + SMOOTHING))[None]
        listed, items = lists.padded(), len(self.scale)
        own = self.scale.new_zeros(len(listed), items + 1).scatter_(1, listed, 1.0)[:, 1:]
        of_franchise = self.scale.new_zeros(len(listed), len(self.group_starts) + 1).index_add_(1, self.franchise, own)
        others = of_franchise.index_select(1, self.franchise).sub_(1).mul_(own).mul_(self.franchise > 0)
        return (self.beside - others).div_(popularity + SMOOTHING - own)
