"""The sentence, the tables and the JSON of an evaluation whose numbers are known; and the picture of it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anime_bert4rec.evaluation.beside_baselines import CUTOFFS, FOLD_IN, MODEL, NEXT_ITEM, Answers, Result, TaskResult
from anime_bert4rec.evaluation.report import WIDTH, sentence, tables, verdict
from anime_bert4rec.evaluation.trained_run import Asked
from anime_bert4rec.plots.ranking_comparison import ranking_comparison


def result(*ndcg: float) -> Result:
    keys = [f"{name}@{k}" for name in ("hr", "ndcg", "recall") for k in CUTOFFS]
    values = dict.fromkeys([*keys, "mrr", "popularity"], np.full(len(ndcg), 1.0))
    return Result({**values, "ndcg@10": np.array(ndcg)}, 0.25)


def task(model: list[float], *others: list[float]) -> TaskResult:
    names = ("EASE", "Markov chain", "popularity")
    contenders = {MODEL: result(*model), **{n: result(*v) for n, v in zip(names, others, strict=False)}}
    return TaskResult(len(model), len(model), contenders)


def answers(**tasks: TaskResult) -> Answers:
    names = {"next_item": NEXT_ITEM, "fold_in": FOLD_IN}
    results = {names[name]: {False: each, True: each} for name, each in tasks.items()}
    return Answers(results, dict.fromkeys(results, (0.0125, 0.01)), {name: {} for name in results}, {})


def test_the_difference_is_paired_and_the_best_baseline_is_that_of_the_highest_mean():
    # Differences to the Markov chain: .1, .1, .1, .3: mean .15, variance .01, error .05.
    one = verdict("fold-in", task([0.5, 0.3, 0.1, 0.9], [0.9, 0, 0, 0], [0.4, 0.2, 0.0, 0.6]))
    assert one.baseline == "Markov chain"
    assert (one.difference, one.error) == pytest.approx((0.15, math.sqrt(0.01) / 2))
    assert one.standard_errors == pytest.approx(3)


@pytest.mark.parametrize(
    ("model", "ease", "says"),
    [
        ([0.5, 0.3, 0.1, 0.9], [0.4, 0.2, 0.0, 0.6], "(.450) beats the best baseline, EASE (.300), by 3.0"),
        ([0.4, 0.2, 0.0, 0.6], [0.5, 0.3, 0.1, 0.9], "(.300) loses to the best baseline, EASE (.450), by 3.0 standard"),
        ([0.4, 0.2], [0.4, 0.2], "(.300) equals that of the best baseline, EASE."),
        ([0.4], [0.2], "on 1 validation user the model's NDCG@10 (.400) beats the best baseline, EASE (.200), but so"),
    ],
)  # fmt: skip
def test_the_sentence_says_who_wins(model, ease, says):
    text = sentence(answers(fold_in=task(model, ease)))
    assert says.lower() in text.lower()
    assert text.endswith(".")


def test_what_may_be_chance_is_called_so():
    sure = sentence(answers(fold_in=task([0.5, 0.3, 0.1, 0.9], [0.4, 0.2, 0.0, 0.6])))
    unsure = sentence(answers(fold_in=task([0.5, 0.3, 0.1, 0.9], [0.6, 0.1, 0.0, 0.5])))
    assert "is hardly chance" in sure and "may be chance" in unsure
    both = sentence(answers(next_item=task([0.5, 0.1], [0.1, 0.2]), fold_in=task([0.5, 0.1], [0.4, 0.3])))
    assert both.count("validation users") == 2 and both.count(".\n") == 0 and both.count(";") == 1


def test_tables_fit_the_terminal_and_have_every_number():
    text = tables(answers(next_item=task([1, 0.5], [0.25, 0.25]), fold_in=task([0.5, 0.1], [0.4, 0.3])), Asked(2, 9))
    assert max(map(len, text.splitlines())) <= WIDTH
    #                                   mean .75, error √.125 / √2 = .25
    assert "this model     1.00 1.00 1.00 1.00 .750 .250 1.00 1.00 1.00 1.00 1.00  25% 100%" in text
    assert "Next item (2 users, 2 targets)" in text and "Fold-in, new ground (2 users" in text
    assert "Shuffle gap, fold-in: +0.0125 ± 0.0100" in text
    assert "Asked: the 2 people who were held out of the training, which had 9 others." in text


@pytest.mark.parametrize("tasks", [("fold_in",), ("next_item", "fold_in")])
def test_the_picture_has_a_mark_with_its_error_for_every_contender(tasks):
    one = task([0.5, 0.3, 0.1, 0.9], [0.4, 0.2, 0.0, 0.6], [0.2, 0.2, 0.2, 0.2])
    figure = ranking_comparison(answers(**dict.fromkeys(tasks, one)), "4 training users")
    assert len(figure.axes) == len(tasks)
    for ax in figure.axes:
        assert [tick.get_text() for tick in ax.get_yticklabels()] == [MODEL, "EASE", "Markov chain"]
        marks = [bar.lines[0].get_xdata()[0] for bar in ax.containers]
        assert marks == pytest.approx([0.45, 0.3, 0.2] * 2)
        assert "0.300 ± 0.129" in [text.get_text() for text in ax.texts]  # √(.2 / 3) / 2
        left, right = ax.get_xlim()
        assert left <= 0 and right > 0.45 + 0.17
