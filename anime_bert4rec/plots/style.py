"""One calm look for every picture: colours, axes, curves and trends, labels beside them, the best epoch's mark.

Pictures are plain `matplotlib.figure.Figure` objects, without pyplot: they can be drawn in any thread, with or without
a display, and leave the caller's matplotlib alone.
"""

from __future__ import annotations

from anime_bert4rec.plots.matplotlib_settings import (
    with_own_settings,  # before matplotlib, which it imports in its own way
)

# isort: split
import functools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from anime_bert4rec.support.text import plain
from anime_bert4rec.support.whole_files import write_aside

WIDTH, DPI = 8.0, 200  # inches and dots an inch: 1,600 pixels wide, and the smallest text is 12 pixels high at 800
FONT = "DejaVu Sans"  # comes with matplotlib, so pictures are the same everywhere
TITLE_SIZE, TEXT_SIZE, SMALL_SIZE = 14, 10, 8.5

INK, MUTED, MARK, GRID = "#222222", "#666666", "#999999", "#e8e8e8"
# Blue and vermilion of Okabe and Ito (2008), told apart with any colour vision; line styles tell them apart in grey.
VALIDATION, TRAINING = "#0072b2", "#d55e00"
# Shades for curves that have an order of their own, dark to light.
SHADES = ("#08306b", "#08519c", "#2171b5", "#4292c6")

FEW, MANY = 12, 300  # epochs: up to FEW, each is a dot; beyond MANY, the lines are thinner

_LEFT, _RIGHT = 0.8, 1.55  # inches beside the axes: for the numbers, and for the labels of the lines


@dataclass(frozen=True)
class EndLabel:
    """A text beside the right border of the axes, at the height of the line that it names."""

    text: str
    y: float
    color: str


def drawable(text: str, limit: int) -> str:
    """What a stranger wrote, on one line, with a box for each character that the font lacks."""
    text = plain(unicodedata.normalize("NFC", text), limit)
    return "".join(c if can_be_drawn(c) else "□" for c in text)


def can_be_drawn(text: str) -> bool:
    # Combining marks have a place in the font, but not always where they belong.
    return all(ord(c) in _characters() and not unicodedata.combining(c) for c in text)


@functools.cache
def _characters() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties(family=FONT))).get_charmap())


def new_figure(
    height: float,
    title: str,
    subtitle: str,
    caption: str,
    *,
    shape: tuple[int, int] = (1, 1),
    sharex: bool = True,
    **grid: Any,
) -> tuple[Figure, list[Axes]]:
    """A figure of `height` inches with `shape` rows and columns of styled axes, row by row.

    `grid` goes to the GridSpec, such as `height_ratios`.
    """
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    rows, columns = shape
    gutter = _RIGHT + 0.4 * _LEFT
    panel = (WIDTH - _LEFT - _RIGHT - gutter * (columns - 1)) / columns
    top = 1.3 if rows > 1 else 1.05  # inches for the titles and for the best epoch's label
    bottom = 0.65 + 0.17 * (caption.count("\n") + 1)
    axes = figure.subplots(
        rows,
        columns,
        sharex=sharex,
        squeeze=False,
        gridspec_kw={
            "left": _LEFT / WIDTH,
            "right": 1 - _RIGHT / WIDTH,
            "top": 1 - top / height,
            "bottom": bottom / height,
            "hspace": 0.45,
            "wspace": gutter / panel,
            **grid,
        },
    )
    left = 0.2 / WIDTH
    figure.text(left, 1 - 0.2 / height, title, size=TITLE_SIZE, weight="bold", color=INK, va="top", family=FONT)
    figure.text(left, 1 - 0.5 / height, subtitle, size=TEXT_SIZE, color=MUTED, va="top", family=FONT)
    figure.text(left, 0.12 / height, caption, size=SMALL_SIZE, color=MUTED, va="bottom", family=FONT, linespacing=1.35)
    for ax in axes.flat:
        _style(ax)
    for ax in axes[-1]:
        axis_label(ax, "x", "Epoch")
    return figure, list(axes.flat)


def _style(ax: Axes) -> None:
    ax.set_facecolor("white")
    ax.set_axisbelow(True)
    ax.grid(False)
    ax.grid(True, axis="y", color=GRID, linewidth=0.8, linestyle="-")
    for side, spine in ax.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color("#aaaaaa")
    ax.tick_params(axis="both", labelsize=TEXT_SIZE - 0.5, labelcolor=MUTED, labelfontfamily=FONT, color="#aaaaaa")
    ax.tick_params(axis="x", length=3)
    ax.tick_params(axis="y", length=0)


def axis_label(ax: Axes, axis: str, text: str) -> None:
    """Name the axis "x" or "y", with its unit."""
    ax.set(**{f"{axis}label": text})
    getattr(ax, f"{axis}axis").label.set(size=TEXT_SIZE, color=MUTED, family=FONT)


