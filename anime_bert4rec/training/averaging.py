"""Weights averaged over epochs: steadier from epoch to epoch than the weights that are being trained, and no worse."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import nn

DECAY = 0.8
"""What an epoch counts for falls by this with each epoch after it."""


class AveragedWeights:
    """Call `update` after each epoch, and evaluate and save `with averaged.used_by(model)`."""

    def __init__(self, model: nn.Module) -> None:
        self.average = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        self.epochs = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.epochs += 1
        # The weights before the first epoch count for nothing.
        decay = min(DECAY, (self.epochs - 1) / (self.epochs + 2))
        for name, weight in model.named_parameters():
            self.average[name].lerp_(weight, 1 - decay)

    @torch.no_grad()
    def restore(self, average: Mapping[str, torch.Tensor], epochs: int) -> None:
        """As after `epochs` updates that led to `average`."""
        self.epochs = epochs
        for name, weight in self.average.items():
            weight.copy_(average[name])

    @contextlib.contextmanager
    def used_by(self, model: nn.Module) -> Iterator[None]:
        """The model has the averaged weights inside the block, and its own again after it."""
        self._exchange(model)
        try:
            yield
        finally:
            self._exchange(model)

    @torch.no_grad()
    def _exchange(self, model: nn.Module) -> None:
        for name, weight in model.named_parameters():
            own = weight.clone()
            weight.copy_(self.average[name])
            self.average[name] = own
