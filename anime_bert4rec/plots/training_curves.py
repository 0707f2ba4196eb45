"""The four pictures of how a training run went: loss, accuracy, both at a glance, and both smoothed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anime_bert4rec.model.run_folder import ACCURACY_CURVE, COMBINED_METRICS, LEARNING_CURVE, LOSS_CURVE, TOP_K
from anime_bert4rec.plots import style
from anime_bert4rec.plots.matplotlib_settings import with_own_settings
from anime_bert4rec.plots.style import TRAINING, VALIDATION, EndLabel
from anime_bert4rec.plots.training_metrics import Metrics

Form = Callable[[float], str]  # how a value is written

NOTE = (
    "Training numbers are taken with dropout on, while the weights still change, from the training users: validation\n"
    "can look better. Where lists have an order, training mostly asks what comes next, in some epochs more than in\n"
    "others: its curves go up and down. The numbers beside the curves belong to their last points."
)
LENGTHS_NOTE = (
    "The validation loss is the mean over lists that are shown whole, but for the masks, and lists of which only a\n"
    "few titles are shown; these are harder.\n"
)
TOP_K_NOTE = "Top-k: the hidden anime is among the first k suggestions."
BAND_NOTE = "Band: one standard error over validation users to either side."


def _note(metrics: Metrics) -> str:
    return f"{LENGTHS_NOTE}{NOTE}" if metrics.several_lengths else NOTE


@with_own_settings
def loss_curve(metrics: Metrics) -> Figure:
    figure, (ax,) = style.new_figure(5.0, "Loss at masked positions", metrics.facts, _note(metrics))
    _draw_loss(ax, metrics)
    return figure


@with_own_settings
def accuracy_curve(metrics: Metrics) -> Figure:
    """One panel for each k, all on the same scale."""
    figure, axes = style.new_figure(
        6.8, "Top-k accuracy at masked positions", metrics.facts, _caption(metrics), shape=(2, 2)
    )
    curves = [*metrics.train_accuracies.values(), *metrics.val_accuracies.values()]
    limits: list[np.ndarray | float] = [*curves, *metrics.popularity.values(), *metrics.baseline_levels.values()]
    limits += [metrics.highest(k) for k in TOP_K]
    for ax, k in zip(axes, TOP_K, strict=True):
        style.panel_title(ax, f"Top-{k}")
        _draw_top_k(ax, metrics, k, limits)
    for ax in axes[1::2]:
        ax.set_ylabel("")
    return figure


@with_own_settings
def combined_metrics(metrics: Metrics) -> Figure:
    """Loss, validation accuracy and learning rate over the same epochs."""
    rates = metrics.learning_rates
    with_rates = bool(np.isfinite(rates).any())
    figure, axes = style.new_figure(
        9.2 if with_rates else 7.6,
        "Training at a glance",
        metrics.facts,
        _caption(metrics, of_top_10=True),
        shape=(3 if with_rates else 2, 1),
        height_ratios=(3, 3, 1) if with_rates else (1, 1),
    )
    style.panel_title(axes[0], "Loss at masked positions")
    _draw_loss(axes[0], metrics)
    style.panel_title(axes[1], "Validation accuracy at masked positions")
    _draw_every_top_k(axes[1], metrics)
    if with_rates:
        style.panel_title(axes[2], "Learning rate", room=False)
        style.set_epochs(axes[2], metrics.epochs)
        style.set_values(axes[2], [rates], from_zero=True, ticks=2)
        style.curve(axes[2], rates, style.MUTED, "Learning rate")
        style.label_ends(axes[2], [EndLabel(f"{last(rates):.2g}", last(rates), style.MUTED)])
        style.mark_best(axes[2], metrics.best_epoch)
    return figure


@with_own_settings
def learning_curve(metrics: Metrics) -> Figure:
    """Loss and Top-10 accuracy, smoothed: where is it going?"""
    reach = style.trend_reach(metrics.epochs)
    how = f"Bold: the trend, lines fitted to the {reach} epochs on either side. Faint: each epoch.\n" if reach else ""
    title = "Learning curve, smoothed" if reach else "Learning curve"
    figure, (loss, accuracy) = style.new_figure(7.7, title, metrics.facts, how + _caption(metrics), shape=(2, 1))
    style.panel_title(loss, "Loss at masked positions")
    _draw_loss(loss, metrics, reach)
    style.panel_title(accuracy, "Top-10 accuracy at masked positions")
    levels = [each.get(10, np.nan) for each in (metrics.popularity, metrics.baseline_levels)]
    both = [metrics.train_accuracies[10], metrics.val_accuracies[10]]
    _draw_top_k(accuracy, metrics, 10, [*both, metrics.highest(10), *levels], reach)
    return figure


PLOTS = {
    LOSS_CURVE: loss_curve,
    ACCURACY_CURVE: accuracy_curve,
    COMBINED_METRICS: combined_metrics,
    LEARNING_CURVE: learning_curve,
}


def _caption(metrics: Metrics, *, of_top_10: bool = False) -> str:
    """of_top_10: whether bands and reference lines belong to that one of several curves."""
    where = " (Top-10)" if of_top_10 else ""
    lines = [f"{TOP_K_NOTE} {BAND_NOTE}" if _has_bands(metrics) else TOP_K_NOTE, _note(metrics)]
    references = []
    if metrics.popularity:
        references.append(f"Dotted{where}: everyone gets the most popular anime.")
    if metrics.baseline:
        references.append(f"Dash-dotted{where}: {style.drawable(metrics.baseline, 30)}, the best baseline.")
    return "\n".join(lines[:1] + [" ".join(references)] * bool(references) + lines[1:])


def _has_bands(metrics: Metrics) -> bool:
    return any(np.isfinite(errors).any() for errors in metrics.val_errors.values())


def _draw_loss(ax: Axes, metrics: Metrics, reach: int = 0) -> None:
    style.axis_label(ax, "y", "Cross-entropy (nats)")
    style.set_epochs(ax, metrics.epochs)
    style.set_values(ax, [metrics.train_losses, metrics.val_losses])
    style.label_ends(ax, _draw_pair(ax, metrics.train_losses, metrics.val_losses, nats, reach))
    text = _best_text(metrics, metrics.val_losses, lambda loss: f"validation loss {nats(loss)}")
    style.mark_best(ax, metrics.best_epoch, text, [(metrics.val_losses, VALIDATION)])


def _draw_top_k(ax: Axes, metrics: Metrics, k: int, limits: Sequence[np.ndarray | float], reach: int = 0) -> None:
    style.axis_label(ax, "y", "Accuracy (%)")
    style.set_epochs(ax, metrics.epochs)
    style.set_values(ax, limits, from_zero=True)
    val = metrics.val_accuracies[k]
    labels = _draw_pair(ax, metrics.train_accuracies[k], val, percent, reach)
    style.band(ax, val, metrics.val_errors.get(k), VALIDATION)
    style.label_ends(ax, [*labels, *_draw_references(ax, metrics, k)])
    style.mark_best(ax, metrics.best_epoch, _best_text(metrics, val, percent), [(val, VALIDATION)])


def _draw_references(ax: Axes, metrics: Metrics, k: int) -> list[EndLabel]:
    labels = []
    for name, levels in (("Popularity", metrics.popularity), ("Baseline", metrics.baseline_levels)):
        if k in levels:
            style.reference_line(ax, levels[k], name, dashed=name == "Baseline")
            labels.append(EndLabel(f"{name} {percent(levels[k])}", levels[k], style.MUTED))
    return labels


def _draw_every_top_k(ax: Axes, metrics: Metrics) -> None:
    style.axis_label(ax, "y", "Accuracy (%)")
    style.set_epochs(ax, metrics.epochs)
    levels = [each[10] for each in (metrics.popularity, metrics.baseline_levels) if 10 in each]
    style.set_values(ax, [*metrics.val_accuracies.values(), metrics.highest(10), *levels], from_zero=True)
    curves, labels = [], _draw_references(ax, metrics, 10)
    for k, shade in zip(TOP_K, style.SHADES, strict=True):
        values = metrics.val_accuracies[k]
        style.curve(ax, values, shade, f"Top-{k}")
        if k == 10:
            style.band(ax, values, metrics.val_errors.get(k), shade)
        curves.append((values, shade))
        labels.append(EndLabel(f"Top-{k} {percent(last(values))}", last(values), shade))
    style.label_ends(ax, labels)
    text = _best_text(metrics, metrics.val_accuracies[10], lambda accuracy: f"Top-10 {percent(accuracy)}")
    style.mark_best(ax, metrics.best_epoch, text, curves)


def _draw_pair(ax: Axes, train: np.ndarray, val: np.ndarray, form: Form, reach: int) -> list[EndLabel]:
    """Draw both curves; with a reach, their trends over the faint curves themselves. Returns the labels of the ends."""
    labels = []
    for name, values, color in (("Training", train, TRAINING), ("Validation", val, VALIDATION)):
        if reach:
            style.curve(ax, values, color, f"{name}, each epoch", faint=True)
            values = style.trend(values, reach)
        style.curve(ax, values, color, name, thin=name == "Training")
        labels.append(EndLabel(f"{name} {form(last(values))}", last(values), color))
    return labels


def _best_text(metrics: Metrics, values: np.ndarray, form: Form) -> str:
    """`best epoch 17: ` and the value there, if there is one."""
    epoch = metrics.best_epoch
    if epoch is None:
        return ""
    known = epoch <= len(values) and np.isfinite(values[epoch - 1])
    return f"best epoch {epoch}" + (f": {form(values[epoch - 1])}" if known else "")


def nats(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.3g}"


def percent(value: float) -> str:
    return f"{value:.1f} %"


def last(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else float("nan")
