"""The item-to-item memory: a prior for every masked position, from tables that are fitted in closed form.

A Transformer of a few hundred dimensions cannot hold which of thousands of items go together; a table can, and needs no
training. So the logits start from the tables (model/memory_transitions.py for lists that have an order,
model/memory_ease.py for all), and the network learns only what they don't know. The tables are made of the training
lists, which they would know by heart: each training list is therefore scored as though it had not been counted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anime_bert4rec.lists.sequences import PAD
from anime_bert4rec.model.batches import Batch, columns_of_masks
from anime_bert4rec.model.memory_ease import EaseTable, OwnItems
from anime_bert4rec.model.memory_transitions import Added, Pairs, Transitions
from anime_bert4rec.model.memory_unlisted import UnlistedItems, UnlistedSizes
from anime_bert4rec.support.forms import WrongForm, check

NEIGHBOURS = 8
SOFTNESS = 0.03
"""EASE scores much below this count as equally bad."""
LOWEST = -0.25
"""The EASE score of items that are not in the table."""


@dataclass(frozen=True)
class MemoryConfig:
    """What is needed to build a memory that saved weights fit into."""

    num_items: int
    table_size: int
    ordered: bool
    """Whether lists have an order. Without, only EASE is used, and it reads whole lists."""
    recency: float
    """What an item counts for in EASE is multiplied by this for each item between it and the position asked for."""
    unlisted: UnlistedSizes = UnlistedSizes()
    prior: float = 0.0
    """How much of the popularity the transitions add to each row."""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> MemoryConfig:
        """Raises WrongForm for what is not, or has sizes of which no memory can be."""
        check(values, cls, "memory")
        config = cls(**{**values, "unlisted": UnlistedSizes(**values.get("unlisted", {}))})
        sizes = (config.table_size, *asdict(config.unlisted).values())
        if min(sizes) < 0 or not 0 <= config.recency <= 1 or config.prior < 0:
            raise WrongForm("the sizes of its memory are not those of one")
        return config

    def least_numbers(self) -> int:
        """How many numbers a memory of these sizes has at the least."""
        return self.table_size**2 + sum(asdict(self.unlisted).values())

    def places(self) -> dict[str, int]:
        """The buffers whose numbers say where something is, and the limit that they are below."""
        sizes = self.unlisted
        of_unlisted = {
            "columns": self.num_items,
            "members": self.num_items + 1,
            "group_starts": sizes.members + 1,
            "groups": sizes.groups,
            "item_starts": sizes.memberships + 1,
        }
        own = {"kept": self.num_items, "column": self.table_size + 1}
        return own | {f"unlisted.{name}": limit for name, limit in of_unlisted.items()}


class ItemMemory(nn.Module):
    """`forward(batch)` → a prior on the logits, [M, N]. It is fitted, not trained (see model/memory_fitting.py).

    rank_unlisted: whether items that nobody has listed are scored by what the catalogue says of them.
    """

    def __init__(self, config: MemoryConfig) -> None:
        super().__init__()
        self.config = config
        size = config.table_size
        self.transitions = Transitions(size, config.num_items, NEIGHBOURS, config.prior) if config.ordered else None
        self.ease = EaseTable(size)
        self.unlisted = UnlistedItems(config.unlisted)
        self.register_buffer("strength", torch.ones(2, 2))
        self.register_buffer("kept", torch.zeros(size, dtype=torch.long))
        self.register_buffer("column", torch.full((config.num_items + 2,), size))
        self.pairs: Pairs | None = None
        """Of the training lists; needed to train on them, and not saved."""

    kept: Tensor
    """[size] columns (item index - 1) of the logits that the tables know."""
    strength: Tensor
    """[2, 2] what the logs of EASE and of the transitions are multiplied by: first for masks, of which what is behind
    them tells EASE more, then for cuts."""
    column: Tensor
    """[N + 2] the row and column of each item index in the tables; `table_size` for none."""

    @torch.no_grad()
    def forward(self, batch: Batch, rank_unlisted: bool = False) -> Tensor:
        of_ease, of_transitions = self.strength[0 if batch.cuts is None else 1]
        prior = self.by_ease(batch, rank_unlisted).mul_(of_ease)
        if self.transitions is not None:
            follows = self.by_transitions(batch)
            if rank_unlisted and len(self.unlisted.columns):  # it isn't known what one of them follows
                follows[:, self.unlisted.columns] = follows.mean(1, keepdim=True)
            prior.addcmul_(follows, of_transitions)
        return prior

    @torch.no_grad()
    def by_transitions(self, batch: Batch) -> Tensor:
        assert self.transitions is not None
        table_rows, added = self.neighbours(batch)
        return self.transitions(table_rows, self.kept, added)

    def neighbours(self, batch: Batch) -> tuple[Tensor, Added | None]:
        """The table's rows of the nearest visible items before each position [M, K] and, for training lists, what they
        added."""
        visible = (batch.items != PAD) & (batch.items <= self.config.num_items)
        at = batch.rows[:, None], nearest_before(visible, batch.rows, batch.columns, NEIGHBOURS)
        items = F.pad(batch.items, (0, 1))[at]
        if batch.entries is None:
            return self.column[items], None
        return self.column[items], self._added(batch, F.pad(batch.entries, (0, 1), value=-1)[at], items)

    def _added(self, batch: Batch, entries: Tensor, neighbours: Tensor) -> Added:
        """entries, neighbours [M, K]: which of the counted entries the neighbours are, and their items."""
        pairs, lists = self.pairs, batch.lists
        assert pairs is not None and lists is not None and batch.entries is not None

        def tensor(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array).to(entries.device)

        block = pairs.blocks[entries.clamp(min=0).cpu().numpy()]
        first_block = pairs.first_blocks[pairs.blocks[batch.entries.amax(1).clamp(min=0).cpu().numpy()]]
        listed, lengths = lists.padded(), lists.lengths
        # The lists may come with their blocks shuffled, but each block is at its place.
        place = pairs.starts[first_block][:, None] + np.arange(listed.shape[1])
        blocks_listed = tensor(pairs.blocks[place.clip(max=len(pairs.blocks) - 1)] - first_block[:, None])
        within = torch.arange(listed.shape[1], device=listed.device) < lengths[:, None]
        kept = (self.column[listed] < len(self.kept)) & within
        weights = tensor(pairs.weights[block]).float() * (entries >= 0)[:, :, None]
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

    @torch.no_grad()
    def by_ease(self, batch: Batch, rank_unlisted: bool = False) -> Tensor:
        own = None
        if batch.lists is not None:
            own = (self.column[batch.lists.items], batch.lists.starts)
        if self.config.ordered:
            scores, at = self._recent(batch, own)
        else:
            scores, at = self.ease(self.column[batch.all_visible], None, own), batch.rows
        scores = scores.view(-1, scores.shape[-1]).index_select(0, at)
        ranked = rank_unlisted and len(self.unlisted.columns) > 0
        unlisted = self._unlisted(batch, scores) if ranked else None
        logs = log_softplus(scores.div_(SOFTNESS))
        if len(self.kept) < self.config.num_items:
            lowest = log_softplus(torch.tensor(LOWEST / SOFTNESS)).item()
            everything = logs.new_full((len(logs), self.config.num_items), lowest)
            logs = everything.index_copy_(1, self.kept, logs)
        return logs if unlisted is None else logs.index_copy_(1, self.unlisted.columns, unlisted)

    def _unlisted(self, batch: Batch, scores: Tensor) -> Tensor:
        """The logs of the unlisted items [M, C]: their scores in the table, if they are in it, and what they share."""
        in_common = self.unlisted(batch.all_visible, self.config.num_items).index_select(0, batch.rows)
        in_table = F.pad(scores, (0, 1)).index_select(1, self.column[self.unlisted.columns + 1])
        return log_softplus((in_table + in_common) / SOFTNESS)

    def _recent(self, batch: Batch, own: OwnItems | None) -> tuple[Tensor, Tensor]:
        """EASE scores [B, S, size], and where in [B × S] each position is [M]; near items count for more."""
        recency = self.config.recency
        if batch.cuts is not None:
            before = self.column[batch.items[:, : int(batch.cuts[-1])]]
            at = batch.rows * len(batch.cuts) + batch.places
            return self.ease.before_cuts(before, batch.cuts, recency, own), at
        columns, at = columns_of_masks(batch)
        gap = columns[:, :, None] - torch.arange(batch.items.shape[1], device=columns.device)
        weights = recency ** (gap.abs() - 1).clamp_min(0)
        return self.ease(self.column[batch.items], weights, own), at


def log_softplus(x: Tensor) -> Tensor:
    """log log(1 + exp x): close to log x for large x, and to x itself for very negative ones. `x` is used up."""
    return F.softplus(x.clamp_min_(-20)).log_()


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