def panel_title(ax: Axes, text: str, *, room: bool = True) -> None:
    """A title over one of several axes; by default with room for the best epoch's label below it."""
    ax.set_title(text, loc="left", pad=24 if room else 8, size=TEXT_SIZE + 1, weight="bold", color=INK, family=FONT)


def set_epochs(ax: Axes, epochs: int) -> None:
    """Let the x axis span the epochs 1 to `epochs`, with whole numbers only."""
    ax.set_xlim(1 if epochs > 1 else 0.5, max(epochs, 1))
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))


def set_values(ax: Axes, series: Sequence[np.ndarray | float], *, from_zero: bool = False, ticks: int = 6) -> None:
    """Let the y axis span `series`, with some air; on a log scale where a run that diverged would flatten the rest."""
    ax.yaxis.set_major_locator(MaxNLocator(nbins=ticks, steps=[1, 2, 5, 10]))
    values = np.hstack([*series, []])
    values = values[np.isfinite(values)]
    if not len(values):
        say_nothing(ax)
        return
    low, high = float(values.min()), float(values.max())
    if from_zero:
        low = min(0.0, low)
        ax.set_ylim(low, high + (0.08 * (high - low) if high - low > 1e-9 else 1.0))
    elif low > 1e-9 and high > 100 * low:
        ax.set_yscale("log")
        ax.set_ylim(low / 1.5, high * 1.5)
        ax.yaxis.set_major_locator(LogLocator(numticks=6))
        ax.yaxis.set_minor_locator(NullLocator())
    else:
        air = max(0.07 * (high - low), 1e-3 * max(abs(low), abs(high)), 1e-6)
        ax.set_ylim(low - air, high + air)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))  # after the scale, which resets it


def say_nothing(ax: Axes, text: str = "nothing measured yet") -> None:
    """Write `text` in the place of what cannot be drawn."""
    ax.set_ylim(0, 1)
    ax.yaxis.set_major_locator(NullLocator())
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=MUTED, family=FONT)


def note(ax: Axes, text: str) -> None:
    """A remark inside the axes, in the upper right corner."""
    ax.text(
        0.99, 0.98, text, transform=ax.transAxes, ha="right", va="top", size=SMALL_SIZE, color=MUTED, family=FONT,
        linespacing=1.35,
    )  # fmt: skip


def curve(ax: Axes, values: np.ndarray, color: str, name: str, *, thin: bool = False, faint: bool = False) -> None:
    """Draw one value an epoch. NaN is a gap; a point between gaps, which no line would show, is a dot.

    A thin curve is dashed and lies above the others, so that both show where they coincide.
    """
    known = np.isfinite(values)
    lonely = known & ~np.append(False, known[:-1]) & ~np.append(known[1:], False)
    width = (1.0 if faint else 1.5 if thin else 2.2) * (1.0 if len(values) <= MANY else 0.6)
    ax.plot(
        np.arange(1, len(values) + 1),
        values,
        label=name,
        color=color,
        alpha=0.3 if faint else 1.0,
        linewidth=width,
        linestyle=(0, (3.5, 1.4)) if thin else "-",
        solid_capstyle="round",
        solid_joinstyle="round",
        marker="o",
        markersize=3.5 if thin else 5,
        markevery=np.flatnonzero(known if len(values) <= FEW else lonely),
        clip_on=False,
        zorder=2 if faint else 3.5 if thin else 3,
    )


def trend_reach(epochs: int) -> int:
    """How many epochs on either side a trend looks at: a twentieth of the run; 0, so no trend, in a short one."""
    return epochs // 20 + 1 if epochs >= 5 else 0


def trend(values: np.ndarray, reach: int) -> np.ndarray:
    """At each epoch, the height of the straight line fitted to the known values up to `reach` epochs away; gaps stay.

    Near values weigh more (tricube, as in LOWESS: Cleveland, 1979). Unlike a moving average this neither lags nor bends
    at the end of the run, where people look; the shorter reach at the start keeps the steep first epochs.
    """
    result = np.full(len(values), np.nan)
    known = np.flatnonzero(np.isfinite(values))
    for i in known:
        width = min(reach, int(i)) + 1
        away = known[np.abs(known - i) < width] - i
        near = values[i + away]
        weight = (1 - np.abs(away / width) ** 3) ** 3
        middle, level = np.average(away, weights=weight), np.average(near, weights=weight)
        square = np.average((away - middle) ** 2, weights=weight)
        slope = np.average((away - middle) * (near - level), weights=weight) / square if square else 0.0
        result[i] = level - slope * middle
    return result


