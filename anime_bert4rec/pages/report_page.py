"""The page of a run: its curves, the model beside baselines, the lists it learnt from, and the map of anime."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from anime_bert4rec.lists.overview import Overview, length_edges, usual_years
from anime_bert4rec.lists.people import ENOUGH_PEOPLE
from anime_bert4rec.lists.records import Anime
from anime_bert4rec.pages.kept_map import KeptMap
from anime_bert4rec.pages.page import page
from anime_bert4rec.pages.title_table import TitleTable
from anime_bert4rec.plots.training_metrics import Metrics
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.forms import WrongForm, check
from anime_bert4rec.support.text import describe_os_error, plain
from anime_bert4rec.support.whole_files import read_json

METRICS = ("ndcg@10", "hr@10", "recall@10", "mrr")
"""The metrics of an evaluation that the page shows, one at a time."""
DIGITS = 9
"""How many decimal places of a number are in the page. It shows fewer: what was rounded before to hardly more would be
rounded twice, and differ from what evaluate.py and train_model.py print."""
TAIL_POINTS = 300
"""How many points the curve of the long tail has."""


class _Mean(TypedDict):
    mean: float
    error: float


class _Task(TypedDict):
    users: int
    contenders: dict[str, dict[str, Any]]


class _Model(TypedDict):
    epoch: int
    val_loss: float


class _Evaluation(TypedDict):
    model: _Model
    tasks: dict[str, _Task]


@dataclass(frozen=True)
class ReportData:
    """What is shown of the database, and of the model where there is one."""

    catalogue: Sequence[Anime] = ()
    overview: Overview | None = None
    on_map: KeptMap | None = None


def report_page(
    metrics: Metrics,
    tasks: Sequence[Mapping[str, Any]],
    shown: ReportData,
    made: str,
    who: str = "",
    watched: Collection[int] = (),
    language: str = "romaji",
) -> str:
    """The page as HTML.

    tasks: what `read_tasks` gives. made: the day. who, watched: the name of somebody whose list is lit up on the map,
    and its ids. language: that of titles, until another is chosen.
    """
    titles = TitleTable(shown.catalogue)
    map_columns = shown.on_map.columns(titles) if shown.on_map else None
    data = {
        "made": made,
        "who": plain(who, 200),
        "spelling": language,
        "run": _run(metrics) if metrics.epochs else None,
        "tasks": tasks,
        "lists": _lists(shown.overview) if shown.overview and len(shown.overview.lengths) else None,
        "map": map_columns,
        "lit": titles.known(watched) if who else None,
        "links": titles.on_anilist,
        "titles": titles.columns(),
    }
    return page("report", "What training came to", data)


def read_tasks(path: Path, metrics: Metrics) -> list[dict[str, Any]]:
    """What the page shows of an evaluation.json; nothing where there is none. Raises UserError for another file, and
    where another model was evaluated than the best one of the run with these metrics.

    A task with too few people to tell anything of has no contenders.
    """
    try:
        found: _Evaluation = read_json(path)
        check(found, _Evaluation, "the file")
        best, asked = metrics.best_epoch, found["model"]
        if not best or (asked["epoch"], asked["val_loss"]) != (best, metrics.val_losses[best - 1]):
            raise UserError(f"{path.name} is of another model than the best of the run: evaluate.py asks that one")
        return [_task(name, task) for name, task in found["tasks"].items()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"cannot read the evaluation: {describe_os_error(error)}") from None
    except (WrongForm, ValueError) as error:
        raise UserError(f"{path} is not what evaluate.py writes ({error})") from None


def _task(name: str, task: _Task) -> dict[str, Any]:
    contenders = [
        {"name": plain(contender, 60), "model": not place, "values": _means(values)}
        for place, (contender, values) in enumerate(task["contenders"].items())
    ]
    return {
        "name": plain(name, 80),
        "users": task["users"],
        "contenders": contenders if task["users"] >= ENOUGH_PEOPLE else [],
    }


def _means(values: Mapping[str, Any]) -> dict[str, list[float]]:
    means = {}
    for metric in METRICS:
        if metric in values:
            value: _Mean = values[metric]
            check(value, _Mean, metric)
            means[metric] = [round(value["mean"], DIGITS), round(value["error"], DIGITS)]
    return means


def _run(metrics: Metrics) -> dict[str, Any]:
    users, items = metrics.validated_on
    return {
        "users": users,
        "items": items,
        "epochs": metrics.epochs,
        "best_epoch": metrics.best_epoch,
        "several_lengths": metrics.several_lengths,
        "train_losses": _series(metrics.train_losses),
        "val_losses": _series(metrics.val_losses),
        "val_accuracies": {k: _series(values) for k, values in metrics.val_accuracies.items()},
        "popularity": metrics.popularity,
        "baseline": plain(metrics.baseline, 40),
        "baseline_levels": metrics.baseline_levels,
    }


def _series(values: np.ndarray) -> list[float | None]:
    return [round(value, DIGITS) if np.isfinite(value) else None for value in values.tolist()]


def _lists(overview: Overview) -> dict[str, Any]:
    edges = length_edges(overview.lengths)
    counts, _ = np.histogram(overview.lengths, edges)
    listed = np.sort(overview.popularity[overview.popularity > 0])[::-1]
    ranks = np.unique(np.linspace(1, len(listed), min(TAIL_POINTS, len(listed))).round().astype(int))
    return {
        "users": len(overview.lengths),
        "entries": int(overview.lengths.sum()),
        "lengths": [[int(low), int(count)] for low, count in zip(edges[:-1], counts, strict=True)],
        "tail": [[int(rank), int(listed[rank - 1])] for rank in ranks],
        "years": [[year, count] for year, count in usual_years(overview.by_year).items()],
        "own_date": overview.own_date,
        "bulk": overview.bulk,
        "undated": overview.undated,
    }
