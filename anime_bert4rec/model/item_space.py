"""Where each item is among the others: a vector for each, of similar direction for items that go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from anime_bert4rec.support.errors import UserError

if TYPE_CHECKING:
    from anime_bert4rec.model.bert4rec import BERT4Rec

LARGEST_WEIGHT = 1e6
"""The largest weight that is of use: training leaves weights of the order of 1."""
DIMENSIONS = 50
"""How many numbers a vector has that is made of the memory's table."""


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
    if not (np.abs(known) < LARGEST_WEIGHT).all():
        raise UserError("the model has weights such as no training leaves: train again")
    return known if model.memory is None else spectral(known)


def spectral(table: np.ndarray, dimensions: int = DIMENSIONS, rounds: int = 8) -> np.ndarray:
    """Points [N, D] whose products come near a symmetric matrix [N, N]: its largest eigenvectors, by their size.

    By subspace iteration from noise; what has a negative eigenvalue is left at zero.
    """
    noise = np.random.default_rng(0).standard_normal((len(table), min(dimensions, len(table))))
    basis = np.linalg.qr(noise.astype(table.dtype))[0]
    for _ in range(rounds):
        basis = np.linalg.qr(table @ basis)[0]
    values, rotation = np.linalg.eigh(basis.T @ table @ basis)
    return basis @ rotation * np.sqrt(np.maximum(values, 0))
