"""An evaluation after the database has changed: who was trained on is never asked, and what has changed is said."""

from __future__ import annotations

import json
import shutil
import sqlite3
from dataclasses import replace

import numpy as np
import pytest
from small_runs import draw_nothing
from test_evaluate import copy_of, train

import evaluate
from anime_bert4rec.evaluation import trained_run
from anime_bert4rec.evaluation.report import who_is_asked
from anime_bert4rec.evaluation.trained_run import SinceTraining, load_run
from anime_bert4rec.lists.people import People, hashes_of_lists, load_people, salted
from anime_bert4rec.lists.sequences import Sequences, Vocabulary
from anime_bert4rec.model.training_data import load_data
from anime_bert4rec.support.errors import UserError
from config import PathSettings, TrainingSettings

SETTINGS = TrainingSettings(val_ratio=0.3)


@pytest.fixture(scope="module")
def trained(db, tmp_path_factory):
    output = tmp_path_factory.mktemp("output")
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        assert train(db, output) == 0
    return output


@pytest.fixture(scope="module")
def of_then(db):
    """The AniList ids of those who were held out, and of those who were trained on; and their rows."""
    data = load_data(db, SETTINGS)
    return ids_of(db, data.validation), ids_of(db, data.training)


def ids_of(path, sequences):
    connection = sqlite3.connect(path)
    ids = dict(connection.execute("SELECT user_id, anilist_id FROM user"))
    connection.close()
    return [ids[user_id] for user_id in sequences.user_ids.tolist()]


def row_of(anilist_id):
    return f"(SELECT user_id FROM user WHERE anilist_id = {anilist_id})"


def first_watched(anilist_id):
    return f"""(SELECT min(anime_id) FROM list_entry JOIN anime USING (anime_id)
                WHERE user_id = {row_of(anilist_id)} AND list_entry.status = 'COMPLETED')"""


class Changed:
    """A copy of the database that a test may change."""

    def __init__(self, db, path, output):
        self.path = shutil.copy(db, path)
        self.paths = PathSettings(db=path, output_dir=output)

    def run(self, *statements):
        connection = sqlite3.connect(self.path)
        connection.execute("PRAGMA foreign_keys = ON")
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()

    def add(self, anilist_id, list_of, those="anime_id % 2"):
        """Somebody new, with half of what somebody else has watched, or `those`, in the row after the last."""
        columns = "entry_id, status, score, progress, repeats, started, completed, updated, created"
        self.run(
            f"INSERT INTO user (anilist_id, name, name_key, fetched_at) VALUES ({', '.join([f'{anilist_id}'] * 3)}, 0)",
            f"""INSERT INTO list_entry (user_id, anime_id, {columns}) SELECT {row_of(anilist_id)}, anime_id, {columns}
                FROM list_entry WHERE user_id = {row_of(list_of)} AND {those}""",
        )

    def load(self, newcomers=False):
        run = load_run(self.paths.models, self.path, newcomers)
        return run, *(ids_of(self.path, part) for part in (run.data.validation, run.data.training))


@pytest.fixture
def changed(db, trained, tmp_path):
    return Changed(db, tmp_path / "changed.db", trained)


def test_the_file_tells_everybody_apart_and_names_nobody(db, trained, of_then):
    held_out, trained_on = of_then
    people = load_people(PathSettings(output_dir=trained).people_file)
    assert (int(people.held_out.sum()), int((~people.held_out).sum())) == (len(held_out), len(trained_on))
    assert len(set(people.persons.tolist())) == len(people.persons) == len(set(people.lists.tolist()))
    again = load_data(db, SETTINGS).people()
    assert again.salt != people.salt and not set(again.persons.tolist()) & set(people.persons.tolist())
    assert again.data_fingerprint == people.data_fingerprint
    content = (trained / "models" / "people.npz").read_bytes()
    assert b"sandbox0" not in content


def test_an_unchanged_database_gives_the_numbers_of_before(db, trained, changed):
    assert changed.load()[0].since == SinceTraining(len(changed.load()[1]), len(changed.load()[2]))
    changed.run("UPDATE user SET fetched_at = fetched_at + 1")
    before = (trained / "evaluation.json").read_bytes()
    evaluate.evaluate_run(changed.paths)
    assert (trained / "evaluation.json").read_bytes() == before


