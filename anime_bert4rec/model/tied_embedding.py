"""Item embeddings that are looked up where a list comes in, and multiplied with where logits go out.

Plain torch makes a gradient for each of the two, as large as all embeddings together, copies one for the slice without
padding and mask, and adds both into a third. With many items and short lists this is a good part of a training step.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from anime_bert4rec.lists.sequences import PAD


class TiedEmbedding:
    """The embeddings [N + 2, size] of padding, items and mask in one forward pass, in which all is looked up before the
    logits are made. Going back, the look-up therefore finds the gradient of the logits, and is added to it in place."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight
        self.gradient: Tensor | None = None
        """Of the logits, on its way back."""

    def look_up(self, items: Tensor) -> Tensor:
        """The embeddings of `items` [...]: [..., size]; that of the padding is not learnt."""
        return cast(Tensor, _LookUp.apply(items, self.weight, self))

    def logits(self, start: Tensor, hidden: Tensor) -> Tensor:
        """start + hidden @ Eᵀ, with E the embeddings of the items alone; written into `start`, if that is [M, N] and
        not a bias [N]."""
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
        of_weight = _empty_like(weight)
        of_weight[[0, -1]] = 0
        torch.mm(gradient.t(), hidden, out=of_weight[1:-1])
        ctx.tied.gradient = of_weight
        return of_start, gradient @ weight[1:-1], of_weight, None


def _empty_like(weight: Tensor) -> Tensor:
    """NumPy asks Linux for large pages. In small ones, which torch takes, it costs four times as much as all that is
    written there to get memory for the gradient of 55,000 items."""
    on_cpu = weight.device.type == "cpu"
    return torch.from_numpy(np.empty_like(weight.detach().numpy())) if on_cpu else torch.empty_like(weight)
