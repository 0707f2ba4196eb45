"""Watch lists as sequences: order in time, the vocabulary, and the split into training and validation users.

Pure functions on whole arrays; no torch, no SQL.
"""

from __future__ import annotations

import hashlib
import itertools
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from anime_bert4rec.lists.dates import DAY_SECONDS, parts

PAD = 0
"""The padding's index. Items are 1 … N; the mask is N + 1 (`Vocabulary.mask`)."""

NO_ID = -1
"""The id of no anime."""

BULK_DAY = 10
"""This many entries of one person with the same date were imported together: the order among them means nothing."""

ENTRIES_AT_ONCE = 1_000_000
"""How many entries are processed together, of lists that may not fit into memory."""

WatchedRow = tuple[int, int, int, int | None, int | None, int | None, int | None]
"""user_id, anime_id, entry_id, completed, started (YYYYMMDD), updated, created (unix seconds); None is unknown."""


@dataclass(frozen=True)
class Vocabulary:
    """The items of a model: anime ids in ascending order, the first of which has index 1."""

    anime_ids: np.ndarray

    @classmethod
    def of(cls, anime_ids: Iterable[int]) -> Vocabulary:
        return cls(np.unique(np.fromiter(anime_ids, np.int64)))

    @property
    def num_items(self) -> int:
        return len(self.anime_ids)

    @property
    def mask(self) -> int:
        return self.num_items + 1

    def encode(self, anime_ids: np.ndarray) -> np.ndarray:
        """Indices 1 … N of `anime_ids`, and PAD for those that the vocabulary doesn't have."""
        if not self.num_items:
            return np.zeros(len(anime_ids), np.int32)
        at = np.minimum(np.searchsorted(self.anime_ids, anime_ids), self.num_items - 1)
        return np.where(self.anime_ids[at] == anime_ids, at + 1, PAD).astype(np.int32)

    def items_of(self, anime_ids: Iterable[int]) -> np.ndarray:
        """The same of ids of any size, however they come. Raises TypeError for what is no id."""
        in_range = (each if 0 <= each < 2**63 else NO_ID for each in map(operator.index, anime_ids))
        return self.encode(np.fromiter(in_range, np.int64))

    def values_of(self, anime_ids: Iterable[int], values: np.ndarray) -> list[float | None]:
        """Of the values of all items [N] that of each id, None for those that the vocabulary doesn't have."""
        items = self.items_of(anime_ids)
        each = zip(items.tolist(), values[items - 1].tolist(), strict=True)
        return [None if item == PAD else value for item, value in each]

    def decode(self, indices: np.ndarray) -> np.ndarray:
        """The anime ids of indices 1 … N."""
        return self.anime_ids[np.asarray(indices) - 1]


@dataclass(frozen=True)
class Sequences:
    """Many lists of item indices, one after the other, each in the order of time.

    `items[offsets[u]:offsets[u + 1]]` is the list of user `u`, whose id in the database is `user_ids[u]`. Entries with
    the same `blocks` number (within a user, ascending) have no order among themselves.
    """

    items: np.ndarray
    blocks: np.ndarray
    offsets: np.ndarray
    user_ids: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    def of_user(self, user: int) -> np.ndarray:
        return self.items[self.offsets[user] : self.offsets[user + 1]]

    def blocks_of_user(self, user: int) -> np.ndarray:
        return self.blocks[self.offsets[user] : self.offsets[user + 1]]

    def select(self, users: np.ndarray) -> Sequences:
        """The sequences of `users` (positions in this one), in that order."""
        lengths = self.offsets[users + 1] - self.offsets[users]
        entries = flat_ranges(self.offsets[users], lengths)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return Sequences(self.items[entries], self.blocks[entries], offsets, self.user_ids[users])

    def popularity(self, num_items: int) -> np.ndarray:
        """How often each item 1 … N is on a list: float32 [N]. In chunks, since the lists may not fit into memory."""
        counts = np.zeros(num_items + 1, np.int64)
        for start in range(0, len(self.items), ENTRIES_AT_ONCE):
            counts += np.bincount(self.items[start : start + ENTRIES_AT_ONCE], minlength=num_items + 1)
        return counts[1:].astype(np.float32)

    def keep(self, kept: np.ndarray) -> Sequences:
        """The lists with only the `kept` entries (bool, one for each)."""
        offsets = np.concatenate([[0], np.cumsum(kept)])[self.offsets]
        block = (np.repeat(self.offsets[:-1], self.lengths) + self.blocks)[kept]  # ascending
        is_first = np.diff(block, prepend=-1) != 0
        first = np.maximum.accumulate(np.where(is_first, np.arange(len(block)), 0))
        blocks = first - np.repeat(offsets[:-1], np.diff(offsets))
        return Sequences(self.items[kept], blocks.astype(np.int32), offsets, self.user_ids)

    def only_items(self, items: np.ndarray) -> Sequences:
        """The lists with only some items (indices 1 … N, ascending), which are renumbered from 1."""
        left = self.keep(np.isin(self.items, items))
        return replace(left, items=(np.searchsorted(items, left.items) + 1).astype(np.int32))


