"""Ctrl-C and what is like it: never lost, never a traceback, and never in the middle of what belongs together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from small_runs import training_flags

import train_model
from anime_bert4rec.command_line.script import script
from anime_bert4rec.model.run_folder import LATEST_CHECKPOINT
from anime_bert4rec.support import stopping
from anime_bert4rec.support.stopping import finish_first, obeyed, stop_if_asked, work_for_another
from anime_bert4rec.training.checkpoints import load_checkpoint
from config import PROJECT_DIR


@pytest.fixture(params=stopping.SIGNALS)
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


@pytest.mark.skipif(sys.platform != "linux", reason="has terminals of its own")
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


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_a_process_whose_parent_is_gone_before_it_begins_ends_too():
    """torch asks only then who its parent is: killed training runs left processes behind that never ended."""
    run = subprocess.Popen([sys.executable, "-c", ORPHAN], cwd=PROJECT_DIR, stdout=subprocess.PIPE)
    assert run.communicate(timeout=30) == (b"", None)  # which waits for all that have the pipe
