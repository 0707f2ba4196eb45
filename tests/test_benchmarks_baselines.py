"""The baselines that only benchmarks use: the blend, and the choice from the full grids."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import zscore
from small_lists import array, sequences_of

from anime_bert4rec.evaluation.baselines import EASE, MarkovChain, Popularity
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


def test_the_blend_is_chosen_from_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    from full_grids import BLEND, BLEND_WEIGHTS, FULL_GRIDS, Blend, choose, choose_named

    monkeypatch.setitem(FULL_GRIDS, "EASE", [EASE(l2=5)])
    monkeypatch.setitem(FULL_GRIDS, "Markov chain", [MarkovChain(prior=1)])
    targets = np.array([next(i for i in range(1, 13) if i not in MANY.of_user(u)) for u in range(len(MANY))])
    chosen = choose_named(BLEND, MANY, 12, MANY, targets)
    assert isinstance(chosen.baseline, Blend)
    assert chosen.ndcg == max(
        choose([Blend(MarkovChain(prior=1), EASE(l2=5), weight)], MANY, 12, MANY, targets).ndcg
        for weight in BLEND_WEIGHTS
    )
