"""What a list says of a person, by hand."""

from __future__ import annotations

import pytest

from anime_bert4rec.lists.list_values import RowReport
from anime_bert4rec.lists.mal_export import MalEntry, MalExport
from anime_bert4rec.lists.records import ListEntry
from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.recommending.person import Person, from_export

KNOWN = Vocabulary.of(range(1, 50))


def entry(anime_id, status="COMPLETED", score=None, completed=None, **more):
    return ListEntry(1000 + anime_id, anime_id, status, score, completed=completed, **more)


def test_the_history_is_in_the_order_of_time():
    entries = [entry(1, completed=20200301), entry(2, completed=20190101), entry(3), entry(99)]
    person = Person.of_list(entries, KNOWN)
    assert person.history == (3, 2, 1)  # undated first; 99 is not known
    assert person.seen == person.liked == {1, 2, 3, 99}


@pytest.mark.parametrize(
    ("days", "in_order"),
    [
        ([None, None, None], False),
        ([20200301, 20200302], True),
        ([None, None, 20200301], False),
        ([20200301, 20200301, 20200302], False),
        ([20200301, 20200301, 20200302, 20200303], True),  # half of them
        ([20200301] * 9, False),
        ([*[None] * 40, *range(20200301, 20200305)], False),
        ([*[None] * 40, *range(20200301, 20200306)], True),
        ([*[20200301] * 40, *range(20200302, 20200307)], True),
        ([20200301], False),  # one title alone
    ],
)
def test_titles_without_any_order_are_a_set(days, in_order):
    person = Person.of_list([entry(k, completed=day) for k, day in enumerate(days, 1)], KNOWN)
    assert person.in_order == in_order and len(person.history) == len(days)
    assert person.titles == (person.history if in_order else frozenset(person.history))


def test_titles_that_were_named_are_a_set():
    person = Person.of_ids([3, 1, 2])
    assert person.history == (3, 1, 2) and person.titles == frozenset({1, 2, 3})


def test_dropped_titles_are_seen_and_not_liked():
    person = Person.of_list([entry(1), entry(2, "DROPPED"), entry(3, "PAUSED"), entry(4, "CURRENT")], KNOWN)
    assert set(person.history) == {1, 3, 4}
    assert person.seen == {1, 2, 3, 4}


def test_a_score_of_0_is_none_in_a_database_that_another_program_wrote():
    person = Person.of_list([entry(1, score=80), entry(2, score=0), entry(3, score=80)], KNOWN)
    assert person.liked == {1, 2, 3} and person.scores == {1: 80, 3: 80}


@pytest.mark.parametrize(("score", "liked"), [(60, False), (61, True)])
def test_a_score_well_below_the_mean_is_a_dislike(score, liked):
    """With 80, 80 and 80, a fourth score of 60 makes the mean 75, and 61 makes it 75.25."""
    unrated = entry(4)
    person = Person.of_list([*(entry(k, score=80) for k in (1, 2, 3)), unrated, entry(5, score=score)], KNOWN)
    assert (5 in person.history) == (5 in person.liked) == liked
    assert 5 in person.seen and 4 in person.history


def test_what_is_only_planned_has_no_part_in_the_mean():
    """80, 80 and 66: the mean is 75.3, and 66 is liked. With the two planned ones it would be 85.2, and 66 not."""
    planned = [entry(6, "PLANNING", score=100), entry(7, "PLANNING", score=100)]
    person = Person.of_list([entry(1, score=80), entry(2, score=80), entry(3, score=66), *planned], KNOWN)
    assert set(person.history) == {1, 2, 3} and person.planned == {6, 7}


@pytest.mark.parametrize(
    ("seen", "more"),
    [(False, {}), (True, {"progress": 1}), (True, {"completed": 20200101}), (False, {"started": 20200101})],
)
def test_without_a_status_it_was_watched_if_something_of_it_was(seen, more):
    assert (1 in Person.of_list([entry(1, None, **more)], KNOWN).seen) == seen


def test_somebody_who_liked_nothing_is_taken_by_what_was_seen():
    person = Person.of_list([entry(1, "DROPPED"), entry(2, "DROPPED"), entry(99)], KNOWN)
    assert set(person.history) == {1, 2}
    assert person.liked == {99}, "what was dropped is no favourite of a comparison"


def test_planned_titles_are_candidates():
    person = Person.of_list([entry(1), entry(2, "PLANNING"), entry(3, None), entry(4, None, progress=1)], KNOWN)
    assert person.planned == {2, 3}
    assert set(person.history) == person.seen == {1, 4}


def test_an_empty_list():
    assert Person.of_list([], KNOWN) == Person((), frozenset(), frozenset(), in_order=False)


def test_an_export_is_read_by_the_ids_of_the_catalogue():
    of_number = {
        1: MalEntry(501, "DROPPED", 10, None, None, 1),
        2: MalEntry(502, "PLANNING", None, None, None, 0),
        3: MalEntry(777, "COMPLETED", None, None, None, 1),
        4: MalEntry(501, "COMPLETED", 90, None, 20200101, 12),
    }
    export = MalExport("Ann", tuple(of_number.items()), RowReport())
    entries, missing = from_export(export, {501: 1, 502: 2})
    assert [(each.anime_id, each.status, each.score, each.completed) for each in entries] == [
        (1, "COMPLETED", 90, 20200101),
        (2, "PLANNING", None, None),
    ]
    assert missing == 1
