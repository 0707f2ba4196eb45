"""An interrupted run that goes on ends as one that was never interrupted, or says in one line why it cannot."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3

import pytest
import torch
from fault_injection import DAMAGES
from small_runs import stop_in_epoch, training_flags, unlike

import train_model
from anime_bert4rec.model import training_data
from anime_bert4rec.model.hidden_positions import GIVEN_IN_VALIDATION
from anime_bert4rec.model.run_folder import LATEST_CHECKPOINT, PREVIOUS_CHECKPOINT
from anime_bert4rec.model.training_data import load_data
from anime_bert4rec.support.errors import ModelFileError
from anime_bert4rec.training.checkpoints import CannotResume, load_checkpoint, newest_good
from config import TrainingSettings

pytestmark = pytest.mark.usefixtures("two_threads", "fitted_once", "without_plots")

EPOCHS = 12


def train(db, output, *flags):
    return train_model.main(training_flags(db, output, "--epochs", EPOCHS, *flags))


@pytest.fixture(scope="module")
def undisturbed(db, tmp_path_factory):
    output = tmp_path_factory.mktemp("undisturbed")
    assert train(db, output) == 0
    return output


@pytest.fixture
def copied(undisturbed, tmp_path):
    return shutil.copytree(undisturbed, tmp_path / "output")


def test_the_rest_is_equal_to_the_last_digit(db, undisturbed, tmp_path, monkeypatch, capsys):
    # Each run's own epochs: the 3rd of 12, then the 6th of the 10 left.
    for number, flags in ((3, []), (6, ["--resume"])):
        with monkeypatch.context() as patch:
            stop_in_epoch(patch, number)
            assert train(db, tmp_path, *flags) == 130
        assert "the same command with --resume" in capsys.readouterr().err
    assert load_checkpoint(tmp_path / "checkpoints" / LATEST_CHECKPOINT)["epoch"] == 7
    assert train(db, tmp_path, "--resume") == 0
    assert "Going on after epoch 7" in capsys.readouterr().err
    assert unlike(tmp_path, undisturbed) == []
    ours, theirs = (load_checkpoint(each / "checkpoints/checkpoint_epoch_10.pth") for each in (tmp_path, undisturbed))
    assert torch.equal(ours["resume"]["weights"]["item_bias"], theirs["resume"]["weights"]["item_bias"])


def test_the_same_where_the_network_learns_to_answer_alone_too(db, tmp_path, monkeypatch):
    monkeypatch.setattr(training_data, "LISTS_TO_ANSWER_ALONE", 0)
    counted = []
    real = train_model.in_halves

    def in_halves(*args):
        learnt = list(real(*args))
        counted.append(any(learnt))
        return learnt

    monkeypatch.setattr(train_model, "in_halves", in_halves)
    assert train(db, tmp_path / "whole") == 0
    assert sum(counted) == EPOCHS, "of three batches an epoch, one is answered by network and memory together"
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, 5)
        assert train(db, tmp_path / "parts") == 130
    assert train(db, tmp_path / "parts", "--resume") == 0
    assert unlike(tmp_path / "parts", tmp_path / "whole") == []


def test_a_run_that_is_done_stays_as_it_is(db, undisturbed, copied, capsys):
    assert train(db, copied, "--resume") == 0
    assert "not the same run any more" not in capsys.readouterr().err
    assert unlike(copied, undisturbed) == []
    assert not (copied / "old").exists()


def test_outputs_ahead_of_the_checkpoint_are_taken_back_and_made_again(db, undisturbed, copied, capsys):
    # As after a kill: the best model and the metrics are of later epochs than the newest checkpoint, or lost.
    (copied / "checkpoints" / LATEST_CHECKPOINT).unlink()
    (copied / "models/best_model.pth").unlink()
    (copied / "models/.best_model.pth.0123abcd.part").write_bytes(b"half")
    assert train(db, copied, "--resume") == 0
    assert "Going on after epoch 10" in capsys.readouterr().err
    assert unlike(copied, undisturbed) == []
    assert not list(copied.rglob("*.part"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_one_falls_back_to_the_one_before(copied, damage, caplog):
    folder = copied / "checkpoints"
    damage(folder / LATEST_CHECKPOINT)
    path, checkpoint = newest_good(folder)
    assert (path.name, checkpoint["epoch"]) == (PREVIOUS_CHECKPOINT, 10)
    assert f"{folder / LATEST_CHECKPOINT} is damaged" in caplog.text and "falling back" in caplog.text
    assert not (folder / LATEST_CHECKPOINT).exists() and (folder / "checkpoint_latest.damaged").exists()
    shutil.copy(folder / "checkpoint_latest.damaged", folder / LATEST_CHECKPOINT)
    assert newest_good(folder)[0].name == PREVIOUS_CHECKPOINT
    assert (folder / "checkpoint_latest.damaged").exists() and (folder / "checkpoint_latest_2.damaged").exists()
    for path in (folder / PREVIOUS_CHECKPOINT, folder / "checkpoint_epoch_10.pth"):
        damage(path)
    with pytest.raises(CannotResume, match="no good checkpoint"):
        newest_good(folder)


def test_the_newest_is_the_one_with_most_epochs_whatever_the_clock_says(copied):
    folder = copied / "checkpoints"
    os.utime(folder / LATEST_CHECKPOINT, (1, 1))
    assert newest_good(folder)[1]["epoch"] == EPOCHS
    (folder / LATEST_CHECKPOINT).rename(folder / "checkpoint_epoch_12.pth")
    shutil.copy(folder / "checkpoint_epoch_10.pth", folder / LATEST_CHECKPOINT)
    assert newest_good(folder)[1]["epoch"] == EPOCHS


def test_a_model_is_no_checkpoint(copied):
    with pytest.raises(ModelFileError, match="no checkpoint to resume from"):
        load_checkpoint(copied / "models/best_model.pth")


def test_a_folder_is_not_the_newest_checkpoint(db, copied, capsys):
    assert train(db, copied, "--resume", ".") == 1
    assert "error: . is damaged or no checkpoint to resume from (it is not a file)\n" in capsys.readouterr().err


@pytest.fixture
def refused(copied, monkeypatch, capsys):
    """What the one line of `--resume` says; nothing was fitted before it, and everything is as it was."""

    def refused(db, *flags):
        with monkeypatch.context() as patch:
            for name in ("build_model", "baseline_accuracies"):
                patch.setattr(train_model, name, lambda *_: pytest.fail("this takes long"))
            before = contents(copied)
            assert train(db, copied, "--resume", *flags) == 1
        (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert contents(copied) == before
        return re.search("is of another run: (.*). Make them the same, or start anew without --resume", error)[1]

    return refused


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file() and path.suffix != ".log"}


@pytest.fixture
def changed(db, tmp_path):
    """A copy of the database in which something is changed."""

    def changed(*statements):
        connection = sqlite3.connect(shutil.copy(db, tmp_path / "changed.db"))
        connection.execute("PRAGMA foreign_keys = ON")
        for statement in statements:
            assert connection.execute(statement).rowcount
        connection.commit()
        connection.close()
        return tmp_path / "changed.db"

    return changed


def test_other_settings_are_refused_by_their_flags(db, refused):
    said = refused(db, "--hidden-size", "32", "--no-memory", "--dropout", "0.25")
    assert said == "--hidden-size was 16, is 32 now; --dropout was 0.1, is 0.25 now; --memory was on, is off now"
    assert refused(db, "--seed", "1") == "--seed was 42, is 1 now", "so other people are held out, but that is not why"


A_PERSON = "(SELECT user_id FROM user WHERE left_out IS NULL ORDER BY user_id LIMIT 1 OFFSET {})"
LATER = "UPDATE list_entry SET completed = 20000101 + anime_id % 28 WHERE user_id = " + A_PERSON
NEW_ANIME = "INSERT INTO anime (anime_id, is_adult, fetch_id) VALUES (1, 0, 1), (2, 0, 1)"
NO_FIRST_ANIME = "DELETE FROM anime WHERE anime_id = (SELECT min(anime_id) FROM anime)"
NEW_PEOPLE = (
    "INSERT INTO user (anilist_id, name, name_key, fetched_at) VALUES (7001, 'a', 'a', 0), (7002, 'b', 'b', 0)",
    """INSERT INTO list_entry (user_id, anime_id, entry_id, status, progress, repeats)
       SELECT user_id, anime_id, anime_id, 'COMPLETED', 0, 0 FROM anime, user WHERE anilist_id IN (7001, 7002)""",
)
RENAMED = (
    "the lists are the same, but in another order, or not the same ones are held out: somebody has another name,"
    " or was taken out and came back, or this version of the program finds others to be there twice"
)
OTHER_CATALOGUE = (
    "UPDATE anime SET popularity = popularity + 1000 * (anime_id % 7)",
    "UPDATE OR IGNORE anime_genre SET genre = 'Other' WHERE anime_id % 2",
)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([LATER.format(0)], "1 list changed"),
        ([LATER.format(0), LATER.format(9), *NEW_PEOPLE], "2 lists more than then, 2 changed"),
        ([f"DELETE FROM user WHERE user_id = {A_PERSON.format(3)}", *NEW_PEOPLE], "2 lists more than then, 1 gone"),
        ([NEW_ANIME], "2 anime more in the catalogue"),
        ([NO_FIRST_ANIME, NEW_ANIME], "2 anime more in the catalogue, 1 anime gone from the catalogue"),
        ([NO_FIRST_ANIME, LATER.format(0)], "1 anime gone from the catalogue; 1 list changed"),
        (["UPDATE user SET name_key = 'n' || user_id"], RENAMED),
    ],
)
def test_other_data_is_refused_with_what_has_changed(refused, changed, changes, said):
    assert refused(changed(*changes)) == said


@pytest.mark.parametrize("chosen", ["newest", "in its folder", "in another folder"])
def test_a_catalogue_that_was_fetched_again_changes_nothing(db, undisturbed, tmp_path, changed, monkeypatch, chosen):
    """All that a run takes from the catalogue is in its model file."""
    output = tmp_path / "output"
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, 11)
        assert train(db, output) == 130
    from_where = [] if chosen == "newest" else [output / "checkpoints/checkpoint_epoch_10.pth"]
    ends = tmp_path / "other" if chosen == "in another folder" else output
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, 2)
        assert train(changed(*OTHER_CATALOGUE), ends, "--resume", *from_where) == 130
    assert train(db, ends, "--resume") == 0
    assert unlike(ends, undisturbed) == []


def test_another_catalogue_is_refused_where_the_memory_would_have_to_be_fitted_again(copied, refused, changed):
    (copied / "models/best_model.pth").unlink()
    said = refused(changed(*OTHER_CATALOGUE))
    assert said == (
        "what the catalogue says of the anime has changed (genres, relations, popularity, …), and best_model.pth, which"
        " has what was known of it, is gone or of another run"
    )


def test_a_memory_of_another_catalogue_is_not_taken_for_that_of_the_run(db, copied, changed, refused, tmp_path):
    """The same settings and lists, but a checkpoint of before the catalogue was fetched again, put back by hand."""
    other = changed(*OTHER_CATALOGUE)
    assert train(other, copied, "--epochs", 1) == 0
    for path in next((copied / "old").iterdir()).glob("checkpoints/*"):
        shutil.copy(path, copied / "checkpoints" / path.name)
    assert "best_model.pth, which has what was known of it, is gone or of another run" in refused(other)
    before = torch.load(next((copied / "old").iterdir()) / "models/best_model.pth", weights_only=True)
    assert train(db, copied, "--resume") == 0
    after = torch.load(copied / "models/best_model.pth", weights_only=True)
    name = "memory.popularity_prior"
    assert torch.equal(after["model_state_dict"][name], before["model_state_dict"][name]), "made again, as it was"


@pytest.mark.parametrize("setting", ["epochs", "lr"])
def test_a_checkpoint_that_lacks_a_setting_is_gone_on_from_all_the_same(db, copied, setting, capsys):
    for path in (copied / "checkpoints").iterdir():
        checkpoint = torch.load(path, weights_only=True)
        del checkpoint["resume"]["identity"][setting]
        torch.save(checkpoint, path)
    assert train(db, copied, "--resume") == 0
    assert "not the same run any more" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([LATER.format(0)], "the lists in the database have changed since"),
        ([NEW_ANIME], "the catalogue had 300 anime, and has 302 now, not all of them the same"),
    ],
)
def test_a_run_that_did_not_keep_its_people_is_refused_without_counts(copied, refused, changed, changes, said):
    (copied / "models/people.npz").unlink()
    (copied / "models/item_mappings.pkl").unlink()
    assert refused(changed(*changes)) == said


def test_the_form_of_the_network_is_known_before_the_memory(db, copied):
    settings = TrainingSettings(val_ratio=0.3, hidden_size=16, num_heads=2, max_seq_len=30)
    data = load_data(db, settings)
    model = train_model.build_model(data, settings)
    kept = load_checkpoint(copied / "checkpoints" / LATEST_CHECKPOINT)["resume"]
    version = [(name, list(weight.shape)) for name, weight in model.named_parameters()], GIVEN_IN_VALIDATION
    assert kept["identity"]["network"] == hashlib.sha256(repr(version).encode()).hexdigest()[:16]


def test_nothing_to_go_on_from_is_one_line(db, tmp_path, capsys):
    assert train(db, tmp_path, "--resume") == 1
    assert capsys.readouterr().err.endswith("yet; start without --resume\n")
    assert train(db, tmp_path, "--resume", tmp_path / "none.pth") == 1
    assert capsys.readouterr().err.endswith("none.pth does not exist\n")


def test_more_epochs_go_on_with_another_schedule_and_it_is_said(db, copied, capsys):
    assert train(db, copied, "--resume", "--epochs", EPOCHS + 1) == 0
    assert "not the same run any more" in capsys.readouterr().err
    rates = load_checkpoint(copied / "checkpoints" / LATEST_CHECKPOINT)["resume"]["history"]["learning_rates"]
    # 3 steps an epoch, 39 in all, of which 2 warm up: the rate of the first step of the last epoch.
    assert rates[-1] == pytest.approx(0.01 * (39 - 36) / (39 - 2))


def test_another_learning_rate_is_taken_from_where_the_run_goes_on(db, copied, undisturbed):
    """Twice the rate: epoch by epoch twice what it was, since the schedule is the same."""
    assert train(db, copied, "--lr", 0.02, "--resume", copied / "checkpoints" / "checkpoint_epoch_10.pth") == 0
    rates, before = (
        json.loads((output / "plots/training_metrics.json").read_text())["learning_rates"]
        for output in (copied, undisturbed)
    )
    assert rates[:10] == before[:10]
    assert rates[10:] == pytest.approx([2 * rate for rate in before[10:]])


def test_going_back_to_a_chosen_checkpoint_loses_nothing(db, copied, undisturbed, capsys):
    chosen = copied / "checkpoints/checkpoint_epoch_10.pth"
    assert train(db, copied, "--resume", chosen) == 0
    assert unlike(copied, undisturbed) == []
    (old,) = (copied / "old").iterdir()
    assert unlike(old, undisturbed) == []


def test_going_back_and_stopped_in_its_first_epoch_it_goes_on_all_the_same(db, copied, undisturbed, monkeypatch):
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, 1)
        assert train(db, copied, "--resume", copied / "checkpoints/checkpoint_epoch_10.pth") == 130
    assert train(db, copied, "--resume") == 0
    assert unlike(copied, undisturbed) == []


def test_a_new_run_moves_what_is_there_aside(db, copied, undisturbed, capsys):
    assert train(db, copied, "--seed", "1", "--epochs", "1") == 0
    (old,) = (copied / "old").iterdir()
    assert unlike(old, undisturbed) == []
    assert str(old) in capsys.readouterr().err
    assert not list((copied / "checkpoints").glob("checkpoint_epoch_*"))


def test_a_checkpoint_of_another_version_of_the_network_is_refused(db, copied, capsys):
    for path in (copied / "checkpoints").iterdir():
        checkpoint = torch.load(path, weights_only=True)
        checkpoint["resume"]["identity"]["network"] = "0123456789abcdef"
        torch.save(checkpoint, path)
    assert train(db, copied, "--resume") == 1
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "is of another run: the network is that of another version of this program. Make" in error
