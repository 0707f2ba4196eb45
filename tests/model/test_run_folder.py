"""training_config.json, read again: what is not that of a run ends in one line. And what is forgotten of a run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from anime_bert4rec.model.run_folder import RunFolder, read_config
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.whole_files import read_json


@pytest.mark.parametrize("text", ['{"seed": true}', "[1]", "{", '{"seed": 1, "val_ratio": "x"}', "[" * 100_000])
def test_what_is_no_config_of_a_run_is_said(tmp_path, text):
    paths = RunFolder(tmp_path)
    paths.models.mkdir()
    (paths.models / "training_config.json").write_text(text)
    with pytest.raises(UserError, match=r"training_config\.json is not"):
        read_config(paths.models)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
def test_no_pipe_and_no_endless_file_is_read_as_json(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "long").open("wb") as file:
        file.truncate(2**40)
    for path, why in (
        (tmp_path / "pipe", "not a file"),
        (Path("/dev/zero"), "not a file"),
        (tmp_path / "long", "large"),
    ):
        with pytest.raises(ValueError, match=why):
            read_json(path)


def test_a_run_of_before_the_split_seed_is_read(tmp_path):
    models = RunFolder(tmp_path).models
    models.mkdir()
    config = {"seed": 1, "val_ratio": 0.1, "database": "bert.db", "data_fingerprint": "", "hidden_size": 64}
    (models / "training_config.json").write_text(json.dumps(config))
    assert read_config(models)["seed"] == 1
    assert "split_seed" not in read_config(models)


FORGOTTEN = ("evaluation.json", "evaluation.txt", "plots/ranking_comparison.png", "report.html")


@pytest.mark.parametrize("is_folder", [None, *FORGOTTEN])
def test_all_that_was_said_of_the_best_model_goes_but_a_folder_of_such_a_name(tmp_path, is_folder):
    others = ("plots/loss_curve.png", "notes.txt")
    (tmp_path / "plots").mkdir()
    for name in (*FORGOTTEN, *others):
        (tmp_path / name).mkdir() if name == is_folder else (tmp_path / name).touch()
    RunFolder(tmp_path).forget_evaluation()
    assert {name for name in (*FORGOTTEN, *others) if (tmp_path / name).exists()} == {*others, is_folder} - {None}
    RunFolder(tmp_path / "new").forget_evaluation()
