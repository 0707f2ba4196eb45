"""How the weights are moved: the optimizer, and the learning rate over the run."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

WARM_UP = 0.05
"""The share of all steps in which the learning rate rises; after it, it falls in a straight line to zero."""


def make_optimizer(model: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """AdamW that lets biases, norms and embeddings be: decay would pull rare anime towards nothing."""
    decayed: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        spared = parameter.ndim != 2 or "embedding" in name or "distance" in name
        (others if spared else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98), fused=True)


def linear_schedule(total_steps: int) -> Callable[[int], float]:
    """The factor on the learning rate at each step: up to 1 over the warm-up, then down to 0."""
    warm_up = max(1, round(WARM_UP * total_steps))
    return lambda step: min((step + 1) / warm_up, (total_steps - step) / max(1, total_steps - warm_up), 1.0)
