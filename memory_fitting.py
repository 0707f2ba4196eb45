"""Builds the item-to-item memory from the training lists, and finds the settings that suit them."""

from __future__ import annotations

import copy
import functools
import logging

import numpy as np
import torch
from torch import Tensor

from batches import Batch, MaskedBatches
from console import progress
from ease import gram_matrix
from item_memory import ItemMemory, MemoryConfig, locate
from sequences import Sequences
from transitions import Pairs, Transitions, count_transitions
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
GAIN_ENOUGH = 1e-4
"""In nats: strengths that would gain less by one more step are taken as they are."""
MOST_STEPS = 20
SLOTS_AT_ONCE = 64
"""What so few slots need stays in the processor's cache."""

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
    strength = torch.ones(2)
    steps = 2 + len(RIDGES) + (len(ALIKE_WEIGHTS) - 1) * (alike is not None) + (len(RECENCIES) - 1) * ordered
    with progress("item memory", steps, "step", leave=False) as bar:
        tables = Tables(sequences, num_items, MOST_ITEMS, ordered, alike, batch)
        trial = tables.of_most_popular(TRIAL_ITEMS)
        bar.update()

        @functools.cache
        def likelihood(recency: float, ridge: float, alike_weight: float) -> float:
            memory = trial.memory(recency, ridge, alike_weight)
            memory.strength.copy_(strength)
            value = fit_strength(memory, batch, trial.by_transitions)
            strength.copy_(memory.strength)  # a good start for the next setting
            bar.update()
            return value

        recency, weight = (0.98 if ordered else 1.0), (0.5 if alike is not None else 0.0)
        ridge = max(RIDGES, key=lambda ridge: likelihood(recency, ridge, weight))
        if alike is not None:
            weight = max(ALIKE_WEIGHTS, key=lambda weight: likelihood(recency, ridge, weight))
        if ordered:
            recency = max(RECENCIES, key=lambda recency: likelihood(recency, ridge, weight))

        memory = tables.memory(recency, ridge, weight)
        memory.strength.copy_(strength)
        fit_strength(memory, batch, tables.by_transitions)
        bar.update()
    strengths = ", ".join(f"{strength:.2f}" for strength in memory.strength.tolist())
    log.info("Item memory: ridge %g, recency %g, item features %g, strengths %s.", ridge, recency, weight, strengths)
    return memory


