"""Recommenders without training that list_lengths.py compares with, and their log-linear blend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from anime_bert4rec.evaluation.baselines import EASE, Baseline, ItemKNN, Popularity, co_occurrences
from anime_bert4rec.lists.sequences import Sequences

LIST_LENGTH_GRIDS: dict[str, list[Baseline]] = {
    "popularity": [Popularity()],
    "item-kNN": [ItemKNN(neighbours=k, shrink=shrink) for k in (50, 200, 10_000) for shrink in (0, 10, 50)],
    "EASE": [EASE(l2=l2) for l2 in (100, 200, 500, 1000, 2000, 5000, 20_000, 100_000, 500_000)],
}
EASE_IN_BLEND = repr(EASE(l2=5000))
"""What the blend tries beside the EASE that is best by itself, which with few titles is little but co-listing."""
EASE_SHARES, POPULARITY_SHARES, CO_LISTING_SHARES = (
    (0.0, 0.25, 0.5, 1.0, 1.5, 2.0),
    (-1.0, -0.5, 0.0, 0.5, 1.0),
    (0.0, 0.5, 1.0, 1.5, 2.0),
)
"""What the blend tries to multiply the logs of EASE, of popularity and of the share of co-listing by."""

Answers = Mapping[str, Mapping[str, np.ndarray]]
"""The scores [U, N] that each baseline gives, by its name and its settings."""


class Contenders:
    """All baselines with all settings, fitted; and what the blends are made of."""

    def __init__(self, training: Sequences, num_items: int) -> None:
        self.grids = {
            name: {repr(baseline): baseline.fit(training, num_items) for baseline in grid}
            for name, grid in LIST_LENGTH_GRIDS.items()
        }
        table = co_occurrences(training, num_items)
        np.fill_diagonal(table, 0)
        self.grids["co-listing"] = {"": lambda histories: _on_lists(histories, num_items) @ table}

    def of(self, histories: Sequence[np.ndarray]) -> Answers:
        """The scores that each gives in answer."""
        return {
            name: {settings: scorer(histories) for settings, scorer in grid.items()}
            for name, grid in self.grids.items()
        }


def _on_lists(histories: Sequence[np.ndarray], num_items: int) -> np.ndarray:
    matrix = np.zeros((len(histories), num_items), np.float32)
    for row, items in zip(matrix, histories, strict=True):
        row[items - 1] = 1
    return matrix


def logs_of(answers: Answers, ease: str) -> tuple[np.ndarray, ...]:
    """The logs of EASE's scores, of popularity and of the share of co-listing."""
    popularity, together = answers["popularity"][next(iter(answers["popularity"]))], answers["co-listing"][""]
    share = (together + 1e-3) / (together.sum(1, keepdims=True) + 1)
    softplus = np.logaddexp(0, np.maximum(answers["EASE"][ease] / 0.03, -20))
    return np.log(softplus), np.log(popularity + 0.5), np.log(share)


def blended(logs: tuple[np.ndarray, ...], shares: Sequence[float]) -> np.ndarray:
    return sum((np.float32(share) * part for share, part in zip(shares, logs, strict=True)), np.float32(0))


def best_shares(quality: Callable[[tuple[float, ...]], float]) -> tuple[float, ...]:
    """The best shares by coordinate ascent: each in turn, the others as they are, until none changes."""
    grids = (EASE_SHARES, POPULARITY_SHARES, CO_LISTING_SHARES)
    best: tuple[float, ...] = (1.0, 0.0, 1.0)
    found = {best: quality(best)}
    while True:
        before = best
        for place, grid in enumerate(grids):
            for share in grid:
                tried = (*best[:place], share, *best[place + 1 :])
                if tried not in found and any(tried):
                    found[tried] = quality(tried)
            best = max(found, key=lambda shares: found[shares])
        if best == before:
            return best
