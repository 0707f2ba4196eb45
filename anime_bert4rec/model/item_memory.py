"""The item-to-item memory: a prior for every masked position, from tables that are fitted in closed form.

A Transformer of a few hundred dimensions cannot hold which of thousands of items go together; a table can, and needs no
training. So the logits start from the tables (model/memory_transitions.py for lists that have an order,
model/memory_ease.py for all, model/memory_colisting.py for those without), from how popular each item is, and from
what the catalogue says (model/memory_likeness.py); the network learns only what they don't know. What each of these
terms counts for depends on how many items are visible: few tell little, and then the popularity counts for more.
Without an order it also depends on whether they look like a whole list (model/memory_completeness.py). The tables are
made of the training lists, and would know them by heart; so each of these lists is scored as though it had not been
counted.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anime_bert4rec.model.batches import Batch, columns_of_masks
from anime_bert4rec.model.fast_parts import log_softplus
from anime_bert4rec.model.memory_colisting import CoListing, smoothing
from anime_bert4rec.model.memory_completeness import Completeness, both_sides, signs_of
from anime_bert4rec.model.memory_config import MemoryConfig
from anime_bert4rec.model.memory_direction import Direction
from anime_bert4rec.model.memory_ease import EaseTable, OwnItems
from anime_bert4rec.model.memory_lateness import Lateness
from anime_bert4rec.model.memory_likeness import Likeness
from anime_bert4rec.model.memory_pairs import Pairs
from anime_bert4rec.model.memory_popularity import log_popularity
from anime_bert4rec.model.memory_strengths import hats
from anime_bert4rec.model.memory_transitions import SMOOTHING, Added, Transitions, nearest_before
from anime_bert4rec.model.memory_unlisted import New, UnlistedItems
from anime_bert4rec.model.visible_items import count_visible, is_item

NEIGHBOURS = 8
SOFTNESS = 0.03
"""EASE scores much below this count as equally bad."""
UNKNOWN = 30.0
"""So many lists are added to those that have an item, where it is asked how rare it is and the catalogue can't tell."""
LOWEST = -0.25
"""The EASE score of items that are not in the table, unless the transitions know them: then it is 0."""


class Terms(NamedTuple):
    """What the prior is the weighted sum of."""

    values: list[Tensor]
    """[R, N] each, for R lists with some visible items."""
    shares: Tensor
    """[R, K] how much of the strengths at each knot they have."""
    at: Tensor | None
    """[M] which of the R lists each position of the batch is in; None: R is M, and they come in the same order."""


