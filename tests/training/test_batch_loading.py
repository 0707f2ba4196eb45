"""Processes that load batches: whatever happens to them or to this one, a run ends in one line and keeps its epochs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
from small_runs import draw_nothing, training_flags
from torch.utils.data import DataLoader
from torch.utils.data._utils import signal_handling
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

import train_model
from anime_bert4rec.model.run_folder import LATEST_CHECKPOINT
from anime_bert4rec.support.stopping import SIGNALS
from anime_bert4rec.training.batch_loading import each_batch
from anime_bert4rec.training.checkpoints import load_checkpoint

pytestmark = pytest.mark.usefixtures("fitted_once")

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


class Forks:
    """Does something at one of the forks that are counted: `before` it, `after_in_parent` or `after_in_child`."""

    counted = False
    number = 0
    todo: ClassVar[dict[tuple[int, str], Callable[[], None]]] = {}

    def __init__(self) -> None:
        os.register_at_fork(
            before=self.before,
            after_in_parent=lambda: self.do("after_in_parent"),
            after_in_child=lambda: self.do("after_in_child"),
        )

    def before(self) -> None:
        self.number += self.counted
        self.do("before")

    def do(self, where: str) -> None:
        if self.counted:
            self.todo.get((self.number, where), lambda: None)()


all_forks = Forks() if hasattr(os, "register_at_fork") else None


@pytest.fixture
def forks(monkeypatch):
    """Those of the validation of the second epoch, of a run that is quick to notice that a process has ended, and
    draws nothing."""
    draw_nothing(monkeypatch)
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.3,))
    train_one_epoch, validate, trained = train_model.train_one_epoch, train_model.validate, []

    def counting(*args):
        all_forks.counted = len(trained) == 2
        try:
            return validate(*args)
        finally:
            all_forks.counted = False

    monkeypatch.setattr(train_model, "train_one_epoch", lambda *args: trained.append(1) or train_one_epoch(*args))
    monkeypatch.setattr(train_model, "validate", counting)
    all_forks.number = 0
    yield all_forks
    all_forks.todo.clear()


def children() -> list[str]:
    return [pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]


@pytest.fixture
def heard():
    """Makes a signal be obeyed, also where it is ignored from the start, as SIGHUP is after nohup."""
    before = {}

    def heard(number):
        before[number] = signal.signal(number, signal.default_int_handler)

    yield heard
    for number, handler in before.items():
        signal.signal(number, handler)


@linux
@pytest.mark.parametrize(
    ("number", "where"),
    [*((number, "after_in_parent") for number in SIGNALS), (signal.SIGINT, "before")],
)
def test_a_signal_to_the_group_while_loaders_are_forked_stops_the_run(db, tmp_path, forks, capfd, heard, number, where):
    heard(number)
    for place in (where, "after_in_child"):
        forks.todo[2, place] = lambda: os.kill(os.getpid(), number)
    before = children()
    assert train_model.main(training_flags(db, tmp_path, "--epochs", 50, "--num-workers", 2)) == 130
    assert children() == before
    err = capfd.readouterr().err
    assert "stopped in epoch 2; 1 epoch before it kept" in err
    assert "Traceback" not in err and "ignored" not in err
    assert load_checkpoint(tmp_path / "checkpoints" / LATEST_CHECKPOINT)["epoch"] == 1


@linux
def test_a_loader_that_is_killed_is_one_line_and_what_was_learnt_is_kept(db, tmp_path, forks, capfd):
    forks.todo[2, "after_in_child"] = lambda: os.kill(os.getpid(), signal.SIGKILL)
    assert train_model.main(training_flags(db, tmp_path, "--epochs", 50, "--num-workers", 2)) == 1
    err = capfd.readouterr().err
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert "was killed" in line and "--num-workers 0" in line
    assert "Traceback" not in err and "--resume" in err
    assert load_checkpoint(tmp_path / "checkpoints" / LATEST_CHECKPOINT)["epoch"] == 1


@linux
def test_processes_that_cannot_all_be_started_leave_none(db, tmp_path, forks, monkeypatch, capfd):
    real = os.fork

    def fork():
        if forks.counted and forks.number == 1:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return real()

    monkeypatch.setattr(os, "fork", fork)
    before = children()
    assert train_model.main(training_flags(db, tmp_path, "--epochs", 50, "--num-workers", 2)) == 1
    assert children() == before
    assert capfd.readouterr().err.endswith("\nerror: Resource temporarily unavailable\n")


@linux
def test_no_other_process_can_stop_this_one_where_it_just_is(db, tmp_path, forks, monkeypatch):
    """torch would raise an error there when one of its loading processes ends, were one started but by `each_batch`."""
    monkeypatch.setattr(signal_handling, "_SIGCHLD_handler_set", False)
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        assert train_model.main(training_flags(db, tmp_path, "--epochs", 1, "--num-workers", 2)) == 0
        assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_loaders_need_files(db, tmp_path, capsys):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, before[1]))
    try:
        assert train_model.main(training_flags(db, tmp_path, "--epochs", 1, "--num-workers", 2)) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    err = capsys.readouterr().err
    assert err.startswith("error: too many open files: --num-workers 0 or a higher ulimit -n (100 now")
    assert len(err.splitlines()) == 1 and not list(tmp_path.iterdir())


@linux
@pytest.mark.parametrize("number", SIGNALS)
def test_a_loading_process_is_safe_from_its_first_moment(number):
    """A terminal signals to all processes, also to one that has only just been forked."""
    loader = DataLoader([1, 2], batch_size=None, num_workers=1, worker_init_fn=lambda _: os.kill(os.getpid(), number))
    with each_batch(loader) as batches:
        assert list(batches) == [1, 2]
