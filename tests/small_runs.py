"""Real training runs that take seconds: the sandbox they learn from, their flags, and whether two came to the same."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

import load_users
import prepare_dataset
import train_model
from anime_bert4rec.model.bert4rec import BERT4Rec
from anime_bert4rec.model.training_data import Data, RunSettings
from anime_bert4rec.pages.report_page import ReportData
from anime_bert4rec.training import new_model

SMALL = ["--lr", "0.01", "--val-ratio", "0.3", "--hidden-size", "16", "--num-heads", "2"]
SMALL += ["--max-seq-len", "30", "--batch-size", "16", "--no-evaluate"]
"""Three steps an epoch, on the lists of 60 people."""


def make_database(folder: Path, people: int = 60, anime: int = 300) -> Path:
    """A database of the sandbox."""
    path, names = folder / "sandbox.db", folder / "names.txt"
    names.write_text("\n".join(f"sandbox{k:04}" for k in range(1, people + 1)))
    assert prepare_dataset.main(["--sandbox", "--db", str(path), "--count", str(anime)]) == 0
    assert load_users.main(["--sandbox", "--db", str(path), "--file", str(names)]) == 0
    return path


def training_flags(db: Path, output: Path, *flags: object) -> list[str]:
    return ["--sandbox", "--db", str(db), "--output-dir", str(output), *SMALL, *map(str, flags)]


def stop_in_epoch(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Ctrl-C half way through an epoch, when the weights are no longer those of the epoch before."""
    real = train_model.in_halves
    steps = [0]

    def in_halves(*args: Any) -> list[Any]:
        steps[0] += 1
        if steps[0] == 3 * number - 1:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(train_model, "in_halves", in_halves)


def draw_nothing(patch: pytest.MonkeyPatch) -> None:
    """Of runs in this process, whose pictures take longer than their epochs, and have tests of their own."""
    patch.setattr(train_model, "plot_all", lambda *_: None)
    patch.setattr(train_model, "plot_data", lambda *_: ([], ReportData()))


FITTED: dict[tuple[object, ...], Any] = {}


def fit_once(patch: pytest.MonkeyPatch) -> None:
    """Of runs in this process with the same lists and settings the first alone fits its memory, which takes longer than
    the epochs, and the others have a copy. For tests that ask what comes after it."""
    fit = new_model.fit_memory_and_starts

    def fit_or_copy(data: Data, settings: RunSettings, fitted: BERT4Rec | None) -> Any:
        if fitted is not None or not settings.memory:
            return fit(data, settings, fitted)
        given = data.vocabulary, data.training, data.counted, data.alike, data.in_catalogue, data.recent
        key = pickle.dumps(given), settings.seed, settings.max_seq_len, torch.get_num_threads()
        if key not in FITTED:
            FITTED[key] = fit(data, settings, None)
        return copy.deepcopy(FITTED[key])

    patch.setattr(new_model, "fit_memory_and_starts", fit_or_copy)


def unlike(one: Path, other: Path) -> list[str]:
    """What is not equal to the last digit in the outputs of two runs; the seconds that epochs took don't count."""
    differences = []
    for name in ("models/best_model.pth", "models/final_model.pth", "checkpoints/checkpoint_latest.pth"):
        one_file, other_file = (torch.load(folder / name, weights_only=True) for folder in (one, other))
        differences += _unlike(one_file, other_file, name)
    metrics = [json.loads((folder / "plots/training_metrics.json").read_text()) for folder in (one, other)]
    return differences + _unlike(*metrics, "training_metrics.json")


def _unlike(one: Any, other: Any, at: str) -> list[str]:
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one, other) else [at]
    if isinstance(one, list):
        one, other = dict(enumerate(one)), dict(enumerate(other))
    if not isinstance(one, dict):
        return [] if one == other else [at]
    keys = {*one, *other} - {"epoch_seconds", "total_seconds"}
    return [
        found
        for key in keys
        for found in (_unlike(one[key], other[key], f"{at}/{key}") if key in one and key in other else [f"{at}/{key}"])
    ]
