"""Does to real processes what happens to them: no disk, no memory, a damaged or hostile file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from config import PROJECT_DIR


def run_limited(script: str, *flags: object, **limits: int) -> tuple[int, str]:
    """Exit code and stderr of the script under limits of the resource module, such as `RLIMIT_FSIZE=100_000`."""
    code = (
        "import resource, runpy, sys\n"
        f"for name, value in {limits!r}.items(): resource.setrlimit(getattr(resource, name), (value, value))\n"
        f"sys.argv = {[script, *map(str, flags)]!r}\n"
        f"runpy.run_path({str(PROJECT_DIR / script)!r}, run_name='__main__')\n"
    )
    return _run([sys.executable, "-c", code])


def can_mount() -> bool:
    """Whether file systems of our own are possible: on Linux as root, or where users may have namespaces."""
    if not shutil.which("unshare"):
        return False
    return (
        subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0
    )


needs_mounts = pytest.mark.skipif(not can_mount(), reason="no file systems of our own can be mounted here")


def run_on_disk(folder: Path, options: str, script: str, *flags: object, before: str = "true") -> tuple[int, str]:
    """Exit code and stderr of the script while `folder` is a disk with these mount options, such as `size=1m`.

    `before` is a shell command that runs on the disk first. What was on it is gone afterwards.
    """
    command = 'mount -t tmpfs -o size=64m none "$1" && eval "$2" && mount -o "remount,$3" "$1" && shift 3 && exec "$@"'
    script_line = [sys.executable, str(PROJECT_DIR / script), *map(str, flags)]
    return _run(["unshare", "-rm", "sh", "-c", command, "sh", str(folder), before, options, *script_line])


def _run(command: list[str]) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_DIR), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100)
    return done.returncode, done.stderr


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zeros(path: Path) -> None:
    """What some file systems leave of a file after a power loss: the length, and nothing in it."""
    path.write_bytes(bytes(path.stat().st_size))


def flip_a_bit(path: Path) -> None:
    """In the middle of the weights."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = (truncate, empty, zeros, flip_a_bit)


class Malicious:
    """What makes a folder when it is unpickled, as worse code could be run."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.victim),)
