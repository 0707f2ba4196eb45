"""Measures how well the model and the baselines answer: full ranking on users whose lists were not trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from anime_bert4rec.evaluation.baselines import Baseline
from anime_bert4rec.evaluation.questions import EVERYTHING, QUESTIONS, Task, shuffled, variants
from anime_bert4rec.evaluation.ranking import (
    USERS_AT_ONCE,
    Ranks,
    Scorer,
    best_of,
    joined,
    mean_and_error,
    ranks_by,
    ranks_of,
)
from anime_bert4rec.lists.sequences import Sequences
from anime_bert4rec.support.progress import progress

CUTOFFS = (5, 10, 20)
MODEL = "this model"


@dataclass(frozen=True)
class RankingMetrics:
    """How well one contender did at one task. Arrays have a value for each user."""

    values: dict[str, np.ndarray]
    """HR, NDCG, Recall @5, @10 and @20, the MRR, and the mean popularity of the first 10: the share of training lists
    that they are on."""
    coverage: float
    """The share of the catalogue that is among anybody's first 10."""

    def mean(self, metric: str) -> float:
        return mean_and_error(self.values[metric])[0]

    def error(self, metric: str) -> float:
        return mean_and_error(self.values[metric])[1]


@dataclass(frozen=True)
class TaskResult:
    """How well all contenders did at one task."""

    users: int
    targets: int
    contenders: dict[str, RankingMetrics]
    """By name, the model first."""

    def best_baseline(self) -> str:
        """The one with the highest NDCG@10."""
        return max((n for n in self.contenders if n != MODEL), key=lambda n: self.contenders[n].mean("ndcg@10"))


@dataclass(frozen=True)
class Answers:
    """What was asked of the model and the baselines, and how they did."""

    tasks: dict[str, dict[str, TaskResult]]
    """By question, and by variant: with everything that was hidden, and only on new ground."""
    shuffle_gap: dict[str, tuple[float, float]]
    """By question: the NDCG@10 that the model loses when histories are shuffled, and its standard error."""
    settings: dict[str, dict[str, Baseline]]
    """By question and baseline: its settings."""

    @property
    def in_full(self) -> dict[str, dict[str, TaskResult]]:
        """The tasks that have tables of their own."""
        return {name: results for name, results in self.tasks.items() if not QUESTIONS[name].only_by_length}

    @property
    def by_length(self) -> dict[str, TaskResult]:
        """The tasks by how much of a list is given, the least first."""
        return {QUESTIONS[name].given: each[EVERYTHING] for name, each in self.tasks.items() if QUESTIONS[name].given}

    @property
    def skipped(self) -> dict[str, str]:
        """Why a question was not asked, by its name."""
        return {name: question.nobody for name, question in QUESTIONS.items() if name not in self.tasks}


def measure_all(
    model: Scorer,
    model_of_sets: Scorer,
    settings: Mapping[str, Mapping[str, Baseline]],
    tasks: Mapping[str, Task],
    franchise: np.ndarray,
    training: Sequences,
    num_items: int,
    seed: int,
) -> Answers:
    """How well the model does at the tasks, and baselines with these settings, which are fitted on `training` here.

    model_of_sets: the model, asked about titles without an order. settings: by question and baseline. franchise: see
    `without_sequels`.
    """
    every = {
        name: {EVERYTHING: task} if QUESTIONS[name].only_by_length else variants(task, franchise)
        for name, task in tasks.items()
    }
    found: dict[str, dict[str, dict[str, RankingMetrics]]] = {name: {} for name in tasks}  # by question and contender
    popularity = training.popularity(num_items) / len(training)
    baselines = list(next(iter(settings.values())))
    gaps = {}
    with progress("evaluation", (2 + len(baselines)) * len(tasks), "step", leave=False) as bar:
        for name, task in tasks.items():
            asked = model_of_sets if QUESTIONS[name].of_sets else model
            found[name][MODEL] = measure(asked, every[name], popularity)
            bar.update()
            if not QUESTIONS[name].only_by_length:
                gaps[name] = shuffle_gap(model, task, found[name][MODEL][EVERYTHING].values["ndcg@10"], seed)
            bar.update()
        for contender in baselines:
            fitted: dict[Baseline, Scorer] = {}
            for name in tasks:
                baseline = settings[name][contender]
                if baseline not in fitted:
                    fitted[baseline] = baseline.fit(training, num_items)
                found[name][contender] = measure(fitted[baseline], every[name], popularity)
                bar.update()
    results = {
        name: {
            variant: TaskResult(
                len(task), task.num_targets, {contender: each[variant] for contender, each in found[name].items()}
            )
            for variant, task in of_question.items()
        }
        for name, of_question in every.items()
    }
    return Answers(results, gaps, {name: dict(each) for name, each in settings.items()})


def measure(scorer: Scorer, tasks: Mapping[str, Task], popularity: np.ndarray) -> dict[str, RankingMetrics]:
    """How well the scorer does at a task and its variants, which share its histories; by name.

    Scores are asked for once, for some users at a time so that memory stays small. popularity [N]: the share of
    training lists that an item is on.
    """
    whole = tasks[EVERYTHING]
    places = {name: np.searchsorted(whole.users, task.users) for name, task in tasks.items()}
    ranks: dict[str, list[Ranks]] = {name: [] for name in tasks}
    top: dict[str, list[np.ndarray]] = {name: [] for name in tasks}
    for start in range(0, len(whole), USERS_AT_ONCE):
        scores = scorer(whole.histories[start : start + USERS_AT_ONCE])
        for name, task in tasks.items():
            low, high = np.searchsorted(places[name], [start, start + USERS_AT_ONCE])
            own, seen = scores[places[name][low:high] - start], task.seen[low:high]
            ranks[name].append(ranks_of(own, seen, task.targets[low:high]))
            top[name].append(best_of(own, seen, 10))
    return {name: _metrics(joined(ranks[name]), np.concatenate(top[name]), popularity) for name in tasks}


def shuffle_gap(scorer: Scorer, task: Task, ndcg: np.ndarray, seed: int) -> tuple[float, float]:
    """The NDCG@10 lost when histories are shuffled, and its standard error. ndcg [U]: that of the true order."""
    mixed = shuffled(task, seed)
    return mean_and_error(ndcg - ranks_by(scorer, mixed.histories, mixed.targets).ndcg(10))


def _metrics(ranks: Ranks, top: np.ndarray, popularity: np.ndarray) -> RankingMetrics:
    """top: the first ten, items [U, 10]."""
    metrics: dict[str, Callable[[int], np.ndarray]] = {
        "hr": ranks.hit_rate,
        "ndcg": ranks.ndcg,
        "recall": ranks.recall,
    }
    values = {f"{name}@{k}": metric(k) for name, metric in metrics.items() for k in CUTOFFS}
    values["mrr"] = ranks.reciprocal_rank()
    values["popularity"] = mean_popularity(top, popularity)
    return RankingMetrics(values, coverage(top, len(popularity)))


def coverage(top: np.ndarray, num_items: int) -> float:
    """The share of the items that is recommended to anybody. top: items [U, k], 0 for none."""
    return len(np.unique(top[top > 0])) / num_items


def mean_popularity(top: np.ndarray, popularity: np.ndarray) -> np.ndarray:
    """The mean of `popularity` [N] over the items recommended to each user, [U]. top: items [U, k], 0 for none."""
    of_item = np.concatenate([[0.0], popularity])
    return of_item[top].sum(1) / np.maximum((top > 0).sum(1), 1)
