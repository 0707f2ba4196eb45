"""Lists read by streaming, kept beside the database, and made anew when it changes."""

from __future__ import annotations

import itertools
import shutil

import numpy as np
import pytest

from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.records import Anime, CataloguePage, ListEntry, UserList
from anime_bert4rec.lists.sequence_store import MARK, state_of, stored
from anime_bert4rec.lists.sequences import Sequences, Vocabulary, build_in_parts, build_sequences
from anime_bert4rec.model.training_data import load_data
from config import PathSettings, TrainingSettings


def rows_of(lists):
    """Rows as of the database: one user after the other, each watched later than the one before in the list."""
    for user, anime in enumerate(lists, 1):
        for day, anime_id in sorted(enumerate(anime, 20200101), key=lambda pair: pair[1]):
            yield (user, anime_id, anime_id, day, None, None, None)


def some_lists(count, seed=0):
    random = np.random.default_rng(seed)
    return [(random.permutation(40)[: random.integers(1, 20)] + 1).tolist() for _ in range(count)]


def as_lists(sequences):
    return [sequences.of_user(user).tolist() for user in range(len(sequences))]


@pytest.mark.parametrize("rows_at_once", [1, 2, 7, 100, 10_000])
def test_in_parts_as_at_once(rows_at_once):
    vocabulary = Vocabulary.of(range(1, 41))
    whole = build_sequences(rows_of(some_lists(30)), vocabulary)
    parts = list(build_in_parts(rows_of(some_lists(30)), vocabulary, rows_at_once))
    assert len(parts) > (2 if rows_at_once < 10_000 else 0)
    assert list(itertools.chain.from_iterable(map(as_lists, parts))) == as_lists(whole) == some_lists(30)
    assert np.concatenate([part.user_ids for part in parts]).tolist() == whole.user_ids.tolist()
    assert np.concatenate([part.blocks for part in parts]).tolist() == whole.blocks.tolist()


def test_no_rows_are_one_empty_part():
    assert [len(part) for part in build_in_parts([], Vocabulary.of([1]))] == [0]


def kept_in(folder):
    return [path.name for path in folder.iterdir() if path.name != MARK]


def database_of(path, lists):
    with Database.open(path, create=True) as database:
        fetch = database.resume_or_start_catalogue_fetch("ID", 40)
        anime = tuple(Anime(k, genres=("Drama",)) for k in range(1, 41))
        database.save_catalogue_page(fetch.fetch_id, CataloguePage(anime, None))
        for user, each in enumerate(lists, 1):
            save_list(database, user, each)
    return PathSettings(db=path)


def save_list(database, user, anime):
    entries = [
        ListEntry(user * 100 + k, anime_id, "COMPLETED", completed=20200101 + k) for k, anime_id in enumerate(anime)
    ]
    database.save_user_list(UserList(user, f"user{user}", tuple(entries)), f"user{user}", 1_600_000_000, 1)


SETTINGS = TrainingSettings(memory=False, seed=3, val_ratio=0.2)


def test_kept_until_the_database_changes(tmp_path, monkeypatch):
    lists = some_lists(20)
    paths = database_of(tmp_path / "a.db", lists)
    first = load_data(paths.database_file, SETTINGS)
    assert sorted(as_lists(first.training) + as_lists(first.validation)) == sorted(lists)
    assert (len(first.training), len(first.validation)) == (16, 4)

    with monkeypatch.context() as patch:
        patch.setattr("anime_bert4rec.model.training_data.build_in_parts", None)  # it isn't read again
        again = load_data(paths.database_file, SETTINGS)
    assert as_lists(again.training) == as_lists(first.training)
    assert again.fingerprint() == first.fingerprint()

    other_split = load_data(paths.database_file, TrainingSettings(memory=False, seed=4, val_ratio=0.2))
    assert sorted(as_lists(other_split.training) + as_lists(other_split.validation)) == sorted(lists)
    assert as_lists(other_split.validation) != as_lists(first.validation)

    with Database.open(paths.database_file, create=False) as database:
        save_list(database, 1, [40, 39, 38])
    changed = load_data(paths.database_file, SETTINGS)
    assert sorted(as_lists(changed.training) + as_lists(changed.validation)) == sorted([[40, 39, 38], *lists[1:]])


