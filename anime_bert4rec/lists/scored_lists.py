"""What is asked about people's scores: of each list a fifth of what was scored is hidden, and the rest is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from anime_bert4rec.lists.scores import ScoredRow, is_liked
from anime_bert4rec.lists.sequences import PAD, Sequences, Vocabulary

HIDDEN = 0.2
"""The share of a list that is hidden."""
FEWEST_TO_ASK = 20
"""Whoever has scored fewer titles is not asked: so few say little of the order in which they are liked."""


@dataclass(frozen=True)
class ScoredList:
    """What is known of a person, and which scores are hidden. Items are indices 1 … N, scores are of 100."""

    history: np.ndarray
    """Those of the known titles that are liked by what is known, in order of time; never empty."""
    seen: np.ndarray
    """All known titles, which are not to be recommended."""
    items: np.ndarray
    """The known titles that have a score."""
    scores: np.ndarray
    hidden: np.ndarray
    """The titles whose scores are hidden."""
    given: np.ndarray
    """The hidden scores."""

    @property
    def all_scores(self) -> np.ndarray:
        return np.concatenate([self.scores, self.given])

    @property
    def liked(self) -> np.ndarray:
        """The hidden titles with a score above the mean of all scores of the person."""
        return self.hidden[self.given > self.all_scores.mean()]

    @property
    def disliked(self) -> np.ndarray:
        """The hidden titles with a score well below that mean."""
        return self.hidden[~is_liked(self.given, self.all_scores)]


def ask_about_scores(
    sequences: Sequences, rows: Iterable[ScoredRow], vocabulary: Vocabulary, seed: int
) -> list[ScoredList]:
    """A question about each of the people with FEWEST_TO_ASK scores or more, in the order of their lists.

    The last fifth of what was scored is hidden; among entries without an order, chance decides which are last. What is
    on a list without a score is known. rows: the scores of these people.
    """
    by_user: dict[int, dict[int, float]] = {}
    for user_id, anime_id, score in rows:
        by_user.setdefault(user_id, {})[anime_id] = score
    asked = []
    for user, user_id in enumerate(sequences.user_ids.tolist()):
        of_anime = by_user.get(user_id, {})
        scored = vocabulary.encode(np.fromiter(of_anime, np.int64, len(of_anime)))
        given = np.zeros(vocabulary.num_items + 1)  # where scores are at least 1, 0 stands for none
        given[scored] = np.fromiter(of_anime.values(), np.float64, len(of_anime))
        given[PAD] = 0
        items = sequences.of_user(user)
        if np.count_nonzero(given[items]) >= FEWEST_TO_ASK:
            asked.append(
                _hide(items, given[items], sequences.blocks_of_user(user), np.random.default_rng((seed, abs(user_id))))
            )
    return asked


def last_part(blocks: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The positions of the last HIDDEN of a list's entries, at least one; chance decides among entries of one block."""
    return np.argsort(blocks + random.random(len(blocks)))[-max(1, round(HIDDEN * len(blocks))) :]


def _hide(items: np.ndarray, scores: np.ndarray, blocks: np.ndarray, random: np.random.Generator) -> ScoredList:
    """scores: 0 for none."""
    scored = np.flatnonzero(scores)
    last = scored[last_part(blocks[scored], random)]
    known = np.ones(len(items), bool)
    known[last] = False
    has_score = known & (scores > 0)
    liked = known & ((scores == 0) | is_liked(scores, scores[has_score]))
    return ScoredList(items[liked], items[known], items[has_score], scores[has_score], items[last], scores[last])
