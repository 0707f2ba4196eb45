"""A training that begins with an earlier model: weights by anime, new ones by what they share, the same held out."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_runs import make_database, stop_in_epoch, training_flags, unlike

import train_model
from anime_bert4rec.lists.people import People, Persons, load_people, salted
from anime_bert4rec.lists.sequences import Sequences, Vocabulary
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.earlier_model import CannotBeginWith, EarlierModel
from anime_bert4rec.model.model_files import load_model_with_items
from anime_bert4rec.model.training_data import load_data
from anime_bert4rec.support.text import as_argument
from config import TrainingSettings

pytestmark = pytest.mark.usefixtures("fitted_once", "without_plots")

BEFORE = Vocabulary.of([10, 20, 40])
NOW = Vocabulary.of([10, 15, 20, 30, 50])
SETTINGS = TrainingSettings(val_ratio=0.3)


def a_model(num_items, seed, **more):
    torch.manual_seed(seed)
    model = BERT4Rec(ModelConfig(num_items, 4, num_heads=2, max_seq_len=8, **more))
    for weight in model.parameters():
        torch.nn.init.normal_(weight)
    return model


def people_of(hashes, held_out, salt=b"salt"):
    persons = salted(np.array(hashes, np.int64), salt)
    order = np.argsort(persons)
    return People(persons[order], persons[order], np.array(held_out)[order], salt)


def earlier_of(tmp_path, model, people=None):
    return EarlierModel(tmp_path, model, BEFORE, people or people_of([], np.zeros(0, bool)))


def one_list_each(users):
    ones, starts = np.ones(len(users), np.int32), np.arange(len(users) + 1)
    return Sequences(ones, np.zeros(len(users), np.int32), starts, users)


def groups(*lists):
    flat = np.concatenate(lists).astype(np.int32)
    return Sequences(flat, np.zeros(len(flat)), np.cumsum([0, *map(len, lists)]), np.arange(len(lists)))


def test_known_anime_keep_their_weights_and_new_ones_get_the_mean_of_what_they_share(tmp_path):
    before, now = a_model(3, 1), a_model(5, 2)
    old, fresh = before.item_embedding.weight.detach().clone(), now.item_embedding.weight.detach().clone()
    bias = now.item_bias.detach().clone()
    # 15 (item 2) shares a group with 10 and 20, another with 20, and one with 30, which is as new; 50 shares none.
    earlier_of(tmp_path, before).give_to(now, NOW, groups([1, 2, 3], [2, 3, 4], [2, 4]))
    got = now.item_embedding.weight
    assert torch.equal(got[[0, 1, 3, -1]], old[[0, 1, 2, -1]])  # padding, 10, 20, the mask
    torch.testing.assert_close(got[2], ((old[1] + old[2]) / 2 + old[2]) / 2)
    torch.testing.assert_close(got[4], old[2])  # 30, by the second group alone
    assert torch.equal(got[5], fresh[5])
    assert torch.equal(now.item_bias[[0, 2]], before.item_bias[:2]) and torch.equal(now.item_bias[1], bias[1])
    for name, weight in now.named_parameters():
        if not name.startswith("item_"):
            assert torch.equal(weight, dict(before.named_parameters())[name]), name


def test_who_was_held_out_stays_so_and_of_the_others_some_are_drawn(tmp_path):
    held_out = np.arange(20) % 4 == 0
    earlier = earlier_of(tmp_path, a_model(3, 1), people_of(range(20), held_out))
    keys = [f"name {k}" for k in range(40)]
    training, validation = earlier.split(keys, Persons(np.arange(40), np.arange(40)), 0.25, 3)
    assert sorted([*training, *validation]) == list(range(40))
    assert [k for k in validation if k < 20] == np.flatnonzero(held_out).tolist()
    assert sum(k >= 20 for k in validation) == 5
    again = earlier.split(keys[::-1], Persons(np.arange(40), np.arange(40)[::-1]), 0.25, 3)[1]
    assert sorted(39 - again) == sorted(validation), "whatever their order"
    one_more = earlier.split(keys[:21], Persons(np.arange(21), np.arange(21)), 0.25, 3)
    assert 20 in one_more[0], "a single new one is learnt from"
    two_more = earlier.split(keys[:22], Persons(np.arange(22), np.arange(22)), 0.25, 3)
    assert len({20, 21} & set(two_more[1].tolist())) == 1, "and of two, one is held out"


def test_who_was_away_for_a_training_is_known_when_they_come_back(tmp_path):
    held_out = np.arange(20) % 4 == 0
    first = people_of(range(20), held_out)
    away, keys = (3, 4, 8, 11), [f"name {k}" for k in range(24)]
    there = np.array([k for k in range(20) if k not in away])
    people = People.of(
        [(one_list_each(there[held_out[there] == is_held_out]), is_held_out) for is_held_out in (False, True)],
        Vocabulary.of([1, 2, 3]),
        Persons(np.arange(24), np.arange(24)),
        data_fingerprint="second",
        earlier=first,
    )
    assert len(people.persons) == 16 and people.away_held_out.sum() == 2 and len(people.away) == 4
    now = people.changes(people_of(there, held_out[there], people.salt))
    assert (now.new, now.gone) == (0, 0), "who is away is not gone"
    people.save(tmp_path / "people.npz")
    kept = load_people(tmp_path / "people.npz")
    assert kept.away.tolist() == people.away.tolist() and kept.away_held_out.tolist() == people.away_held_out.tolist()
    earlier = earlier_of(tmp_path, a_model(3, 1), kept)
    _, validation = earlier.split(keys, Persons(np.arange(24), np.arange(24)), 0.25, 3)
    assert [k for k in validation if k < 20] == np.flatnonzero(held_out).tolist()
    third = People.of([], Vocabulary.of([1, 2, 3]), Persons(np.arange(24), np.arange(24)), earlier=kept)
    assert len(third.away) == 20 and third.away_held_out.sum() == 5, "away once more, they are still known"


def test_who_is_trained_on_under_another_name_counts_as_learnt_from():
    """Of two who are, one was held out of an earlier training, and is there once."""
    held_out = np.array([False, True, True])
    people = replace(people_of(range(10), np.zeros(10, bool)), away=np.sort(salted(np.arange(20, 23), b"salt")))
    people = replace(people, away_held_out=held_out[np.argsort(salted(np.arange(20, 23), b"salt"))])
    known = people.and_learnt_from(np.array([22, 30]))
    found = dict(zip(known.away.tolist(), known.away_held_out.tolist(), strict=True))
    expected = salted(np.array([20, 21, 22, 30]), b"salt").tolist()
    assert [found[each] for each in expected] == [False, True, False, False] and len(known.away) == 4
    assert known.away.tolist() == sorted(known.away.tolist()) and known.persons.tolist() == people.persons.tolist()


@pytest.mark.parametrize(
    ("changes", "memory", "said"),
    [
        ({"hidden_size": 8}, False, "--hidden-size was 4, is 8 now"),
        ({"num_layers": 3, "max_seq_len": 9}, False, "--num-layers was 2, is 3 now; --max-seq-len was 8, is 9 now"),
        ({"num_heads": 1}, False, "--num-heads was 2, is 1 now"),
        ({}, True, "--no-memory was given then"),
        ({"ordered": False}, False, "its lists had an order"),
        ({"feed_forward_ratio": 2}, False, "more or fewer lists"),
        ({"num_items": 5, "dropout": 0.3}, False, None),
    ],
)
def test_another_form_is_refused_by_name(tmp_path, changes, memory, said):
    form = {"num_items": 3, "hidden_size": 4, "num_heads": 2, "max_seq_len": 8} | changes
    earlier = earlier_of(tmp_path, a_model(3, 1))
    if said is None:
        earlier.check_form(ModelConfig(**form), memory)
        return
    with pytest.raises(CannotBeginWith) as error:
        earlier.check_form(ModelConfig(**form), memory)
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.fixture(scope="module")
def before(db, tmp_path_factory):
    """The output folder of a run on the lists of 60 people."""
    output = tmp_path_factory.mktemp("before")
    assert train_model.main(training_flags(db, output, "--epochs", 3)) == 0
    return output


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """The same people and anime, and ten of either more."""
    return make_database(tmp_path_factory.mktemp("grown"), 70, 310)


def ids(path, sequences):
    connection = sqlite3.connect(path)
    of_user = dict(connection.execute("SELECT user_id, anilist_id FROM user"))
    connection.close()
    return {of_user[user_id] for user_id in sequences.user_ids.tolist()}


def test_more_lists_and_anime_are_learnt_from_without_starting_over(db, grown, before, tmp_path, capsys):
    then, now = load_data(db, SETTINGS), load_data(grown, SETTINGS, before)
    assert ids(db, then.validation) <= ids(grown, now.validation) and len(now.validation) > len(then.validation)
    assert ids(db, then.training) <= ids(grown, now.training) and len(now.training) > len(then.training)
    model = train_model.build_model(now, TrainingSettings(**SMALL_FORM))
    old, _, vocabulary = load_model_with_items(before / "models")
    place = now.vocabulary.encode(vocabulary.anime_ids)
    assert torch.equal(model.item_embedding.weight[place.astype(np.int64)], old.item_embedding.weight[1:-1])
    assert model.memory.config.num_items == 310, "fitted anew"

    output = tmp_path / "output"
    flags = training_flags(grown, output, "--epochs", 3, "--from-model", before)
    assert train_model.main(flags) == 0
    assert load_model_with_items(output / "models")[2].num_items == 310
    again = load_data(grown, SETTINGS, output)  # of which the same are held out
    assert ids(grown, again.validation) == ids(grown, now.validation)


SMALL_FORM = {"hidden_size": 16, "num_heads": 2, "max_seq_len": 30, "batch_size": 16, "val_ratio": 0.3}


def test_it_can_be_stopped_and_gone_on_with(grown, before, tmp_path, monkeypatch, capsys):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    flags = ["--epochs", 3, "--from-model", before]
    assert train_model.main(training_flags(grown, whole, *flags)) == 0
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, 2)
        assert train_model.main(training_flags(grown, stopped, *flags)) == 130
    assert train_model.main(training_flags(grown, stopped, *flags, "--resume")) == 0
    assert unlike(stopped, whole) == []


def test_who_was_away_stays_known_when_it_is_gone_on_with_without_the_flag(grown, before, tmp_path, monkeypatch):
    folder, output = shutil.copytree(before, tmp_path / "before"), tmp_path / "output"
    people = load_people(folder / "models" / "people.npz")
    somebody = np.array([7], np.uint64), np.array([False])
    replace(people, away=somebody[0], away_held_out=somebody[1]).save(folder / "models" / "people.npz")
    flags = ["--epochs", 2, "--from-model", folder]
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, 2)
        assert train_model.main(training_flags(grown, output, *flags)) == 130
    kept = load_people(output / "models" / "people.npz")
    assert len(kept.away) == 1
    # Without the flag others would be held out, so the lists are not split anew here.
    split = load_data(grown, SETTINGS, folder)
    monkeypatch.setattr(train_model, "load_data", lambda *_: replace(split, earlier=None))
    assert train_model.main(training_flags(grown, output, "--epochs", 2, "--resume")) == 0
    assert load_people(output / "models" / "people.npz").away.tolist() == kept.away.tolist()


def test_gone_on_with_without_the_flag_it_is_named(grown, before, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(before, tmp_path / "before")
    people = load_people(folder / "models" / "people.npz")
    replace(people, held_out=np.roll(people.held_out, 1)).save(folder / "models" / "people.npz")
    flags = ["--epochs", 2, "--from-model", folder]
    for first, then, said in ((flags, flags[:2], "was given then, is not now"), (flags[:2], flags, "is given now")):
        output = tmp_path / said
        with monkeypatch.context() as patch:
            stop_in_epoch(patch, 2)
            assert train_model.main(training_flags(grown, output, *first)) == 130
        capsys.readouterr()
        assert train_model.main(training_flags(grown, output, *then, "--quiet", "--resume")) == 1
        err = capsys.readouterr().err
        assert f"is of another run: --from-model {said}. Make them the same" in err


def test_into_the_folder_of_the_earlier_run_itself(grown, before, tmp_path, capsys):
    output = shutil.copytree(before, tmp_path / "output")
    assert train_model.main(training_flags(grown, output, "--epochs", 1, "--from-model", output)) == 0
    (old,) = (output / "old").iterdir()
    assert (old / "models" / "best_model.pth").read_bytes() == (before / "models" / "best_model.pth").read_bytes()


def test_into_the_folder_of_the_earlier_run_stopped_and_gone_on_with(grown, before, tmp_path, monkeypatch, capsys):
    whole, stopped = (shutil.copytree(before, tmp_path / name) for name in ("whole", "stopped"))
    assert train_model.main(training_flags(grown, whole, "--epochs", 3, "--from-model", whole)) == 0
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, 2)
        assert train_model.main(training_flags(grown, stopped, "--epochs", 3, "--from-model", stopped)) == 130
    assert train_model.main(training_flags(grown, stopped, "--epochs", 3, "--from-model", stopped, "--resume")) == 0
    assert unlike(stopped, whole) == []


def test_into_the_own_folder_with_lists_that_came_a_second_time_it_is_gone_on_with(
    grown, before, tmp_path, monkeypatch
):
    """Who is there twice is left out of the training, and is not among the people of the run before."""
    db, output = tmp_path / "doubled.db", shutil.copytree(before, tmp_path / "output")
    shutil.copy(grown, db)
    with contextlib.closing(sqlite3.connect(db)) as connection, connection:
        some = "(SELECT user_id FROM user WHERE left_out IS NULL ORDER BY user_id LIMIT 24)"
        connection.execute(
            "INSERT INTO user (user_id, name, name_key, fetched_at)"
            f" SELECT -user_id, 'again' || user_id, 'again' || user_id, fetched_at FROM user WHERE user_id IN {some}"
        )
        columns = "anime_id, entry_id, status, score, progress, repeats, started, completed, updated, created"
        connection.execute(
            f"INSERT INTO list_entry (user_id, {columns})"
            f" SELECT -user_id, {columns} FROM list_entry WHERE user_id IN {some}"
        )
    flags = training_flags(db, output, "--epochs", 2, "--from-model", output)
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, 2)
        assert train_model.main(flags) == 130
    assert train_model.main([*flags, "--resume"]) == 0


def test_stopped_in_its_first_epoch_it_says_where_the_earlier_model_is_now(
    grown, before, tmp_path, monkeypatch, capsys
):
    output = shutil.copytree(before, tmp_path / "output")
    flags = training_flags(grown, output, "--epochs", 1, "--quiet", "--from-model")
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, 1)
        assert train_model.main([*flags, str(output)]) == 130
    (old,) = (output / "old").iterdir()
    capsys.readouterr()
    assert train_model.main([*flags, str(output)]) == 1
    assert f"that of the run before is in {old} now: --from-model {as_argument(old)}\n" in capsys.readouterr().err
    assert train_model.main([*flags, str(old)]) == 0


@pytest.mark.parametrize(
    ("flags", "spoil", "said"),
    [
        (["--hidden-size", 32], None, "--hidden-size was 16, is 32 now"),
        (["--no-memory"], None, "--no-memory was given now"),
        ([], "best_model.pth", "before has no model yet: name the output folder of a run that has come to one"),
        ([], "people.npz", "doesn't say who was held out"),
        ([], "models", "is no output folder of a run: it has no models"),
    ],
)
def test_what_cannot_be_built_upon_is_refused_before_anything_is_written(
    grown, before, tmp_path, capsys, flags, spoil, said
):
    folder = shutil.copytree(before, tmp_path / "before")
    if spoil:
        (folder / "models" / spoil).unlink() if spoil != "models" else shutil.rmtree(folder / spoil)
    output = tmp_path / "output"
    code = train_model.main(training_flags(grown, output, "--quiet", "--from-model", folder, *flags))
    err = capsys.readouterr().err
    assert code == 1 and said in err and err.count("\n") == 1
    assert not (output / "models").exists()
