"""How popular each item is: on how many lists it is, and what the catalogue knows of its popularity beside.

A few lists tell little of how popular an item is, and the catalogue's popularity, which AniList counts over millions of
people, tells more. So each item counts as on some lists more: shares of a number of entries, by a power of its
popularity in the catalogue, and a part of them equal shares. Number, power and part are those with which the counts are
the likeliest, if what is listed is drawn with chances that are themselves drawn around these shares (the
Dirichlet-multinomial distribution). With many lists the counts themselves decide.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from anime_bert4rec.model.batches import WholeLists
from anime_bert4rec.model.memory_transitions import SMOOTHING

POWERS = tuple(k / 10 for k in range(21))
EQUAL_SHARES = (0.02, 0.05, 0.1, 0.2, 0.4, 1.0)
ENTRIES = tuple(2.0 ** (k / 2) for k in range(8, 41))
ROUNDS = 3
"""How often each of the three is found anew, given the two others."""
SURPRISE, SURELY = 3.0, 20.0
"""An item that nobody has listed counts as new where the chance of that is below exp(-SURPRISE), and as surely new
where it is below exp(-SURELY)."""
TRUST = 0.9
"""What is new is expected on lists in proportion to this power of its popularity in the catalogue, divided by the
mean."""
LEAST = 0.05
"""The fewest lists that an item counts as on, so that there are no logarithms far below all others."""


def popularity_prior(popularity: np.ndarray, in_catalogue: np.ndarray | None) -> np.ndarray | None:
    """On how many lists more each item counts as [N]; None if the catalogue knows no popularity.

    popularity: on how many lists each item is [N]; in_catalogue: its popularity there [N].
    """
    if in_catalogue is None or not in_catalogue.any():
        return None
    power, equal = 1.0, 0.1
    counts = torch.from_numpy(popularity.astype(np.float64))
    for _ in range(ROUNDS):
        entries = max(ENTRIES, key=lambda each: likelihood(counts, each * shares(in_catalogue, power, equal)))
        power = max(POWERS, key=lambda each: likelihood(counts, entries * shares(in_catalogue, each, equal)))
        equal = max(EQUAL_SHARES, key=lambda each: likelihood(counts, entries * shares(in_catalogue, power, each)))
    return np.maximum(entries * shares(in_catalogue, power, equal), LEAST).astype(np.float32)


def shares(in_catalogue: np.ndarray, power: float, equal: float) -> np.ndarray:
    """What each item has of all entries [N], a part of them in `equal` shares."""
    weights = np.maximum(in_catalogue, 1).astype(np.float64) ** power
    return (1 - equal) * weights / weights.sum() + equal / len(weights)


def likelihood(counts: Tensor, prior: np.ndarray) -> float:
    """The log likelihood of the counts [N] by the Dirichlet-multinomial distribution, but for what is the same for all
    priors [N]."""
    alpha = torch.from_numpy(prior)
    of_items = torch.lgamma(counts + alpha) - torch.lgamma(alpha)
    return float(of_items.sum() + torch.lgamma(alpha.sum()) - torch.lgamma(alpha.sum() + counts.sum()))


def must_be_new(popularity: Tensor, prior: Tensor, surprise: float = SURPRISE) -> Tensor:
    """Whether an item is on no list, though by its popularity in the catalogue it would hardly be on none: bool [N]."""
    expected = prior * torch.log1p(popularity.sum() / prior.sum())  # minus the logarithm of the chance
    return (popularity == 0) & (expected > surprise)


def expected_shares(prior: Tensor) -> Tensor:
    """What an item that is new would have of all entries, were it as old as the lists [N].

    Never less than the mean: how popular it will be, the catalogue can't tell yet.
    """
    return (prior / prior.mean()).clamp_min(1) ** TRUST / len(prior)


def log_popularity(popularity: Tensor, prior: Tensor | None, lists: WholeLists | None) -> Tensor:
    """The logarithm of how many lists each item is on, and counts as on by the `prior` [N], without the lists that are
    asked about: [B or 1, N]."""
    least = torch.full_like(popularity, SMOOTHING) if prior is None else prior
    smoothed = popularity + least
    logs = smoothed.log()
    if lists is None:
        return logs[None]
    own = F.pad(torch.maximum(smoothed - 1, least).log() - logs, (1, 0))
    listed = lists.padded()
    return logs.repeat(len(listed), 1).scatter_add_(1, (listed - 1).clamp_min(0), own[listed])