ItemLists = Sequences | Sequence[np.ndarray] | np.ndarray
"""A list of item indices (1 … N) for each user, in one of three forms; a plain array [U] is one item each."""


def list_of(lists: ItemLists, user: int) -> np.ndarray:
    """The items of one user."""
    return lists.of_user(user) if isinstance(lists, Sequences) else np.atleast_1d(lists[user])


def part_of(lists: ItemLists, start: int, stop: int) -> ItemLists:
    """The lists of users start … stop - 1, or of as many of them as there are."""
    if isinstance(lists, Sequences):
        return lists.select(np.arange(start, min(stop, len(lists))))
    return lists[start:stop]


def flatten(lists: ItemLists) -> tuple[np.ndarray, np.ndarray]:
    """All items, one list after the other, and the length of each list [U]."""
    if isinstance(lists, Sequences):
        return lists.items, lists.lengths
    each = [np.atleast_1d(items) for items in lists]
    return np.concatenate([np.zeros(0, np.int64), *each]).astype(np.int64), np.array([len(x) for x in each], np.int64)


def has_order(sequences: Sequences) -> bool:
    """Whether most pairs of entries of a list have an order. Those imported in bulk, or without a date, have none."""
    starts = np.repeat(sequences.offsets[:-1], sequences.lengths)
    _, sizes = np.unique(starts + sequences.blocks, return_counts=True)
    without, all_pairs = (float((number * (number - 1.0)).sum()) for number in (sizes, sequences.lengths))
    return without < all_pairs / 2


def joined(parts: Sequence[Sequences]) -> Sequences:
    """The lists of all parts, one part after the other; at least one."""
    offsets = np.concatenate([[0], np.cumsum(np.concatenate([part.lengths for part in parts]))])
    items, blocks, user_ids = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("items", "blocks", "user_ids")
    )
    return Sequences(items, blocks, offsets, user_ids)


def flat_ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The indices start, start + 1, … of each range, concatenated: ([5, 9], [2, 3]) → [5, 6, 9, 10, 11]."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())


def build_in_parts(
    rows: Iterable[WatchedRow], vocabulary: Vocabulary, rows_at_once: int = ENTRIES_AT_ONCE
) -> Iterator[Sequences]:
    """`build_sequences` of rows that come ordered by user and may not fit into memory: some whole lists at a time."""
    return (build_sequences(some, vocabulary) for some in whole_lists(rows, rows_at_once))


def whole_lists(rows: Iterable[WatchedRow], rows_at_once: int = ENTRIES_AT_ONCE) -> Iterator[list[WatchedRow]]:
    """Rows that come ordered by user, some whole lists at a time; at least one part, which may be empty."""
    left: list[WatchedRow] = []  # the rows of the last user, of whom there may be more
    rows = iter(rows)
    while more := list(itertools.islice(rows, rows_at_once)):
        left += more
        user = left[-1][0]
        whole = next((at for at in range(len(left), 0, -1) if left[at - 1][0] != user), 0)
        if whole:
            yield left[:whole]
        left = left[whole:]
    yield left


