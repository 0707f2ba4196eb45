"""Training in bfloat16 comes to nearly the same, keeps everything in fp32, and is chosen where it is faster."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from one_memory import fit_memory
from small_lists import ITEMS, MASK, masked_at, some_lists
from small_runs import training_flags, unlike

import train_model
from anime_bert4rec.model import fast_parts, products
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.masked_metrics import masked_cross_entropy
from anime_bert4rec.model.products import multiply_in
from anime_bert4rec.support.errors import SettingError
from anime_bert4rec.training import precision
from anime_bert4rec.training.precision import choose_numbers, gain_of_bf16
from config import PROJECT_DIR, TrainingSettings

pytestmark = pytest.mark.usefixtures("fitted_once", "without_plots")

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(scope="module")
def runs(db, tmp_path_factory):
    """Three epochs in fp32, in bf16, in bf16 again, and in bf16 where the second was stopped and gone on with."""
    folder = tmp_path_factory.mktemp("precision")
    for name, which in [("fp32", "fp32"), ("bf16", "bf16"), ("again", "bf16")]:
        flags = training_flags(db, folder / name, "--precision", which, "--epochs", 3, "--dropout", 0.1)
        assert train_model.main(flags) == 0
    flags = training_flags(db, folder / "resumed", "--precision", "bf16", "--epochs", 3, "--dropout", 0.1)
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 2)
        assert train_model.main(flags) == 130
    assert train_model.main([*flags, "--resume"]) == 0
    return folder


def stop_after(patch, epochs):
    """Ctrl-C at the end of an epoch's training."""
    real, done = train_model.validate, [0]

    def validate(*args):
        done[0] += 1
        if done[0] == epochs + 2:  # the memory is validated before the first epoch
            raise KeyboardInterrupt
        return real(*args)

    patch.setattr(train_model, "validate", validate)


def tensors(saved, at=""):
    """All that a file has, by their places."""
    if isinstance(saved, torch.Tensor):
        yield at, saved
    elif isinstance(saved, dict):
        for name, each in saved.items():
            yield from tensors(each, f"{at}.{name}")


def losses(folder, name):
    return json.loads((folder / name / "plots" / "training_metrics.json").read_text())["val_losses"]


def test_it_comes_to_nearly_the_same(runs):
    exact, low = losses(runs, "fp32"), losses(runs, "bf16")
    assert low != exact
    assert low == pytest.approx(exact, rel=0.01)


def test_two_runs_come_to_the_same_to_the_last_digit_and_one_that_was_stopped_too(runs):
    assert unlike(runs / "bf16", runs / "again") == []
    assert unlike(runs / "bf16", runs / "resumed") == []


def test_the_files_have_fp32(runs):
    """But for the memory, whose tables are kept in half precision wherever it is trained."""
    for name in ("models/best_model.pth", "models/final_model.pth", "checkpoints/checkpoint_latest.pth"):
        exact, low = (torch.load(runs / run / name, weights_only=True) for run in ("fp32", "bf16"))
        for saved in ("model_state_dict", "resume"):
            dtypes = [[(name, weight.dtype) for name, weight in tensors(each.get(saved))] for each in (exact, low)]
            assert dtypes[0] == dtypes[1]


def test_the_log_says_it(runs):
    said = {name: (runs / name / "logs").glob("*.log") for name in ("fp32", "bf16")}
    texts = {name: "".join(path.read_text(encoding="utf-8") for path in paths) for name, paths in said.items()}
    assert "matrices multiplied in bfloat16" in texts["bf16"]
    assert "bfloat16" not in texts["fp32"]


def test_a_run_goes_on_in_other_numbers(runs, db):
    flags = training_flags(db, runs / "again", "--precision", "fp32", "--epochs", 4, "--dropout", 0.1, "--resume")
    assert train_model.main(flags) == 0
    assert len(losses(runs, "again")) == 4


