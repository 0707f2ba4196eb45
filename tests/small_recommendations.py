"""A small catalogue, lists and a model with a real memory, for the tests of recommend.py."""

from __future__ import annotations

import functools
import json
import time

import numpy as np
import torch
from one_memory import fit_memory, fit_unordered_memory

from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.records import Anime, CataloguePage, ListEntry, Relation, UserList
from anime_bert4rec.lists.sequences import Sequences, Vocabulary
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.model_files import save_item_mappings, save_model
from recommend import main

GENRES = ("Drama", "Mecha", "Sports")


def anime(k):
    """Every tenth is adult; 5 and 6 are two seasons; years from 2001; everything in three genres in turn."""
    return Anime(
        k,
        mal_id=500 + k,
        title_romaji=f"Title {k}",
        title_native="進撃の巨人" if k == 7 else None,
        synonyms=("进击的巨人",) if k == 7 else (),
        year=2000 + k,
        status="FINISHED",
        genres=(GENRES[k % 3],),
        is_adult=k % 10 == 0,
        popularity=100 - k,
        relations=(Relation(5, "PREQUEL"),) if k == 6 else (),
    )


def entry(anime_id, status="COMPLETED", **more):
    return ListEntry(9000 + anime_id, anime_id, status, **more)


def fill(folder):
    """People have watched six of 30 titles, one after the other; 31 is in the catalogue and not in the model."""
    with Database.open(folder / "bert.db", create=True) as database:
        fetch = database.resume_or_start_catalogue_fetch("ID", 31)
        database.save_catalogue_page(fetch.fetch_id, CataloguePage(tuple(map(anime, range(1, 32))), None))
        lists = {
            "Ann": [entry(3, completed=20200101), entry(4, completed=20200102), entry(8, "PLANNING")],
            "Empty": [],
            "Stranger": [entry(31), entry(77)],
            "Planner": [entry(3, "PLANNING")],
        }
        for number, (name, entries) in enumerate(lists.items(), 1):
            database.save_user_list(UserList(number, name, tuple(entries)), name, int(time.time()), 20)
    save_item_mappings(folder / "out" / "models" / "item_mappings.pkl", Vocabulary.of(range(1, 31)))
    save_model(folder / "out" / "models" / "best_model.pth", model(), epoch=1, val_loss=1.0)
    return folder


@functools.cache
def model():
    """Fitted once, whatever number of folders it is saved in."""
    random = np.random.default_rng(0)
    watched = np.concatenate([1 + (random.integers(30) + np.arange(6)) % 30 for _ in range(60)])
    sequences = Sequences(watched, np.tile(np.arange(6), 60), np.arange(0, 361, 6), np.arange(60))
    memory = fit_memory(sequences, 30, max_seq_len=8, seed=0)
    of_sets = fit_unordered_memory(sequences, 30, seed=0)
    torch.manual_seed(0)
    config = ModelConfig(30, 8, 2, 2, max_seq_len=8, memory=memory.config, unordered_memory=of_sets.config)
    return BERT4Rec(config, memory, of_sets)


def ask(folder, capsys, *flags):
    """Exit code, stdout, stderr."""
    code = main([*map(str, flags), "--db", str(folder / "bert.db"), "--output-dir", str(folder / "out")])
    return code, *capsys.readouterr()


def rows_of(answer):
    """The rows of --format json."""
    code, out, err = answer
    assert code == 0, err
    return json.loads(out)
