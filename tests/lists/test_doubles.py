"""Who is in the database twice is not both trained on and held out."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from small_lists import sequences_of

from anime_bert4rec.lists import doubles
from anime_bert4rec.lists.doubles import TELLING, without_doubles

LONG = [*range(1, TELLING + 1)]
OTHER = [*range(4, TELLING + 4)]


@pytest.mark.parametrize("at_once", [1, 15, 2**20])
def test_lists_of_the_same_titles_are_left_out_whatever_their_order(caplog, monkeypatch, at_once):
    monkeypatch.setattr(doubles, "ENTRIES_AT_ONCE", at_once)
    caplog.set_level(logging.WARNING)
    trained = sequences_of(LONG, [3, 1], OTHER[3:])
    held_out = sequences_of([1, 3], LONG[::-1], OTHER, LONG[:-1])
    kept = without_doubles(held_out, trained, 40)
    assert [kept.of_user(user).tolist() for user in range(len(kept))] == [[1, 3], OTHER, LONG[:-1]]
    assert kept.user_ids.tolist() == held_out.user_ids[[0, 2, 3]].tolist()
    assert "Not validated on: 1 held-out lists that are trained on, too, under another name." in caplog.text


def test_without_doubles_nothing_is_copied_or_said(caplog):
    held_out = sequences_of(OTHER)
    assert without_doubles(held_out, sequences_of(LONG, [1]), 40) is held_out and not caplog.text


def test_where_all_would_be_left_out_none_is_and_it_is_said(caplog):
    held_out = sequences_of(LONG, LONG[::-1])
    assert without_doubles(held_out, sequences_of(LONG, [1]), 40) is held_out
    assert "validation tells nothing" in caplog.text


def test_marks_are_of_sets():
    lists = [np.random.default_rng(k).permutation(30)[: 5 + k % 3] + 1 for k in range(400)]
    marks = doubles._marks_of_sets(sequences_of(*lists), 40)
    sets = [frozenset(each.tolist()) for each in lists]
    assert len(set(marks.tolist())) == len(set(sets))


@pytest.mark.parametrize("most", [2**23, 0])
def test_lists_of_nearly_the_same_titles_are_one_persons(monkeypatch, most):
    """Of three quarters in common, where the titles that one source lacks are those that hardly anybody has."""
    monkeypatch.setattr(doubles, "MOST_ENTRIES", most)
    own, others = np.arange(1, 41), [[*range(11, 41), *range(50 + k, 60 + k)] for k in range(20)]
    of_three_quarters, fewer = [*range(11, 41)], [*range(11, 41), 45]
    longer = [*range(1, 41), *range(60, 73)]  # 40 of 53
    for trained, found in ((of_three_quarters, True), (fewer, False), (longer, True), ([*longer, 80], False)):
        held_out = sequences_of([1, 2, 3], own)
        kept = without_doubles(held_out, sequences_of(*others, trained), 90)
        assert (len(kept) == 1) == (found and most > 0), trained


def test_a_short_list_is_of_anybody():
    held_out = sequences_of(LONG[1:], LONG)
    kept = without_doubles(held_out, sequences_of(LONG[1:]), 40)
    assert kept.user_ids.tolist() == [0], "of the other, nine of ten are in common"
    assert without_doubles(kept, sequences_of(LONG[1:], LONG), 40) is kept
