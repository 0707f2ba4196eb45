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
        """Lock the file for this process. Raises OSError while another process has it locked."""
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    def hold(file: IO[bytes]) -> None:
        """Mark the file as in use for other processes, for as long as it is open or mapped into memory."""

    @contextlib.contextmanager
    def holding(path: Path) -> Iterator[None]:
        """Mark the file as in use within the block; it may be moved. Windows needs none: files in use stay there."""
        yield

    @contextlib.contextmanager
    def one_at_a_time(folder: Path) -> Iterator[None]:
        """Windows has no locks on folders: there nobody waits."""
        yield

    def is_held(path: Path) -> bool:
        """Whether a process holds the file: never to be asked on Windows, which protects open files itself."""
        return False

else:
    import fcntl
    import os

    def lock(file: IO[bytes]) -> None:
        """Lock the file for this process. Raises OSError while another process has it locked."""
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def hold(file: IO[bytes]) -> None:
        """Mark the file as in use for other processes, for as long as it is open or mapped into memory."""
        with contextlib.suppress(OSError):  # not every file system has locks
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)

    @contextlib.contextmanager
    def holding(path: Path) -> Iterator[None]:
        """Mark the file as in use within the block; it may be moved. Windows needs none: files in use stay there."""
        with path.open("rb") as file:
            hold(file)
            yield

    @contextlib.contextmanager
    def one_at_a_time(folder: Path) -> Iterator[None]:
        """Wait until nobody else is in such a block for this folder: who changes a file in it reads and replaces it."""
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # not every file system has locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def is_held(path: Path) -> bool:
        """Whether a process holds the file, or that cannot be found out."""
        try:
            with path.open("rb+") as file:  # on network file systems only a writer may lock
                lock(file)
        except OSError:
            return True
        return False
