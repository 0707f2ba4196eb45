"""What is said of a training run: training_config.json, the first lines of its log, and the summary at its end."""

from __future__ import annotations

import dataclasses
import logging
import os
import platform
import sys
from datetime import datetime
from typing import Any

import numpy as np
import torch

from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.masked_metrics import TOP_K
from anime_bert4rec.model.training_data import Data, batches
from anime_bert4rec.training.history import History
from anime_bert4rec.training.masked_baselines import baseline_accuracies
from anime_bert4rec.training.processes import world
from config import PathSettings, TrainingSettings

log = logging.getLogger(__name__)


def describe_run(
    data: Data, settings: TrainingSettings, paths: PathSettings, config: ModelConfig, started: datetime
) -> dict[str, Any]:
    """Every setting of the run, and what is needed to repeat it: the content of training_config.json."""
    return {
        **dataclasses.asdict(settings),
        "model": config.as_dict(),
        "database": str(paths.database_file),
        "data_fingerprint": data.fingerprint(),
        "started": started.isoformat(timespec="seconds"),
        "command": sys.argv,
        "processes": world(),
        "threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "platform": platform.platform(),
        },
    }


def describe_data(data: Data, settings: TrainingSettings) -> dict[str, Any]:
    return {
        "users_train": len(data.training),
        "users_val": len(data.validation),
        "num_items": data.vocabulary.num_items,
        "entries": len(data.training.items) + len(data.validation.items),
        "baselines": baseline_accuracies(data, batches(data.validation, data, settings, None)),
    }


def summarise(history: History) -> str:
    """How good the best epoch was, beside popularity and the best baseline, within 80 columns."""
    best = history.best_epoch
    baselines = history.facts["baselines"]
    rows = {"this model": {str(k): history.val_accuracies[k][best - 1] for k in TOP_K}}
    for name in ("popularity", max(baselines, key=lambda name: baselines[name]["10"])):
        rows[name] = baselines[name]
    return "\n".join(
        (
            f"Best of {history.epochs_done} epochs: {best}, validation loss {history.val_losses[best - 1]:.4f}.",
            "",
            f"Right at masked positions of the {history.facts['users_val']:,} validation users, in %:",
            f"                 {'  '.join(f'top-{k:<2}' for k in TOP_K)}",
            *(
                f"  {name:<13}{'  '.join(f'{100 * accuracies[str(k)]:6.1f}' for k in TOP_K)}"
                for name, accuracies in rows.items()
            ),
        )
    )


def where_everything_is(paths: PathSettings) -> str:
    """What the run has left, as far as it is there, and what to run next. The folder has a line of its own."""
    made = (
        (paths.models / "best_model.pth", "the model, at its lowest validation loss"),
        (paths.models / "item_mappings.pkl", "its items: AniList ids and their indices"),
        (paths.plots / "combined_metrics.png", "the training at a glance; more plots beside it"),
        (paths.plots / "ranking_comparison.png", "the model beside baselines"),
        (paths.evaluation_file, "… in numbers"),
        (paths.training_log, "the log, with each epoch in full"),
    )
    lines = [f"  {os.path.relpath(path, paths.output):<28}  {what}" for path, what in made if path.exists()]
    who = "sandbox0001" if paths.sandbox else "NAME"
    return "\n".join(
        ("", f"All of it is in {paths.output}:", *lines, "", f"Next: python recommend.py{paths.flags} --user {who}")
    )


def log_start(data: Data, started: datetime) -> None:
    log.info("==== Run of %s ====", started.isoformat(sep=" ", timespec="seconds"))
    log.info(
        "%d users to train on, %d to validate on, %d anime, %d entries.",
        len(data.training),
        len(data.validation),
        data.vocabulary.num_items,
        len(data.training.items) + len(data.validation.items),
    )


def log_model(model: BERT4Rec, settings: TrainingSettings, device: torch.device) -> None:
    if world() > 1:
        log.info("%d processes, each with its share of every batch.", world())
    log.info(
        "BERT4Rec: %s weights, hidden size %d, %d layers, %d heads, length %d.",
        f"{sum(p.numel() for p in model.parameters()):,}",
        settings.hidden_size,
        settings.num_layers,
        settings.num_heads,
        settings.max_seq_len,
    )
    if model.config.answers_alone:
        log.info("With so many lists in order, the network also learns to answer without the item memory.")
    threads = torch.get_num_threads()
    on_cpu = f"the CPU, {threads} thread{'s' if threads != 1 else ''}"
    name = torch.cuda.get_device_name() if device.type == "cuda" else on_cpu
    log.info("Training on %s.", name)
