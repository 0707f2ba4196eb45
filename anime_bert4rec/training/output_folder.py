"""One run at a time writes into an output folder; what earlier runs have left there is moved aside."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import shutil
import stat
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from anime_bert4rec.model.run_folder import MADE, RunFolder
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.locks import is_held, lock
from anime_bert4rec.support.whole_files import write_aside, written_aside_for

log = logging.getLogger(__name__)

LOCK = ".lock"

OLD = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d(_\d+)?", re.ASCII)


class FolderInUse(UserError):
    """Another run writes into the folder."""


@contextlib.contextmanager
def only_run_in(folder: Path) -> Iterator[None]:
    """Raises FolderInUse while another process is in such a block. However a process ends, its lock ends with it."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / LOCK).is_fifo():  # to open it would wait for ever
        raise UserError(f"{folder / LOCK} is not a file: move it away")
    with (folder / LOCK).open("ab") as file:  # stays there: removing it would let two runs lock two files
        try:
            lock(file)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                raise FolderInUse(
                    f"another training run is writing into {folder}: wait for it, or choose another with --output-dir"
                ) from None
            log.warning("%s cannot be locked (%s): start no second run into it.", folder, error.strerror)
        if hasattr(os, "register_at_fork"):  # a worker that outlives a killed run must not keep its lock
            os.register_at_fork(after_in_child=file.close)
        yield


def make_folders(folder: RunFolder) -> None:
    """Make the folders of a run, before anything is fitted or moved. Raises OSError where something is in the way."""
    for name in MADE:
        (folder.output / name).mkdir(parents=True, exist_ok=True)


def move_earlier_run_aside(folder: RunFolder, now: datetime) -> Path | None:
    """Move what an earlier run has made to `old/` and the time: no model is lost. Returns where it is now, if anywhere.

    Files move, not their folders, which may be links, disks of their own, or hold what is somebody else's.
    """
    earlier = [path for path, pattern in _entries(folder.output) if re.fullmatch(pattern, path.name)]
    if not earlier:
        return None
    old = folder.output / "old"
    name = f"{now:%Y-%m-%d_%H-%M-%S}"
    place, number = old / name, 2
    while os.path.lexists(place):  # started twice in a second, or the clock was set back
        place, number = old / f"{name}_{number}", number + 1
    for path in earlier:
        target = place / path.relative_to(folder.output)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            leads_to = path.readlink()
            if path.parent / leads_to not in earlier:  # which goes along
                leads_to = path.parent.resolve() / leads_to
            target.symlink_to(leads_to)
            path.unlink()
        else:
            _move(path, target)
    log.info("What the run before made is in %s now.", place)
    return place


def _entries(output: Path) -> Iterator[tuple[Path, str]]:
    """Every file or link in the folders of a run, with the pattern of the names that a run gives there."""
    for name, pattern in MADE.items():
        folder = output / name
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.is_symlink() or path.is_file():
                yield path, pattern


def _move(path: Path, target: Path) -> None:
    """Move a file, to another disk too. Stopped half way, nothing is lost."""
    try:
        path.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with path.open("rb") as source, write_aside(target) as copy:
            shutil.copyfileobj(source, copy)
        with contextlib.suppress(OSError):
            shutil.copystat(path, target)
        path.unlink()


def remove_leftovers(folder: RunFolder) -> None:
    """Remove files that were half written when a run was killed or the power went, and that nobody is writing now."""
    for path, pattern in [entry for each in (folder.output, *_old_runs(folder)) for entry in _entries(each)]:
        name = written_aside_for(path.name)
        if name and re.fullmatch(pattern, name) and stat.S_ISREG(path.lstat().st_mode) and not is_held(path):
            with contextlib.suppress(PermissionError):  # on Windows while somebody writes it
                path.unlink(missing_ok=True)


def _old_runs(folder: RunFolder) -> list[Path]:
    old = folder.output / "old"
    return [path for path in old.iterdir() if OLD.fullmatch(path.name)] if old.is_dir() else []
