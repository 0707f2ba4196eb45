"""What is measured of rankings, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from small_lists import sequences_of

from anime_bert4rec.evaluation import measuring
from anime_bert4rec.evaluation.baselines import Popularity
from anime_bert4rec.evaluation.measuring import coverage, mean_popularity, measure, measure_all, shuffle_gap
from anime_bert4rec.evaluation.questions import Task, ask
from anime_bert4rec.evaluation.ranking import ranks_by, ranks_of


def test_the_shuffle_gap_of_a_model_that_is_blind_to_order_is_zero():
    def blind(histories):
        return np.array([(np.arange(1, 41) * int(items.sum())) % 7 for items in histories])

    def what_follows_the_newest(histories):
        return np.array([[item == items[-1] + 1 for item in range(1, 41)] for items in histories], float)

    histories = [np.arange(1, 11), np.arange(5, 16)]
    task = Task(np.arange(2), histories, [np.array([11]), np.array([16])], histories)
    in_order = ranks_of(blind(histories), histories, task.targets).ndcg(10)
    assert shuffle_gap(blind, task, in_order, seed=1) == (0, 0)
    in_order = ranks_of(what_follows_the_newest(histories), histories, task.targets).ndcg(10)
    assert in_order.tolist() == [1, 1]
    assert shuffle_gap(what_follows_the_newest, task, in_order, seed=1) == (1, 0)


def test_the_shuffle_gap_counts_the_first_ten():
    """Where the history is shuffled, nine titles come before the one that is wanted."""
    in_order = np.arange(1, 11)

    def scorer(histories):
        falling = -np.arange(40.0)
        falling[10] = 0 if np.array_equal(histories[0], in_order) else -19.5
        return falling[None]

    task = Task(np.arange(1), [in_order], [np.array([11])], [in_order])
    assert shuffle_gap(scorer, task, np.ones(1), seed=1)[0] == pytest.approx(1 - 1 / math.log2(11))


def test_people_are_measured_some_at_a_time(monkeypatch):
    """In the variant one of five is left out, so that its parts are not those of the whole task."""
    random = np.random.default_rng(1)
    everybody = [random.permutation(40)[:5] + 1 for _ in range(5)]
    targets = [random.choice(np.setdiff1d(np.arange(1, 41), known), 3, replace=False) for known in everybody]
    chosen = [0, 2, 3, 4]
    tasks = {
        "everything": Task(np.arange(5), everybody, targets, everybody),
        "few": Task(np.array(chosen), *[[each[user] for user in chosen] for each in (everybody, targets, everybody)]),
    }

    def scorer(histories):
        return np.array([np.sin(known.sum() * np.arange(1, 41)) for known in histories])

    at_once = measure(scorer, tasks, np.ones(40))
    monkeypatch.setattr(measuring, "USERS_AT_ONCE", 2)
    in_parts = measure(scorer, tasks, np.ones(40))
    for name in tasks:
        for metric, values in at_once[name].values.items():
            assert in_parts[name].values[metric].tolist() == values.tolist(), metric
    everything, few = (in_parts[name].values["mrr"] for name in tasks)
    assert few.tolist() == everything[chosen].tolist() and len(set(few)) > 1


def test_a_whole_list_is_asked_from_a_few_titles_as_from_a_set():
    """Lists of consecutive numbers. One model names the next number, the other that before; the first is asked from
    lists, the second from sets."""
    lists = sequences_of(*[np.arange(start, start + 13) for start in range(1, 12)])

    def names(step):
        def scorer(histories):
            wanted = [(np.max(items) + 1 if step > 0 else np.min(items) - 1) for items in histories]
            return np.array([[item == each for item in range(1, 41)] for each in wanted], float)

        return scorer

    tasks = ask(lists, seed=0)
    assert set(tasks) == {"next item", "given 3", "fold-in"}, "13 titles are too few to be asked from 10"
    of = {name: {"popularity": Popularity()} for name in tasks}
    answers = measure_all(names(1), names(-1), of, tasks, np.arange(41), lists, 40, seed=0)
    first = {name: each["everything"].contenders["this model"].values["mrr"] for name, each in answers.tasks.items()}
    assert (first["next item"] == 1).all() and (first["fold-in"] > 0.9).all()
    whole = ranks_by(names(-1), tasks["given 3"].histories, tasks["given 3"].targets).reciprocal_rank()
    assert first["given 3"].tolist() == whole.tolist()
    assert not np.array_equal(
        whole, ranks_by(names(1), tasks["given 3"].histories, tasks["given 3"].targets).reciprocal_rank()
    )


def test_coverage_and_popularity_by_hand():
    top = np.array([[1, 2, 3], [1, 4, 0]])
    assert coverage(top, 8) == 4 / 8
    popularity = np.array([0.8, 0.5, 0.2, 0.0, 1, 1, 1, 1])
    assert mean_popularity(top, popularity) == pytest.approx([1.5 / 3, 0.8 / 2])
