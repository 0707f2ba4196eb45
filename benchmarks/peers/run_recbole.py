"""RecBole's BERT4Rec with its own trainer. Started by compare.py in benchmarks/.venvs/recbole.

Two things are not as shipped, both in its favour. Importing any of RecBole's sequential models switches on autograd's
anomaly detection (sine.py), which makes training half as slow again: it is off. And half of its samples mask the last
item only, on which it stays at the level of popularity here: `--ft-ratio`, 0.5 as shipped, is 0.
"""

from __future__ import annotations

import argparse
import copy
import logging
import sys
import tempfile
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

import numpy as np
import recbole
import torch
from contender import Batches, Run, parse, peak_memory_mb, rank_batches, seconds_of
from interactions import LeaveOneOut
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed

from anime_bert4rec.evaluation.ranking import best_of
from anime_bert4rec.lists.sequences import Sequences


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ft-ratio", type=float, default=0.0)
    args, split = parse(parser)
    sys.argv = sys.argv[:1]  # RecBole reads the command line too
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), split, args.max_len)
        config = Config(model="BERT4Rec", dataset="d", config_dict=settings(args, split, folder))
        logging.disable(logging.WARNING)
        init_seed(args.seed, reproducibility=True)
        dataset = create_dataset(config)
        training, validation, test = data_preparation(config, dataset)
        init_seed(args.seed, reproducibility=True)
        model = get_model("BERT4Rec")(config, training._dataset)
        trainer = get_trainer(config["MODEL_TYPE"], "BERT4Rec")(config, model)
        torch.autograd.set_detect_anomaly(False)

        item_of = dataset.id2token("item_id", np.arange(1, dataset.item_num)).astype(int)
        user_of = np.concatenate([[-1], dataset.id2token("user_id", np.arange(1, dataset.user_num)).astype(int)])

        def scores_of(loader) -> Batches:
            model.eval()
            with torch.no_grad():
                for batch in loader:
                    by_id = model.full_sort_predict(batch[0])[:, 1:]  # without the padding item
                    scores = np.empty(by_id.shape, np.float32)
                    scores[:, item_of - 1] = by_id.numpy()
                    yield user_of[batch[0]["user_id"].numpy()], scores

        run = Run(args, split, recbole.__version__, sum(p.numel() for p in model.parameters()))
        while not run.finished():
            with run.epoch():
                trainer._train_epoch(training, len(run.seconds))
            if run.due():
                ranks = rank_batches(scores_of(validation), split.training, split.validation_items)
                run.validated(ranks, lambda: copy.deepcopy(model.state_dict()))
        peak = peak_memory_mb()

        model.load_state_dict(run.best_weights)
        top_10_seconds = seconds_of(
            lambda: [best_of(scores, split.known.select(users), 10) for users, scores in scores_of(test)]
        )
        ranks = rank_batches(scores_of(test), split.known, split.test_items)
        run.report(ranks, top_10_seconds, peak, ft_ratio=args.ft_ratio)


def settings(args: argparse.Namespace, split: LeaveOneOut, folder: str) -> dict:
    return {
        # One sequence a user and epoch, as the others have; of itself RecBole trains on every prefix of each list.
        "benchmark_filename": ["train", "valid", "test"],
        "alias_of_item_id": ["item_id_list"],
        "load_col": {"inter": ["user_id", "item_id_list", "item_id"], "item": ["item_id"]},
        "data_path": folder,
        "checkpoint_dir": folder,
        "USER_ID_FIELD": "user_id",
        "ITEM_ID_FIELD": "item_id",
        "LIST_SUFFIX": "_list",
        "ITEM_LIST_LENGTH_FIELD": "item_length",
        "MAX_ITEM_LIST_LENGTH": args.max_len,
        "hidden_size": args.hidden,
        "inner_size": 4 * args.hidden,
        "n_layers": args.layers,
        "n_heads": args.heads,
        "hidden_dropout_prob": args.dropout,
        "attn_dropout_prob": args.dropout,
        "mask_ratio": args.mask_prob,
        "ft_ratio": args.ft_ratio,
        "loss_type": "CE",
        "train_neg_sample_args": None,
        "learning_rate": args.lr,
        "train_batch_size": args.batch,
        "eval_batch_size": 256 * split.num_items,  # RecBole divides it by the number of items
        "epochs": args.epochs,
        "seed": args.seed,
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
        "use_gpu": False,
        "gpu_id": "",
        "state": "WARNING",
        "show_progress": False,
        "save_dataset": False,
        "save_dataloaders": False,
    }


def write_files(folder: Path, split: LeaveOneOut, max_len: int) -> None:
    """RecBole's benchmark files: a list and the item to predict after it, one user a line."""
    (folder / "d").mkdir()
    every_item = "\n".join(map(str, range(1, split.num_items + 1)))
    (folder / "d" / "d.item").write_text(f"item_id:token\n{every_item}\n")
    training, known = split.training, split.known
    last_of_training = training.items[training.offsets[1:] - 1]  # a column that training doesn't use
    write_part(folder / "d" / "d.train.inter", training, last_of_training, max_len)
    write_part(folder / "d" / "d.valid.inter", training, split.validation_items, max_len)
    write_part(folder / "d" / "d.test.inter", known, split.test_items, max_len)


def write_part(path: Path, histories: Sequences, targets: np.ndarray, max_len: int) -> None:
    lines = ["user_id:token\titem_id_list:token_seq\titem_id:token"]
    for user, target in enumerate(targets):
        lines.append(f"{user}\t{' '.join(map(str, histories.of_user(user)[-max_len:]))}\t{target}")
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
