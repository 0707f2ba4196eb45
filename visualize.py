"""Draws what training has left: the course of the run, the map of anime, and an overview of the lists.

    python visualize.py
    python visualize.py --metrics elsewhere/training_metrics.json           # only the curves of that file
    python visualize.py --compare output output/old/20260102_030405         # the curves of runs over each other

train_model.py calls `plot_all` and `plot_data` itself; run this script to draw again, or to look at a run that was
killed.
"""

from __future__ import annotations

from anime_bert4rec.support import stopping

stopping.while_importing(__name__)

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anime_bert4rec.command_line.flags import ScriptSettings, group
from anime_bert4rec.command_line.script import logging_to, parse, script
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.model.run_folder import read_config
from anime_bert4rec.plots import style
from anime_bert4rec.plots.anime_map import anime_map, load_map_points
from anime_bert4rec.plots.data_overview import data_overview, read_overview
from anime_bert4rec.plots.run_comparison import comparison
from anime_bert4rec.plots.training_curves import PLOTS
from anime_bert4rec.plots.training_metrics import read_metrics
from anime_bert4rec.support.errors import UserError
from config import DrawingSettings, PathSettings

log = logging.getLogger(__name__)


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


def plot_data(paths: PathSettings) -> list[Path]:
    """Draw data_overview.png and anime_map.png, from the database and from the model in the output folder.

    The database is the one of the run unless `paths` names one. Where one of the two is missing or cannot be used, the
    log says so in a line. Returns the paths of what was drawn.
    """
    drawn: list[Path] = []
    try:
        with Database.open_to_read(paths.db or _database_of_run(paths)) as database, database.snapshot():
            database.require_training_data()
            anime = database.anime(database.anime_ids())
            vocabulary = Vocabulary.of(each.anime_id for each in anime)
            overview = read_overview(database.iter_watched(), vocabulary)
        style.save(data_overview(overview), paths.plots / "data_overview.png")
        drawn.append(paths.plots / "data_overview.png")

        on_lists = dict(zip(vocabulary.anime_ids.tolist(), overview.popularity.tolist(), strict=True))
        known = load_map_points(paths.models, on_lists)
        by_id = {each.anime_id: each for each in anime}
        here = np.array([anime_id in by_id for anime_id in known.anime_ids.tolist()], bool)
        ids = known.anime_ids[here].tolist()
        popularity = np.array([on_lists[anime_id] for anime_id in ids])
        figure = anime_map([by_id[anime_id] for anime_id in ids], known.points[here], popularity, known.source)
        style.save(figure, paths.plots / "anime_map.png")
        drawn.append(paths.plots / "anime_map.png")
    except UserError as error:
        missing = "data_overview.png and anime_map.png were" if not drawn else "anime_map.png was"
        log.warning("%s not drawn: %s", missing, error)
    return drawn


def _database_of_run(paths: PathSettings) -> Path:
    try:
        return Path(read_config(paths.models)["database"])
    except (OSError, UserError):
        return paths.database_file


def plot_comparison(runs: Sequence[Path], plots_dir: Path) -> Path:
    """Draw comparison.png of several runs: their output folders or metrics files. Raises UserError."""
    style.save(comparison(runs), plots_dir / "comparison.png")
    return plots_dir / "comparison.png"


@dataclass(frozen=True, kw_only=True)
class Settings(ScriptSettings):
    drawing: DrawingSettings = group("what is drawn")
    paths: PathSettings = group("paths")


@script
def main(argv: Sequence[str] | None = None) -> int:
    settings = parse(argv, Settings, "Draw what training has left: the course of the run, the map, the lists.")
    wanted, paths = settings.drawing, settings.paths
    with logging_to():
        if wanted.compare:
            print(plot_comparison(wanted.compare, paths.plots))
            return 0
        drawn = plot_all(wanted.metrics or paths.metrics_file, paths.plots)
        for path in drawn if wanted.metrics else [*drawn, *plot_data(paths)]:
            print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
