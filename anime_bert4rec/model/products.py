"""Products of matrices in shorter numbers than the matrices have, in parts of a few fixed sizes, with their gradients.

A CPU's library makes a program for each size of a product in bfloat16 when it first comes, which takes as long as the
product itself; batches have ever other sizes. So rows are multiplied ROWS at a time, and the last ones are filled up to
a multiple of FEWEST_ROWS. Each product of a part is rounded to the shorter numbers; what is made of several products,
as the gradients of the weights and of what several matrices multiply, is added up in those of the weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

ROWS, FEWEST_ROWS = 512, 128


class Matrix(nn.Linear):
    """A linear layer without a bias, which multiplies in the numbers `low` in training, if there are any."""

    low: torch.dtype | None = None

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return multiply(x, self)[0]


def multiply_in(numbers: torch.dtype | None, model: nn.Module) -> None:
    """From now on the model multiplies in these numbers in training; None: in those of its weights."""
    for module in model.modules():
        if isinstance(module, Matrix):
            module.low = numbers


def multiply(x: Tensor, *matrices: Matrix) -> tuple[Tensor, ...]:
    """What each of the matrices makes of x [..., inputs]."""
    weights, low = [matrix.weight for matrix in matrices], matrices[0].low
    if low is None or not matrices[0].training or x.device.type != "cpu":
        return tuple(F.linear(x, weight) for weight in weights)
    return cast(tuple[Tensor, ...], _Products.apply(x, low, *weights))


def parts_of(rows: Tensor, low: torch.dtype, at_once: int | None = None) -> Iterator[tuple[slice, Tensor]]:
    """Some rows at a time of [R, size], by default ROWS, in the numbers `low` and filled up with zeros."""
    at_once = at_once or ROWS
    for start in range(0, len(rows), at_once):
        some = slice(start, min(start + at_once, len(rows)))
        yield some, filled_up(rows[some], low)


def filled_up(rows: Tensor, low: torch.dtype) -> Tensor:
    missing = -len(rows) % FEWEST_ROWS
    if not missing:
        return rows.to(low)
    filled = rows.new_empty(len(rows) + missing, rows.shape[1], dtype=low)
    filled[: len(rows)] = rows
    filled[len(rows) :] = 0
    return filled


class _Products(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, low: torch.dtype, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.low = low
        ctx.save_for_backward(x, *weights)
        products = [x.new_empty(*x.shape[:-1], len(weight)) for weight in weights]
        lower = [weight.to(low).t() for weight in weights]
        for some, part in parts_of(x.reshape(-1, x.shape[-1]), low):
            for product, weight in zip(products, lower, strict=True):
                to = product.view(-1, product.shape[-1])[some]
                to.copy_((part @ weight)[: len(to)])
        return tuple(products)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, *weights = ctx.saved_tensors
        lower = [weight.to(ctx.low) for weight in weights]
        of_x, of_weights = x.new_zeros(x.shape), [torch.zeros_like(weight) for weight in weights]
        rows = [each.reshape(-1, each.shape[-1]) for each in gradients]
        for some, part in parts_of(x.reshape(-1, x.shape[-1]), ctx.low):
            to = of_x.view(-1, x.shape[-1])[some]
            for upstream, weight, of_weight in zip(rows, lower, of_weights, strict=True):
                low = filled_up(upstream[some], ctx.low)
                to += (low @ weight)[: len(to)]
                of_weight += low.t() @ part
        return of_x, None, *of_weights
