"""A trained model as a scorer of what comes next, for evaluation/ranking.py and whoever wants recommendations."""

from __future__ import annotations

import numpy as np
import torch

from anime_bert4rec.lists.sequences import ItemLists, flatten
from anime_bert4rec.model.batches import Batch, WholeLists, ask_what_comes_next
from anime_bert4rec.model.bert4rec import BERT4Rec
from anime_bert4rec.model.encoder_layer import ItemStates
from anime_bert4rec.model.two_threads import in_two_threads
from anime_bert4rec.support.errors import ScoresFailed

LISTS_AT_ONCE = 256
"""How many lists are scored at once: fewer make too small operations, and more stay in no cache (benchmarks/LOG.md)."""


class ModelScorer:
    """Histories of U users, each in order and none empty → the logits of what comes behind them, float32 [U, N].

    counted_but: how many of the newest entries of each history are not in the lists that the item memory was made of.
    All others are, and are left out of it again, as in training. None: no history has anything to do with these lists.
    The weights must stay as they are from the first call on.
    """

    def __init__(self, model: BERT4Rec, counted_but: int | None = None) -> None:
        self.model = model
        self.counted_but = counted_but
        self._known: ItemStates | None = None

    def __call__(self, histories: ItemLists) -> np.ndarray:
        self.model.eval()
        config = self.model.config
        known = self._known = self._known or self.model.item_states()
        items, lengths = flatten(histories)
        ends = np.cumsum(lengths)
        scores = np.empty((len(lengths), config.num_items), np.float32)
        by_length = np.argsort(-lengths, kind="stable")  # what takes longest first: the two threads end together

        @torch.inference_mode()
        def score(users: np.ndarray) -> None:
            lists = [items[ends[user] - lengths[user] : ends[user]] for user in users]
            scores[users] = self.model(self.question(lists), rank_unlisted=True, known=known).numpy()

        in_two_threads(score, np.array_split(by_length, max(1, -(-len(lengths) // LISTS_AT_ONCE))))
        if not np.isfinite(scores).all():
            raise ScoresFailed("the model's scores are not numbers, so its weights are of no use: train again")
        return scores

    def question(self, lists: list[np.ndarray]) -> Batch:
        """What the model is asked about these lists."""
        config = self.model.config
        batch = ask_what_comes_next(lists, config.num_items + 1, config.max_seq_len, config.ordered)
        if self.counted_but is None:
            return batch
        return batch._replace(lists=_concatenated([own[: len(own) - self.counted_but] for own in lists]))


def _concatenated(lists: list[np.ndarray]) -> WholeLists:
    ends = np.cumsum([len(items) for items in lists])
    return WholeLists(
        torch.from_numpy(np.concatenate(lists).astype(np.int64)), torch.from_numpy(np.append(0, ends[:-1]))
    )
