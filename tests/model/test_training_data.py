"""What a model learns from and is checked on: which batches, of which lists, and whether two runs saw the same."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import sqlite3

import numpy as np
import pytest
import torch
from small_lists import ITEMS, sequences_of, some_lists

from anime_bert4rec.lists.sequence_store import as_of_one_moment
from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.model import hidden_positions, training_data
from anime_bert4rec.model.training_data import Data, batches, batches_for_gate, load_data, read_lists
from config import TrainingSettings

VOCABULARY = Vocabulary(np.arange(1, ITEMS + 1))
CUTS_ALONE = TrainingSettings(batch_size=4, cut_share=1.0)


@pytest.fixture
def few_answer_alone(monkeypatch):
    monkeypatch.setattr(training_data, "LISTS_TO_ANSWER_ALONE", 20)


def data_of(training, validation=None, alike=None):
    return Data(VOCABULARY, training, some_lists(9, seed=5) if validation is None else validation, alike)


def test_validation_has_masks_and_few_titles_and_is_answered_by_network_and_memory(few_answer_alone):
    data = data_of(some_lists(20))
    validation = list(batches(data.validation, data, CUTS_ALONE, None))
    assert [batch.given for batch in validation] == [0, 0, 0, 1, 1, 1, 3, 3]
    assert data.ordered and data.answers_alone(memory=True)
    for batch in validation:
        if batch.given:
            assert batch.cuts.tolist() == [batch.given] == [batch.items.shape[1]]
        else:
            assert batch.cuts is None and (batch.items == VOCABULARY.mask).any(1).all()
        assert not batch.without_memory and batch.masked is None
        assert batch.entries is None and batch.lists is None, "nobody of these was counted"


def test_of_many_validation_users_every_so_manieth_batch_is_enough_for_the_gate(monkeypatch):
    data = data_of(some_lists(20), some_lists(48, seed=5))
    every = list(batches_for_gate(data, CUTS_ALONE))
    monkeypatch.setattr(training_data, "LISTS_SAMPLED", 16)
    assert data.one_in == 3
    some = list(batches_for_gate(data, CUTS_ALONE))
    of_masks = sum(len(batch.items) for batch in every if batch.cuts is None)
    assert of_masks == 48 and sum(len(batch.items) for batch in some if batch.cuts is None) == 16
    assert {batch.given for batch in some} == {0, 1, 3}
    assert any(not batch.given and batch.cuts is not None for batch in some)
    assert all(any(torch.equal(one.items, other.items) for other in every) for one in some)
    monkeypatch.setattr(training_data, "LISTS_SAMPLED", 1_000)
    assert data.one_in == 1


def test_training_has_cuts_and_three_of_four_batches_are_for_the_network_alone(few_answer_alone):
    data = data_of(some_lists(20))
    training = list(batches(data.training, data, CUTS_ALONE, 1))
    assert all(batch.cuts is not None for batch in training)
    assert [batch.without_memory for batch in training] == [False, True, True, True, False]
    fewer = data_of(some_lists(19))
    assert not any(batch.without_memory for batch in batches(fewer.training, fewer, CUTS_ALONE, 1))


def test_without_a_memory_all_of_short_lists_are_cut_at(monkeypatch):
    monkeypatch.setattr(hidden_positions, "FEWEST_CUTS", 1)
    asked = []
    for memory in (True, False):
        settings = dataclasses.replace(CUTS_ALONE, memory=memory, cut_share=1.0)
        data = data_of(sequences_of(*([1, 2, 3, 4, 5, 6, 7, 8, 9],) * 8))
        asked.append([len(batch.targets) / len(batch.items) for batch in batches(data.training, data, settings, 1)])
    assert all(few < 8 for few in asked[0]) and asked[1] == [8, 8], "each entry but the first, of nine"


@pytest.mark.parametrize("epoch", [1, None])
def test_without_an_order_there_are_masks_that_see_the_whole_list(epoch):
    unordered = data_of(some_lists(20, unordered=True))
    settings = TrainingSettings(batch_size=4, cut_share=1.0, max_seq_len=3)
    made = list(batches(unordered.training, unordered, settings, epoch))
    assert all(batch.cuts is None for batch in made) and {0, 1} <= {batch.given for batch in made}
    for batch in made:
        if not batch.given:
            assert (batch.visible > 0).sum(1).max() > 3
    ordered = data_of(some_lists(20))
    assert all(batch.visible is None for batch in batches(ordered.training, ordered, settings, epoch))


def test_the_memory_counts_as_many_lists_as_fit_and_is_asked_to_leave_out_these_alone(monkeypatch):
    lists = sequences_of(*[np.roll(np.arange(1, 11), k) for k in range(8)])
    monkeypatch.setattr(training_data, "MOST_ENTRIES", 59)
    data = data_of(lists)
    assert len(data.counted) == 5, "five lists of ten entries are 50, a sixth would make 60"
    assert data.counted.tolist() == sorted(set(data.counted.tolist())) != [0, 1, 2, 3, 4], "drawn by chance"
    counted = 0
    for batch in batches(data.training, data, TrainingSettings(batch_size=3), 1):
        ends = [*batch.lists.starts[1:].tolist(), len(batch.lists.items)]
        lengths = [end - start for start, end in zip(batch.lists.starts.tolist(), ends, strict=True)]
        assert set(lengths) <= {0, 10}
        assert [bool((row >= 0).all()) for row in batch.entries] == [length == 10 for length in lengths]
        counted += sum(lengths)
    assert counted == 50
    monkeypatch.setattr(training_data, "MOST_ENTRIES", 80)
    assert data_of(lists).counted.tolist() == list(range(8))


def test_in_validation_what_is_shown_and_the_mask_are_no_more_than_the_model_reads():
    """Of three positions one is the mask's, so that three titles are too many."""
    data = data_of(some_lists(20, unordered=True), some_lists(9, unordered=True))
    made = list(batches(data.validation, data, TrainingSettings(batch_size=4, max_seq_len=3), None))
    assert {batch.given for batch in made} == {0, 1}
    assert max(batch.items.shape[1] for batch in made) == 3


