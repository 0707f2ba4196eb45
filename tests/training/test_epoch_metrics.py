"""What is recorded of epochs, and which is the best, by hand; and what an epoch adds up."""

from __future__ import annotations

import pytest
import torch

from anime_bert4rec.model.masked_metrics import squares_of_rows
from anime_bert4rec.model.run_folder import TOP_K
from anime_bert4rec.training.epoch_metrics import EpochMetrics, Result, Totals, check_measured


def metrics_of(*losses: float) -> EpochMetrics:
    """Top-k accuracies of epoch e are e / 100, e / 100 + 0.1, …"""
    metrics = EpochMetrics(9, {"num_items": 7})
    for epoch, loss in enumerate(losses, 1):
        accuracies = {k: epoch / 100 + place / 10 for place, k in enumerate(TOP_K)}
        metrics.record(
            Result(loss + 1, accuracies), Result(loss, accuracies, dict.fromkeys(TOP_K, 0.01)), 0.001 / epoch, 2.0
        )
    return metrics


def test_the_best_epoch_has_the_lowest_loss_and_is_the_first_of_equals():
    assert metrics_of(3.0, 2.0, 2.5, 2.0).best_epoch == 2
    assert metrics_of(3.0, 2.0, 2.5, 1.0).best_epoch == 4
    assert [metrics_of(*losses).is_best() for losses in ([3.0, 2.0], [2.0, 2.0], [2.0, 3.0])] == [True, False, False]


def test_epochs_without_gain_are_those_since_the_best():
    assert metrics_of().epochs_without_gain == 0
    assert metrics_of(2.0).epochs_without_gain == 0
    assert metrics_of(3.0, 2.0, 2.5, 2.0).epochs_without_gain == 2


def test_the_summary_is_of_the_best_epoch():
    summary = metrics_of(3.0, 2.5, 2.0, 2.25).as_dict()["summary"]
    assert (summary["best_epoch"], summary["best_val_loss"]) == (3, 2.0)
    assert summary["best_val_accuracies"] == pytest.approx({"1": 0.03, "5": 0.13, "10": 0.23, "20": 0.33})
    assert (summary["epochs_done"], summary["epochs_planned"], summary["total_seconds"]) == (4, 9, 8.0)
    assert summary["num_items"] == 7


def test_the_line_of_an_epoch():
    line = metrics_of(3.0, 2.0, 2.5).line()
    assert line.startswith("3/9   loss 3.5000 val 2.5000 | top-1/5/10/20 %  3.0 13.0 23.0 33.0 val  3.0 13.0")
    assert "lr 3.3e-04" in line and "2.0 s, 12.0 s left" in line, "six epochs of two seconds"
    assert metrics_of(3.0, 2.0).line().startswith("2/9 * loss")


def test_an_epoch_is_the_mean_over_positions_and_not_over_batches():
    totals = Totals(torch.device("cpu"))
    totals.add(torch.tensor(2.0), torch.tensor([0, 1, 2, 3]), 3)
    totals.add(torch.tensor(4.0), torch.tensor([1, 1, 1, 1]), 1)
    result = totals.result()
    assert result.loss == pytest.approx((3 * 2 + 1 * 4) / 4)
    assert result.accuracies == {1: 1 / 4, 5: 2 / 4, 10: 3 / 4, 20: 4 / 4}


def test_an_epoch_of_validation_is_the_mean_over_lengths_that_were_asked():
    totals = Totals(torch.device("cpu"), (0, 1, 30))
    totals.add(torch.tensor(2.0), torch.tensor([0, 1, 2, 3]), 3)
    totals.add(torch.tensor(4.0), None, 1, given=1)
    totals.add(torch.tensor(7.0), None, 2, given=1)
    result = totals.result()
    assert result.losses_by_length == {"whole": 2.0, "1": 6.0} and result.loss == 4.0
    assert result.accuracies == {1: 0, 5: 1 / 3, 10: 2 / 3, 20: 1}, "only where lists are shown whole"


def test_the_loss_of_each_length_is_kept_and_restored():
    metrics, again = EpochMetrics(9, {}), EpochMetrics(9, {})
    accuracies = dict.fromkeys(TOP_K, 0.5)
    for _ in range(2):
        result = Result(2.0, accuracies, accuracies, {"whole": 1.0, "3": 3.0})
        metrics.record(result, result, 0.001, 2.0)
    again.restore(metrics.measured())
    assert again.as_dict()["val_losses_by_length"] == {"whole": [1.0, 1.0], "3": [3.0, 3.0]}
    check_measured(again.measured(), 2)


def test_errors_are_over_the_users_of_all_batches():
    """Two users of two positions each, one all right, one all wrong: 1 / 2, as in test_masked_metrics.py."""
    totals = Totals(torch.device("cpu"))
    for hits in (2, 0):
        totals.add(torch.tensor(1.0), torch.tensor([hits] * 4), 2)
        totals.squares += squares_of_rows(torch.tensor([[float(hits)] * 4 + [2.0]], dtype=torch.float64))
    assert totals.result().errors == pytest.approx(dict.fromkeys(TOP_K, 0.5))
