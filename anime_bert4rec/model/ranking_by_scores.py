"""What is asked about people of whom a ranking of titles is wanted, and what the scores that they are expected to give
add to it. No torch."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from anime_bert4rec.lists.sequences import PAD, Vocabulary
from anime_bert4rec.support.errors import NoPredictedScores

if TYPE_CHECKING:
    from anime_bert4rec.model.predicted_scores import Expectation, PredictedScores

RANKED_BY = ("list", "score", "both")
"""What titles are ranked by: how likely they are to be listed, the score that they are expected to get, or both."""
ONLY_SCORES = 1e6
"""What expected scores count for where titles are ranked by them: so much that the list decides between equals only."""

GivenScores = Mapping[int, float]
"""The scores of 100 that a person gave, by anime id; 0 is none, as AniList and MyAnimeList write it."""
NO_SCORES: GivenScores = {}


def by_id(anime_ids: Sequence[int], scores: Sequence[float] | GivenScores) -> GivenScores:
    """The scores of some anime, given in their order or, for some of them, by their ids. Raises TypeError for what is
    no id."""
    ids = list(map(operator.index, anime_ids))
    if isinstance(scores, Mapping):
        known = dict(zip(map(operator.index, scores), scores.values(), strict=True))
        return {each: known[each] for each in ids if each in known}
    if len(scores) != len(ids):
        raise ValueError(f"there are {len(scores)} scores for {len(ids)} anime")
    return dict(zip(ids, scores, strict=True))


class AskedPerson(NamedTuple):
    """What is asked about a person, as `recommend` has it."""

    anime_ids: Collection[int]
    exclude: Collection[int] = ()
    recent: np.ndarray | None = None
    scores: GivenScores = NO_SCORES


class RankingByScores:
    """The predicted scores of a model, if it has any, asked with anime ids."""

    def __init__(self, predicted: PredictedScores | None, vocabulary: Vocabulary) -> None:
        self.predicted = predicted
        self.vocabulary = vocabulary

    def weight(self, by: str) -> float:
        """What expected scores count for. Raises NoPredictedScores, and ValueError for another way to rank."""
        if by not in RANKED_BY:
            raise ValueError(f"{by!r} is none of {', '.join(RANKED_BY)}")
        if by == "score" and self.predicted is None:
            raise NoPredictedScores
        of_model = None if self.predicted is None else self.predicted.weight
        return {"list": 0.0, "score": ONLY_SCORES, "both": 0.0 if of_model is None else float(of_model[0])}[by]

    def expectation(self, scores: GivenScores, by: str) -> Expectation | None:
        """What is expected of somebody who gave these scores; None where it counts for nothing. Without scores of known
        titles it counts only if `by` is "score". Raises TypeError for scores that are not given by id."""
        if not isinstance(scores, Mapping):
            raise TypeError("scores are given by anime id, as in {1: 80}")
        if not self.weight(by):
            return None
        items, given = self._known(scores)
        return self._expected(items, given) if by == "score" or len(items) else None

    def expected_of(self, scores: GivenScores) -> Expectation:
        """What is expected of somebody who gave these scores; those of unknown anime are passed over. Raises
        NoPredictedScores, and ValueError for a score that is not of 100."""
        return self._expected(*self._known(scores))

    def _expected(self, items: np.ndarray, given: np.ndarray) -> Expectation:
        if self.predicted is None:
            raise NoPredictedScores
        return self.predicted.given(items, given)

    def _known(self, scores: GivenScores) -> tuple[np.ndarray, np.ndarray]:
        """The items that have a score, and the scores."""
        items, given = self.vocabulary.items_of(scores), np.array(list(scores.values()), np.float64)
        items, given = items[items != PAD], given[items != PAD]
        if not ((given >= 0) & (given <= 100)).all():
            raise ValueError("a score is not of 100")
        return items[given > 0], given[given > 0]


def asked_people(
    histories: Iterable[Collection[int]],
    excludes: Iterable[Collection[int]] | None,
    recents: Iterable[np.ndarray | None] | None,
    scores: Iterable[GivenScores] | None,
) -> Iterator[AskedPerson]:
    """Each person with what is given; ValueError if they are not equally many."""
    given: dict[str, Iterable[Any] | None] = {"exclude": excludes, "recent": recents, "scores": scores}
    columns = {name: each for name, each in given.items() if each is not None}
    for history, *more in zip(histories, *columns.values(), strict=True):
        yield AskedPerson(history, **dict(zip(columns, more, strict=True)))


def best_columns(others: np.ndarray, top_k: int, expected: Expectation | None, weight: float) -> np.ndarray:
    """The `top_k` columns that rank highest by `others` [N] and, if given, by what is expected of the person's scores;
    the best first. What is -inf is left out; of equals the first wins."""
    if expected is not None:
        return expected.best(others, weight, top_k)
    count = min(max(top_k, 0), int((others > -np.inf).sum()))
    if not count:
        return np.zeros(0, np.int64)
    best = np.flatnonzero(others >= np.partition(others, -count)[-count])
    return best[np.lexsort((best, -others[best]))[:count]]
