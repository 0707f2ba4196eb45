"""Order in time, the vocabulary and the split, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from anime_bert4rec.lists.sequences import (
    BULK_DAY,
    PAD,
    UNDATED,
    Vocabulary,
    build_sequences,
    flat_ranges,
    has_order,
    split_users,
    when_watched,
)
from anime_bert4rec.model.histories import History

DAY = 86_400


def row(anime, *, user=1, entry=None, completed=None, started=None, updated=None, created=None):
    return (user, anime, anime if entry is None else entry, completed, started, updated, created)


def order_of(rows, ids=range(1, 100)):
    """The anime ids of user 1 in the order of their sequence."""
    vocabulary = Vocabulary.of(ids)
    return vocabulary.decode(build_sequences(rows, vocabulary).of_user(0)).tolist()


def days(**columns):
    names = ("completed", "started", "updated", "created")
    day, second = when_watched(*(np.array([columns.get(name, 0)]) for name in names))
    return day.tolist()[0], second.tolist()[0]


def test_vocabulary_is_sorted_and_leaves_0_to_the_padding():
    vocabulary = Vocabulary.of([30, 10, 20, 10])
    assert vocabulary.encode(np.array([10, 20, 30])).tolist() == [1, 2, 3]
    assert vocabulary.encode(np.array([5, 15, 31])).tolist() == [PAD, PAD, PAD]
    assert vocabulary.decode([3, 1]).tolist() == [30, 10]
    assert (vocabulary.num_items, vocabulary.mask) == (3, 4)


def test_an_empty_vocabulary_knows_nothing():
    assert Vocabulary.of([]).encode(np.array([1, 2])).tolist() == [PAD, PAD]


def test_the_completed_date_comes_before_started_updated_and_created():
    assert days(completed=19700103, started=19700102, updated=DAY, created=0) == (2, 0)
    assert days(started=19700102, updated=5 * DAY, created=DAY) == (1, 0)
    assert days(updated=5 * DAY + 7, created=DAY) == (5, 7)
    assert days(created=DAY + 3) == (1, 3)
    assert days(updated=18_262 * DAY) == days(completed=20200101) == (18_262, 0)
    assert days(updated=18_263 * DAY - 1) == (18_262, DAY - 1)
    assert days(completed=20200101, updated=18_262 * DAY + 7) == (18_262, 0), "the clock is that of another event"
    assert days() == (UNDATED, 0)


def test_unknown_months_and_days_count_as_the_first():
    assert days(completed=20010000) == days(completed=20010101)
    assert days(completed=20010300) == days(completed=20010301)
    assert days(completed=20000301)[0] - days(completed=20000228)[0] == 2  # 2000 was a leap year


def test_sequences_are_in_the_order_of_time_with_the_undated_first():
    rows = [
        row(1, completed=20200105),
        row(2, updated=1_577_836_800),  # 2020-01-01
        row(3),
        row(4, started=20200103),
        row(5, created=1_577_923_200),  # 2020-01-02
        row(6),
    ]
    assert sorted(order_of(rows)[:2]) == [3, 6] and order_of(rows)[2:] == [2, 5, 4, 1]
    assert order_of(rows[::-1]) == order_of(rows)


@pytest.mark.parametrize("dates", [{}, {"completed": 20200202}])
def test_what_has_no_order_is_as_though_drawn_by_lot(dates):
    """A model with room for 200 sees as many of the first 300 anime as of the others, and what else is on the list
    changes nothing in how two of them stand."""
    listed = order_of([row(k, **dates) for k in range(1, 601)], range(1, 601))
    assert sorted(listed) == [*range(1, 601)] and 80 < sum(k <= 300 for k in listed[-200:]) < 120
    again = order_of([row(k, **dates) for k in range(600, 0, -1)] + [row(700)], range(1, 701))
    assert [k for k in again if k != 700] == listed
    of_set = History.of(frozenset(range(1, 601)), Vocabulary.of(range(1, 601)))
    assert of_set.items.tolist() == listed


def test_one_day_is_ordered_by_the_clock_then_by_entry():
    rows = [row(1, updated=DAY + 50), row(2, updated=DAY + 10), row(3, entry=9, updated=DAY + 10)]
    assert order_of(rows) == [2, 3, 1]


def test_unknown_anime_and_users_without_any_drop_out():
    rows = [row(1), row(999), row(2, user=5), row(999, user=7), row(998, user=2)]
    sequences = build_sequences(rows, Vocabulary.of([1, 2]))
    assert sequences.user_ids.tolist() == [1, 5]
    assert sequences.offsets.tolist() == [0, 1, 2]
    assert sequences.items.tolist() == [1, 2]


def test_no_rows_make_no_sequences():
    assert len(build_sequences([], Vocabulary.of([1]))) == 0


def test_only_a_bulk_day_forms_a_block():
    single = [row(k, completed=20200101) for k in range(1, BULK_DAY)]
    bulk = [row(k, completed=20200202) for k in range(20, 20 + BULK_DAY)]
    sequences = build_sequences(single + bulk, Vocabulary.of(range(1, 100)))
    assert sequences.blocks.tolist() == [*range(BULK_DAY - 1), *[BULK_DAY - 1] * BULK_DAY]


def test_what_has_no_date_has_no_order_however_little_it_is():
    rows = [row(9), row(5), row(7), row(3, completed=20200101), row(2, completed=20200101), row(5, user=2)]
    assert build_sequences(rows, Vocabulary.of(range(1, 10))).blocks.tolist() == [0, 0, 0, 3, 4, 0]


def test_lists_have_an_order_if_most_pairs_of_entries_have_one():
    """Of two entries there is one pair; of nine without a date and seven with one, 36 of 120 are without an order."""
    dated = [row(k, completed=20200101 + k) for k in range(1, 8)]
    undated = [row(k) for k in range(10, 20)]
    known = Vocabulary.of(range(1, 100))
    for rows, ordered in {
        (*dated[:2],): True,
        (*undated[:2],): False,
        (*dated, *undated[:9]): True,
        (*dated[:3], *undated[:9]): False,  # 36 of 66
        (*dated[:4], *undated[:10]): True,  # 45 of 91
        (*dated[:3], *undated[:10]): False,  # 45 of 78
        (*undated[:2], row(3, user=2, completed=20200101), row(4, user=2, completed=20200102)): False,  # half of them
        (row(1), row(1, user=2)): False,
    }.items():
        assert has_order(build_sequences(rows, known)) == ordered, rows


def test_a_day_that_two_users_share_is_no_bulk_day():
    rows = [row(k, user=user, completed=20200101) for user in (1, 2) for k in range(1, 7)]
    assert build_sequences(rows, Vocabulary.of(range(1, 10))).blocks.tolist() == [*range(6), *range(6)]


def test_select_takes_users_in_the_order_asked_for():
    lists = {1: (1, 2), 2: (3,), 3: (4, 5, 6)}
    rows = [row(k, user=user, completed=20200100 + k) for user, ks in lists.items() for k in ks]
    chosen = build_sequences(rows, Vocabulary.of(range(1, 10))).select(np.array([2, 0]))
    assert chosen.of_user(0).tolist() == [4, 5, 6]
    assert chosen.of_user(1).tolist() == [1, 2]
    assert chosen.user_ids.tolist() == [3, 1]


def test_flat_ranges():
    assert flat_ranges(np.array([5, 9, 0]), np.array([2, 3, 0])).tolist() == [5, 6, 9, 10, 11]


def test_the_split_depends_on_seed_and_names_but_not_on_order():
    names = [f"user{k}" for k in range(50)]
    training, validation = split_users(names, 0.1, 42)
    assert len(validation) == 5
    assert sorted([*training, *validation]) == list(range(50))

    held_out = {names[k] for k in validation}
    shuffled = names[::-1]
    assert {shuffled[k] for k in split_users(shuffled, 0.1, 42)[1]} == held_out
    assert {names[k] for k in split_users(names, 0.1, 43)[1]} != held_out


@pytest.mark.parametrize(
    ("users", "ratio", "held_out"), [(2, 0.01, 1), (2, 0.99, 1), (3, 0.1, 1), (10, 0.5, 5), (30, 0.1, 3), (5, 0.99, 4)]
)
def test_both_sides_of_the_split_have_someone(users, ratio, held_out):
    training, validation = split_users([str(k) for k in range(users)], ratio, 0)
    assert (len(training), len(validation)) == (users - held_out, held_out)


def test_blocks_are_numbered_anew_when_entries_are_left_out():
    rows = [row(1), row(2, completed=20200101), *(row(k, completed=20200202) for k in range(10, 10 + BULK_DAY))]
    rows += [row(k, user=2, completed=20200101) for k in (1, 3, 4)]
    sequences = build_sequences(rows, Vocabulary.of(range(1, 100)))
    kept = sequences.keep(~np.isin(sequences.items, [1, 10]))
    assert kept.of_user(0)[0] == 2 and sorted(kept.of_user(0)[1:]) == [*range(11, 10 + BULK_DAY)]
    assert kept.blocks.tolist() == [0, *[1] * (BULK_DAY - 1), 0, 1]
    assert kept.offsets.tolist() == [0, BULK_DAY, BULK_DAY + 2]


def test_entries_without_a_date_come_first_and_are_one_block():
    rows = [row(5, completed=20200101), row(6), row(7, completed=0, updated=0), row(8, updated=DAY), row(9, user=3)]
    sequences = build_sequences(rows, Vocabulary.of(range(5, 10)))
    assert sorted(order_of(rows)[:2]) == [6, 7]
    assert sequences.blocks.tolist() == [0, 0, 2, 3, 0]
    for known in ("completed", "started", "updated", "created"):
        blocks = build_sequences([row(1), row(2), row(3, **{known: 20200101})], Vocabulary.of([1, 2, 3])).blocks
        assert blocks.tolist() == [0, 0, 2], known
