"""Runs a script of the project as a process of its own, as a user does, and reads what a failed one has said."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from config import PROJECT_DIR


def start(script: str, *flags: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROJECT_DIR / script), *map(str, flags)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Returns when the condition holds or the process has ended."""
    deadline = time.monotonic() + 60
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline, "waited for a minute"
        time.sleep(0.001)


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The line that a failed run ends with."""
    err = capsys.readouterr().err
    assert "Traceback" not in err
    *_, last = err.splitlines()
    assert last.startswith("error: ")
    return last
