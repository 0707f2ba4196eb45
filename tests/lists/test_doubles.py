"""Who is in the database twice is not both trained on and held out."""

from __future__ import annotations

import numpy as np
import pytest
from small_lists import sequences_of

from anime_bert4rec.lists import doubles
from anime_bert4rec.lists.doubles import TELLING, are_doubles

LONG = [*range(1, TELLING + 1)]
OTHER = [*range(4, TELLING + 4)]


@pytest.mark.parametrize("at_once", [1, 15, 2**20])
def test_lists_of_the_same_titles_are_one_persons_whatever_their_order(monkeypatch, at_once):
    monkeypatch.setattr(doubles, "ENTRIES_AT_ONCE", at_once)
    trained = sequences_of(LONG, [3, 1], OTHER[3:])
    of_others = range(31, 41)  # titles that nobody who is trained on has
    held_out = sequences_of([1, 3], LONG[::-1], OTHER, of_others)
    assert are_doubles(held_out, trained, 40).tolist() == [False, True, False, False]


def test_of_nobody_nobody_is_one():
    nobody = sequences_of(LONG).select(np.zeros(0, int))
    assert len(are_doubles(nobody, sequences_of(LONG), 40)) == 0
    assert are_doubles(sequences_of(LONG), nobody, 40).tolist() == [False]


def test_marks_are_of_sets():
    lists = [np.random.default_rng(k).permutation(30)[: 5 + k % 3] + 1 for k in range(400)]
    marks = doubles._marks_of_sets(sequences_of(*lists), 40)
    sets = [frozenset(each.tolist()) for each in lists]
    assert len(set(marks.tolist())) == len(set(sets))


def others(count=40, titles=300, length=25):
    """Lists of any titles."""
    return [np.random.default_rng(k).permutation(titles)[:length] + 1 for k in range(count)]


@pytest.mark.parametrize("most", [2**22, 0])
def test_lists_of_nearly_the_same_titles_are_one_persons(monkeypatch, most):
    """Of three quarters in common, where the titles that one source lacks are those that hardly anybody has."""
    monkeypatch.setattr(doubles, "MOST_ENTRIES", most)
    own = np.arange(1, 41)
    of_three_quarters, fewer = [*range(11, 41)], [*range(11, 41), 45]
    longer = [*range(1, 41), *range(60, 73)]  # 40 of 53
    for trained, found in ((of_three_quarters, True), (fewer, False), (longer, True), ([*longer, 80], False)):
        got = are_doubles(sequences_of([1, 2, 3], own), sequences_of(*others(), trained), 300)
        assert got.tolist() == [False, found and most > 0], trained


def test_who_has_seen_nearly_all_has_much_in_common_with_others_by_chance():
    """Of 40 titles each list has 33 at random, so that any two have seven tenths in common."""
    lists = others(60, 40, 33)
    ratios = [len(np.intersect1d(a, b)) / len(np.union1d(a, b)) for a in lists[:20] for b in lists[20:]]
    assert max(ratios) > doubles.IN_COMMON
    assert not are_doubles(sequences_of(*lists[:20]), sequences_of(*lists[20:]), 40).any()


def test_half_of_what_chance_does_not_explain_is_little_where_it_explains_nearly_all():
    """Of 120 titles in twelve groups, each list lacks seven of one group and three more: some lack nearly the same."""
    random = np.random.default_rng(0)
    lists = [
        np.delete(np.arange(1, 121), [*10 * random.integers(12) + random.choice(10, 7, False), *random.choice(120, 3)])
        for _ in range(400)
    ]
    strangers, trained = lists[:40], lists[40:]
    assert not are_doubles(sequences_of(*strangers), sequences_of(*trained), 120).any()


def test_long_lists_have_more_in_common_than_by_chance_and_are_not_one_persons_for_that():
    """Of 2,000 titles, each on four fifths of the lists, two lists of 1,600 share 1,280 by chance, give or take 21.

    Of 1,493 shared ones 213 are beyond chance, and 214 are on one of the two lists alone.
    """
    one = np.arange(1600)
    for shared, found in ((1372, False), (1493, False), (1494, True)):
        assert doubles._of_one_person(one, one + 1600 - shared, lambda _: np.full(2000, 0.8)) == found, shared


def test_a_short_list_is_of_anybody():
    assert are_doubles(sequences_of(LONG[1:], LONG), sequences_of(LONG[1:], *others()), 300).tolist() == [False, True]


def test_chances_add_up_to_the_length_and_grow_with_the_share():
    share = np.array([0.9, 0.5, 0.1, 0.1, 0.01])
    for length in (1, 2.5, 4):
        chances = doubles._chances(length, share)
        assert chances.sum() == pytest.approx(length) and (np.diff(chances) <= 0).all() and chances.max() <= 1
