"""Draws ranking_comparison.png: NDCG@10 of the model and of the baselines, with standard errors."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anime_bert4rec.evaluation.measuring import MODEL, Answers, TaskResult
from anime_bert4rec.evaluation.questions import EVERYTHING, NEW_GROUND, QUESTIONS
from anime_bert4rec.plots import style
from anime_bert4rec.plots.matplotlib_settings import with_own_settings
from anime_bert4rec.support.text import count_of

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
    """A panel for each question, a row for each contender. `facts` is the line below the title."""
    panels = len(answers.in_full)
    figure, axes = style.new_figure(
        1.7 + 2.5 * panels,
        "Ranking beside baselines",
        facts,
        CAPTION,
        shape=(panels, 1),
        left=NAME_WIDTH / style.WIDTH,
        right=1 - NUMBER_WIDTH / style.WIDTH,
        hspace=0.3,
    )
    highest = 0.0
    for ax, (name, results) in zip(axes, answers.in_full.items(), strict=True):
        users = results[EVERYTHING].users
        heading = f"{name.capitalize()}: {QUESTIONS[name].description}"
        style.panel_title(ax, f"{heading} ({count_of(users, 'user')})", room=False)
        contenders = list(results[EVERYTHING].contenders)
        ax.set_ylim(len(contenders) - 0.5, -0.5)
        ax.set_yticks(range(len(contenders)), contenders)
        for tick, contender in zip(ax.get_yticklabels(), contenders, strict=True):
            tick.set_color(style.VALIDATION if contender == MODEL else style.INK)
        ax.tick_params(axis="y", pad=9)
        ax.grid(False, axis="y")
        ax.grid(True, axis="x", color=style.GRID, linewidth=0.8)
        for variant, result in results.items():
            side = 0 if len(results) == 1 else 1 if variant == NEW_GROUND else -1
            highest = max(highest, _draw(ax, result, variant == NEW_GROUND, side))
    axes[-1].set_xlim(0, 1.03 * highest or 1)
    style.axis_label(axes[-1], "x", "NDCG@10")
    return figure


def _draw(ax: Axes, result: TaskResult, hollow: bool, side: int) -> float:
    """A mark for each contender, and its number beside the axes; returns the highest end of an error bar.

    side: above (-1), below (1) or in the middle of the contender's row.
    """
    ends = []
    note = ("", "  new ground", "  all")[side]
    for row, (contender, each) in enumerate(result.contenders.items()):
        mean, error = each.mean("ndcg@10"), each.error("ndcg@10")
        of_model = contender == MODEL
        color = style.VALIDATION if of_model else style.MUTED
        ax.errorbar(
            mean,
            row + side * APART,
            xerr=error,
            fmt="o",
            color=color,
            markersize=7,
            markerfacecolor="white" if hollow else color,
            markeredgewidth=1.6,
            elinewidth=1.4,
            capsize=2.5,
            clip_on=False,
            zorder=3,
            label=contender,
        )
        ax.annotate(
            f"{mean:.3f} ± {error:.3f}{note if not row else ''}",
            (1, row + side * (APART + 0.06)),
            xycoords=("axes fraction", "data"),
            xytext=(9, 0),
            textcoords="offset points",
            va="center",
            size=style.SMALL_SIZE,
            color=color,
            weight="bold" if of_model and not hollow else "normal",
            family=style.FONT,
        )
        ends.append(mean + error)
    return max(ends)
