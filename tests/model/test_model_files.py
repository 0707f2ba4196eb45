"""Model files: their form, and what happens to bad ones."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from fault_injection import Malicious
from one_memory import fit_memory
from small_models import knowing_recommender

from anime_bert4rec.lists.sequences import Sequences, Vocabulary
from anime_bert4rec.model.batches import Batch
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.memory_config import FOLLOWS, without_what_follows
from anime_bert4rec.model.model_files import (
    load_item_mappings,
    load_model,
    save_item_mappings,
    save_model,
)
from anime_bert4rec.model.predicted_scores import PredictedScores
from anime_bert4rec.support.errors import ModelFileError


@pytest.fixture(params=["with a memory", "without"])
def model(request):
    memory = None
    if request.param == "with a memory":
        lists = Sequences(np.array([1, 2, 3, 3, 4]), np.array([0, 1, 2, 0, 1]), np.array([0, 3, 5]), np.arange(2))
        memory = fit_memory(lists, 7, max_seq_len=5, seed=0)
    config = ModelConfig(7, 8, num_heads=2, max_seq_len=5, memory=memory.config if memory else None)
    return BERT4Rec(config, memory).eval()


def test_a_model_comes_back_the_same(tmp_path, model):
    save_model(tmp_path / "m.pth", model, epoch=3, val_loss=1.5)
    loaded, saved = load_model(tmp_path / "m.pth")
    batch = Batch(torch.tensor([[1, 8, 3]]), torch.tensor([0]), torch.tensor([1]))
    assert torch.equal(loaded(batch), model(batch))
    assert (saved["epoch"], saved["val_loss"]) == (3, 1.5)


def test_predicted_scores_come_back_the_same(tmp_path, model):
    save_model(tmp_path / "m.pth", model, epoch=3, val_loss=1.5)
    assert load_model(tmp_path / "m.pth")[0].predicted_scores is None
    random = np.random.default_rng(0)
    mean, factors = random.normal(size=7).astype(np.float32), random.normal(size=(7, 3)).astype(np.float32)
    model.predicted_scores = PredictedScores(mean, factors, np.array([70, 15], np.float32))
    save_model(tmp_path / "m.pth", model, epoch=3, val_loss=1.5)
    loaded = load_model(tmp_path / "m.pth")[0].predicted_scores
    given = np.array([1, 5]), np.array([80, 20])
    assert np.array_equal(loaded.predict(*given), model.predicted_scores.predict(*given))


def test_the_form_of_the_file(tmp_path, model):
    save_model(tmp_path / "m.pth", model, epoch=3, val_loss=1.5)
    saved = torch.load(tmp_path / "m.pth", weights_only=True)
    assert {"model_state_dict", "model_config", "epoch", "val_loss"} <= set(saved)
    assert saved["model_config"]["num_items"] == 7


def test_item_mappings_are_a_plain_dict_of_ints(tmp_path):
    path = tmp_path / "item_mappings.pkl"
    save_item_mappings(path, Vocabulary.of([30, 10, 20]))
    assert pickle.loads(path.read_bytes()) == {
        "item_to_idx": {10: 1, 20: 2, 30: 3},
        "idx_to_item": {1: 10, 2: 20, 3: 30},
        "num_items": 3,
    }
    assert load_item_mappings(path).anime_ids.tolist() == [10, 20, 30]


@pytest.mark.parametrize("load", [load_item_mappings, load_model])
def test_a_file_that_would_run_something_is_refused(tmp_path, load):
    victim = tmp_path / "made by the file"
    for name, write in (("a", torch.save), ("b", lambda value, path: path.write_bytes(pickle.dumps(value)))):
        write({"item_to_idx": Malicious(victim), "model_config": Malicious(victim)}, tmp_path / name)
        with pytest.raises(ModelFileError):
            load(tmp_path / name)
    assert not victim.exists()


@pytest.mark.parametrize("load", [load_item_mappings, load_model])
@pytest.mark.parametrize("content", [b"", b"not a model", pickle.dumps([1, 2]), pickle.dumps({"item_to_idx": {5: 4}})])
def test_damaged_files_are_one_clear_line(tmp_path, load, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ModelFileError) as error:
        load(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("load", [load_item_mappings, load_model])
def test_a_missing_file_says_what_to_run(tmp_path, load):
    with pytest.raises(ModelFileError, match=r"train_model\.py"):
        load(tmp_path / "none")


@pytest.mark.parametrize("ordered", [True, False])
def test_a_file_that_also_says_what_follows_from_the_rest_is_read(tmp_path, ordered):
    """As those written before 1.1 was finished."""
    model, path = knowing_recommender(ordered)._score.model, tmp_path / "m.pth"
    save_model(path, model, epoch=1, val_loss=1.0)
    saved = torch.load(path, weights_only=True)
    saved["model_config"]["memory"].update(dict.fromkeys(FOLLOWS, True))
    torch.save(saved, path)
    assert load_model(path)[0].config == model.config
    assert without_what_follows([1]) == [1], "whatever a file holds is checked afterwards"
    saved["model_config"]["memory"]["else"] = True
    torch.save(saved, path)
    with pytest.raises(ModelFileError, match="has more than num_items"):
        load_model(path)
