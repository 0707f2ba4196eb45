"""A trained model as a scorer of what comes next, for ranking.py and whoever wants recommendations."""

from __future__ import annotations

import numpy as np
import torch

from batches import Lists, ask_what_comes_next, flat_lists
from bert4rec import BERT4Rec
from ranking import Lists as Histories
from ranking import flatten
from sequences import Sequences
from two_threads import in_two_threads

LISTS_AT_ONCE = 64
"""With fewer, each operation is too small; with more, less would stay in the processor's cache (benchmarks/LOG.md)."""


class ModelScorer:
    """Histories of U users, each in order and none empty → the logits of what comes behind them, float32 [U, N].

    Whose histories continue lists of `training`, in the same order, is scored as though these had not been counted in
    the item memory, as in training.
    """

    def __init__(self, model: BERT4Rec, training: Sequences | None = None) -> None:
        self.model = model
        self.training = training

    def __call__(self, histories: Histories) -> np.ndarray:
        self.model.eval()
        config = self.model.config
        items, lengths = flatten(histories)
        ends = np.cumsum(lengths)
        scores = np.empty((len(lengths), config.num_items), np.float32)
        by_length = np.argsort(lengths, kind="stable")

        @torch.inference_mode()
        def score(users: np.ndarray) -> None:
            lists = [items[ends[user] - lengths[user] : ends[user]] for user in users]
            batch = ask_what_comes_next(lists, config.num_items + 1, config.max_seq_len, config.ordered)
            if self.training is not None:
                own = flat_lists(self.training, users, None)
                flat = torch.from_numpy(self.training.items[own.entries].astype(np.int64))
                batch = batch._replace(lists=Lists(flat, torch.from_numpy(own.starts)))
            scores[users] = self.model(batch).numpy()

        for _ in in_two_threads(score, np.array_split(by_length, max(1, -(-len(lengths) // LISTS_AT_ONCE)))):
            pass
        return scores
