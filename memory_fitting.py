"""Builds the item-to-item memory from the training lists, and finds the settings that suit them."""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor

from batches import Batch, MaskedBatches
from ease import gram_matrix
from item_memory import ItemMemory, MemoryConfig, locate
from sequences import Sequences
from transitions import Pairs, count_transitions
from unlisted import UnlistedItems

log = logging.getLogger(__name__)

MOST_ITEMS = 8_000
"""So many of the most popular items are in the tables, which grow with the square of it."""
TRIAL_ITEMS = 2_000
"""Settings are tried on tables of this size."""
TRIAL_LISTS = 1_000
SLOTS_A_LIST = 6
LARGEST_SAMPLE = 25_000_000
"""Slots times items: so many numbers each part has."""
TOWARDS_ONE = 0.01
"""Keeps strengths finite where a part alone explains everything."""

RIDGES = (30.0, 100.0, 200.0, 500.0, 1000.0)
ALIKE_WEIGHTS = (0.0, 0.5, 1.0, 2.0)
RECENCIES = (1.0, 0.98, 0.95, 0.9)


def has_order(sequences: Sequences) -> bool:
    """Whether most pairs of entries have an order. Those imported in bulk, or without a date, have none."""
    starts = np.repeat(sequences.offsets[:-1], sequences.lengths)
    _, sizes = np.unique(starts + sequences.blocks, return_counts=True)
    return bool(np.sum(sizes.astype(float) ** 2) < np.sum(sequences.lengths.astype(float) ** 2) / 2)


def fit_memory(
    sequences: Sequences, num_items: int, *, max_seq_len: int, seed: int, alike: Sequences | None = None
) -> ItemMemory:
    """The memory of the training lists, with the settings under which a sample of them is the likeliest.

    Each list of the sample is scored as though it had not been counted, which is as good as other people's lists.
    alike: what items have in common, see features.py; the smaller a group, the more it counts.
    """
    ordered = has_order(sequences)
    batch = sample(sequences, num_items, max_seq_len, seed, ordered, TRIAL_LISTS)
    trial = Tables(sequences, num_items, TRIAL_ITEMS, ordered, alike)

    strength = torch.ones(2)

    def likelihood(recency: float, ridge: float, alike_weight: float) -> float:
        memory = trial.memory(recency, ridge, alike_weight, batch)
        memory.strength.copy_(strength)
        value = fit_strength(memory, batch, steps=3)
        strength.copy_(memory.strength)  # a good start for the next setting
        return value

    recency, weight = (0.98 if ordered else 1.0), (0.5 if alike is not None else 0.0)
    ridge = max(RIDGES, key=lambda ridge: likelihood(recency, ridge, weight))
    if alike is not None:
        weight = max(ALIKE_WEIGHTS, key=lambda weight: likelihood(recency, ridge, weight))
    if ordered:
        recency = max(RECENCIES, key=lambda recency: likelihood(recency, ridge, weight))

    tables = trial if num_items <= TRIAL_ITEMS else Tables(sequences, num_items, MOST_ITEMS, ordered, alike)
    memory = tables.memory(recency, ridge, weight, batch)
    memory.strength.copy_(strength)
    fit_strength(memory, batch, steps=5)
    strengths = ", ".join(f"{strength:.2f}" for strength in memory.strength.tolist())
    log.info("Item memory: ridge %g, recency %g, item features %g, strengths %s.", ridge, recency, weight, strengths)
    return memory


