"""Reads training_metrics.json: checks what it holds, and gives it as arrays to draw; no torch, no matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.text import describe_os_error, plain
from anime_bert4rec.support.whole_files import read_json

TOP_K = (1, 5, 10, 20)  # as in model/masked_metrics.py, which would bring torch along
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


def read_metrics(source: Mapping[str, Any] | Path) -> Metrics:
    """Check what training_metrics.json holds. Raises UserError, one line, if it is not what train_model.py writes."""
    where = str(source) if isinstance(source, Path) else "metrics"
    data = _load(source) if isinstance(source, Path) else source
    try:
        return _parse(data)
    except UserError as error:
        raise UserError(f"{where}: {error}; it must be a training_metrics.json of train_model.py") from None


def _load(path: Path) -> Any:
    try:
        return read_json(path)
    except FileNotFoundError:
        raise UserError(f"no metrics at {path}: train first (python train_model.py) or give --metrics FILE") from None
    except OSError as error:
        raise UserError(f"cannot read the metrics: {describe_os_error(error)}") from None
    except ValueError as error:
        reason = str(error).removeprefix("it ")
        raise UserError(f"{path} {reason}: give a training_metrics.json with --metrics") from None


def _parse(data: Any) -> Metrics:
    data = _object(data, "the file")
    summary = _object(data.get("summary") or {}, "summary")
    baselines = _object(summary.get("baselines") or {}, "baselines")
    best = _best_baseline(baselines)
    metrics = Metrics(
        train_losses=_series(data, "train_losses"),
        val_losses=_series(data, "val_losses"),
        train_accuracies=_accuracies(data, "train_accuracies"),
        val_accuracies=_accuracies(data, "val_accuracies"),
        learning_rates=_series(data, "learning_rates") if data.get("learning_rates") else np.array([]),
        popularity=_levels(baselines, "popularity"),
        baseline=best,
        baseline_levels=_levels(baselines, best) if best else {},
        val_errors=_accuracies(data, "val_accuracy_errors") if data.get("val_accuracy_errors") else {},
        best_epoch=_count(summary, "best_epoch"),
        facts=_facts(summary),
        validated_on=(_count(summary, "users_val"), _count(summary, "num_items")),
        validation_people=str(summary.get("validated_on") or ""),
        several_lengths=len(_object(data.get("val_losses_by_length") or {}, "val_losses_by_length")) > 1,
    )
    losses = metrics.val_losses
    if not 1 <= (metrics.best_epoch or 0) <= metrics.epochs:  # killed before its summary was written
        metrics = replace(metrics, best_epoch=int(np.nanargmin(losses)) + 1 if np.isfinite(losses).any() else None)
    return metrics if metrics.epochs else replace(metrics, popularity={}, baseline="", baseline_levels={})


def _facts(summary: Mapping[str, Any]) -> str:
    """`2,700 training and 300 validation users · 3,000 anime · 30 of 200 epochs`, as far as it is known."""
    users_train, users_val = _count(summary, "users_train"), _count(summary, "users_val")
    items, done, planned = (_count(summary, key) for key in ("num_items", "epochs_done", "epochs_planned"))
    facts = []
    if users_train is not None and users_val is not None:
        facts.append(f"{users_train:,} training and {users_val:,} validation users")
    if items is not None:
        facts.append(f"{items:,} anime")
    if done is not None and planned is not None:
        facts.append(f"{done:,} of {planned:,} epochs")
    return " · ".join(facts)


def _object(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UserError(f'"{name}" is not an object' if value is not None else f'"{name}" is missing')
    return value


def _series(data: Mapping[str, Any], key: str, name: str = "") -> np.ndarray:
    values, name = data.get(key), name or key
    if not isinstance(values, list):
        raise UserError(f'"{name}" is not a list' if values is not None else f'"{name}" is missing')
    return np.array([_number(value, name) for value in values], dtype=float)


def _accuracies(data: Mapping[str, Any], key: str) -> dict[int, np.ndarray]:
    by_k = _object(data.get(key), key)
    return {k: _percents(_series(by_k, str(k), f"{key}.{k}"), key) for k in TOP_K}


def _best_baseline(baselines: Mapping[str, Any]) -> str:
    others = [name for name in baselines if name != "popularity" and 10 in _levels(baselines, name)]
    return max(others, key=lambda name: _levels(baselines, name)[10], default="")


def _levels(baselines: Mapping[str, Any], name: str) -> dict[int, float]:
    shown = plain(name, 40)
    by_k = _object(baselines.get(name) or {}, shown)
    levels = {k: _percents(np.array([_number(by_k.get(str(k)), shown)]), shown)[0] for k in TOP_K}
    return {k: float(level) for k, level in levels.items() if np.isfinite(level)}


def _percents(fractions: np.ndarray, name: str) -> np.ndarray:
    if ((fractions < 0) | (fractions > 1)).any():
        raise UserError(f'"{name}" holds a number that is not between 0 and 1')
    return 100 * fractions


def _number(value: Any, name: str) -> float:
    """NaN for null, and for what is too large to draw."""
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f'"{name}" holds something that is not a number')
    return float(value) if abs(value) <= LARGEST else float("nan")


def _count(summary: Mapping[str, Any], key: str) -> int | None:
    value = summary.get(key)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST):
        raise UserError(f'"{key}" is not a whole number')
    return value
