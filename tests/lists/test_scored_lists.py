"""What is asked about people's scores: which are hidden, and what is liked by those that are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from small_lists import sequences_of

from anime_bert4rec.lists.scored_lists import FEWEST_TO_ASK, ScoredList, ask_about_scores
from anime_bert4rec.lists.sequences import Vocabulary

ITEMS = 30
VOCABULARY = Vocabulary.of(range(101, 101 + ITEMS))


def rows(user_id, scores):
    """scores: by item 1 … N."""
    return [(user_id, 100 + item, score) for item, score in sorted(scores.items())]


def test_the_last_fifth_of_what_was_scored_is_hidden_and_the_rest_is_known():
    order = list(range(25, 0, -1))
    scores = {item: 50 + item for item in range(1, 23)}  # 25, 24 and 23, the oldest, have none
    (asked,) = ask_about_scores(sequences_of(order), [*rows(0, scores), (0, 999, 80)], VOCABULARY, seed=1)
    assert sorted(asked.hidden.tolist()) == [1, 2, 3, 4]  # a fifth of 22
    assert sorted(asked.given.tolist()) == [51, 52, 53, 54]
    assert asked.seen.tolist() == order[:-4]
    assert asked.items.tolist() == list(range(22, 4, -1))
    assert asked.scores.tolist() == [50 + item for item in range(22, 4, -1)]
    assert asked.history.tolist() == asked.seen.tolist(), "nothing is 15 below the mean"


def test_what_is_disliked_by_what_is_known_is_not_in_the_history():
    scores = dict.fromkeys(range(1, 17), 80) | {3: 60} | dict.fromkeys(range(17, 21), 1)
    (asked,) = ask_about_scores(sequences_of(range(1, 21)), rows(0, scores), VOCABULARY, seed=1)
    assert sorted(asked.hidden.tolist()) == [17, 18, 19, 20]
    assert asked.scores.mean() == 78.75 and asked.all_scores.mean() == pytest.approx(63.2)
    assert 3 in asked.seen and asked.history.tolist() == [1, 2, *range(4, 17)], "60 is near the mean of all"
    assert not len(asked.liked) and sorted(asked.disliked.tolist()) == [17, 18, 19, 20]


def test_liked_is_above_the_mean_and_disliked_fifteen_below():
    hidden, given = np.array([1, 2, 3, 4, 5]), np.array([70.0, 71, 55, 56, 98])
    asked = ScoredList(np.array([9]), np.array([9]), np.array([9]), np.array([70.0]), hidden, given)
    assert asked.all_scores.mean() == 70
    assert (asked.liked.tolist(), asked.disliked.tolist()) == ([2, 5], [3])
    same = dataclasses.replace(asked, given=np.full(5, 70.0))
    assert not len(same.liked) and not len(same.disliked)


def test_who_scored_too_few_is_not_asked():
    lists = sequences_of(range(1, 25), range(1, 25), range(1, 20))
    enough = dict.fromkeys(range(1, FEWEST_TO_ASK + 1), 70)
    few = dict.fromkeys(range(1, FEWEST_TO_ASK), 70)
    asked = ask_about_scores(lists, [*rows(0, few), *rows(1, enough), *rows(2, enough)], VOCABULARY, seed=1)
    assert [len(each.seen) for each in asked] == [20], "the third has scored one that is not on the list"
    assert ask_about_scores(lists, [], VOCABULARY, seed=1) == []


def test_without_an_order_chance_decides_by_seed_and_person():
    lists = sequences_of(range(1, 26), range(1, 26), blocks=[np.zeros(25, int)] * 2)
    scores = [*rows(0, dict.fromkeys(range(1, 26), 70)), *rows(1, dict.fromkeys(range(1, 26), 70))]
    first, again, other = (ask_about_scores(lists, scores, VOCABULARY, seed) for seed in (1, 1, 2))
    hidden = [set(each.hidden.tolist()) for each in (*first, *again, *other)]
    assert hidden[:2] == hidden[2:4] and hidden[0] != hidden[1] and hidden[:2] != hidden[4:]
    only = lists.select(np.array([1]))
    (alone,) = ask_about_scores(only, scores, VOCABULARY, seed=1)
    assert set(alone.hidden.tolist()) == hidden[1], "whoever else is asked"
