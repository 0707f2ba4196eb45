"""More settings of the baselines than evaluate.py has time to try, and a blend of the two best."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from anime_bert4rec.evaluation.baselines import EASE, Baseline, ItemKNN, MarkovChain, Popularity, Weighting
from anime_bert4rec.evaluation.ranking import Scorer, ranks_by
from anime_bert4rec.evaluation.tuning import Chosen, choose_for_each
from anime_bert4rec.lists.sequences import ItemLists, Sequences

FULL_GRIDS: dict[str, list[Baseline]] = {
    "popularity": [Popularity()],
    "item-kNN": [
        ItemKNN(neighbours=neighbours, shrink=shrink) for neighbours in (20, 50, 100, 200) for shrink in (0, 10, 50)
    ],
    "EASE": [
        EASE(l2=l2, weighting=weighting)
        for l2 in (30, 100, 200, 300, 500, 1000)
        for weighting in (Weighting(), Weighting(last=10), Weighting(0.95), Weighting(0.9), Weighting(0.8))
    ],
    "Markov chain": [
        MarkovChain(decay=decay, weighting=Weighting(recency))
        for decay in (0.6, 0.8, 0.9)
        for recency in (0.6, 0.7, 0.8, 0.9)
    ],
}
BLEND = "Markov + EASE"
NAMES = (*FULL_GRIDS, BLEND)
BLEND_WEIGHTS = (0.3, 0.4, 0.5, 0.6, 0.7)


@dataclass(frozen=True)
class Blend:
    """`weight` of the Markov chain's z-scores and the rest of EASE's: one knows order, the other taste."""

    markov: MarkovChain = MarkovChain()
    ease: EASE = EASE()
    weight: float = 0.5

    def fit(self, sequences: Sequences, num_items: int) -> Scorer:
        return blended(self.markov.fit(sequences, num_items), self.ease.fit(sequences, num_items), self.weight)


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
    """The best of the grid of `name`, one of NAMES; of the blend, the best weight of its two parts' best."""
    if name != BLEND:
        return choose(FULL_GRIDS[name], training, num_items, histories, targets)
    markov, ease = (choose_named(part, training, num_items, histories, targets) for part in ("Markov chain", "EASE"))
    return choose_weight(markov, ease, histories, targets)


def choose_weight(markov: Chosen, ease: Chosen, histories: ItemLists, targets: ItemLists) -> Chosen:
    """The blend of both with the weight that is best on validation."""
    assert isinstance(markov.baseline, MarkovChain) and isinstance(ease.baseline, EASE)
    tried = []
    for weight in BLEND_WEIGHTS:
        scorer = blended(markov.scorer, ease.scorer, weight)
        ndcg = float(ranks_by(scorer, histories, targets).ndcg(10).mean())
        tried.append(Chosen(Blend(markov.baseline, ease.baseline, weight), scorer, ndcg))
    return max(tried, key=lambda chosen: chosen.ndcg)