class Tables:
    """What the tables are made from, counted once for all settings that are tried."""

    def __init__(self, sequences: Sequences, num_items: int, most: int, ordered: bool, alike: Sequences | None) -> None:
        size = min(most, num_items)
        self.popularity = np.bincount(sequences.items, minlength=num_items + 1)[1:].astype(np.float32)
        self.kept = np.sort(np.argsort(-self.popularity, kind="stable")[:size])
        self.column = np.full(num_items + 2, size)
        self.column[self.kept + 1] = np.arange(size)
        self.gram = gram_matrix(sequences, self.column, size)
        self.alike = None if alike is None else gram_matrix(alike, self.column, size, 1 / alike.lengths)
        self.pairs = Pairs.of(sequences) if ordered else None
        self.counts = count_transitions(sequences, self.pairs, self.column, size) if self.pairs else None
        self.unlisted = UnlistedItems() if alike is None else UnlistedItems.of(alike, self.popularity)

    def memory(self, recency: float, ridge: float, alike_weight: float, batch: Batch) -> ItemMemory:
        """A memory with these settings; the mixture of its transitions is fitted on `batch`."""
        ordered, unlisted = self.counts is not None, self.unlisted.sizes
        memory = ItemMemory(MemoryConfig(len(self.popularity), len(self.kept), ordered, recency, unlisted))
        memory.unlisted = self.unlisted
        memory.pairs = self.pairs
        memory.kept.copy_(torch.from_numpy(self.kept))
        memory.column.copy_(torch.from_numpy(self.column))
        memory.ease.fill(self.gram, ridge, self.alike, alike_weight)
        if memory.transitions is not None and self.counts is not None and batch.targets is not None:
            memory.transitions.fill(self.counts, self.popularity)
            rows, own = memory.neighbours(batch, locate(batch))
            assert own is not None
            memory.transitions.fit(rows, own, memory.column[batch.targets], batch.targets)
        return memory


def sample(sequences: Sequences, num_items: int, max_seq_len: int, seed: int, ordered: bool, lists: int) -> Batch:
    """So many of the training lists in one batch, with SLOTS_A_LIST slots in the mean, or fewer."""
    random = np.random.default_rng(seed)
    batches = MaskedBatches(
        sequences,
        mask=num_items + 1,
        batch_size=lists,
        max_seq_len=max_seq_len,
        mask_prob=0.2,
        seed=seed,
        epoch=0,
        cut_share=1.0 if ordered else 0.0,
        whole_lists=not ordered,
    )
    batches.users_of_batch = [random.permutation(len(sequences))[:lists]]
    batch = batches[0]
    assert batch.targets is not None
    # Of lists in order the newer half: that is where the next item will come.
    columns = locate(batch).columns
    newer = np.flatnonzero(columns >= batch.items.shape[1] // 2)
    wanted = newer if ordered and len(newer) else np.arange(len(columns))
    most = min(SLOTS_A_LIST * lists, LARGEST_SAMPLE // num_items)
    chosen = torch.from_numpy(np.sort(random.permutation(wanted)[:most]))
    return batch._replace(slots=batch.slots[chosen], targets=batch.targets[chosen])


def fit_strength(memory: ItemMemory, batch: Batch, steps: int) -> float:
    """Move the strengths to those under which `batch` is the likeliest; returns its mean log likelihood.

    By so many steps of Newton's method: the problem is convex, and there are one or two strengths.
    """
    slots, targets = locate(batch), batch.targets
    assert targets is not None
    parts = [memory.by_ease(batch, slots)]
    if memory.transitions is not None:
        parts.append(memory.by_transitions(batch, slots))
    of_targets = torch.stack([part.gather(1, targets[:, None] - 1)[:, 0].mean() for part in parts])
    strength = memory.strength[: len(parts)].clone()
    for _ in range(steps):
        probability, _ = _mixture(parts, strength)
        weighted = [probability * part for part in parts]
        means = torch.stack([each.sum(1) for each in weighted])
        products = torch.stack([torch.stack([(w * part).sum() for part in parts]) for w in weighted])
        gradient = of_targets - means.mean(1) - 2 * TOWARDS_ONE * (strength - 1)
        curvature = (products - means @ means.T) / len(targets) + 2 * TOWARDS_ONE * torch.eye(len(parts))
        strength += torch.linalg.solve(curvature, gradient).clamp(-0.5, 0.5)  # no step too far
    memory.strength[: len(parts)] = strength
    _, log_total = _mixture(parts, strength)
    return (strength @ of_targets - log_total.mean()).item()


def _mixture(parts: list[Tensor], strength: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax of the weighted sum of `parts` [M, N], and the logs [M] of what it was divided by."""
    logits = parts[0] * strength[0]
    for part, factor in zip(parts[1:], strength[1:], strict=True):
        logits.add_(part * factor)
    log_total = logits.logsumexp(1)
    return logits.sub_(log_total[:, None]).exp_(), log_total
