"""Does to real processes what happens to them: no disk, no memory, a kill at any instant, a damaged file.

Also the small training run that it is done to, and whether two runs came to the same.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

import load_users
import prepare_dataset
from config import PROJECT_DIR

SMALL = ["--lr", "0.01", "--val-ratio", "0.3", "--hidden-size", "16", "--num-heads", "2"]
SMALL += ["--max-seq-len", "30", "--batch-size", "16", "--no-evaluate"]
"""With three steps an epoch on `make_database`."""


def make_database(folder: Path) -> Path:
    """60 people of the sandbox and 300 anime."""
    path, names = folder / "sandbox.db", folder / "names.txt"
    names.write_text("\n".join(f"sandbox{k:04}" for k in range(1, 61)))
    assert prepare_dataset.main(["--sandbox", "--db", str(path), "--count", "300"]) == 0
    assert load_users.main(["--sandbox", "--db", str(path), "--file", str(names)]) == 0
    return path


def training_flags(db: Path, output: Path, *flags: object) -> list[str]:
    return ["--sandbox", "--db", str(db), "--output-dir", str(output), *SMALL, *map(str, flags)]


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


def unlike(one: Path, other: Path) -> list[str]:
    """What is not equal to the last digit in the outputs of two runs; the seconds that epochs took don't count."""
    differences = []
    for name in ("models/best_model.pth", "models/final_model.pth", "checkpoints/checkpoint_latest.pth"):
        one_file, other_file = (torch.load(folder / name, weights_only=True) for folder in (one, other))
        differences += _unlike(one_file, other_file, name)
    metrics = [json.loads((folder / "plots/training_metrics.json").read_text()) for folder in (one, other)]
    return differences + _unlike(*metrics, "training_metrics.json")


def _unlike(one: Any, other: Any, at: str) -> list[str]:
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one, other) else [at]
    if isinstance(one, list):
        one, other = dict(enumerate(one)), dict(enumerate(other))
    if not isinstance(one, dict):
        return [] if one == other else [at]
    keys = {*one, *other} - {"epoch_seconds", "total_seconds"}
    return [
        found
        for key in keys
        for found in (_unlike(one[key], other[key], f"{at}/{key}") if key in one and key in other else [f"{at}/{key}"])
    ]
