"""Keeps the lists as the model reads them in files beside the database, so that they need not fit into memory.

They are made by streaming, when the database has changed since, and mapped into memory: four bytes for the item and
two for its place in time (more for catalogues beyond 65,535 items).
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from sequences import Sequences, joined

ABANDONED = 86_400
"""Seconds after which what is half made was left by a process that was killed."""

VERSION = 1
"""Goes up when the same database has to give other sequences."""


def state_of(database_file: Path) -> list[int]:
    """Changes with whatever is written to the database: size and time of the file, and of its journal if it has one."""
    state = []
    for path in (database_file, database_file.with_name(database_file.name + "-wal")):
        if path.exists() and (found := path.stat()).st_size:
            state += [found.st_size, found.st_mtime_ns]
    return state


def stored(
    database_file: Path,
    state: list[int],
    purpose: object,
    num_items: int,
    make: Callable[[], Iterable[dict[str, Sequences]]],
) -> dict[str, Sequences]:
    """Sequences by name, from the store if it has them for this `state_of` the database and this `purpose`.

    Else `make` them: it gives parts of each, some lists at a time, of at most `num_items` entries each. What it reads
    must be no older than the state.
    """
    key = hashlib.sha256(json.dumps([VERSION, state, purpose]).encode()).hexdigest()[:16]
    folder = database_file.with_name(f"{database_file.stem}.sequences")
    kept = folder / key
    if kept.is_dir() and state_of(database_file) == state:
        return _load(kept)
    aside = folder / f".{secrets.token_hex(4)}.part"
    try:
        aside.mkdir(parents=True)
    except OSError:  # a place that cannot be written to; then they have to fit into memory
        parts = [{name: _compact(part, num_items) for name, part in some.items()} for some in make()]
        return {name: joined([some[name] for some in parts]) for name in parts[0]}
    try:
        _write(aside, make(), num_items)
        if state_of(database_file) != state:  # somebody is writing: right for this run, not for the next
            key = f"{key}-{secrets.token_hex(4)}"
        try:
            aside.rename(folder / key)
        except OSError:  # another process was faster
            if not (folder / key).is_dir():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    for other in folder.iterdir():
        under_way = other.name.startswith(".") and time.time() - other.stat().st_mtime < ABANDONED
        if other.name != key and not under_way:
            shutil.rmtree(other, ignore_errors=True)  # on Windows not while another process reads it
    return _load(folder / key)


def _compact(part: Sequences, num_items: int) -> Sequences:
    """The block numbers in as few bytes as a list of all items needs."""
    return Sequences(part.items, part.blocks.astype(np.min_scalar_type(num_items)), part.offsets, part.user_ids)


def _write(folder: Path, parts: Iterable[dict[str, Sequences]], num_items: int) -> None:
    """Items and blocks as plain numbers, for their count is known last; the small arrays as .npy."""
    lengths: dict[str, list[np.ndarray]] = {}
    users: dict[str, list[np.ndarray]] = {}
    for some in parts:
        for name, part in some.items():
            for array in ("items", "blocks"):
                with (folder / f"{name}.{array}").open("ab") as file:
                    file.write(np.ascontiguousarray(getattr(_compact(part, num_items), array)).data)
            lengths.setdefault(name, []).append(part.lengths)
            users.setdefault(name, []).append(part.user_ids)
    for name in lengths:
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths[name]))])
        np.save(folder / f"{name}.offsets.npy", offsets)
        np.save(folder / f"{name}.user_ids.npy", np.concatenate(users[name]))
    (folder / "about.json").write_text(json.dumps({"names": list(lengths), "num_items": num_items}), encoding="utf-8")
    for path in folder.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def _load(folder: Path) -> dict[str, Sequences]:
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    return {name: _map(folder, name, about["num_items"]) for name in about["names"]}


def _map(folder: Path, name: str, num_items: int) -> Sequences:
    offsets = np.load(folder / f"{name}.offsets.npy")

    def mapped(array: str, kind: np.dtype) -> np.ndarray:
        if not offsets[-1]:  # an empty file cannot be mapped
            return np.zeros(0, kind)
        return np.asarray(np.memmap(folder / f"{name}.{array}", kind, "r", shape=(int(offsets[-1]),)))

    items, blocks = mapped("items", np.dtype(np.int32)), mapped("blocks", np.min_scalar_type(num_items))
    return Sequences(items, blocks, offsets, np.load(folder / f"{name}.user_ids.npy"))
