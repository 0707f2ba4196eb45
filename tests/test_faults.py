"""Faults done to real processes: one line says what, and nothing is lost. docs/RELIABILITY.md is the table of them."""

from __future__ import annotations

import itertools
import random
import sqlite3
import subprocess
import sys
import time

import pytest
import script_process
import torch
from fault_injection import needs_mounts, run_limited, run_on_disk
from small_runs import training_flags, unlike

import evaluate
import load_users
import recommend
import train_model
from anime_bert4rec.lists.database import Database
from anime_bert4rec.model.run_folder import LATEST_CHECKPOINT
from anime_bert4rec.model.training_data import load_data
from anime_bert4rec.training.checkpoints import load_checkpoint
from anime_bert4rec.training.epoch_metrics import Result
from config import TrainingSettings

pytestmark = pytest.mark.usefixtures("fitted_once", "without_plots")

KILLS = 2
EPOCHS = 16


@pytest.fixture(scope="module")
def undisturbed(db, tmp_path_factory):
    output = tmp_path_factory.mktemp("undisturbed")
    assert train_model.main(training_flags(db, output, "--epochs", EPOCHS)) == 0
    return output


def one_error(err):
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in err
    return line


def test_killed_at_random_moments_it_ends_as_if_nothing_had_happened(db, undisturbed, tmp_path):
    draw, kills, log = random.Random(5), 0, tmp_path / "training.log"
    while True:
        checkpoints = sorted((tmp_path / "checkpoints").glob("checkpoint_[le]*.pth"))
        resume = ["--resume"] if checkpoints else []
        process = script_process.start("train_model.py", *training_flags(db, tmp_path, "--epochs", EPOCHS, *resume))
        if kills == KILLS:
            break
        lines = log.read_text().count(" loss ") if log.exists() else 0
        script_process.wait_until(lambda lines=lines: log.exists() and log.read_text().count(" loss ") > lines, process)
        time.sleep(draw.uniform(0, 0.15))
        process.kill()
        script_process.finish(process)
        kills += 1
    code, _, err = script_process.finish(process)
    assert code == 0, err
    assert unlike(tmp_path, undisturbed) == []


def test_a_file_that_cannot_grow_ends_the_run_and_the_last_checkpoint_stays_good(db, tmp_path):
    assert train_model.main(training_flags(db, tmp_path, "--epochs", "2")) == 0
    # Below the size of a checkpoint, so that the first of the rest cannot be written.
    too_small = (tmp_path / "checkpoints" / LATEST_CHECKPOINT).stat().st_size - 5_000
    flags = training_flags(db, tmp_path, "--epochs", EPOCHS, "--resume")
    code, err = run_limited("train_model.py", *flags, RLIMIT_FSIZE=too_small)
    assert code == 1
    assert one_error(err).startswith("error: File too large: ")
    assert not list(tmp_path.rglob("*.part"))
    assert load_checkpoint(tmp_path / "checkpoints" / LATEST_CHECKPOINT)["epoch"] == 2


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names are text")
def test_file_names_that_are_no_text_work_as_any_other(db, tmp_path, capsys):
    folder = tmp_path / "caf\udce9"
    folder.mkdir()
    (folder / "s.db").write_bytes(db.read_bytes())
    assert train_model.main(training_flags(folder / "s.db", folder / "out", "--epochs", "1")) == 0
    found = ["--sandbox", "--output-dir", str(folder / "out")]
    assert evaluate.main(found) == 0  # with the database of the run
    assert recommend.main([*found, "--db", str(folder / "s.db"), "--user", "sandbox0001"]) == 0
    assert "Traceback" not in capsys.readouterr().err
    export = "<myanimelist><anime><series_animedb_id>1</series_animedb_id></anime></myanimelist>"
    (folder / "\udce9.xml").write_text(export)
    assert load_users.main(["--sandbox", "--db", str(folder / "s.db"), "--mal-xml", str(folder / "\udce9.xml")]) == 1
    assert "error: nobody was imported" in capsys.readouterr().err
    assert recommend.main([*found, "--db", str(folder / "s.db"), "--user", "\udcff\udcfe"]) != 0
    assert "\\xff\\xfe" in one_error(capsys.readouterr().err)


@needs_mounts
def test_a_full_disk_is_one_line(db, tmp_path):
    flags = training_flags(db, tmp_path, "--epochs", "5")
    code, err = run_on_disk(tmp_path, "size=1m", "train_model.py", *flags)
    assert code == 1
    assert one_error(err).startswith(f"error: No space left on device: {tmp_path}")


@needs_mounts
def test_a_full_temporary_folder_is_named(db, tmp_path, monkeypatch):
    """The folder in which SQLite sorts the lists of a file; the database is on another disk, which has room."""
    lists = tmp_path / "lists.csv"
    with Database.open(db, create=False) as database:
        known = database.anime_ids()[:30]
    rows = (f"{user}{' long name' * 12},{anime}" for user in range(20_000) for anime in known)
    lists.write_text("user,anime_id\n" + "\n".join(rows) + "\n")
    (folder := tmp_path / "temporary").mkdir()
    monkeypatch.setenv("SQLITE_TMPDIR", str(folder))
    before = db.read_bytes()
    flags = ("--db", db, "--csv", lists, "--columns", "user,anilist_id", "--keep-names")
    code, err = run_on_disk(folder, "size=1m", "load_users.py", *flags)
    assert code == 1
    assert one_error(err).startswith(f"error: the temporary folder {folder} has no room")
    assert db.read_bytes() == before


