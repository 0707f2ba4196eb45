"""Real training runs on a small sandbox: what they write, that they repeat, and what happens when they are stopped."""

from __future__ import annotations

import contextlib
import json
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import small_runs
import torch
from small_lists import ITEMS, some_lists
from small_runs import draw_nothing, training_flags

import train_model
from anime_bert4rec.evaluation.masked_baselines import baseline_accuracies
from anime_bert4rec.evaluation.trained_run import load_run
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.model import training_data
from anime_bert4rec.model.model_files import load_item_mappings, load_model
from anime_bert4rec.model.training_data import Data, load_data
from anime_bert4rec.support.errors import UserError
from config import PROJECT_DIR, TrainingSettings

pytestmark = pytest.mark.usefixtures("two_threads", "fitted_once")


def train(db, output, *flags):
    return train_model.main(training_flags(db, output, *flags))


def metrics_of(output):
    return json.loads((output / "plots" / "training_metrics.json").read_text())


@pytest.fixture(scope="module")
def trained(db, tmp_path_factory):
    output = tmp_path_factory.mktemp("output")
    assert train(db, output, "--epochs", "11") == 0
    return output


def test_everything_promised_is_written(trained):
    assert sorted(str(p.relative_to(trained)) for p in trained.rglob("*") if p.is_file() and "logs" not in p.parts) == [
        ".lock",
        "checkpoints/checkpoint_epoch_10.pth",
        "checkpoints/checkpoint_latest.pth",
        "checkpoints/checkpoint_previous.pth",
        "models/best_model.pth",
        "models/final_model.pth",
        "models/item_mappings.pkl",
        "models/people.npz",
        "models/training_config.json",
        "plots/accuracy_curve.png",
        "plots/anime_map.json",
        "plots/anime_map.png",
        "plots/combined_metrics.png",
        "plots/data_overview.png",
        "plots/learning_curve.png",
        "plots/loss_curve.png",
        "plots/training_metrics.json",
        "report.html",
        "training.log",
    ]
    assert len(list((trained / "logs").iterdir())) == 1


def test_with_many_lists_in_order_the_network_answers_alone_too(monkeypatch):
    monkeypatch.setattr(training_data, "LISTS_TO_ANSWER_ALONE", 30)
    vocabulary, settings = Vocabulary(np.arange(1, ITEMS + 1)), TrainingSettings()
    for count, unordered, expected in ((30, False, True), (29, False, False), (30, True, False)):
        lists = some_lists(count, unordered=unordered)
        model = train_model.build_model(Data(vocabulary, lists, lists), settings)
        assert model.config.answers_alone == expected, (count, unordered)
    lists = some_lists(30)
    assert not train_model.build_model(
        Data(vocabulary, lists, lists), TrainingSettings(memory=False)
    ).config.answers_alone


def test_the_metrics_file(trained):
    metrics = metrics_of(trained)
    for name in ("train", "val"):
        assert len(metrics[f"{name}_losses"]) == 11
        assert {k: len(curve) for k, curve in metrics[f"{name}_accuracies"].items()} == dict.fromkeys(
            ("1", "5", "10", "20"), 11
        )
        at_1, at_20 = (np.array(metrics[f"{name}_accuracies"][k]) for k in ("1", "20"))
        assert (at_1 <= at_20).all() and at_20[-1] > at_1[-1]
    assert max(metrics["val_losses"]) < np.log(300) - 0.3  # much better than not knowing anything
    assert metrics["summary"]["best_val_loss"] == min(metrics["val_losses"])
    errors = metrics["val_accuracy_errors"]
    assert {k: len(curve) for k, curve in errors.items()} == dict.fromkeys(("1", "5", "10", "20"), 11)
    assert min(errors["10"]) > 0 and max(errors["10"]) < 0.2


def test_the_best_model_has_the_recorded_loss_and_accuracy(db, trained):
    metrics = metrics_of(trained)
    model, saved = load_model(trained / "models" / "best_model.pth")
    assert saved["val_loss"] == min(metrics["val_losses"])
    assert saved["epoch"] == metrics["summary"]["best_epoch"]

    settings = TrainingSettings(val_ratio=0.3, hidden_size=16, num_heads=2, max_seq_len=30, batch_size=16)
    data = load_data(db, settings)
    again = train_model.validate(model, train_model.batches(data.validation, data, settings, None))
    assert again.loss == pytest.approx(saved["val_loss"], rel=1e-6)
    assert again.accuracies[10] == metrics["val_accuracies"]["10"][saved["epoch"] - 1]


def test_the_final_model_is_the_last_epoch(trained):
    assert load_model(trained / "models" / "final_model.pth")[1]["epoch"] == 11


