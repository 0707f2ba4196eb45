"""Which checkpoints a run writes and removes: its own, and nobody else's."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from anime_bert4rec.model.run_folder import LATEST_CHECKPOINT, PREVIOUS_CHECKPOINT
from anime_bert4rec.model.tensor_file import read_tensors
from anime_bert4rec.training import checkpoints
from anime_bert4rec.training.checkpoints import CheckpointFiles, numbered_checkpoints


@pytest.mark.parametrize(("keep", "left"), [(0, [10, 20, 100]), (2, [20, 100])])
def test_so_many_checkpoints_are_kept(tmp_path, keep, left):
    files = CheckpointFiles(tmp_path, keep)
    for epoch in (10, 20, 100):
        files.save_numbered({"epoch": epoch})
    assert [path.name for path in numbered_checkpoints(tmp_path)] == [f"checkpoint_epoch_{epoch}.pth" for epoch in left]


def test_the_latest_is_written_when_the_last_is_old_enough_every_tenth_epoch_and_in_the_end(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(checkpoints, "time", SimpleNamespace(monotonic=lambda: now[0]))
    files, written = CheckpointFiles(tmp_path, keep=0), []
    for epoch, now[0] in ((7, 100.0), (8, 129.9), (9, 130.0), (10, 140.0), (11, 169.9)):
        files.save({"epoch": epoch})
        written.append(read_tensors(tmp_path / LATEST_CHECKPOINT)["epoch"])
    assert written == [7, 7, 9, 10, 10], "the half a minute is not over after 8 and 11"
    files.save_rest()
    assert read_tensors(tmp_path / LATEST_CHECKPOINT)["epoch"] == 11


def test_only_checkpoints_of_the_run_are_removed(tmp_path):
    mine = tmp_path / "mine.pth"
    mine.write_bytes(b"x")
    (tmp_path / "checkpoint_epoch_5.pth").symlink_to(mine)
    (tmp_path / "checkpoint_epoch_6.pth").mkdir()
    for name in ("checkpoint_epoch_07.pth", "checkpoint_epoch_8.pth.bak", "checkpoint_epoch_\u0669.pth"):
        (tmp_path / name).write_bytes(b"x")
    others = set(tmp_path.iterdir())
    files = CheckpointFiles(tmp_path, keep=1)
    for epoch in (10, 20):
        files.save_numbered({"epoch": epoch})
    assert {*tmp_path.iterdir()} - others == {tmp_path / "checkpoint_epoch_20.pth"}
    assert others <= {*tmp_path.iterdir()}


def test_a_link_as_the_latest_becomes_the_one_before_and_leads_to_what_it_did(tmp_path):
    files = CheckpointFiles(tmp_path, keep=0)
    files.save_numbered({"epoch": 10})
    (tmp_path / LATEST_CHECKPOINT).symlink_to("checkpoint_epoch_10.pth")
    files.save_latest({"epoch": 11})
    names = (LATEST_CHECKPOINT, PREVIOUS_CHECKPOINT, "checkpoint_epoch_10.pth")
    assert [read_tensors(tmp_path / name)["epoch"] for name in names] == [11, 10, 10]


def test_a_link_to_nowhere_as_the_latest_does_not_take_the_place_of_the_one_before(tmp_path):
    files = CheckpointFiles(tmp_path, keep=0)
    files.save_latest({"epoch": 9})
    (tmp_path / LATEST_CHECKPOINT).rename(tmp_path / PREVIOUS_CHECKPOINT)
    (tmp_path / LATEST_CHECKPOINT).symlink_to("gone.pth")
    files.save_latest({"epoch": 11})
    assert [read_tensors(tmp_path / name)["epoch"] for name in (LATEST_CHECKPOINT, PREVIOUS_CHECKPOINT)] == [11, 9]
