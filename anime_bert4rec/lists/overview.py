"""How the lists are, in numbers: their lengths, what is known of their dates, the long tail, entries a year."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from anime_bert4rec.lists.sequences import (
    BULK_DAY,
    UNDATED,
    Vocabulary,
    WatchedRow,
    columns_of,
    when_watched,
    whole_lists,
)


@dataclass(frozen=True)
class Overview:
    """Counts over the lists in the training set, validation users included."""

    lengths: np.ndarray
    """int64 [U]: watched anime of each list."""
    popularity: np.ndarray
    """int64 [N]: on how many lists each anime is."""
    own_date: int
    """Entries with a date that they do not share with many others of the same list."""
    bulk: int
    """Entries that are BULK_DAY or more of the same list with one date: imported together."""
    undated: int
    """Entries without any date."""
    by_year: dict[int, int]
    """Entries by the year of their date, imports left out."""


def read_overview(rows: Iterable[WatchedRow], vocabulary: Vocabulary) -> Overview:
    """rows: ordered by user, as `Database.iter_watched` gives them."""
    lengths, popularity = [], np.zeros(vocabulary.num_items + 1, np.int64)
    own = bulk = undated = 0
    by_year: dict[int, int] = {}
    for some in whole_lists(rows):
        columns = columns_of(some)
        user = np.unique(columns[:, 0], return_inverse=True)[1]
        lengths.append(np.bincount(user))
        popularity += np.bincount(vocabulary.encode(columns[:, 1]), minlength=len(popularity))
        day, _ = when_watched(*columns[:, 3:].T)
        dated = day != UNDATED
        undated += int((~dated).sum())
        _, which, size = np.unique(np.stack([user, day])[:, dated], axis=1, return_inverse=True, return_counts=True)
        own_day = size[which.ravel()] < BULK_DAY
        own, bulk = own + int(own_day.sum()), bulk + int((~own_day).sum())
        years = day[dated][own_day].astype("M8[D]").astype("M8[Y]").astype(np.int64) + 1970
        for year, count in zip(*np.unique(years, return_counts=True), strict=True):
            by_year[int(year)] = by_year.get(int(year), 0) + int(count)
    return Overview(np.concatenate([[], *lengths]).astype(np.int64), popularity[1:], own, bulk, undated, by_year)


def length_edges(lengths: np.ndarray) -> np.ndarray:
    """The edges of at most 30 bins for the lengths [U] of lists, each some factor wider than the one before."""
    low, high = int(lengths.min()), int(lengths.max()) + 1
    return np.unique(np.geomspace(low, high, min(31, high - low + 1)).round())


def usual_years(by_year: dict[int, int]) -> dict[int, int]:
    """The years, ascending, without those before and after all that have many entries: a few entries are dated decades
    before there were lists."""
    counts = dict(sorted(by_year.items()))
    enough = [year for year, count in counts.items() if count >= 0.002 * max(counts.values(), default=0)]
    return {year: count for year, count in counts.items() if enough[0] <= year <= enough[-1]}