class ItemMemory(nn.Module):
    """`forward(batch)` → a prior on the logits, [M, N]. It is fitted, not trained (see model/memory_fitting.py).

    rank_unlisted: whether items that nobody has listed are scored by what the catalogue says of them, and not by what
    it means that nobody has.
    """

    def __init__(self, config: MemoryConfig) -> None:
        super().__init__()
        self.config = config
        size, terms = config.table_size, config.terms
        self.transitions: Transitions | None = None
        if config.ordered:
            self.transitions = Transitions(
                size, config.num_items, NEIGHBOURS, config.prior, config.reliance, config.followers
            )
        self.ease = EaseTable(size)
        self.colisting = CoListing(size) if "co-listing" in terms else None
        self.lateness = Lateness(config.num_items) if "lateness" in terms else None
        self.likeness = Likeness(config.likeness, config.num_items) if "likeness" in terms else None
        self.direction = Direction(config.directions, config.num_items) if "direction" in terms else None
        self.completeness = Completeness() if config.completeness else None
        self.unlisted = UnlistedItems(config.unlisted)
        if config.knots:
            self.register_buffer("popularity", torch.zeros(config.num_items))
            self.register_buffer("popularity_prior", torch.ones(config.num_items) if config.popularity_prior else None)
            kinds, knots = 2 if config.ordered else 1, config.sides * config.knots
            self.register_buffer("strength", torch.ones(kinds, len(terms), knots))
        else:  # nothing is known of the popularity, so it is the same for all
            self.register_buffer("popularity", torch.ones(config.num_items), persistent=False)
            self.register_buffer("popularity_prior", None)
            self.register_buffer("strength", torch.ones(2, 2))
        self.register_buffer("kept", torch.zeros(size, dtype=torch.long))
        self.register_buffer("column", torch.full((config.num_items + 2,), size))
        self.pairs: Pairs | None = None
        """What the transitions of the training lists were counted from; needed to train on these, and not saved."""

    kept: Tensor
    """[size] columns (item index - 1) of the logits that the tables know."""
    popularity: Tensor
    """[N] on how many lists each item is."""
    popularity_prior: Tensor | None
    """[N] on how many lists more it counts as (model/memory_popularity.py)."""
    strength: Tensor
    """[1 or 2, T, sides · knots] what the terms are multiplied by: first for masks, of which what is behind them tells
    EASE more, then for cuts. [2, 2] where it doesn't depend on the number of visible items."""
    column: Tensor
    """[N + 2] the row and column of each item index in the tables; `table_size` for none."""

    @torch.no_grad()
    def forward(self, batch: Batch, rank_unlisted: bool = False) -> Tensor:
        terms = self.terms(batch, rank_unlisted)
        strengths = self.strengths(terms.shares, 0 if batch.cuts is None else 1)
        prior = terms.values[0].mul_(strengths[:, :1])
        for number, term in enumerate(terms.values[1:], 1):
            prior.addcmul_(term, strengths[:, number, None])
        return prior if terms.at is None else prior.index_select(0, terms.at)

    def strengths(self, shares: Tensor, kind: int) -> Tensor:
        """What the terms are multiplied by [R, T]. shares [R, K]: of each knot. kind: 0 for masks, 1 for cuts."""
        strength = self.strength[kind if len(self.strength) > 1 else 0]
        return shares @ (strength.t() if self.config.knots else strength[None])

    @torch.no_grad()
    def terms(self, batch: Batch, rank_unlisted: bool = False) -> Terms:
        """The values of `config.terms`. Without an order they are the same at all positions of a list."""
        new = self._new() if rank_unlisted else None
        values = [self._ease(batch, new), *self._others(batch, new)]
        num_items, knots = self.config.num_items, max(self.config.knots, 1)
        if self.config.ordered:
            return Terms(values, hats(count_visible(batch, num_items), knots), None)
        shares = hats(is_item(batch.all_visible, num_items).sum(1), knots)
        if self.completeness is not None:
            of_franchise = dict(zip(self.config.terms, values, strict=True)).get("franchise")
            shares = both_sides(shares, self.completeness(self.signs(batch, of_franchise)))
        return Terms(values, shares, batch.rows)

    def signs(self, batch: Batch, same_franchise: Tensor | None) -> Tensor:
        """What tells whether each list is shown whole [R, SIGNS], as `signs_of` has it."""
        by_popularity = log_popularity(self.popularity, self.popularity_prior, batch.lists)
        return signs_of(batch.all_visible, by_popularity, same_franchise)

    def _new(self) -> New | None:
        return self.unlisted.new(self.popularity, self.popularity_prior, all_may_be=self.config.ordered)

    def expected_popularity(self) -> Tensor:
        """On how many lists each item counts as, what is new as though it were as old as they are [N]."""
        counted = self.popularity + (UNKNOWN if self.popularity_prior is None else self.popularity_prior)
        new = self._new()
        return counted if new is None else counted.index_copy(0, new.columns, new.shares * counted.sum())

    def _others(self, batch: Batch, new: New | None) -> list[Tensor]:
        """All terms but EASE. Of what is new it isn't known what it follows; its chance is the share of all chances
        that it is expected to have. What it shares with others is known."""
        names, values = self.config.terms, []
        if self.transitions is not None:
            values.append(self.by_transitions(batch))
        if "popularity" in names:
            values.append(self.by_popularity(batch))
        if self.lateness is not None:
            values.append(self.lateness(batch, self.popularity, self.pairs))
        if self.colisting is not None:
            values.append(self.by_colisting(batch, values[0]))
        if new is not None:
            for number, term in enumerate(values):
                expected = term.logsumexp(1, keepdim=True) + new.shares.log()
                # Not in place: the popularity may be one row that stands for all lists.
                values[number] = term.index_copy(1, new.columns, expected)
        if self.likeness is not None:
            values += self.likeness(batch.all_visible, self.popularity, batch.lists)
        if self.direction is not None:
            values.append(self.direction(batch.all_visible, batch.lists))
        return values

    def by_popularity(self, batch: Batch) -> Tensor:
        """The logarithm of how popular each item is, without the list that is asked about [R, N]."""
        values = log_popularity(self.popularity, self.popularity_prior, batch.lists)
        if not self.config.ordered:
            return values.expand(len(batch.all_visible), -1)
        return values.repeat(len(batch.rows), 1) if len(values) == 1 else values[batch.rows]

    def by_colisting(self, batch: Batch, by_popularity: Tensor) -> Tensor:
        """The log of on what share of the other lists with each visible item each item is [B, N]."""
        assert self.colisting is not None
        weight, often = self.config.list_weight, F.pad(self.popularity[self.kept] + SMOOTHING, (0, 1), value=1)
        sums = self.colisting(self.column[batch.all_visible], self.column, batch.lists, weight, often)
        values = by_popularity.softmax(1).mul_(smoothing(self.popularity, batch.lists))
        sums.clamp_min_(0).div_(max(weight, 1e-6))
        values = values.add_(sums) if len(self.kept) == len(self.popularity) else values.index_add_(1, self.kept, sums)
        return values.log_()

    @torch.no_grad()
    def by_transitions(self, batch: Batch) -> Tensor:
        assert self.transitions is not None
        table_rows, added = self.neighbours(batch)
        return self.transitions(table_rows, self.kept, added)

    def neighbours(self, batch: Batch) -> tuple[Tensor, Added | None]:
        """The table's rows of the nearest visible items before each position [M, K] and, for training lists, what they
        added."""
        assert self.transitions is not None
        visible = is_item(batch.items, self.config.num_items)
        at = batch.rows[:, None], nearest_before(visible, batch.rows, batch.columns, NEIGHBOURS)
        items = F.pad(batch.items, (0, 1))[at]
        rows = self.transitions.rows_of(items, self.column)
        if batch.entries is None:
            return rows, None
        assert self.pairs is not None
        entries = F.pad(batch.entries, (0, 1), value=-1)[at]
        return rows, self.transitions.added_by(self.pairs, batch, entries, items, self.column)

    @torch.no_grad()
    def by_ease(self, batch: Batch) -> Tensor:
        """The logs of EASE at each position [M, N]."""
        logs = self._ease(batch, None)
        return logs if self.config.ordered else logs.index_select(0, batch.rows)

    def _ease(self, batch: Batch, new: New | None) -> Tensor:
        """The logs of EASE [R, N]."""
        own = None
        if batch.lists is not None:
            own = (self.column[batch.lists.items], batch.lists.starts)
        if self.config.ordered:
            scores, at = self._recent(batch, own)
            scores = scores.view(-1, scores.shape[-1]).index_select(0, at)
        else:
            scores = self.ease(self.column[batch.all_visible], None, own)[:, 0]
        of_new = None if new is None else self._ease_of_new(batch, scores, new)
        logs = log_softplus(scores.div_(SOFTNESS))
        if len(self.kept) < self.config.num_items:
            lowest = log_softplus(torch.tensor((LOWEST if self.config.followers is None else 0) / SOFTNESS)).item()
            everything = logs.new_full((len(logs), self.config.num_items), lowest)
            logs = everything.index_copy_(1, self.kept, logs)
        return logs if new is None or of_new is None else logs.index_copy_(1, new.columns, of_new)

    def _ease_of_new(self, batch: Batch, scores: Tensor, new: New) -> Tensor:
        """The logs of what is new [R, C]: its score in the table, if it is in it, its share of all scores, and what it
        has in common with the list."""
        in_common = self.unlisted(batch.all_visible, self.config.num_items)[:, new.places]
        if self.config.ordered:
            in_common = in_common.index_select(0, batch.rows)
        in_table = F.pad(scores, (0, 1)).index_select(1, self.column[new.columns + 1])
        expected = scores.clamp_min(0).sum(1, keepdim=True) * new.shares
        return log_softplus((in_table + expected + in_common) / SOFTNESS)

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
