"""How good predictions are. Ranks count from 1, and a tie counts against the model."""

from __future__ import annotations

import torch

TOP_K = (1, 5, 10, 20)


def ranks(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The rank of each row's target: 1 + how many others score at least as high.

    scores [M, N], targets [M] (columns) → [M]. Worst rank in ties, so that a model that gives everything the same score
    gets nothing right; a score that isn't a number counts as a tie, and a target whose score isn't one comes last.
    """
    of_target = scores.gather(1, targets[:, None])
    return scores.shape[1] - (scores < of_target).sum(1)


def top_k_hits(ranks: torch.Tensor, top_k: tuple[int, ...] = TOP_K) -> torch.Tensor:
    """How many of `ranks` [M] are within each k → [len(top_k)]."""
    return torch.stack([(ranks <= k).sum() for k in top_k])