@pytest.mark.parametrize("unordered", [True, False])
def test_a_few_titles_are_given_beside_a_memory_and_training_does_so_without_an_order(unordered):
    data = data_of(some_lists(20, unordered=unordered), some_lists(9, unordered=unordered))
    with_it, without = (TrainingSettings(batch_size=4, memory=memory) for memory in (True, False))
    few = [
        any(batch.given for batch in batches(lists, data, settings, epoch))
        for settings in (with_it, without)
        for lists, epoch in ((data.training, 1), (data.validation, None))
    ]
    assert few == [unordered, True, False, False]


def test_whether_lists_have_an_order_is_asked_of_the_training_lists():
    assert data_of(some_lists(20), some_lists(9, unordered=True)).ordered
    assert not data_of(some_lists(20, unordered=True), some_lists(9)).ordered


def test_the_fingerprint_tells_every_change_of_what_is_learnt_from():
    lists = [[1, 2, 3], [4, 5], [6, 7, 8]]
    before = data_of(sequences_of(*lists), sequences_of([9, 1]))
    assert data_of(sequences_of(*lists), sequences_of([9, 1])).fingerprint() == before.fingerprint()
    changed = {
        "an item": data_of(sequences_of([1, 2, 12], *lists[1:]), sequences_of([9, 1])),
        "the order": data_of(sequences_of([1, 3, 2], *lists[1:]), sequences_of([9, 1])),
        "what was watched on one day": data_of(
            sequences_of(*lists, blocks=[[0, 1, 2], [0, 0], [0, 1, 2]]), sequences_of([9, 1])
        ),
        "where a list ends": data_of(sequences_of([1, 2], [3, 4, 5], [6, 7, 8]), sequences_of([9, 1])),
        "a list less": data_of(sequences_of(*lists[:2]), sequences_of([9, 1])),
        "whom it is checked on": data_of(sequences_of(*lists), sequences_of([9, 2])),
        "the split": data_of(sequences_of(*lists[:2]), sequences_of(lists[2], [9, 1])),
        "which anime the items are": Data(
            Vocabulary(np.arange(2, ITEMS + 2)), sequences_of(*lists), sequences_of([9, 1])
        ),
    }
    prints = {name: data.fingerprint() for name, data in changed.items()} | {"nothing": before.fingerprint()}
    assert len(set(prints.values())) == len(prints), prints


