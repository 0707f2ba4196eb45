"""NDCG: what wanted items count for, which is more the further in front they are, as a share of the most possible.

Järvelin & Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002, with gains of 0 and 1.
"""

from __future__ import annotations

import numpy as np


def gains(places: np.ndarray, k: int) -> np.ndarray:
    """What is gained by something wanted in each of these places, from 1 on: nothing behind the first k."""
    return np.where(places <= k, 1 / np.log2(places + 1.0), 0.0)


def discounts(k: int) -> np.ndarray:
    """What is gained in each of the first k places [k]."""
    return gains(np.arange(1, k + 1), k)


def ideal(k: int) -> np.ndarray:
    """The most that 0, 1, … k wanted items can gain in the first k places [k + 1]."""
    return np.concatenate([[0.0], np.cumsum(discounts(k))])


def ndcg(ranked: np.ndarray, wanted: np.ndarray) -> float:
    """The NDCG of the items that come first, of which as many count as are `ranked`; at least one is wanted. None is
    named twice in either."""
    k = len(ranked)
    return float(discounts(k)[np.isin(ranked, wanted)].sum() / ideal(k)[min(len(wanted), k)])