def made_up_model(memory):
    """A model of any weights, and a batch of 16 lists of which it answers 3 positions each."""
    torch.manual_seed(0)
    known = fit_memory(some_lists(60), ITEMS, max_seq_len=20, seed=0) if memory else None
    config = ModelConfig(ITEMS, 32, 2, 2, 20, dropout=0, memory=known.config if known else None)
    model = BERT4Rec(config, known)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.3)
    items = torch.randint(1, ITEMS + 1, (16, 10))
    at = torch.tensor([[2, 5, 9]]).add(10 * torch.arange(16)[:, None]).flatten()
    targets = items.flatten()[at]
    return model, masked_at(items.view(-1).index_fill(0, at, MASK).view(16, 10), at, targets)


def logits_and_gradients(model, batch, numbers):
    multiply_in(numbers, model)
    logits = model(batch)
    said = logits.detach().clone()  # the loss overwrites them
    learnt = [weight for weight in model.parameters() if weight.requires_grad]
    return said, torch.autograd.grad(masked_cross_entropy(logits, batch.targets - 1), learnt)


@pytest.mark.parametrize("memory", [True, False])
def test_only_products_are_in_other_numbers_and_only_in_training(memory, monkeypatch):
    """So logits and gradients are nearly the same and in fp32, and in evaluation mode the logits are the same."""
    monkeypatch.setattr(fast_parts, "LOGITS_AT_ONCE", 8 * ITEMS)
    for module in (fast_parts, products):
        monkeypatch.setattr(module, "FEWEST_ROWS", 4)
    monkeypatch.setattr(products, "ROWS", 8)
    model, batch = made_up_model(memory)
    (plain, expected), (logits, gradients) = (logits_and_gradients(model, batch, n) for n in (None, torch.bfloat16))
    assert not torch.equal(logits, plain)
    assert logits.dtype == torch.float32
    assert (logits - plain).norm() <= 0.01 * plain.norm()
    for got, exact in zip(gradients, expected, strict=True):
        assert got.dtype == torch.float32
        assert (got - exact).norm() <= 0.03 * exact.norm()
    with torch.no_grad():
        low = model.eval()(batch)
        multiply_in(None, model)
        assert torch.equal(model(batch), low)


@pytest.mark.parametrize("of_each_item", [True, False])
def test_logits_are_multiplied_in_other_numbers_and_added_up_in_fp32(of_each_item, monkeypatch):
    """2^12 + 1 + 1 of 129 rows in parts of 4: bfloat16 has eight bits, and would lose what is added in either way."""
    monkeypatch.setattr(fast_parts, "LOGITS_AT_ONCE", 4 * 3)
    monkeypatch.setattr(fast_parts, "FEWEST_ROWS", 4)
    monkeypatch.setattr(products, "FEWEST_ROWS", 4)
    weight = torch.zeros(5, 1)
    weight[1:4] = torch.tensor([[1.0], [1 + 2**-9], [2.0]])
    weight.requires_grad_()
    start = torch.full((3,) if of_each_item else (129, 3), 2.0**12 + 1)
    logits = fast_parts.TiedEmbedding(weight, torch.bfloat16).logits(start * 1, torch.ones(129, 1))
    assert logits.tolist() == [[4098, 4098, 4099]] * 129  # 1 + 2^-9 is rounded to 1
    logits.backward(torch.ones(129, 3) + 2**-9)
    assert weight.grad[:, 0].tolist() == [0, 129, 129, 129, 0]


def test_the_logits_of_a_training_are_multiplied_in_other_numbers(monkeypatch):
    asked = []

    class Spied(fast_parts.TiedEmbedding):
        def __init__(self, weight: torch.Tensor, low: torch.dtype | None = None) -> None:
            asked.append(low)
            super().__init__(weight, low)

    monkeypatch.setattr("anime_bert4rec.model.bert4rec.TiedEmbedding", Spied)
    model, batch = made_up_model(memory=True)
    for numbers in (None, torch.bfloat16):
        logits_and_gradients(model, batch, numbers)
    model.eval()(batch)
    assert asked == [None, torch.bfloat16, None]


def test_there_may_be_as_many_heads_as_the_model_is_wide():
    batch = made_up_model(memory=False)[1]
    model = BERT4Rec(ModelConfig(ITEMS, 32, 2, 32, 20, dropout=0))
    assert all(gradient.isfinite().all() for gradient in logits_and_gradients(model, batch, torch.bfloat16)[1])


