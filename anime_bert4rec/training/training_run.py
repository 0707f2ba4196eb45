"""The state of a training run: what an epoch changes, copied into a checkpoint and restored from one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from anime_bert4rec.model.bert4rec import BERT4Rec
from anime_bert4rec.model.gate_fitting import GateFitting
from anime_bert4rec.model.model_files import GATE, save_model
from anime_bert4rec.training.checkpoints import Best, Checkpoint
from anime_bert4rec.training.epoch_metrics import EpochMetrics
from anime_bert4rec.training.processes import from_main, in_parallel
from anime_bert4rec.training.weights import AveragedWeights, linear_schedule, make_optimizer


class TrainingRun:
    """The model, the average of its weights, the optimizer, the scaler, the schedule and the metrics of a run."""

    def __init__(
        self,
        model: BERT4Rec,
        metrics: EpochMetrics,
        identity: Mapping[str, Any],
        *,
        learning_rate: float,
        steps_per_epoch: int,
    ) -> None:
        """identity: the settings and the data (`resume.identity_of`), which checkpoints keep."""
        self.model = model
        self.metrics = metrics
        self.identity = identity
        self.parallel = in_parallel(model, some_unused=model.config.answers_alone)
        """The model as it is trained: the same one, or shared by several processes."""
        self.average = AveragedWeights(model)
        self.optimizer = make_optimizer(model, learning_rate)
        self.scaler = torch.amp.GradScaler(model.item_bias.device.type, enabled=model.project.low == torch.float16)
        self._learning_rate, self._steps_per_epoch = learning_rate, steps_per_epoch
        self.schedule = self._schedule()
        self._best: Best | None = None

    def _schedule(self) -> torch.optim.lr_scheduler.LambdaLR:
        """The learning rate from the step after the epochs that are done."""
        for group in self.optimizer.param_groups:
            group["initial_lr"] = self._learning_rate
        factor = linear_schedule(self.metrics.epochs_planned * self._steps_per_epoch)
        steps_done = self.metrics.epochs_done * self._steps_per_epoch
        return torch.optim.lr_scheduler.LambdaLR(self.optimizer, factor, last_epoch=steps_done - 1)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(self.schedule.get_last_lr()[0])

    def snapshot(self) -> Checkpoint:
        """A copy of the state after an epoch, in the CPU's memory. To be called after each.

        It has the form of every model file; tensors that are the same are saved once.
        """
        weights = _copy(self.average.average)
        if self.model.gate is not None:
            weights[GATE] = _copy(self.model.gate.values)
        epoch, val_loss = self.metrics.epochs_done, self.metrics.val_losses[-1]
        if self.metrics.is_best():
            self._best = Best(weights=weights, epoch=epoch, val_loss=val_loss)
        return {
            "model_state_dict": weights,
            "model_config": self.model.config.as_dict(),
            "epoch": epoch,
            "val_loss": val_loss,
            "resume": {
                "weights": _copy(dict(self.model.named_parameters())),
                "optimizer": _copy(self.optimizer.state_dict()),
                "scaler": self.scaler.state_dict(),
                "history": self.metrics.measured(),
                "best": self._best,
                "identity": dict(self.identity),
            },
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take on the state that `snapshot` has copied, but with the learning rate and the settings of this run."""
        saved = checkpoint["resume"]
        load_trained(self.model, saved["weights"])
        self.average.restore(checkpoint["model_state_dict"], checkpoint["epoch"])
        own = self.optimizer.state_dict()["param_groups"]  # which no file has a say in
        self.optimizer.load_state_dict({"state": saved["optimizer"]["state"], "param_groups": own})
        if self.scaler.is_enabled() and saved["scaler"]:
            self.scaler.load_state_dict(saved["scaler"])
        self.metrics.restore(saved["history"])
        self.schedule = self._schedule()
        self._best = saved["best"]
        self.identity = {**self.identity, "catalogue": saved["identity"].get("catalogue")}  # that of the memory

    def fit_gate(self, fitting: GateFitting | None) -> None:
        """Take what memory and network are to count for from the main process, which has the `fitting` and does it."""
        if self.model.gate is None:
            return
        if fitting:
            fitting.fit(self.model)
        self.model.gate.values.copy_(from_main(self.model.gate.values.cpu()))

    def save_average(self, path: Path) -> None:
        """Write a model file of the averaged weights."""
        with self.average.used_by(self.model):
            save_model(
                path,
                self.model,
                epoch=self.metrics.epochs_done,
                val_loss=self.metrics.val_losses[-1],
                identity=self.identity,
            )


def save_from_checkpoint(checkpoint: Checkpoint, model: BERT4Rec, path: Path, *, best: bool = False) -> None:
    """Write a model file of a checkpoint: of its epoch, or of its best one. `model` has these weights afterwards."""
    saved = checkpoint["resume"]["best"] if best else {**checkpoint, "weights": checkpoint["model_state_dict"]}
    load_trained(model, saved["weights"])
    identity = checkpoint["resume"]["identity"]
    save_model(path, model, epoch=saved["epoch"], val_loss=saved["val_loss"], identity=identity)


def load_trained(model: BERT4Rec, weights: Mapping[str, torch.Tensor]) -> None:
    """Load all weights but those of the item memory, which training does not change."""
    model.load_state_dict(weights, strict=False)


def _copy(value: Any) -> Any:
    """A copy of dicts, lists and numbers, with the tensors in the CPU's memory."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copy(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_copy(each) for each in value]
    return value
