"""Draws data_overview.png: how long the lists are, what is known of their dates, the long tail, entries a year."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from anime_bert4rec.lists.overview import Overview, length_edges, usual_years
from anime_bert4rec.lists.sequences import BULK_DAY
from anime_bert4rec.plots import style
from anime_bert4rec.plots.matplotlib_settings import with_own_settings
from anime_bert4rec.support.text import count_of

COMMON = 0.5
"""The share of all entries for which the picture of the long tail says how few titles have it."""


@with_own_settings
def data_overview(overview: Overview) -> Figure:
    users, entries = len(overview.lengths), int(overview.lengths.sum())
    facts = f"{count_of(users, 'list')} · {len(overview.popularity):,} anime · {entries:,} entries"
    caption = (
        f"Training and validation lists. Imported together: {BULK_DAY} or more entries of a list have the"
        " same date.\nDates: of completion, else of the start, else of the last change of the entry."
    )
    figure, axes = style.new_figure(
        7.2, "The lists at a glance", facts, caption, shape=(2, 2), sharex=False, right=1 - 0.3 / 8, wspace=0.3
    )
    for ax in axes:
        style.axis_label(ax, "x", "")
    draws = (_draw_lengths, _draw_dates, _draw_tail, _draw_years)
    for ax, draw in zip(axes, draws, strict=True):
        draw(ax, overview)
    return figure


def _draw_lengths(ax: Axes, overview: Overview) -> None:
    style.panel_title(ax, "How long the lists are", room=False)
    style.axis_label(ax, "y", "Lists")
    style.axis_label(ax, "x", "Anime on a list")
    lengths = overview.lengths
    if not len(lengths):
        return _say_nothing(ax, "nobody has a list yet")
    ax.set_xscale("log")
    ax.hist(lengths, length_edges(lengths).tolist(), color=style.VALIDATION, edgecolor="white", linewidth=0.6)
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    _whole_numbers(ax)
    middle = float(np.median(lengths))
    ax.axvline(middle, color=style.MARK, linewidth=1.0, label="median")
    style.note(ax, f"median {middle:,.0f}")


def _draw_dates(ax: Axes, overview: Overview) -> None:
    style.panel_title(ax, "What is known of the dates", room=False)
    style.axis_label(ax, "x", "Share of the entries (%)")
    counts = np.array([overview.own_date, overview.bulk, overview.undated])
    names = ["date of its own", "imported together", "no date"]
    shares = 100 * counts / max(counts.sum(), 1)
    ax.barh(names, shares, height=0.55, color=[style.VALIDATION, style.SHADES[3], style.MARK])
    ax.set_ylim(2.5, -0.5)
    ax.set_xlim(0, 118)
    ax.set_xticks([0, 25, 50, 75, 100])
    ax.grid(False, axis="y")
    ax.grid(True, axis="x", color=style.GRID, linewidth=0.8)
    ax.set_yticks([])  # the names stand over the bars: beside the axes is no room
    for row, (name, share) in enumerate(zip(names, shares, strict=True)):
        ax.text(0, row - 0.31, name, va="bottom", size=style.SMALL_SIZE, color=style.INK, family=style.FONT)
        ax.text(
            share + 1.5, row, f"{share:.0f} %", va="center", size=style.SMALL_SIZE, color=style.MUTED, family=style.FONT
        )


def _draw_tail(ax: Axes, overview: Overview) -> None:
    style.panel_title(ax, "The long tail", room=False)
    style.axis_label(ax, "y", "Lists that have it")
    style.axis_label(ax, "x", "Anime, the most popular first")
    ranked = np.sort(overview.popularity)[::-1]
    listed = ranked[ranked > 0]
    if not len(listed):
        return _say_nothing(ax, "nobody has a list yet")
    rank = np.arange(1, len(listed) + 1)
    ax.set_yscale("log")
    ax.fill_between(rank, 0.7, listed, color=style.VALIDATION, alpha=0.2, linewidth=0)
    ax.plot(rank, listed, color=style.VALIDATION, linewidth=2.0, label="popularity")
    ax.set_xlim(0, len(ranked) + 1)
    ax.set_ylim(0.7, 2 * listed[0])
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    common = int(np.searchsorted(np.cumsum(listed), COMMON * listed.sum())) + 1
    ax.axvline(common, color=style.MARK, linewidth=1.0, label="half of the entries")
    never = len(ranked) - len(listed)
    style.note(ax, f"half of all entries: {common:,} anime" + (f"\non no list: {never:,}" if never else ""))


def _draw_years(ax: Axes, overview: Overview) -> None:
    style.panel_title(ax, "Entries a year", room=False)
    style.axis_label(ax, "y", "Entries")
    style.axis_label(ax, "x", "Year of the date, imports left out")
    if not overview.by_year:
        return _say_nothing(ax, "no entry has a date of its own")
    shown = usual_years(overview.by_year)
    first, latest = min(shown), max(shown)
    ax.bar(list(shown), list(shown.values()), width=0.8, color=style.VALIDATION)
    ax.set_xlim(first - 0.6, latest + 0.6)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    _whole_numbers(ax)
    left_out = sum(overview.by_year.values()) - sum(shown.values())
    if left_out:
        style.note(ax, f"{left_out:,} in other years")


def _whole_numbers(ax: Axes) -> None:
    ax.set_ylim(0, 1.15 * ax.get_ylim()[1])  # room for a note
    ax.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _say_nothing(ax: Axes, text: str) -> None:
    style.say_nothing(ax, text)
    ax.set_xticks([])
