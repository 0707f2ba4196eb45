"""Locks on open files: other processes see them, and however a process ends, its locks end with it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt

    def lock(file: IO[bytes]) -> None:
        """Raises OSError while another process has it locked."""
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    def hold(file: IO[bytes]) -> None:
        """Others see that the file is in use, for as long as it is open or mapped into memory."""

    @contextlib.contextmanager
    def holding(path: Path) -> Iterator[None]:
        """Others see in the block that the file is in use, though it may be moved. Not on Windows, where none may."""
        yield

    def is_held(path: Path) -> bool:
        """Whether a process holds the file. Windows itself lets nobody remove a file that is open somewhere."""
        return False

else:
    import fcntl

    def lock(file: IO[bytes]) -> None:
        """Raises OSError while another process has it locked."""
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def hold(file: IO[bytes]) -> None:
        """Others see that the file is in use, for as long as it is open or mapped into memory."""
        with contextlib.suppress(OSError):  # not every file system has locks
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)

    @contextlib.contextmanager
    def holding(path: Path) -> Iterator[None]:
        """Others see in the block that the file is in use, though it may be moved. Not on Windows, where none may."""
        with path.open("rb") as file:
            hold(file)
            yield

    def is_held(path: Path) -> bool:
        """Whether a process holds the file, or nobody can tell."""
        try:
            with path.open("rb+") as file:  # on network file systems only a writer may lock
                lock(file)
        except OSError:
            return True
        return False
