"""RePlay's Bert4Rec, with logits at the masked positions only. Started by compare.py in benchmarks/.venvs/replay."""

from __future__ import annotations

import copy
import logging
import warnings
from importlib.metadata import version

warnings.filterwarnings("ignore")

import lightning
import numpy as np
import pandas as pd
import torch
from contender import Batches, Run, parse, peak_memory_mb, rank_batches, seconds_of
from replay.data import Dataset, FeatureHint, FeatureInfo, FeatureSchema, FeatureSource, FeatureType
from replay.data.nn import SequenceTokenizer, TensorFeatureInfo, TensorFeatureSource, TensorSchema
from replay.models.nn.optimizer_utils import FatOptimizerFactory
from replay.models.nn.sequential import Bert4Rec
from replay.models.nn.sequential.bert4rec import Bert4RecPredictionDataset, Bert4RecTrainingDataset
from torch.utils.data import DataLoader

from anime_bert4rec.evaluation.ranking import best_of
from anime_bert4rec.lists.sequences import Sequences

for name in ("lightning.pytorch", "lightning", "lightning.pytorch.utilities.rank_zero"):
    logging.getLogger(name).setLevel(logging.ERROR)

FEATURES = FeatureSchema(
    [
        FeatureInfo(column="user_id", feature_hint=FeatureHint.QUERY_ID, feature_type=FeatureType.CATEGORICAL),
        FeatureInfo(column="item_id", feature_hint=FeatureHint.ITEM_ID, feature_type=FeatureType.CATEGORICAL),
        FeatureInfo(column="timestamp", feature_hint=FeatureHint.TIMESTAMP, feature_type=FeatureType.NUMERICAL),
    ]
)


def main() -> None:
    args, split = parse()
    torch.set_num_threads(args.threads)
    lightning.seed_everything(args.seed, verbose=False)
    schema = TensorSchema(
        TensorFeatureInfo(
            name="item_id_seq",
            is_seq=True,
            feature_type=FeatureType.CATEGORICAL,
            embedding_dim=args.hidden,
            padding_value=0,
            feature_sources=[TensorFeatureSource(FeatureSource.INTERACTIONS, "item_id")],
            feature_hint=FeatureHint.ITEM_ID,
        )
    )
    tokenizer = SequenceTokenizer(schema, allow_collect_to_master=True)
    tokenizer.fit(dataset(split.whole))  # which items there are, no more
    training, known = tokenizer.transform(dataset(split.training)), tokenizer.transform(dataset(split.known))
    item_of = in_order_of_ids(tokenizer.item_id_encoder.inverse_mapping["item_id"])
    user_of = in_order_of_ids(tokenizer.query_id_encoder.inverse_mapping["user_id"])

    model = Bert4Rec(
        schema,
        hidden_size=args.hidden,
        block_count=args.layers,
        head_count=args.heads,
        max_seq_len=args.max_len,
        dropout_rate=args.dropout,
        loss_type="CE_restricted",
        optimizer_factory=FatOptimizerFactory(learning_rate=args.lr),
    )
    masked = Bert4RecTrainingDataset(training, max_sequence_length=args.max_len, mask_prob=args.mask_prob)
    loader = DataLoader(masked, batch_size=args.batch, shuffle=True)
    run = Run(args, split, version("replay-rec"), sum(p.numel() for p in model.parameters()))

    def scores_of(histories) -> Batches:
        model.eval()
        with torch.no_grad():
            for batch in DataLoader(Bert4RecPredictionDataset(histories, args.max_len), batch_size=256):
                by_id = model.predict(batch)
                scores = np.full((len(by_id), split.num_items), -np.inf, np.float32)
                scores[:, item_of - 1] = by_id.numpy()
                yield user_of[batch["query_id"].view(-1).numpy()], scores
        model.train()

    class Clock(lightning.Callback):
        def on_train_epoch_start(self, *_) -> None:
            run.epoch_starts()

        def on_train_epoch_end(self, trainer: lightning.Trainer, *_) -> None:
            run.epoch_ends()
            if run.due():
                ranks = rank_batches(scores_of(training), split.training, split.validation_items)
                run.validated(ranks, lambda: copy.deepcopy(model.state_dict()))
            trainer.should_stop = run.finished()

    lightning.Trainer(
        max_epochs=args.epochs,
        accelerator="cpu",
        devices=1,
        precision=args.peer_precision,
        callbacks=[Clock()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(model, loader)
    peak = peak_memory_mb()

    model.load_state_dict(run.best_weights)
    top_10_seconds = seconds_of(
        lambda: [best_of(scores, split.known.select(users), 10) for users, scores in scores_of(known)]
    )
    run.report(rank_batches(scores_of(known), split.known, split.test_items), top_10_seconds, peak)


def dataset(sequences: Sequences) -> Dataset:
    """The row number stands for the time, so that RePlay sees the order that all others see."""
    users = np.repeat(np.arange(len(sequences)), sequences.lengths)
    columns = {"user_id": users, "item_id": sequences.items, "timestamp": np.arange(len(users))}
    return Dataset(feature_schema=FEATURES, interactions=pd.DataFrame(columns), categorical_encoded=False)


def in_order_of_ids(inverse_mapping: dict[int, int]) -> np.ndarray:
    return np.array([inverse_mapping[k] for k in range(len(inverse_mapping))])


if __name__ == "__main__":
    main()
