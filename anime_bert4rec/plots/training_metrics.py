"""Reads training_metrics.json: checks what it holds, and gives it as arrays to draw; no torch, no matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np

from anime_bert4rec.model.run_folder import TOP_K
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.forms import WrongForm, check
from anime_bert4rec.support.text import describe_os_error, plain
from anime_bert4rec.support.whole_files import read_json

LARGEST = 1e12  # what is larger is as good as infinite: a gap in the curve


@dataclass(frozen=True)
class Metrics:
    """The numbers of a run. Series have one value an epoch, NaN where there is none; accuracies are per cent."""

    train_losses: np.ndarray
    val_losses: np.ndarray
    train_accuracies: dict[int, np.ndarray]
    val_accuracies: dict[int, np.ndarray]
    learning_rates: np.ndarray
    popularity: dict[int, float]
    baseline: str
    """The name of the best baseline, by its Top-10 accuracy; empty if there is none but popularity."""
    baseline_levels: dict[int, float]
    val_errors: dict[int, np.ndarray]
    """Standard errors of the validation accuracies over users; NaN where unknown."""
    best_epoch: int | None
    facts: str
    validated_on: tuple[int | None, int | None] = (None, None)
    """How many validation users and anime there are, as far as it is known."""
    validation_people: str = ""
    """Tells whether two runs were validated on the same people; empty for runs of earlier versions."""
    several_lengths: bool = False
    """Whether the validation loss is the mean over lists of which much is shown and little."""

    def highest(self, k: int) -> np.ndarray:
        """The upper edge of the band around the validation accuracy, as far as it is known."""
        values, errors = self.val_accuracies[k], self.val_errors.get(k, np.array([]))
        known = min(len(values), len(errors))
        return values[:known] + errors[:known]

    @property
    def epochs(self) -> int:
        accuracies = (*self.train_accuracies.values(), *self.val_accuracies.values())
        return max(len(series) for series in (self.train_losses, self.val_losses, *accuracies))


Series = list[Real | None]


class SavedSummary(TypedDict):
    """What is read of the summary, which a run that was killed lacks; null is as good as missing."""

    best_epoch: NotRequired[int | None]
    users_train: NotRequired[int | None]
    users_val: NotRequired[int | None]
    num_items: NotRequired[int | None]
    epochs_done: NotRequired[int | None]
    epochs_planned: NotRequired[int | None]
    baselines: NotRequired[dict[str, dict[str, Real | None] | None] | None]
    validated_on: NotRequired[str | None]


class SavedMetrics(TypedDict):
    """What is read of the file. What is NotRequired, earlier versions have not written."""

    train_losses: Series
    val_losses: Series
    train_accuracies: dict[str, Series]
    val_accuracies: dict[str, Series]
    val_accuracy_errors: NotRequired[dict[str, Series] | None]
    val_losses_by_length: NotRequired[dict[str, Any] | None]
    learning_rates: NotRequired[Series | None]
    summary: NotRequired[SavedSummary | None]


def read_metrics(source: Mapping[str, Any] | Path) -> Metrics:
    """Check what training_metrics.json holds. Raises UserError, one line, if it is not what train_model.py writes."""
    where = str(source) if isinstance(source, Path) else "metrics"
    data = _load(source) if isinstance(source, Path) else source
    try:
        return _parse(data)
    except WrongForm as error:
        raise UserError(f"{where}: {plain(str(error))}; it must be a training_metrics.json of train_model.py") from None


def _load(path: Path) -> Any:
    try:
        return read_json(path)
    except FileNotFoundError:
        raise UserError(f"no metrics at {path}: train first (python train_model.py), or name another file") from None
    except OSError as error:
        raise UserError(f"cannot read the metrics: {describe_os_error(error)}") from None
    except ValueError as error:
        reason = str(error).removeprefix("it ")
        raise UserError(f"{path} {reason}: it must be a training_metrics.json of train_model.py") from None


def _parse(saved: Any) -> Metrics:
    check(saved, SavedMetrics, "the file")
    summary: SavedSummary = saved.get("summary") or SavedSummary()
    for name in SavedSummary.__annotations__:
        count = summary.get(name)
        if isinstance(count, int) and not 0 <= count <= LARGEST:
            raise WrongForm(f"the file's summary.{name} is negative or too large")
    levels = {name: _levels(by_k or {}) for name, by_k in (summary.get("baselines") or {}).items()}
    others = [name for name in levels if name != "popularity" and 10 in levels[name]]
    best = max(others, key=lambda name: levels[name][10], default="")
    metrics = Metrics(
        train_losses=_array(saved["train_losses"]),
        val_losses=_array(saved["val_losses"]),
        train_accuracies=_accuracies(saved["train_accuracies"], "train_accuracies"),
        val_accuracies=_accuracies(saved["val_accuracies"], "val_accuracies"),
        learning_rates=_array(saved.get("learning_rates") or []),
        popularity=levels.get("popularity", {}),
        baseline=best,
        baseline_levels=levels.get(best, {}),
        val_errors=_accuracies(errors, "val_accuracy_errors") if (errors := saved.get("val_accuracy_errors")) else {},
        best_epoch=summary.get("best_epoch"),
        facts=_facts(summary),
        validated_on=(summary.get("users_val"), summary.get("num_items")),
        validation_people=summary.get("validated_on") or "",
        several_lengths=len(saved.get("val_losses_by_length") or {}) > 1,
    )
    losses = metrics.val_losses
    if not 1 <= (metrics.best_epoch or 0) <= metrics.epochs:  # killed before its summary was written
        metrics = replace(metrics, best_epoch=int(np.nanargmin(losses)) + 1 if np.isfinite(losses).any() else None)
    return metrics if metrics.epochs else replace(metrics, popularity={}, baseline="", baseline_levels={})


def _facts(summary: SavedSummary) -> str:
    """`2,700 training and 300 validation users · 3,000 anime · 30 of 200 epochs`, as far as it is known."""
    users_train, users_val = summary.get("users_train"), summary.get("users_val")
    items, done, planned = summary.get("num_items"), summary.get("epochs_done"), summary.get("epochs_planned")
    facts = []
    if users_train is not None and users_val is not None:
        facts.append(f"{users_train:,} training and {users_val:,} validation users")
    if items is not None:
        facts.append(f"{items:,} anime")
    if done is not None and planned is not None:
        facts.append(f"{done:,} of {planned:,} epochs")
    return " · ".join(facts)


def _array(values: Sequence[Any]) -> np.ndarray:
    """NaN for null, and for what is too large to draw."""
    return np.array([each if each is not None and abs(each) <= LARGEST else np.nan for each in values], dtype=float)


def _accuracies(by_k: Mapping[str, Series], name: str) -> dict[int, np.ndarray]:
    for k in TOP_K:
        if str(k) not in by_k:
            raise WrongForm(f"the file's {name}.{k} is missing")
    return {k: _percents(by_k[str(k)], name) for k in TOP_K}


def _levels(by_k: Mapping[str, Real | None]) -> dict[int, float]:
    levels = {k: _percents([by_k.get(str(k))], "summary.baselines")[0] for k in TOP_K}
    return {k: float(level) for k, level in levels.items() if np.isfinite(level)}


def _percents(fractions: Sequence[Real | None], name: str) -> np.ndarray:
    shares = _array(fractions)
    if ((shares < 0) | (shares > 1)).any():
        raise WrongForm(f"the file's {name} holds a number that is not between 0 and 1")
    return 100 * shares
