"""What is asked about people whose lists were not trained on: the next item, the rest of the list,
both without sequels, and the list from a few titles of it.

Pure functions on the lists of `lists/sequences.py`; no torch, no SQL.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from anime_bert4rec.lists.scored_lists import last_part
from anime_bert4rec.lists.sequences import Sequences

FEWEST_LEFT = 10
"""Whoever has fewer other titles is not asked from a few."""


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


@dataclass(frozen=True)
class OneList:
    """What a person has watched, in order of time."""

    items: np.ndarray
    """Indices 1 … N."""
    blocks: np.ndarray
    """The same number for entries that have no order among themselves, ascending."""
    seed: tuple[int, int]
    """For what is drawn by chance: it depends on the person, not on who else is asked."""


Split = Callable[[OneList], tuple[np.ndarray, np.ndarray]]
"""A way to ask: of a list, what is known and what is to be found. A person of whom nothing is known is not asked."""


def next_item(watched: OneList) -> tuple[np.ndarray, np.ndarray]:
    """The last reliably dated entry is to be found, from all entries before it.

    Reliably dated is what is alone in its block: bulk imports and what has no date, which comes first, are blocks of
    several, and of a single one without a date nothing comes before it. What comes after the target is not known yet.
    """
    _, block, size = np.unique(watched.blocks, return_inverse=True, return_counts=True)
    alone = np.flatnonzero(size[block] == 1)
    at = alone[-1] if len(alone) else 0
    return watched.items[:at], watched.items[at : at + 1]


def fold_in(watched: OneList) -> tuple[np.ndarray, np.ndarray]:
    """The last fifth of the list, at least one entry, is to be found, from the rest.

    Among entries without an order, those of a bulk import or without a date, chance decides which are last.
    """
    hidden = np.zeros(len(watched.items), bool)
    hidden[last_part(watched.blocks, np.random.default_rng(watched.seed))] = True
    return watched.items[~hidden], watched.items[hidden]


def from_few(count: int) -> Split:
    """The way to ask for the whole list from `count` titles of it, drawn by chance."""

    def split(watched: OneList) -> tuple[np.ndarray, np.ndarray]:
        size = len(watched.items)
        given = np.zeros(size, bool)
        if size >= count + FEWEST_LEFT:
            given[np.random.default_rng(watched.seed).permutation(size)[:count]] = True
        return watched.items[given], watched.items[~given]

    return split


@dataclass(frozen=True)
class Question:
    """A way to ask, and how it is called."""

    split: Split
    description: str
    nobody: str
    """Why nobody can be asked, where that is so."""
    given: str = ""
    """How much of a list is given, for the table of that; empty for what is not in it."""
    only_by_length: bool = False
    """Whether it is in that table only: not asked on new ground, and with no table or picture of its own."""
    of_sets: bool = False
    """Whether the histories have no order, whatever the lists have."""


NEXT_ITEM, FOLD_IN = "next item", "fold-in"
QUESTIONS = {
    NEXT_ITEM: Question(
        next_item,
        "the last dated entry, from all before it",
        "no list has an entry whose own date puts it after another",
    ),
    **{
        f"given {count}": Question(
            from_few(count),
            f"the whole list, from {count} titles of it",
            f"nobody has {count + FEWEST_LEFT} entries",
            f"{count} titles",
            only_by_length=True,
            of_sets=True,
        )
        for count in (3, 10)
    },
    FOLD_IN: Question(
        fold_in, "the last fifth of a list, from the rest", "nobody has two entries", given="all but a fifth"
    ),
}


def ask(sequences: Sequences, seed: int) -> dict[str, Task]:
    """A task for every question that somebody can be asked, by its name."""
    tasks = {name: task_of(question.split, sequences, seed) for name, question in QUESTIONS.items()}
    return {name: task for name, task in tasks.items() if len(task)}


def task_of(split: Split, sequences: Sequences, seed: int) -> Task:
    """The task of everybody who can be asked in this way."""
    users, histories, targets = [], [], []
    for user in range(len(sequences)):
        own_seed = (seed, abs(int(sequences.user_ids[user])))
        own = OneList(sequences.of_user(user), sequences.blocks_of_user(user), own_seed)
        history, wanted = split(own)
        if len(history):
            users.append(user)
            histories.append(history)
            targets.append(wanted)
    return Task(np.array(users, np.int64), histories, targets, histories)


EVERYTHING, NEW_GROUND = "everything", "new ground"


def variants(task: Task, franchise: np.ndarray) -> dict[str, Task]:
    """The task itself, and with fewer targets and candidates, as far as somebody can be asked, by name."""
    both = {EVERYTHING: task, NEW_GROUND: without_sequels(task, franchise)}
    return {name: each for name, each in both.items() if len(each)}


def title(question: str, variant: str) -> str:
    """What a variant of a question is called: `fold-in`, or `fold-in, new ground`."""
    return question if variant == EVERYTHING else f"{question}, {variant}"


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
