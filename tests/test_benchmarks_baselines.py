"""The baselines that only benchmarks use: the blend, and the choice from the full grids; and one title, judged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import zscore
from small_benchmarks import two_kinds_of_people
from small_lists import array, sequences_of

from anime_bert4rec.evaluation.baselines import EASE, ItemKNN, ItemToItemBaseline, MarkovChain, Popularity
from config import PROJECT_DIR


@pytest.fixture(autouse=True)
def modules_of_the_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT_DIR / "benchmarks"))


MANY = sequences_of(*[(np.random.default_rng(u).choice(12, 4 + u % 5, replace=False) + 1).tolist() for u in range(30)])


def test_z_scores() -> None:
    from full_grids import z_scores

    table = np.random.default_rng(4).random((3, 9))
    assert z_scores(table) == pytest.approx(zscore(table, axis=1))
    assert z_scores(np.array([[1.0, 3.0], [5.0, 5.0]])).tolist() == [[-1, 1], [0, 0]]


def test_the_blend_is_the_weighted_sum_of_z_scores() -> None:
    from full_grids import Blend, z_scores

    markov, ease = MarkovChain(prior=1), EASE(l2=5)
    blend = Blend(markov, ease, weight=0.25).fit(MANY, 12)(MANY)
    expected = 0.25 * z_scores(markov.fit(MANY, 12)(MANY)) + 0.75 * z_scores(ease.fit(MANY, 12)(MANY))
    assert blend == pytest.approx(expected)


def test_chosen_is_what_is_best_on_validation() -> None:
    from full_grids import choose

    # After 1 comes 2; popularity would say 3.
    training = sequences_of(*[[1, 2]] * 4, *[[3, 4]] * 9)
    histories, targets = [array(1)] * 3, array(2, 2, 2)
    candidates = [Popularity(), MarkovChain(), EASE(l2=1e9)]
    chosen = choose(candidates, training, 4, histories, targets)
    assert (chosen.baseline, chosen.ndcg) == (MarkovChain(), 1)
    assert chosen.scorer(histories).argmax(1).tolist() == [1, 1, 1]


@pytest.mark.parametrize("taste", [EASE(l2=5), ItemKNN(neighbours=5)])
def test_a_blend_is_chosen_from_its_parts(taste: ItemToItemBaseline, monkeypatch: pytest.MonkeyPatch) -> None:
    from full_grids import BLEND_WEIGHTS, BLENDS, FULL_GRIDS, Blend, choose, choose_named

    (name,) = [blend for blend, part in BLENDS.items() if isinstance(FULL_GRIDS[part][0], type(taste))]
    monkeypatch.setitem(FULL_GRIDS, BLENDS[name], [taste])
    monkeypatch.setitem(FULL_GRIDS, "Markov chain", [MarkovChain(prior=1)])
    targets = np.array([next(i for i in range(1, 13) if i not in MANY.of_user(u)) for u in range(len(MANY))])
    chosen = choose_named(name, MANY, 12, MANY, targets)
    assert isinstance(chosen.baseline, Blend)
    assert chosen.ndcg == max(
        choose([Blend(MarkovChain(prior=1), taste, weight)], MANY, 12, MANY, targets).ndcg for weight in BLEND_WEIGHTS
    )


def test_what_is_typical_of_lists_with_a_title() -> None:
    """Four lists of 2, 2, 3 and 1 of four titles, two in the mean."""
    import one_title

    typical = one_title.Typical.of(sequences_of([1, 2], [1, 3], [2, 3, 4], [3]), 4, np.array([1, 3]))
    assert typical.shares == pytest.approx(np.array([[1, 1 / 2, 1 / 2, 0], [1 / 3, 1 / 3, 1, 1 / 3]]))
    # Of the two lists with the first title, of as many titles as the mean, one half would have the second by chance.
    assert typical.times[0] == pytest.approx([12 / 11, 11 / 11, 11 / (10 + 3 / 4 * 2), 10 / (10 + 1 / 4 * 2)])
    # Those with the third have 6 titles, which is as three of the mean have.
    assert typical.times[1] == pytest.approx([11 / 11.5, 11 / 11.5, 13 / 12.25, 11 / 10.75])
    worth = np.log2([13 / 12.25, 11 / 10.75]) * np.sqrt([1, 1 / 3])
    assert typical.gains[1] == pytest.approx([0, 0, *worth])


def test_suggestions_are_judged_by_what_is_typical() -> None:
    import one_title

    shares, times = np.zeros((1, 12)), np.ones((1, 12))
    shares[0, :3], times[0, :3] = [1, 1, 0.25], [8, 2, 4]
    scores, out = np.array([[9.0, 1, 5, 3, *[2] * 8]]), np.arange(12)[None] == 0
    judged = one_title.Typical(shares, times).judged(scores, out)
    # The first is the title itself. The gains of the second and third are 1 and 2 / 2; the third comes first, the
    # second after all others, of which ten are suggested.
    assert judged["ndcg@10"] == pytest.approx([1 / (1 + 1 / np.log2(3))])
    assert judged["share"] == pytest.approx([0.25 / 10]) and judged["log_times"] == pytest.approx([2 / 10])


def test_one_title_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """People have titles of one kind alone, which all contenders but popularity see."""
    import one_title

    flags = ("--users", 40, "--asked", 20, "--epochs", 1, "--seeds", 1, "--threads", 1, "--output", tmp_path)
    assert one_title.main([*two_kinds_of_people(tmp_path), *map(str, flags)]) == 0
    rows = {row["name"]: row for row in json.loads((tmp_path / "one-title.json").read_text())["results"]}
    assert list(rows) == [
        "popularity",
        "item-kNN",
        "EASE",
        "co-listing",
        one_title.PLAIN,
        one_title.OURS,
        one_title.MEMORY,
    ]
    assert rows["popularity"]["share"] < 0.25 < rows[one_title.OURS]["share"]
    assert rows[one_title.OURS]["ndcg@10"] > rows["popularity"]["ndcg@10"] + 0.08
    assert len(capsys.readouterr().out.splitlines()) == 2 + 7
