"""Which entries of the lists are near each other, and the table of transitions that this adds up to.

Counts are rounded to half precision before they are added up, so that what a list has added can be taken out again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from anime_bert4rec.lists.sequences import Sequences, flat_ranges

DECAY = 0.8
"""What a pair of entries counts for falls by this with each entry between them."""
REACH = 10
"""Pairs further apart than this are not counted."""
BACKWARD = 0.3
"""What a pair counts for from the later item to the earlier one, as a share of what it counts for forwards."""
PAIRS_AT_ONCE = 2**22
"""How many pairs are counted together."""
CELLS_AT_ONCE = 2**24
"""How many cells of the table are counted together where it is kept without those that are zero."""


@dataclass(frozen=True)
class Pairs:
    """What each pair of entries of the lists adds to the table.

    Entries of a block have no order, so a pair counts for the mean over all orders of its blocks: it depends on nothing
    but the two blocks. Most entries are a block of their own.
    """

    weights: np.ndarray
    """float16 [K, 2 REACH + 1]: what each entry of a block adds to the row of its item, at each item of the REACH
    blocks before its own, of its own (but for itself), and of the REACH blocks after it. Rounded before it is added, so
    that it can be taken out again."""
    blocks: np.ndarray
    """[T]: the block of each entry, numbered through all lists."""
    starts: np.ndarray
    """[K + 1]: at which entry each block starts; the last one is T."""
    first_blocks: np.ndarray
    """[K]: the first block of the list that each block is in."""
    items: np.ndarray
    """[T]: the item of each entry."""
    places: np.ndarray
    """float32 [T]: how far down its list each entry is, from 0, the first, to 1, the last; of a block, the mean."""

    @classmethod
    def of(cls, sequences: Sequences) -> Pairs:
        list_start = np.repeat(sequences.offsets[:-1], sequences.lengths)
        is_start = np.diff(list_start + sequences.blocks, prepend=-1) != 0
        starts, blocks = np.flatnonzero(is_start), np.cumsum(is_start) - 1
        size = np.diff(starts, append=len(blocks))
        first_blocks = blocks[list_start[starts]]
        weights = np.zeros((len(starts), 2 * REACH + 1), np.float16)
        weights[:, REACH] = _mean_weight_inside(size) * (1 + BACKWARD)
        for distance in range(1, min(REACH, len(starts) - 1) + 1):
            early = np.flatnonzero(first_blocks[:-distance] == first_blocks[distance:])
            late = early + distance
            mean = _mean_weight(starts[late] - starts[early + 1], size[early], size[late])
            weights[early, REACH + distance] = mean
            weights[late, REACH - distance] = mean * BACKWARD
        length = np.repeat(sequences.lengths, sequences.lengths)
        before = (starts + (size - 1) / 2)[blocks] - list_start
        places = np.where(length > 1, before / np.maximum(length - 1, 1), 0.5).astype(np.float32)
        return cls(weights, blocks, np.append(starts, len(blocks)), first_blocks, sequences.items, places)

    def entries_of(self, entries: np.ndarray, width: int) -> np.ndarray:
        """The entries of the whole list that each row's are of, in their order [B, width]; behind the end are any.

        entries [B, any]: some of each list, -1 for none. Lists may come with their blocks shuffled: then an entry
        stands for another one of its block.
        """
        first = self.starts[self.first_blocks[self.blocks[entries.max(1).clip(min=0)]]]
        return (first[:, None] + np.arange(width)).clip(max=len(self.blocks) - 1)


def _mean_weight(between: np.ndarray, early: np.ndarray, late: np.ndarray) -> np.ndarray:
    """What a pair counts for, by the mean over all orders of its two blocks.

    between: how many entries there are from one block to the other; early, late: how many each block has.
    """
    mean = np.where(between < REACH, DECAY**between, 0.0)
    several = np.flatnonzero((mean > 0) & (early + late > 2))
    between, early, late = between[several], early[several], late[several]
    total = np.zeros(len(several))
    for inside in range(REACH):  # how many entries of the two blocks are between the pair
        ways = np.minimum(np.minimum(inside + 1, early + late - 1 - inside), np.minimum(early, late)).clip(min=0)
        total += np.where(between + inside < REACH, ways * DECAY ** (between + inside), 0.0)
    mean[several] = total / (early * late)
    return mean


def _mean_weight_inside(size: np.ndarray) -> np.ndarray:
    """What an ordered pair inside one block counts for, by the same mean."""
    total = sum((np.maximum(size - distance, 0) * DECAY ** (distance - 1) for distance in range(1, REACH + 1)), 0.0)
    return total / np.maximum(size * (size - 1.0), 1)


def count_transitions(pairs: Pairs, column: np.ndarray, size: int) -> np.ndarray:
    """The table, float32 [size, size]. column: where each item index has its row and column; `size` for none."""
    table = np.zeros((size + 1, size + 1), np.float32)
    columns = column[pairs.items].astype(np.int64)
    _count(pairs, columns, np.arange(len(columns)), 0, table)
    return table[:-1, :-1]


def count_followers(pairs: Pairs, num_items: int, most: int) -> Followers | None:
    """The same of all items, without what is zero; None if more than `most` pairs are not."""
    columns = pairs.items.astype(np.int64) - 1
    by_row = np.argsort(columns, kind="stable")
    rows_at_once = max(1, CELLS_AT_ONCE // num_items)
    counts, followers, values = np.zeros(num_items + 2, np.int64), [], []
    for first in range(0, num_items, rows_at_once):
        table = np.zeros((min(rows_at_once, num_items - first), num_items), np.float32)
        start, stop = np.searchsorted(columns, [first, first + len(table)], sorter=by_row)
        _count(pairs, columns, np.sort(by_row[start:stop]), first, table)
        row, follower = table.nonzero()
        counts[1 + first : 1 + first + len(table)] = np.bincount(row, minlength=len(table))
        followers.append(follower)
        values.append(table[row, follower])
        if counts.sum() > most:
            return None
    return Followers(counts.cumsum(), np.concatenate(followers), np.concatenate(values))


class Followers(NamedTuple):
    """The table of transitions without what is zero."""

    row_starts: np.ndarray
    """[N + 2]: where each row starts, and one of an item without any, in the others, and where the last one ends."""
    followers: np.ndarray
    """[P]: the columns of a row, ascending."""
    values: np.ndarray
    """float32 [P]"""


def _count(pairs: Pairs, columns: np.ndarray, some: np.ndarray, first: int, table: np.ndarray) -> None:
    """Add to the table, whose first row is that of the column `first`, what `some` entries do. columns: of all."""
    sizes = np.diff(pairs.starts)
    for distance in range(2 * REACH + 1):
        weight = pairs.weights[pairs.blocks[some], distance].astype(np.float32)
        entries, weight = some[weight != 0], weight[weight != 0]
        other = pairs.blocks[entries] + distance - REACH
        for part in _parts(sizes[other]):
            entry, count = entries[part], sizes[other[part]]
            there = flat_ranges(pairs.starts[other[part]], count)
            entry, added = np.repeat(entry, count), np.repeat(weight[part], count)
            at = (columns[entry] - first) * table.shape[1] + columns[there]
            if distance == REACH:
                added = np.where(there == entry, 0, added)
            np.add.at(table.reshape(-1), at, added)  # one flat index, for which numpy has a faster way than for two


def _parts(counts: np.ndarray) -> Iterator[slice]:
    """Parts of an array, of which each has PAIRS_AT_ONCE in all or is a single one. counts: how many each has."""
    ends, start = np.cumsum(counts), 0
    while start < len(counts):
        before = ends[start] - counts[start]
        stop = max(start + 1, int(np.searchsorted(ends, before + PAIRS_AT_ONCE, side="right")))
        yield slice(start, stop)
        start = stop
