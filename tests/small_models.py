"""Recommenders of models so small that what they say can be worked out."""

import copy
import functools

import numpy as np
import torch
from one_memory import fit_memory, fit_unordered_memory

from anime_bert4rec.lists.sequences import Sequences, Vocabulary
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.recommender import Recommender

IDS = [10, 20, 30, 40, 50]


def popular_recommender():
    """A model that knows only how popular each title is: 10 % for the first, then 20, 40, 20 and 10 %."""
    model = BERT4Rec(ModelConfig(5, 8, num_heads=2, max_seq_len=4)).eval()
    with torch.no_grad():
        model.project.weight.zero_()
        model.item_bias.copy_(torch.tensor([0.1, 0.2, 0.4, 0.2, 0.1]).log())
    return Recommender(model, Vocabulary.of(IDS))


def knowing_recommender(ordered):
    """A model whose memory knows 60 lists of six of 30 titles; its network has random weights."""
    return Recommender(copy.deepcopy(kept_model(ordered)), Vocabulary.of(range(1, 31)))


def knowing_model(ordered):
    """Fitted by the settings of the moment, which a test may have changed."""
    random = np.random.default_rng(0)
    lists = [1 + (random.integers(30) + np.arange(6)) % 30 for _ in range(60)]
    blocks = np.tile(np.arange(6) if ordered else np.zeros(6, int), 60)
    sequences = Sequences(np.concatenate(lists), blocks, np.arange(0, 361, 6), np.arange(60))
    memory = fit_memory(sequences, 30, max_seq_len=8, seed=0)
    of_sets = fit_unordered_memory(sequences, 30, seed=0) if ordered else None
    both = {"memory": memory.config, "unordered_memory": of_sets and of_sets.config}
    torch.manual_seed(0)
    model = BERT4Rec(ModelConfig(30, 8, num_heads=2, max_seq_len=8, ordered=ordered, **both), memory, of_sets).eval()
    assert memory.config.ordered == ordered
    torch.nn.init.normal_(model.project.weight)
    return model


kept_model = functools.cache(knowing_model)
"""Fitted once, and copied for each test."""
