"""What is said of a training run: training_config.json, the first lines of its log, and the summary at its end."""

from __future__ import annotations

import logging
import os
import platform
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anime_bert4rec.lists.people import ENOUGH_PEOPLE
from anime_bert4rec.lists.sequences import BULK_DAY
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.run_folder import (
    BEST_MODEL,
    COMBINED_METRICS,
    ITEM_MAPPINGS,
    RANKING_COMPARISON,
    REPORT_PAGE,
    TOP_K,
    RunFolder,
)
from anime_bert4rec.model.training_data import Data
from anime_bert4rec.support.text import count_of, count_people
from anime_bert4rec.training.epoch_metrics import EpochMetrics
from anime_bert4rec.training.processes import world

log = logging.getLogger(__name__)


def describe_run(
    settings: Mapping[str, Any], data: Data, database_file: Path, config: ModelConfig, started: datetime
) -> dict[str, Any]:
    """Every setting of the run, and what is needed to repeat it: the content of training_config.json."""
    return {
        **settings,
        "model": config.as_dict(),
        "database": str(database_file),
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


def describe_data(data: Data, baselines: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """What the run learns from and is validated on. baselines: how they do in validation (`baseline_accuracies`)."""
    return {
        "users_train": len(data.training),
        "users_val": len(data.validation),
        "validated_on": data.held_out_people(),
        "num_items": data.vocabulary.num_items,
        "entries": len(data.training.items) + len(data.validation.items),
        "baselines": baselines,
    }


def summarise(metrics: EpochMetrics) -> str:
    """How good the best epoch was, beside popularity and the best baseline, in at most five lines of 80 columns."""
    best, people = metrics.best_epoch, metrics.facts["users_val"]
    loss, done = f"{metrics.val_losses[best - 1]:.4f}", count_of(metrics.epochs_done, "epoch")
    says = f"Best of {done}: {best}, validation loss {loss} on {count_people(people)}."
    if people < ENOUGH_PEOPLE:
        return f"{says}\nSo few people to validate on: nothing can be told of how good that is."
    baselines = metrics.facts["baselines"]
    rows = {"this model": {str(k): metrics.val_accuracies[k][best - 1] for k in TOP_K}}
    for name in ("popularity", max(baselines, key=lambda name: baselines[name]["10"])):
        rows[name] = baselines[name]
    table = [
        f"  {name:<32}{'  '.join(f'{100 * accuracies[str(k)]:6.1f}' for k in TOP_K)}"
        for name, accuracies in rows.items()
    ]
    head = f"{'Right at masked positions, in %:':<34}{'  '.join(f'top-{k:<2}' for k in TOP_K)}"
    return "\n".join((says, head, *table))


def where_everything_is(folder: RunFolder, training_log: Path, next_command: str, *, each_file: bool = False) -> str:
    """Lines: where the run has left what it made, and what to run next; with `each_file`, each file by its name."""
    made = (
        (folder.models / BEST_MODEL, "the model, at its lowest validation loss"),
        (folder.models / ITEM_MAPPINGS, "its items: AniList ids and their indices"),
        (folder.report_page, "all of it on a page, to open in a browser"),
        (folder.plots / COMBINED_METRICS, "the training at a glance; more plots beside it"),
        (folder.plots / RANKING_COMPARISON, "the model beside baselines"),
        (folder.evaluation_text, "the same in tables"),
        (folder.evaluation_file, "the same for programs"),
        (training_log, "the log, with each epoch in full"),
    )
    there = {os.path.relpath(path, folder.output): what for path, what in made if path.exists()}
    if each_file:
        files = [f"  {path:<28}  {what}" for path, what in there.items()]
    else:
        parts = ["model in models/", f"a page: {REPORT_PAGE}" if folder.report_page.exists() else "pictures in plots/"]
        if folder.evaluation_text.exists():
            parts.append(f"the whole evaluation in {folder.evaluation_text.name}")
        files = [f"  {', '.join(parts)}"]
    return "\n".join((f"All of it is in {folder.output}:", *files, f"Next: {next_command}"))


def log_start(data: Data, started: datetime) -> None:
    """The first lines of a run: when, and on what data."""
    log.info("==== Run of %s ====", started.isoformat(sep=" ", timespec="seconds"))
    log.info(
        "%s to train on, %s to validate on, %s anime, %s entries.",
        count_of(len(data.training), "user"),
        f"{len(data.validation):,}",
        f"{data.vocabulary.num_items:,}",
        f"{len(data.training.items) + len(data.validation.items):,}",
    )
    if not data.ordered:
        log.info(
            "Without an order: most entries have no date or are among %d or more of one day, as after an import.",
            BULK_DAY,
        )


def log_model(model: BERT4Rec) -> None:
    """What is trained, and on which device."""
    config, device = model.config, model.item_bias.device
    if world() > 1:
        log.info("%d processes, each with its share of every batch.", world())
    log.info(
        "BERT4Rec: %s weights, hidden size %d, %d layers, %d heads, length %d.",
        f"{sum(p.numel() for p in model.parameters()):,}",
        config.hidden_size,
        config.num_layers,
        config.num_heads,
        config.max_seq_len,
    )
    if model.config.answers_alone:
        log.info("With so many lists in order, the network also learns to answer without the item memory.")
    threads = torch.get_num_threads()
    on_cpu = f"the CPU, {count_of(threads, 'thread')}"
    name = torch.cuda.get_device_name() if device.type == "cuda" else on_cpu
    low = model.project.low
    numbers = "" if low is None else f", matrices multiplied in {str(low).removeprefix('torch.')}"
    log.info("Training on %s%s.", name, numbers)
