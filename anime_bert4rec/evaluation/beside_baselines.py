"""How well a trained model ranks what held-out users watched, beside baselines that were fitted on the same users.

run = load_run(paths)
evaluation = evaluate_model(run)
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from anime_bert4rec.command_line.script import progress
from anime_bert4rec.evaluation.baselines import (
    Baseline,
    Ease,
    ItemKNN,
    MarkovChain,
    Popularity,
    Weighting,
    choose_for_each,
    popularity_of,
)
from anime_bert4rec.evaluation.questions import Task, fold_in, next_item, shuffled, without_sequels
from anime_bert4rec.evaluation.ranking import USERS_AT_ONCE, Ranks, Scorer, best_of, mean_and_error, ranks_of
from anime_bert4rec.evaluation.trained_run import Run
from anime_bert4rec.lists.sequences import Sequences
from anime_bert4rec.model.next_item_scorer import ModelScorer
from anime_bert4rec.support.errors import UserError

log = logging.getLogger(__name__)

CUTOFFS = (5, 10, 20)
MODEL = "this model"
NEXT_ITEM, FOLD_IN = "next item", "fold-in"

CHOICE_SHARE, CHOICE_AT_LEAST, CHOICE_AT_MOST = 0.1, 20, 200
"""The settings of the baselines are chosen on so many of the training users; of a few, on a quarter of them."""
CHOICE_ITEMS = 2_000
"""… and on the most popular so many items: the time grows with the cube of it."""

TASTE = (Weighting(), Weighting(0.95), Weighting(0.8))
GRIDS: dict[str, list[Baseline]] = {
    "popularity": [Popularity()],
    "item-kNN": [ItemKNN(neighbours=n, weighting=weighting) for n in (20, 50, 200) for weighting in TASTE],
    "EASE": [Ease(l2=l2, weighting=weighting) for l2 in (30, 100, 300, 1000) for weighting in TASTE],
    "Markov chain": [MarkovChain(weighting=Weighting(recency)) for recency in (0.6, 0.8, 0.9)],
}
"""A part of the grids of evaluation/baselines.py, so that it takes seconds."""


@dataclass(frozen=True)
class Result:
    """How one contender did at one task. Arrays have a value for each user."""

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
    users: int
    targets: int
    contenders: dict[str, Result]
    """The model first."""

    def best_baseline(self) -> str:
        """The one with the highest NDCG@10."""
        return max((n for n in self.contenders if n != MODEL), key=lambda n: self.contenders[n].mean("ndcg@10"))


@dataclass(frozen=True)
class Answers:
    """What was asked of the model and the baselines, and how they did."""

    tasks: dict[str, dict[bool, TaskResult]]
    """By name, and by whether sequels of watched titles are left out."""
    shuffle_gap: dict[str, tuple[float, float]]
    """By task: the NDCG@10 that the model loses when histories are shuffled, and its standard error."""
    chosen: dict[str, dict[str, str]]
    """By task and baseline: its settings."""
    skipped: dict[str, str]
    """By task: why it was not asked."""


def ask(sequences: Sequences, undated: np.ndarray, seed: int) -> dict[str, Task]:
    """Both tasks, as far as somebody can be asked."""
    tasks = {NEXT_ITEM: next_item(sequences, undated), FOLD_IN: fold_in(sequences, undated, seed)}
    return {name: task for name, task in tasks.items() if len(task)}


def evaluate_model(run: Run) -> Answers:
    """Ask the model and the baselines. Raises UserError when there is nobody to ask."""
    data = run.data
    tasks = ask(data.validation, run.undated[1], run.seed)
    skipped = {
        NEXT_ITEM: "no list has an entry whose own date puts it after another",
        FOLD_IN: "nobody has two entries",
    }
    if not tasks:
        raise UserError("no validation user has two entries: there is nothing to ask; load more with load_users.py")
    model = ModelScorer(run.model)
    results: dict[str, dict[bool, dict[str, Result]]] = {name: {False: {}, True: {}} for name in tasks}
    new_ground = {name: without_sequels(task, run.franchise) for name, task in tasks.items()}
    popularity = data.popularity() / len(data.training)
    gaps: dict[str, tuple[float, float]] = {}
    settings: dict[str, dict[str, str]] = {name: {} for name in tasks}
    with progress("evaluation", (len(GRIDS) + 2) * len(tasks) + len(GRIDS), "step", leave=False) as bar:

        def measure(contender: str, name: str, scorer: Scorer) -> None:
            for fresh, result in enumerate(_measure(scorer, tasks[name], new_ground[name], popularity)):
                if result:
                    results[name][bool(fresh)][contender] = result
            bar.update()

        for name, task in tasks.items():
            measure(MODEL, name, model)
            gaps[name] = shuffle_gap(model, task, results[name][False][MODEL].values["ndcg@10"], run.seed)
            bar.update()
        for contender, grid in GRIDS.items():
            chosen = choose_settings(grid, run, tuple(tasks))
            log.debug("%s: chosen for %s: %s", contender, ", ".join(tasks), "; ".join(map(str, chosen)))
            bar.update()
            fitted: dict[Baseline, Scorer] = {}
            for name, baseline in zip(tasks, chosen, strict=True):
                if baseline not in fitted:
                    fitted[baseline] = baseline.fit(data.training, data.vocabulary.num_items)
                settings[name][contender] = repr(baseline)
                measure(contender, name, fitted[baseline])
    return Answers(
        {
            name: {
                fresh: TaskResult(len(task), task.num_targets, results[name][fresh])
                for fresh, task in ((False, tasks[name]), (True, new_ground[name]))
                if len(task)
            }
            for name in tasks
        },
        gaps,
        settings,
        {name: why for name, why in skipped.items() if name not in tasks},
    )


def shuffle_gap(scorer: Scorer, task: Task, ndcg: np.ndarray, seed: int) -> tuple[float, float]:
    """The NDCG@10 lost when histories are shuffled, and its standard error. ndcg [U]: that of the true order."""
    mixed = shuffled(task, seed)
    (answered,) = _answer(scorer, mixed.histories, [(mixed, np.arange(len(mixed)))])
    return mean_and_error(ndcg - answered[0].ndcg(10))


def choose_settings(grid: list[Baseline], run: Run, names: tuple[str, ...]) -> list[Baseline]:
    """What is best for each task on a part of the training users, fitted on the others; validation has no say."""
    if len(grid) == 1:
        return grid * len(names)
    lists, undated = most_popular(run.data.training, run.undated[0], run.data.vocabulary.num_items, CHOICE_ITEMS)
    num_items = min(CHOICE_ITEMS, run.data.vocabulary.num_items)
    asked, others = split_for_choice(len(lists), run.seed)
    possible = ask(lists.select(asked), undated[asked], run.seed)
    questions = [(task.histories, task.targets) for task in (possible.get(name) for name in names) if task]
    found = iter(choose_for_each(grid, lists.select(others), num_items, questions))
    return [next(found).baseline if name in possible else grid[0] for name in names]


def most_popular(sequences: Sequences, undated: np.ndarray, num_items: int, most: int) -> tuple[Sequences, np.ndarray]:
    """The lists with only the `most` popular items, renumbered 1 … `most`, and how many entries have no date now."""
    if num_items <= most:
        return sequences, undated
    kept = np.zeros(num_items + 1, bool)
    kept[np.argsort(-popularity_of(sequences, num_items), kind="stable")[:most] + 1] = True
    before = np.concatenate([[0], np.cumsum(kept[sequences.items])])
    starts = sequences.offsets[:-1]
    left = sequences.keep(kept[sequences.items])
    items = np.cumsum(kept)[left.items].astype(np.int32)
    return dataclasses.replace(left, items=items), before[starts + undated] - before[starts]


def split_for_choice(users: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the training users that settings are chosen on, and of the others, ascending."""
    count = min(CHOICE_AT_MOST, max(round(CHOICE_SHARE * users), min(CHOICE_AT_LEAST, users // 4)))
    drawn = np.random.default_rng((seed, users)).permutation(users)
    return np.sort(drawn[:count]), np.sort(drawn[count:])


def _measure(scorer: Scorer, task: Task, new_ground: Task, popularity: np.ndarray) -> list[Result | None]:
    """The results at the task, and at the same without sequels; None where nobody is asked."""
    rows = np.searchsorted(task.users, new_ground.users)
    answered = _answer(scorer, task.histories, [(task, np.arange(len(task))), (new_ground, rows)])
    return [_result(ranks, top, popularity) if len(top) else None for ranks, top in answered]


def _answer(
    scorer: Scorer, histories: list[np.ndarray], tasks: list[tuple[Task, np.ndarray]]
) -> list[tuple[Ranks, np.ndarray]]:
    """Ranks and the first 10, int64 [U, 10], for tasks that share histories; with the history of each of their users.

    Scores are asked for once, for some users at a time so that memory stays small.
    """
    parts: list[list[tuple[Ranks, np.ndarray]]] = [[] for _ in tasks]
    for start in range(0, len(histories), USERS_AT_ONCE):
        scores = scorer(histories[start : start + USERS_AT_ONCE])
        for found, (task, rows) in zip(parts, tasks, strict=True):
            low, high = np.searchsorted(rows, [start, start + USERS_AT_ONCE])
            mine, seen = scores[rows[low:high] - start], task.seen[low:high]
            ranks = ranks_of(mine, seen, task.targets[low:high])
            found.append((Ranks(ranks.ranks, ranks.users + low, 0), best_of(mine, seen, 10)))
    return [
        (
            Ranks(
                np.concatenate([ranks.ranks for ranks, _ in found]),
                np.concatenate([ranks.users for ranks, _ in found]),
                len(rows),
            ),
            np.concatenate([top for _, top in found]),
        )
        for found, (_, rows) in zip(parts, tasks, strict=True)
    ]


def _result(ranks: Ranks, top: np.ndarray, popularity: np.ndarray) -> Result:
    metrics: dict[str, Callable[[int], np.ndarray]] = {
        "hr": ranks.hit_rate,
        "ndcg": ranks.ndcg,
        "recall": ranks.recall,
    }
    values = {f"{name}@{k}": metric(k) for name, metric in metrics.items() for k in CUTOFFS}
    values["mrr"] = ranks.reciprocal_rank()
    values["popularity"] = mean_popularity(top, popularity)
    return Result(values, coverage(top, len(popularity)))


def coverage(top: np.ndarray, num_items: int) -> float:
    """The share of the items that is recommended to anybody. top: items [U, k], 0 for none."""
    return len(np.unique(top[top > 0])) / num_items


def mean_popularity(top: np.ndarray, popularity: np.ndarray) -> np.ndarray:
    """The mean of `popularity` [N] over the items recommended to each user, [U]. top: items [U, k], 0 for none."""
    of_item = np.concatenate([[0.0], popularity])
    return of_item[top].sum(1) / np.maximum((top > 0).sum(1), 1)
