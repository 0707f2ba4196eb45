"""What recommenders that need no training score in validation: at the same masked positions, given the same entries.

Where there are many validation users, a part of their batches is enough. The baselines are made of the training lists
alone. Their settings are fixed, and are those of evaluation/baselines.py: to choose them would take longer than it
tells. Whoever draws them may take the best of them, which favours the baselines a little.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from anime_bert4rec.evaluation.baselines import EASE, ItemKNN, MarkovChain
from anime_bert4rec.evaluation.ranking import Scorer
from anime_bert4rec.lists.sequences import PAD
from anime_bert4rec.model.batches import Batch
from anime_bert4rec.model.masked_metrics import ranks, top_k_hits
from anime_bert4rec.model.run_folder import TOP_K
from anime_bert4rec.model.training_data import Data
from anime_bert4rec.support.progress import progress
from anime_bert4rec.support.slices import slices

MOST_ITEMS = 3_000
"""How many of the most popular items are in the tables, which take time with the third power of it."""
MOST_POSITIONS = 20_000
"""With more masked positions the chain, which has a history of its own for each, is left out."""
POSITIONS_AT_ONCE = 512


def baseline_accuracies(data: Data, validation: Iterable[Batch]) -> dict[str, dict[str, float]]:
    """The share of masked positions where the item is among the k best, by baseline and by k: `{"EASE": {"1": …}}`.

    What is visible is no candidate.
    """
    batches = [batch for batch in validation if not batch.given]
    baselines: dict[str, ItemKNN | EASE | MarkovChain] = {"item-kNN": ItemKNN(), "EASE": EASE()}
    positions = sum(len(batch.rows) for batch in batches)
    if data.ordered and positions <= MOST_POSITIONS:
        baselines["Markov chain"] = MarkovChain()
    lists = data.training.select(data.counted)
    accuracies = {"popularity": popularity_accuracies(data, batches)}
    with progress("baselines", len(baselines) * (1 + len(batches)), "step", leave=False) as bar:
        for name, baseline in baselines.items():
            scorer = baseline.fit(lists, data.vocabulary.num_items, MOST_ITEMS)
            bar.update()
            hits_of = _hits_before if isinstance(baseline, MarkovChain) else _hits
            hits = torch.zeros(len(TOP_K), dtype=torch.long)
            for batch in batches:
                hits += hits_of(scorer, batch)
                bar.update()
            accuracies[name] = _shares(hits, positions)
    return accuracies


def popularity_accuracies(data: Data, batches: Iterable[Batch]) -> dict[str, float]:
    """What guessing the most popular anime that isn't visible at every masked position would score."""
    asked, popularity = [batch for batch in batches if not batch.given], data.popularity()
    hits = sum(
        (_hits(lambda histories: np.tile(popularity, (len(histories), 1)), batch) for batch in asked),
        torch.zeros(len(TOP_K), dtype=torch.long),
    )
    return _shares(hits, sum(len(batch.rows) for batch in asked))


def _hits(scorer: Scorer, batch: Batch) -> Tensor:
    """For scorers that don't look at the order: one history for all masked positions of a list."""
    visible = batch.all_visible.numpy()
    mask = batch.items.max().item()  # each row has one at least, and no index is higher
    histories = [row[(row != PAD) & (row != mask)] for row in visible]
    scores = _without_seen(scorer(histories), histories)
    return sum(
        (
            top_k_hits(ranks(scores[batch.rows[part]], _targets(batch)[part]))
            for part in slices(len(batch.rows), POSITIONS_AT_ONCE)
        ),
        torch.zeros(len(TOP_K), dtype=torch.long),
    )


def _hits_before(scorer: Scorer, batch: Batch) -> Tensor:
    """For a scorer of what comes next: of each masked position what is visible before it."""
    items = batch.items.numpy()
    mask = items.max()
    hits = torch.zeros(len(TOP_K), dtype=torch.long)
    for part in slices(len(batch.rows), POSITIONS_AT_ONCE):
        places = list(zip(batch.rows[part].tolist(), batch.columns[part].tolist(), strict=True))
        shown = [(items[row] != PAD) & (items[row] != mask) for row, _ in places]
        before = [items[row, :at][here[:at]] for (row, at), here in zip(places, shown, strict=True)]
        seen = [items[row][here] for (row, _), here in zip(places, shown, strict=True)]
        hits += top_k_hits(ranks(_without_seen(scorer(before), seen), _targets(batch)[part]))
    return hits


def _without_seen(scores: np.ndarray, seen: list[np.ndarray]) -> Tensor:
    for row, items in zip(scores, seen, strict=True):
        row[items - 1] = -np.inf
    return torch.from_numpy(scores)


def _targets(batch: Batch) -> Tensor:
    """Columns 0 … N - 1."""
    assert batch.targets is not None
    return batch.targets - 1


def _shares(hits: Tensor, count: int) -> dict[str, float]:
    return {str(k): hit / count for k, hit in zip(TOP_K, hits.tolist(), strict=True)}