def build_sequences(rows: Iterable[WatchedRow], vocabulary: Vocabulary) -> Sequences:
    """Order what people watched in time: completed, else started, else updated, else created; undated first.

    Entries of one day stay in the order of the clock where it is known, then of their ids; those of a block, which have
    no order, are `scattered`. Anime that are not in the vocabulary, and people who are left with nothing, drop out.
    """
    columns = columns_of(rows)
    user, anime, entry = columns[:, 0], columns[:, 1], columns[:, 2]
    day, second = when_watched(*columns[:, 3:].T)
    items = vocabulary.encode(anime)
    order = np.lexsort((entry, second, day, user))
    order = order[items[order] != PAD]
    user, day, items = user[order], day[order], items[order]

    user_ids, starts = np.unique(user, return_index=True)
    offsets = np.concatenate([starts, [len(user)]]).astype(np.int64)
    blocks = _blocks(user, day, offsets)
    return Sequences(items[np.lexsort((scattered(items), blocks, user))], blocks, offsets, user_ids)


def scattered(items: np.ndarray) -> np.ndarray:
    """Numbers to sort items by where they have no order: always the same, and as though drawn by lot.

    A model has room for the end of a long list only. In the order of their ids, the newest anime would be there.
    """
    return items.astype(np.uint32) * np.uint32(2_654_435_761)


def columns_of(rows: Iterable[WatchedRow]) -> np.ndarray:
    """int64 [rows, 7] in which 0 is unknown, as AniList itself writes it."""
    flat = (0 if value is None else value for row in rows for value in row)
    return np.fromiter(flat, np.int64).reshape(-1, 7)


UNDATED = np.iinfo(np.int64).min


def when_watched(
    completed: np.ndarray, started: np.ndarray, updated: np.ndarray, created: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The day (since 1970; UNDATED when nothing is known) and the second of the day (0 when only the day is known).

    Dates are YYYYMMDD; a month or day of 00 is unknown and counts as the first. Times are unix seconds. 0 is unknown.
    """
    date = np.where(completed > 0, completed, started)
    year, month, day_of_month = parts(date)
    months = (year - 1970) * 12 + np.maximum(month, 1) - 1
    day_of_date = months.astype("M8[M]").astype("M8[D]").astype(np.int64) + np.maximum(day_of_month, 1) - 1

    time = np.where(updated > 0, updated, created)
    day = np.where(date > 0, day_of_date, np.where(time > 0, time // DAY_SECONDS, UNDATED))
    second = np.where((date <= 0) & (time > 0), time % DAY_SECONDS, 0)
    return day, second


def _blocks(user: np.ndarray, day: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Number the entries of each user from 0; those of a bulk day all get the number of the day's first entry, as do
    those without a date, however few they are, of the first of them."""
    if not len(user):
        return np.zeros(0, np.int32)
    position = np.arange(len(user)) - np.repeat(offsets[:-1], np.diff(offsets))
    new_day = np.concatenate([[True], (user[1:] != user[:-1]) | (day[1:] != day[:-1])])
    first = np.flatnonzero(new_day)
    size = np.diff(np.concatenate([first, [len(user)]]))
    first_of_entry, size_of_entry = np.repeat(first, size), np.repeat(size, size)
    without_order = (size_of_entry >= BULK_DAY) | (day == UNDATED)
    return np.where(without_order, position[first_of_entry], position).astype(np.int32)


def split_users(keys: Sequence[str], val_ratio: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions in `keys` of the training and of the validation users; at least one of each when there are two.

    Who is where depends only on the seed and the keys, not on their order.
    """
    drawn = sorted(range(len(keys)), key=lambda k: hashlib.blake2b(f"{seed}:{keys[k]}".encode()).digest())
    held_out = min(max(round(len(keys) * val_ratio), 1), len(keys) - 1)
    return np.array(sorted(drawn[held_out:]), np.int64), np.array(sorted(drawn[:held_out]), np.int64)
