"""Draws ranking_comparison.png: NDCG@10 of the model and of the baselines, with standard errors."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anime_bert4rec.evaluation.beside_baselines import FOLD_IN, MODEL, NEXT_ITEM, Answers, TaskResult
from anime_bert4rec.plots import style
from anime_bert4rec.plots.matplotlib_settings import with_own_settings

NAMES = {
    NEXT_ITEM: "Next item: the last dated entry, from all before it",
    FOLD_IN: "Fold-in: the last fifth of a list, from the rest",
}
CAPTION = (
    "Filled: everything that was hidden. Hollow: new ground, without titles of a franchise of which something was\n"
    "watched before. Bars: one standard error over users to either side. All anime are ranked, seen ones left out."
)
APART = 0.17
"""Half the distance between the two marks of a contender, whose rows are 1 apart."""
NAME_WIDTH, NUMBER_WIDTH = 1.3, 2.05
"""Inches beside the axes: for the names on the left, and for the numbers on the right."""


@with_own_settings
def ranking_comparison(answers: Answers, facts: str) -> Figure:
    """A panel for each task, a row for each contender. `facts` is the line below the title."""
    rows = len(answers.tasks)
    figure, axes = style.new_figure(
        1.7 + 2.5 * rows,
        "Ranking beside baselines",
        facts,
        CAPTION,
        shape=(rows, 1),
        left=NAME_WIDTH / style.WIDTH,
        right=1 - NUMBER_WIDTH / style.WIDTH,
        hspace=0.3,
    )
    highest = 0.0
    for ax, (name, results) in zip(axes, answers.tasks.items(), strict=True):
        of_users = results[False].users
        style.panel_title(ax, f"{NAMES[name]} ({of_users:,} user{'s' if of_users != 1 else ''})", flag=False)
        both = len(results) > 1
        for fresh, result in results.items():
            highest = max(highest, _draw(ax, result, fresh, both))
        contenders = list(results[False].contenders)
        ax.set_ylim(len(contenders) - 0.5, -0.5)
        ax.set_yticks(range(len(contenders)), contenders)
        for tick, contender in zip(ax.get_yticklabels(), contenders, strict=True):
            tick.set_color(style.VALIDATION if contender == MODEL else style.INK)
        ax.tick_params(axis="y", pad=9)
        ax.grid(False, axis="y")
        ax.grid(True, axis="x", color=style.GRID, linewidth=0.8)
    axes[-1].set_xlim(0, 1.03 * highest or 1)
    for ax, results in zip(axes, answers.tasks.values(), strict=True):
        _label(ax, results)
    style.axis_label(axes[-1], "x", "NDCG@10")
    return figure


def _draw(ax: Axes, result: TaskResult, fresh: bool, both: bool) -> float:
    """Returns the highest end of an error bar."""
    ends = []
    for row, (contender, each) in enumerate(result.contenders.items()):
        mean, error = each.mean("ndcg@10"), each.error("ndcg@10")
        color = style.VALIDATION if contender == MODEL else style.MUTED
        ax.errorbar(
            mean,
            row + (APART if fresh else -APART if both else 0),
            xerr=error,
            fmt="o",
            color=color,
            markersize=7,
            markerfacecolor="white" if fresh else color,
            markeredgewidth=1.6,
            elinewidth=1.4,
            capsize=2.5,
            clip_on=False,
            zorder=3,
            label=f"{contender}{', new ground' if fresh else ''}",
        )
        ends.append(mean + error)
    return max(ends)


def _label(ax: Axes, results: dict[bool, TaskResult]) -> None:
    """The numbers beside the axes, each at the height of its mark."""
    for fresh, result in results.items():
        note = "" if len(results) == 1 else "  new ground" if fresh else "  all"
        for row, (contender, each) in enumerate(result.contenders.items()):
            mean, error = each.mean("ndcg@10"), each.error("ndcg@10")
            at = row + (APART + 0.06 if fresh else -APART - 0.06 if len(results) > 1 else 0)
            ax.annotate(
                f"{mean:.3f} ± {error:.3f}{note if not row else ''}",
                (1, at),
                xycoords=("axes fraction", "data"),
                xytext=(9, 0),
                textcoords="offset points",
                va="center",
                size=style.SMALL_SIZE,
                color=style.VALIDATION if contender == MODEL else style.MUTED,
                weight="bold" if contender == MODEL and not fresh else "normal",
                family=style.FONT,
            )
