"""Items that nobody has listed, ranked by what the catalogue says they have in common with a list.

Training can only teach a model that such items never come: they are on no list, new as they may be. So for
recommendations their scores come from here and not from the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anime_bert4rec.lists.sequences import PAD, Sequences
from anime_bert4rec.model.memory_popularity import SURELY, expected_shares, must_be_new

WEIGHT = 0.3
"""The most that is added. More would bring new titles further up, and those that nobody wants with them, at the cost of
what people have listed."""


@dataclass(frozen=True)
class UnlistedSizes:
    """The lengths of the buffers, for a place that saved ones fit into."""

    items: int = 0
    groups: int = 0
    members: int = 0
    memberships: int = 0


class New(NamedTuple):
    """Items that may be on no list only because they are new."""

    places: Tensor
    """[C] which of the unlisted items they are."""
    columns: Tensor
    """[C] item index - 1 of each."""
    shares: Tensor
    """[C] what each is expected to have of all chances."""


class UnlistedItems(nn.Module):
    """`forward(visible)` → what to add to the EASE scores of the unlisted items, [B, C].

    With G the groups of an item (a genre, a studio, …; see lists/common_traits.py), that is in proportion to the sum
    over G of the share of the group that is on the list. It is WEIGHT at most, for a list of all items that are on any
    list.
    """

    def __init__(self, sizes: UnlistedSizes = UnlistedSizes()) -> None:
        super().__init__()
        self.register_buffer("columns", torch.zeros(sizes.items, dtype=torch.long))
        self.register_buffer("members", torch.zeros(sizes.members, dtype=torch.long))
        self.register_buffer("group_starts", torch.zeros(sizes.groups, dtype=torch.long))
        self.register_buffer("groups", torch.zeros(sizes.memberships, dtype=torch.long))
        self.register_buffer("item_starts", torch.zeros(sizes.items, dtype=torch.long))
        self.register_buffer("scale", torch.zeros(sizes.items))

    columns: Tensor
    """[C] item index - 1 of each unlisted item."""
    members: Tensor
    group_starts: Tensor
    """The item indices of the groups, one group after the other, and where each starts."""
    groups: Tensor
    item_starts: Tensor
    """The groups of the unlisted items, one item after the other, and where each starts."""
    scale: Tensor

    @classmethod
    def of(cls, alike: Sequences, popularity: np.ndarray) -> UnlistedItems:
        """alike: the items of each group; popularity: on how many lists each item is [N]."""
        unlisted = np.concatenate([[False], popularity == 0])
        is_unlisted = unlisted[alike.items]
        group_of_entry = np.repeat(np.arange(len(alike)), alike.lengths)
        mixed = (np.bincount(group_of_entry[is_unlisted], minlength=len(alike)) > 0) & (
            np.bincount(group_of_entry[~is_unlisted], minlength=len(alike)) > 0
        )  # other groups relate no unlisted item to a listed one
        chosen = alike.select(np.flatnonzero(mixed))
        group_of_entry = np.repeat(np.arange(len(chosen)), chosen.lengths)
        is_unlisted = unlisted[chosen.items]
        order = np.flatnonzero(is_unlisted)[np.argsort(chosen.items[is_unlisted], kind="stable")]
        items, item_starts = np.unique(chosen.items[order], return_index=True)

        sizes = UnlistedSizes(len(items), len(chosen), len(chosen.items), len(order))
        made = cls(sizes)
        values = (items - 1, chosen.items, chosen.offsets[:-1], group_of_entry[order], item_starts)
        buffers = (made.columns, made.members, made.group_starts, made.groups, made.item_starts)
        for buffer, value in zip(buffers, values, strict=True):
            buffer.copy_(torch.from_numpy(value.astype(np.int64)))
        if len(items):
            listed = torch.from_numpy(np.append(~unlisted, False)).float()  # and the mask
            listed[PAD] = 0
            made.scale.copy_(WEIGHT / made._in_common(listed[:, None])[0])
        return made

    @property
    def sizes(self) -> UnlistedSizes:
        lengths = (len(x) for x in (self.columns, self.group_starts, self.members, self.groups))
        return UnlistedSizes(*lengths)

    def new(self, popularity: Tensor, prior: Tensor | None, all_may_be: bool) -> New | None:
        """None if nothing is. popularity, prior: as in model/memory_popularity.py. all_may_be: whether what is as rare
        in the catalogue as what no list has may be new, too."""
        places = torch.arange(len(self.columns), device=self.columns.device)
        if prior is None:
            prior = torch.ones_like(popularity)
        elif not all_may_be:
            places = must_be_new(popularity, prior)[self.columns].nonzero()[:, 0]
        columns, shares = self.columns[places], expected_shares(prior)
        if not all_may_be:  # a few lists lack much that is popular in the catalogue, and isn't wanted by such people
            shares = torch.where(must_be_new(popularity, prior, SURELY), shares, 1 / len(shares))
        return New(places, columns, shares[columns]) if len(places) else None

    def forward(self, visible: Tensor, num_items: int) -> Tensor:
        """visible: item indices [B, any], PAD and the mask among them."""
        on_list = torch.zeros(num_items + 2, len(visible), device=visible.device)
        on_list[visible, torch.arange(len(visible), device=visible.device)[:, None]] = 1
        on_list[PAD] = 0
        return self._in_common(on_list) * self.scale

    def _in_common(self, on_list: Tensor) -> Tensor:
        """The sum over the groups of each unlisted item of the share of the group that is on the list [B, C].

        on_list: float [N + 2, B], 1 for what is on it.
        """
        of_group = F.embedding_bag(self.members, on_list, self.group_starts, mode="mean")
        return F.embedding_bag(self.groups, of_group, self.item_starts, mode="sum").t()
