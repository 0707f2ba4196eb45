"""How the weights move: the optimizer, the learning rate over the run, and their average over epochs.

The average is steadier from epoch to epoch than the weights that are being trained, and no worse.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import nn

WARM_UP = 0.05
"""The share of all steps in which the learning rate rises; after it, it falls in a straight line to zero."""
DECAY = 0.8
"""The weight of an epoch in the average falls by this factor with each epoch after it."""


class _AdamW(torch.optim.AdamW):
    """torch's own, less what its methods are wrapped in, which imports a compiler that isn't used (1.5 s)."""

    add_param_group = inspect.unwrap(torch.optim.AdamW.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.AdamW.zero_grad)
    state_dict = inspect.unwrap(torch.optim.AdamW.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.AdamW.load_state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


def make_optimizer(model: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """AdamW that lets biases, norms and embeddings be: decay would pull rare anime towards nothing."""
    decayed: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        spared = parameter.ndim != 2 or "embedding" in name or "distance" in name
        (others if spared else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    return _AdamW(groups, lr=learning_rate, betas=(0.9, 0.98), fused=True)


def linear_schedule(total_steps: int) -> Callable[[int], float]:
    """The factor on the learning rate at each step: up to 1 over the warm-up, then down to 0."""
    warm_up = max(1, round(WARM_UP * total_steps))
    return lambda step: min((step + 1) / warm_up, (total_steps - step) / max(1, total_steps - warm_up), 1.0)


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
        """Go on as after `epochs` updates that led to `average`."""
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
