"""What a run finds in its folder: of an earlier run, of a run that was killed, and what is somebody else's."""

from __future__ import annotations

import os
import tempfile
from datetime import datetime
from pathlib import Path

import pytest

from anime_bert4rec.model.run_folder import RunFolder
from anime_bert4rec.support.whole_files import write_aside
from anime_bert4rec.training import output_folder
from anime_bert4rec.training.output_folder import move_earlier_run_aside, remove_leftovers

NOW = datetime(2026, 1, 2, 3, 4, 5)
OURS = (
    *(f"models/{name}" for name in ("best_model.pth", "final_model.pth", "item_mappings.pkl", "training_config.json")),
    *(f"plots/{name}.png" for name in ("loss_curve", "accuracy_curve", "combined_metrics", "learning_curve")),
    *(f"plots/{name}.png" for name in ("data_overview", "anime_map", "ranking_comparison", "comparison")),
    *("models/people.npz", "plots/training_metrics.json", "plots/anime_map.json", "report.html"),
    *(f"checkpoints/checkpoint_{name}.pth" for name in ("latest", "previous", "epoch_10")),
    *(f"checkpoints/checkpoint_{name}.damaged" for name in ("latest", "epoch_10", "latest_2")),
    "evaluation.json",
    "evaluation.txt",
)
THEIRS = (
    *("models/mine.pth", "models/.hidden", "models/weights/best_model.pth", "models/best_model.pth.bak"),
    *("plots/holiday.png", "plots/.directory", "checkpoints/checkpoint_epoch_ten.pth", "notes.txt", "old/notes.txt"),
    *("evaluation-of-mine.json", "evaluation.json.txt", "my evaluation.json", "models/people.npz.zip"),
)


def fill(output, names):
    for name in names:
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_text(name)


