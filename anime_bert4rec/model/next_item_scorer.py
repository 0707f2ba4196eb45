"""A trained model as a scorer of what comes next, for evaluation/ranking.py and whoever wants recommendations."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from anime_bert4rec.lists.sequences import ItemLists, flatten
from anime_bert4rec.model.batches import Batch, ask_what_comes_next
from anime_bert4rec.model.bert4rec import BERT4Rec, Known
from anime_bert4rec.model.item_memory import ItemMemory
from anime_bert4rec.model.two_threads import in_two_threads
from anime_bert4rec.support.errors import ScoresFailed

LISTS_AT_ONCE, SCORES_AT_ONCE = 64, 2**19
"""So many lists are scored at once, or more of few titles, up to about SCORES_AT_ONCE scores: fewer lists make
operations too small, and more scores do not stay in the cache (benchmarks/LOG.md)."""
FEWEST_TO_SHARE = 8
"""From so many lists on two threads share them, also where one part would do."""


class ModelScorer:
    """Histories of U users, each in order and none empty → the logits of what comes behind them, float32 [U, N].

    The weights must stay as they are from the first call on.
    """

    def __init__(self, model: BERT4Rec) -> None:
        self.model = model

    def __call__(self, histories: ItemLists) -> np.ndarray:
        known = self._known
        return _scored(
            histories,
            self.model.config.num_items,
            lambda lists: self.model(self.question(lists), rank_unlisted=True, known=known),
        )

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

        in_two_threads(score, _parts(np.arange(len(places)), config.num_items))
        return _finite(scores)

    @functools.cached_property
    def _known(self) -> Known | None:
        self.model.eval()
        return self.model.known()

    def question(self, lists: list[np.ndarray]) -> Batch:
        """What the model is asked about these lists."""
        config = self.model.config
        return ask_what_comes_next(lists, config.num_items + 1, config.max_seq_len, config.ordered)


class SetScorer:
    """Titles whose order isn't known, of U people → the logits of what else is on lists that have them [U, N].

    A model of lists in order says what comes next, which is another question. So a memory answers that has learnt from
    the same lists as though they had no order; the network has not learnt it, and is not asked.
    """

    def __init__(self, memory: ItemMemory) -> None:
        self.memory = memory.eval()

    def __call__(self, histories: ItemLists) -> np.ndarray:
        num_items = self.memory.config.num_items

        def of(lists: list[np.ndarray]) -> Tensor:
            question = ask_what_comes_next(lists, num_items + 1, max(map(len, lists)) + 1, ordered=False)
            return self.memory(question, rank_unlisted=True)

        return _scored(histories, num_items, of)

    def without_each(self, history: np.ndarray, places: np.ndarray) -> np.ndarray:
        """The logits for the titles of a history without the one at each of these places: float32 [P, N]."""
        return self([np.delete(history, place) for place in places])


def scorer_of_sets(model: BERT4Rec) -> ModelScorer | SetScorer:
    """What answers for titles whose order isn't known: the model itself, where lists have no order, or are said to."""
    return ModelScorer(model) if model.unordered_memory is None else SetScorer(model.unordered_memory)


def _scored(histories: ItemLists, num_items: int, answer: Callable[[list[np.ndarray]], Tensor]) -> np.ndarray:
    """What is answered about U histories: float32 [U, N]. answer: gives it of some of them, in any thread."""
    items, lengths = flatten(histories)
    ends = np.cumsum(lengths)
    scores = np.empty((len(lengths), num_items), np.float32)
    by_length = np.argsort(-lengths, kind="stable")  # what takes longest first: the two threads end together

    @torch.inference_mode()
    def score(users: np.ndarray) -> None:
        scores[users] = answer([items[ends[user] - lengths[user] : ends[user]] for user in users]).numpy()

    in_two_threads(score, _parts(by_length, num_items))
    return _finite(scores)


def _parts(lists: np.ndarray, num_items: int) -> list[np.ndarray]:
    """As many for either thread, if they are shared."""
    if len(lists) < FEWEST_TO_SHARE:
        return [lists]
    at_once = max(LISTS_AT_ONCE, SCORES_AT_ONCE // num_items)
    return np.array_split(lists, 2 * -(-len(lists) // (2 * at_once)))


def _finite(scores: np.ndarray) -> np.ndarray:
    if not np.isfinite(scores).all():
        raise ScoresFailed("the model's scores are not numbers, so its weights are of no use: train again")
    return scores
