"""What a training run measures: the sums of an epoch, training_metrics.json, and the line of an epoch in the log."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, TypedDict

import torch

from anime_bert4rec.model.masked_metrics import standard_errors
from anime_bert4rec.model.run_folder import TOP_K
from anime_bert4rec.support.forms import WrongForm, check
from anime_bert4rec.support.text import duration, plain
from anime_bert4rec.training.processes import add_up


class Result(NamedTuple):
    """Means over all masked positions of an epoch."""

    loss: float
    accuracies: dict[int, float]
    """The share of masked positions whose item is among the k best, for each k of TOP_K."""
    errors: Mapping[int, float] = MappingProxyType({})
    """Standard errors of these over users; only in validation."""
    losses_by_length: Mapping[str, float] = MappingProxyType({})
    """The losses that `loss` is the mean of: at masked positions ("whole"), and where 1, 3 … titles are given."""


class Totals:
    """Sums over the masked positions of an epoch, in all batches and all processes.

    They stay on the device: reading one in the loop would make the GPU wait.
    """

    def __init__(self, device: torch.device, lengths: tuple[int, ...] = (0,)) -> None:
        """lengths: the numbers of given titles whose losses are not added up together; 0 for masked positions."""
        self.lengths = lengths
        self.losses = torch.zeros(len(lengths), 2, dtype=torch.float64, device=device)
        self.hits = torch.zeros(1 + len(TOP_K), dtype=torch.float64, device=device)
        self.squares = torch.zeros(4, len(TOP_K), dtype=torch.float64, device=device)
        """Sums over users that the standard errors need; zero in training, which has none."""

    def add(self, loss: torch.Tensor, hits: torch.Tensor | None, count: int | torch.Tensor, given: int = 0) -> None:
        """loss: the mean over `count` targets; hits: how many of them are right, for each k of TOP_K, if it counts."""
        row = self.losses[self.lengths.index(given)]
        row[0] += loss.detach() * count
        row[1] += count
        if hits is not None:
            self.hits[0] += count
            self.hits[1:] += hits

    def result(self) -> Result:
        """The means over all targets of a length, and the mean of these."""
        sums = zip(self.lengths, add_up(self.losses).tolist(), strict=True)
        losses = {str(given or "whole"): loss / count for given, (loss, count) in sums if count}
        count, *hits = add_up(self.hits).tolist()
        shares = [hit / count for hit in hits]
        errors = standard_errors(shares, count, add_up(self.squares).tolist())
        return Result(
            sum(losses.values()) / len(losses),
            dict(zip(TOP_K, shares, strict=True)),
            dict(zip(TOP_K, errors, strict=True)),
            losses,
        )


class Measured(TypedDict):
    """What a checkpoint keeps of the metrics, under "history": one entry an epoch in each list."""

    train_losses: list[float]
    val_losses: list[float]
    train_accuracies: dict[int, list[float]]
    val_accuracies: dict[int, list[float]]
    val_accuracy_errors: dict[int, list[float]]
    val_losses_by_length: dict[str, list[float]]
    learning_rates: list[float]
    epoch_seconds: list[float]


def check_measured(measured: Any, epochs: int) -> None:
    """Raises WrongForm unless this is what `epochs` epochs, at least one, have recorded."""
    check(measured, Measured, "history")
    curves: list[list[Any]] = []
    for name, values in measured.items():
        if isinstance(values, dict) and set(values) != set(TOP_K) and name != "val_losses_by_length":
            raise WrongForm(f"history.{plain(name, 40)} is of other numbers than {', '.join(map(str, TOP_K))}")
        curves += values.values() if isinstance(values, dict) else [values]
    if epochs < 1 or any(len(curve) != epochs for curve in curves):
        raise WrongForm("its history has more or fewer epochs than it says")


def _curves() -> dict[int, list[Any]]:
    return {k: [] for k in TOP_K}


@dataclass
class EpochMetrics:
    """What a training run has measured: one entry an epoch in each list. Epochs count from 1."""

    epochs_planned: int
    facts: dict[str, Any]
    """What else the summary holds: numbers of users and items, the accuracies of baselines."""
    train_losses: list[float] = field(default_factory=list)
    val_losses: list[float] = field(default_factory=list)
    train_accuracies: dict[int, list[float]] = field(default_factory=_curves)
    val_accuracies: dict[int, list[float]] = field(default_factory=_curves)
    val_accuracy_errors: dict[int, list[float]] = field(default_factory=_curves)
    val_losses_by_length: dict[str, list[float]] = field(default_factory=dict)
    """What `val_losses` are the means of."""
    learning_rates: list[float] = field(default_factory=list)
    epoch_seconds: list[float] = field(default_factory=list)

    @property
    def epochs_done(self) -> int:
        return len(self.val_losses)

    @property
    def best_epoch(self) -> int:
        """The epoch with the lowest validation loss, the first of equals."""
        return 1 + self.val_losses.index(min(self.val_losses))

    @property
    def epochs_without_gain(self) -> int:
        """How many epochs ago the best one was."""
        return self.epochs_done - self.best_epoch if self.epochs_done else 0

    def record(self, trained: Result, validated: Result, learning_rate: float, seconds: float) -> None:
        for losses, accuracies, result in (
            (self.train_losses, self.train_accuracies, trained),
            (self.val_losses, self.val_accuracies, validated),
        ):
            losses.append(result.loss)
            for k in TOP_K:
                accuracies[k].append(result.accuracies[k])
        for k in TOP_K:
            self.val_accuracy_errors[k].append(validated.errors[k])
        for given, loss in validated.losses_by_length.items():
            self.val_losses_by_length.setdefault(given, []).append(loss)
        self.learning_rates.append(learning_rate)
        self.epoch_seconds.append(seconds)

    def measured(self) -> dict[str, Any]:
        """A copy of all that was recorded, which `restore` takes."""
        return {name: copy.deepcopy(getattr(self, name)) for name in Measured.__annotations__}

    def restore(self, measured: Mapping[str, Any]) -> None:
        for name in Measured.__annotations__:
            setattr(self, name, copy.deepcopy(measured[name]))  # the checkpoint stays as it is

    def as_dict(self) -> dict[str, Any]:
        """The content of training_metrics.json."""
        best = self.best_epoch
        curves = {name: getattr(self, name) for name in Measured.__annotations__}
        return {
            **{
                name: {str(k): curve for k, curve in each.items()} if isinstance(each, dict) else each
                for name, each in curves.items()
            },
            "summary": {
                "epochs_done": self.epochs_done,
                "epochs_planned": self.epochs_planned,
                "best_epoch": best,
                "best_val_loss": self.val_losses[best - 1],
                "best_val_accuracies": {str(k): self.val_accuracies[k][best - 1] for k in TOP_K},
                "total_seconds": sum(self.epoch_seconds),
                **self.facts,
            },
        }

    def line(self) -> str:
        """The latest epoch in one line for the log; a star marks the best so far."""
        return (
            f"{self._which()} loss {self.train_losses[-1]:.4f} val {self.val_losses[-1]:.4f}"
            f" | top-1/5/10/20 % {_percents(self.train_accuracies)} val {_percents(self.val_accuracies)}"
            f" | lr {self.learning_rates[-1]:.1e} | {self._time()}"
        )

    def short_line(self) -> str:
        """The latest epoch in at most 80 columns, for the terminal."""
        return (
            f"{self._which()} loss {self.train_losses[-1]:.4f}  val {self.val_losses[-1]:.4f}"
            f"  top-10 {100 * self.val_accuracies[10][-1]:4.1f} %  {self._time()}"
        )

    def is_best(self) -> bool:
        """Whether the latest epoch is the best so far."""
        return self.best_epoch == self.epochs_done

    def _which(self) -> str:
        width = len(str(self.epochs_planned))
        return f"{self.epochs_done:>{width}}/{self.epochs_planned} {'*' if self.is_best() else ' '}"

    def _time(self) -> str:
        left = sum(self.epoch_seconds) / self.epochs_done * (self.epochs_planned - self.epochs_done)
        return f"{duration(self.epoch_seconds[-1])}, {duration(left)} left"


def _percents(curves: dict[int, list[float]]) -> str:
    return " ".join(f"{100 * curves[k][-1]:4.1f}" for k in TOP_K)
