"""What the map of anime is made from: what a trained model knows of each title."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anime_bert4rec.model.model_files import load_model_with_items
from anime_bert4rec.plots.map_layout import spectral
from anime_bert4rec.support.errors import UserError

MOST_TITLES = 3_000
"""So many of the most popular titles are on the map."""
LARGEST = 1e6
"""What training leaves is of the order of 1."""
BY_MEMORY = "From the model's item-to-item memory (EASE): what is listed together, and what shares genres or studios."
BY_EMBEDDING = "From the item embeddings that the network has learnt."


@dataclass(frozen=True)
class MapPoints:
    anime_ids: np.ndarray
    points: np.ndarray
    """float [N, D]: titles that go together have a similar direction."""
    told: str
    """What the points are made from, for people."""


def load_map_points(models: Path, popularity: dict[int, int]) -> MapPoints:
    """Of best_model.pth in the folder, the most popular titles. Raises UserError.

    With a memory, most of what is known of titles is there, while the network's embeddings hardly leave the noise that
    they start from; so the memory's table is taken, and the embeddings only where there is none.
    """
    model, _, vocabulary = load_model_with_items(models)
    seen = np.array([popularity.get(int(anime_id), 0) for anime_id in vocabulary.anime_ids])
    if model.memory is None:
        top = _most_popular(seen)
        known, told = model.item_embedding.weight[1:-1].detach().numpy()[top], BY_EMBEDDING
    else:
        kept = model.memory.kept.numpy()
        rows = _most_popular(seen[kept])
        ease = model.memory.ease
        with np.errstate(all="ignore"):
            table = ease.inverse.numpy()[np.ix_(rows, rows)] / -ease.diagonal.numpy()[rows]
        np.fill_diagonal(table, 0)
        top, known, told = kept[rows], (table + table.T) / 2, BY_MEMORY
    if not (np.abs(known) < LARGEST).all():
        raise UserError(f"{models / 'best_model.pth'} has weights such as no training leaves: train again")
    return MapPoints(vocabulary.anime_ids[top], known if model.memory is None else spectral(known), told)


def _most_popular(seen: np.ndarray) -> np.ndarray:
    """Positions, ascending, of what is on a list at all: of the rest nothing is known that lists would tell."""
    top = np.argsort(-seen, kind="stable")[:MOST_TITLES]
    return np.sort(top[seen[top] > 0])