def test_newcomers_are_asked_if_so_wished_alone(changed, of_then):
    held_out, trained_on = of_then
    changed.add(900_001, trained_on[0]), changed.add(900_002, held_out[0], "true")  # which nobody has learnt from
    run, asked, fitted = changed.load()
    assert (asked, fitted) == (held_out, trained_on)
    assert run.since == SinceTraining(len(held_out), len(trained_on), newcomers=2)
    run, asked, fitted = changed.load(newcomers=True)
    assert (asked, fitted) == ([*held_out, 900_001, 900_002], trained_on)
    assert run.since.newcomers_asked == 2


def test_who_comes_back_is_no_newcomer_unless_held_out_before(db, trained, tmp_path):
    changed = Changed(db, tmp_path / "changed.db", shutil.copytree(trained, tmp_path / "output"))
    changed.add(900_001, 1), changed.add(900_002, 2)  # whom the model knew with which this one began
    people = load_people(changed.paths.people_file)
    hashes = salted(load_data(changed.paths.database_file, SETTINGS).persons.hashes, people.salt)
    back = np.sort(hashes[~people.where(hashes)[0]])
    replace(people, away=back, away_held_out=np.array([False, True])).save(changed.paths.people_file)
    assert len({900_001, 900_002} & set(changed.load(newcomers=True)[1])) == 1


def test_the_list_of_somebody_trained_on_is_not_asked_for_under_another_name(changed, of_then):
    held_out, trained_on = of_then
    changed.add(900_001, trained_on[0])
    changed.add(900_002, trained_on[2], f"anime_id <> {first_watched(trained_on[2])}")  # who is still there
    changed.run(f"UPDATE user SET anilist_id = NULL, name_key = 'csv:1' WHERE anilist_id = {trained_on[1]}")
    run, asked, fitted = changed.load(newcomers=True)
    assert asked == [*held_out, 900_001] and fitted == [trained_on[0], *trained_on[2:]]
    assert (run.since.newcomers, run.since.newcomers_asked, run.since.of_trained_on.gone) == (3, 1, 1)


def test_a_row_that_now_belongs_to_another_person_is_no_excuse(changed, of_then):
    """SQLite gives the number of the last row, once it is deleted, to the next one."""
    held_out, trained_on = of_then
    changed.run("DELETE FROM user WHERE left_out IS NOT NULL")
    connection = sqlite3.connect(changed.path)
    rows = dict(connection.execute("SELECT anilist_id, user_id FROM user ORDER BY user_id"))
    connection.close()
    last = max(rows, key=rows.get)
    place = held_out if last in held_out else trained_on
    changed.run(f"DELETE FROM user WHERE anilist_id = {last}")
    changed.add(900_001, next(each for each in trained_on if each != last))
    assert max(changed.load(newcomers=True)[0].data.validation.user_ids) == rows[last]
    run, asked, fitted = changed.load()
    assert asked == [each for each in held_out if each != last]
    assert fitted == [each for each in trained_on if each != last]
    gone = run.since.of_held_out if place is held_out else run.since.of_trained_on
    assert gone.gone == 1 and run.since.lists.gone == 1


def test_another_name_makes_nobody_somebody_else(changed, of_then):
    """With other names, other people would be held out of a new training."""
    changed.run("UPDATE user SET name = 'n' || user_id, name_key = 'n' || user_id")
    run, asked, fitted = changed.load(newcomers=True)
    assert (asked, fitted) == of_then
    assert run.since == SinceTraining(len(asked), len(fitted))
    fresh = load_data(changed.paths.database_file, SETTINGS)
    assert set(ids_of(changed.path, fresh.validation)) & set(fitted), "a new split would ask who was trained on"


def test_changed_lists_are_counted_and_asked_for_as_they_are_now(changed, of_then):
    held_out, trained_on = of_then
    for each in (held_out[0], *trained_on[:2]):
        changed.run(f"DELETE FROM list_entry WHERE user_id = {row_of(each)} AND anime_id = {first_watched(each)}")
    run, asked, fitted = changed.load()
    assert (asked, fitted) == of_then
    assert (run.since.of_held_out.changed, run.since.of_trained_on.changed) == (1, 2)


