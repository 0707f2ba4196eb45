"""Runs that never were, and what their pictures show: for the tests of the plots."""

from __future__ import annotations

import itertools
import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from anime_bert4rec.model.run_folder import TOP_K
from anime_bert4rec.plots.training_curves import PLOTS
from anime_bert4rec.plots.training_metrics import read_metrics

NAN = float("nan")


def run(epochs: int, **changes: Any) -> dict[str, Any]:
    """The metrics of a run that learns: losses fall and accuracies rise towards a level, validation behind training."""
    done = [i / max(epochs, 1) for i in range(epochs)]
    losses = {"train": [4 + 4 * math.exp(-5 * x) for x in done], "val": [5 + 3 * math.exp(-6 * x) for x in done]}
    metrics: dict[str, Any] = {
        "train_losses": losses["train"],
        "val_losses": losses["val"],
        "learning_rates": [0.001 * (1 - x) for x in done],
        "epoch_seconds": [2.0] * epochs,
        "summary": {
            "best_epoch": epochs or None,
            "epochs_done": epochs,
            "epochs_planned": 200,
            "users_train": 2230,
            "users_val": 248,
            "num_items": 3000,
            "baselines": {"popularity": {"1": 0.012, "5": 0.052, "10": 0.094, "20": 0.161}},
        },
    }
    for split in losses:
        metrics[f"{split}_accuracies"] = {
            str(k): [0.03 * math.sqrt(k) * (9 - loss) / 2 for loss in losses[split]] for k in TOP_K
        }
    return metrics | changes


def broken(epochs: int) -> dict[str, Any]:
    """A run with gaps: two lone epochs unknown near the start, and nothing but NaN from epoch 20 on."""
    metrics = run(epochs)
    for values in [metrics["train_losses"], metrics["val_losses"], *metrics["val_accuracies"].values()]:
        values[3], values[5] = NAN, None
        values[19:] = [NAN] * (epochs - 19)
    return metrics


def flat(epochs: int, loss: float, accuracy: float) -> dict[str, Any]:
    accuracies = {str(k): [accuracy] * epochs for k in TOP_K}
    return run(
        epochs,
        train_losses=[loss] * epochs,
        val_losses=[loss] * epochs,
        train_accuracies=accuracies,
        val_accuracies=accuracies,
    )


def best_at(epoch: int, epochs: int) -> dict[str, Any]:
    metrics = run(epochs)
    metrics["summary"]["best_epoch"] = epoch
    return metrics


def diverged() -> dict[str, Any]:
    return run(12, val_losses=[7.0, 6.0, 5.0] + [10.0**i for i in range(1, 10)])


RUNS = {
    "no epoch": run(0),
    "1 epoch": run(1),
    "3 epochs": run(3),
    "30 epochs": run(30),
    "several lengths": run(30, val_losses_by_length={"whole": [4.0] * 30, "1": [6.0] * 30}),
    "2,000 epochs": run(2000),
    "best first": best_at(1, 200),
    "best left of the middle": best_at(99, 200),
    "best in the middle": best_at(101, 200),
    "all equal": flat(30, 5.0, 0.2),
    "all zero": flat(30, 0.0, 0.0) | {"summary": {}},
    "all right": flat(1, 0.0, 1.0),
    "gaps": broken(30),
    "nothing but gaps": run(4, train_losses=[NAN] * 4, val_losses=[None] * 4),
    "diverged": diverged(),
    "no extras": {key: value for key, value in run(30).items() if key not in ("summary", "learning_rates")},
}


def draw(name: str, metrics: dict[str, Any]) -> Figure:
    return PLOTS[name](read_metrics(metrics))


def line(ax: Axes, name: str) -> Line2D:
    (found,) = [each for each in ax.lines if each.get_label() == name]
    return found


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def shown_texts(figure: Figure) -> list[Text]:
    """Every text that one sees: not the empty ones, and not the tick labels beyond the ends of an axis."""
    figure.draw_without_rendering()
    beyond = set()
    for axis in itertools.chain.from_iterable((ax.xaxis, ax.yaxis) for ax in figure.axes):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if not low <= tick.get_loc() <= high:
                beyond |= {tick.label1, tick.label2}
    every = figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_visible() and artist.get_text())
    return [text for text in every if text not in beyond]
