"""Who is in the database twice, from AniList and from a file, say, so that nobody is both trained on and held out.

The two lists of one person need not be equal: one of them is older, or its source doesn't know all titles. Those of two
people have less than two thirds in common where there are thousands of titles. Of the most popular ones alone, people
who have seen much have more in common; but then chance explains it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from anime_bert4rec.lists.sequences import Sequences

TELLING = 10
"""Two people may have the same few titles; with so many, who has the same ones is the same person."""
IN_COMMON = 0.75
"""The share of the titles on either of two lists that is on both, from which on they are one person's."""
BEYOND_CHANCE = 0.5
"""The same share, without the titles that two lists have in common by chance, by which a list has each title the
likelier, the more other lists have it."""
SURE = 3.0
"""By how many standard deviations of chance it has to be above chance: where all have nearly everything, a few titles
are half of what chance doesn't explain."""
MOST_ENTRIES = 2**22
"""With more entries to train on, only equal lists are found."""
ENTRIES_AT_ONCE = 2**20
BISECTIONS = 60
LENGTHS_KEPT = 200
"""Of so many lengths of lists the chances of the titles are kept: they take longer to compute than all else."""


def are_doubles(held_out: Sequences, trained: Sequences, num_items: int) -> np.ndarray:
    """bool [H]: whether the same person's list is trained on."""
    if not len(held_out) or not len(trained):
        return np.zeros(len(held_out), bool)
    is_double = _are_equal(held_out, trained, num_items)
    if len(trained.items) <= MOST_ENTRIES:
        is_double |= _are_alike(held_out, trained, num_items)
    return is_double & (held_out.lengths >= TELLING)


def _are_equal(held_out: Sequences, trained: Sequences, num_items: int) -> np.ndarray:
    """bool [H]: whether a list that is trained on has the same titles."""
    ours, theirs = (_marks_of_sets(lists, num_items) for lists in (held_out, trained))
    return np.isin(ours, theirs)


def _marks_of_sets(lists: Sequences, num_items: int) -> np.ndarray:
    """uint64 [U]: the same for lists of the same titles, and hardly ever for others; no list is empty."""
    of_item = np.random.default_rng(0).integers(2**64, size=num_items + 1, dtype=np.uint64)
    marks, starts = np.zeros(len(lists), np.uint64), np.asarray(lists.offsets[:-1])
    parts = np.unique(np.searchsorted(lists.offsets, np.arange(0, len(lists.items), ENTRIES_AT_ONCE), side="right") - 1)
    for first, last in zip(parts, [*parts[1:], len(lists)], strict=True):
        some = of_item[lists.items[lists.offsets[first] : lists.offsets[last]]]
        marks[first:last] = np.add.reduceat(some, starts[first:last] - starts[first])
    return marks


def _are_alike(held_out: Sequences, trained: Sequences, num_items: int) -> np.ndarray:
    """bool [H]: whether a list that is trained on has IN_COMMON of the titles.

    Such a list lacks no more than a quarter of them, so it has half of the half that the fewest lists have.
    """
    popularity = np.bincount(trained.items, minlength=num_items + 1)
    share = popularity[popularity > 0] / len(trained)
    starts = np.concatenate([[0], np.cumsum(popularity)])
    by_item = np.argsort(trained.items, kind="stable")
    users = np.searchsorted(trained.offsets, by_item, side="right") - 1  # who has each item, one item after the other
    chances = lru_cache(LENGTHS_KEPT)(lambda length: _chances(length, share))
    alike = np.zeros(len(held_out), bool)
    for user in range(len(held_out)):
        own = held_out.of_user(user)
        rarest = own[np.argsort(popularity[own], kind="stable")[: -(-len(own) // 2)]]
        of_rarest = np.concatenate([users[starts[item] : starts[item + 1]] for item in rarest])
        shared = np.bincount(of_rarest, minlength=len(trained))
        as_long = np.minimum(trained.lengths, len(own)) >= IN_COMMON * np.maximum(trained.lengths, len(own))
        near = np.flatnonzero(as_long & (2 * shared >= len(rarest))).tolist()
        alike[user] = any(_of_one_person(own, trained.of_user(other), chances) for other in near)
    return alike


def _of_one_person(one: np.ndarray, other: np.ndarray, chances: Callable[[int], np.ndarray]) -> bool:
    """chances: of the length of a list, how likely each title is on it."""
    both = len(np.intersect1d(one, other))
    either = len(one) + len(other) - both
    if both < IN_COMMON * either:
        return False
    on_both = chances(len(one)) * chances(len(other))
    beyond, deviation = both - float(on_both.sum()), float((on_both * (1 - on_both)).sum()) ** 0.5
    return beyond >= BEYOND_CHANCE * (either - both + beyond) and beyond >= SURE * deviation


def _chances(length: int, share: np.ndarray) -> np.ndarray:
    """How likely each title is on a list of so many, if the more popular titles of all are the likelier."""
    low, high = 0.0, 1e6
    for _ in range(BISECTIONS):
        middle = float(np.sqrt(max(low, 1e-6) * high))
        if (1 - np.exp(-middle * share)).sum() < length:
            low = middle
        else:
            high = middle
    return 1 - np.exp(-high * share)
