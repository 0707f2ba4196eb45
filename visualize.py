"""Draws what training has left: the course of the run, the map of anime, an overview of the lists, and a page of all.

    python visualize.py
    python visualize.py --user NAME                                         # with this list lit up on the page's map
    python visualize.py --metrics elsewhere/training_metrics.json           # only the curves of that file
    python visualize.py --compare output output/old/2026-01-02_03-04-05     # the curves of runs over each other

train_model.py calls `plot_all`, `plot_data` and `write_report` itself; run this script to draw again, or to look at a
run that was killed.
"""

from __future__ import annotations

from anime_bert4rec.support import stopping

stopping.while_importing(__name__)

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from anime_bert4rec.command_line.flags import ScriptSettings, group
from anime_bert4rec.command_line.script import logging_to, parse, script
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.overview import read_overview
from anime_bert4rec.lists.people import load_people, watched_by
from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.model.run_folder import ANIME_MAP, DATA_OVERVIEW, RUN_COMPARISON, database_of, read_config
from anime_bert4rec.pages.kept_map import LAYOUT_DIGITS, NEAR, KeptMap, earlier_map
from anime_bert4rec.pages.page import write_page
from anime_bert4rec.pages.report_page import ReportData, read_tasks, report_page
from anime_bert4rec.plots import style
from anime_bert4rec.plots.anime_map import MapPoints, anime_map, load_map_points, spread_out
from anime_bert4rec.plots.data_overview import data_overview
from anime_bert4rec.plots.map_layout import force_layout, nearest_first
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


def plot_data(paths: PathSettings, language: str | None = None) -> tuple[list[Path], ReportData]:
    """Draw data_overview.png and anime_map.png, from the database and from the model in the output folder.

    The database is the one of the run unless `paths` names one. Where one of the two is missing or cannot be used, the
    log says so in a line. Returns the paths of what was drawn, and what the page of the run shows of it.
    """
    drawn: list[Path] = []
    shown = ReportData()
    try:
        with Database.open_to_read(paths.db or _database_of_run(paths)) as database, database.snapshot():
            database.require_training_data()
            anime = database.anime(database.anime_ids())
            vocabulary = Vocabulary.of(each.anime_id for each in anime)
            people = load_people(paths.people_file)  # who has come into the database since is not of this run
            rows = database.iter_watched() if people is None else watched_by(people, database)
            overview = read_overview(rows, vocabulary)
            if people is not None and not len(overview.lengths):
                raise UserError(f"{database.path} has nobody any more whom this model was trained on")
        shown = ReportData(anime, overview)
        style.save(data_overview(overview), paths.plots / DATA_OVERVIEW)
        drawn.append(paths.plots / DATA_OVERVIEW)

        on_lists = dict(zip(vocabulary.anime_ids.tolist(), overview.popularity.tolist(), strict=True))
        known = load_map_points(paths.models, on_lists)
        on_map = lay_out_map(known, on_lists, earlier_map(paths))
        by_id = {each.anime_id: each for each in anime}
        titles = [by_id[anime_id] for anime_id in on_map.anime_ids.tolist()]
        picture = anime_map(titles, on_map.place, on_map.popularity, on_map.source, language or "english")
        style.save(picture, paths.plots / ANIME_MAP)
        on_map.save(paths.map_file)
        drawn.append(paths.plots / ANIME_MAP)
        shown = replace(shown, on_map=on_map)
    except UserError as error:
        missing = f"{DATA_OVERVIEW} and {ANIME_MAP} were" if not drawn else f"{ANIME_MAP} was"
        log.warning("%s not drawn: %s", missing, error)
    return drawn, shown


def lay_out_map(known: MapPoints, on_lists: Mapping[int, int], earlier: KeptMap | None) -> KeptMap:
    """The map of the titles that are in the catalogue, `on_lists`; near where they were on an earlier map, if any."""
    here = np.array([anime_id in on_lists for anime_id in known.anime_ids.tolist()], bool)
    ids, points = known.anime_ids[here], known.points[here]
    popularity = np.array([on_lists[anime_id] for anime_id in ids.tolist()], np.int64)
    order = np.argsort(-popularity, kind="stable")
    ids, points, popularity = ids[order], points[order], popularity[order]
    made_from = hashlib.sha256(ids.tobytes() + np.ascontiguousarray(points).tobytes()).hexdigest()
    if earlier and earlier.made_from == made_from:
        layout = earlier.layout
    else:
        layout = force_layout(points, earlier.begin_at(ids) if earlier else None).round(LAYOUT_DIGITS)
    near = nearest_first(points, min(NEAR, len(points) - 1))
    return KeptMap(ids, popularity, layout, spread_out(layout), near, known.source, made_from)


def write_report(
    paths: PathSettings,
    shown: ReportData,
    who: str = "",
    watched: Sequence[int] = (),
    language: str | None = None,
) -> Path:
    """Write report.html: the metrics and the evaluation in the output folder, and what `plot_data` found.

    who, watched: the name of somebody whose list is lit up on the map, and its ids. language: of titles, until another
    is chosen on the page. Raises UserError.
    """
    metrics = read_metrics(paths.metrics_file)
    try:
        tasks = read_tasks(paths.evaluation_file, metrics)
    except UserError as error:
        tasks = []
        log.warning("The report is without the evaluation: %s", error)
    made = f"{datetime.now():%Y-%m-%d}"
    html = report_page(metrics, tasks, shown, made, who, watched, language or "romaji")
    write_page(paths.report_page, html)
    return paths.report_page


def list_of(user: str, paths: PathSettings) -> tuple[str, list[int]]:
    """The name of somebody in the database, and the ids of what was watched. Raises UserError for an unknown one."""
    with Database.open_to_read(paths.db or _database_of_run(paths)) as database:
        found = database.listed(user)
        if not found:
            raise UserError(f'the database has no list of "{user}": load_users.py fetches it')
        entries = database.entries(found.user_id)
    return user if found.is_imported else found.name, [each.anime_id for each in entries if each.is_watched]


def _database_of_run(paths: PathSettings) -> Path:
    try:
        config = read_config(paths.models)
    except (OSError, UserError):
        return paths.database_file
    return database_of(config)


def plot_comparison(runs: Sequence[Path], plots_dir: Path) -> Path:
    """Draw comparison.png of several runs: their output folders or metrics files. Raises UserError."""
    style.save(comparison(runs), plots_dir / RUN_COMPARISON)
    return plots_dir / RUN_COMPARISON


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
        who, watched = list_of(wanted.user, paths) if wanted.user else ("", [])
        drawn = plot_all(wanted.metrics or paths.metrics_file, paths.plots)
        if not wanted.metrics:
            of_lists, shown = plot_data(paths, wanted.language)
            drawn += [*of_lists, write_report(paths, shown, who, watched, wanted.language)]
        for path in drawn:
            print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
