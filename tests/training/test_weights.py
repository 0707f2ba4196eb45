"""How the weights move, worked out by hand: which decay, the two moments, the learning rate, and the average."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from torch import nn

from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.memory_config import MemoryConfig
from anime_bert4rec.training.resume import form_of
from anime_bert4rec.training.weights import AveragedWeights, linear_schedule, make_optimizer

RATE = 0.1


def a_model():
    torch.manual_seed(0)
    memory = MemoryConfig(9, 9, ordered=True, recency=1.0)
    model = BERT4Rec(ModelConfig(9, 8, 2, 2, 6, memory=memory, answers_alone=True))
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(1.0)
    return model


def test_matrices_decay_and_embeddings_distances_and_biases_do_not():
    model = a_model()
    optimizer = make_optimizer(model, RATE)
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    kept = {name for name, weight in model.named_parameters() if weight.mean() == 1}
    assert kept == {"item_embedding.weight", "item_bias", "alone_bias", "layers.0.distance", "layers.1.distance"}
    for name, weight in model.named_parameters():
        if name not in kept:  # by the rate times 0.01
            assert weight.mean().item() == pytest.approx(1 - RATE * 0.01), name


def test_each_weight_is_moved_once():
    """Each parameter is in one group, and all are in one."""
    model = a_model()
    grouped = [weight for group in make_optimizer(model, RATE).param_groups for weight in group["params"]]
    assert sorted(map(id, grouped)) == sorted(map(id, model.parameters()))


def test_two_steps_by_hand():
    """A gradient of 1 and then none. The mean of gradients forgets a tenth a step, that of their squares a fiftieth."""
    model = a_model()
    optimizer = make_optimizer(model, RATE)
    for gradient in (1.0, 0.0):
        for weight in model.parameters():
            weight.grad = torch.full_like(weight, gradient)
        optimizer.step()
    first = 1.0  # 0.1 / (1 - 0.9), over the root of 0.02 / (1 - 0.98)
    second = 0.09 / (1 - 0.9**2) / math.sqrt(0.0196 / (1 - 0.98**2))
    assert model.item_bias.tolist() == pytest.approx([1 - RATE * (first + second)] * 9, rel=1e-5)


def test_no_compiler_is_imported():
    """It takes longer than a short training does, and nothing of it is used."""
    code = """
import sys, torch
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.training.resume import form_of
from anime_bert4rec.training.weights import make_optimizer
config = ModelConfig(9, 8, 2, 2, 6)
model, form = BERT4Rec(config), form_of(config)
assert form.item_bias.is_meta
optimizer = make_optimizer(model, 0.1)
optimizer.zero_grad()
model.item_bias.grad = torch.ones(9)
optimizer.step()
make_optimizer(model, 0.1).load_state_dict(optimizer.state_dict())
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_form_of_a_network_draws_no_random_numbers():
    torch.manual_seed(7)
    form_of(ModelConfig(9, 8, 2, 2, 6))
    drawn = torch.rand(3)
    torch.manual_seed(7)
    assert torch.equal(drawn, torch.rand(3))


def test_the_rate_rises_over_the_first_twentieth_of_the_steps_and_falls_to_nothing():
    factor = linear_schedule(100)
    assert [factor(step) for step in (0, 1, 4)] == pytest.approx([1 / 5, 2 / 5, 1.0])
    assert [factor(step) for step in (5, 6, 52, 99)] == pytest.approx([1.0, 94 / 95, 48 / 95, 1 / 95])
    assert factor(100) == 0
    assert max(map(factor, range(100))) == 1


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_run_of_few_steps_learns_in_each_of_them(steps):
    rates = [linear_schedule(steps)(step) for step in range(steps)]
    assert rates[0] == 1 and min(rates) > 0


def model_with(value):
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, value)
    return model


def test_the_average_by_hand():
    model = model_with(100.0)
    averaged = AveragedWeights(model)
    for value in (1.0, 3.0):
        nn.init.constant_(model.weight, value)
        averaged.update(model)
    with averaged.used_by(model):
        assert model.weight.item() == pytest.approx(1.0 * 1 / 4 + 3.0 * 3 / 4)
    assert model.weight.item() == 3.0


def test_the_weights_come_back_after_an_error():
    model = model_with(1.0)
    averaged = AveragedWeights(model)
    nn.init.constant_(model.weight, 2.0)
    with pytest.raises(ZeroDivisionError), averaged.used_by(model):
        raise ZeroDivisionError
    assert torch.equal(model.weight, torch.tensor([[2.0]]))


def test_what_an_epoch_counts_for_falls_by_a_fifth_with_each_after_it():
    """Once there were enough epochs; until then more of the first ones is forgotten."""
    model = model_with(100.0)
    averaged = AveragedWeights(model)
    for value in [0.0] * 40 + [1.0, 0.0, 0.0]:
        nn.init.constant_(model.weight, value)
        averaged.update(model)
    with averaged.used_by(model):
        assert model.weight.item() == pytest.approx(0.2 * 0.8 * 0.8)


def test_a_restored_average_goes_on_as_though_it_had_never_stopped():
    model, other = model_with(1.0), model_with(5.0)
    averaged, restored = AveragedWeights(model), AveragedWeights(other)
    for value in (1.0, 3.0, 2.0):
        nn.init.constant_(model.weight, value)
        averaged.update(model)
    restored.restore({name: weight.clone() for name, weight in averaged.average.items()}, 3)
    for each, its_model in ((averaged, model), (restored, other)):
        nn.init.constant_(its_model.weight, 7.0)
        each.update(its_model)
    assert torch.equal(averaged.average["weight"], restored.average["weight"])
