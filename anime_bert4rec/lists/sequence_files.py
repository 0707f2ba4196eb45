"""Lists as files that are mapped into memory, so that they need not fit into it, and are checked before they are used.

A folder has, for each of some names, `NAME.items` with four bytes an entry, `NAME.blocks` with two (one for catalogues
of at most 255 items, four for those beyond 65,535), and the small arrays as .npy; `about.json` has the length and the
checksum of each.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import stat
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np

from anime_bert4rec.lists.sequences import Sequences
from anime_bert4rec.support.locks import hold
from anime_bert4rec.support.whole_files import naming

ABOUT = "about.json"
ARRAYS = ("items", "blocks", "offsets.npy", "user_ids.npy")
FILE_NAME = re.compile(rf"{re.escape(ABOUT)}|[a-z]+\.({'|'.join(map(re.escape, ARRAYS))})")
"""The names of the files that are made here."""

ABOUT_BYTES = 65_536
BYTES_AT_ONCE = 2**22


class Unusable(Exception):
    """The files are not all there, or not as they were written."""


def compact(part: Sequences, num_items: int) -> Sequences:
    """These sequences, with block numbers in as few bytes as a list of all items needs."""
    return Sequences(part.items, part.blocks.astype(_block_type(num_items)), part.offsets, part.user_ids)


def _block_type(num_items: int) -> np.dtype:
    return np.min_scalar_type(num_items)


def write_sequences(folder: Path, parts: Iterable[dict[str, Sequences]], num_items: int) -> None:
    """Write sequences that come in parts into an empty folder. Their whole length is known only at the end."""
    files: dict[str, tuple[int, int]] = {}
    lengths: dict[str, list[np.ndarray]] = {}
    users: dict[str, list[np.ndarray]] = {}

    def append(name: str, content: bytes | memoryview) -> None:
        with naming(folder / name), (folder / name).open("ab") as file:
            file.write(content)
        size, checksum = files.get(name, (0, 0))
        files[name] = size + memoryview(content).nbytes, zlib.crc32(content, checksum)

    for some in parts:
        for name, part in some.items():
            part = compact(part, num_items)
            append(f"{name}.items", np.ascontiguousarray(part.items, np.int32).data)
            append(f"{name}.blocks", np.ascontiguousarray(part.blocks).data)
            lengths.setdefault(name, []).append(part.lengths)
            users.setdefault(name, []).append(part.user_ids)
    for name in lengths:
        append(f"{name}.offsets.npy", _npy(np.concatenate([[0], np.cumsum(np.concatenate(lengths[name]))])))
        append(f"{name}.user_ids.npy", _npy(np.concatenate(users[name])))
    about = {"names": list(lengths), "num_items": num_items, "files": files}
    append(ABOUT, json.dumps({**about, "checksum": _checksum(about)}).encode())
    for path in folder.iterdir():
        with naming(path), path.open("rb+") as file:
            os.fsync(file.fileno())


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array.astype(np.int64))
    return file.getvalue()


def _checksum(about: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(about, sort_keys=True).encode())


def read_sequences(folder: Path, num_items: int) -> dict[str, Sequences]:
    """Map the sequences that `write_sequences` has written there. Raises Unusable.

    Every file is opened before anything is read, and held for as long as one of the arrays is there: who removes the
    folder meanwhile takes nothing away.
    """
    try:
        with contextlib.ExitStack() as stack:
            about = _read_about(stack.enter_context(open_file(folder / ABOUT)), num_items)
            files = {name: stack.enter_context(open_file(folder / name)) for name in about["files"]}
            for name, file in files.items():
                hold(file)
                _require(os.fstat(file.fileno()).st_size == about["files"][name][0], f"{name} has another length")
            return {name: _read(files, name, num_items, about["files"]) for name in about["names"]}
    except FileNotFoundError as error:
        raise Unusable(f"{Path(error.filename).name} is missing") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, MemoryError) as error:
        raise Unusable(str(error)) from error


def open_file(path: Path) -> IO[bytes]:
    """Open a regular file. Raises ValueError for a link, a pipe or a device, which could wait for ever or never end."""
    _require(stat.S_ISREG(path.lstat().st_mode), f"{path.name} is not a file")
    return path.open("rb")


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)


def _read_about(file: IO[bytes], num_items: int) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads(file.read(ABOUT_BYTES))
        whole = about.pop("checksum") == _checksum(about)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        whole = False
    _require(whole, f"{ABOUT} is damaged")
    _require(about["num_items"] == num_items, f"{ABOUT} is of another catalogue")
    wanted = {f"{name}.{array}" for name in about["names"] for array in ARRAYS}
    _require(set(about["files"]) == wanted and all(map(FILE_NAME.fullmatch, wanted)), f"{ABOUT} lacks files")
    return about


def _read(files: dict[str, IO[bytes]], name: str, num_items: int, about: dict[str, list[int]]) -> Sequences:
    kind = _block_type(num_items)

    def check(array: str, numbers: np.dtype | None = None, low: int = 0, high: int = 0) -> IO[bytes]:
        file = files[f"{name}.{array}"]
        _check(file, f"{name}.{array}", about[f"{name}.{array}"][1], numbers, low, high)
        file.seek(0)
        return file

    offsets, user_ids = (
        np.lib.format.read_array(check(array), allow_pickle=False) for array in ("offsets.npy", "user_ids.npy")
    )
    _require(offsets.dtype == user_ids.dtype == np.int64, f"{name} has other types")
    _require(offsets.ndim == user_ids.ndim == 1 and len(offsets) == len(user_ids) + 1, f"{name} has other users")
    lengths, entries = np.diff(offsets), int(offsets[-1])
    _require(offsets[0] == 0 and bool((lengths >= 0).all()), f"{name}.offsets.npy does not ascend")
    for array, size in (("items", 4), ("blocks", kind.itemsize)):
        _require(about[f"{name}.{array}"][0] == entries * size, f"{name}.{array} has another length")
    longest = int(lengths.max(initial=0))
    items = _mapped(check("items", np.dtype(np.int32), 1, num_items), np.dtype(np.int32), entries)
    return Sequences(items, _mapped(check("blocks", kind, 0, longest - 1), kind, entries), offsets, user_ids)


def _check(file: IO[bytes], name: str, checksum: int, numbers: np.dtype | None, low: int, high: int) -> None:
    """Compare checksum and range, one chunk at a time, since the file may not fit into memory."""
    found = 0
    while chunk := file.read(BYTES_AT_ONCE):
        found = zlib.crc32(chunk, found)
        if numbers is not None:
            values = np.frombuffer(chunk, numbers)
            _require(low <= values.min() and values.max() <= high, f"{name} has numbers out of range")
    _require(found == checksum, f"{name} is damaged")


def _mapped(file: IO[bytes], kind: np.dtype, entries: int) -> np.ndarray:
    if not entries:  # an empty file cannot be mapped
        return np.zeros(0, kind)
    return np.asarray(np.memmap(file, kind, "r", shape=(entries,)))
