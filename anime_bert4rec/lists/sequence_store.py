"""Keeps the lists as the model reads them in files beside the database, so that they need not fit into memory.

They are made by streaming, when the database has changed since, in a folder that only this program uses: what it
did not make is neither written to nor removed, and no link is followed.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.dates import DAY_SECONDS
from anime_bert4rec.lists.sequence_files import (
    ABOUT,
    FILE_NAME,
    Unusable,
    compact,
    open_file,
    read_sequences,
    write_sequences,
)
from anime_bert4rec.lists.sequences import Sequences, joined
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.locks import holding, is_held
from anime_bert4rec.support.text import describe_os_error, plain
from anime_bert4rec.support.whole_files import write_aside, written_aside_for

log = logging.getLogger(__name__)

KEPT = 3
"""How many folders of lists are kept: a database has one for every seed and every share of validation users."""
ABANDONED = DAY_SECONDS
"""The age in seconds from which a half-made folder is taken to be left by a process that was killed."""

VERSION = 3
"""The version of what is kept, raised when the same database has to give other sequences or other files."""

MARK = ".anime-bert4rec"
MARK_TEXT = b"""The lists of the database beside this folder, as the model reads them.
anime-bert4rec made this folder and removes from it what it no longer needs. It may be deleted.
"""
KEY = re.compile(r"[0-9a-f]{16}(-[0-9a-f]{8})?")  # the longer form is of earlier versions
PART = re.compile(r"\.[0-9a-f]{8}\.part")


def state_of(database_file: Path) -> list[int]:
    """A state that changes with every write: size and time of the database, and of its journal if there is one."""
    state = []
    for path in (database_file, database_file.with_name(database_file.name + "-wal")):
        if path.exists() and (found := path.stat()).st_size:
            state += [found.st_size, found.st_mtime_ns]
    return state


@contextlib.contextmanager
def as_of_one_moment(database_file: Path) -> Iterator[tuple[Database, list[int]]]:
    """The database, all that is read of which in the block is of one moment, and its state then.

    The state is what `state_of` gives.
    """
    if len(state_of(database_file)) > 2:  # a killed process has left a journal, unless one is at work
        with Database.open_to_read(database_file, whole=False):
            pass  # closing it works the journal into the file: now, not when whoever reads it next changes the state
    with Database.open_to_read(database_file) as database:
        state = state_of(database_file)  # before the snapshot, so that no change in between is missed
        with database.snapshot():
            yield database, state


def stored(
    database_file: Path,
    state: list[int],
    purpose: object,
    num_items: int,
    make: Callable[[], Iterable[dict[str, Sequences]]],
) -> dict[str, Sequences]:
    """Sequences by name, from the store if it has them for this `state_of` the database and this `purpose`.

    Else `make` them: it gives parts of each, some lists at a time, of at most `num_items` entries each. What it reads
    must be no older than the state; it is called at most once. Where nothing can be kept, they have to fit into memory.
    """
    folder = folder_of(database_file)
    key = hashlib.sha256(json.dumps([VERSION, database_file.name, state, purpose, num_items]).encode()).hexdigest()[:16]
    kept, aside = folder / key, folder / f".{secrets.token_hex(4)}.part"
    try:
        ours = _is_ours(folder)
        if ours and state_of(database_file) == state and (found := _read(kept, num_items)):
            return found
        if ours:
            aside.mkdir()
        else:
            _say_once(f"{folder} was not made by this program: the lists are read into memory instead.")
    except OSError as error:
        log.info("The lists are read into memory, for nothing can be kept here: %s", describe_os_error(error))
        ours = False
    if not ours:
        return _in_memory(make(), num_items)
    try:
        write_sequences(aside, make(), num_items)
        unchanged = state_of(database_file) == state
        if unchanged and (found := _read(kept, num_items)):  # another process was faster
            return found
        if not unchanged or (os.path.lexists(kept) and not _remove(kept)):
            kept = folder / secrets.token_hex(8)  # right for this run, not for the next
        with holding(aside / ABOUT):
            with contextlib.suppress(OSError):  # another process was faster, by a hair
                aside.rename(kept)
            found = _read(kept, num_items)
    finally:
        _remove(aside)
    if not found:
        raise UserError(f"{kept} was written and cannot be read: is the disk damaged?")
    _remove_older(folder, kept)
    return found


def folder_of(database_file: Path) -> Path:
    return database_file.with_name(f"{database_file.stem}.sequences")


def forget(database_file: Path) -> bool:
    """Remove what is kept of the lists of a database, and nothing else. Returns whether none of it is left."""
    folder = folder_of(database_file)
    try:
        if not os.path.lexists(folder):
            return True
        for path in folder.iterdir() if _is_ours(folder) else ():
            if KEY.fullmatch(path.name):
                _remove(path)
        return {path.name for path in folder.iterdir()} == {MARK}
    except OSError:
        return False


def _in_memory(parts: Iterable[dict[str, Sequences]], num_items: int) -> dict[str, Sequences]:
    made = [{name: compact(part, num_items) for name, part in some.items()} for some in parts]
    return {name: joined([some[name] for some in made]) for name in made[0]}


def _read(kept: Path, num_items: int) -> dict[str, Sequences] | None:
    """The sequences that are kept there, or None if they are missing or damaged."""
    try:
        found = read_sequences(kept, num_items) if _is_folder(kept) else None
    except Unusable as error:
        if _is_folder(kept):  # and not just removed
            _say_once(f"{kept} cannot be used ({error}): the lists are read from the database again.")
        return None
    if found:
        with contextlib.suppress(OSError):
            now = time.time_ns()  # which is finer than the system's own for files
            os.utime(kept, ns=(now, now))  # the last used are kept
    return found


@functools.cache
def _say_once(text: str) -> None:
    log.warning(plain(text))


def _is_folder(path: Path) -> bool:
    """Whether the path is a folder itself, not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _is_ours(folder: Path) -> bool:
    """Whether the folder has our mark. One that holds nothing but what we make, or is not there yet, is given it."""
    if not os.path.lexists(folder):
        folder.mkdir(exist_ok=True)
    if not _is_folder(folder):
        return False
    mark = folder / MARK
    if os.path.lexists(mark):
        with contextlib.suppress(ValueError), open_file(mark) as file:
            return file.read(len(MARK_TEXT) + 1) == MARK_TEXT
        return False
    for path in folder.iterdir():
        under_way = written_aside_for(path.name) == MARK
        if not (under_way or (_is_made(path) and (PART.fullmatch(path.name) or _has_our_about(path)))):
            return False
    with write_aside(mark) as file:
        file.write(MARK_TEXT)
    return True