@needs_mounts
def test_a_read_only_output_is_one_line(db, tmp_path):
    code, err = run_on_disk(tmp_path, "ro", "train_model.py", *training_flags(db, tmp_path, "--epochs", "5"))
    assert code == 1
    assert one_error(err).startswith("error: Read-only file system: ")


def test_too_little_memory_names_the_flags_that_help(db, tmp_path):
    flags = training_flags(db, tmp_path, "--hidden-size", 2**17, "--num-heads", 1, "--no-memory")
    code, err = run_limited("train_model.py", *flags, RLIMIT_AS=8 * 2**30)
    assert code == 1
    assert one_error(err).endswith("--batch-size 32 --hidden-size 128 --max-seq-len 100")


def test_a_second_run_into_the_same_folder_is_refused_until_the_first_is_dead(db, tmp_path, capsys):
    flags = training_flags(db, tmp_path, "--epochs", 100_000, "--patience", 0, "--num-workers", 1)
    first = script_process.start("train_model.py", *flags)
    script_process.wait_until(lambda: (tmp_path / "checkpoints" / LATEST_CHECKPOINT).exists(), first)
    second = training_flags(db, tmp_path, "--epochs", "1")
    assert train_model.main(second) == 1
    assert "another training run is writing into" in one_error(capsys.readouterr().err)
    first.kill()
    first.wait()  # its workers may live on for some seconds
    assert train_model.main(second) == 0
    assert len(list((tmp_path / "old").iterdir())) == 1
    script_process.finish(first)


WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA foreign_keys = ON")
print("ready", flush=True)
while True:
    for shift in (1, -1):
        connection.execute("BEGIN IMMEDIATE")
        for table in ("list_entry", "user"):
            connection.execute("PRAGMA defer_foreign_keys = ON")
            connection.execute(f"UPDATE {table} SET user_id = -user_id")
        connection.execute("COMMIT")
"""


def test_a_database_that_is_written_meanwhile_is_read_as_of_one_moment(db, tmp_path):
    # All users change their numbers again and again: lists and names read at different moments would not fit.
    settings, path = TrainingSettings(), tmp_path / "written.db"
    path.write_bytes(db.read_bytes())
    users = {abs(user) for user in load_data(path, settings).training.user_ids.tolist()}
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
        signs = set()
        for _ in range(15):
            found = load_data(path, settings).training.user_ids.tolist()
            assert {abs(user) for user in found} == users
            signs.add(found[0] < 0)
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.communicate()
    assert signs == {True, False}  # it was written meanwhile
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("losses", [(NAN, 1.0), (1.0, NAN), (INF, 1.0), (1.0, 1e9)])
def test_a_loss_that_is_no_number_or_beyond_measure_names_epoch_and_learning_rate(losses):
    trained, validated = (Result(loss, {}) for loss in losses)
    with pytest.raises(train_model.TrainingFailed, match=r"in epoch 7 at learning rate 2\.0e-03; a lower --lr helps"):
        train_model.check_sane(trained, validated, 300, 7, 0.002)
    train_model.check_sane(Result(6.0, {}), Result(9.0, {}), 300, 7, 0.002)


def test_after_an_exploded_loss_the_weights_of_the_epoch_before_are_kept(db, tmp_path, capsys, monkeypatch):
    real, calls = train_model.train_one_epoch, []

    def explode(model, *rest):
        calls.append(model)
        result = real(model, *rest)
        if len(calls) == 3:
            with torch.no_grad():
                model.item_bias.fill_(NAN)
        return result

    monkeypatch.setattr(train_model, "train_one_epoch", explode)
    assert train_model.main(training_flags(db, tmp_path, "--epochs", "30")) == 1
    assert "in epoch 3 at learning rate" in one_error(capsys.readouterr().err)
    checkpoint = load_checkpoint(tmp_path / "checkpoints" / LATEST_CHECKPOINT)
    assert checkpoint["epoch"] == 2
    for weights in (checkpoint["model_state_dict"], checkpoint["resume"]["weights"]):
        assert all(weight.isfinite().all() for weight in weights.values())


def test_a_clock_that_is_set_back_while_training_makes_no_difference(db, undisturbed, tmp_path, monkeypatch):
    real, hours = time.time, itertools.count()
    monkeypatch.setattr(time, "time", lambda: real() - 3600 * next(hours))
    assert train_model.main(training_flags(db, tmp_path, "--epochs", EPOCHS)) == 0
    assert next(hours) > 10  # the clock was looked at
    assert unlike(tmp_path, undisturbed) == []
    assert min(load_checkpoint(tmp_path / "checkpoints" / LATEST_CHECKPOINT)["resume"]["history"]["epoch_seconds"]) > 0
