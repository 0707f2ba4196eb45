"""Progress bars on stderr, and lines that do not tear them."""

from __future__ import annotations

import os
import sys
from typing import Any

from tqdm import tqdm

quiet = False
"""Whether there are no bars at all, as a script with --quiet wants it."""


def progress(description: str, total: int, unit: str, done: int = 0, leave: bool = True) -> tqdm[Any]:
    """A progress bar of what takes longer than a second, with the time that is left. Silent unless on a terminal."""
    return tqdm(
        total=total,
        initial=done,
        desc=description,
        unit=unit,
        leave=leave,
        file=sys.stderr,
        # Of the processes that torchrun starts, only the first shows it.
        disable=quiet or not sys.stderr.isatty() or os.environ.get("RANK", "0") != "0",
        delay=1.0,
        dynamic_ncols=True,
        smoothing=0.1,
    )


def write_line(text: str) -> None:
    """Write a line to stderr, above the bars that are there."""
    tqdm.write(text, file=sys.stderr)
