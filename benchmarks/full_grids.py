"""More settings of the baselines than evaluate.py has time to try, and blends of two of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from anime_bert4rec.evaluation.baselines import (
    EASE,
    Baseline,
    ItemKNN,
    ItemToItemBaseline,
    MarkovChain,
    Popularity,
    Weighting,
)
from anime_bert4rec.evaluation.ranking import Scorer, ranks_by
from anime_bert4rec.evaluation.tuning import Chosen, choose_for_each
from anime_bert4rec.lists.sequences import ItemLists, Sequences

TASTE = (Weighting(), Weighting(last=10), *map(Weighting, (0.95, 0.9, 0.8, 0.6, 0.4)))
FULL_GRIDS: dict[str, list[Baseline]] = {
    "popularity": [Popularity()],
    "item-kNN": [
        ItemKNN(neighbours=neighbours, shrink=shrink, weighting=weighting)
        for neighbours in (20, 50, 100, 200, 500, 10_000)
        for shrink in (0, 10, 50)
        for weighting in TASTE
    ],
    "EASE": [
        EASE(l2=l2, weighting=weighting) for l2 in (30, 100, 200, 300, 500, 1000, 3000, 10_000) for weighting in TASTE
    ],
    "Markov chain": [
        MarkovChain(decay=decay, weighting=Weighting(recency))
        for decay in (0.6, 0.8, 0.9)
        for recency in (0.6, 0.7, 0.8, 0.9)
    ],
}
BLENDS = {"Markov + EASE": "EASE", "Markov + item-kNN": "item-kNN"}
"""What the Markov chain is blended with."""
NAMES = (*FULL_GRIDS, *BLENDS)
BLEND_WEIGHTS = (0.3, 0.4, 0.5, 0.6, 0.7)


@dataclass(frozen=True)
class Blend:
    """`weight` of the Markov chain's z-scores and the rest of the other's: one knows order, the other taste."""

    markov: MarkovChain = MarkovChain()
    taste: ItemToItemBaseline = EASE()
    weight: float = 0.5

    def fit(self, sequences: Sequences, num_items: int) -> Scorer:
        return blended(self.markov.fit(sequences, num_items), self.taste.fit(sequences, num_items), self.weight)


def blended(first: Scorer, second: Scorer, weight: float) -> Scorer:
    return lambda histories: weight * z_scores(first(histories)) + (1 - weight) * z_scores(second(histories))


def z_scores(scores: np.ndarray) -> np.ndarray:
    """Each row [U, N] with mean 0 and standard deviation 1 (0 where all are equal)."""
    centred = scores - scores.mean(1, keepdims=True)
    return centred / np.maximum(centred.std(1, keepdims=True), 1e-12)


def choose(
    candidates: Iterable[Baseline],
    training: Sequences,
    num_items: int,
    histories: ItemLists,
    targets: ItemLists,
) -> Chosen:
    """Fit each candidate on `training`; the best has the highest NDCG@10 for `targets`, given `histories`."""
    return choose_for_each(candidates, training, num_items, [(histories, targets)])[0]


def choose_named(name: str, training: Sequences, num_items: int, histories: ItemLists, targets: ItemLists) -> Chosen:
    """The best of the grid of `name`, one of NAMES; of a blend, the best weight of its two parts' best."""
    if name not in BLENDS:
        return choose(FULL_GRIDS[name], training, num_items, histories, targets)
    parts = ("Markov chain", BLENDS[name])
    markov, taste = (choose_named(part, training, num_items, histories, targets) for part in parts)
    return choose_weight(markov, taste, histories, targets)


def choose_weight(markov: Chosen, taste: Chosen, histories: ItemLists, targets: ItemLists) -> Chosen:
    """The blend of both with the weight that is best on validation."""
    assert isinstance(markov.baseline, MarkovChain) and isinstance(taste.baseline, ItemToItemBaseline)
    tried = []
    for weight in BLEND_WEIGHTS:
        scorer = blended(markov.scorer, taste.scorer, weight)
        ndcg = float(ranks_by(scorer, histories, targets).ndcg(10).mean())
        tried.append(Chosen(Blend(markov.baseline, taste.baseline, weight), scorer, ndcg))
    return max(tried, key=lambda chosen: chosen.ndcg)