def test_the_item_mappings_are_the_catalogue(db, trained):
    with Database.open(db, create=False) as database:
        ids = database.anime_ids()
    mappings = pickle.loads((trained / "models" / "item_mappings.pkl").read_bytes())
    assert mappings["num_items"] == 300
    assert mappings["item_to_idx"] == {anime_id: index for index, anime_id in enumerate(ids, 1)}
    assert load_item_mappings(trained / "models" / "item_mappings.pkl").anime_ids.tolist() == ids


def test_the_log_has_a_line_an_epoch(trained):
    lines = (trained / "training.log").read_text().splitlines()
    assert sum(" loss " in line for line in lines) == 11


def test_no_validation_user_is_trained_on(db):
    data = load_data(db, TrainingSettings())
    training, validation = set(data.training.user_ids.tolist()), set(data.validation.user_ids.tolist())
    assert not training & validation
    assert len(validation) == round(0.1 * len(training | validation))


def test_popularity_is_worked_out_right(db):
    settings = TrainingSettings()
    data = load_data(db, settings)
    counts = np.bincount(data.training.items, minlength=301)
    validation = train_model.batches(data.validation, data, settings, None)
    hits = []
    for batch in (batch for batch in validation if not batch.given):
        for row, target in zip(batch.rows.tolist(), batch.targets.tolist(), strict=True):
            hidden = np.setdiff1d(np.arange(1, 301), batch.items[row].numpy())  # what is visible is not guessed
            hits.append(np.sum(counts[hidden] >= counts[target]) <= 10)
    by_hand = np.mean(hits)
    found = baseline_accuracies(data, train_model.batches(data.validation, data, settings, None))
    assert found["popularity"]["10"] == pytest.approx(by_hand)
    assert by_hand > 0


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than a small machine has cores
@pytest.mark.parametrize("flags", [[], ["--num-workers", "2"]])
def test_the_same_seed_gives_the_same_losses_to_the_last_digit(db, trained, tmp_path, monkeypatch, flags):
    draw_nothing(monkeypatch)
    monkeypatch.setattr(small_runs, "FITTED", {})  # its memory is its own
    assert train(db, tmp_path, "--epochs", "11", *flags) == 0
    assert metrics_of(tmp_path)["train_losses"] == metrics_of(trained)["train_losses"]
    assert metrics_of(tmp_path)["val_losses"] == metrics_of(trained)["val_losses"]


def test_another_seed_gives_other_losses(db, trained, tmp_path, monkeypatch):
    draw_nothing(monkeypatch)
    assert train(db, tmp_path, "--epochs", "1", "--seed", "1") == 0
    assert metrics_of(tmp_path)["val_losses"][0] != metrics_of(trained)["val_losses"][0]


def test_the_split_seed_alone_decides_who_is_held_out(db):
    def held_out(**seeds):
        data = load_data(db, TrainingSettings(**seeds))
        return data.validation.user_ids.tolist(), data.held_out_people()

    assert held_out(seed=1, split_seed=7) == held_out(seed=2, split_seed=7)
    assert held_out(seed=1, split_seed=7)[0] != held_out(seed=1, split_seed=8)[0]
    assert held_out(seed=1, split_seed=7)[1] != held_out(seed=1, split_seed=8)[1]
    assert held_out(seed=1) == held_out(seed=5, split_seed=1) != held_out(seed=2)


