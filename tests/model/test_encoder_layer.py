"""What the layers of the network drop out in training, and what of it the gate is fitted on."""

from __future__ import annotations

import pytest
import torch
from small_lists import ITEMS, cut_at

from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.fast_parts import Dropout
from anime_bert4rec.model.memory_config import MemoryConfig


def model_of(**settings):
    torch.manual_seed(0)
    model = BERT4Rec(ModelConfig(ITEMS, 8, num_heads=2, max_seq_len=8, **settings))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model.eval()


def what_comes_last():
    items, rows = torch.randint(1, ITEMS + 1, (5, 8)), torch.arange(5)
    return cut_at(items, torch.tensor([7]), rows, torch.zeros_like(rows), items[:, 7])


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_all_that_a_layer_adds_is_dropped_out_in_training(layers, monkeypatch):
    """Once the embeddings, and of each layer what attention and feed-forward add."""
    dropped = []
    monkeypatch.setattr(Dropout, "__call__", lambda self, x: dropped.append(self.p) or x)
    model = model_of(num_layers=layers, dropout=0.25)
    for mode in (True, False):
        model.train(mode)(what_comes_last())
    assert dropped == [0.25] * (1 + 2 * layers) + [0] * (1 + 2 * layers)


@pytest.mark.parametrize("answers_alone", [False, True])
def test_the_opinion_is_what_the_logits_have_beside_the_memory(answers_alone):
    """The gate is fitted on it: 1 for both where the network never answers alone, and else 1 and .67."""
    memory = MemoryConfig(ITEMS, ITEMS, ordered=False, recency=1.0)
    model, batch = model_of(memory=memory, answers_alone=answers_alone), what_comes_last()
    expected = model.opinion(batch) + (0.67 if answers_alone else 1.0) * model.memory(batch)
    torch.testing.assert_close(model(batch), expected)
