"""One epoch of training and one of validation, in memory: what counts, what is dropped out, how far a step goes."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from small_lists import ITEMS, some_lists
from small_runs import draw_nothing, training_flags
from torch.utils.data import DataLoader

import train_model
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.sequences import PAD, Vocabulary
from anime_bert4rec.model import training_data
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.masked_metrics import ranks
from anime_bert4rec.model.model_files import load_model
from anime_bert4rec.model.run_folder import TOP_K
from anime_bert4rec.model.training_data import Data, batches, load_data
from anime_bert4rec.training.epoch_metrics import Result
from anime_bert4rec.training.training_run import TrainingRun
from anime_bert4rec.training.weights import AveragedWeights, make_optimizer
from config import TrainingSettings
from train_model import check_sane, learn, train_one_epoch, validate

pytestmark = pytest.mark.usefixtures("fitted_once")

VOCABULARY = Vocabulary(np.arange(1, ITEMS + 1))
SETTINGS = TrainingSettings(batch_size=4, cut_share=0.5, hidden_size=8, num_heads=2, max_seq_len=8, dropout=0.0)
NO_SCALER = torch.amp.GradScaler("cpu", enabled=False)


def small_model(**changes):
    torch.manual_seed(0)
    model = BERT4Rec(ModelConfig(ITEMS, 8, 2, 2, 8, **{"dropout": 0.0, **changes}))
    torch.nn.init.normal_(model.project.weight)
    return model


def constant(optimizer):
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)


def test_the_weights_start_by_chance_which_the_seed_decides():
    data = Data(VOCABULARY, some_lists(30), some_lists(9, seed=5))
    first, again, other = (
        train_model.build_model(data, dataclasses.replace(SETTINGS, seed=seed)).item_embedding.weight
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again) and not torch.allclose(first, other, atol=0.001)


def test_a_network_that_answers_alone_starts_from_popularity(monkeypatch):
    monkeypatch.setattr(training_data, "LISTS_TO_ANSWER_ALONE", 30)
    data = Data(VOCABULARY, some_lists(30), some_lists(9, seed=5))
    popular = (torch.from_numpy(data.popularity()) + 0.5).log().log_softmax(0)
    model = train_model.build_model(data, SETTINGS)
    torch.testing.assert_close(model.alone_bias.detach(), popular)
    assert not model.item_bias.any()
    without = train_model.build_model(data, dataclasses.replace(SETTINGS, memory=False))
    torch.testing.assert_close(without.item_bias.detach(), popular)
    fewer = Data(VOCABULARY, some_lists(29), some_lists(9, seed=5))
    assert not train_model.build_model(fewer, SETTINGS).item_bias.any(), "the memory knows it"


def test_scores_of_training_users_are_learnt_beside_the_network(db):
    settings = TrainingSettings(hidden_size=8, num_heads=2, num_layers=1, memory=False)
    data = training_data.load_data(db, settings)
    assert data.scores is not None and 0 < data.scores.people <= len(data.training)
    with Database.open_to_read(db) as database:
        scored = database.scores(data.training.user_ids.tolist())
        rows = [row for row in scored if row[1] in data.vocabulary.anime_ids]  # lists have other anime, too
        means = {anime.anime_id: anime.mean_score for anime in database.anime(data.vocabulary.anime_ids.tolist())}
    assert data.vocabulary.decode(data.scores.items).tolist() == [anime_id for _, anime_id, _ in rows]
    assert data.scores.values.tolist() == [score for _, _, score in rows]
    first = data.vocabulary.anime_ids[0]
    assert data.scores.of_catalogue[0] == pytest.approx(means[first], nan_ok=True)

    model = train_model.build_model(data, settings)
    assert model.predicted_scores.mean.shape == (data.vocabulary.num_items,)
    without = train_model.build_model(dataclasses.replace(data, scores=None), settings)
    assert without.predicted_scores is None
    assert torch.equal(model.item_embedding.weight, without.item_embedding.weight), "no random number was taken"


@pytest.mark.parametrize(("entries", "ratio"), [(-1, 2), (0, 2), (1, 1)])
def test_with_many_entries_the_feed_forward_is_twice_as_wide(monkeypatch, entries, ratio):
    lists = some_lists(30)
    monkeypatch.setattr(training_data, "ENTRIES_FOR_A_WIDE_NETWORK", len(lists.items) + entries)
    layer = train_model.build_model(Data(VOCABULARY, lists, lists), SETTINGS).layers[0]
    assert layer.gate.weight.shape == (ratio * 8, 8)


def test_the_rate_of_an_epoch_is_that_of_its_first_step(db, tmp_path, monkeypatch):
    """37 people in batches of 16 are three steps; of 21 steps in seven epochs one warms up."""
    draw_nothing(monkeypatch)
    assert train_model.main(training_flags(db, tmp_path, "--epochs", 7)) == 0
    metrics = json.loads((tmp_path / "plots/training_metrics.json").read_text())
    assert metrics["summary"]["users_train"] == 37
    assert metrics["learning_rates"] == pytest.approx([0.01, *(0.01 * (21 - step) / 20 for step in range(3, 21, 3))])


def test_what_is_recorded_of_training_is_the_mean_over_what_both_answered_together(monkeypatch):
    """With a learning rate of nothing the weights stay, and so it can be counted again."""
    monkeypatch.setattr(training_data, "LISTS_TO_ANSWER_ALONE", 30)
    data = Data(VOCABULARY, some_lists(30), some_lists(9, seed=5))
    model = train_model.build_model(data, SETTINGS)
    torch.nn.init.normal_(model.project.weight)
    made = list(batches(data.training, data, SETTINGS, 1))
    assert [batch.without_memory for batch in made] == [k % 4 > 0 for k in range(8)]
    optimizer = make_optimizer(model, 0.0)
    result = train_one_epoch(model, DataLoader(made, batch_size=None), optimizer, constant(optimizer), NO_SCALER)
    losses, right = [], []
    for batch in made[::4]:
        logits = model(batch)
        losses += (-logits.log_softmax(1).gather(1, batch.targets[:, None] - 1)[:, 0]).tolist()
        right += (ranks(logits, batch.targets - 1) <= 5).tolist()
    assert result.loss == pytest.approx(np.mean(losses), rel=1e-5)
    assert result.accuracies[5] == pytest.approx(np.mean(right)) and 0 < result.accuracies[5] < 1


def test_the_seed_decides_what_batches_hide():
    data = Data(VOCABULARY, some_lists(30), some_lists(9, seed=5))
    for lists, epoch in ((data.training, 1), (data.validation, None)):
        one, again, other = (
            batches(lists, data, dataclasses.replace(SETTINGS, seed=seed), epoch).dataset[0] for seed in (1, 1, 2)
        )
        assert torch.equal(one.targets, again.targets) and one.seed == again.seed != other.seed


def test_the_hits_of_training_are_those_of_the_logits_before_the_step():
    model, data = small_model(), Data(VOCABULARY, some_lists(30), some_lists(9, seed=5))
    for batch in batches(data.training, data, dataclasses.replace(SETTINGS, memory=False), 1):
        expected = [int((ranks(model(batch).detach(), batch.targets - 1) <= k).sum()) for k in TOP_K]
        assert learn(model, batch, NO_SCALER)[1].tolist() == expected


def test_the_network_alone_learns_and_is_not_recorded():
    data = Data(VOCABULARY, some_lists(8), some_lists(2, seed=5))
    batch = next(iter(batches(data.training, data, SETTINGS, 1)))
    model = small_model(answers_alone=True)
    assert learn(model, batch._replace(without_memory=True), NO_SCALER) is None
    assert model.alone_bias.grad.any() and model.item_bias.grad is None
    loss, hits, count = learn(small_model(), batch, NO_SCALER)
    assert loss > 0 and len(hits) == len(TOP_K) and count == len(batch.targets)


def test_a_share_that_counts_for_nothing_changes_and_tells_nothing():
    data = Data(VOCABULARY, some_lists(8), some_lists(2, seed=5))
    batch = next(iter(batches(data.training, data, SETTINGS, 1)))
    model = small_model()
    assert learn(model, batch._replace(weight=0.0), NO_SCALER) is None
    assert not any(weight.grad.any() for weight in model.parameters() if weight.grad is not None)


def test_no_step_is_longer_than_the_learning_rate():
    """Gradients are clipped to length 1, which a plain step shows."""
    data = Data(VOCABULARY, some_lists(8), some_lists(2, seed=5))
    batch = next(iter(batches(data.training, data, SETTINGS, 1)))
    model = small_model()
    with torch.no_grad():
        model.project.weight.mul_(30)
    learn(model, batch, NO_SCALER)
    of_all = torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])
    assert of_all.norm() > 5
    before = torch.cat([weight.detach().flatten().clone() for weight in model.parameters()])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    train_one_epoch(model, DataLoader([batch], batch_size=None), optimizer, constant(optimizer), NO_SCALER)
    moved = torch.cat([weight.detach().flatten() for weight in model.parameters()]) - before
    assert moved.norm().item() == pytest.approx(0.5, rel=1e-3)


def test_each_step_begins_without_the_gradients_of_the_one_before():
    data = Data(VOCABULARY, some_lists(8), some_lists(2, seed=5))
    first, second = batches(data.training, data, SETTINGS, 1)
    gradients = []
    for steps in ([second], [first, second]):
        model = small_model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        train_one_epoch(model, DataLoader(steps, batch_size=None), optimizer, constant(optimizer), NO_SCALER)
        gradients.append(model.project.weight.grad)
    torch.testing.assert_close(*gradients)


def test_in_validation_nothing_is_dropped_out_and_nothing_learnt():
    data = Data(VOCABULARY, some_lists(8), some_lists(9, seed=5))
    plain, dropping = small_model(), small_model(dropout=0.5)
    dropping.train()
    made = list(batches(data.validation, data, SETTINGS, None))
    before = dropping.project.weight.detach().clone()
    without, with_it = (validate(model, DataLoader(made, batch_size=None)) for model in (plain, dropping))
    assert with_it == without
    assert torch.equal(dropping.project.weight, before)


@pytest.mark.parametrize("unordered", [False, True])
def test_validation_is_the_mean_over_lengths_of_the_means_over_what_is_asked(unordered):
    settings = dataclasses.replace(SETTINGS, mask_prob=0.4)
    data = Data(VOCABULARY, some_lists(8, unordered=unordered), some_lists(9, seed=5, unordered=unordered))
    model, made = small_model(ordered=not unordered), list(batches(data.validation, data, settings, None))
    losses = {"whole": [], "1": [], "3": []}
    for batch in made:
        logs = -model(batch).log_softmax(1)
        for row, wanted in zip(logs, batch.targets.view(len(logs), -1).tolist(), strict=True):
            losses[str(batch.given or "whole")] += [row[item - 1].item() for item in wanted if item != PAD]
    masks = {len(batch.targets) for batch in made if not batch.given}
    assert len(masks) > 1, "a mean over batches would be another number"
    result, means = validate(model, DataLoader(made, batch_size=None)), {k: np.mean(v) for k, v in losses.items()}
    assert result.losses_by_length == pytest.approx(means, rel=1e-5)
    assert result.loss == pytest.approx(np.mean(list(means.values())), rel=1e-5)


def test_errors_of_validation_take_the_masks_of_a_user_together():
    """√(r / (r - 1) Σ (h - p n)²) / Σ n over r users, with h of their n masks right."""
    settings = dataclasses.replace(SETTINGS, mask_prob=0.4)
    data = Data(VOCABULARY, some_lists(8), some_lists(9, seed=5))
    model, made = small_model(), list(batches(data.validation, data, settings, None))
    result = validate(model, DataLoader(made, batch_size=None))
    right, masks = [], []
    for batch in (batch for batch in made if not batch.given):
        hit = ranks(model(batch), batch.targets - 1) <= 5
        for row in range(len(batch.items)):
            of_row = batch.rows == row
            right.append(hit[of_row].sum().item())
            masks.append(of_row.sum().item())
    share = sum(right) / sum(masks)
    error = math.sqrt(sum((h - share * n) ** 2 for h, n in zip(right, masks, strict=True))) / sum(masks)
    assert result.accuracies[5] == pytest.approx(share) and 0 < share < 1
    assert result.errors[5] == pytest.approx(error * math.sqrt(9 / 8))


def test_validated_and_saved_are_the_averaged_weights_and_trained_on_are_the_own(db, tmp_path, monkeypatch):
    """As the run goes, its own weights are looked at: what is recorded belongs to their average."""
    own = []
    real = AveragedWeights.update
    monkeypatch.setattr(
        AveragedWeights,
        "update",
        lambda self, model: (
            own.append({k: v.detach().clone() for k, v in model.named_parameters()}) or real(self, model)
        ),
    )
    draw_nothing(monkeypatch)
    assert train_model.main(training_flags(db, tmp_path, "--epochs", 3, "--lr", 0.1, "--no-memory")) == 0
    model, saved = load_model(tmp_path / "models" / "final_model.pth")
    weight = dict(model.named_parameters())["project.weight"]
    # Averages after 1, 2 and 3 epochs: w1, then 1/4 and 3/4, then 2/5 of that and 3/5.
    first, second, third = (each["project.weight"] for each in own)
    torch.testing.assert_close(weight.detach(), 0.4 * (first / 4 + second * 3 / 4) + 0.6 * third)
    settings = TrainingSettings(val_ratio=0.3, hidden_size=16, num_heads=2, max_seq_len=30, batch_size=16, memory=False)
    data = load_data(db, settings)
    loader = batches(data.validation, data, settings, None)
    assert validate(model, loader).loss == pytest.approx(saved["val_loss"], rel=1e-6)
    model.load_state_dict(own[-1], strict=False)
    assert abs(validate(model, loader).loss / saved["val_loss"] - 1) > 1e-4, "the own weights have another loss"


def test_the_best_model_has_the_averaged_weights_too(db, tmp_path, monkeypatch):
    """If the last epoch is the best, both models are the same one."""
    losses, even = iter([9.0, 3.0, 2.0, 1.0]), dict.fromkeys(TOP_K, 0.1)
    monkeypatch.setattr(train_model, "validate", lambda *_: Result(next(losses), even, even))
    draw_nothing(monkeypatch)
    assert train_model.main(training_flags(db, tmp_path, "--epochs", 3)) == 0
    (best, of_best), (final, _) = (load_model(tmp_path / "models" / f"{name}_model.pth") for name in ("best", "final"))
    assert of_best["epoch"] == 3
    for one, other in zip(best.parameters(), final.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("patience", "losses", "best"),
    [(2, [3.0, 2.0, 2.5, 2.1], 2), (3, [3.0, 2.0, 2.5, 2.1, 1.9, 2.0, 2.0, 1.9], 5), (0, [2.0, *[3.0] * 7], 1)],
)
def test_so_many_epochs_without_a_lower_loss_end_the_run(db, tmp_path, monkeypatch, patience, losses, best):
    """The run would have eight epochs; it ends after the last of `losses`."""
    to_come, even = iter([9.0, *losses]), dict.fromkeys(TOP_K, 0.1)
    monkeypatch.setattr(train_model, "validate", lambda *_: Result(next(to_come), even, even))
    monkeypatch.setattr(train_model, "train_one_epoch", lambda *_: Result(3.0, even))
    draw_nothing(monkeypatch)
    assert train_model.main(training_flags(db, tmp_path, "--epochs", 8, "--patience", patience)) == 0
    last, at_best = (load_model(tmp_path / "models" / f"{name}_model.pth")[1]["epoch"] for name in ("final", "best"))
    assert (last, at_best) == (len(losses), best)


def test_an_evaluation_stays_while_the_model_that_it_is_of_is_the_best(db, tmp_path, monkeypatch):
    """One is written in each epoch. The first two epochs are better than what was before, and the others are not."""
    to_come, even = iter([9.0, 3.0, 2.0, 2.5, 2.1]), dict.fromkeys(TOP_K, 0.1)
    evaluation, found = tmp_path / "evaluation.json", []

    def train_one_epoch(*_):
        found.append(evaluation.exists())
        evaluation.write_text("{}")
        return Result(3.0, even)

    monkeypatch.setattr(train_model, "validate", lambda *_: Result(next(to_come), even, even))
    monkeypatch.setattr(train_model, "train_one_epoch", train_one_epoch)
    draw_nothing(monkeypatch)
    assert train_model.main(training_flags(db, tmp_path, "--epochs", 4)) == 0
    assert found == [False, False, False, True] and evaluation.exists()


def test_no_epoch_is_worse_than_the_memory_alone(db, tmp_path, monkeypatch):
    """A learning rate at which the network only harms: then it has no say, and what is saved ranks as the memory."""
    draw_nothing(monkeypatch)
    alone = []
    real = train_model.validate
    monkeypatch.setattr(train_model, "validate", lambda *args: alone.append(real(*args)) or alone[-1])
    assert train_model.main(training_flags(db, tmp_path, "--epochs", 3, "--lr", 0.3)) == 0
    model, saved = load_model(tmp_path / "models" / "best_model.pth")
    metrics = json.loads((tmp_path / "plots" / "training_metrics.json").read_text())
    assert max(metrics["val_losses"]) <= alone[0].loss
    settings = TrainingSettings(val_ratio=0.3, hidden_size=16, num_heads=2, max_seq_len=30, batch_size=16)
    data = load_data(db, settings)
    assert validate(model, batches(data.validation, data, settings, None)).loss == pytest.approx(saved["val_loss"])
    model.silence_network()
    loss = validate(model, batches(data.validation, data, settings, None)).loss
    assert loss == pytest.approx(alone[0].loss, rel=1e-6)
    for batch in batches(data.validation, data, settings, None):
        assert torch.equal(model(batch), model.memory(batch))


def test_a_network_that_harms_is_silenced_though_the_gate_lets_it_speak(db, tmp_path, monkeypatch):
    """Here the gate is not fitted, but open: what is saved ranks as the memory, with its loss."""
    draw_nothing(monkeypatch)
    monkeypatch.setattr(TrainingRun, "fit_gate", lambda run, _: run.model.gate.values.fill_(1.0))
    assert train_model.main(training_flags(db, tmp_path, "--epochs", 2, "--lr", 0.3)) == 0
    model, saved = load_model(tmp_path / "models" / "best_model.pth")
    settings = TrainingSettings(val_ratio=0.3, hidden_size=16, num_heads=2, max_seq_len=30, batch_size=16)
    data = load_data(db, settings)
    for batch in batches(data.validation, data, settings, None):
        assert torch.equal(model(batch), model.memory(batch))
    metrics = json.loads((tmp_path / "plots" / "training_metrics.json").read_text())
    assert metrics["val_losses"] == [saved["val_loss"]] * 2


def test_a_loss_of_twenty_times_what_knowing_nothing_costs_is_too_much():
    nothing = math.log(ITEMS + 1)
    fine, bad = Result(19.9 * nothing, {}), Result(20.1 * nothing, {})
    check_sane(fine, fine, ITEMS, 1, 0.1)
    for trained, validated in ((bad, fine), (fine, bad), (fine, Result(math.nan, {})), (Result(math.inf, {}), fine)):
        with pytest.raises(train_model.TrainingFailed, match="in epoch 7 at learning rate"):
            check_sane(trained, validated, ITEMS, 7, 0.1)
