"""The choice of the baselines' settings, on lists so small that it can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from small_lists import array, sequences_of

from anime_bert4rec.evaluation.baselines import EASE, MarkovChain, Weighting
from anime_bert4rec.evaluation.tuning import choose_for_each, most_popular, split_for_choice, tune
from anime_bert4rec.lists.sequences import Sequences


def test_each_question_gets_its_own_choice_and_a_table_is_fitted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = []
    monkeypatch.setattr(EASE, "table", lambda self, *_: fitted.append(self) or np.eye(4, k=2, dtype=np.float32))
    oldest, newest = EASE(weighting=Weighting(2.0)), EASE(weighting=Weighting(0.5))
    # The table says 1 → 3 and 2 → 4.
    questions = [([array(1, 2)], array(3)), ([array(1, 2)], array(4))]
    chosen = choose_for_each([oldest, newest], sequences_of([1, 2, 3, 4]), 4, questions)
    assert [(each.baseline, each.ndcg) for each in chosen] == [(oldest, 1), (newest, 1)]
    assert len(fitted) == 1


def test_of_histories_without_an_order_newer_items_do_not_count_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EASE, "table", lambda self, *_: np.eye(4, k=2, dtype=np.float32))  # 1 → 3 and 2 → 4
    newest, order = EASE(weighting=Weighting(0.5)), MarkovChain(weighting=Weighting(0.5))
    questions = [([array(1, 2)], array(4))] * 2
    chosen = choose_for_each([EASE(), newest], sequences_of([1, 2, 3, 4]), 4, questions, of_sets=[False, True])
    assert [each.baseline for each in chosen] == [newest, EASE()]
    (chosen_of_chains,) = choose_for_each([order], sequences_of([1, 2, 3, 4]), 4, questions[:1], of_sets=[True])
    assert chosen_of_chains.baseline == order, "which it cannot do without"


def test_candidates_that_share_a_table_are_scored_each_with_its_own_weighting(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = []
    # The table says 1 → 3 and 2 → 4.
    monkeypatch.setattr(EASE, "table", lambda self, *_: fitted.append(self) or np.eye(4, k=2, dtype=np.float32))
    oldest, newest = EASE(weighting=Weighting(2.0)), EASE(weighting=Weighting(0.5))
    (chosen,) = choose_for_each([oldest, newest], sequences_of([1, 2, 3, 4]), 4, [([array(1, 2)], array(4))])
    assert len(fitted) == 1
    assert (chosen.baseline, chosen.ndcg) == (newest, 1)
    assert chosen.scorer([array(1, 2)]).tolist() == [[0, 0, 0.5, 1]]


def test_of_candidates_that_are_as_good_the_first_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EASE, "table", lambda self, *_: np.eye(4, k=2, dtype=np.float32))  # 1 → 3 and 2 → 4
    grid = [EASE(weighting=Weighting(recency)) for recency in (2.0, 0.5)]
    for candidates in (grid, grid[::-1]):
        (chosen,) = choose_for_each(candidates, sequences_of([1, 2, 3, 4]), 4, [([array(1)], array(3))])
        assert (chosen.baseline, chosen.ndcg) == (candidates[0], 1)


def test_with_many_items_settings_are_chosen_on_the_most_popular() -> None:
    lists = Sequences(
        np.array([1, 2, 3, 4, 2, 4], np.int32), np.array([0, 1, 2, 3, 0, 1]), np.array([0, 4, 6]), np.arange(2)
    )
    few = most_popular(lists, 4, 2)  # 2 and 4 are on both lists
    assert few.items.tolist() == [1, 2, 1, 2] and few.offsets.tolist() == [0, 2, 4]


def test_settings_are_chosen_on_people_whom_they_are_not_fitted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[list[int]] = []
    monkeypatch.setattr(
        EASE, "table", lambda _, lists, items: fitted.append(lists.user_ids.tolist()) or np.eye(items, dtype=np.float32)
    )
    training = sequences_of(*[range(1, 13)] * 40)
    tune(training, 12, ["fold-in"], 0, {"EASE": [EASE(l2=1), EASE(l2=2)]})
    asked, others = split_for_choice(40, 0)
    assert len(asked) == 10 and fitted == [others.tolist()] * 2
