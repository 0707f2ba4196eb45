"""How good predictions are. Ranks count from 1, and a tie counts against the model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

TOP_K = (1, 5, 10, 20)


def ranks(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The rank of each row's target: 1 + how many others score at least as high.

    scores [M, N], targets [M] (columns) → [M]. Worst rank in ties, so that a model that gives everything the same score
    gets nothing right; a score that isn't a number counts as a tie, and a target whose score isn't one comes last.
    """
    of_target = scores.gather(1, targets[:, None])
    lower = torch.lt(scores, of_target, out=torch.empty_like(scores, dtype=torch.float32))  # bools add up slowly
    return scores.shape[1] - lower.sum(1).long()


def hits_by_row(ranks: torch.Tensor, rows: torch.Tensor, num_rows: int, top_k: tuple[int, ...] = TOP_K) -> torch.Tensor:
    """The same for each row, and last how many ranks it has: float64 [num_rows, len(top_k) + 1]. rows [M]: whose."""
    right = torch.stack([*(ranks <= k for k in top_k), torch.ones_like(ranks, dtype=torch.bool)], 1).double()
    return right.new_zeros(num_rows, right.shape[1]).index_add_(0, rows, right)


def squares_of_rows(by_row: torch.Tensor) -> torch.Tensor:
    """What `standard_errors` needs of these rows, ready to be summed: [3, len(top_k)] of h², h n and n²."""
    hits, count = by_row[:, :-1], by_row[:, -1:]
    return torch.stack([(hits * hits).sum(0), (hits * count).sum(0), (count * count).sum().expand(hits.shape[1])])


def standard_errors(shares: Sequence[float], count: float, squares: Sequence[Sequence[float]]) -> list[float]:
    """The standard error of each share of `count` positions, with the positions of one row taken as a cluster.

    Those of one list are right or wrong together, so that a binomial error would be too small. This is the linearised
    error of a ratio (Cochran, "Sampling Techniques", 1977, section 6.3): √Σ (h − p n)² / Σ n.
    """
    return [
        math.sqrt(max(hh - 2 * share * hn + share * share * nn, 0.0)) / count
        for share, hh, hn, nn in zip(shares, *squares, strict=True)
    ]


def top_k_hits(ranks: torch.Tensor, top_k: tuple[int, ...] = TOP_K) -> torch.Tensor:
    """How many of `ranks` [M] are within each k → [len(top_k)]."""
    return torch.stack([(ranks <= k).sum() for k in top_k])
