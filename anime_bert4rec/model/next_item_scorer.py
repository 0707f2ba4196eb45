"""A trained model as a scorer of what comes next, for evaluation/ranking.py and whoever wants recommendations."""

from __future__ import annotations

import functools

import numpy as np
import torch

from anime_bert4rec.lists.sequences import ItemLists, flatten
from anime_bert4rec.model.batches import Batch, WholeLists, ask_what_comes_next
from anime_bert4rec.model.bert4rec import BERT4Rec, Known
from anime_bert4rec.model.two_threads import in_two_threads
from anime_bert4rec.support.errors import ScoresFailed

LISTS_AT_ONCE = 64
"""How many lists are scored at once: fewer make too small operations, and more stay in no cache (benchmarks/LOG.md)."""
FEWEST_TO_SHARE = 8
"""So many lists are shared by two threads, whether they are enough for two parts or not."""


class ModelScorer:
    """Histories of U users, each in order and none empty → the logits of what comes behind them, float32 [U, N].

    counted_but: how many of the newest entries of each history are not in the lists that the item memory was made of.
    All others are, and are left out of it again, as in training. None: no history has anything to do with these lists.
    The weights must stay as they are from the first call on.
    """

    def __init__(self, model: BERT4Rec, counted_but: int | None = None) -> None:
        self.model = model
        self.counted_but = counted_but

    def __call__(self, histories: ItemLists) -> np.ndarray:
        known = self._known
        items, lengths = flatten(histories)
        ends = np.cumsum(lengths)
        scores = np.empty((len(lengths), self.model.config.num_items), np.float32)
        by_length = np.argsort(-lengths, kind="stable")  # what takes longest first: the two threads end together

        @torch.inference_mode()
        def score(users: np.ndarray) -> None:
            lists = [items[ends[user] - lengths[user] : ends[user]] for user in users]
            scores[users] = self.model(self.question(lists), rank_unlisted=True, known=known).numpy()

        in_two_threads(score, _parts(by_length))
        return _finite(scores)

    def without_each(self, history: np.ndarray, places: np.ndarray) -> np.ndarray:
        """The logits of what comes behind a history without the entry at each of these places: float32 [P, N].

        It equals `self([np.delete(history, place) for place in places])`, and is several times as fast. history: of two
        entries or more; places: among the `max_seq_len` newest.
        """
        config, known = self.model.config, self._known
        # In a list without an order, the mask takes the place of what is left out.
        first = max(0, len(history) - config.max_seq_len - config.ordered)
        shorter = [np.delete(history, place) for place in places]
        items = torch.from_numpy(history[first:].astype(np.int64))
        (shown,) = in_two_threads(
            torch.inference_mode()(functools.partial(self.model.leaving_out, known=known)), [items]
        )
        if shown is None:
            return self(shorter)
        scores = np.empty((len(places), config.num_items), np.float32)

        @torch.inference_mode()
        def score(some: np.ndarray) -> None:
            left_out, batch = torch.from_numpy(places[some] - first), self.question([shorter[each] for each in some])
            scores[some] = self.model.logits_without(shown, left_out, batch).numpy()

        in_two_threads(score, _parts(np.arange(len(places))))
        return _finite(scores)

    @functools.cached_property
    def _known(self) -> Known | None:
        self.model.eval()
        return self.model.known()

    def question(self, lists: list[np.ndarray]) -> Batch:
        """What the model is asked about these lists."""
        config = self.model.config
        batch = ask_what_comes_next(lists, config.num_items + 1, config.max_seq_len, config.ordered)
        if self.counted_but is None:
            return batch
        return batch._replace(lists=_concatenated([own[: len(own) - self.counted_but] for own in lists]))


def _parts(lists: np.ndarray) -> list[np.ndarray]:
    return np.array_split(lists, max(1 if len(lists) < FEWEST_TO_SHARE else 2, -(-len(lists) // LISTS_AT_ONCE)))


def _finite(scores: np.ndarray) -> np.ndarray:
    if not np.isfinite(scores).all():
        raise ScoresFailed("the model's scores are not numbers, so its weights are of no use: train again")
    return scores


def _concatenated(lists: list[np.ndarray]) -> WholeLists:
    ends = np.cumsum([len(items) for items in lists])
    return WholeLists(
        torch.from_numpy(np.concatenate(lists).astype(np.int64)), torch.from_numpy(np.append(0, ends[:-1]))
    )
