"""The tables of the memory: counted once from the training lists, and made into a memory with any settings."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from anime_bert4rec.lists.sequences import Sequences
from anime_bert4rec.model.batches import Batch
from anime_bert4rec.model.item_memory import ItemMemory
from anime_bert4rec.model.memory_colisting import CoListing
from anime_bert4rec.model.memory_completeness import NEARLY_WHOLE, Completeness
from anime_bert4rec.model.memory_config import MemoryConfig
from anime_bert4rec.model.memory_direction import MOST_ITEMS as MOST_DIRECTED
from anime_bert4rec.model.memory_direction import half_of
from anime_bert4rec.model.memory_ease import (
    POPULARITY_RIDGE,
    UNORDERED_POPULARITY_RIDGE,
    EaseTable,
    gram_matrix,
)
from anime_bert4rec.model.memory_likeness import Likeness, LikenessSizes
from anime_bert4rec.model.memory_pairs import Followers, Pairs, count_followers, count_transitions
from anime_bert4rec.model.memory_popularity import popularity_prior
from anime_bert4rec.model.memory_strengths import KNOTS
from anime_bert4rec.model.memory_transitions import Transitions
from anime_bert4rec.model.memory_unlisted import UnlistedItems
from anime_bert4rec.model.visible_items import is_item

MOST_FOLLOWERS = 2**24
"""Where not all items are in the tables, and no more pairs of items than this are near each other in any list, the
transitions are of all items: these pairs alone take no more room than a table of the most popular items."""


class Tables:
    """What the tables are made from, counted once for all settings that are tried."""

    def __init__(
        self,
        sequences: Sequences,
        num_items: int,
        most: int,
        ordered: bool,
        alike: Sequences | None,
        batch: Batch | None = None,
        in_catalogue: np.ndarray | None = None,
    ) -> None:
        """batch: of ordered lists; the mixture of the transitions is fitted on it, which no setting here changes.
        in_catalogue: how popular each item is there [N]."""
        self.popularity = np.bincount(sequences.items, minlength=num_items + 1)[1:].astype(np.float32)
        self.popularity_prior = popularity_prior(self.popularity, in_catalogue)
        self.popularity_ridge = POPULARITY_RIDGE if ordered else UNORDERED_POPULARITY_RIDGE
        self._keep(most)
        size = len(self.kept)
        self.of_halves: list[Tensor] = []
        """The Gram matrices of either half of lists without an order, of the items that have a direction."""
        if ordered:
            self.gram = gram_matrix(sequences, self.column, size)
        else:
            half, directed = half_of(sequences), self._directed()
            of_half = [
                gram_matrix(sequences.select(np.flatnonzero(half == each)), self.column, size) for each in (0, 1)
            ]
            self.of_halves = [gram[np.ix_(directed, directed)] for gram in of_half]
            self.gram = of_half[0].add_(of_half[1])
        self.alike = None if alike is None else gram_matrix(alike, self.column, size, 1 / alike.lengths)
        self.pairs = Pairs.of(sequences) if ordered else None
        self.followers: Followers | None = None
        self.counts: np.ndarray | None = None
        if self.pairs is not None:
            if size < num_items:
                self.followers = count_followers(self.pairs, num_items, MOST_FOLLOWERS)
            if self.followers is None:
                self.counts = count_transitions(self.pairs, self.column, size)
        self.unlisted = UnlistedItems() if alike is None else UnlistedItems.of(alike, self.popularity)
        self.list_weight = 0.0
        self.colisting: CoListing | None = None
        self.likeness: Likeness | None = None
        self.completeness: Completeness | None = None
        if not ordered:
            self.list_weight = CoListing.weight_of_list(sequences)
            self.colisting = CoListing(size)
            self.colisting.fill(sequences, self.column, self.list_weight)
            self.likeness = None if alike is None or not len(alike) else Likeness.of(alike, num_items, sequences)
            self.completeness = Completeness()
        self.batch = batch

    def _keep(self, most: int) -> None:
        """Keep the `most` popular items, and forget what was fitted."""
        self.kept = np.sort(np.argsort(-self.popularity, kind="stable")[:most])
        self.column = np.full(len(self.popularity) + 2, len(self.kept))
        self.column[self.kept + 1] = np.arange(len(self.kept))
        self.transitions: Transitions | None = None
        """Once they are fitted."""

    def _directed(self) -> np.ndarray:
        """The rows, ascending, of the items that have a direction."""
        return np.sort(np.argsort(-self.popularity[self.kept], kind="stable")[:MOST_DIRECTED])

    def of_most_popular(self, most: int) -> Tables:
        """The tables of the `most` popular items, without counting again."""
        if most >= len(self.kept):
            return self
        fewer = copy.copy(self)
        fewer._keep(most)
        fewer.of_halves = []
        at = self.column[fewer.kept + 1]
        rows, columns = np.ix_(at, at)
        fewer.gram = self.gram[rows, columns]
        fewer.alike = None if self.alike is None else self.alike[rows, columns]
        fewer.counts = None if self.counts is None else self.counts[rows, columns]
        if self.colisting is not None:
            fewer.colisting = CoListing(len(at))
            fewer.colisting.table[:-1] = self.colisting.table[rows, columns]
        return fewer

    def memory(self, recency: float, ridge: float, alike_weight: float) -> ItemMemory:
        """A memory with these settings."""
        memory = self.with_ease(recency, ridge, alike_weight)
        if self.pairs is not None:
            transitions = memory.transitions = self.fitted_transitions()
            memory.config = replace(memory.config, prior=transitions.prior, reliance=transitions.reliance)
        if memory.direction is not None:
            rows = self._directed()
            at = np.ix_(rows, rows)
            alike = None if self.alike is None else self.alike[at]
            scores: list[Tensor] = []
            for gram in (self.gram[at], *self.of_halves):
                ease = memory.ease if len(rows) == len(self.kept) and not scores else EaseTable(len(rows))
                if ease is not memory.ease:
                    ease.fill(gram, ridge, alike, alike_weight, self.popularity_ridge)
                scores.append(ease.scores)
            memory.direction.fill(scores, self.kept[rows])
        return memory

    def with_ease(self, recency: float, ridge: float, alike_weight: float) -> ItemMemory:
        """The same, but for the transitions and the direction of a list, of which it knows nothing."""
        memory = self._without_values(recency)
        memory.ease.fill(self.gram, ridge, self.alike, alike_weight, self.popularity_ridge)
        return memory

    def fit_completeness(self, shown: Iterable[Batch]) -> None:
        """Learn from lists without an order of which some items are shown whether all are."""
        memory, signs, shares = self._without_values(1.0), [], []
        assert self.completeness is not None
        for batch in shown:
            visible = batch.all_visible
            same_franchise = None if self.likeness is None else self.likeness.same_franchise(visible)
            signs.append(memory.signs(batch, same_franchise))
            assert batch.lists is not None
            shares.append(is_item(visible, memory.config.num_items).sum(1) / batch.lists.lengths)
        self.completeness.fit(torch.cat(signs), torch.cat(shares) >= NEARLY_WHOLE)

    def by_transitions(self, batch: Batch) -> Tensor:
        """What the transitions say of a batch of ordered lists."""
        memory = self._without_values(1.0)
        memory.transitions = self.fitted_transitions()
        return memory.by_transitions(batch)

    def fitted_transitions(self) -> Transitions:
        if self.transitions is None:
            assert self.batch is not None
            memory, targets = self._without_values(1.0), self.batch.targets
            assert memory.transitions is not None and targets is not None
            if self.followers is not None:
                memory.transitions.fill_sparse(self.followers, self.popularity)
            else:
                assert self.counts is not None
                memory.transitions.fill(self.counts, self.popularity)
            rows, added = memory.neighbours(self.batch)
            assert added is not None
            memory.transitions.fit(rows, added, memory.transitions.rows_of(targets, memory.column), targets)
            self.transitions = memory.transitions
        return self.transitions

    def _without_values(self, recency: float) -> ItemMemory:
        """A memory that knows which items are in its tables, and nothing of what goes with or follows them."""
        memory = ItemMemory(
            MemoryConfig(
                len(self.popularity),
                len(self.kept),
                self.pairs is not None,
                recency,
                self.unlisted.sizes,
                followers=None if self.followers is None else len(self.followers.values),
                knots=KNOTS,
                list_weight=self.list_weight,
                likeness=LikenessSizes() if self.likeness is None else self.likeness.sizes,
                popularity_prior=self.popularity_prior is not None,
                directions=len(self.of_halves[0]) if self.of_halves else 0,
            )
        )
        memory.unlisted, memory.colisting, memory.likeness = self.unlisted, self.colisting, self.likeness
        memory.completeness = self.completeness
        memory.popularity.copy_(torch.from_numpy(self.popularity))
        if memory.popularity_prior is not None and self.popularity_prior is not None:
            memory.popularity_prior.copy_(torch.from_numpy(self.popularity_prior))
        memory.pairs = self.pairs
        if memory.lateness is not None and self.pairs is not None:
            places = np.bincount(self.pairs.items, self.pairs.places, minlength=len(self.popularity) + 1)[1:]
            memory.lateness.places.copy_(torch.from_numpy(places))
        memory.kept.copy_(torch.from_numpy(self.kept))
        memory.column.copy_(torch.from_numpy(self.column))
        return memory