def content(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_only_what_a_run_makes_is_moved(tmp_path):
    fill(tmp_path, (*OURS, *THEIRS))
    place = move_earlier_run_aside(RunFolder(tmp_path), NOW)
    assert place == tmp_path / "old/2026-01-02_03-04-05"
    assert content(place) == {name: name for name in OURS}
    assert content(tmp_path) == {name: name for name in THEIRS} | {
        f"old/2026-01-02_03-04-05/{name}": name for name in OURS
    }
    assert move_earlier_run_aside(RunFolder(tmp_path), NOW) is None


def test_two_runs_moved_aside_in_one_second_do_not_meet(tmp_path):
    paths = RunFolder(tmp_path)
    assert move_earlier_run_aside(paths, NOW) is None
    assert not (tmp_path / "old").exists()
    for name in ("2026-01-02_03-04-05", "2026-01-02_03-04-05_2", "2026-01-02_03-04-05_3"):
        fill(tmp_path, ["models/best_model.pth"])
        assert move_earlier_run_aside(paths, NOW) == tmp_path / "old" / name
        assert content(tmp_path / "old" / name) == {"models/best_model.pth": "models/best_model.pth"}


def test_how_the_run_before_ranked_goes_with_it(tmp_path):
    """Else a run that is interrupted would have it beside a model that it is not about."""
    fill(tmp_path, ["evaluation.json"])
    old = move_earlier_run_aside(RunFolder(tmp_path), NOW)
    assert content(old) == {"evaluation.json": "evaluation.json"}
    assert not (tmp_path / "evaluation.json").exists()


def test_folders_that_are_links_stay_and_their_files_move(tmp_path):
    output = tmp_path / "output"
    output.mkdir()
    for folder, leads_to in (("models", "../elsewhere/models"), ("plots", str(tmp_path / "elsewhere/plots"))):
        (tmp_path / "elsewhere" / folder).mkdir(parents=True)
        (output / folder).symlink_to(leads_to)
    fill(output, (*OURS, *THEIRS))
    for name in ("2026-01-02_03-04-05", "2026-01-02_03-04-05_2"):
        place = move_earlier_run_aside(RunFolder(output), NOW)
        assert place == output / "old" / name
        assert content(place) == {name: name for name in OURS}
        assert (output / "models").is_symlink() and (output / "plots").is_symlink()
        assert (output / "models/mine.pth").exists()
        fill(output, OURS)


def test_files_that_are_links_lead_where_they_led(tmp_path):
    output = tmp_path / "output"
    fill(tmp_path, ["elsewhere/best.pth", "output/models/final_model.pth"])
    (output / "models/best_model.pth").symlink_to("../../elsewhere/best.pth")
    (output / "plots").mkdir()
    (output / "plots/training_metrics.json").symlink_to(tmp_path / "gone")
    (output / "checkpoints").mkdir()
    (output / "checkpoints/checkpoint_latest.pth").symlink_to("checkpoint_epoch_10.pth")
    fill(tmp_path, ["output/checkpoints/checkpoint_epoch_10.pth"])
    place = move_earlier_run_aside(RunFolder(output), NOW)
    assert (place / "models/best_model.pth").resolve() == (tmp_path / "elsewhere/best.pth").resolve()
    assert (place / "plots/training_metrics.json").readlink() == tmp_path / "gone"
    # What goes along is found beside it.
    assert (place / "checkpoints/checkpoint_latest.pth").resolve() == place / "checkpoints/checkpoint_epoch_10.pth"
    assert content(tmp_path / "elsewhere") == {"best.pth": "elsewhere/best.pth"}
    assert not any((output / "models").iterdir())


@pytest.fixture
def another_disk(tmp_path):
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def test_to_another_disk(tmp_path, another_disk):
    (tmp_path / "checkpoints").symlink_to(another_disk)
    fill(tmp_path, (*OURS, *THEIRS))
    os.utime(tmp_path / "checkpoints/checkpoint_latest.pth", (1, 1))
    place = move_earlier_run_aside(RunFolder(tmp_path), NOW)
    assert content(place) == {name: name for name in OURS}
    assert (place / "checkpoints/checkpoint_latest.pth").stat().st_mtime == 1
    assert [path.name for path in another_disk.iterdir()] == ["checkpoint_epoch_ten.pth"]


@pytest.mark.parametrize("moved", [0, 1, 5])
def test_stopped_while_moving_nothing_is_lost(tmp_path, monkeypatch, moved):
    fill(tmp_path, (*OURS, *THEIRS))
    real, left = output_folder._move, [None] * moved

    def stop(path, target):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        real(path, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(output_folder, "_move", stop)
        move_earlier_run_aside(RunFolder(tmp_path), NOW)
    move_earlier_run_aside(RunFolder(tmp_path), NOW)
    assert sorted(content(tmp_path).values()) == sorted((*OURS, *THEIRS))
    assert {name for name in OURS if (tmp_path / name).exists()} == set()


def test_left_half_written_and_nothing_else_is_removed(tmp_path):
    part = "0123abcd.part"
    leftovers = (
        *(f"models/.best_model.pth.{part}", f"plots/.loss_curve.png.{part}", f".evaluation.json.{part}"),
        *(f"checkpoints/.checkpoint_epoch_20.pth.{part}", f"old/2026-01-02_03-04-05/models/.best_model.pth.{part}"),
    )
    others = (
        *(f"models/.mine.pth.{part}", "models/.download.part", "plots/.loss_curve.png.part", f"best_model.pth.{part}"),
        *(f"models/.final_model.pth.{part}/mine", f"old/mine/models/.best_model.pth.{part}"),
        *(f".best_model.pth.{part}", f"plots/.best_model.pth.{part}"),
    )
    fill(tmp_path, (*leftovers, *others, *OURS))
    (tmp_path / f"models/.item_mappings.pkl.{part}").symlink_to(tmp_path / "notes")
    with write_aside(tmp_path / "plots/loss_curve.png") as being_written:
        remove_leftovers(RunFolder(tmp_path))
        being_written.write(b"plots/loss_curve.png")
    assert content(tmp_path) == {name: name for name in (*others, *OURS)}
    assert (tmp_path / f"models/.item_mappings.pkl.{part}").is_symlink()