def band(ax: Axes, values: np.ndarray, errors: np.ndarray | None, color: str) -> None:
    """Shade one of `errors` to either side of `values`, as far as both are known."""
    if errors is None or not len(errors):
        return
    known = min(len(values), len(errors))
    values, errors = values[:known], errors[:known]
    ax.fill_between(
        np.arange(1, known + 1), values - errors, values + errors, label="band", color=color, alpha=0.15, linewidth=0,
        zorder=1.8,
    )  # fmt: skip


def reference_line(ax: Axes, y: float, name: str, *, dashed: bool = False) -> None:
    """A dotted level to compare the curves with; `dashed`: dash-dotted, so that two differ."""
    dashes = (0, (6, 2, 1, 2)) if dashed else (0, (1, 2))
    ax.axhline(y, label=name, color=MUTED, linewidth=1.2, linestyle=dashes, zorder=1.5)


def mark_best(ax: Axes, epoch: int | None, text: str = "", curves: Sequence[tuple[np.ndarray, str]] = ()) -> None:
    """A line at the best epoch, `text` as its label over the axes, and a ring on each of `curves` (values, colour)."""
    if epoch is None:
        return
    low, high = ax.get_xlim()
    pole, point = (epoch - low) / (high - low), 1 / _points_high(ax)
    top = 1 + 18 * point if text else 1
    ax.plot(
        [pole, pole], [0, top], transform=ax.transAxes, label="best epoch", color=MARK, linewidth=1.0, clip_on=False,
        zorder=1,
    )  # fmt: skip
    for values, color in curves:
        ring(ax, epoch, values, color)
    if text:
        side, air = ("left", 4) if pole < 0.5 else ("right", -4)
        ax.annotate(
            text, (pole, 1 + 8 * point), xycoords="axes fraction", xytext=(air, 0), textcoords="offset points",
            ha=side, va="baseline", size=TEXT_SIZE - 0.5, color=INK, family=FONT,
        )  # fmt: skip


def ring(ax: Axes, epoch: int | None, values: np.ndarray, color: str) -> None:
    """A ring on the curve of `values` at the epoch, if there is one."""
    if epoch is None:
        return
    ax.plot(
        [epoch],
        values[epoch - 1 : epoch] if epoch <= len(values) else [np.nan],
        label="best value",
        linestyle="none",
        marker="o",
        markersize=7,
        markerfacecolor="white",
        markeredgecolor=color,
        markeredgewidth=1.8,
        clip_on=False,
        zorder=3.2 if len(values) <= FEW else 4,  # a dot of another curve may lie inside, but no tangle of lines
    )


def label_ends(ax: Axes, labels: Sequence[EndLabel]) -> None:
    """Write `labels` beside the axes, moved apart where they would overlap. Call it when the limits are set."""
    labels = sorted((label for label in labels if np.isfinite(label.y)), key=lambda label: label.y)
    if not labels:
        return
    gap = 1.25 * TEXT_SIZE / _points_high(ax)
    air = 9 / _points_wide(ax)
    wanted = [_height_of(ax, label.y) for label in labels]
    for label, at, place in zip(labels, wanted, spread(wanted, gap), strict=True):
        if abs(place - at) > 0.1 * gap:
            ax.plot(
                [1.0, 1.0 + 0.8 * air], [at, place], transform=ax.transAxes, color=label.color, linewidth=0.8,
                clip_on=False, label="leader",
            )  # fmt: skip
        ax.text(
            1.0 + air, place, label.text, transform=ax.transAxes, ha="left", va="center",
            size=TEXT_SIZE, color=label.color, family=FONT,
        )  # fmt: skip


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """The places nearest to `wanted` (ascending, 0 to 1) that are at least `gap` apart and, if they fit, within 0 to 1.

    Least squares under the order constraint: the pool-adjacent-violators algorithm on `wanted[i] - i * gap`.
    """
    pools: list[list[float]] = []
    for i, value in enumerate(wanted):
        pools.append([value - i * gap])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    level = [float(np.mean(pool)) for pool in pools for _ in pool]
    highest = max(0.0, 1 - (len(wanted) - 1) * gap)
    return [min(max(value, 0.0), highest) + i * gap for i, value in enumerate(level)]


@with_own_settings
def save(figure: Figure, path: Path) -> None:
    """Write a PNG. Whoever looks meanwhile sees the old picture or the new one, never half of one."""
    with write_aside(path) as file:
        FigureCanvasAgg(figure).print_png(file)


def _points_wide(ax: Axes) -> float:
    return float(ax.get_window_extent().width) / DPI * 72


def _points_high(ax: Axes) -> float:
    return float(ax.get_window_extent().height) / DPI * 72


def _height_of(ax: Axes, y: float) -> float:
    """The height of the value `y` between the lower (0) and the upper (1) border of the axes."""
    at = ax.transAxes.inverted().transform(ax.transData.transform((ax.get_xlim()[0], y)))[1]
    return min(max(float(at), 0.0), 1.0)
