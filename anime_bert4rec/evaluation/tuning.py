"""Finds the settings of the baselines that suit the data best, on a part of the training users."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anime_bert4rec.evaluation.baselines import (
    EASE,
    Baseline,
    ItemKNN,
    ItemToItem,
    ItemToItemBaseline,
    MarkovChain,
    Popularity,
    Weighting,
)
from anime_bert4rec.evaluation.questions import QUESTIONS, ask
from anime_bert4rec.evaluation.ranking import Scorer, ranks_by
from anime_bert4rec.lists.sequences import ItemLists, Sequences
from anime_bert4rec.support.progress import progress

log = logging.getLogger(__name__)

CHOICE_SHARE, CHOICE_AT_LEAST, CHOICE_AT_MOST = 0.1, 20, 200
"""The share of the training users that settings are chosen on, and how many these are; of a few, it is a quarter."""
CHOICE_ITEMS = 2_000
"""How many items settings are chosen on, the most popular ones: the time grows with the cube of it."""

TASTE = (Weighting(), Weighting(0.95), Weighting(0.8), Weighting(0.6))
GRIDS: dict[str, list[Baseline]] = {
    "popularity": [Popularity()],
    "item-kNN": [
        ItemKNN(neighbours=neighbours, shrink=shrink, weighting=weighting)
        for neighbours in (50, 200, CHOICE_ITEMS)
        for shrink in (10, 50)
        for weighting in TASTE
    ],
    "EASE": [
        EASE(l2=l2, weighting=weighting) for l2 in (30, 100, 300, 1000, 3000, 10_000, 100_000) for weighting in TASTE
    ],
    "Markov chain": [MarkovChain(weighting=Weighting(recency)) for recency in (0.6, 0.8, 0.9)],
}
"""What is tried, few enough that it takes seconds."""


@dataclass(frozen=True)
class Chosen:
    """The best settings of a baseline, fitted."""

    baseline: Baseline
    scorer: Scorer
    ndcg: float


def tune(
    training: Sequences,
    num_items: int,
    questions: Iterable[str],
    seed: int,
    grids: Mapping[str, list[Baseline]] = GRIDS,
) -> dict[str, dict[str, Baseline]]:
    """The best settings of every baseline for each question, by the names of both.

    They are the best on a part of the training users when fitted on the others; validation has no say. Where nobody of
    that part can be asked, they are the first of the grid.
    """
    names = tuple(questions)
    lists = most_popular(training, num_items, CHOICE_ITEMS)
    num_items = min(CHOICE_ITEMS, num_items)
    asked, others = split_for_choice(len(lists), seed)
    tasks = ask(lists.select(asked), seed)
    tasks = {name: tasks[name] for name in names if name in tasks}
    fitted_on = lists.select(others)
    settings: dict[str, dict[str, Baseline]] = {name: {} for name in names}
    with progress("tuning baselines", len(grids), "baseline", leave=False) as bar:
        for baseline, grid in grids.items():
            best = dict.fromkeys(names, grid[0])
            if len(grid) > 1 and tasks:
                known_and_hidden = [(task.histories, task.targets) for task in tasks.values()]
                of_sets = [QUESTIONS[name].of_sets for name in tasks]
                found = choose_for_each(grid, fitted_on, num_items, known_and_hidden, of_sets)
                best |= {name: each.baseline for name, each in zip(tasks, found, strict=True)}
            for name in names:
                settings[name][baseline] = best[name]
                log.debug("%s, chosen for %s: %r", baseline, name, best[name])
            bar.update()
    return settings


def most_popular(sequences: Sequences, num_items: int, most: int) -> Sequences:
    """The lists with only the `most` popular items, renumbered 1 … `most`."""
    if num_items <= most:
        return sequences
    return sequences.only_items(np.sort(np.argsort(-sequences.popularity(num_items), kind="stable")[:most]) + 1)


def split_for_choice(users: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the training users that settings are chosen on, and of the others, ascending."""
    count = min(CHOICE_AT_MOST, max(round(CHOICE_SHARE * users), min(CHOICE_AT_LEAST, users // 4)))
    drawn = np.random.default_rng((seed, users)).permutation(users)
    return np.sort(drawn[:count]), np.sort(drawn[count:])


def choose_for_each(
    candidates: Iterable[Baseline],
    training: Sequences,
    num_items: int,
    questions: Sequence[tuple[ItemLists, ItemLists]],
    of_sets: Sequence[bool] = (),
) -> list[Chosen]:
    """The candidate with the highest NDCG@10 for each of several (histories, targets), the first of equals; each
    is fitted once.

    of_sets: for which of them the histories have no order, so that tables by which newer items count for more aren't
    tried.
    """
    best: list[Chosen | None] = [None] * len(questions)
    for candidate, scorer in _fitted(candidates, training, num_items):
        for number, (histories, targets) in enumerate(questions):
            if of_sets and of_sets[number] and _looks_at_order(candidate):
                continue
            ndcg = float(ranks_by(scorer, histories, targets).ndcg(10).mean())
            before = best[number]
            if before is None or ndcg > before.ndcg:
                best[number] = Chosen(candidate, scorer, ndcg)
    return [each for each in best if each is not None]


def _fitted(candidates: Iterable[Baseline], training: Sequences, num_items: int) -> Iterator[tuple[Baseline, Scorer]]:
    # Neighbouring candidates that differ only in the weighting share one table: it is what takes the time.
    for _, alike in itertools.groupby(candidates, _without_weighting):
        fitted: Scorer | None = None
        for candidate in alike:
            if isinstance(fitted, ItemToItem) and isinstance(candidate, ItemToItemBaseline):
                fitted = dataclasses.replace(fitted, weighting=candidate.weighting)
            else:
                fitted = candidate.fit(training, num_items)
            yield candidate, fitted


def _looks_at_order(baseline: Baseline) -> bool:
    """Whether settings that look at the order are those of a baseline that need not."""
    weighted = isinstance(baseline, ItemToItemBaseline) and baseline.weighting != Weighting()
    return weighted and not isinstance(baseline, MarkovChain)


def _without_weighting(baseline: Baseline) -> Baseline:
    if isinstance(baseline, ItemToItemBaseline):
        return dataclasses.replace(baseline, weighting=Weighting())
    return baseline
