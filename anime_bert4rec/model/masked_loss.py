"""Cross-entropy at the masked positions, computed in place: the logits of a batch are its largest tensor by far."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _InPlaceCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        at_target = logits.gather(1, targets[:, None])
        highest = logits.amax(1, keepdim=True)
        exponentials = logits.sub_(highest).exp_()
        total = exponentials.sum(1, keepdim=True)
        loss = (total.log() + highest - at_target).mean()
        gradient = exponentials.div_(total)
        gradient.scatter_add_(1, targets[:, None], gradient.new_full((len(targets), 1), -1.0))
        ctx.save_for_backward(gradient)
        ctx.mark_dirty(logits)
        ctx.set_materialize_grads(False)  # the logits are not used any more
        return logits, loss

    @staticmethod
    def backward(ctx: Any, _: Any, upstream: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient.mul_(upstream / len(gradient)), None


def masked_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """`F.cross_entropy(logits, targets)` of float32 logits [M, N], which are overwritten."""
    return _InPlaceCrossEntropy.apply(logits, targets)[1]
