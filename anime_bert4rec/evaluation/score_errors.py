"""How well scores are predicted: the rank correlation within a person, and the errors in the person's own spread."""

from __future__ import annotations

import numpy as np


def ranks_with_ties(values: np.ndarray) -> np.ndarray:
    """The rank of each value, from 1; equal values share the mean of their ranks."""
    _, number, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[number]


def rank_correlation(predicted: np.ndarray, given: np.ndarray) -> float:
    """Spearman's rank correlation; NaN where either is the same for everything, so that there is no order."""
    one, other = ranks_with_ties(predicted), ranks_with_ties(given)
    if not one.std() or not other.std():
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])


def errors(predicted: np.ndarray, given: np.ndarray, spread: float) -> np.ndarray:
    """The absolute errors in standard deviations of all scores that the person gave."""
    return np.abs(predicted - given) / spread