def test_with_a_split_seed_the_people_stay_and_the_losses_do_not(db, tmp_path, monkeypatch):
    draw_nothing(monkeypatch)
    for seed in (1, 2):
        assert train(db, tmp_path / f"{seed}", "--epochs", "1", "--seed", seed, "--split-seed", "7") == 0
    one, other = (metrics_of(tmp_path / seed) for seed in ("1", "2"))
    assert one["summary"]["validated_on"] == other["summary"]["validated_on"]
    assert one["val_losses"] != other["val_losses"]
    config = json.loads((tmp_path / "1/models/training_config.json").read_text())
    assert (config["seed"], config["split_seed"]) == (1, 7)
    run = load_run(tmp_path / "1/models", db)
    assert (run.seed, run.data.held_out_people()) == (1, one["summary"]["validated_on"])


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_keeps_the_epochs_done(db, tmp_path, kill):
    flags = training_flags(db, tmp_path, "--epochs", 100_000, "--patience", 0)
    with (
        subprocess.Popen(
            [sys.executable, "train_model.py", *flags],
            cwd=PROJECT_DIR,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as run,
        contextlib.ExitStack() as at_last,
    ):
        at_last.callback(run.kill)
        wait_for(lambda: (tmp_path / "plots" / "training_metrics.json").exists())
        time.sleep(0.5)
        run.send_signal(kill)
        out, err = run.communicate(timeout=60)
    assert run.returncode == 130, err.decode()
    assert b"Traceback" not in err and b"Best of" in out
    done = len(metrics_of(tmp_path)["val_losses"])
    model, saved = load_model(tmp_path / "models" / "final_model.pth")
    assert saved["epoch"] == done
    assert saved["val_loss"] == metrics_of(tmp_path)["val_losses"][-1]
    assert (tmp_path / "plots" / "combined_metrics.png").exists()
    assert not list(tmp_path.rglob("*.part"))

    settings = TrainingSettings(val_ratio=0.3, hidden_size=16, num_heads=2, max_seq_len=30, batch_size=16)
    data = load_data(db, settings)
    again = train_model.validate(model, train_model.batches(data.validation, data, settings, None))
    assert again.loss == pytest.approx(saved["val_loss"], rel=1e-6)  # the weights are those of a whole epoch


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_an_empty_database_names_the_three_commands(tmp_path, capsys):
    Database.open(tmp_path / "empty.db", create=True).close()
    for path in (tmp_path / "empty.db", tmp_path / "missing.db"):
        assert train(path, tmp_path / "output") == 1
        err = capsys.readouterr().err
        at = [err.index(name) for name in ("prepare_dataset.py", "load_users.py", "train_model.py")]
        assert at == sorted(at) and err.count("\n") == 1
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize("goes_wrong", [False, True])
def test_what_is_said_while_the_lists_are_read_is_logged(db, tmp_path, capsys, monkeypatch, goes_wrong):
    """Such as that the folder in which they would be kept is somebody's: before it is known whether there is a run."""
    draw_nothing(monkeypatch)
    shutil.copyfile(db, tmp_path / "copy.db")
    (tmp_path / "copy.sequences").mkdir()
    (tmp_path / "copy.sequences" / "mine.txt").touch()
    if goes_wrong:
        monkeypatch.setattr(training_data, "with_scores", fails)
    assert train(tmp_path / "copy.db", tmp_path / "output", "--epochs", "1") == goes_wrong
    warning = "copy.sequences was not made by this program: the lists are read into memory instead."
    assert capsys.readouterr().err.count(warning) == 1
    if not goes_wrong:
        log = (tmp_path / "output" / "training.log").read_text()
        assert log.index(warning) < log.index("==== Run of") and log.count(warning) == 1


def fails(*_):
    raise UserError("no scores can be read")


def test_a_wrong_setting_is_one_line(db, tmp_path, capsys):
    assert train(db, tmp_path, "--epochs", "0") == 2
    assert capsys.readouterr().err == "error: --epochs must be at least 1, not 0\n"


def test_half_precision_and_gpu_on_a_machine_without_one(db, tmp_path, capsys, monkeypatch):
    draw_nothing(monkeypatch)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert train(db, tmp_path, "--epochs", "1", "--gpu", "--fp16") == 0
    err = capsys.readouterr().err
    assert "training on the CPU" in err and "--fp16 needs a GPU" in err


def test_an_exploding_loss_ends_the_run_and_keeps_what_was_good(db, tmp_path, capsys):
    assert train(db, tmp_path, "--epochs", "30", "--lr", "100") == 1
    err = capsys.readouterr().err
    assert "error: the loss became" in err and "--lr" in err and "Traceback" not in err
    measured = (tmp_path / "plots" / "training_metrics.json").exists()
    done = metrics_of(tmp_path)["summary"]["epochs_done"] if measured else 0
    assert (tmp_path / "models" / "final_model.pth").exists() == (done > 0)


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_out_of_memory_names_the_flags_that_help(db, tmp_path, capsys, monkeypatch, error):
    def fail(self, batch):
        raise error

    monkeypatch.setattr(train_model.BERT4Rec, "forward", fail)
    assert train(db, tmp_path) == 1
    assert "--batch-size 32 --hidden-size 128 --max-seq-len 100" in capsys.readouterr().err


def test_output_that_cannot_be_written_is_one_line(db, tmp_path, capsys):
    (tmp_path / "output").write_text("a file where the folder should be")
    assert train(db, tmp_path / "output", "--epochs", "1") == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1


@pytest.mark.parametrize("name", ["models", "plots", "checkpoints"])
@pytest.mark.parametrize("put", [Path.touch, lambda path: path.symlink_to("nowhere")], ids=["a file", "a link"])
def test_where_no_folder_can_be_made_nothing_is_moved_or_fitted(db, tmp_path, capsys, monkeypatch, name, put):
    (tmp_path / "evaluation.json").write_text("of the run before")
    put(tmp_path / name)
    monkeypatch.setattr(train_model, "build_model", None)
    assert train(db, tmp_path, "--epochs", "1") == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"error: File exists: {tmp_path / name}"
    assert (tmp_path / "evaluation.json").read_text() == "of the run before"
