"""The checkpoints of a run: how they are written, what they must hold to be resumed from, and which is the newest."""

from __future__ import annotations

import logging
import math
import os
import re
import time
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

from anime_bert4rec.model.gate import GATE_KNOTS
from anime_bert4rec.model.memory_config import without_what_follows
from anime_bert4rec.model.model_files import GATE, SavedModel, check_weights, why, write_tensors
from anime_bert4rec.model.run_folder import LATEST_CHECKPOINT, PREVIOUS_CHECKPOINT
from anime_bert4rec.model.tensor_file import read_tensors
from anime_bert4rec.support.errors import ModelFileError, UserError
from anime_bert4rec.support.forms import WrongForm, check
from anime_bert4rec.support.whole_files import put_in_place, write_aside
from anime_bert4rec.training.epoch_metrics import Measured, check_measured
from anime_bert4rec.training.failures import tells_of_too_little_memory

log = logging.getLogger(__name__)

NUMBERED_EVERY = 10
"""After how many epochs a checkpoint is written that stays."""
LATEST_EVERY = 30.0
"""The shortest time, in seconds, between two writings of the latest checkpoint."""
_SCALER = {"scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker"}
"""What a GradScaler in use saves."""

Checkpoint = dict[str, Any]
"""A model file (SavedCheckpoint) with the averaged weights and without the item memory; the rest is in "resume"."""


class Best(TypedDict):
    """The epoch with the lowest validation loss so far."""

    weights: dict[str, Tensor]
    epoch: int
    val_loss: float


class OptimizerState(TypedDict):
    """What an optimizer has noted of each weight. Its settings are not read: it keeps those that it was made with."""

    state: dict[int, dict[str, Tensor]]


class SavedRun(TypedDict):
    """What a checkpoint holds beside a model file, and only a run that is resumed needs."""

    weights: dict[str, Tensor]
    """The weights as they are trained, not averaged."""
    optimizer: OptimizerState
    scaler: dict[str, float]
    history: Measured
    best: Best
    identity: dict[str, str | int | float | bool | None]
    """The settings and the data (`resume.identity_of`)."""


class SavedCheckpoint(SavedModel):
    resume: SavedRun


class CannotResume(UserError):
    """There is no checkpoint to go on from, or it belongs to another run."""


def load_checkpoint(path: Path) -> Checkpoint:
    """Raises ModelFileError for a file that is damaged, or whose parts do not make a checkpoint."""
    try:
        checkpoint: Checkpoint = without_what_follows(read_tensors(path))
        _check_checkpoint(checkpoint)
    except FileNotFoundError:
        raise ModelFileError(f"{path} does not exist") from None
    except OSError:
        raise
    except Exception as error:  # whatever a damaged or hostile file leads to
        if tells_of_too_little_memory(error):
            raise
        raise ModelFileError(f"{path} is damaged or no checkpoint to resume from ({why(error)})") from error
    return checkpoint


def _check_checkpoint(saved: Any) -> None:
    """Raises WrongForm unless its parts have their forms and agree with each other."""
    check(saved, SavedCheckpoint, "the file")
    run, best, losses = saved["resume"], saved["resume"]["best"], saved["resume"]["history"]["val_losses"]
    check_measured(run["history"], saved["epoch"])
    for weights in (run["weights"], saved["model_state_dict"], best["weights"]):
        check_weights({name: weight for name, weight in weights.items() if name != GATE}, run["weights"])
    of_best = dict(enumerate(losses, 1)).get(best["epoch"])
    if saved["val_loss"] != losses[-1] or not of_best == best["val_loss"] == min(losses):
        raise WrongForm("its losses are not those of its history")
    scaler = run["scaler"]
    if scaler and (set(scaler) != _SCALER or min(scaler.values()) < 0 or not scaler["scale"]):
        raise WrongForm("its scaler has other numbers than one has")


def newest_good(folder: Path) -> tuple[Path, Checkpoint]:
    """The checkpoint of the most epochs. The files' times don't matter, for a clock may have been set back.

    A damaged file is named in the log, and renamed so that it never takes the place of a good one. Raises CannotResume
    if there is none.
    """
    found: tuple[Path, Checkpoint] | None = None
    damaged = []
    latest, previous = folder / LATEST_CHECKPOINT, folder / PREVIOUS_CHECKPOINT
    for path in (latest, previous, *reversed(numbered_checkpoints(folder))):
        if not path.exists() or (found and (path == previous or _epoch_in(path) <= found[1]["epoch"])):
            continue
        try:
            checkpoint = load_checkpoint(path)
        except ModelFileError as error:
            log.warning("%s; falling back to the one before.", error)
            damaged.append(path)
            continue
        if not found or checkpoint["epoch"] > found[1]["epoch"]:
            found = path, checkpoint
    if not found:
        none = f"no good checkpoint in {folder}" if damaged else f"no checkpoint in {folder} yet"
        raise CannotResume(f"{none}; start without --resume")
    for path in damaged:
        aside, number = path.with_suffix(".damaged"), 2
        while os.path.lexists(aside):  # perhaps something of it can be saved, so none takes another's place
            aside, number = path.with_name(f"{path.stem}_{number}.damaged"), number + 1
        path.rename(aside)
    return found


