"""Whether what is visible looks like nearly a whole list, or like a few titles of a longer one.

Fifty titles may be all that somebody has seen, or a tenth of what somebody else has. What is popular and not among
them, the first hasn't seen, and the second may well have. So in lists without an order the terms of the memory have
other strengths where a list looks whole (benchmarks/LOG.md). What tells the two apart: how many titles there are, how
much of what is popular is among them, and how much is missing of their franchises.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from anime_bert4rec.model.visible_items import is_item

SIGNS = 6
"""The logarithm of how many titles there are, and its square; that of how much of what is popular is among them; how
many of their franchises are missing for each; and the last two times the first."""
SIDES = 2
"""Strengths are known of lists of which a part is visible, and of whole ones."""
NEARLY_WHOLE = 0.8
"""The share of a list that is visible at the least, if it is to count as whole."""
STEPS = 20
"""Of Newton's method: far more than it takes."""


class Completeness(nn.Module):
    """`forward(signs)` → how likely each list is shown whole, [B]: a logistic regression."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.zeros(SIGNS + 1))

    weights: Tensor
    """[SIGNS + 1], that of the constant last."""

    def forward(self, signs: Tensor) -> Tensor:
        return torch.sigmoid(signs @ self.weights[:-1] + self.weights[-1])

    def fit(self, signs: Tensor, whole: Tensor) -> None:
        """The likeliest weights, if each is drawn from a normal distribution for signs that vary by 1.

        signs [M, SIGNS]: of lists of which it is known whether they are `whole` [M].
        """
        signs, whole = signs.double(), whole.double()
        mean, spread = signs.mean(0), signs.std(0, correction=0).clamp_min(1e-3)
        known = torch.cat([(signs - mean) / spread, torch.ones(len(signs), 1)], 1)
        weights = torch.zeros(SIGNS + 1, dtype=torch.double)
        for _ in range(STEPS):
            chance = torch.sigmoid(known @ weights)
            curvature = known.t() @ (known * (chance * (1 - chance))[:, None]) + torch.eye(SIGNS + 1)
            weights += torch.linalg.solve(curvature, known.t() @ (whole - chance) - weights)
        of_signs = weights[:-1] / spread
        self.weights.copy_(torch.cat([of_signs, weights[-1:] - of_signs @ mean]))


def signs_of(visible: Tensor, by_popularity: Tensor, same_franchise: Tensor | None) -> Tensor:
    """What tells whether each of B lists is shown whole [B, SIGNS].

    visible: item indices [B, any], PAD and the mask among them. by_popularity: the logarithm of how popular each item
    is [B or 1, N]. same_franchise: 1 for each item of a franchise of which something is visible [B, N], if known.
    """
    there = is_item(visible, by_popularity.shape[1])
    columns, number = torch.where(there, visible - 1, 0), there.sum(1).clamp_min(1)
    squares = (2 * (by_popularity - by_popularity.amax(1, keepdim=True))).exp()
    of_visible = squares.expand(len(visible), -1).gather(1, columns)
    popular = ((of_visible * there).sum(1) / squares.sum(1)).clamp_min(1e-6).log()
    doublings = number.log2()
    missing = torch.zeros_like(doublings)
    if same_franchise is not None:
        missing = (same_franchise.sum(1) - (same_franchise.gather(1, columns) * there).sum(1)) / number
    return torch.stack([doublings, doublings**2, popular, doublings * popular, missing, doublings * missing], 1)


def both_sides(shares: Tensor, whole: Tensor) -> Tensor:
    """How much each knot counts for [B, SIDES · knots], of `shares` [B, knots], for lists that are so likely whole."""
    return torch.cat([shares * (1 - whole)[:, None], shares * whole[:, None]], 1)
