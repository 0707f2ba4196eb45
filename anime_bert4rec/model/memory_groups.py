"""What lists have of the groups of the catalogue (a genre, a studio, …; see lists/common_traits.py), by item."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anime_bert4rec.lists.sequences import Sequences


class Groups(nn.Module):
    """The groups of some items."""

    def __init__(self, items: int, groups: int, members: int, memberships: int) -> None:
        """The lengths of the buffers, so that saved ones fit into them."""
        super().__init__()
        self.register_buffer("members", torch.zeros(members, dtype=torch.long))
        self.register_buffer("group_starts", torch.zeros(groups, dtype=torch.long))
        self.register_buffer("groups", torch.zeros(memberships, dtype=torch.long))
        self.register_buffer("item_starts", torch.zeros(items, dtype=torch.long))
        self.register_buffer("scale", torch.zeros(items))

    members: Tensor
    group_starts: Tensor
    """The item indices of the groups, one group after the other, and where each starts."""
    groups: Tensor
    item_starts: Tensor
    """The groups of the items, one item after the other, and where each starts."""
    scale: Tensor
    """What the sum of each item is multiplied by."""

    def fill(self, alike: Sequences, items: np.ndarray) -> None:
        """alike: the members of each group. items: the indices of the items, ascending."""
        order = np.argsort(alike.items, kind="stable")
        order = order[np.isin(alike.items[order], items)]
        self.members.copy_(torch.from_numpy(alike.items.astype(np.int64)))
        self.group_starts.copy_(torch.from_numpy(alike.offsets[:-1]))
        self.groups.copy_(torch.from_numpy(np.repeat(np.arange(len(alike)), alike.lengths)[order]))
        self.item_starts.copy_(torch.from_numpy(np.searchsorted(alike.items[order], items)))

    def sums(self, visible: Tensor, weights: Tensor) -> Tensor:
        """For each item, over its groups, the sum of the mean over the group's members of what they weigh on a list
        [items, B]: nothing where they aren't visible.

        visible: item indices [B, any], PAD and the mask among them. weights [N + 2]: of each of these.
        """
        on_list = weights.new_zeros(len(weights), len(visible))
        on_list[visible, torch.arange(len(visible), device=visible.device)[:, None]] = weights[visible]
        of_group = F.embedding_bag(self.members, on_list, self.group_starts, mode="mean")
        return F.embedding_bag(self.groups, of_group, self.item_starts, mode="sum")