def check_fit(checkpoint: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer, steps_per_epoch: int) -> None:
    """Raises WrongForm unless a checkpoint's weights, and what its optimizer has noted of them, are of this model."""
    check_weights(checkpoint["resume"]["weights"], dict(model.named_parameters()))
    for weights in (checkpoint["model_state_dict"], checkpoint["resume"]["best"]["weights"]):
        if GATE in weights:  # which models without a memory lack
            check_weights({GATE: weights[GATE]}, {GATE: torch.ones(2, 2, GATE_KNOTS)})
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    noted, steps = checkpoint["resume"]["optimizer"]["state"], checkpoint["epoch"] * steps_per_epoch
    if not noted.keys() <= set(range(len(parameters))):
        raise WrongForm("its optimizer knows of weights that there are not")
    for number, parameter in enumerate(parameters):
        if number in noted:
            check_weights(noted[number], {"step": torch.zeros(()), "exp_avg": parameter, "exp_avg_sq": parameter})
            if not 1 <= noted[number]["step"].item() <= steps or noted[number]["exp_avg_sq"].min() < 0:
                raise WrongForm("its optimizer has taken steps that there were not")
        elif parameter.requires_grad and parameter.ndim > 1:  # of the biases, one may have had no batch yet
            raise WrongForm("its optimizer knows nothing of some weights")


class CheckpointFiles:
    """Writes a run's checkpoints: the latest, with the one before it beside it, and the numbered ones."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self.keep = keep
        """How many of the numbered ones are kept; 0: all."""
        self.newest: Checkpoint | None = None
        """The state after the last whole epoch, whether it is written already or not."""
        self._written_at = -math.inf
        self._written_epoch = 0

    def save(self, checkpoint: Checkpoint) -> None:
        """Write what is due after an epoch."""
        self.newest = checkpoint
        numbered_too = checkpoint["epoch"] % NUMBERED_EVERY == 0
        if numbered_too:
            self.save_numbered(checkpoint)
        if numbered_too or time.monotonic() - self._written_at >= LATEST_EVERY:
            self.save_latest(checkpoint)

    def save_rest(self) -> None:
        """Write the newest as the latest, unless it is written."""
        if self.newest and self.newest["epoch"] > self._written_epoch:
            self.save_latest(self.newest)

    def go_on_from(self, checkpoint: Checkpoint) -> None:
        """Begin with a checkpoint that is on the disk already, perhaps under another name than that of the latest."""
        self.newest, self._written_epoch = checkpoint, checkpoint["epoch"]
        if not (self.folder / LATEST_CHECKPOINT).exists():
            self.save_latest(checkpoint)

    def save_latest(self, checkpoint: Checkpoint) -> None:
        latest, previous = self.folder / LATEST_CHECKPOINT, self.folder / PREVIOUS_CHECKPOINT
        if latest.is_symlink() and latest.exists():  # what it leads to is an earlier checkpoint, which stays
            put_in_place(latest, previous)
        with write_aside(latest) as file:
            write_tensors(checkpoint, file)
            if latest.exists():  # only now, when the new one is written
                put_in_place(latest, previous)
        self._written_at, self._written_epoch = time.monotonic(), checkpoint["epoch"]

    def save_numbered(self, checkpoint: Checkpoint) -> None:
        with write_aside(self.folder / f"checkpoint_epoch_{checkpoint['epoch']}.pth") as file:
            write_tensors(checkpoint, file)
        if self.keep:
            for path in numbered_checkpoints(self.folder)[: -self.keep]:
                if not path.is_symlink():  # somebody else has put it there
                    path.unlink()


def numbered_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of every tenth epoch, in order."""
    return sorted((path for path in folder.glob("checkpoint_epoch_*.pth") if _epoch_in(path)), key=_epoch_in)


def _epoch_in(path: Path) -> int:
    """The epoch in the name of a numbered checkpoint, and 0 for any other name."""
    found = re.fullmatch(r"checkpoint_epoch_([1-9][0-9]*)\.pth", path.name)
    return int(found[1]) if found and path.is_file() else 0