def test_the_fingerprint_of_the_catalogue_is_of_what_anime_have_in_common():
    groups = sequences_of([1, 2, 5], [3, 5])
    prints = [
        data_of(some_lists(3), alike=groups).catalogue_fingerprint(),
        data_of(some_lists(3), alike=sequences_of([1, 2, 5], [3, 6])).catalogue_fingerprint(),
        data_of(some_lists(3), alike=sequences_of([1, 2], [5, 3, 5])).catalogue_fingerprint(),
    ]
    assert len(set(prints)) == 3
    assert data_of(some_lists(4), alike=groups).catalogue_fingerprint() == prints[0], "the lists are no part of it"
    assert data_of(some_lists(3)).catalogue_fingerprint() == ""
    popular = dataclasses.replace(data_of(some_lists(3), alike=groups), in_catalogue=np.ones(ITEMS, np.float32))
    assert popular.catalogue_fingerprint() not in prints, "how popular they are counts, too"


def test_the_lists_of_other_people_are_read_anew(db):
    """What is kept beside the database is of these people, whoever else was asked for before."""
    with as_of_one_moment(db) as (database, state):
        users, vocabulary = [user_id for user_id, _ in database.user_keys()], Vocabulary.of(database.anime_ids())
        for ids in (users[:5], users[3:9], users[:5]):
            rows, groups = database.iter_watched(), {"training": np.array(ids), "validation": np.array(users[9:])}
            lists = read_lists(rows, db, state, vocabulary, groups)
            assert [lists[name].user_ids.tolist() for name in groups] == [ids, users[9:]]
        others = Vocabulary.of([*vocabulary.anime_ids[1:], vocabulary.anime_ids[-1] + 1])
        anime = [
            set(each.decode(read_lists(database.iter_watched(), db, state, each, groups)["training"].items).tolist())
            for each in (vocabulary, others)
        ]
        assert anime[1] == anime[0] - {int(vocabulary.anime_ids[0])}


def test_starts_and_scores_are_those_of_the_training_users_that_the_memory_counts(db, tmp_path, monkeypatch):
    """Everybody scores with the own number, so that each score tells whose it is."""
    monkeypatch.setattr(training_data, "MOST_ENTRIES", 1_000)
    copy = shutil.copy(db, tmp_path / "scored.db")
    with contextlib.closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("UPDATE list_entry SET score = user_id, started = 20200101")
    data = load_data(copy, TrainingSettings())
    counted = data.training.user_ids[data.counted].tolist()
    assert 0 < len(counted) < len(data.training) and len(data.validation)
    assert np.unique(data.recent.starts.users).tolist() == counted
    assert np.unique(data.scores.values).tolist() == counted


def test_where_everybody_held_out_is_trained_on_under_another_name_they_are_asked_all_the_same(db, tmp_path, caplog):
    copy = shutil.copy(db, tmp_path / "equal.db")
    with contextlib.closing(sqlite3.connect(copy)) as connection, connection:
        columns = "anime_id, entry_id, status, score, progress, repeats, started, completed, updated, created"
        first = "(SELECT min(user_id) FROM user WHERE left_out IS NULL)"
        connection.execute(f"DELETE FROM list_entry WHERE user_id <> {first}")
        connection.execute(
            f"""INSERT INTO list_entry (user_id, {columns}) SELECT user.user_id, {columns} FROM user, list_entry AS its
                WHERE its.user_id = {first} AND user.user_id <> {first} AND left_out IS NULL"""
        )
    data = load_data(copy, TrainingSettings())
    assert len(data.validation) and data.doubles.tolist() == data.validation.user_ids.tolist()
    assert [line for line in caplog.messages if line.startswith("All held-out lists are trained on, too")]
    people = data.people()
    assert people.held_out.sum() == len(data.validation) and not len(people.away), "none of them is away"


def test_popularity_is_on_how_many_training_lists_each_item_is():
    popularity = data_of(sequences_of([1, 2, 12], [2], [12, 2])).popularity()
    assert popularity.tolist() == [1, 3, *[0] * 9, 2] and popularity.dtype == np.float32


def test_several_processes_share_the_batches_of_one():
    data = data_of(some_lists(20))
    whole = list(batches(data.training, data, CUTS_ALONE, 1))
    shares = [list(batches(data.training, data, CUTS_ALONE, 1, rank, 2)) for rank in range(2)]
    for batch, one, other in zip(whole, *shares, strict=True):
        assert torch.equal(torch.cat([one.items, other.items]), batch.items)
