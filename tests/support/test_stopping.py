"""Ctrl-C and what is like it: never lost, never a traceback, and never in the middle of what belongs together."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from small_runs import training_flags
from torch.utils.data import DataLoader
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

import train_model
from anime_bert4rec.command_line.script import script
from anime_bert4rec.model.run_folder import LATEST_CHECKPOINT
from anime_bert4rec.support import stopping
from anime_bert4rec.support.stopping import finish_first, obeyed, stop_if_asked, work_for_another
from anime_bert4rec.training.batch_loading import each_batch
from anime_bert4rec.training.checkpoints import load_checkpoint
from config import PROJECT_DIR


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def number(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """Of a signal that is handled as the scripts handle it."""
    before = signal.signal(request.param, signal.default_int_handler)
    yield request.param
    signal.signal(request.param, before)


def test_a_signal_waits_until_the_block_is_done(number):
    done = []
    with pytest.raises(KeyboardInterrupt), finish_first():
        signal.raise_signal(number)
        done.append("the rest of the block")
    assert done
    assert signal.getsignal(number) is signal.default_int_handler


def test_a_block_inside_another_does_not_cut_the_outer_one_short(number):
    done = []
    with pytest.raises(KeyboardInterrupt), finish_first():
        with finish_first():
            signal.raise_signal(number)
        done.append("the rest of the outer block")
    assert done


def test_a_signal_that_is_ignored_stays_so(number):
    signal.signal(number, signal.SIG_IGN)
    with finish_first():
        signal.raise_signal(number)
    assert signal.getsignal(number) is signal.SIG_IGN


def test_without_a_signal_nothing_happens():
    with finish_first():
        pass


def test_in_such_a_block_there_are_places_to_stop(number):
    done = []
    with pytest.raises(KeyboardInterrupt), obeyed(), finish_first():
        stop_if_asked()
        signal.raise_signal(number)
        done.append("up to the place")
        stop_if_asked()
        done.append("beyond")
    assert done == ["up to the place"]
    with finish_first():
        stop_if_asked()  # it was asked once and has stopped once


def test_an_error_in_the_block_does_not_hide_the_signal(number):
    with pytest.raises(KeyboardInterrupt), finish_first():
        signal.raise_signal(number)
        raise ValueError


def test_what_the_signals_did_before_they_do_afterwards():
    came = []
    before = signal.signal(signal.SIGTERM, lambda *_: came.append(1))
    try:
        with finish_first():
            signal.raise_signal(signal.SIGTERM)
            assert not came
        assert came == [1]
        with pytest.raises(KeyboardInterrupt), obeyed():
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert came == [1, 1]
    finally:
        signal.signal(signal.SIGTERM, before)


class Callback:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)


def test_a_signal_within_a_callback_is_not_forgotten(capfd):
    with pytest.raises(KeyboardInterrupt), obeyed():
        Callback()  # where an exception can only be printed
        time.sleep(10)
    assert capfd.readouterr() == ("", "")


def test_asked_twice_a_script_says_it_once(capsys, monkeypatch):
    class Screen:
        def write(self, text):
            said.append(text)
            signal.raise_signal(signal.SIGTERM)

        def flush(self):
            pass

    said: list[str] = []

    @script
    def main(argv=None):
        monkeypatch.setattr(sys, "stderr", Screen())
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)
        return 0

    assert main([]) == 130
    assert "".join(said) == "interrupted\n"


SCRIPTS = ("prepare_dataset", "load_users", "train_model", "evaluate", "recommend", "visualize")


@pytest.mark.parametrize("name", SCRIPTS)
def test_ctrl_c_while_a_script_is_imported_is_one_line(name, tmp_path):
    (tmp_path / "tqdm.py").write_text("import signal, time; signal.raise_signal(signal.SIGINT); time.sleep(10)")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, PROJECT_DIR / f"{name}.py"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_imported_by_another_program_a_script_leaves_ctrl_c_alone():
    for name in SCRIPTS:
        __import__(name)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    stopping.while_importing("train_model")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ignored_from_the_start_ctrl_c_stays_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        stopping.while_importing("__main__")
        with obeyed():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


class Forks:
    """Does something at one of the forks of this process: `before` it, `after_in_parent` or `after_in_child`."""

    number = 0
    todo: ClassVar[dict[tuple[int, str], Callable[[], None]]] = {}

    def __init__(self) -> None:
        os.register_at_fork(
            before=self.before,
            after_in_parent=lambda: self.do("after_in_parent"),
            after_in_child=lambda: self.do("after_in_child"),
        )

    def before(self) -> None:
        self.number += 1
        self.do("before")

    def do(self, where: str) -> None:
        self.todo.get((self.number, where), lambda: None)()


all_forks = Forks() if hasattr(os, "register_at_fork") else None


@pytest.fixture
def forks(monkeypatch):
    """Of a run that is quick to notice that a process has ended, and draws nothing."""
    monkeypatch.setattr(train_model, "plot_all", lambda *_: None)
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.3,))
    all_forks.number = 0
    yield all_forks
    all_forks.todo.clear()


def children() -> list[str]:
    return [pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]


SECOND_FOR_VALIDATION = 10
"""Of the forks of a validation of the memory alone, and of two epochs, with two processes each for training and
validation."""


linux = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@linux
@pytest.mark.parametrize("where", ["before", "after_in_parent"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_group_while_loaders_are_forked_stops_the_run(db, tmp_path, forks, capfd, number, where):
    for place in (where, "after_in_child"):
        forks.todo[SECOND_FOR_VALIDATION, place] = lambda: os.kill(os.getpid(), number)
    before = children()
    assert train_model.main(training_flags(db, tmp_path, "--epochs", 50, "--num-workers", 2)) == 130
    assert children() == before
    err = capfd.readouterr().err
    assert "stopped in epoch 2; the 1 before it are kept" in err
    assert "Traceback" not in err and "ignored" not in err
    assert load_checkpoint(tmp_path / "checkpoints" / LATEST_CHECKPOINT)["epoch"] == 1


@linux
def test_a_loader_that_is_killed_is_one_line_and_what_was_learnt_is_kept(db, tmp_path, forks, capfd):
    forks.todo[SECOND_FOR_VALIDATION, "after_in_child"] = lambda: os.kill(os.getpid(), signal.SIGKILL)
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
        if forks.number + 1 == SECOND_FOR_VALIDATION:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return real()

    monkeypatch.setattr(os, "fork", fork)
    before = children()
    assert train_model.main(training_flags(db, tmp_path, "--epochs", 50, "--num-workers", 2)) == 1
    assert children() == before
    assert capfd.readouterr().err.endswith("\nerror: Resource temporarily unavailable\n")


def test_loaders_need_files(db, tmp_path, capsys):
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
def test_a_terminal_that_is_closed_stops_a_run_that_saves(db, tmp_path):
    terminal, its_end = os.openpty()
    flags = training_flags(db, tmp_path, "--epochs", 100_000, "--patience", 0, "--num-workers", 1)
    run = subprocess.Popen(
        [sys.executable, "-c", IN_A_TERMINAL, *flags], cwd=PROJECT_DIR, stdin=its_end, stdout=its_end, stderr=its_end
    )
    os.close(its_end)
    said = b""
    while b"2/100000" not in said:
        said += os.read(terminal, 4096)
    os.close(terminal)
    assert run.wait(60) == 130
    done = len(json.loads((tmp_path / "plots" / "training_metrics.json").read_text())["val_losses"])
    assert load_checkpoint(tmp_path / "checkpoints" / LATEST_CHECKPOINT)["epoch"] == done
    assert (tmp_path / "models" / "final_model.pth").exists()


IN_A_TERMINAL = """
import fcntl, os, signal, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, "train_model.py", *sys.argv[1:]])
"""


def test_ctrl_c_while_the_end_is_saved_waits_until_it_is(db, tmp_path, monkeypatch, capsys):
    def draw(*_):
        signal.raise_signal(signal.SIGINT)
        drawn.append("all")

    drawn: list[str] = []
    monkeypatch.setattr(train_model, "plot_all", draw)
    assert train_model.main(training_flags(db, tmp_path, "--epochs", 1)) == 130
    assert drawn and capsys.readouterr().err.endswith("\ninterrupted\n")
    assert (tmp_path / "models" / "final_model.pth").exists()


def test_a_process_that_works_for_another_is_ended_by_that_one_alone():
    before = {each: signal.getsignal(each) for each in stopping.SIGNALS}
    try:
        work_for_another()
        for each in stopping.SIGNALS:
            signal.raise_signal(each)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def test_a_loading_process_is_safe_from_its_first_moment(number):
    """A terminal signals to all processes, also to one that has only just been forked."""
    loader = DataLoader([1, 2], batch_size=None, num_workers=1, worker_init_fn=lambda _: os.kill(os.getpid(), number))
    with each_batch(loader) as batches:
        assert list(batches) == [1, 2]


ORPHAN = """
import multiprocessing, os, time
from anime_bert4rec.support.stopping import work_for_another

def work():
    while os.getppid() == first:
        time.sleep(0.01)  # its parent is gone before it has begun
    work_for_another()
    time.sleep(600)

first = os.getpid()
multiprocessing.get_context("fork").Process(target=work).start()
os._exit(0)
"""


@linux
def test_a_process_whose_parent_is_gone_before_it_begins_ends_too():
    """torch asks only then who its parent is: killed training runs left processes behind that never ended."""
    run = subprocess.Popen([sys.executable, "-c", ORPHAN], cwd=PROJECT_DIR, stdout=subprocess.PIPE)
    assert run.communicate(timeout=30) == (b"", None)  # which waits for all that have the pipe
