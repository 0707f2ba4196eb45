"""What compare.py shows at the end: a table of medians over the seeds, and NDCG@10 against training seconds."""

from __future__ import annotations

import itertools
import os
import platform
import statistics
import textwrap
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from anime_bert4rec.plots.style import (
    MUTED,
    TRAINING,
    VALIDATION,
    EndLabel,
    axis_label,
    label_ends,
    new_figure,
    reference_line,
    save,
)

Outcome = Mapping[str, Any]
"""What one contender printed with one seed, with its `name`; `error` where it failed."""

COLUMNS: list[tuple[str, str, Callable[[float], str]]] = [
    ("tokens_per_second", "tokens/s", "{:,.0f}".format),
    ("seconds_per_epoch", "s/epoch", "{:.2f}".format),
    ("peak_mb", "peak MB", "{:,.0f}".format),
    ("top_10_seconds", "top 10, s", "{:.2f}".format),
    ("train_seconds", "training, s", "{:,.1f}".format),
    ("seconds_to_best", "to best, s", "{:,.1f}".format),
    ("validation_ndcg", "valid. NDCG@10", "{:.4f}".format),
    ("hr@10", "HR@10", "{:.4f}".format),
    ("ndcg@10", "NDCG@10", "{:.4f}".format),
    ("others_cores", "others' cores", "{:.2f}".format),
]
LONGEST_NAME = 18  # of what stands beside a curve; the table has it whole
# Okabe and Ito (2008), as in plot_style.
OURS, PEERS = (VALIDATION, TRAINING, "#000000"), ("#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def by_name(results: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """The results of each contender that got to its end, in the order of the run."""
    groups: dict[str, list[Outcome]] = {}
    for result in results:
        if "error" not in result:
            groups.setdefault(result["name"], []).append(result)
    return groups


def median(results: Sequence[Outcome], key: str) -> float | None:
    values = [result[key] for result in results if result.get(key) is not None]
    return statistics.median(values) if values else None


def table(results: Sequence[Outcome]) -> str:
    """Markdown, one line a contender."""
    rows = [["", *(title for _, title, _ in COLUMNS)]]
    for name, runs in by_name(results).items():
        values = [(median(runs, key), form) for key, _, form in COLUMNS]
        rows.append([name, *("" if value is None else form(value) for value, form in values)])
    failed = {result["name"] for result in results if "error" in result} - by_name(results).keys()
    rows += [[name, "failed", *[""] * (len(COLUMNS) - 1)] for name in sorted(failed)]
    return markdown(rows)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row is the header; columns as wide as they must be, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(w) if k == 0 else cell.rjust(w) for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines.insert(1, f"|{'|'.join('-' * (w + 1 + (k == 0)) + ':' * (k > 0) for k, w in enumerate(widths))}|")
    return "\n".join(lines)


def plot(results: Sequence[Outcome], path: Path, title: str, caption: str) -> None:
    """Validation NDCG@10 against training seconds, a line a contender and seed; baselines are levels."""
    figure, (ax,) = new_figure(5.0, title, "NDCG@10 of the validation items, full ranking", caption)
    ours, peers = itertools.cycle(OURS), itertools.cycle(PEERS)
    labels, highest = [], 0.0
    for name, runs in by_name(results).items():
        if "curve" in runs[0]:
            color = next(ours if name.startswith("ours") else peers)
            for run in runs:
                seconds = [max(look["seconds"], 1.0) for look in run["curve"]]  # the scale has no place for 0
                ndcg = [look["ndcg@10"] for look in run["curve"]]
                ax.plot(seconds, ndcg, color=color, linewidth=1.8, marker="o", markersize=3, label=name)
                highest = max(highest, *ndcg)
            level = float(np.median([run["curve"][-1]["ndcg@10"] for run in runs]))
        else:
            color, level = MUTED, float(median(runs, "validation_ndcg") or 0)
            reference_line(ax, level, name)
            highest = max(highest, level)
        labels.append(EndLabel(textwrap.shorten(name, LONGEST_NAME, placeholder=""), level, color))
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:,g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_ylim(0, 1.08 * highest or 1)
    axis_label(ax, "x", "seconds of training")
    axis_label(ax, "y", "NDCG@10")
    label_ends(ax, labels)
    save(figure, path)


def when_and_where() -> dict[str, str]:
    """The moment, and the machine that is measured on."""
    return {"started": datetime.now().isoformat(timespec="seconds"), "machine": machine()}


def machine() -> str:
    """The cores and the processor of this machine."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":")[1].strip()
                break
    except OSError:
        pass
    return f"{os.cpu_count()} cores, {model}"
