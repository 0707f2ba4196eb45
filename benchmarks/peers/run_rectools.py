"""RecTools' BERT4RecModel, as it comes. Started by compare.py in benchmarks/.venvs/rectools."""

from __future__ import annotations

import copy
import logging
import warnings
from importlib.metadata import version

warnings.filterwarnings("ignore")
for name in ("pytorch_lightning", "pytorch_lightning.utilities.rank_zero"):
    logging.getLogger(name).setLevel(logging.ERROR)

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from contender import Run, parse, peak_memory_mb, rank_lists, seconds_of
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import BERT4RecModel

from anime_bert4rec.evaluation.ranking import Ranks
from anime_bert4rec.lists.sequences import Sequences

LISTED = 11  # one more than is counted: see rank_lists


def main() -> None:
    args, split = parse()
    torch.set_num_threads(args.threads)
    pl.seed_everything(args.seed, verbose=False)
    training, known = dataset(split.training), dataset(split.known)
    run = Run(args, split, version("rectools"))

    class Clock(pl.Callback):
        def on_train_epoch_start(self, *_) -> None:
            run.epoch_starts()

        def on_train_epoch_end(self, trainer: pl.Trainer, *_) -> None:
            run.epoch_ends()
            trainer.should_stop = run.finished()

    def trainer() -> pl.Trainer:
        return pl.Trainer(
            max_epochs=1,
            accelerator="gpu" if args.device == "cuda" else "cpu",
            devices=1,
            precision=args.peer_precision,
            callbacks=[Clock()],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
        )

    model = BERT4RecModel(
        n_factors=args.hidden,
        n_blocks=args.layers,
        n_heads=args.heads,
        session_max_len=args.max_len,
        dropout_rate=args.dropout,
        mask_prob=args.mask_prob,
        loss="softmax",
        lr=args.lr,
        batch_size=args.batch,
        get_trainer_func=trainer,
        recommend_torch_device=args.device,
    )

    while not run.finished():
        epochs = min(args.eval_every, args.epochs - len(run.seconds))
        model.fit_partial(training, min_epochs=1, max_epochs=epochs)
        ranks = ranks_by(model, training, split.validation_items)
        run.validated(ranks, lambda: copy.deepcopy(model.torch_model.state_dict()))
    peak = peak_memory_mb()
    run.parameters = sum(p.numel() for p in model.torch_model.parameters())

    model.torch_model.load_state_dict(run.best_weights)
    top_10_seconds = seconds_of(lambda: recommend(model, known, len(split.test_items), 10))
    run.report(ranks_by(model, known, split.test_items), top_10_seconds, peak)


def dataset(sequences: Sequences) -> Dataset:
    """The row number stands for the time, so that RecTools sees the order that all others see."""
    rows = np.arange(len(sequences.items))
    users = np.repeat(np.arange(len(sequences)), sequences.lengths)
    columns = {Columns.User: users, Columns.Item: sequences.items, Columns.Weight: 1.0}
    return Dataset.construct(pd.DataFrame({**columns, Columns.Datetime: pd.to_datetime(rows, unit="s")}))


def recommend(model: BERT4RecModel, histories: Dataset, num_users: int, k: int) -> pd.DataFrame:
    return model.recommend(users=np.arange(num_users), dataset=histories, k=k, filter_viewed=True)


def ranks_by(model: BERT4RecModel, histories: Dataset, targets: np.ndarray) -> Ranks:
    listed = recommend(model, histories, len(targets), LISTED)
    at = (listed[Columns.User].to_numpy(), listed[Columns.Rank].to_numpy() - 1)
    items = np.zeros((len(targets), LISTED), np.int64)
    scores = np.full((len(targets), LISTED), -np.inf)
    items[at], scores[at] = listed[Columns.Item].to_numpy(), listed[Columns.Score].to_numpy()
    return rank_lists(items, scores, targets)


if __name__ == "__main__":
    main()
