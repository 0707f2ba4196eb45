"""What a training begins with is fitted once, and not again when it goes on."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import sqlite3

import numpy as np
import pytest
import torch
from small_lists import ITEMS, sequences_of, some_lists
from small_runs import stop_in_epoch, training_flags, unlike

import train_model
from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.model import training_data
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.item_space import ItemSpace
from anime_bert4rec.model.model_files import load_model
from anime_bert4rec.model.run_folder import BEST_MODEL
from anime_bert4rec.model.training_data import Data
from anime_bert4rec.training import new_model
from config import TrainingSettings

pytestmark = pytest.mark.usefixtures("without_plots")

WITHOUT_DATES = "UPDATE list_entry SET started = NULL, completed = NULL, updated = NULL, created = NULL"


def without_dates(db, folder):
    copy = shutil.copy(db, folder / "without_dates.db")
    with contextlib.closing(sqlite3.connect(copy)) as database, database:
        database.execute(WITHOUT_DATES)
    return copy


def train(db, output, *flags):
    return train_model.main(training_flags(db, output, "--epochs", 4, *flags))


@pytest.fixture
def fittings(monkeypatch):
    """Each time that a memory is fitted."""
    real, times = new_model.fit_memories, []

    def fit_memories(*args, **settings):
        times.append(1)
        return real(*args, **settings)

    monkeypatch.setattr(new_model, "fit_memories", fit_memories)
    return times


def stopped(db, output, monkeypatch):
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, 3)
        assert train(db, output) == 130


@pytest.mark.parametrize("ordered", [True, False])
def test_the_memory_and_the_predicted_scores_are_not_fitted_again(db, tmp_path, monkeypatch, fittings, ordered):
    if not ordered:
        db = without_dates(db, tmp_path)
    assert train(db, tmp_path / "whole") == 0
    stopped(db, tmp_path / "parts", monkeypatch)
    fittings.clear()
    for name in ("fit_scores", "fit_recent", "fit_unordered_memories"):
        monkeypatch.setattr(new_model, name, lambda *_, **__: pytest.fail("fitted again"))
    assert train(db, tmp_path / "parts", "--resume") == 0
    assert not fittings and unlike(tmp_path / "parts", tmp_path / "whole") == []
    model = load_model(tmp_path / "whole" / "models" / BEST_MODEL)[0]
    assert model.config.ordered == ordered == (model.unordered_memory is not None)


@pytest.mark.parametrize("left", ["nothing", "a damaged file", "the model of another run"])
def test_without_a_model_of_the_run_the_memory_is_fitted_again(db, tmp_path, monkeypatch, fittings, left):
    stopped(db, tmp_path, monkeypatch)
    best = tmp_path / "models" / BEST_MODEL
    saved = torch.load(best, weights_only=True)
    strength = saved["model_state_dict"]["memory.strength"]
    if left == "nothing":
        best.unlink()
    elif left == "a damaged file":
        best.write_bytes(best.read_bytes()[:-1000])
    else:
        weights = {**saved["model_state_dict"], "memory.strength": torch.zeros_like(strength)}
        torch.save({**saved, "model_state_dict": weights, "run": "another"}, best)
    fittings.clear()
    assert train(db, tmp_path, "--resume") == 0
    assert fittings == [1] and torch.equal(load_model(best)[0].memory.strength, strength)


def test_titles_without_an_order_have_a_memory_of_their_own_of_the_same_lists():
    data = Data(Vocabulary(np.arange(1, ITEMS + 1)), some_lists(30), some_lists(9, seed=5))
    settings = TrainingSettings(hidden_size=8, num_heads=2, max_seq_len=20)
    model = new_model.build_model(data, settings)
    assert not model.unordered_memory.config.ordered and model.memory.config.ordered
    assert torch.equal(model.unordered_memory.popularity, model.memory.popularity)
    assert model.config.unordered_memory == model.unordered_memory.config
    alone = new_model.build_model(data, dataclasses.replace(settings, memory=False))
    assert alone.unordered_memory is None and alone.config.unordered_memory is None


@pytest.mark.parametrize("memory", [True, False])
def test_embeddings_begin_near_each_other_where_items_go_together(memory):
    """The first six items are listed together, and the others."""
    random = np.random.default_rng(0)
    lists = [random.permutation(6)[:4] + first for first in [1, 7] * 20]
    data = Data(Vocabulary(np.arange(1, ITEMS + 1)), sequences_of(*lists), sequences_of(*lists[:2]))
    settings = TrainingSettings(hidden_size=256, max_seq_len=20, memory=memory)
    embeddings = new_model.build_model(data, settings).item_embedding.weight.detach()
    assert not embeddings[0].any() and float(embeddings[1:].std()) == pytest.approx(0.02, rel=0.1)
    cosines = torch.nn.functional.normalize(embeddings[1:-1]) @ torch.nn.functional.normalize(embeddings[1:-1]).T
    together, apart = cosines[:6, :6].mean(), cosines[:6, 6:].mean()
    assert together - apart > 0.5 if memory else cosines.fill_diagonal_(0).abs().max() < 0.3


def test_items_of_one_direction_share_four_fifths_of_their_variance(monkeypatch):
    """Each two items have a direction, and nothing in common with the others."""
    torch.manual_seed(0)
    model = BERT4Rec(ModelConfig(ITEMS, 1024, 1, 2, 8))
    pairs = ItemSpace(np.arange(ITEMS), np.repeat(np.eye(ITEMS // 2, dtype=np.float32), 2, 0), ITEMS)
    monkeypatch.setattr(new_model.ItemSpace, "of_lists", lambda model: pairs)
    new_model.begin_alike(model)
    embeddings = model.item_embedding.weight[1:-1].detach()
    assert float(embeddings.std()) == pytest.approx(0.02, rel=0.03)
    unit = torch.nn.functional.normalize(embeddings)
    cosines, together = unit @ unit.T, torch.from_numpy(pairs.directions @ pairs.directions.T).bool()
    assert float(cosines[together.fill_diagonal_(False)].mean()) == pytest.approx(0.8, abs=0.02)
    assert float(cosines[~together.fill_diagonal_(True)].mean()) == pytest.approx(0, abs=0.05)


def test_an_item_without_a_direction_begins_as_noise(monkeypatch):
    data = Data(Vocabulary(np.arange(1, ITEMS + 1)), some_lists(30), some_lists(9, seed=5))
    model = new_model.build_model(data, TrainingSettings(hidden_size=8, num_heads=2, max_seq_len=20))
    known = ItemSpace(np.arange(1, ITEMS), np.ones((ITEMS - 1, 50), np.float32), ITEMS)
    monkeypatch.setattr(new_model.ItemSpace, "of_lists", lambda model: known)
    before = model.item_embedding.weight.detach().clone()
    new_model.begin_alike(model)
    changed = (model.item_embedding.weight != before).all(1)
    assert changed.tolist() == [False, False, *[True] * (ITEMS - 1), False]  # padding, the item, the others, the mask


def test_the_memory_counts_those_lists_that_batches_have_it_leave_out(monkeypatch):
    """Of more entries than it may count, some lists drop out."""
    monkeypatch.setattr(training_data, "MOST_ENTRIES", 60)
    data = Data(Vocabulary(np.arange(1, ITEMS + 1)), some_lists(30), some_lists(9, seed=5))
    model = new_model.build_model(data, TrainingSettings(hidden_size=8, num_heads=2, max_seq_len=20))
    counted = data.training.select(data.counted)
    assert 0 < len(counted) < 30 and len(counted.items) <= 60
    assert model.memory.popularity.tolist() == counted.popularity(ITEMS).tolist()


def test_lists_without_dates_have_nothing_to_do_with_recent_starts(db, tmp_path, monkeypatch, fittings):
    settings = TrainingSettings(hidden_size=8, num_heads=2, max_seq_len=20)
    dated, data = (training_data.load_data(path, settings) for path in (db, without_dates(db, tmp_path)))
    assert new_model.Lately(dated.recent, dated.training, 0).enough
    monkeypatch.setattr(new_model, "fit_recent", lambda *_: pytest.fail("there is nothing to fit"))
    told, not_told = (new_model.build_model(each, settings) for each in (data, dataclasses.replace(data, recent=None)))
    assert not len(data.recent.starts) and told.recent_strengths is None
    one, other = told.state_dict(), not_told.state_dict()
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
