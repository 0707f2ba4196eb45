"""What is asked about people whom training never saw: the next item, the rest of the list, and both without sequels.

Pure functions on the lists of `lists/sequences.py`; no torch, no SQL.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from anime_bert4rec.lists.sequences import Sequences

HIDDEN = 0.2
"""The share of a list that `fold_in` hides."""


@dataclass(frozen=True)
class Task:
    """What is known of some users, and what is to be found. Arrays of item indices 1 … N, one for each user."""

    users: np.ndarray
    """int64 [U], ascending: positions in the sequences; who has nothing to ask for is left out."""
    histories: list[np.ndarray]
    """What is known, in order of time; none is empty."""
    targets: list[np.ndarray]
    seen: list[np.ndarray]
    """What is not to be recommended: the history, and more where sequels are left out."""

    def __len__(self) -> int:
        return len(self.users)

    @property
    def num_targets(self) -> int:
        return sum(map(len, self.targets))


def next_item(sequences: Sequences, undated: np.ndarray) -> Task:
    """The last reliably dated entry is asked for, from all entries before it.

    Reliably dated is what has a date and isn't part of a bulk import. undated [U]: how many entries of each list,
    its first ones, have no date. What comes after the target is not known yet.
    """

    def split(items: np.ndarray, blocks: np.ndarray, user: int) -> tuple[np.ndarray, np.ndarray]:
        _, block, size = np.unique(blocks, return_inverse=True, return_counts=True)
        dated = np.flatnonzero((size[block] == 1) & (np.arange(len(items)) >= max(undated[user], 1)))
        at = dated[-1] if len(dated) else 0
        return items[:at], items[at : at + 1]

    return _task(sequences, split)


def fold_in(sequences: Sequences, undated: np.ndarray, seed: int) -> Task:
    """The last fifth of each list, at least one entry, is asked for, from the rest.

    Among entries without an order, those of a bulk import or without a date, chance decides which are last.
    """

    def split(items: np.ndarray, blocks: np.ndarray, user: int) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng((seed, abs(int(sequences.user_ids[user]))))
        block = np.where(np.arange(len(items)) < undated[user], 0, blocks)
        last = np.argsort(block + random.random(len(items)))[-max(1, round(HIDDEN * len(items))) :]
        hidden = np.zeros(len(items), bool)
        hidden[last] = True
        return items[~hidden], items[hidden]

    return _task(sequences, split)


def _task(sequences: Sequences, split: Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]) -> Task:
    users, histories, targets = [], [], []
    for user in range(len(sequences)):
        blocks = sequences.blocks[sequences.offsets[user] : sequences.offsets[user + 1]]
        history, wanted = split(sequences.of_user(user), blocks, user)
        if len(history):
            users.append(user)
            histories.append(history)
            targets.append(wanted)
    return Task(np.array(users, np.int64), histories, targets, histories)


def without_sequels(task: Task, franchise: np.ndarray) -> Task:
    """The same without what belongs to a franchise of which something was watched, so that new ground is asked for.

    Such titles are neither targets nor candidates: as candidates they would count as wrong answers, where they are
    right ones that aren't asked for. franchise [N + 1]: the same number for items that the catalogue's relations lead
    to from each other, in any number of steps; index 0 is unused.
    """
    users, histories, targets, seen = [], [], [], []
    for user, history, wanted in zip(task.users, task.histories, task.targets, strict=True):
        watched = np.isin(franchise, franchise[history])
        watched[0] = False
        fresh = wanted[~watched[wanted]]
        if len(fresh):
            users.append(user)
            histories.append(history)
            targets.append(fresh)
            seen.append(np.flatnonzero(watched))
    return Task(np.array(users, np.int64), histories, targets, seen)


def shuffled(task: Task, seed: int) -> Task:
    """The same questions with every history in random order."""
    random = np.random.default_rng(seed)
    return Task(task.users, [random.permutation(items) for items in task.histories], task.targets, task.seen)
