"""The folder that a run writes into: one run at a time; what earlier ones left there."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO

from config import OutputSettings
from errors import UserError

log = logging.getLogger(__name__)

LOCK = ".lock"


class FolderInUse(UserError):
    """Another run writes into the folder."""


@contextlib.contextmanager
def only_run_in(folder: Path) -> Iterator[None]:
    """Raises FolderInUse while another process is in such a block. However a process ends, its lock ends with it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("ab") as file:  # stays there: removing it would let two runs lock two files
        try:
            _lock(file)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                raise FolderInUse(
                    f"another training run is writing into {folder}: wait for it, or choose another with --output-dir"
                ) from None
            log.warning("%s cannot be locked (%s): start no second run into it.", folder, error.strerror)
        if hasattr(os, "register_at_fork"):  # a worker that outlives a killed run must not keep its lock
            os.register_at_fork(after_in_child=file.close)
        yield


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def move_earlier_run_aside(paths: OutputSettings, now: datetime) -> Path | None:
    """What an earlier run has made goes to `old/` and the time: no model is lost. Returns where, if anywhere."""
    folders = (paths.models, paths.plots, paths.checkpoints)
    earlier = [folder for folder in folders if folder.is_dir() and any(folder.iterdir())]
    if paths.evaluation_file.exists():
        earlier.append(paths.evaluation_file)
    if not earlier:
        return None
    old = paths.output / "old"
    name = f"{now:%Y-%m-%d_%H-%M-%S}"
    place, number = old / name, 2
    while place.exists():  # started twice in a second, or the clock was set back
        place, number = old / f"{name}_{number}", number + 1
    place.mkdir(parents=True)
    for made in earlier:
        made.replace(place / made.name)
    log.info("What the run before made is in %s now.", place)
    return place


def remove_leftovers(paths: OutputSettings) -> None:
    """Files half written when a run was killed or the power went."""
    for folder in (paths.models, paths.plots, paths.checkpoints):
        for path in folder.glob(".*.part"):
            path.unlink(missing_ok=True)
