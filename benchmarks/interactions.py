"""Who took which item, in order of time: read from a file, found by name, and split by leave-one-out.

Needs NumPy only, for it runs in the peers' virtual environments too.
"""

from __future__ import annotations

import csv
import gzip
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np

from anime_bert4rec.lists.sequences import Sequences, flat_ranges
from anime_bert4rec.support.errors import UserError

MIN_LENGTH = 5  # shorter lists are left out, as the papers do
MOVIELENS = ("ml-100k", "ml-1m")
DATA_DIR = Path(os.environ.get("BENCHMARK_DATA") or Path(__file__).resolve().parent / "data")

USER, ITEM = ("user_id", "user", "userid"), ("item_id", "item", "anime_id", "movieid")
TIME = ("timestamp", "position", "date", "time")


@dataclass(frozen=True)
class Interactions:
    """Lists in order of time, and the name of each item: item 1 is `item_names[0]`."""

    sequences: Sequences
    item_names: list[str]
    user_names: list[str]

    @property
    def num_items(self) -> int:
        return len(self.item_names)


def find(data: str, data_dir: Path = DATA_DIR) -> Path:
    """The file that `data` (ml-100k, ml-1m, or a path) stands for. Raises UserError when it isn't there."""
    if data not in MOVIELENS:
        for path in (Path(data), data_dir / data):
            if path.is_file():
                return path
        raise UserError(
            f"there is no file {data} here or in BENCHMARK_DATA; give a CSV, or one of {', '.join(MOVIELENS)}"
        )
    for name in (f"{data}.csv.gz", f"{data}.csv"):
        if (data_dir / name).is_file():
            return data_dir / name
    raise UserError(
        f"{data_dir / data}.csv.gz is missing. MovieLens may not be passed on, so fetch it from "
        "https://grouplens.org/datasets/movielens/ and write it as CSV with the header user_id,item_id,timestamp; "
        "--data-dir or BENCHMARK_DATA says where it is"
    )


def read(path: Path) -> Interactions:
    """Read a CSV whose header names a user, an item and a time, or one user a line with the items in order; gz too.

    What separates the columns may be a comma, a semicolon, a tab or `|`.

    The order is that of time, and that of the rows where times are equal: those have no order among themselves
    (`Sequences.blocks`). The time is a number or a date; without one, all of a list is one block. What comes again on
    the same list counts where it comes first: seen items are not ranked, so a repeated one cannot be asked for.
    """
    with open_text(path) as file:
        first = file.readline()
        lines = chain([first], file)
        delimiter = max(",;\t|", key=first.count)
        names = next(csv.reader([first], delimiter=delimiter), [])
        header = [name.strip().lower().partition(":")[0] for name in names]  # RecBole writes a type behind it
        is_csv = not {*USER, *ITEM, *TIME}.isdisjoint(header)
        rows = _csv_rows(header, csv.reader(file, delimiter=delimiter), path) if is_csv else _line_rows(lines)
        users, items, times = zip(*rows, strict=True) if (rows := list(rows)) else ((), (), ())
    user_names, user = np.unique(np.array(users, str), return_inverse=True)
    item_names = sorted(set(items), key=lambda name: (len(name), name))  # 2 before 10
    number = {name: k for k, name in enumerate(item_names, 1)}
    item = np.array([number[name] for name in items], np.int32)
    time = np.array(times, np.float64)

    order = np.lexsort((time, user))  # stable: equal times stay in the order of the rows
    user, item, time = user[order], item[order], time[order]
    first = np.sort(np.unique(user * (len(item_names) + 1) + item, return_index=True)[1])
    user, item, time = user[first], item[first], time[first]
    offsets = np.searchsorted(user, np.arange(len(user_names) + 1))
    new_block = np.ones(len(user), bool)
    new_block[1:] = (user[1:] != user[:-1]) | (time[1:] != time[:-1])
    position = np.arange(len(user)) - offsets[user]
    blocks = position[np.maximum.accumulate(np.where(new_block, np.arange(len(user)), 0))].astype(np.int32)
    sequences = Sequences(item, blocks, offsets, np.arange(len(user_names)))
    return Interactions(sequences, item_names, user_names.tolist())


