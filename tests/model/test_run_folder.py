"""training_config.json, read again: what is not that of a run ends in one line."""

from __future__ import annotations

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