def test_under_autocast_the_memory_keeps_its_precision():
    """As in a larger program, in evaluation mode."""
    model, batch = made_up_model(memory=True)
    with torch.no_grad():
        model.eval().silence_network()
        plain = model(batch)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(model(batch), plain)


@pytest.mark.parametrize(
    "before, chosen",
    [({"precision": "bf16"}, torch.bfloat16), ({"precision": "fp32"}, None), ({}, None)],  # {}: earlier versions
)
def test_a_run_goes_on_in_the_numbers_that_it_had_unless_it_is_told_others(before, chosen, monkeypatch):
    monkeypatch.setattr(precision, "gain_of_bf16", lambda: 1 / 0)
    assert choose_numbers(TrainingSettings(), CPU, before) == chosen
    assert choose_numbers(TrainingSettings(precision="fp32"), CPU, before) is None
    assert choose_numbers(TrainingSettings(precision="bf16"), CPU, before) == torch.bfloat16
    assert choose_numbers(TrainingSettings(), GPU, before) is None


def test_the_files_say_which_numbers_they_were(runs):
    for name, which in (("bf16", "bf16"), ("fp32", "fp32")):
        assert json.loads((runs / name / "models" / "training_config.json").read_text())["precision"] == which
        saved = torch.load(runs / name / "checkpoints" / "checkpoint_latest.pth", weights_only=True)
        assert saved["resume"]["identity"]["precision"] == which


@pytest.mark.parametrize(
    "flags, device, gain, chosen",
    [
        ({}, CPU, 2.0, torch.bfloat16),
        ({}, CPU, 1.2, None),
        ({"hidden_size": 256}, CPU, 1.3, torch.bfloat16),
        ({"hidden_size": 252}, CPU, 2.0, None),
        ({}, GPU, 2.0, None),
        ({"precision": "fp32"}, CPU, 2.0, None),
        ({"precision": "bf16"}, CPU, 0.5, torch.bfloat16),
        ({"precision": "bf16"}, GPU, 0.5, torch.bfloat16),
        ({"use_fp16": True}, GPU, 2.0, torch.float16),
        ({"use_fp16": True}, CPU, 2.0, torch.bfloat16),
        ({"use_fp16": True}, CPU, 1.2, None),
    ],
)
def test_which_numbers_are_chosen(flags, device, gain, chosen, monkeypatch):
    monkeypatch.setattr(precision, "gain_of_bf16", lambda: gain)
    assert choose_numbers(TrainingSettings(**flags), device) == chosen


def test_the_gain_is_that_of_a_product(monkeypatch):
    """Of calls that take 3 s in fp32 and 2 s in bf16, with one thread."""
    tried, seconds = [], iter((3.0, 2.0))

    def timed(work):
        tried.append((work().dtype, torch.get_num_threads()))
        return next(seconds)

    monkeypatch.setattr(precision, "_seconds", timed)
    assert gain_of_bf16() == 1.5
    assert tried == [(torch.float32, 1), (torch.bfloat16, 1)]


def test_a_process_keeps_its_threads():
    """And so do threads that come later: torch gives them what was last set anywhere."""
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from anime_bert4rec.training.precision import gain_of_bf16\n"
        "gain_of_bf16()\n"
        "import torch\n"
        "print(torch.get_num_threads(), ThreadPoolExecutor(1).submit(torch.get_num_threads).result())"
    )
    env = {**os.environ, "OMP_NUM_THREADS": "2"}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_DIR, env=env, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["2", "2"]


def test_a_call_counts_as_its_fastest(monkeypatch):
    clock = iter([0, 5, 5, 7, 7, 10, *[10] * 2 * precision.TRIES])
    monkeypatch.setattr(precision, "TRIES", 3)
    monkeypatch.setattr(precision.time, "perf_counter", lambda: next(clock))
    calls = []
    assert precision._seconds(lambda: calls.append(None)) == 2
    assert len(calls) == 4, "the first call, which loads what is needed, doesn't count"


def test_two_answers_to_one_question_are_refused():
    with pytest.raises(SettingError, match="--fp16 and --precision bf16"):
        TrainingSettings(use_fp16=True, precision="bf16")
    with pytest.raises(SettingError, match="--precision must be one of"):
        TrainingSettings(precision="fp8")
