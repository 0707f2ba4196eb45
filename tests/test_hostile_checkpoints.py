"""Checkpoints that are well-formed but wrong: as damaged ones, and nothing is changed before all is checked."""

from __future__ import annotations

import copy
import hashlib
import shutil
import zipfile

import pytest
import torch
from small_runs import training_flags

import train_model
from anime_bert4rec.model.run_folder import LATEST_CHECKPOINT, TOP_K
from anime_bert4rec.support.errors import ModelFileError
from anime_bert4rec.training import checkpoints
from anime_bert4rec.training.checkpoints import load_checkpoint

pytestmark = pytest.mark.usefixtures("without_plots")

NAN = float("nan")


def train(db, output, *flags):
    return train_model.main(training_flags(db, output, "--patience", 0, *flags))


@pytest.fixture(scope="module")
def trained(db, tmp_path_factory):
    """Two epochs, with a checkpoint of each."""
    output = tmp_path_factory.mktemp("trained")
    assert train(db, output, "--epochs", 1) == 0
    assert train(db, output, "--epochs", 2, "--resume") == 0
    return output


@pytest.fixture
def copied(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "output")


def spoil(path, change):
    checkpoint = torch.load(path, weights_only=True)
    # Apart, as they are not in the file: otherwise what changes one weight would change all copies of it.
    checkpoint = copy.deepcopy(checkpoint)
    checkpoint["resume"] = {name: copy.deepcopy(part) for name, part in checkpoint["resume"].items()}
    change(checkpoint, checkpoint["resume"])
    torch.save(checkpoint, path)


def each_weight(change):
    return lambda whole, kept: kept["weights"].update({n: change(w) for n, w in kept["weights"].items()})


FORMS = {
    "weights of shape [1]": each_weight(lambda weight: torch.zeros(1)),
    "weights without number": each_weight(lambda weight: weight * NAN),
    "weights of another kind": each_weight(lambda weight: weight.double()),
    "no weights": lambda whole, kept: kept.update(weights=None),
    "one weight less": lambda whole, kept: kept["weights"].pop("item_bias"),
    "another averaged weight": lambda whole, kept: whole["model_state_dict"].update(item_bias=torch.zeros(1)),
    "the epoch as text": lambda whole, kept: whole.update(epoch="2"),
    "a later epoch": lambda whole, kept: whole.update(epoch=10**9),
    "no epoch": lambda whole, kept: whole.update(epoch=0),
    "an epoch below none": lambda whole, kept: whole.update(epoch=-1),
    "another loss": lambda whole, kept: whole.update(val_loss=0.0),
    "no model_config": lambda whole, kept: whole.pop("model_config"),
    "no history": lambda whole, kept: kept.update(history=None),
    "an empty history": lambda whole, kept: kept.update(history={}),
    "a shorter history": lambda whole, kept: kept["history"]["epoch_seconds"].pop(),
    "a history without number": lambda whole, kept: kept["history"].update(train_losses=[NAN, 1.0]),
    "a history of texts": lambda whole, kept: kept["history"].update(learning_rates=["0.1", "0.1"]),
    "accuracies by text": lambda whole, kept: kept["history"].update(train_accuracies={str(k): [0, 0] for k in TOP_K}),
    "accuracies of too few": lambda whole, kept: kept["history"]["val_accuracies"].pop(10),
    "a list of what identifies": lambda whole, kept: kept.update(identity=[1]),
    "what identifies, nested": lambda whole, kept: kept["identity"].update(seed=[[42]]),
    "an empty optimizer": lambda whole, kept: kept.update(optimizer={}),
    "an optimizer of lists": lambda whole, kept: kept["optimizer"].update(state=[{}]),
    "steps as numbers": lambda whole, kept: kept["optimizer"]["state"][0].update(step=5),
    "an empty best": lambda whole, kept: kept.update(best={}),
    "a best that is none": lambda whole, kept: kept["best"].update(epoch=3),
    "a best before the first": lambda whole, kept: [
        kept["best"].update(epoch=0, val_loss=whole["val_loss"]),
        kept["history"].update(val_losses=[2 * whole["val_loss"], whole["val_loss"]]),
    ],
    "a best below none": lambda whole, kept: [
        kept["best"].update(epoch=-1, val_loss=whole["val_loss"] / 2),
        kept["history"].update(val_losses=[whole["val_loss"] / 2, whole["val_loss"]]),
    ],
    "a best that is not the lowest": lambda whole, kept: [
        kept["best"].update(epoch=2, val_loss=whole["val_loss"]),
        kept["history"].update(val_losses=[whole["val_loss"] / 2, whole["val_loss"]]),
    ],
    "another loss of the best": lambda whole, kept: kept["best"].update(val_loss=0.1),
    "a best of other weights": lambda whole, kept: kept["best"].update(weights={"item_bias": torch.zeros(1)}),
    "no scaler": lambda whole, kept: kept.update(scaler=None),
    "a scaler of texts": lambda whole, kept: kept.update(scaler={"scale": "1"}),
    "half a scaler": lambda whole, kept: kept.update(scaler={"scale": 1.0}),
    "nothing to resume": lambda whole, kept: whole.update(resume=[]),
}