def test_a_change_that_is_still_in_the_journal_counts(tmp_path):
    paths = database_of(tmp_path / "a.db", some_lists(10))
    load_data(paths.database_file, SETTINGS)
    with Database.open(paths.database_file, create=False) as writer:  # stays open, so nothing moves into the file
        save_list(writer, 1, [40, 39, 38])
        assert [40, 39, 38] in [
            *as_lists(load_data(paths.database_file, SETTINGS).training),
            *as_lists(load_data(paths.database_file, SETTINGS).validation),
        ]


def test_a_change_while_reading_is_not_kept_for_the_next_run(tmp_path):
    paths = database_of(tmp_path / "a.db", some_lists(10))
    one = Sequences(np.array([1, 2], np.int32), np.array([0, 1], np.int32), np.array([0, 2]), np.array([7]))

    def make():
        with Database.open(paths.database_file, create=False) as database:
            save_list(database, 1, [40, 39, 38])
        yield {"training": one}

    for _ in range(2):
        assert as_lists(stored(paths.database_file, state_of(paths.database_file), "test", 40, make)["training"]) == [
            [1, 2]
        ]
    with pytest.raises(ZeroDivisionError):  # so it is made again
        stored(paths.database_file, state_of(paths.database_file), "test", 40, lambda: 1 / 0)


def of_one(item):
    return Sequences(np.array([item], np.int32), np.zeros(1, np.int32), np.array([0, 1]), np.array([7]))


def test_what_is_kept_is_not_used_for_a_database_that_changed_since_it_was_looked_at(tmp_path):
    """Between a look at the file and the reading of it somebody writes: what is read is newer than what is kept."""
    paths = database_of(tmp_path / "a.db", some_lists(10))
    before = state_of(paths.database_file)
    stored(paths.database_file, before, "test", 40, lambda: iter([{"training": of_one(1)}]))
    with Database.open(paths.database_file, create=False) as database:
        save_list(database, 1, [40, 39, 38])
    found = stored(paths.database_file, before, "test", 40, lambda: iter([{"training": of_one(2)}]))
    assert as_lists(found["training"]) == [[2]]


def test_what_was_read_during_a_change_does_not_come_back_with_a_backup_of_the_database(tmp_path):
    """A copy from before, put back with its time, has the state of before, and not the lists that were read later."""
    file, backup = database_of(tmp_path / "a.db", some_lists(10)).database_file, tmp_path / "backup"
    shutil.copy2(file, backup)
    before = state_of(file)

    def make():
        with Database.open(file, create=False) as database:
            save_list(database, 1, [40, 39, 38])
        yield {"training": of_one(2)}

    assert as_lists(stored(file, before, "test", 40, make)["training"]) == [[2]]
    shutil.copy2(backup, file)
    assert state_of(file) == before
    again = stored(file, before, "test", 40, lambda: iter([{"training": of_one(1)}]))
    assert as_lists(again["training"]) == [[1]]


def test_interrupted_it_leaves_nothing_behind(tmp_path):
    path = tmp_path / "a.db"
    path.write_bytes(b"x")

    def make():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stored(path, state_of(path), "test", 3, make)
    assert kept_in(tmp_path / "a.sequences") == []


def test_six_bytes_an_entry(tmp_path):
    path = tmp_path / "a.db"
    path.write_bytes(b"x")
    lists = Sequences(
        np.arange(1, 1001, dtype=np.int32), np.arange(1000, dtype=np.int32), np.array([0, 1000]), np.array([1])
    )
    kept = stored(path, state_of(path), "test", 3000, lambda: [{"all": lists}])["all"]
    assert as_lists(kept) == as_lists(lists) and kept.blocks.tolist() == lists.blocks.tolist()
    size = sum(file.stat().st_size for file in (tmp_path / "a.sequences").rglob("all.[ib]*"))
    assert size == 6 * 1000
    assert stored(path, state_of(path), "test", 3000, lambda: 1 / 0)["all"].items.base is not None


def test_two_processes_may_make_the_same(tmp_path):
    path = tmp_path / "a.db"
    path.write_bytes(b"x")
    one = Sequences(np.array([1, 2], np.int32), np.array([0, 1], np.int32), np.array([0, 2]), np.array([7]))

    def make():
        stored(path, state_of(path), "test", 40, lambda: [{"all": one}])  # the other one, which is done first
        yield {"all": one}

    assert as_lists(stored(path, state_of(path), "test", 40, make)["all"]) == [[1, 2]]
    assert len(kept_in(tmp_path / "a.sequences")) == 1
