"""Pictures are the same whatever settings a user has for matplotlib, and names in them are text, never formulas."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from made_up_runs import draw, run

import visualize
from anime_bert4rec.evaluation.measuring import MODEL, Answers, RankingMetrics, TaskResult
from anime_bert4rec.evaluation.questions import EVERYTHING, NEXT_ITEM
from anime_bert4rec.lists.overview import Overview
from anime_bert4rec.lists.records import Anime
from anime_bert4rec.plots.anime_map import anime_map
from anime_bert4rec.plots.data_overview import data_overview
from anime_bert4rec.plots.ranking_comparison import ranking_comparison
from anime_bert4rec.plots.run_comparison import comparison
from anime_bert4rec.plots.style import save
from config import PROJECT_DIR
from visualize import plot_all

HOSTILE: dict[str, Any] = {
    "text.usetex": True,
    "font.family": ["NoSuchFont"],
    "font.size": 30,
    "savefig.format": "pdf",
    "savefig.bbox": "tight",
    "savefig.dpi": 50,
    "figure.dpi": 30,
    "figure.facecolor": "black",
    "figure.autolayout": True,
    "axes.facecolor": "red",
    "axes.grid": True,
    "axes.xmargin": 0.4,
    "axes.unicode_minus": False,
    "axes.formatter.use_mathtext": True,
    "axes.prop_cycle": mpl.cycler(color=["red"], marker=["x"]),
    "lines.marker": "*",
    "lines.antialiased": False,
    "lines.dash_capstyle": "round",
    "lines.scale_dashes": False,
    "path.sketch": (10.0, 20.0, 5.0),
    "patch.force_edgecolor": True,
    "errorbar.capsize": 9,
    "legend.fontsize": 30,
    "legend.labelspacing": 9,
    "xtick.minor.visible": True,
    "xtick.direction": "in",
    "text.antialiased": False,
    "text.hinting": "none",
    "text.parse_math": True,
    "date.epoch": "2000-01-01T00:00:00",
}
NO_TEXT = b"\xff\xfe\x00caf\xe9: \x80\n"
NO_SETTING = b"this is no setting\ntext.usetex: perhaps\nnosuch.key: 5\n"
SETTINGS = b"text.usetex: True\naxes.grid: True\nfont.family: NoSuchFont\nfigure.facecolor: black\n"


def named(name: str) -> dict[str, Any]:
    """The metrics of a run beside a baseline of this name."""
    metrics = run(3)
    levels = {"1": 0.1, "5": 0.2, "10": 0.3, "20": 0.4}
    metrics["summary"]["baselines"] = {"popularity": levels, name: dict.fromkeys(levels, 0.5)}
    return metrics


def pictures(run_folder: Path, plots: Path) -> dict[str, bytes]:
    """All eight, as files."""
    plot_all(named("$5"), plots)
    visualize.plot_comparison([run_folder], plots)
    overview = Overview(np.array([3, 30]), np.array([2, 1, 0]), 10, 20, 3, {2019: 4, 2020: 6})
    save(data_overview(overview), plots / "data_overview.png")
    anime = [Anime(k, title_romaji=f"Title {k}", genres=("Drama",)) for k in (1, 2)]
    save(anime_map(anime, np.eye(2), np.ones(2), "Made up."), plots / "anime_map.png")
    result = RankingMetrics({"ndcg@10": np.array([0.1, 0.3])}, 0.5)
    asked = {EVERYTHING: TaskResult(2, 2, {MODEL: result, "popularity": result})}
    save(ranking_comparison(Answers({NEXT_ITEM: asked}, {}, {}), "2 users"), plots / "ranking_comparison.png")
    return {path.name: path.read_bytes() for path in plots.iterdir()}


def test_settings_of_whoever_calls_change_no_picture(tmp_path: Path) -> None:
    (tmp_path / "training_metrics.json").write_text(json.dumps(run(3)), encoding="utf-8")
    ours = pictures(tmp_path, tmp_path / "ours")
    with mpl.rc_context(HOSTILE):
        theirs = pictures(tmp_path, tmp_path / "theirs")
        assert {key: mpl.rcParams[key] for key in HOSTILE} == HOSTILE  # and they have them back
    assert len(ours) == 8
    assert [name for name in ours if ours[name] != theirs[name]] == []


@pytest.mark.parametrize(
    ("where", "content"),
    [("working directory", NO_TEXT), ("working directory", SETTINGS), ("home", NO_SETTING), ("MATPLOTLIBRC", SETTINGS)],
)
def test_files_of_settings_change_no_picture_and_say_nothing(tmp_path: Path, where: str, content: bytes) -> None:
    folder = tmp_path / ".config" / "matplotlib" if where == "home" else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "matplotlibrc").write_bytes(content)
    environment = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    environment["XDG_CONFIG_HOME"] = str(tmp_path / ".config")
    if where == "MATPLOTLIBRC":
        environment["MATPLOTLIBRC"] = str(tmp_path)
    same_pictures_in_silence(tmp_path, tmp_path if where == "working directory" else PROJECT_DIR, environment)


@pytest.mark.parametrize(
    "environment",
    [{"MPLBACKEND": "nonsense", "PYTHONWARNINGS": "error"}, {"MPLCONFIGDIR": "/proc/nowhere"}],
    ids=str,
)
def test_the_environment_changes_no_picture_and_is_not_complained_of(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    same_pictures_in_silence(tmp_path, PROJECT_DIR, environment)


@functools.cache
def our_pictures() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return [path.read_bytes() for path in plot_all(named("$5"), Path(folder))]


def same_pictures_in_silence(tmp_path: Path, folder: Path, environment: dict[str, str]) -> None:
    """In a process of its own, for matplotlib looks for settings when it is imported."""
    file = tmp_path / "metrics.json"
    file.write_text(json.dumps(named("$5")), encoding="utf-8")
    command = [sys.executable, str(PROJECT_DIR / "visualize.py"), "--metrics", str(file), "--output-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert [Path(line).read_bytes() for line in done.stdout.splitlines()] == our_pictures()


def test_training_can_be_started_beside_settings_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_bytes(NO_TEXT)
    command = [sys.executable, str(PROJECT_DIR / "train_model.py"), "--help"]
    environment = {**os.environ, "MPLBACKEND": "nonsense"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (r"$\frac{$", r"$\frac{$"),
        ("$x^2$", "$x^2$"),
        ("_mine", "_mine"),
        ("two\nlines\x1b[2J", "two lines"),
        ("日本 e\u0301", "□□ é"),
        ("x" * 500, "x" * 29 + "…"),
        ("\udcff", r"\xff"),
    ],
)
def test_the_name_of_a_baseline_is_text(
    tmp_path: Path, name: str, shown: str, recwarn: pytest.WarningsRecorder
) -> None:
    plot_all(named(name), tmp_path)
    assert f": {shown}, the best baseline." in draw("combined_metrics.png", named(name)).texts[2].get_text()
    assert not recwarn.list


def test_names_of_runs_are_text(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    folders = [tmp_path / name for name in (r"a$\frac{$", "_b", "caf\udce9\n日", "日本")]
    for folder in folders:
        folder.mkdir()
        (folder / "training_metrics.json").write_text(json.dumps(run(3)), encoding="utf-8")
    visualize.plot_comparison(folders, tmp_path)
    shown = [text.get_text() for text in comparison(folders).axes[0].texts]
    assert sorted(text.rpartition(" ")[0] for text in shown) == ["_b", r"a$\frac{$", r"caf\xe9 □", "□□"]
    assert not recwarn.list
