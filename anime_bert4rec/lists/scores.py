"""Which scores people gave, as arrays, and the scale that somebody scores in. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.lists.sequences import PAD, Vocabulary

ScoredRow = tuple[int, int, float]
"""user_id, anime_id, and the score of 100."""

STARS = tuple(frozenset(range(first, 101, 20)) for first in (10, 20))
"""The scores of 100 that five stars are stored as: the middles of five parts of 100, or their ends."""
WELL_BELOW = 15
"""A score that is at least this many points of 100 below the person's own mean is a dislike."""
FEWEST_STARS, FEWEST_DIFFERENT = 10, 3
"""With fewer scores, or fewer different ones, somebody with scores of five stars alone may score in ten points."""


@dataclass(frozen=True)
class Scores:
    """The scores of many people, one person after the other, and the mean scores of the catalogue."""

    items: np.ndarray
    """int32 [E]: the index 1 … N of each scored item."""
    values: np.ndarray
    """float32 [E]: the scores, 1 to 100."""
    person: np.ndarray
    """int64 [E]: whose score it is, 0 … people - 1, ascending."""
    of_catalogue: np.ndarray
    """float32 [N]: the mean score of each item on AniList, NaN where it is not known."""

    @property
    def people(self) -> int:
        return int(self.person[-1]) + 1 if len(self.person) else 0

    @property
    def num_items(self) -> int:
        return len(self.of_catalogue)

    @classmethod
    def of(cls, rows: Iterable[ScoredRow], catalogue: Iterable[Anime], vocabulary: Vocabulary) -> Scores:
        """The scores of rows that come person by person; items that the vocabulary lacks drop out."""
        of_row = np.dtype([("user_id", np.int64), ("anime_id", np.int64), ("score", np.float32)])
        columns = np.fromiter(rows, of_row)
        items = vocabulary.encode(columns["anime_id"])
        known = items != PAD
        _, person = np.unique(columns["user_id"][known], return_inverse=True)
        of_catalogue = np.full(vocabulary.num_items + 1, np.nan, np.float32)
        anime = list(catalogue)
        at = vocabulary.encode(np.array([each.anime_id for each in anime], np.int64))
        of_catalogue[at] = np.array([each.usual_score for each in anime], np.float32)
        return cls(items[known], columns["score"][known], person, of_catalogue[1:])


def is_liked(scores: np.ndarray, of_person: np.ndarray) -> np.ndarray:
    """Whether each of these scores is above what the person dislikes: bool. of_person: the scores to take the mean of,
    at least one."""
    return scores > of_person.mean() - WELL_BELOW


@dataclass(frozen=True)
class Scale:
    """How somebody scores: the largest score, and the digits after the point with which a prediction is shown."""

    largest: int
    digits: int

    def show(self, score: float) -> str:
        """A score of 100 in this scale: 84 is `8.4` of 10."""
        return f"{self.of_100(score):.{self.digits}f}"

    def of_100(self, score: float) -> float:
        """A score of 100 in this scale, rounded to its digits and within its limits."""
        return round(min(max(score * self.largest / 100, 1), self.largest), self.digits or None)


TEN, HUNDRED, FIVE = Scale(10, 1), Scale(100, 0), Scale(5, 1)
SCALES = {"POINT_100": HUNDRED, "POINT_10_DECIMAL": TEN, "POINT_10": TEN, "POINT_5": FIVE, "POINT_3": TEN}
"""By AniList's words for how people score; three smileys are 35, 60 and 85 of 100."""


def scale_of(scores: Sequence[float], score_format: str | None = None) -> Scale:
    """The scale in which these scores of 100 were given: what AniList says or, where it isn't known, the one that the
    scores speak for, ten points where nothing speaks for another one.

    Ten points may have halves. Five stars are only told from ten points by many scores.
    """
    if score_format in SCALES:
        return SCALES[score_format]
    if any(score % 5 for score in scores):
        return HUNDRED
    enough = len(scores) >= FEWEST_STARS and len(set(scores)) >= FEWEST_DIFFERENT
    if enough and any(stars.issuperset(scores) for stars in STARS):
        return FIVE
    return TEN
