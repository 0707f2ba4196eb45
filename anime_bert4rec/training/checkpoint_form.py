"""What a checkpoint must hold to be gone on from. All of it is checked before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

from anime_bert4rec.model.model_files import SavedModel, check_weights
from anime_bert4rec.support.forms import WrongForm, check
from anime_bert4rec.training.history import Measured, check_measured

SCALER = {"scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker"}
"""What a GradScaler in use saves."""


class Best(TypedDict):
    weights: dict[str, Tensor]
    epoch: int
    val_loss: float


class OptimizerState(TypedDict):
    """The settings beside it are not read: an optimizer keeps those that it was made with."""

    state: dict[int, dict[str, Tensor]]


class Kept(TypedDict):
    weights: dict[str, Tensor]
    optimizer: OptimizerState
    scaler: dict[str, float]
    history: Measured
    best: Best
    identity: dict[str, str | int | float | bool | None]


class SavedCheckpoint(SavedModel):
    resume: Kept


def check_checkpoint(saved: Any) -> None:
    """Raises WrongForm unless its parts have their forms and agree with each other."""
    check(saved, SavedCheckpoint, "the file")
    kept, epoch = saved["resume"], saved["epoch"]
    best, losses = kept["best"], kept["history"]["val_losses"]
    check_measured(kept["history"], epoch)
    for weights in (kept["weights"], saved["model_state_dict"], best["weights"]):
        check_weights(weights, kept["weights"])
    if saved["val_loss"] != losses[-1] or not losses[best["epoch"] - 1 :][:1] == [best["val_loss"]] == [min(losses)]:
        raise WrongForm("its losses are not those of its history")
    scaler = kept["scaler"]
    if scaler and (set(scaler) != SCALER or min(scaler.values()) < 0 or not scaler["scale"]):
        raise WrongForm("its scaler has other numbers than one has")


def check_fit(
    checkpoint: Mapping[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer, steps_an_epoch: int
) -> None:
    """Raises WrongForm unless the weights of a checkpoint are those of the model, and what the optimizer has noted of
    each is of its shape and of no more steps than there were."""
    check_weights(checkpoint["resume"]["weights"], dict(model.named_parameters()))
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    noted, steps = checkpoint["resume"]["optimizer"]["state"], checkpoint["epoch"] * steps_an_epoch
    if not noted.keys() <= set(range(len(parameters))):
        raise WrongForm("its optimizer knows of weights that there are not")
    for number, parameter in enumerate(parameters):
        if number in noted:
            check_weights(noted[number], {"step": torch.zeros(()), "exp_avg": parameter, "exp_avg_sq": parameter})
            if not 1 <= noted[number]["step"].item() <= steps or noted[number]["exp_avg_sq"].min() < 0:
                raise WrongForm("its optimizer has taken steps that there were not")
        elif parameter.requires_grad and parameter.ndim > 1:  # of the biases, one may have had no batch yet
            raise WrongForm("its optimizer knows nothing of some weights")
