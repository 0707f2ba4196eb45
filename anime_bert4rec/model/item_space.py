"""Where each item is among the others: a vector for each, of similar direction for items that go together."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from anime_bert4rec.model.torch_settings import on_the_cpu_in_float32
from anime_bert4rec.support.errors import UserError

if TYPE_CHECKING:
    from anime_bert4rec.model.bert4rec import BERT4Rec

LARGEST_WEIGHT = 1e6
"""The largest weight that is of use: training leaves weights of the order of 1."""
SHORTEST = 1e-6
"""What is shorter has no direction."""
DIMENSIONS = 50
"""How many numbers a vector has that is made of the memory's table."""
ITERATIONS = 8
"""Of the subspace, until it hardly changes."""


@dataclass(frozen=True)
class ItemSpace:
    """The vectors of a model's items."""

    columns: np.ndarray
    """int64 [C] the columns of the logits, ascending, of the items that have a vector."""
    vectors: np.ndarray
    """float32 [C, D]"""
    num_items: int

    @classmethod
    @on_the_cpu_in_float32()
    def of(cls, model: BERT4Rec) -> ItemSpace:
        """Raises UserError for weights of no use."""
        columns = placed_columns(model)
        return cls(columns, vectors_of(model, columns), model.config.num_items)

    @classmethod
    def of_lists(cls, model: BERT4Rec) -> ItemSpace:
        """The vectors that the memory of lists without an order has already, if it has one for each item that `of`
        has."""
        memory = model.unordered_memory or model.memory
        direction = None if memory is None else memory.direction
        if direction is None or len(direction.columns) < len(placed_columns(model)):
            return cls.of(model)
        return cls(direction.columns.numpy(), _of_use(direction.vectors[0].numpy()), model.config.num_items)

    def cosines(self, items: np.ndarray) -> np.ndarray:
        """Of each item's vector, and of the sum of the directions of some items 1 … N: [N], 0 for what has none."""
        whole = self.directions[items - 1].sum(0)
        return self.directions @ (whole / max(float(np.linalg.norm(whole)), SHORTEST))

    @functools.cached_property
    def directions(self) -> np.ndarray:
        """[N, D] of length 1, or 0 for what has no vector."""
        directions = np.zeros((self.num_items, self.vectors.shape[1]), np.float32)
        lengths = np.linalg.norm(self.vectors, axis=1, keepdims=True)
        directions[self.columns] = self.vectors / np.maximum(lengths, SHORTEST)
        return directions


def placed_columns(model: BERT4Rec) -> np.ndarray:
    """The columns of the logits, ascending, of the items that `vectors_of` knows: with a memory, those in its table."""
    columns: np.ndarray = np.arange(model.config.num_items) if model.memory is None else model.memory.kept.numpy()
    return columns


def vectors_of(model: BERT4Rec, columns: np.ndarray) -> np.ndarray:
    """A vector for each of some of the `placed_columns`: float32 [C, D]. Raises UserError for weights of no use.

    With a memory, most of what is known of items is there, while the network's embeddings hardly leave the noise that
    they start from; so the memory's table is taken, and the embeddings only where there is none.
    """
    if model.memory is None:
        known = model.item_embedding.weight[1:-1].detach().numpy()[columns]
    else:
        rows = np.searchsorted(model.memory.kept.numpy(), columns)
        ease = model.memory.ease
        with np.errstate(all="ignore"):
            table = ease.inverse.numpy()[np.ix_(rows, rows)] / -ease.diagonal.numpy()[rows]
        np.fill_diagonal(table, 0)
        known = (table + table.T) / 2
    return _of_use(known) if model.memory is None else spectral(_of_use(known))


def _of_use(weights: np.ndarray) -> np.ndarray:
    if not (np.abs(weights) < LARGEST_WEIGHT).all():
        raise UserError("the model has weights such as no training leaves: train again")
    return weights


def spectral(table: np.ndarray, dimensions: int = DIMENSIONS) -> np.ndarray:
    """Points [N, D] whose products come near a symmetric matrix [N, N]: its largest eigenvectors, by their size.

    By subspace iteration from noise; what has a negative eigenvalue is left at zero. torch multiplies, for it keeps to
    `one_thread`: NumPy's own threads, which spin, took ten times as long on a busy machine.
    """
    import torch

    whole = torch.from_numpy(table)
    noise = np.random.default_rng(0).standard_normal((len(table), min(dimensions, len(table))))
    basis = torch.linalg.qr(torch.from_numpy(noise).to(whole.dtype))[0]
    for _ in range(ITERATIONS):
        basis = torch.linalg.qr(whole @ basis)[0]
    values, rotation = map(torch.from_numpy, np.linalg.eigh((basis.t() @ whole @ basis).numpy()))
    points: np.ndarray = (basis @ rotation * values.clamp_min(0).sqrt()).numpy()
    return points
