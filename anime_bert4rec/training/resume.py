"""What a run needs to go on where it stopped: the content of a checkpoint, and the choice of the newest good one.

No random state is in it: a batch is a function of (seed, epoch, number), and torch is seeded anew for each epoch. The
item memory is not either: it is made again from the same lists, which the checkpoint's fingerprint of them vouches for.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.model_files import ModelFileError, mark_of, save_model, why, write_tensors
from anime_bert4rec.model.tensor_file import read_tensors
from anime_bert4rec.model.training_data import Data
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.forms import WrongForm
from anime_bert4rec.support.whole_files import write_aside
from anime_bert4rec.training.averaging import AveragedWeights
from anime_bert4rec.training.checkpoint_form import check_checkpoint, check_fit
from anime_bert4rec.training.history import History
from anime_bert4rec.training.optimization import make_optimizer
from anime_bert4rec.training.run_differences import differences
from config import NEWEST, PathSettings, TrainingSettings

log = logging.getLogger(__name__)

LATEST, PREVIOUS = "checkpoint_latest.pth", "checkpoint_previous.pth"

Checkpoint = dict[str, Any]


class CannotResume(UserError):
    """There is nothing to go on from, or it belongs to another run."""


def snapshot(
    model: BERT4Rec,
    averaged: AveragedWeights,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    history: History,
    identity: Mapping[str, Any],
    before: Checkpoint | None,
) -> Checkpoint:
    """A copy, in the CPU's memory, of the state after an epoch. `before`: the snapshot of the epoch before it.

    It has the form of every model file, with the averaged weights and without the item memory; the rest is under
    `"resume"`, and tensors that are the same are saved once.
    """
    weights = _copy(averaged.average)
    is_best = before is None or history.best_epoch == history.epochs_done
    best = {"weights": weights, "epoch": history.epochs_done, "val_loss": history.val_losses[-1]}
    return {
        "model_state_dict": weights,
        "model_config": model.config.as_dict(),
        "epoch": history.epochs_done,
        "val_loss": history.val_losses[-1],
        "resume": {
            "weights": _copy(dict(model.named_parameters())),
            "optimizer": _copy(optimizer.state_dict()),
            "scaler": scaler.state_dict(),
            "history": history.measured(),
            "best": best if is_best or before is None else before["resume"]["best"],
            "identity": dict(identity),
        },
    }


def restore(
    checkpoint: Checkpoint,
    model: BERT4Rec,
    averaged: AveragedWeights,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    history: History,
    learning_rate: float,
) -> None:
    """Puts everything into the state that `snapshot` has copied; the schedule is made anew for `learning_rate`."""
    kept = checkpoint["resume"]
    model.load_state_dict(kept["weights"], strict=False)  # all but the memory, which training does not change
    averaged.restore(checkpoint["model_state_dict"], checkpoint["epoch"])
    own = optimizer.state_dict()["param_groups"]  # which no file has a say in
    optimizer.load_state_dict({"state": kept["optimizer"]["state"], "param_groups": own})
    for group in optimizer.param_groups:
        group["initial_lr"] = learning_rate
    if scaler.is_enabled() and kept["scaler"]:
        scaler.load_state_dict(kept["scaler"])
    history.restore(kept["history"])


def restore_outputs(checkpoint: Checkpoint, model: BERT4Rec, files: CheckpointFiles, paths: PathSettings) -> None:
    """The best model and the latest checkpoint as they were: the run may have come further before it ended."""
    best = checkpoint["resume"]["best"]
    model.load_state_dict(best["weights"], strict=False)
    path, identity = paths.models / "best_model.pth", checkpoint["resume"]["identity"]
    save_model(path, model, epoch=best["epoch"], val_loss=best["val_loss"], identity=identity)
    if not (files.folder / LATEST).exists():
        files.save_latest(checkpoint)


def form_of(config: ModelConfig) -> BERT4Rec:
    """The network without the memory, which is a function of the lists, and without the values of the weights."""
    with torch.device("meta"):
        return BERT4Rec(dataclasses.replace(config, memory=None))


def identity_of(data: Data, settings: TrainingSettings, network: BERT4Rec) -> dict[str, Any]:
    """What must be the same, but for MAY_CHANGE, for the rest of a run to be the rest of the same run."""
    shapes = [(name, list(weight.shape)) for name, weight in network.named_parameters()]
    return {
        **dataclasses.asdict(settings),
        "vocabulary": mark_of(data.vocabulary),
        "network": hashlib.sha256(repr(shapes).encode()).hexdigest()[:16],  # other versions of the program have others
        "data": data.fingerprint(),
        "catalogue": data.catalogue_fingerprint(),
    }


def checkpoint_to_resume(
    chosen: Path,
    paths: PathSettings,
    identity: Mapping[str, Any],
    vocabulary: Vocabulary,
    network: BERT4Rec,
    steps_an_epoch: int,
) -> Checkpoint:
    """The checkpoint `chosen`, or for NEWEST the newest good one of the folder, that `restore` can use as it is.

    network: its form (`form_of`). Raises CannotResume, before anything is changed but the names of damaged files.
    """
    if chosen == NEWEST:
        path, checkpoint = newest_good(paths.checkpoints)
    else:
        path, checkpoint = chosen, load_checkpoint(chosen)
    before, models = checkpoint["resume"]["identity"], path.absolute().parent.parent / "models"
    unlike = differences(before, identity, models, paths.database_file, vocabulary)
    if unlike:
        raise CannotResume(
            f"{path} is of another run: {'; '.join(unlike)}. Make them the same, or start anew without --resume"
        )
    try:
        check_fit(checkpoint, network, make_optimizer(network, learning_rate=1.0), steps_an_epoch)
    except WrongForm as error:
        raise CannotResume(f"{path} cannot be gone on from: {error}; choose another, or start anew") from error
    log.info("Going on after epoch %d, from %s.", checkpoint["epoch"], path)
    if any(before[name] != identity[name] for name in ("epochs", "lr")):
        log.info(
            "The learning rate follows another --epochs or --lr from here on, so this is not the same run any more."
        )
    return checkpoint


def newest_good(folder: Path) -> tuple[Path, Checkpoint]:
    """By the epochs in the files, not by their times: a clock may have been set back.

    A damaged file is said to be so, and renamed so that it never takes the place of a good one.
    """
    found: tuple[Path, Checkpoint] | None = None
    damaged = []
    latest, previous = folder / LATEST, folder / PREVIOUS
    for path in (latest, previous, *reversed(numbered(folder))):
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
        told = f"no good checkpoint in {folder}" if damaged else f"no checkpoint in {folder} yet"
        raise CannotResume(f"{told}; start without --resume")
    for path in damaged:
        aside, number = path.with_suffix(".damaged"), 2
        while os.path.lexists(aside):  # perhaps something of it can be saved, so none takes another's place
            aside, number = path.with_name(f"{path.stem}_{number}.damaged"), number + 1
        path.rename(aside)
    return found


def load_checkpoint(path: Path) -> Checkpoint:
    """Raises ModelFileError for a file that is damaged, or whose parts do not make a checkpoint."""
    try:
        checkpoint: Checkpoint = read_tensors(path)
        check_checkpoint(checkpoint)
    except FileNotFoundError:
        raise ModelFileError(f"{path} does not exist") from None
    except (OSError, MemoryError):
        raise
    except Exception as error:  # whatever a damaged or hostile file leads to
        if "alloc" in str(error):
            raise
        raise ModelFileError(f"{path} is damaged or no checkpoint to resume from ({why(error)})") from error
    return checkpoint


class CheckpointFiles:
    """Writes a run's checkpoints: the latest, with the one before it beside it, and the numbered ones."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self.keep = keep
        """So many of the numbered ones; 0: all."""

    def save_latest(self, checkpoint: Checkpoint) -> None:
        latest = self.folder / LATEST
        with write_aside(latest) as file:
            write_tensors(checkpoint, file)
            if latest.exists():  # only now, when the new one is written
                latest.replace(self.folder / PREVIOUS)

    def save_numbered(self, checkpoint: Checkpoint) -> None:
        with write_aside(self.folder / f"checkpoint_epoch_{checkpoint['epoch']}.pth") as file:
            write_tensors(checkpoint, file)
        if self.keep:
            for path in numbered(self.folder)[: -self.keep]:
                if not path.is_symlink():  # somebody else has put it there
                    path.unlink()


def numbered(folder: Path) -> list[Path]:
    """The checkpoints of every tenth epoch, in order."""
    return sorted((path for path in folder.glob("checkpoint_epoch_*.pth") if _epoch_in(path)), key=_epoch_in)


def _epoch_in(path: Path) -> int:
    """0 for what `CheckpointFiles` does not call its files."""
    found = re.fullmatch(r"checkpoint_epoch_([1-9][0-9]*)\.pth", path.name)
    return int(found[1]) if found and path.is_file() else 0


def _copy(value: Any) -> Any:
    """The same dicts, lists and numbers, with copies of the tensors in the CPU's memory."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copy(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_copy(each) for each in value]
    return value