def _csv_rows(header: list[str], rows: Iterator[list[str]], path: Path) -> Iterator[tuple[str, str, float]]:
    def column(names: tuple[str, ...]) -> int | None:
        return next((header.index(name) for name in names if name in header), None)

    user, item, time = column(USER), column(ITEM), column(TIME)
    if user is None or item is None:
        raise UserError(f"{path}: the header has no {'user_id' if user is None else 'item_id'}")
    for number, row in enumerate(rows, 2):
        if not row:
            continue
        try:
            yield row[user].strip(), row[item].strip(), 0.0 if time is None else _moment(row[time].strip())
        except (IndexError, ValueError) as error:
            raise UserError(f"{path}:{number}: not a row of {','.join(header)}") from error


def _moment(text: str) -> float:
    """A number as it is, a date in seconds, and 0, before all others, where nothing is given."""
    try:
        return float(text or 0)
    except ValueError:
        date = datetime.fromisoformat(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def _line_rows(lines: Iterator[str]) -> Iterator[tuple[str, str, float]]:
    for number, line in enumerate(lines):
        for position, item in enumerate(re.split(r"[\s,]+", line.strip())):
            if item:
                yield f"{number:09}", item, position


def rows_of(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a CSV, packed or not, by the names in its header. Raises UserError when the file is missing."""
    with open_text(path) as file:
        yield from csv.DictReader(file)


def open_text(path: Path) -> IO[str]:
    """The text of a file, packed or not. Raises UserError when it is missing."""
    if not path.is_file():
        raise UserError(f"there is no file {path}; BENCHMARK_DATA says in which folder it is")
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def keep_items(interactions: Interactions, most_listed: int) -> Interactions:
    """Only the items that are on the most lists; numbers and order stay as they come."""
    count = np.bincount(interactions.sequences.items, minlength=interactions.num_items + 1)[1:]
    kept = np.sort(np.argsort(-count, kind="stable")[:most_listed])
    sequences = interactions.sequences.only_items(kept + 1)
    return Interactions(sequences, [interactions.item_names[k] for k in kept], interactions.user_names)


def keep_users(interactions: Interactions, min_length: int = MIN_LENGTH, prefix: str = "") -> Interactions:
    """Only users with `min_length` items or more whose names start with `prefix`. Raises UserError if none is left."""
    named = np.array([name.startswith(prefix) for name in interactions.user_names], bool)
    kept = np.flatnonzero(named & (interactions.sequences.lengths >= min_length))
    if not len(kept):
        raise UserError(f"no user has {min_length} items or more")
    names = [interactions.user_names[k] for k in kept]
    return Interactions(interactions.sequences.select(kept), interactions.item_names, names)


@dataclass(frozen=True)
class LeaveOneOut:
    """Of each list the last item is for the test, the one before it for validation, and the rest for training."""

    whole: Sequences
    num_items: int

    @property
    def training(self) -> Sequences:
        return without_last(self.whole, 2)

    @property
    def known(self) -> Sequences:
        """What is known when the test item is to be predicted."""
        return without_last(self.whole, 1)

    @property
    def validation_items(self) -> np.ndarray:
        return self.whole.items[self.whole.offsets[1:] - 2]

    @property
    def test_items(self) -> np.ndarray:
        return self.whole.items[self.whole.offsets[1:] - 1]

    def save(self, path: Path) -> None:
        np.savez(path, items=self.whole.items, blocks=self.whole.blocks, offsets=self.whole.offsets, n=self.num_items)

    @classmethod
    def load(cls, path: Path) -> LeaveOneOut:
        with np.load(path) as file:
            users = np.arange(len(file["offsets"]) - 1)
            return cls(Sequences(file["items"], file["blocks"], file["offsets"], users), int(file["n"]))


def without_last(sequences: Sequences, count: int) -> Sequences:
    lengths = sequences.lengths - count
    kept = flat_ranges(sequences.offsets[:-1], lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return Sequences(sequences.items[kept], sequences.blocks[kept], offsets, sequences.user_ids)
