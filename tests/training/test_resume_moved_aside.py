"""A checkpoint that a later run has moved aside: who asks for it is told where, in a command that works as it is."""

from __future__ import annotations

import shlex
import shutil
import signal

import pytest
from small_runs import stop_in_epoch, training_flags, unlike

import train_model
from anime_bert4rec.training import output_folder

pytestmark = pytest.mark.usefixtures("two_threads", "without_plots")

CHOSEN = "checkpoints/checkpoint_epoch_10.pth"


def train(db, output, *flags):
    return train_model.main(training_flags(db, output, "--epochs", 12, *flags))


@pytest.fixture(scope="module")
def undisturbed(db, tmp_path_factory):
    output = tmp_path_factory.mktemp("undisturbed")
    assert train(db, output) == 0
    return output


@pytest.fixture
def copied(undisturbed, tmp_path):
    return shutil.copytree(undisturbed, tmp_path / "my output")


def advice(capsys):
    """The last line of what was said, and the flags that it ends with, as a shell reads them."""
    line = capsys.readouterr().err.splitlines()[-1]
    return line, shlex.split(line[line.rindex("--resume") :])


class Killed(BaseException):
    """In the place of a kill, which no code is told of."""


def test_killed_when_all_was_moved_aside_every_command_says_where_it_is(db, copied, undisturbed, monkeypatch, capsys):
    def die(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(train_model, "save_from_checkpoint", die)
        with pytest.raises(Killed):
            train(db, copied, "--resume", copied / CHOSEN)
    (old,) = (copied / "old").iterdir()
    assert train(db, copied, "--resume", copied / CHOSEN) == 1
    line, flags = advice(capsys)
    assert f"{copied / CHOSEN} was moved aside by a later run: to go on from it: --resume" in line
    assert flags == ["--resume", str(old / CHOSEN)]
    assert train(db, copied, "--resume") == 1
    line, latest = advice(capsys)
    assert "no checkpoint in" in line and "start without --resume, or go on with the run that was moved aside" in line
    assert latest == ["--resume", str(old / "checkpoints/checkpoint_latest.pth")]
    assert train(db, copied, *flags) == 0
    assert unlike(copied, undisturbed) == []


def test_the_same_command_once_more_names_the_run_that_has_begun_since(db, copied, undisturbed, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, 2)
        assert train(db, copied, "--resume", copied / CHOSEN) == 130
    (old,) = (copied / "old").iterdir()
    assert train(db, copied, "--resume", copied / CHOSEN) == 1
    line, flags = advice(capsys)
    assert "--resume without a file goes on with that run; to begin there again: --resume" in line
    assert flags == ["--resume", str(old / CHOSEN)]
    assert train(db, copied, "--resume") == 0
    assert unlike(copied, undisturbed) == []


def test_ctrl_c_while_files_are_moved_aside_waits_until_there_is_a_checkpoint(db, copied, undisturbed, monkeypatch):
    real, moved = output_folder._move, []

    def move(*paths):
        real(*paths)
        moved.append(paths)
        if len(moved) == 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(output_folder, "_move", move)
    assert train(db, copied, "--resume", copied / CHOSEN) == 130
    assert len(moved) > 1
    assert train(db, copied, "--resume") == 0
    assert unlike(copied, undisturbed) == []
