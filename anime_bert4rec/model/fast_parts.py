"""Fast ways to compute what the network is made of. Each names the plain computation that it equals."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from anime_bert4rec.lists.sequences import PAD
from anime_bert4rec.model.products import FEWEST_ROWS, filled_up, parts_of

FEWEST_ALIKE, MOST_ROWS = 8, 2
"""FEWEST_ALIKE lists or more are alike if all together have at most MOST_ROWS times as many different items as one is
long."""
LOGITS_AT_ONCE = 2**22
"""About so many logits are changed into other numbers at a time: fewer take longer to add up, more don't stay in the
processor's cache."""
SMALLEST_TABLE = 2**20
"""The fewest random factors that dropout has a table of."""


def take(rows: Tensor, which: Tensor) -> Tensor:
    """`rows[which]`, whose gradient is several times as fast. rows [U, size], which [...] → [..., size]."""
    return rows.index_select(0, which.flatten()).view(*which.shape, -1)


def distinct(items: Tensor) -> tuple[Tensor, Tensor]:
    """`items.unique(return_inverse=True)`, without sorting: the items that there are [U], ascending, and which of them
    each of `items` is, in their shape."""
    flat = items.flatten()
    there = torch.zeros(int(flat.max()) + 1, dtype=torch.long, device=items.device).index_fill_(0, flat, 1)
    return there.nonzero()[:, 0], (there.cumsum(0) - 1).index_select(0, flat).view(items.shape)


def sums_of_rows(items: Tensor, weights: Tensor | None = None) -> Callable[[Tensor], Tensor]:
    """`lambda table: F.embedding_bag(items, table, per_sample_weights=weights, mode="sum")`.

    Of lists that are nearly the same, as those that reasons are found by, it is a product of matrices, which is several
    times as fast. items [B, L]: rows of the tables; weights [B, L].
    """
    if len(items) >= FEWEST_ALIKE:
        rows, place = distinct(items)
        if len(rows) <= MOST_ROWS * items.shape[1]:
            weights = torch.ones_like(items, dtype=torch.float) if weights is None else weights
            counts = weights.new_zeros(len(items), len(rows)).scatter_add_(1, place, weights)
            return lambda table: counts @ table.index_select(0, rows)
    starts = items.shape[1] * torch.arange(len(items), device=items.device)
    flat, weights = items.flatten(), weights if weights is None else weights.flatten()
    return lambda table: F.embedding_bag(flat, table, starts, per_sample_weights=weights, mode="sum")


def log_softplus(x: Tensor) -> Tensor:
    """log log(1 + exp x): close to log x for large x, and to x itself for very negative ones. `x` is used up."""
    return F.softplus(x.clamp_min_(-20)).log_()


class Dropout:
    """`F.dropout` in one forward pass, with factors that are read off a table of random ones, each time from a random
    place on.

    To draw all of them anew costs a tenth of a training step. (Salimans et al., "Evolution Strategies as a Scalable
    Alternative to Reinforcement Learning", 2017, share their noise in this way.)
    """

    def __init__(self, p: float, seed: int) -> None:
        self.p = p
        self.random = random.Random(seed)  # its own, so that threads don't take numbers from each other

    def __call__(self, x: Tensor) -> Tensor:
        if not self.p:
            return x
        size = x.numel()
        table = _dropout_factors(self.p, max(SMALLEST_TABLE, 2 ** (2 * size).bit_length()), x.device)
        start = self.random.randrange(len(table) - size)
        return x * table[start : start + size].view(x.shape)


@functools.cache
def _dropout_factors(p: float, size: int, device: torch.device) -> Tensor:
    kept = np.random.default_rng(0).random(size, np.float32) >= p
    return torch.from_numpy(np.multiply(kept, 1 / (1 - p), dtype=np.float32)).to(device)


