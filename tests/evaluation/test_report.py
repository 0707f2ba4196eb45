"""The sentence, the tables and the JSON of an evaluation whose numbers are known; and the picture of it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anime_bert4rec.evaluation.measuring import CUTOFFS, MODEL, Answers, RankingMetrics, TaskResult
from anime_bert4rec.evaluation.questions import EVERYTHING, FOLD_IN, NEW_GROUND, NEXT_ITEM
from anime_bert4rec.evaluation.report import WIDTH, sentence, short_lines, tables, verdict
from anime_bert4rec.evaluation.trained_run import SinceTraining
from anime_bert4rec.plots.ranking_comparison import ranking_comparison


def result(*ndcg: float) -> RankingMetrics:
    keys = [f"{name}@{k}" for name in ("hr", "ndcg", "recall") for k in CUTOFFS]
    values = dict.fromkeys([*keys, "mrr", "popularity"], np.full(len(ndcg), 1.0))
    return RankingMetrics({**values, "ndcg@10": np.array(ndcg)}, 0.25)


def task(model: list[float], *others: list[float]) -> TaskResult:
    names = ("EASE", "Markov chain", "popularity")
    contenders = {MODEL: result(*model), **{n: result(*v) for n, v in zip(names, others, strict=False)}}
    return TaskResult(len(model), len(model), contenders)


def answers(**tasks: TaskResult) -> Answers:
    names = {"next_item": NEXT_ITEM, "given_3": "given 3", "given_10": "given 10", "fold_in": FOLD_IN}
    results = {names[name]: {EVERYTHING: each, NEW_GROUND: each} for name, each in tasks.items()}
    return Answers(results, dict.fromkeys(results, (0.0125, 0.01)), {name: {} for name in results})


def test_the_difference_is_paired_and_the_best_baseline_is_that_of_the_highest_mean():
    # Differences to the Markov chain: .1, .1, .1, .3: mean .15, variance .01, error .05.
    one = verdict("fold-in", task([0.5, 0.3, 0.1, 0.9], [0.9, 0, 0, 0], [0.4, 0.2, 0.0, 0.6]))
    assert one.baseline == "Markov chain"
    assert (one.difference, one.error) == pytest.approx((0.15, math.sqrt(0.01) / 2))
    assert one.standard_errors == pytest.approx(3)


@pytest.mark.parametrize(
    ("model", "ease", "says", "in_short"),
    [
        # Twelve people; differences .1, .1, .1, .3 thrice: mean .15, variance .09 / 11, error .0261.
        (
            [0.5, 0.3, 0.1, 0.9], [0.4, 0.2, 0.0, 0.6],
            "on 12 validation users the model's NDCG@10 (.450) beats the best baseline, EASE (.300), by 5.7",
            "Fold-in: NDCG@10 .450, the best baseline (EASE) .300: hardly chance",
        ),
        (
            [0.4, 0.2, 0.0, 0.6], [0.5, 0.3, 0.1, 0.9],
            "(.300) loses to the best baseline, EASE (.450), by 5.7 standard",
            "Fold-in: NDCG@10 .300, the best baseline (EASE) .450: hardly chance",
        ),
        (
            [0.4, 0.2] * 2, [0.4, 0.2] * 2,
            "(.300) equals that of the best baseline, EASE.",
            "Fold-in: NDCG@10 .300, the best baseline (EASE) .300: the same",
        ),
        (
            [0.5] * 4, [0.25] * 4,
            "(.500) beats the best baseline, EASE (.250), by the same for everybody.",
            "Fold-in: NDCG@10 .500, the best baseline (EASE) .250: hardly chance",
        ),
    ],
)  # fmt: skip
def test_the_sentence_says_who_wins(model, ease, says, in_short):
    made = answers(fold_in=task(3 * model, 3 * ease))
    text = sentence(made)
    assert says.lower() in text.lower()
    assert text.endswith(".")
    assert short_lines(made) == [in_short]


def test_what_may_be_chance_is_called_so():
    sure = sentence(answers(fold_in=task(3 * [0.5, 0.3, 0.1, 0.9], 3 * [0.4, 0.2, 0.0, 0.6])))
    assert "is hardly chance" in sure and "may be chance" not in sure
    # Differences -.1, .2, .1, -.1 thrice: mean .025, variance .2025 / 11, error .0392.
    unsure = answers(fold_in=task(3 * [0.5, 0.3, 0.1, 0.4], 3 * [0.6, 0.1, 0.0, 0.5]))
    assert "by 0.6 standard errors: that may be chance" in sentence(unsure)
    assert short_lines(unsure) == ["Fold-in: NDCG@10 .325, the best baseline (EASE) .300: may be chance"]
    both = sentence(
        answers(next_item=task(6 * [0.5, 0.1], 6 * [0.1, 0.2]), fold_in=task(6 * [0.5, 0.1], 6 * [0.4, 0.3]))
    )
    assert both.count("validation users") == 2 and both.count(".\n") == 0 and both.count(";") == 1


def test_of_fewer_than_ten_people_nothing_is_concluded():
    few, enough = ([0.9] * users for users in (9, 10))
    made = answers(next_item=task(few, [0.1] * 9), fold_in=task(enough, [0.1] * 10))
    assert sentence(made).startswith("next item: with 9 people to ask, nothing can be told; fold-in: on 10")
    assert short_lines(made)[0] == "Next item: with 9 people to ask, nothing can be told"
    text = tables(made, SinceTraining(10, 90))
    assert "Next item, new ground: with 9 people to ask, nothing can be told." in text
    assert "Next item (" not in text and "Fold-in (10 users" in text
    assert "Shuffle gap, next item" not in text and "Shuffle gap, fold-in" in text
    nobody = tables(answers(fold_in=task([0.9], [0.1])), SinceTraining(1, 9))
    assert "@" not in nobody and "NDCG" not in nobody and "chance" not in nobody


def test_short_lines_fit_the_terminal():
    made = answers(next_item=task([0.5, 1.0] * 6, [0.1] * 12, [0.2] * 12), fold_in=task([0.5] * 9, [0.1] * 9))
    assert "Markov chain" in short_lines(made)[0]
    assert max(map(len, short_lines(made))) <= WIDTH


def test_tables_fit_the_terminal_and_have_every_number():
    made = answers(next_item=task(5 * [1, 0.5], 5 * [0.25, 0.25]), fold_in=task(5 * [0.5, 0.1], 5 * [0.4, 0.3]))
    text = tables(made, SinceTraining(10, 9))
    assert max(map(len, text.splitlines())) <= WIDTH
    #                                   mean .75, error √(.625 / 9) / √10 = .0833
    assert "this model     1.00 1.00 1.00 1.00 .750 .083 1.00 1.00 1.00 1.00 1.00  25% 100%" in text
    assert "Next item (10 users, 10 targets)" in text and "Fold-in, new ground (10 users" in text
    assert "Shuffle gap, fold-in: +.0125 ± .0100" in text
    assert "Asked: the 10 people who were held out of the training, which had 9 others." in text


def test_a_short_table_says_how_good_it_is_by_how_much_of_a_list_is_given():
    made = answers(
        next_item=task(5 * [1, 0.5], 5 * [0.25, 0.25]),
        given_3=task([0.5] * 12, [0.4] * 12, [0.6] * 12, [0.25] * 12),
        given_10=task([0.5] * 9, [0.4] * 9),
        fold_in=task([1.0] * 12, [0.4] * 12, [0.3] * 12, [0.1] * 12),
    )
    text = tables(made, SinceTraining(12, 9))
    head = "NDCG@10, by what is given of a list    this model  popularity  best baseline"
    assert head in text and max(map(len, text.splitlines())) <= WIDTH
    lines = [" ".join(line.split()) for line in text.partition(head)[2].splitlines()[1:3]]
    assert lines == [
        "3 titles (12 users) .500 .250 .600 Markov chain",
        "all but a fifth (12 users) 1.00 .100 .400 EASE",
    ]
    assert "given 3" not in text.lower() and "10 titles" not in text, "it has no other table, and nine are too few"
    assert len(short_lines(made)) == 2 and sentence(made).count(";") == 1
    assert len(ranking_comparison(made, "12 users").axes) == 2


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
