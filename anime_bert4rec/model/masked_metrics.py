"""The loss, and how good predictions are, at masked positions. Ranks count from 1; a tie counts against the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from anime_bert4rec.model.run_folder import TOP_K


def ranks(scores: Tensor, targets: Tensor) -> Tensor:
    """The rank of each row's target: 1 + how many others score at least as high.

    scores [M, N], targets [M] (columns) → [M]. Worst rank in ties, so that a model that gives everything the same score
    gets nothing right; a score that isn't a number counts as a tie, and a target whose score isn't one comes last.
    """
    of_target = scores.gather(1, targets[:, None])
    lower = torch.lt(scores, of_target, out=torch.empty_like(scores, dtype=torch.float32))  # bools add up slowly
    return scores.shape[1] - lower.sum(1).long()


def hits_by_row(ranks: Tensor, rows: Tensor, num_rows: int) -> Tensor:
    """How many of each row's ranks are within each k, and last how many it has: float64 [num_rows, len(TOP_K) + 1].

    rows [M]: the row that each rank belongs to.
    """
    right = torch.stack([*(ranks <= k for k in TOP_K), torch.ones_like(ranks, dtype=torch.bool)], 1).double()
    return right.new_zeros(num_rows, right.shape[1]).index_add_(0, rows, right)


def squares_of_rows(by_row: Tensor) -> Tensor:
    """The sums over rows that `standard_errors` needs, of h hits of n ranks in a row: h², h n, n², and 1 for each row
    that has any [4, len(TOP_K)].

    by_row: as `hits_by_row` gives them.
    """
    hits, count = by_row[:, :-1], by_row[:, -1:]
    of_all = [(count * count).sum(), (count > 0).sum()]
    return torch.stack([(hits * hits).sum(0), (hits * count).sum(0), *(each.expand(hits.shape[1]) for each in of_all)])


def standard_errors(shares: Sequence[float], count: float, squares: Sequence[Sequence[float]]) -> list[float]:
    """The standard error of each share of `count` positions, with the positions of one row taken as a cluster.

    Positions of one list are right or wrong together, so that a binomial error would be too small. This is the
    linearised error of a ratio (Cochran, "Sampling Techniques", 1977, section 6.3): √(r / (r − 1) Σ (h − p n)²) / Σ n
    of r rows; 0 of one row.
    """
    return [
        math.sqrt(max(hh - 2 * share * hn + share * share * nn, 0.0) * (rows / (rows - 1) if rows > 1 else 0.0)) / count
        for share, hh, hn, nn, rows in zip(shares, *squares, strict=True)
    ]


def top_k_hits(ranks: Tensor) -> Tensor:
    """How many of `ranks` [M] are within each k → [len(TOP_K)]."""
    return torch.stack([(ranks <= k).sum() for k in TOP_K])


class _InPlaceCrossEntropy(torch.autograd.Function):
    """The gradient is written over the logits, which are the largest tensor of a batch by far."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        targets = targets.view(len(logits), -1)
        real = targets >= 0
        columns = targets.clamp(min=0)
        at_target = logits.gather(1, columns)
        highest = logits.amax(1, keepdim=True)
        exponentials = logits.sub_(highest).exp_()
        total = exponentials.sum(1, keepdim=True)
        ctx.count = real.sum()
        loss = (total.log() + highest - at_target).mul_(real).sum() / ctx.count
        gradient = exponentials.div_(total / real.sum(1, keepdim=True))
        gradient.scatter_add_(1, columns, -real.to(gradient.dtype))
        ctx.save_for_backward(gradient)
        ctx.mark_dirty(logits)
        ctx.set_materialize_grads(False)  # the logits are not used any more
        return logits, loss

    @staticmethod
    def backward(ctx: Any, _: Any, upstream: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient.mul_(upstream / ctx.count), None


def masked_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """`F.cross_entropy(logits, targets)` of float32 logits [M, N], which are overwritten.

    targets: the column of each row [M] or, of each, several [M, A], -1 for none; then it is the mean over all of them.
    """
    return _InPlaceCrossEntropy.apply(logits, targets)[1]
