"""The average by hand, and that a model gets its own weights back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from anime_bert4rec.training.averaging import AveragedWeights


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
