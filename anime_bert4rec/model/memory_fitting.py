"""Builds the item-to-item memory from the training lists, and finds the settings that suit them."""

from __future__ import annotations

import copy
import functools
import logging
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from anime_bert4rec.lists.sequences import PAD, Sequences, has_order
from anime_bert4rec.model.batches import Batch, MaskedBatches
from anime_bert4rec.model.hidden_positions import BatchSettings
from anime_bert4rec.model.item_memory import ItemMemory, MemoryConfig
from anime_bert4rec.model.memory_ease import gram_matrix
from anime_bert4rec.model.memory_transitions import Pairs, Transitions, count_transitions
from anime_bert4rec.model.memory_unlisted import UnlistedItems
from anime_bert4rec.support.progress import progress

log = logging.getLogger(__name__)

MOST_ITEMS = 8_000
"""This many of the most popular items are in the tables, which grow with the square of it."""
TRIAL_ITEMS = 2_000
"""Settings are tried on tables of this size."""
TRIAL_LISTS = 1_000
TRIAL_TARGETS = 6_000
MASK_RATIO = 0.2
LARGEST_SAMPLE = 25_000_000
"""The most numbers that each part of the memory says of a sample: positions times items."""
TOWARDS_ONE = 0.01
"""Keeps the scale finite where the memory alone explains everything."""
GAIN_ENOUGH = 1e-4
"""In nats: a scale that would gain less by one more step is taken as it is."""
MOST_STEPS = 20
NUMBERS_AT_ONCE = 2**21
"""This many stay near the processor, and are enough for more than one thread."""

SHARES_OF_EASE = tuple(k / 10 for k in range(1, 11))
"""The shares of EASE that are tried, in its sum with the transitions. Never none, for only EASE knows anything of what
nobody has listed."""
RIDGES = (30.0, 100.0, 200.0, 500.0, 1000.0)
ALIKE_WEIGHTS = (0.0, 0.5, 1.0, 2.0)
RECENCIES = (1.0, 0.98, 0.95, 0.9)


