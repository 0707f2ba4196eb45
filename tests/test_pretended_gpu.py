"""Training on a GPU mixes no tensors of the CPU with its own, and comes to the same: checked on a pretended one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pretended_gpu import OnGpu, pretended_gpu
from small_lists import ITEMS, sequences_of, some_lists

import train_model
from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.model import training_data
from anime_bert4rec.model.training_data import Data
from anime_bert4rec.training.epoch_metrics import EpochMetrics
from anime_bert4rec.training.new_model import build_model
from anime_bert4rec.training.training_run import TrainingRun
from config import TrainingSettings

ALIKE = sequences_of([1, 2, 5], [3, 5], [7, 8, 9, 10])


def losses(model, data, settings, device):
    """Of an epoch, and of a second one by a run that goes on from the first one's checkpoint."""
    found, checkpoint = [], None
    for epoch in (1, 2):
        run = TrainingRun(model.to(device), EpochMetrics(2, {}), {}, learning_rate=0.01, steps_per_epoch=2)
        if checkpoint:
            run.restore(checkpoint)
        fitting, alone = train_model.start_of_gate(run, data, settings)
        loader = train_model.batches(data.training, data, settings, epoch)
        trained = train_model.train_one_epoch(run.parallel, loader, run.optimizer, run.schedule, run.scaler)
        run.average.update(run.model)
        with run.average.used_by(run.model):
            run.fit_gate(fitting)
            validated = train_model.validate(run.model, train_model.batches(data.validation, data, settings, None))
        run.metrics.record(trained, validated, 0.01, 1.0)
        checkpoint = run.snapshot()
        found += [trained.loss, validated.loss, *([alone.loss] if alone else [])]
    return found, checkpoint


@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")  # it does copy
@pytest.mark.parametrize("memory", [True, False])
@pytest.mark.parametrize("ordered", [True, False])
def test_a_training_is_the_same_there(monkeypatch, ordered, memory):
    torch.set_num_threads(1)  # two threads halve a batch, and each half has dropout of its own; a GPU halves none
    monkeypatch.setattr(training_data, "LISTS_TO_ANSWER_ALONE", 20)
    lists = [some_lists(24, 0, not ordered), some_lists(8, 1, not ordered)]
    data = Data(Vocabulary(np.arange(1, ITEMS + 1)), *lists, ALIKE if memory else None)
    assert data.ordered == ordered
    settings = TrainingSettings(hidden_size=8, num_heads=2, max_seq_len=8, batch_size=16, memory=memory, num_workers=0)
    on_cpu, _ = losses(build_model(data, settings), data, settings, torch.device("cpu"))
    model = build_model(data, settings)
    with pretended_gpu(monkeypatch) as gpu:
        on_gpu, checkpoint = losses(model, data, settings, gpu)
    assert on_gpu == pytest.approx(on_cpu, abs=1e-4)
    assert isinstance(model.item_bias, OnGpu)
    assert not any(isinstance(weight, OnGpu) for weight in checkpoint["model_state_dict"].values())


def test_the_pretended_gpu_mixes_with_the_cpu_as_little_as_a_real_one(monkeypatch):
    with pretended_gpu(monkeypatch) as gpu:
        there = torch.arange(3.0).to(gpu)
        with pytest.raises(RuntimeError, match="on the CPU and on the GPU"):
            there + torch.ones(3)
        with pytest.raises(RuntimeError, match="on the CPU and on the GPU"):
            torch.cat([there, torch.ones(3)])
        with pytest.raises((RuntimeError, TypeError)):
            there.numpy()
        assert (there[torch.tensor([2, 1])] * torch.tensor(2.0)).cpu().tolist() == [4, 2]
        assert isinstance(torch.zeros(2, device=there.device), OnGpu)
