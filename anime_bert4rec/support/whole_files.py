"""Files that are either whole or not there: written aside, flushed to the disk, then renamed into place."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.locks import hold

log = logging.getLogger(__name__)

WAITS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2) if os.name == "nt" else ()
"""Seconds between tries to replace a file: Windows refuses it while another process, such as a virus scanner, reads."""


@contextlib.contextmanager
def write_aside(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of `path` when the block ends well; otherwise `path` stays as it was.

    A link stays a link to what is replaced, and who may read and write what was there may do so with what is new.
    """
    require_replaceable(path)
    place = Path(os.path.realpath(path)) if path.is_symlink() else path
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_name(f".{place.name}.{secrets.token_hex(4)}.part")
    with naming(path, aside):
        file = aside.open("xb")
        try:
            with file:
                if os.name == "posix" and place.exists():
                    aside.chmod(stat.S_IMODE(place.stat().st_mode))  # before there is anything to read in it
                hold(file)
                yield file
                file.flush()
                os.fsync(file.fileno())
            put_in_place(aside, place)
            flush_folder(place.parent)
        finally:
            aside.unlink(missing_ok=True)
    log.debug("written: %s", path)


def put_in_place(aside: Path, place: Path) -> None:
    """Rename a file, in place of what has the name; on Windows, once nobody reads either of them any more."""
    for seconds in WAITS:
        try:
            aside.replace(place)
            return
        except PermissionError:
            time.sleep(seconds)
    aside.replace(place)


def require_replaceable(path: Path) -> None:
    """Raises OSError for what no file should replace, such as a folder or a device."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        raise OSError(errno.EEXIST, "Not a file that can be replaced", str(path))


def require_own_text(path: Path, beginning: bytes) -> None:
    """As `require_replaceable`; and raises UserError for a file that has a text and does not begin with this regular
    expression, as all that is written here does: it was named as an output by mistake."""
    require_replaceable(path)
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(4096)
        if start and not re.match(beginning, start):
            raise UserError(f"{path} is there already, and is something else: give another name, or move it away")


def written_aside_for(name: str) -> str | None:
    """The file that one of this name was written aside for, if `write_aside` gives such names."""
    found = re.fullmatch(r"\.(.+)\.[0-9a-f]{8}\.part", name, re.DOTALL)
    return found[1] if found else None


@contextlib.contextmanager
def naming(path: Path, aside: Path | None = None) -> Iterator[None]:
    """Name `path` in errors of the block that name no file, as that of a full disk does not, or that name the file
    `aside`, of which no user knows."""
    try:
        yield
    except OSError as error:
        if error.filename in (None, str(aside)) and error.errno:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def write_json(path: Path, value: Any) -> None:
    """Write JSON in UTF-8. Bytes that are no text, as in some file names, are escaped so that reading restores them."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    with write_aside(path) as file:
        file.write(text.encode(errors="backslashreplace"))  # a lone surrogate becomes \udce9, which is JSON's own way


LONGEST_JSON = 2**26
"""The most bytes that are read; the metrics of a hundred thousand epochs are fewer."""


def read_json(path: Path) -> Any:
    """What a JSON file holds. Raises OSError, or a ValueError whose message can be shown: it is not JSON, too large, or
    not a file, for a pipe or a device may never end."""
    found = path.stat()
    if stat.S_ISFIFO(found.st_mode) or stat.S_ISCHR(found.st_mode):
        raise ValueError("it is not a file")
    if found.st_size > LONGEST_JSON:
        raise ValueError("it is too large")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None


def flush_folder(folder: Path) -> None:
    """Make a rename in the folder itself survive a power loss. Windows has no such call, and needs none."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