class Tables:
    """What the tables are made from, counted once for all settings that are tried."""

    def __init__(
        self,
        sequences: Sequences,
        num_items: int,
        most: int,
        ordered: bool,
        alike: Sequences | None,
        batch: Batch,
    ) -> None:
        """batch: the mixture of the transitions is fitted on it, which no setting here changes."""
        self.popularity = np.bincount(sequences.items, minlength=num_items + 1)[1:].astype(np.float32)
        self._keep(most)
        size = len(self.kept)
        self.gram = gram_matrix(sequences, self.column, size)
        self.alike = None if alike is None else gram_matrix(alike, self.column, size, 1 / alike.lengths)
        self.pairs = Pairs.of(sequences) if ordered else None
        self.counts = count_transitions(sequences, self.pairs, self.column, size) if self.pairs else None
        self.unlisted = UnlistedItems() if alike is None else UnlistedItems.of(alike, self.popularity)
        self.batch = batch

    def _keep(self, most: int) -> None:
        """… the `most` popular items, and forget what was fitted."""
        self.kept = np.sort(np.argsort(-self.popularity, kind="stable")[:most])
        self.column = np.full(len(self.popularity) + 2, len(self.kept))
        self.column[self.kept + 1] = np.arange(len(self.kept))
        self.transitions: Transitions | None = None
        """Once they are fitted."""
        self.by_transitions: Tensor | None = None
        """What they say of the batch."""

    def of_most_popular(self, most: int) -> Tables:
        """The same of so many items, without counting again."""
        if most >= len(self.kept):
            return self
        fewer = copy.copy(self)
        fewer._keep(most)
        at = self.column[fewer.kept + 1]
        rows, columns = np.ix_(at, at)
        fewer.gram = self.gram[rows, columns]
        fewer.alike = None if self.alike is None else self.alike[rows, columns]
        fewer.counts = None if self.counts is None else self.counts[rows, columns]
        return fewer

    def memory(self, recency: float, ridge: float, alike_weight: float) -> ItemMemory:
        """A memory with these settings."""
        ordered, unlisted = self.counts is not None, self.unlisted.sizes
        memory = ItemMemory(MemoryConfig(len(self.popularity), len(self.kept), ordered, recency, unlisted))
        memory.unlisted = self.unlisted
        memory.pairs = self.pairs
        memory.kept.copy_(torch.from_numpy(self.kept))
        memory.column.copy_(torch.from_numpy(self.column))
        memory.ease.fill(self.gram, ridge, self.alike, alike_weight)
        if self.transitions is not None:
            memory.transitions = self.transitions
        elif memory.transitions is not None:
            self._fit(memory)
        return memory

    def _fit(self, memory: ItemMemory) -> None:
        assert memory.transitions is not None and self.counts is not None and self.batch.targets is not None
        memory.transitions.fill(self.counts, self.popularity)
        slots, targets = locate(self.batch), self.batch.targets
        rows, own = memory.neighbours(self.batch, slots)
        assert own is not None
        memory.transitions.fit(rows, own, memory.column[targets], targets, memory.kept)
        self.transitions, self.by_transitions = memory.transitions, memory.by_transitions(self.batch, slots)


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
        fewest_cuts=2 * SLOTS_A_LIST,  # half of them are kept
    )
    batches.users_of_batch = [random.permutation(len(sequences))[:lists]]
    batch = newer_half(batches[0])
    assert batch.targets is not None
    most = min(SLOTS_A_LIST * lists, LARGEST_SAMPLE // num_items)
    chosen = torch.from_numpy(np.sort(random.permutation(len(batch.slots))[:most]))
    return batch._replace(slots=batch.slots[chosen], targets=batch.targets[chosen])


def newer_half(batch: Batch) -> Batch:
    """Of lists in order only the cuts in the newer half, if there are any: that is where the next item will come."""
    if batch.cuts is None or batch.targets is None:
        return batch
    all_cuts, older = len(batch.cuts), int((batch.cuts < batch.items.shape[1] // 2).sum())
    row, place = batch.slots // all_cuts, batch.slots % all_cuts
    newer = place >= older
    if not newer.any():
        return batch
    slots = row * (all_cuts - older) + place - older
    return batch._replace(slots=slots[newer], targets=batch.targets[newer], cuts=batch.cuts[older:])


def fit_strength(memory: ItemMemory, batch: Batch, by_transitions: Tensor | None) -> float:
    """Move the strengths to those under which `batch` is the likeliest; returns its mean log likelihood.

    By Newton's method: the problem is convex, and there are one or two strengths. by_transitions: what the memory's
    transitions say of the batch.
    """
    targets = batch.targets
    assert targets is not None
    parts = [memory.by_ease(batch, locate(batch))]
    if by_transitions is not None:
        parts.append(by_transitions)
    strength = memory.strength[: len(parts)]
    of_targets = torch.stack([part.gather(1, targets[:, None] - 1)[:, 0].mean() for part in parts])
    for _ in range(MOST_STEPS):
        log_total, means, covariance = _moments(parts, strength)
        gradient = of_targets - means - 2 * TOWARDS_ONE * (strength - 1)
        step = torch.linalg.solve(covariance + 2 * TOWARDS_ONE * torch.eye(len(parts)), gradient)
        if gradient @ step / 2 < GAIN_ENOUGH:
            break
        strength += step.clamp(-0.5, 0.5)  # no step too far
    return (strength @ of_targets - log_total).item()


def _moments(parts: list[Tensor], strength: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Means over the slots of the log of the sum that the softmax of the weighted sum of `parts` [M, N] divides by, and
    of the means [P] and covariances [P, P] of the parts under it."""
    count = len(parts[0])
    log_total, means, covariance = torch.zeros(()), torch.zeros(len(parts)), torch.zeros(len(parts), len(parts))
    for start in range(0, count, SLOTS_AT_ONCE):
        some = torch.stack([part[start : start + SLOTS_AT_ONCE] for part in parts], 1)  # [slots, P, N]
        logits = strength @ some
        highest = logits.amax(1, keepdim=True)
        probability = logits.sub_(highest).exp_()
        total = probability.sum(1, keepdim=True)
        probability.div_(total)
        mean = some @ probability[:, :, None]  # [slots, P, 1]
        log_total += (total.log() + highest).sum()
        means += mean.sum(0)[:, 0]
        covariance += ((some * probability[:, None]) @ some.transpose(1, 2) - mean @ mean.transpose(1, 2)).sum(0)
    return log_total / count, means / count, covariance / count