class TiedEmbedding:
    """`F.embedding(items, weight, PAD)` and `start + hidden @ weight[1:-1]ᵀ` in one forward pass, with one gradient.

    weight: the embeddings [N + 2, size] of padding, items and mask. Plain torch makes a gradient for each of the two
    uses, as large as all embeddings together, copies one for the slice without padding and mask, and adds both into a
    third. With many items and short lists this is a good part of a training step. Here, all is looked up before the
    logits are made; going back, the look-up therefore finds the gradient of the logits, and is added to it in place.

    low: the numbers that hidden states and embeddings are multiplied in for the logits, if not their own. The sum of
    both terms and the gradient of the embeddings are in those of `weight`.
    """

    def __init__(self, weight: Tensor, low: torch.dtype | None = None) -> None:
        self.weight, self.low = weight, low
        self.gradient: Tensor | None = None
        """The gradient by way of the logits, on its way back."""

    def look_up(self, items: Tensor) -> Tensor:
        """The embeddings of `items` [...]: [..., size]; that of the padding is not learnt."""
        return cast(Tensor, _LookUp.apply(items, self.weight, self))

    def logits(self, start: Tensor, hidden: Tensor) -> Tensor:
        """start + hidden @ Eᵀ, where E are the embeddings of the items, without those of padding and mask.

        The sum is written into `start` if that is [M, N], and not a bias [N].
        """
        return cast(Tensor, _Logits.apply(start, hidden, self.weight, self))


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, items: Tensor, weight: Tensor, tied: TiedEmbedding) -> Tensor:
        ctx.tied = tied
        ctx.save_for_backward(items)
        return F.embedding(items, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor | None, None]:
        (items,), tied = ctx.saved_tensors, ctx.tied
        total, tied.gradient = tied.gradient, None
        of_weight = torch.zeros_like(tied.weight) if total is None else total
        of_weight.index_add_(0, items.flatten(), gradient.flatten(0, -2))
        of_weight[PAD] = 0
        return None, of_weight if total is None else None, None


class _Logits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, start: Tensor, hidden: Tensor, weight: Tensor, tied: TiedEmbedding) -> Tensor:
        ctx.tied, ctx.of_each_item = tied, start.ndim == 1
        ctx.save_for_backward(hidden, weight)
        if tied.low is not None:
            items = weight[1:-1].to(tied.low).t()
            logits = start
            if ctx.of_each_item:
                logits = start.new_empty(len(hidden), len(start))
            else:
                ctx.mark_dirty(start)
            for some, part in parts_of(hidden, tied.low, _rows_at_once(items.shape[1])):
                to = logits[some]
                torch.add(start if ctx.of_each_item else to, (part @ items)[: len(to)], out=to)
            return logits
        if ctx.of_each_item:  # as one more column: cheaper than to copy it into each row first
            one = hidden.new_ones(len(hidden), 1)
            return torch.cat([hidden, one], 1) @ torch.cat([weight[1:-1], start[:, None]], 1).t()
        ctx.mark_dirty(start)
        return start.addmm_(hidden, weight[1:-1].t())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        hidden, weight = ctx.saved_tensors
        of_start = None
        if ctx.needs_input_grad[0]:
            of_start = gradient.sum(0) if ctx.of_each_item else gradient
        of_weight = _empty_like(ctx.tied.weight)
        if ctx.tied.low is None:
            of_weight[0], of_weight[-1] = 0, 0
            torch.mm(gradient.t(), hidden, out=of_weight[1:-1])
            of_hidden = gradient @ weight[1:-1]
        else:
            of_weight.zero_()
            of_hidden = gradient.new_empty(hidden.shape)
            items = weight[1:-1].to(ctx.tied.low)
            for some, part in parts_of(hidden, ctx.tied.low, _rows_at_once(len(items))):
                low = filled_up(gradient[some], ctx.tied.low)
                of_hidden[some] = (low @ items)[: some.stop - some.start]
                of_weight[1:-1] += low.t() @ part
        ctx.tied.gradient = of_weight
        return of_start, of_hidden, of_weight, None


def _rows_at_once(items: int) -> int:
    return max(1, LOGITS_AT_ONCE // items // FEWEST_ROWS) * FEWEST_ROWS


def _empty_like(weight: Tensor) -> Tensor:
    """NumPy asks Linux for large pages. In small ones, which torch takes, it costs four times as much as all that is
    written there to get memory for the gradient of 55,000 items."""
    on_cpu = weight.device.type == "cpu"
    return torch.from_numpy(np.empty_like(weight.detach().numpy())) if on_cpu else torch.empty_like(weight)
