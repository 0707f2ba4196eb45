"""What is known of people's titles, in the order of time or without one, and what a model says of it.

torch takes seconds to import, so that nothing here does before a model is there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence, Set
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from anime_bert4rec.lists.sequences import PAD, Vocabulary, scattered
from anime_bert4rec.model.torch_settings import on_the_cpu_in_float32

if TYPE_CHECKING:
    from anime_bert4rec.model.bert4rec import BERT4Rec


class History(NamedTuple):
    """A person's titles that a model knows, each once."""

    items: np.ndarray
    """Indices 1 … N: the newest last if they are in order, else `scattered`."""
    in_order: bool

    @classmethod
    def of(cls, anime_ids: Collection[int], vocabulary: Vocabulary) -> History:
        """Those of some anime, the oldest first, each at its last place; of a set of anime the order isn't known."""
        if isinstance(anime_ids, Set):
            items = known_items(anime_ids, vocabulary)
            return cls(items[np.argsort(scattered(items))], in_order=False)
        items = known_items(anime_ids, vocabulary)[::-1]
        _, first = np.unique(items, return_index=True)
        return cls(items[np.sort(first)][::-1], in_order=True)

    def newest(self, count: int) -> History:
        """The newest ones; all where that isn't known."""
        return self._replace(items=self.items[-count:]) if self.in_order else self


NO_HISTORY = History(np.array([PAD], np.int32), in_order=True)
"""Without any title: for it the model answers what most people list."""


class HistoryScorer:
    """Histories → the logits of what is listed next or, of titles without an order, what else is listed: [U, N]."""

    def __init__(self, model: BERT4Rec) -> None:
        from anime_bert4rec.model.next_item_scorer import ModelScorer, scorer_of_sets

        self.model = model
        self._of = {True: ModelScorer(model), False: scorer_of_sets(model)}

    @on_the_cpu_in_float32()
    def __call__(self, histories: Sequence[History]) -> np.ndarray:
        kinds = {each.in_order for each in histories}
        if len(kinds) == 1:
            return self._of[kinds.pop()]([each.items for each in histories])
        scores = np.empty((len(histories), self.model.config.num_items), np.float32)
        for kind in kinds:
            some = [user for user, each in enumerate(histories) if each.in_order == kind]
            scores[some] = self._of[kind]([histories[user].items for user in some])
        return scores

    @staticmethod
    def log_probabilities(
        scores: np.ndarray, histories: Sequence[History], excluded: Sequence[np.ndarray]
    ) -> np.ndarray:
        """Logits [U, N], which are overwritten → the log of the softmax over what is neither in the history nor among
        the items that are `excluded`, else -inf."""
        for score, (items, _), others in zip(scores, histories, excluded, strict=True):
            score[items[items != PAD] - 1] = -np.inf
            score[others - 1] = -np.inf
            largest = score.max()
            if np.isfinite(largest):
                score -= largest + np.log(np.exp(score - largest).sum())
        return scores

    @on_the_cpu_in_float32()
    def as_sets(self, histories: Sequence[History]) -> list[np.ndarray | None]:
        """What is said of each history in order as though it had none [N]; None for one that has none, and for all
        where the model answers for these as for others."""
        found: list[np.ndarray | None] = [None] * len(histories)
        some = [user for user, each in enumerate(histories) if each.in_order and self.model.unordered_memory]
        if some:
            for user, scores in zip(some, self._of[False]([histories[user].items for user in some]), strict=True):
                found[user] = scores
        return found

    @on_the_cpu_in_float32()
    def without_each(self, history: History, places: np.ndarray) -> np.ndarray:
        """The logits without the title at each of these places [P, N]."""
        if len(history.items) == 1:
            return self([NO_HISTORY._replace(in_order=history.in_order)])
        return self._of[history.in_order].without_each(history.items, places)


def collected(anime_ids: Iterable[int]) -> Collection[int]:
    """The same ids, to be read any number of times."""
    return anime_ids if isinstance(anime_ids, Collection) else tuple(anime_ids)


def why_nothing(anime_ids: Collection[int]) -> str:
    """In words, why nothing can be said of a history."""
    if not len(anime_ids):
        return "there is nothing to go on: the list is empty"
    if len(anime_ids) == 1:
        return f"there is nothing to go on: the model does not know anime {next(iter(anime_ids))}"
    return f"there is nothing to go on: the model knows none of the {len(anime_ids):,} anime"


def known_items(anime_ids: Iterable[int], vocabulary: Vocabulary) -> np.ndarray:
    """The indices 1 … N of those of the ids that the vocabulary has, in order. Raises TypeError for what is no id."""
    items = vocabulary.items_of(anime_ids)
    return items[items != PAD]