def test_more_anime_and_fewer_shift_no_index(db, trained, changed, of_then):
    before = load_run(trained / "models", db)
    first, second = before.data.vocabulary.anime_ids[:2].tolist()
    new = second + 1_000_000
    somebody = of_then[0][0]
    changed.run(
        f"INSERT INTO anime (anime_id, is_adult, fetch_id) VALUES ({first - 1}, 0, 1), ({new}, 0, 1)",
        f"""UPDATE list_entry SET anime_id = {new}
            WHERE user_id = {row_of(somebody)} AND anime_id = {first_watched(somebody)}""",
        f"DELETE FROM anime WHERE anime_id = {second}",
    )
    run, asked, fitted = changed.load()
    assert (asked, fitted) == of_then
    assert (run.since.anime_new, run.since.anime_gone) == (2, 1)
    assert (run.since.of_held_out.changed, run.since.of_trained_on.changed) == (1, 0)
    assert np.array_equal(run.data.vocabulary.anime_ids, before.data.vocabulary.anime_ids)
    assert np.array_equal(run.data.training.items, before.data.training.items)
    assert len(run.franchise) == len(before.franchise) and run.franchise[0] == 0
    same = np.delete(run.franchise, [2]) == np.delete(before.franchise, [2])
    assert same.mean() > 0.9


