"""Recommendations that are spread over franchises, studios and genres: maximal marginal relevance.

After Carbonell and Goldstein, "The use of MMR, diversity-based reranking for reordering documents and producing
summaries" (SIGIR 1998).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from anime_bert4rec.lists.records import Anime

LOOKED_AT = 5
"""How many times as many titles as are wanted are chosen from."""


def diversified(ranked: Sequence[Anime], count: int, diversity: float, franchise: Mapping[int, int]) -> list[Anime]:
    """`count` of the ranked anime, in the order in which they are chosen, one after the other.

    Each time the anime is taken that has the most of (1 - diversity) / log2(1 + its rank) - diversity · its similarity
    to the most similar of those taken. diversity: from 0, which leaves the order, to 1. franchise: of each anime.
    """
    relevance = 1 / np.log2(np.arange(2, len(ranked) + 2))
    similarity = TraitSimilarity(ranked, franchise)
    most_similar = np.zeros(len(ranked))
    left = np.ones(len(ranked), bool)
    chosen = []
    for _ in range(min(count, len(ranked))):
        worth = (1 - diversity) * relevance - diversity * most_similar
        best = int(np.argmax(np.where(left, worth, -np.inf)))
        left[best] = False
        most_similar = np.maximum(most_similar, similarity.to(best))
        chosen.append(ranked[best])
    return chosen


class TraitSimilarity:
    """How alike anime are: 1 in the same franchise, else the mean of the shares of genres and studios in common."""

    def __init__(self, anime: Sequence[Anime], franchise: Mapping[int, int]) -> None:
        self._franchise = np.array([franchise[each.anime_id] for each in anime], np.int64)
        self._traits = [
            _table([each.genres for each in anime]),
            _table([{studio.studio_id for studio in each.studios if studio.is_main} for each in anime]),
        ]

    def to(self, place: int) -> np.ndarray:
        """The similarity of each anime to the one at this place, 0 to 1: float64 [N]."""
        shares = np.mean([_share_in_common(table, table[place]) for table in self._traits], axis=0)
        return np.where(self._franchise == self._franchise[place], 1.0, shares)


def _table(traits: Sequence[Collection[str | int]]) -> np.ndarray:
    """Which anime has which trait: float32 [N, traits]."""
    number = {
        trait: column for column, trait in enumerate(dict.fromkeys(trait for of_one in traits for trait in of_one))
    }
    table = np.zeros((len(traits), len(number)), np.float32)
    for row, of_one in zip(table, traits, strict=True):
        row[[number[trait] for trait in of_one]] = 1
    return table


def _share_in_common(table: np.ndarray, traits: np.ndarray) -> np.ndarray:
    """Of the traits that one of two anime has, the share that both have (Jaccard); 0 if neither has any."""
    both = table @ traits
    either = table.sum(1) + traits.sum() - both
    return both / np.maximum(either, 1)