@pytest.mark.parametrize("change", FORMS.values(), ids=FORMS)
def test_what_is_no_checkpoint_in_itself_is_one_line(copied, change):
    path = copied / "checkpoints" / LATEST_CHECKPOINT
    spoil(path, change)
    with pytest.raises(ModelFileError) as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_a_name_in_the_file_is_not_taken_for_a_lack_of_memory(tmp_path):
    path = tmp_path / "checkpoint.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bad_alloc/data.pkl", b"")  # the error about what is missing quotes this name
    with pytest.raises(ModelFileError, match="damaged or no checkpoint"):
        load_checkpoint(path)


def test_too_little_memory_is_not_taken_for_a_damage(copied, monkeypatch):
    def fail(path):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(checkpoints, "read_tensors", fail)
    with pytest.raises(RuntimeError, match="can't allocate"):
        load_checkpoint(copied / "checkpoints" / LATEST_CHECKPOINT)


def test_the_one_before_it_is_taken(db, copied, capsys):
    spoil(copied / "checkpoints" / LATEST_CHECKPOINT, FORMS["no history"])
    assert train(db, copied, "--epochs", 2, "--resume") == 0
    told = capsys.readouterr().err
    assert "Going on after epoch 1" in told and "history is not a table of names and values" in told
    assert (copied / "checkpoints/checkpoint_latest.damaged").exists()


def first(kept):
    return kept["optimizer"]["state"][0]


FITS = {
    "other weights everywhere": lambda whole, kept: [
        weights.update({name: weight[..., :1].clone() for name, weight in weights.items()})
        for weights in (kept["weights"], whole["model_state_dict"], kept["best"]["weights"])
    ],
    "no steps": lambda whole, kept: kept["optimizer"]["state"].clear(),
    "nothing noted of a weight": lambda whole, kept: kept["optimizer"]["state"].pop(0),
    "something noted of no weight": lambda whole, kept: kept["optimizer"]["state"].update({99: first(kept)}),
    "something noted of a weight below none": lambda whole, kept: kept["optimizer"]["state"].update({-1: first(kept)}),
    "a step below none": lambda whole, kept: first(kept).update(step=torch.tensor(-1.0)),
    "more steps than there were": lambda whole, kept: first(kept).update(step=torch.tensor(7.0)),
    "a step that is no number": lambda whole, kept: first(kept).update(step=torch.tensor(NAN)),
    "the mean of another shape": lambda whole, kept: first(kept).update(exp_avg=torch.zeros(1)),
    "a square below zero": lambda whole, kept: first(kept)["exp_avg_sq"].fill_(-1),
    "half of what is noted": lambda whole, kept: first(kept).pop("exp_avg_sq"),
}


def contents(folder):
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".log"
    }


@pytest.mark.parametrize("change", FITS.values(), ids=FITS)
def test_what_does_not_fit_the_run_is_refused_and_nothing_is_changed(db, copied, change, capsys):
    path = copied / "checkpoints" / LATEST_CHECKPOINT
    spoil(path, change)
    before = contents(copied)
    assert train(db, copied, "--epochs", 3, "--resume") == 1
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert str(path) in error and "cannot be resumed from" in error
    assert contents(copied) == before


def test_a_chosen_one_that_does_not_fit_leaves_the_run_that_is_there(db, copied):
    chosen = shutil.copy(copied / "checkpoints" / LATEST_CHECKPOINT, copied / "chosen.pth")
    spoil(chosen, FITS["no steps"])
    before = contents(copied)
    assert train(db, copied, "--epochs", 3, "--resume", chosen) == 1
    assert contents(copied) == before


def test_the_settings_of_an_optimizer_come_from_no_file(db, copied, trained):
    """What it would do with them, no flag has asked for; so they are not even read."""
    groups = [{"params": [5], "lr": "much", "betas": None, "weight_decay": NAN, "maximize": True}]
    spoil(copied / "checkpoints" / LATEST_CHECKPOINT, lambda whole, kept: kept["optimizer"].update(param_groups=groups))
    assert train(db, copied, "--epochs", 3, "--resume") == 0
    undisturbed = shutil.copytree(trained, copied.with_name("undisturbed"))
    assert train(db, undisturbed, "--epochs", 3, "--resume") == 0
    ours, theirs = (load_checkpoint(each / "checkpoints" / LATEST_CHECKPOINT) for each in (copied, undisturbed))
    assert torch.equal(ours["resume"]["weights"]["item_bias"], theirs["resume"]["weights"]["item_bias"])
    assert ours["resume"]["history"]["learning_rates"] == theirs["resume"]["history"]["learning_rates"]
