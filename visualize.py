"""Draws the course of a training run from training_metrics.json: four PNGs in the plots folder.

    python visualize.py
    python visualize.py --metrics elsewhere/training_metrics.json --output-dir elsewhere

train_model.py calls `plot_all` itself; run this script to draw again, or to look at a run that was killed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import plot_style as style
from config import OutputSettings, Parser, add_flags, pick
from console import describe_os_error, logging_to, parse, script
from errors import UserError
from plot_style import TRAINING, VALIDATION, EndLabel

TOP_K = (1, 5, 10, 20)  # as in metrics.py, which would bring torch along
LARGEST = 1e12  # what is larger is as good as infinite: a gap in the curve

Form = Callable[[float], str]  # how a value is written

NOTE = (
    "Training numbers are taken with dropout on, while the weights still change, from the training users: validation\n"
    "can look better. The numbers beside the curves belong to their last points."
)
TOP_K_NOTE = "Top-k: the hidden anime is among the first k suggestions."
DOTTED_NOTE = " Dotted: the same when everyone gets the most popular anime."


@dataclass(frozen=True)
class Metrics:
    """The numbers of a run. Series have one value an epoch, NaN where there is none; accuracies are per cent."""

    train_losses: np.ndarray
    val_losses: np.ndarray
    train_accuracies: dict[int, np.ndarray]
    val_accuracies: dict[int, np.ndarray]
    learning_rates: np.ndarray
    popularity: dict[int, float]
    best_epoch: int | None
    facts: str

    @property
    def epochs(self) -> int:
        accuracies = (*self.train_accuracies.values(), *self.val_accuracies.values())
        return max(len(series) for series in (self.train_losses, self.val_losses, *accuracies))


def plot_all(metrics: Mapping[str, Any] | Path, plots_dir: Path) -> list[Path]:
    """Draw the four plots into `plots_dir` from what training_metrics.json holds, or from that file.

    Returns their paths. Raises UserError, one line, when the metrics are not in the form that train_model.py writes;
    epochs that are missing, NaN or null are gaps.
    """
    checked = read_metrics(metrics)
    paths = []
    for name, draw in PLOTS.items():
        style.save(draw(checked), plots_dir / name)
        paths.append(plots_dir / name)
    return paths


def loss_curve(metrics: Metrics) -> Figure:
    figure, (ax,) = style.new_figure(5.0, "Loss at masked positions", metrics.facts, NOTE)
    _draw_loss(ax, metrics)
    return figure


def accuracy_curve(metrics: Metrics) -> Figure:
    """One panel for each k, all on the same scale."""
    figure, axes = style.new_figure(
        6.8, "Top-k accuracy at masked positions", metrics.facts, _caption(metrics), shape=(2, 2)
    )
    curves = [*metrics.train_accuracies.values(), *metrics.val_accuracies.values()]
    for ax, k in zip(axes, TOP_K, strict=True):
        style.panel_title(ax, f"Top-{k}")
        _draw_top_k(ax, metrics, k, [*curves, *metrics.popularity.values()])
    for ax in axes[1::2]:
        ax.set_ylabel("")
    return figure


def combined_metrics(metrics: Metrics) -> Figure:
    """Loss, validation accuracy and learning rate over the same epochs."""
    rates = metrics.learning_rates
    with_rates = bool(np.isfinite(rates).any())
    figure, axes = style.new_figure(
        9.2 if with_rates else 7.6,
        "Training at a glance",
        metrics.facts,
        _caption(metrics),
        shape=(3 if with_rates else 2, 1),
        height_ratios=(3, 3, 1) if with_rates else (1, 1),
    )
    style.panel_title(axes[0], "Loss at masked positions")
    _draw_loss(axes[0], metrics)
    style.panel_title(axes[1], "Validation accuracy at masked positions")
    _draw_every_top_k(axes[1], metrics)
    if with_rates:
        style.panel_title(axes[2], "Learning rate", flag=False)
        style.set_epochs(axes[2], metrics.epochs)
        style.set_values(axes[2], [rates], from_zero=True, ticks=2)
        style.curve(axes[2], rates, style.MUTED, "Learning rate")
        style.label_ends(axes[2], [EndLabel(f"{_last(rates):.2g}", _last(rates), style.MUTED)])
        style.mark_best(axes[2], metrics.best_epoch)
    return figure


def learning_curve(metrics: Metrics) -> Figure:
    """Loss and Top-10 accuracy, smoothed: where is it going?"""
    reach = style.trend_reach(metrics.epochs)
    how = f"Bold: the trend, lines fitted to the {reach} epochs on either side. Faint: each epoch.\n" if reach else ""
    title = "Learning curve, smoothed" if reach else "Learning curve"
    figure, (loss, accuracy) = style.new_figure(7.7, title, metrics.facts, how + _caption(metrics), shape=(2, 1))
    style.panel_title(loss, "Loss at masked positions")
    _draw_loss(loss, metrics, reach)
    style.panel_title(accuracy, "Top-10 accuracy at masked positions")
    curves = [metrics.train_accuracies[10], metrics.val_accuracies[10]]
    _draw_top_k(accuracy, metrics, 10, [*curves, metrics.popularity.get(10, np.nan)], reach)
    return figure


PLOTS = {
    "loss_curve.png": loss_curve,
    "accuracy_curve.png": accuracy_curve,
    "combined_metrics.png": combined_metrics,
    "learning_curve.png": learning_curve,
}


def _caption(metrics: Metrics) -> str:
    return f"{TOP_K_NOTE}{DOTTED_NOTE if metrics.popularity else ''}\n{NOTE}"


def _draw_loss(ax: Axes, metrics: Metrics, reach: int = 0) -> None:
    style.axis_label(ax, "y", "Cross-entropy (nats)")
    style.set_epochs(ax, metrics.epochs)
    style.set_values(ax, [metrics.train_losses, metrics.val_losses])
    style.label_ends(ax, _draw_pair(ax, metrics.train_losses, metrics.val_losses, _loss, reach))
    text = _best_text(metrics, metrics.val_losses, lambda loss: f"validation loss {_loss(loss)}")
    style.mark_best(ax, metrics.best_epoch, text, [(metrics.val_losses, VALIDATION)])


def _draw_top_k(ax: Axes, metrics: Metrics, k: int, limits: Sequence[np.ndarray | float], reach: int = 0) -> None:
    style.axis_label(ax, "y", "Accuracy (%)")
    style.set_epochs(ax, metrics.epochs)
    style.set_values(ax, limits, from_zero=True)
    val = metrics.val_accuracies[k]
    labels = _draw_pair(ax, metrics.train_accuracies[k], val, _percent, reach)
    if k in metrics.popularity:
        level = metrics.popularity[k]
        style.reference_line(ax, level, "Popularity")
        labels.append(EndLabel(f"Popularity {_percent(level)}", level, style.MUTED))
    style.label_ends(ax, labels)
    style.mark_best(ax, metrics.best_epoch, _best_text(metrics, val, _percent), [(val, VALIDATION)])


def _draw_every_top_k(ax: Axes, metrics: Metrics) -> None:
    style.axis_label(ax, "y", "Accuracy (%)")
    style.set_epochs(ax, metrics.epochs)
    style.set_values(ax, [*metrics.val_accuracies.values(), *metrics.popularity.values()], from_zero=True)
    curves, labels = [], []
    for k, shade in zip(TOP_K, style.SHADES, strict=True):
        values = metrics.val_accuracies[k]
        style.curve(ax, values, shade, f"Top-{k}")
        if k in metrics.popularity:
            style.reference_line(ax, metrics.popularity[k], f"Popularity, Top-{k}", shade)
        curves.append((values, shade))
        labels.append(EndLabel(f"Top-{k} {_percent(_last(values))}", _last(values), shade))
    style.label_ends(ax, labels)
    text = _best_text(metrics, metrics.val_accuracies[10], lambda accuracy: f"Top-10 {_percent(accuracy)}")
    style.mark_best(ax, metrics.best_epoch, text, curves)


def _draw_pair(ax: Axes, train: np.ndarray, val: np.ndarray, form: Form, reach: int) -> list[EndLabel]:
    """Draw both curves; with a reach, their trends over the faint curves themselves. Returns the labels of the ends."""
    labels = []
    for name, values, color in (("Training", train, TRAINING), ("Validation", val, VALIDATION)):
        if reach:
            style.curve(ax, values, color, f"{name}, each epoch", faint=True)
            values = style.trend(values, reach)
        style.curve(ax, values, color, name, thin=name == "Training")
        labels.append(EndLabel(f"{name} {form(_last(values))}", _last(values), color))
    return labels


def _best_text(metrics: Metrics, values: np.ndarray, form: Form) -> str:
    """`best epoch 17: ` and the value there, if there is one."""
    epoch = metrics.best_epoch
    if epoch is None:
        return ""
    known = epoch <= len(values) and np.isfinite(values[epoch - 1])
    return f"best epoch {epoch}" + (f": {form(values[epoch - 1])}" if known else "")


def _loss(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.3g}"


def _percent(value: float) -> str:
    return f"{value:.1f} %"


def _last(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else float("nan")


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
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"no metrics at {path}: train first (python train_model.py) or give --metrics FILE") from None
    except OSError as error:
        raise UserError(f"cannot read the metrics: {describe_os_error(error)}") from None
    except (ValueError, RecursionError):
        raise UserError(f"{path} is not JSON: give a training_metrics.json with --metrics") from None


def _parse(data: Any) -> Metrics:
    data = _object(data, "the file")
    summary = _object(data.get("summary") or {}, "summary")
    baselines = _object(summary.get("baselines") or {}, "baselines")
    metrics = Metrics(
        train_losses=_series(data, "train_losses"),
        val_losses=_series(data, "val_losses"),
        train_accuracies=_accuracies(data, "train_accuracies"),
        val_accuracies=_accuracies(data, "val_accuracies"),
        learning_rates=_series(data, "learning_rates") if data.get("learning_rates") else np.array([]),
        popularity=_popularity(_object(baselines.get("popularity") or {}, "popularity")),
        best_epoch=_count(summary, "best_epoch"),
        facts=_facts(summary),
    )
    losses = metrics.val_losses
    if not 1 <= (metrics.best_epoch or 0) <= metrics.epochs:  # killed before its summary was written
        metrics = replace(metrics, best_epoch=int(np.nanargmin(losses)) + 1 if np.isfinite(losses).any() else None)
    return metrics if metrics.epochs else replace(metrics, popularity={})


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


def _popularity(by_k: Mapping[str, Any]) -> dict[int, float]:
    levels = {k: _percents(np.array([_number(by_k.get(str(k)), "popularity")]), "popularity")[0] for k in TOP_K}
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


@script
def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description="Draw the course of a training run.")
    parser.add_argument(
        "--metrics",
        type=Path,
        metavar="FILE",
        help="the numbers of the run (default: plots/training_metrics.json under the output folder)",
    )
    add_flags(parser, OutputSettings, "paths")
    args = parse(parser, argv)
    paths = pick(args, OutputSettings)
    with logging_to():
        for path in plot_all(args.metrics or paths.metrics_file, paths.plots):
            print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
