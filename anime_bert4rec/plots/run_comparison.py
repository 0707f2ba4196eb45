"""Draws comparison.png: the validation loss and Top-10 accuracy of several runs over each other."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from anime_bert4rec.model.run_folder import TRAINING_METRICS, RunFolder
from anime_bert4rec.plots import style
from anime_bert4rec.plots.matplotlib_settings import with_own_settings
from anime_bert4rec.plots.style import EndLabel
from anime_bert4rec.plots.training_curves import LENGTHS_NOTE, TOP_K_NOTE, last, nats, percent
from anime_bert4rec.plots.training_metrics import Metrics, read_metrics
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.text import plain

log = logging.getLogger(__name__)

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#222222", "#999999")
"""The colours of Okabe and Ito, first those that are dark enough for lines."""
LONGEST_NAME = 12
UNLIKE = "Not comparable as they are: the runs have other numbers of anime or of validation users."
OTHER_PEOPLE = "Not comparable as they are: the runs were validated on different people."


@with_own_settings
def comparison(runs: Sequence[Path]) -> Figure:
    """runs: output folders, plots folders or metrics files, at most eight. Raises UserError."""
    if len(runs) > len(COLORS):
        raise UserError(f"at most {len(COLORS)} runs can be told apart in a plot, not {len(runs)}")
    metrics = [read_metrics(metrics_of(run)) for run in runs]
    names = run_names(runs)
    warning = warning_of(metrics)
    if warning:
        log.warning("%s --split-seed keeps the people the same, whatever --seed is.", warning)
    lengths = any(each.several_lengths for each in metrics)
    caption = f"{LENGTHS_NOTE if lengths else ''}{TOP_K_NOTE} Ring: the best epoch, by validation loss.\n" + (
        warning or "The numbers beside the curves belong to the best epochs."
    )
    paths = ((name, style.drawable(str(run), 60)) for name, run in zip(names, runs, strict=True))
    facts = " · ".join(f"{name}: {path}" if path != name else name for name, path in paths)
    figure, (loss, accuracy) = style.new_figure(
        7.7, "Runs compared", plain(facts, 90), caption, shape=(2, 1), right=1 - 2.0 / style.WIDTH
    )
    style.panel_title(loss, "Validation loss" if lengths else "Validation loss at masked positions", room=False)
    style.axis_label(loss, "y", "Cross-entropy (nats)")
    style.panel_title(accuracy, "Validation Top-10 accuracy at masked positions", room=False)
    style.axis_label(accuracy, "y", "Accuracy (%)")
    for ax, from_zero in ((loss, False), (accuracy, True)):
        values = [each.val_accuracies[10] if from_zero else each.val_losses for each in metrics]
        bands = [each.highest(10) for each in metrics] if from_zero else []
        style.set_epochs(ax, max(each.epochs for each in metrics))
        style.set_values(ax, [*values, *bands], from_zero=from_zero)
        labels = []
        for name, color, curve, each in zip(names, COLORS, values, metrics, strict=False):
            style.curve(ax, curve, color, name)
            if from_zero:
                style.band(ax, curve, each.val_errors.get(10), color)
            best = _at(curve, each)
            style.ring(ax, each.best_epoch, curve, color)
            labels.append(EndLabel(f"{name} {(percent if from_zero else nats)(best)}", last(curve), color))
        style.label_ends(ax, labels)
    return figure


def warning_of(metrics: Sequence[Metrics]) -> str:
    """Why runs can't be compared, or nothing. Of runs that don't say on whom they were validated, nothing is said."""
    if len({each.validated_on for each in metrics}) > 1:
        return UNLIKE
    people = {each.validation_people for each in metrics if each.validation_people}
    return OTHER_PEOPLE if len(people) > 1 else ""


def metrics_of(run: Path) -> Path:
    """The metrics file of a run, given as that file, as the output folder or as the plots folder in it."""
    for path in (RunFolder(run).metrics_file, run / TRAINING_METRICS):
        if path.exists():
            return path
    if run.is_dir():
        raise UserError(f"no {TRAINING_METRICS} in {run}: give the output folder of a run to --compare")
    return run


def run_names(runs: Sequence[Path]) -> list[str]:
    """The first thing in each path, from the end, that differs between all as drawn; numbers where nothing does."""
    same = RunFolder(Path()).metrics_file.parts
    parts = [[part for part in run.resolve().parts if part not in same] for run in runs]
    for back in range(1, max(map(len, parts)) + 1):
        names = [style.drawable(each[-back], 200) if back <= len(each) else "" for each in parts]
        short = [name if len(name) <= LONGEST_NAME else "…" + name[1 - LONGEST_NAME :] for name in names]
        if len(set(short)) == len(short) and all(short):
            return short
    return [f"run {number}" for number in range(1, len(runs) + 1)]


def _at(curve: np.ndarray, metrics: Metrics) -> float:
    epoch = metrics.best_epoch
    return float(curve[epoch - 1]) if epoch is not None and epoch <= len(curve) else last(curve)
