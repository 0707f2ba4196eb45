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
from torch import Tensor

from anime_bert4rec.lists.sequences import Sequences
from anime_bert4rec.model.memory_groups import Groups
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


class UnlistedItems(Groups):
    """`forward(visible)` → what to add to the EASE scores of the unlisted items, [B, C].

    With G the groups of an item (a genre, a studio, …; see lists/common_traits.py), that is in proportion to the sum
    over G of the share of the group that is on the list. It is WEIGHT at most, for a list of all items that are on any
    list.
    """

    def __init__(self, sizes: UnlistedSizes = UnlistedSizes()) -> None:
        super().__init__(sizes.items, sizes.groups, sizes.members, sizes.memberships)
        self.register_buffer("columns", torch.zeros(sizes.items, dtype=torch.long))

    columns: Tensor
    """[C] item index - 1 of each unlisted item."""

    @classmethod
    def of(cls, alike: Sequences, popularity: np.ndarray) -> UnlistedItems:
        """alike: the items of each group; popularity: on how many lists each item is [N]."""
        unlisted = popularity == 0
        is_unlisted = unlisted[alike.items - 1]
        group_of_entry = np.repeat(np.arange(len(alike)), alike.lengths)
        mixed = (np.bincount(group_of_entry[is_unlisted], minlength=len(alike)) > 0) & (
            np.bincount(group_of_entry[~is_unlisted], minlength=len(alike)) > 0
        )  # other groups relate no unlisted item to a listed one
        chosen = alike.select(np.flatnonzero(mixed))
        memberships = chosen.items[unlisted[chosen.items - 1]]
        items = np.unique(memberships)
        made = cls(UnlistedSizes(len(items), len(chosen), len(chosen.items), len(memberships)))
        made.fill(chosen, items)
        made.columns.copy_(torch.from_numpy(items - 1))
        all_listed = torch.from_numpy(np.flatnonzero(popularity) + 1)[None]
        made.scale.copy_(WEIGHT / made._in_common(all_listed, len(popularity))[0])
        return made

    @property
    def sizes(self) -> UnlistedSizes:
        lengths = (len(x) for x in (self.columns, self.group_starts, self.members, self.groups))
        return UnlistedSizes(*lengths)

    def new(self, popularity: Tensor, prior: Tensor | None, all_may_be: bool) -> New | None:
        """The items that may be new; None if there are none. popularity, prior: as in model/memory_popularity.py.
        all_may_be: whether every unlisted item may be, or only those of which it is surprising that no list has
        them."""
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
        return self._in_common(visible, num_items) * self.scale

    def _in_common(self, visible: Tensor, num_items: int) -> Tensor:
        """The sum over the groups of each unlisted item of the share of the group that is on the list [B, C]."""
        return self.sums(visible, F.pad(torch.ones(num_items, device=visible.device), (1, 1))).t()