def test_what_is_said_of_it(changed, of_then, capsys, monkeypatch):
    held_out, trained_on = of_then
    changed.add(900_001, trained_on[0])
    changed.run(
        f"DELETE FROM user WHERE anilist_id IN ({held_out[0]}, {trained_on[0]})",
        "INSERT INTO anime (anime_id, is_adult, fetch_id) VALUES (1, 0, 1)",
    )
    monkeypatch.setattr(PathSettings, "evaluation_file", changed.path.with_suffix(".json"))
    assert evaluate.main(["--db", str(changed.path), "--output-dir", str(changed.paths.output), "--newcomers"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert (
        f"Asked: the {len(held_out) - 1} people who were held out of the training, which had {len(trained_on)} others,"
        " and 1 of the 1 who came later. The database has changed since: 1 list more than then, 2 gone;"
        " 1 anime more in the catalogue, which the model does not know."
        f" Of the {len(held_out)} who were held out: gone or left out now 1, with another list 0."
        f" The baselines are fitted to the {len(trained_on) - 1} of {len(trained_on)} who were trained on"
    ) in text
    found = json.loads(changed.path.with_suffix(".json").read_bytes())
    assert found["asked"]["held_out"] == {
        "then": len(held_out), "now": len(held_out) - 1, "changed": 0, "gone": 1,
    }  # fmt: skip
    assert found["asked"]["came_later"] == {"now": 1, "asked": 1}
    assert found["users_val"] == len(held_out) and found["users_train"] == len(trained_on) - 1


def test_who_came_later_is_counted_where_they_are_not_asked(changed, of_then):
    changed.add(900_001, of_then[1][0])
    held_out, trained_on = map(len, of_then)
    assert who_is_asked(changed.load()[0].since) == [
        f"Asked: the {held_out} people who were held out of the training, which had {trained_on} others,"
        " and none of the 1 who came later.",
        f"The database has changed since: 1 list more than then. Of the {held_out} who were held out: gone or left out"
        f" now 0, with another list 0. The baselines are fitted to the {trained_on} of {trained_on} who were trained on"
        " and still are there.",
    ]


def test_where_nobody_is_left_it_says_so(changed, of_then, capsys):
    held_out, trained_on = of_then

    def error():
        assert evaluate.main(["--db", str(changed.path), "--output-dir", str(changed.paths.output)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        return line

    changed.add(900_001, held_out[0])
    changed.run(f"DELETE FROM user WHERE anilist_id IN ({', '.join(map(str, held_out))})")
    assert "nobody any more who was held out" in error() and error().endswith("those 1 who came later: --newcomers")
    changed.run(f"UPDATE user SET anilist_id = {held_out[0]} WHERE anilist_id = 900001")
    assert ids_of(changed.path, load_run(changed.paths.models, changed.path).data.validation) == held_out[:1]
    changed.run(
        f"UPDATE user SET anilist_id = anilist_id + 500000 WHERE anilist_id IN ({', '.join(map(str, trained_on))})"
    )
    assert "nobody any more whom this model was trained on" in error()


@pytest.mark.parametrize("damage", ["cut", "zeros", "text", "pickle", "compressed", "other kinds"])
def test_a_damaged_file_is_one_line(trained, changed, tmp_path, damage, capsys):
    models = copy_of(trained, tmp_path)
    path = models / "people.npz"
    content = (trained / "models" / "people.npz").read_bytes()
    people = load_people(trained / "models" / "people.npz")
    arrays = {"persons": people.persons, "lists": people.lists, "held_out": people.held_out}
    arrays |= {"salt": np.frombuffer(people.salt, np.uint8), "data_fingerprint": np.array(people.data_fingerprint)}
    if damage == "pickle":
        np.savez(path, **{**arrays, "lists": np.array([object()] * len(people.lists))})
    elif damage == "compressed":
        np.savez_compressed(path, **arrays)
    elif damage == "other kinds":
        np.savez(path, **{**arrays, "lists": people.lists[1:]})
    else:
        kinds = {"cut": content[: len(content) // 2], "zeros": bytes(len(content)), "text": b"nobody\n"}
        path.write_bytes(kinds[damage])
    changed.run("DELETE FROM user WHERE user_id = (SELECT max(user_id) FROM user WHERE left_out IS NULL)")
    assert evaluate.main(["--db", str(changed.path), "--output-dir", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "people.npz is damaged" in line and "train_model.py" in line


def test_people_of_another_run_are_not_taken_for_those_of_this_one(trained, changed, tmp_path):
    """Else somebody might be asked who was trained on."""
    models = copy_of(trained, tmp_path)
    shutil.copy(trained / "models" / "item_mappings.pkl", models)
    people = load_people(trained / "models" / "people.npz")
    changed.run("DELETE FROM user WHERE user_id = (SELECT max(user_id) FROM user WHERE left_out IS NULL)")
    for fingerprint in ("", "another", people.data_fingerprint):
        if fingerprint:
            replace(people, data_fingerprint=fingerprint).save(models / "people.npz")
        if fingerprint == people.data_fingerprint:
            assert load_run(models, changed.path).since.held_out == people.held_out.sum()
        else:
            with pytest.raises(UserError, match="who was left out of its training is no longer known"):
                load_run(models, changed.path)


def test_a_million_people_are_looked_up_at_once():
    random = np.random.default_rng(0)
    persons = np.sort(random.integers(0, 2**63, 1_000_000).astype(np.uint64))
    people = People(persons, persons + np.uint64(1), np.zeros(len(persons), bool), b"salt")
    now = People(persons[10:], persons[10:] + np.uint64(1 + 5), np.zeros(len(persons) - 10, bool), b"salt")
    assert people.changes(now) == (0, len(persons) - 10, 10)
    assert now.changes(people) == (10, len(persons) - 10, 0)


def test_all_is_of_one_moment(changed, of_then, monkeypatch):
    """Lists lose their scores between the time that lists are read and the time that scores are."""
    real = trained_run.with_scores

    def with_scores(*args):
        changed.run("UPDATE list_entry SET score = NULL")
        return real(*args)

    before, _, _ = changed.load()
    monkeypatch.setattr(trained_run, "with_scores", with_scores)
    run, _, _ = changed.load()
    assert run.data.scores.values.tolist() == before.data.scores.values.tolist()
    assert len(run.data.scores.values) > 0
    assert not len(changed.load()[0].data.scores.values), "now they are gone"


def test_a_list_is_the_same_whatever_the_order_of_what_has_none():
    vocabulary = Vocabulary.of([10, 20, 30, 40])

    def hashes(items, blocks):
        lists = Sequences(np.array(items), np.array(blocks), np.array([0, len(items)]), np.array([7]))
        return hashes_of_lists(lists, vocabulary, b"salt").tolist()

    one = hashes([1, 2, 3], [0, 1, 1])
    assert hashes([1, 3, 2], [0, 1, 1]) == one
    assert hashes([2, 1, 3], [0, 1, 1]) != one != hashes([1, 2, 3], [0, 1, 2]) and hashes([1, 2], [0, 1]) != one
