"""What recommenders that need no training score in validation: at the same masked positions, given the same entries.

Where there are many validation users, a part of their batches is enough. The baselines are made of the training lists
alone. Their settings are fixed, and are those of evaluation/baselines.py: to choose them would take longer than it
tells. Whoever draws them may take the best of them, which favours the baselines a little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from anime_bert4rec.evaluation.baselines import EASE, ItemKNN, MarkovChain, Popularity
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
    positions, num_items = sum(len(batch.rows) for batch in batches), data.vocabulary.num_items
    baselines: dict[str, ItemKNN | EASE | MarkovChain] = {"item-kNN": ItemKNN(), "EASE": EASE()}
    if data.ordered and positions <= MOST_POSITIONS:
        baselines["Markov chain"] = MarkovChain()
    lists = data.training.select(data.counted)
    with progress("baselines", len(baselines) + (1 + len(baselines)) * len(batches), "step", leave=False) as bar:

        def accuracies(scorer: Scorer, hits_of: Callable[[Scorer, Batch], Tensor] = _hits) -> dict[str, float]:
            hits = torch.zeros(len(TOP_K), dtype=torch.long)
            for batch in batches:
                hits += hits_of(scorer, batch)
                bar.update()
            return {str(k): hit / positions for k, hit in zip(TOP_K, hits.tolist(), strict=True)}

        found = {"popularity": accuracies(Popularity().fit(data.training, num_items))}
        for name, baseline in baselines.items():
            scorer = baseline.fit(lists, num_items, MOST_ITEMS)
            bar.update()
            found[name] = accuracies(scorer, _hits_before if isinstance(baseline, MarkovChain) else _hits)
    return found


def _hits(scorer: Scorer, batch: Batch) -> Tensor:
    """For scorers that don't look at the order: one history for all masked positions of a list."""
    visible = batch.all_visible.numpy()
    mask = batch.items.max().item()  # each row has one at least, and no index is higher
    histories = [row[(row != PAD) & (row != mask)] for row in visible]
    scores = _without_seen(scorer(histories), histories)
    parts, targets = slices(len(batch.rows), POSITIONS_AT_ONCE), _targets(batch)
    return top_k_hits(torch.cat([ranks(scores[batch.rows[part]], targets[part]) for part in parts]))


def _hits_before(scorer: Scorer, batch: Batch) -> Tensor:
    """For a scorer of what comes next: of each masked position what is visible before it."""
    items = batch.items.numpy()
    mask = items.max()
    found = []
    for part in slices(len(batch.rows), POSITIONS_AT_ONCE):
        places = list(zip(batch.rows[part].tolist(), batch.columns[part].tolist(), strict=True))
        shown = [(items[row] != PAD) & (items[row] != mask) for row, _ in places]
        before = [items[row, :at][here[:at]] for (row, at), here in zip(places, shown, strict=True)]
        seen = [items[row][here] for (row, _), here in zip(places, shown, strict=True)]
        found.append(ranks(_without_seen(scorer(before), seen), _targets(batch)[part]))
    return top_k_hits(torch.cat(found))


def _without_seen(scores: np.ndarray, seen: list[np.ndarray]) -> Tensor:
    for row, items in zip(scores, seen, strict=True):
        row[items - 1] = -np.inf
    return torch.from_numpy(scores)


def _targets(batch: Batch) -> Tensor:
    """Columns 0 … N - 1."""
    assert batch.targets is not None
    return batch.targets - 1
