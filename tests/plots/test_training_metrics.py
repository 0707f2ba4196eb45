"""What bad metrics are answered with."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from made_up_runs import run

from anime_bert4rec.plots.training_metrics import read_metrics
from anime_bert4rec.support.errors import UserError
from visualize import plot_all


@pytest.mark.parametrize("key", ["train_losses", "val_losses", "train_accuracies", "val_accuracies"])
def test_a_missing_key_is_named(key: str) -> None:
    metrics = run(3)
    del metrics[key]
    with pytest.raises(UserError, match=f"^metrics: the file's {key} is missing; it must be"):
        plot_all(metrics, Path("never-made"))


HOSTILE = [
    (["train_losses"], "abc", "train_losses is not a list"),
    (["train_losses"], {"1": 2}, "train_losses is not a list"),
    (["val_losses"], [1.0, "\x1b[31m2"], "val_losses is not a number"),
    (["val_losses"], [True], "val_losses is not a number"),
    (["val_losses"], [[1.0]], "val_losses is not a number"),
    (["learning_rates"], "fast", "learning_rates is not a list"),
    (["train_accuracies"], [0.5], "train_accuracies is not a table of names and values"),
    (["val_accuracies", "10"], 0.5, "val_accuracies is not a list"),
    (["val_accuracies", "20"], [85.0], "val_accuracies holds a number that is not between 0 and 1"),
    (["val_accuracies", "1"], [-0.1], "val_accuracies holds a number that is not between 0 and 1"),
    (["summary"], "good", "summary is not a table of names and values"),
    (["summary", "best_epoch"], "17", "summary.best_epoch is not a whole number"),
    (["summary", "best_epoch"], 1.5, "summary.best_epoch is not a whole number"),
    (["summary", "best_epoch"], True, "summary.best_epoch is not a whole number"),
    (["summary", "users_train"], -1, "summary.users_train is negative or too large"),
    (["summary", "num_items"], 10**5000, "summary.num_items is negative or too large"),
    (["summary", "baselines"], [1], "summary.baselines is not a table of names and values"),
    (["summary", "baselines", "popularity"], 0.1, "summary.baselines.popularity is not a table of names and values"),
    (["summary", "baselines", "popularity", "10"], 9.4, "summary.baselines holds a number that is not between 0 and 1"),
    (["summary", "baselines", "popularity", "10"], [], "summary.baselines.popularity is not a number"),
]


@pytest.mark.parametrize(("path", "value", "message"), HOSTILE, ids=[f"{h[0][-1]}-{i}" for i, h in enumerate(HOSTILE)])
def test_wrong_types_are_named(path: list[str], value: Any, message: str) -> None:
    metrics = copy.deepcopy(run(3))
    place = metrics
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(UserError) as caught:
        read_metrics(metrics)
    assert str(caught.value) == f"metrics: the file's {message}; it must be a training_metrics.json of train_model.py"


@pytest.mark.parametrize("key", ["best_epoch", "users_val", "num_items", "epochs_done", "baselines"])
def test_null_is_as_good_as_missing_in_the_summary(key: str) -> None:
    metrics = run(3)
    metrics["summary"][key] = None
    read_metrics(metrics)
    read_metrics(run(3, summary=None))
