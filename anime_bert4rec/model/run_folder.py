"""The names of all files that a training run leaves in its output folder, and what its settings were."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import NotRequired, TypedDict

from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.forms import check
from anime_bert4rec.support.whole_files import read_json

BEST_MODEL, FINAL_MODEL = "best_model.pth", "final_model.pth"
ITEM_MAPPINGS, PEOPLE, TRAINING_CONFIG = "item_mappings.pkl", "people.npz", "training_config.json"
TRAINING_METRICS = "training_metrics.json"
TOP_K = (1, 5, 10, 20)
"""The k of the Top-k accuracies in it."""
LOSS_CURVE, ACCURACY_CURVE = "loss_curve.png", "accuracy_curve.png"
LEARNING_CURVE, COMBINED_METRICS = "learning_curve.png", "combined_metrics.png"
DATA_OVERVIEW, ANIME_MAP = "data_overview.png", "anime_map.png"
MAP_FILE = "anime_map.json"
RANKING_COMPARISON, RUN_COMPARISON = "ranking_comparison.png", "comparison.png"
EVALUATION, EVALUATION_TEXT = "evaluation.json", "evaluation.txt"
REPORT_PAGE = "report.html"
LATEST_CHECKPOINT, PREVIOUS_CHECKPOINT = "checkpoint_latest.pth", "checkpoint_previous.pth"


def _one_of(*names: str) -> str:
    return "|".join(map(re.escape, names))


MADE = {
    "checkpoints": r"checkpoint_(latest|previous|epoch_[0-9]+)(\.pth|(_[0-9]+)?\.damaged)",
    "models": _one_of(BEST_MODEL, FINAL_MODEL, ITEM_MAPPINGS, TRAINING_CONFIG, PEOPLE),
    "plots": _one_of(
        *(LOSS_CURVE, ACCURACY_CURVE, LEARNING_CURVE, COMBINED_METRICS, DATA_OVERVIEW, ANIME_MAP, MAP_FILE),
        *(RANKING_COMPARISON, RUN_COMPARISON, TRAINING_METRICS),
    ),
    "": _one_of(EVALUATION, EVALUATION_TEXT, REPORT_PAGE),
}
"""Patterns of the names of the files of a run, by folder. Other files in these folders are somebody else's."""


class RunFolder:
    """The folder `output` of a run, and where each kind of file is in it."""

    def __init__(self, output: Path) -> None:
        self._output = output

    @property
    def output(self) -> Path:
        return self._output

    @property
    def models(self) -> Path:
        """The models, with what is needed to use them: their items, their settings and their people."""
        return self.output / "models"

    @property
    def plots(self) -> Path:
        return self.output / "plots"

    @property
    def checkpoints(self) -> Path:
        return self.output / "checkpoints"

    @property
    def logs(self) -> Path:
        """A log file for each run."""
        return self.output / "logs"

    @property
    def people_file(self) -> Path:
        """Who was trained on and who was held out."""
        return self.models / PEOPLE

    @property
    def config_file(self) -> Path:
        """The settings of the run."""
        return self.models / TRAINING_CONFIG

    @property
    def metrics_file(self) -> Path:
        """What the training has measured, epoch by epoch."""
        return self.plots / TRAINING_METRICS

    @property
    def map_file(self) -> Path:
        """Where each title is on the map of anime."""
        return self.plots / MAP_FILE

    @property
    def report_page(self) -> Path:
        """The run at a glance, to open in a browser."""
        return self.output / REPORT_PAGE

    @property
    def evaluation_file(self) -> Path:
        """How well the model ranks: every number."""
        return self.output / EVALUATION

    @property
    def evaluation_text(self) -> Path:
        """How well the model ranks: tables to read."""
        return self.output / EVALUATION_TEXT

    def forget_evaluation(self) -> None:
        """Delete what was said of the best model, once another one has taken its place. The page is made anew in the
        end."""
        for path in (self.evaluation_file, self.evaluation_text, self.plots / RANKING_COMPARISON, self.report_page):
            with contextlib.suppress(OSError):  # as of a file that somebody looks at on Windows: no reason to stop
                path.unlink(missing_ok=True)

    def newest_moved_aside(self) -> Path | None:
        """The folder of the newest of the runs that were moved aside (training/output_folder.py) and have a model."""
        model = self.moved_aside(self.models / BEST_MODEL)
        return model and model.parent.parent

    def moved_aside(self, file: Path) -> Path | None:
        """Where a file of an earlier run is that was called so: of the newest that was moved aside and has it."""
        old = self.output / "old"
        places = [each / file.parent.name / file.name for each in sorted(old.iterdir())] if old.is_dir() else []
        return next((each for each in reversed(places) if each.exists()), None)


class SavedConfig(TypedDict):
    """What is read again of training_config.json."""

    seed: int
    split_seed: NotRequired[int | None]
    """Which people are held out; None, or missing in the file of an earlier version: as `seed` has it."""
    val_ratio: float
    database: str
    data_fingerprint: str


def read_config(models: Path) -> SavedConfig:
    """The settings of the run whose models are in the folder. Raises UserError."""
    file = models / TRAINING_CONFIG
    try:
        config: SavedConfig = read_json(file)
        check(config, SavedConfig, "the file")
    except FileNotFoundError:
        raise UserError(f"{file} does not exist; train a model first: python train_model.py") from None
    except ValueError as error:
        raise UserError(
            f"{file} is not the training_config.json of a run ({error}): train again (python train_model.py)"
        ) from None
    return config


def database_of(config: SavedConfig) -> Path:
    """The database of the run. Raises UserError where it is no more."""
    file = Path(config["database"])
    if not file.exists():
        raise UserError(f"{file}, which this model was trained on, is not there: say where it is with --db PATH")
    return file
