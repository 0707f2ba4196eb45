"""Recommenders that need no training: popularity, item-kNN, EASE and a decayed Markov chain.

    scorer = EASE(l2=300).fit(training, num_items)
    scores = scorer(histories)          # [U, N]

A model that doesn't beat these has learnt nothing that is worth its training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from anime_bert4rec.evaluation.ranking import Scorer
from anime_bert4rec.lists.sequences import ItemLists, Sequences, flatten

MAX_ITEMS = 8_000
"""How many items a table of item by item has at most, the most popular ones, as the model's own memory does."""


class Baseline(Protocol):
    """A method with its settings."""

    def fit(self, sequences: Sequences, num_items: int) -> Scorer: ...


@dataclass(frozen=True)
class Popularity:
    """The same for everyone: on how many lists an item is."""

    def fit(self, sequences: Sequences, num_items: int) -> Scorer:
        popularity = sequences.popularity(num_items)
        return lambda histories: np.tile(popularity, (len(histories), 1))


@dataclass(frozen=True)
class Weighting:
    """How much each item of a history counts: the newest 1, the one before it `recency`, …; 0 past the `last`."""

    recency: float = 1.0
    last: int | None = None

    def of(self, histories: ItemLists, num_items: int) -> np.ndarray:
        """Weights, float32 [U, N]; an item that occurs twice counts as its newest occurrence."""
        items, lengths = flatten(histories)
        age = np.repeat(np.cumsum(lengths), lengths) - 1 - np.arange(len(items))
        weights = np.power(self.recency, age, dtype=np.float32)
        if self.last is not None:
            weights[age >= self.last] = 0
        matrix = np.zeros((len(lengths), num_items), np.float32)
        matrix[np.repeat(np.arange(len(lengths)), lengths), items - 1] = weights  # the newest is written last
        return matrix


@dataclass(frozen=True)
class ItemToItem:
    """A scorer: the weighted sum of the rows of a table that belong to the items of the history.

    `columns` [K] are the columns 0 … N - 1 that the table [K, K] has; the other items score nothing.
    """

    table: np.ndarray
    columns: np.ndarray
    num_items: int
    weighting: Weighting

    def __call__(self, histories: ItemLists) -> np.ndarray:
        weights = self.weighting.of(histories, self.num_items)
        if len(self.columns) == self.num_items:
            return weights @ self.table
        scores = np.zeros_like(weights)
        scores[:, self.columns] = weights[:, self.columns] @ self.table
        return scores


@dataclass(frozen=True)
class ItemToItemBaseline:
    """A baseline that is a table of item by item."""

    weighting: Weighting = Weighting()

    def fit(self, sequences: Sequences, num_items: int, most: int | None = None) -> ItemToItem:
        """most: how many items have a row, the most popular ones; MAX_ITEMS if not given."""
        most = MAX_ITEMS if most is None else most
        columns = np.sort(np.argsort(-sequences.popularity(num_items), kind="stable")[:most])
        table = self.table(sequences.only_items(columns + 1), len(columns))
        return ItemToItem(table, columns, num_items, self.weighting)

    def table(self, sequences: Sequences, num_items: int) -> np.ndarray:
        """[N, N]: row i is what having item i + 1 on the list says about each other item."""
        raise NotImplementedError


@dataclass(frozen=True)
class ItemKNN(ItemToItemBaseline):
    """Cosine of the items' columns in the matrix of users and items; of each item only the nearest neighbours.

    Sarwar et al., "Item-based collaborative filtering recommendation algorithms", 2001.
    """

    neighbours: int = 100
    shrink: float = 10.0
    """Added to the denominator: cosines of rare items rest on little."""

    def table(self, sequences: Sequences, num_items: int) -> np.ndarray:
        together = co_occurrences(sequences, num_items)
        norm = np.sqrt(together.diagonal())
        cosine = together / np.maximum(np.outer(norm, norm) + self.shrink, 1e-9)
        np.fill_diagonal(cosine, 0)
        if self.neighbours < num_items:
            weakest = np.partition(cosine, num_items - self.neighbours, axis=0)[num_items - self.neighbours]
            cosine[cosine < weakest] = 0  # each column keeps the neighbours of the item that is scored
        return cosine


@dataclass(frozen=True)
class EASE(ItemToItemBaseline):
    """The ridge regression of each item on all others, in closed form.

    Steck, "Embarrassingly shallow autoencoders for sparse data", 2019.
    """

    l2: float = 300.0

    def table(self, sequences: Sequences, num_items: int) -> np.ndarray:
        import torch  # which who only names baselines does without; NumPy has no inverse by Cholesky

        gram = torch.from_numpy(co_occurrences(sequences, num_items)).double()
        gram.diagonal().add_(self.l2)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram)).numpy()
        table = (inverse / -inverse.diagonal()).astype(np.float32)
        np.fill_diagonal(table, 0)
        return table


@dataclass(frozen=True)
class MarkovChain(ItemToItemBaseline):
    """How often an item follows another within `steps`, the nearer the more; rows are shares, drawn to popularity."""

    weighting: Weighting = Weighting(recency=0.8)
    steps: int = 10
    decay: float = 0.8
    """The weight of a transition falls by this factor with each step."""
    prior: float = 10.0
    """Each row has this much of the popularity mixed in: rare items have few transitions of their own."""

    def table(self, sequences: Sequences, num_items: int) -> np.ndarray:
        cells = np.zeros(num_items * num_items, np.float32)
        user = np.repeat(np.arange(len(sequences)), sequences.lengths)
        items = sequences.items.astype(np.int64) - 1
        for step in range(1, self.steps + 1):
            of_one_user = user[step:] == user[:-step]
            pairs = (items[:-step] * num_items + items[step:])[of_one_user]
            pair, times = np.unique(pairs, return_counts=True)
            cells[pair] += self.decay ** (step - 1) * times
        counts = cells.reshape(num_items, num_items)
        popularity = sequences.popularity(num_items)
        counts += self.prior * popularity / max(popularity.sum(), 1)
        return counts / np.maximum(counts.sum(1, keepdims=True), 1e-9)


def co_occurrences(sequences: Sequences, num_items: int) -> np.ndarray:
    """On how many lists each two items are together: float32 [N, N]."""
    together = np.zeros((num_items, num_items), np.float32)
    for start in range(0, len(sequences), 1000):
        some = sequences.select(np.arange(start, min(start + 1000, len(sequences))))
        on_list = Weighting().of(some, num_items)
        together += on_list.T @ on_list
    return together