def _is_made(path: Path) -> bool:
    """Whether it is a folder with a name of ours and nothing in it but files with names of ours."""
    if not (KEY.fullmatch(path.name) or PART.fullmatch(path.name)) or not _is_folder(path):
        return False
    with os.scandir(path) as entries:
        return all(FILE_NAME.fullmatch(each.name) and each.is_file(follow_symlinks=False) for each in entries)


def _has_our_about(folder: Path) -> bool:
    try:
        with open_file(folder / ABOUT) as file:
            return {"names", "num_items"} <= set(json.loads(file.read(65_536)))
    except (OSError, ValueError, TypeError, RecursionError):
        return False


def _remove(folder: Path) -> bool:
    """Remove a folder that was made here, unless somebody is reading it. Returns whether it is gone."""
    try:
        if not _is_made(folder):
            return False
        files = list(folder.iterdir())
        if any(map(is_held, files)):
            return False
        going = folder.with_name(f".{secrets.token_hex(4)}.part")
        folder.rename(going)  # at once, so that nobody begins to read half of it
        for path in files:
            (going / path.name).unlink()
        going.rmdir()
    except OSError:  # on Windows while another process reads it
        return False
    return True


def _remove_older(folder: Path, kept: Path) -> None:
    """Remove what was used longest ago, and what was left half made."""
    used: list[tuple[float, Path]] = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):  # another process has removed it
            last = path.lstat().st_mtime
            if PART.fullmatch(path.name) and time.time() - last > ABANDONED:
                _remove(path)
            elif KEY.fullmatch(path.name) and _is_made(path) and path != kept:
                used.append((last, path))
    for _, path in sorted(used, reverse=True)[KEPT - 1 :]:
        _remove(path)