def fit_memory(
    sequences: Sequences, num_items: int, *, max_seq_len: int, seed: int, alike: Sequences | None = None
) -> ItemMemory:
    """The memory of the training lists, with the settings that suit a sample of them best.

    Without an order these are the ones under which masks in the sample are the likeliest. With one, they are those
    that rank what comes next best, together with the share of EASE that does: by likelihood that would be too large,
    the more so the fewer the lists (benchmarks/LOG.md). Each list of a sample is scored as though it had not been
    counted, which is as good as other people's lists. alike: what items have in common, see lists/common_traits.py; the
    smaller a group, the more it counts.
    """
    ordered = has_order(sequences)
    most, lists = min(TRIAL_TARGETS, LARGEST_SAMPLE // num_items), TRIAL_LISTS
    if ordered:  # each mask is scored by EASE anew
        lists = math.ceil(most / max(1, MASK_RATIO * np.minimum(sequences.lengths, max_seq_len).mean()))
    batches = [sample(sequences, num_items, max_seq_len, seed, ordered, lists)]
    if ordered:
        batches.append(sample(sequences, num_items, max_seq_len, seed, ordered, TRIAL_LISTS, cuts=True))
    batch = batches[-1]
    steps = 2 + len(RIDGES) + (len(ALIKE_WEIGHTS) - 1) * (alike is not None) + (len(RECENCIES) - 1) * ordered
    with progress("item memory", steps, "step", leave=False) as bar:
        tables = Tables(sequences, num_items, MOST_ITEMS, ordered, alike, batch)
        trial = tables.of_most_popular(TRIAL_ITEMS)
        bar.update()

        @functools.cache
        def quality(recency: float, ridge: float, alike_weight: float) -> float:
            memory = trial.memory(recency, ridge, alike_weight)
            bar.update()
            by_ease = memory.by_ease(batch)
            if trial.by_transitions is None:
                return likeliest_scale(by_ease, batch)[0]
            return best_share(by_ease, trial.by_transitions, batch)[0]

        recency, weight = (0.98 if ordered else 1.0), (0.5 if alike is not None else 0.0)
        ridge = max(RIDGES, key=lambda ridge: quality(recency, ridge, weight))
        if alike is not None:
            weight = max(ALIKE_WEIGHTS, key=lambda weight: quality(recency, ridge, weight))
        if ordered:
            recency = max(RECENCIES, key=lambda recency: quality(recency, ridge, weight))

        memory = tables.memory(recency, ridge, weight)
        for kind, asked in enumerate(batches):
            memory.strength[kind] = best_strength(memory, asked)
        bar.update()
    strengths = " and ".join(f"{ease:.2f}, {follows:.2f}" for ease, follows in memory.strength.tolist()[: len(batches)])
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
        self.counts = count_transitions(self.pairs, self.column, size) if self.pairs else None
        self.unlisted = UnlistedItems() if alike is None else UnlistedItems.of(alike, self.popularity)
        self.batch = batch

    def _keep(self, most: int) -> None:
        """Keep the `most` popular items, and forget what was fitted."""
        self.kept = np.sort(np.argsort(-self.popularity, kind="stable")[:most])
        self.column = np.full(len(self.popularity) + 2, len(self.kept))
        self.column[self.kept + 1] = np.arange(len(self.kept))
        self.transitions: Transitions | None = None
        """Once they are fitted."""
        self.by_transitions: Tensor | None = None
        """What they say of the batch."""

    def of_most_popular(self, most: int) -> Tables:
        """The same of the `most` popular items, without counting again."""
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
        self._fit_transitions()
        memory = self._without_values(recency)
        memory.ease.fill(self.gram, ridge, self.alike, alike_weight)
        if self.transitions is not None:
            memory.transitions = self.transitions
            memory.config = replace(memory.config, prior=self.transitions.prior)
        return memory

    def _fit_transitions(self) -> None:
        if self.counts is None or self.transitions is not None:
            return
        memory, targets = self._without_values(1.0), self.batch.targets
        assert memory.transitions is not None and targets is not None
        memory.transitions.fill(self.counts, self.popularity)
        rows, added = memory.neighbours(self.batch)
        assert added is not None
        memory.transitions.fit(rows, added, memory.column[targets], targets)
        self.transitions, self.by_transitions = memory.transitions, memory.by_transitions(self.batch)

    def _without_values(self, recency: float) -> ItemMemory:
        """A memory that knows which items are in its tables, and nothing of what goes with or follows them."""
        ordered, unlisted = self.counts is not None, self.unlisted.sizes
        memory = ItemMemory(MemoryConfig(len(self.popularity), len(self.kept), ordered, recency, unlisted))
        memory.unlisted = self.unlisted
        memory.pairs = self.pairs
        memory.kept.copy_(torch.from_numpy(self.kept))
        memory.column.copy_(torch.from_numpy(self.column))
        return memory


def sample(
    sequences: Sequences, num_items: int, max_seq_len: int, seed: int, ordered: bool, lists: int, cuts: bool = False
) -> Batch:
    """Up to `lists` of the training lists, in one batch of masks or cuts that asks for TRIAL_TARGETS items or fewer."""
    random = np.random.default_rng(seed)
    settings = BatchSettings(
        num_items,
        batch_size=lists,
        max_seq_len=max_seq_len,
        mask_prob=MASK_RATIO,
        seed=seed,
        cut_share=float(cuts),
        whole_lists=not ordered,
        fewest_cuts=2 * math.ceil(TRIAL_TARGETS / min(lists, len(sequences))),  # half of them are kept
    )
    batches = MaskedBatches(sequences, settings, epoch=0)
    batches.users_of_batch = [random.permutation(len(sequences))[:lists]]
    batch = newer_half(batches[0])
    most = min(TRIAL_TARGETS, LARGEST_SAMPLE // num_items)
    return batch.only(torch.from_numpy(np.sort(random.permutation(len(batch.rows))[:most])))


def newer_half(batch: Batch) -> Batch:
    """Of lists in order only the cuts in the newer half, if there are any: that is where the next item will come."""
    if batch.cuts is None:
        return batch
    start = batch.items.shape[1] // 2
    newer = batch.columns >= start
    if not newer.any():
        return batch
    return batch.only(newer)._replace(cuts=batch.cuts[batch.cuts >= start])


def best_strength(memory: ItemMemory, batch: Batch) -> Tensor:
    """What the logs of EASE and of the transitions are to be multiplied by in such a batch [2]: in the shares that rank
    its targets best, as much as makes them the likeliest."""
    prior, share = memory.by_ease(batch), 1.0
    if memory.transitions is not None:
        follows = memory.by_transitions(batch)
        share = best_share(prior, follows, batch)[1]
        prior.lerp_(follows, 1 - share)
    return torch.tensor([share, 1 - share]) * likeliest_scale(prior, batch)[1]


def best_share(by_ease: Tensor, by_transitions: Tensor, batch: Batch) -> tuple[float, float]:
    """The NDCG of the targets of `batch` among what isn't visible, and the share of EASE with which it is highest.

    by_ease, by_transitions: what these say of the batch [M, N].
    """
    assert batch.targets is not None
    columns = torch.arange(batch.items.shape[1])
    gains = torch.zeros(len(SHARES_OF_EASE))
    for some in parts_of(by_ease):
        ease, follows, target = by_ease[some], by_transitions[some], batch.targets[some, None]
        seen = batch.items[batch.rows[some]]
        is_item = (seen != PAD) & (seen <= ease.shape[1])
        if batch.cuts is not None:
            is_item &= columns < batch.columns[some, None]
        others = ease.scatter(1, torch.where(is_item, seen, target) - 1, -torch.inf)
        for number, share in enumerate(SHARES_OF_EASE):
            wanted = torch.lerp(follows.gather(1, target - 1), ease.gather(1, target - 1), share)
            place = 1 + torch.lerp(follows, others, share).ge_(wanted).sum(1)  # in place: far faster than to booleans
            gains[number] += (1 / torch.log2(1 + place)).sum()
    best = int(gains.argmax())
    return gains[best].item() / len(by_ease), SHARES_OF_EASE[best]


def likeliest_scale(prior: Tensor, batch: Batch) -> tuple[float, float]:
    """The mean log likelihood of the targets of `batch` by the softmax of `prior` [M, N] times the scale with which it
    is highest, and this scale. By Newton's method: the problem is convex."""
    assert batch.targets is not None
    scale, of_targets = 1.0, prior.gather(1, batch.targets[:, None] - 1).mean().item()
    for _ in range(MOST_STEPS):
        log_total, mean, variance = _moments(prior, scale)
        gradient = of_targets - mean - 2 * TOWARDS_ONE * (scale - 1)
        step = gradient / (variance + 2 * TOWARDS_ONE)
        if gradient * step / 2 < GAIN_ENOUGH:
            break
        scale += min(max(step, -0.5), 0.5)  # no step too far
    return scale * of_targets - log_total, scale


def _moments(prior: Tensor, scale: float) -> tuple[float, float, float]:
    """Means over the rows of `prior` of the log of the sum that the softmax of the row times `scale` divides by, and of
    the mean and the variance of the row under it."""
    log_total = mean = variance = 0.0
    for rows in parts_of(prior):
        some = prior[rows]
        logits = some * scale
        highest = logits.amax(1, keepdim=True)
        probability = logits.sub_(highest).exp_()
        total = probability.sum(1, keepdim=True)
        probability.div_(total).mul_(some)
        mean_of_row = probability.sum(1)
        log_total += (total.log() + highest).sum().item()
        mean += mean_of_row.sum().item()
        variance += (probability.mul_(some).sum(1) - mean_of_row.square()).sum().item()
    return log_total / len(prior), mean / len(prior), variance / len(prior)


def parts_of(opinion: Tensor) -> Iterator[slice]:
    """The rows of an opinion [M, N], some at a time."""
    at_once = max(1, NUMBERS_AT_ONCE // opinion.shape[1])
    return (slice(start, start + at_once) for start in range(0, len(opinion), at_once))
