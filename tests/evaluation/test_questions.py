"""What held-out users are asked, on lists so small that it can be worked out by hand."""

from __future__ import annotations

import numpy as np

from anime_bert4rec.evaluation import questions
from anime_bert4rec.evaluation.questions import EVERYTHING, Task, shuffled, task_of, variants, without_sequels
from anime_bert4rec.lists.common_traits import franchises
from anime_bert4rec.lists.records import Anime, Relation
from anime_bert4rec.lists.sequences import Sequences


def sequences(*lists: list[tuple[int, int]]) -> Sequences:
    """Each entry is (item, block)."""
    items, blocks = (np.array([entry[k] for each in lists for entry in each], np.int32) for k in (0, 1))
    return Sequences(items, blocks, np.cumsum([0, *map(len, lists)]), np.arange(len(lists)) + 100)


def in_order(*items: int) -> list[tuple[int, int]]:
    return [(item, block) for block, item in enumerate(items)]


def next_item(lists: Sequences) -> Task:
    return task_of(questions.next_item, lists, seed=1)


def fold_in(lists: Sequences, seed: int) -> Task:
    return task_of(questions.fold_in, lists, seed)


def plain(task: Task) -> list[tuple[int, list[int], list[int]]]:
    return [
        (int(user), history.tolist(), targets.tolist())
        for user, history, targets in zip(task.users, task.histories, task.targets, strict=True)
    ]


def test_the_next_item_is_the_last_with_a_date_of_its_own_and_what_comes_later_is_unknown():
    ends_in_bulk = [(5, 0), (6, 1), (7, 2), (8, 3), (9, 3), (4, 3)]
    lists = sequences(in_order(3, 1, 2), ends_in_bulk)
    assert plain(next_item(lists)) == [(0, [3, 1], [2]), (1, [5, 6], [7])]


def test_nobody_is_asked_for_what_has_no_date_or_nothing_before_it():
    all_undated = [(1, 0), (2, 0), (3, 0)]
    one_dated = [(4, 0), (5, 0), (6, 2)]
    one_undated = in_order(8)
    bulk = [(1, 0), (2, 0), (3, 0)]
    first_is_the_only_one = [(7, 0), (1, 1), (2, 1)]
    lists = sequences(all_undated, one_dated, one_undated, bulk, first_is_the_only_one)
    assert plain(next_item(lists)) == [(1, [4, 5], [6])]


def test_the_last_fifth_is_hidden_and_at_least_one():
    ten = in_order(*range(1, 11))
    lists = sequences(ten, in_order(1, 2), in_order(7))
    assert plain(fold_in(lists, seed=1)) == [(0, [1, 2, 3, 4, 5, 6, 7, 8], [9, 10]), (1, [1], [2])]
    rounded = fold_in(sequences(in_order(*range(1, 9)), in_order(*range(1, 8))), seed=1)
    assert [len(targets) for targets in rounded.targets] == [2, 1], "1.6 of eight are two, and 1.4 of seven are one"


def test_people_with_the_same_list_are_not_asked_the_same():
    bulk = [(item, 0) for item in range(1, 41)]
    first, second = (hidden for _, _, hidden in plain(fold_in(sequences(bulk, bulk), seed=1)))
    assert first != second and len(first) == len(second) == 8
    alone = sequences(bulk, bulk).select(np.array([1]))
    assert plain(fold_in(alone, seed=1))[0][2] == second, "whoever else is asked"


def test_where_there_is_no_order_chance_decides_and_the_seed_decides_chance():
    bulk = [(item, 0) for item in range(1, 41)]
    lists = sequences(bulk)
    (_, history, hidden), *_ = plain(fold_in(lists, seed=1))
    assert len(hidden) == 8 and sorted(history + hidden) == list(range(1, 41))
    assert hidden != list(range(33, 41)) and history == sorted(history)
    assert plain(fold_in(lists, seed=1))[0][2] == hidden
    assert plain(fold_in(lists, seed=2))[0][2] != hidden


def test_of_a_bulk_day_at_the_end_a_random_part_is_hidden_and_nothing_before_it():
    lists = sequences(in_order(*range(1, 31)) + [(item, 30) for item in range(31, 41)])
    (_, history, hidden), *_ = plain(fold_in(lists, seed=1))
    assert len(hidden) == 8 and set(hidden) < set(range(31, 41))
    assert history[:30] == list(range(1, 31))


def test_of_a_few_titles_the_rest_is_asked_if_there_are_ten_more():
    lists = sequences(in_order(*range(1, 14)), in_order(*range(1, 13)))
    task = task_of(questions.QUESTIONS["given 3"].split, lists, seed=1)
    ((user, given, others),) = plain(task)
    assert (user, len(given)) == (0, 3) and given == sorted(given), "in order of time"
    assert sorted(given + others) == list(range(1, 14))
    drawn = {tuple(task_of(questions.from_few(3), lists, seed).histories[0]) for seed in range(20)}
    assert len(drawn) > 10
    assert len(task_of(questions.QUESTIONS["given 10"].split, lists, seed=1)) == 0


def test_titles_of_a_watched_franchise_are_neither_asked_for_nor_suggested():
    # 1 → 2 → 3 are seasons; 4 and 5 too; 6 stands alone, though 1 has a guest in it.
    catalogue = [
        Anime(1, relations=(Relation(2, "SEQUEL"), Relation(6, "CHARACTER"))),
        Anime(2, relations=(Relation(3, "SEQUEL"),)),
        Anime(3),
        Anime(4, relations=(Relation(5, "SIDE_STORY"),)),
        Anime(5),
        Anime(6),
    ]
    franchise = np.array([0, *franchises(catalogue)])
    histories = [np.array(h) for h in ([1], [1], [6], [2, 5])]
    targets = [np.array(t) for t in ([3, 6], [2, 3], [4, 5], [1, 4, 6])]
    task = Task(np.array([0, 3, 5, 7]), histories, targets, histories)
    fresh = without_sequels(task, franchise)
    assert plain(fresh) == [(0, [1], [6]), (5, [6], [4, 5]), (7, [2, 5], [6])]
    assert [seen.tolist() for seen in fresh.seen] == [[1, 2, 3], [6], [1, 2, 3, 4, 5]]
    assert list(variants(task, np.zeros(7, int))) == [EVERYTHING], "of one franchise nothing is new"


def test_shuffling_changes_the_order_alone():
    task = fold_in(sequences(in_order(*range(1, 31))), seed=1)
    mixed = shuffled(task, seed=1)
    assert mixed.histories[0].tolist() != task.histories[0].tolist()
    assert sorted(mixed.histories[0]) == task.histories[0].tolist()
    assert mixed.targets is task.targets and mixed.seen is task.seen
