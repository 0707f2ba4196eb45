"""Builds the item-to-item memory from the training lists, and finds the settings that suit them."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from anime_bert4rec.lists.sequences import PAD, Sequences, has_order
from anime_bert4rec.model.batches import Batch, share_of
from anime_bert4rec.model.item_memory import ItemMemory
from anime_bert4rec.model.memory_answers import (
    NUMBERS_AT_ONCE,
    examples_at,
    examples_of,
    grounds_of,
    in_parts,
    wanted_of,
    with_ease_of,
)
from anime_bert4rec.model.memory_ranking import better_along, ndcg, ranking_strengths
from anime_bert4rec.model.memory_samples import (
    LARGEST_SAMPLE,
    MASK_RATIO,
    SHOWN_AT_ONCE,
    TRIAL_LISTS,
    TRIAL_TARGETS,
    lists_in_part,
    sample,
    shown_in_part,
)
from anime_bert4rec.model.memory_strengths import (
    KNOTS,
    calibrated,
    first_place_strengths,
    joined,
    likeliest_strengths,
    strengths_for_the_first,
)
from anime_bert4rec.model.memory_tables import Tables
from anime_bert4rec.model.two_threads import one_thread
from anime_bert4rec.model.visible_items import visible_at
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.progress import progress
from anime_bert4rec.support.slices import slices

log = logging.getLogger(__name__)

TOGETHER = ("EASE", "transitions", "co-listing", "direction")
"""The terms that say what is on the same lists as what is visible."""
MOST_ITEMS, MOST_UNORDERED_ITEMS = 8_000, 4_000
"""This many of the most popular items are in the tables, which grow with the square of it; fewer in those of a second
memory, for the model file has both."""
TRIAL_ITEMS = 2_000
"""Settings are tried on tables of this size."""
TRIAL_STEPS = 1
"""In how many steps the strengths are fitted before a setting is compared to others."""

SHARES_OF_EASE = tuple(k / 10 for k in range(1, 11))
"""The shares of EASE that are tried, in its sum with the transitions. Never none, for only EASE knows anything of what
nobody has listed."""
RIDGES = (30.0, 100.0, 200.0, 500.0, 1000.0)
ALIKE_WEIGHTS = (0.0, 0.1, 0.25, 0.5, 1.0)
RECENCIES = (1.0, 0.98, 0.95, 0.9)
FRANCHISE_BONUS = 2.0
"""Added to the strength of the franchise with one visible title; less with more titles, and nothing from 64 on. By the
lists alone the franchise would count for little, for they have what everybody has; but who names one title expects its
seasons (benchmarks/LOG.md has what this costs)."""


def fit_memories(
    lists: Sequence[Sequences],
    num_items: int,
    max_seq_len: int,
    seed: int,
    alike: Sequences | None = None,
    in_catalogue: np.ndarray | None = None,
) -> list[ItemMemory]:
    """The memories of several sets of lists, with the settings that suit a sample of the first set best.

    Without an order these, and the strengths of the terms, are the ones that rank best what is hidden of lists that are
    shown in part. With an order, they are those that rank what comes next best, together with the share of EASE that
    does: by likelihood that would be too large, the more so the fewer the lists (benchmarks/LOG.md). The strengths are
    then the likeliest ones for masks and, for what comes next, the likeliest among the items that come first. Each list
    of a sample is scored as though it had not been counted, which is as good as other people's lists. alike: what items
    have in common, see lists/common_traits.py; the smaller a group, the more it counts. in_catalogue: how popular each
    item is there today [N], which counts in the first memory alone, for the other lists are of a time before.

    Raises UserError if no list has two items.
    """
    alike = alike or None  # of a catalogue of nothing but ids
    if has_order(lists[0]):
        memory, settings = _fitted_in_order(lists[0], num_items, max_seq_len, seed, alike, in_catalogue)
    else:
        memory, settings = _fitted_without_order(lists[0], num_items, seed, alike, in_catalogue)
    _log_memory("Item memory", memory, settings)
    return [memory, *(_fitted_like(memory, settings, each, num_items, max_seq_len, seed, alike) for each in lists[1:])]


def fit_unordered_memories(
    lists: Sequence[Sequences],
    num_items: int,
    *,
    seed: int,
    alike: Sequences | None = None,
    in_catalogue: np.ndarray | None = None,
) -> list[ItemMemory]:
    """The memories of lists as though they had no order, for titles of which none is known: of what else is on lists
    with them, not of what comes next. The settings and strengths are those that suit the first set of lists best."""
    alike = alike or None
    memory, settings = _fitted_without_order(lists[0], num_items, seed, alike, in_catalogue, MOST_UNORDERED_ITEMS)
    _log_memory("Item memory for titles without an order", memory, settings)
    return [memory, *(_fitted_like(memory, settings, each, num_items, 0, seed, alike) for each in lists[1:])]


def _log_memory(name: str, memory: ItemMemory, settings: Settings) -> None:
    of_sides = memory.strength[-1].unflatten(1, (memory.config.sides, KNOTS))[:, :, ::3].tolist()
    numbers = [" / ".join(", ".join(f"{each:.2f}" for each in side) for side in sides) for sides in of_sides]
    strengths = "; ".join(map(" ".join, zip(memory.config.terms, numbers, strict=True)))
    which = " of lists shown in part / whole" if memory.config.completeness else ""
    log.info("%s: %s; strengths with 1, 8, 64, 512 items%s: %s.", name, settings, which, strengths)


class Settings(NamedTuple):
    """What a memory is fitted with."""

    ridge: float
    alike_weight: float
    recency: float | None = None
    """None where lists have no order."""

    def __str__(self) -> str:
        recency = "" if self.recency is None else f"recency {self.recency:g}, "
        return f"ridge {self.ridge:g}, {recency}item features {self.alike_weight:g}"


@one_thread()
def _fitted_like(
    memory: ItemMemory,
    settings: Settings,
    sequences: Sequences,
    num_items: int,
    max_seq_len: int,
    seed: int,
    alike: Sequences | None,
) -> ItemMemory:
    """The memory of other lists, with the settings and the strengths of this one."""
    if settings.recency is None:
        tables = Tables(sequences, num_items, MOST_ITEMS, False, alike)
        found = tables.memory(1.0, settings.ridge, settings.alike_weight)
    else:
        batch = sample(sequences, num_items, max_seq_len, seed, TRIAL_LISTS, cuts=True)
        tables = Tables(sequences, num_items, MOST_ITEMS, True, alike, batch)
        found = tables.memory(settings.recency, settings.ridge, settings.alike_weight)
    found.strength.copy_(memory.strength)
    found.completeness = memory.completeness
    return found


def _fitted_in_order(
    sequences: Sequences,
    num_items: int,
    max_seq_len: int,
    seed: int,
    alike: Sequences | None,
    in_catalogue: np.ndarray | None,
) -> tuple[ItemMemory, Settings]:
    most = min(TRIAL_TARGETS, LARGEST_SAMPLE // num_items)
    # each mask is scored by EASE anew
    lists = math.ceil(most / max(1, MASK_RATIO * np.minimum(sequences.lengths, max_seq_len).mean()))
    masks = sample(sequences, num_items, max_seq_len, seed, lists)
    batch = sample(sequences, num_items, max_seq_len, seed, TRIAL_LISTS, cuts=True)
    tried_on = share_of(batch, 0, 2)
    with progress("item memory", 4, "step", leave=False) as bar:
        tables = Tables(sequences, num_items, MOST_ITEMS, True, alike, batch, in_catalogue)
        trial, by_transitions = tables.of_most_popular(TRIAL_ITEMS), tables.by_transitions(tried_on)
        bar.update()

        @functools.cache
        def quality(recency: float, ridge: float, alike_weight: float) -> float:
            memory = trial.with_ease(recency, ridge, alike_weight)
            by_ease = torch.cat([memory.by_ease(part) for part in in_parts(tried_on, num_items)])
            return best_share(by_ease, by_transitions, tried_on)[0]

        recency, weight = 0.98, (0.5 if alike is not None else 0.0)
        ridge = climbed(RIDGES, 200.0, lambda ridge: quality(recency, ridge, weight))
        bar.update()
        if alike is not None:
            weight = climbed(ALIKE_WEIGHTS, weight, lambda weight: quality(recency, ridge, weight))
        recency = climbed(RECENCIES, recency, lambda recency: quality(recency, ridge, weight))
        bar.update()

        memory = tables.memory(recency, ridge, weight)
        of_masks, of_cuts = (shown_in_part(each, num_items, np.random.default_rng(seed)) for each in (masks, batch))
        strength = likeliest_strengths(examples_at(memory, of_masks))[1]
        memory.strength[0] = not_against(strength, memory.config.terms)
        memory.strength[1] = _strengths_for_what_comes_next(memory, of_cuts, strength)
        bar.update()
    return memory, Settings(ridge, weight, recency)


def _strengths_for_what_comes_next(memory: ItemMemory, cuts: Batch, start: Tensor) -> Tensor:
    """The likeliest strengths [T, knots] among the items that come first, if they rank better than the likeliest."""
    examples, targets = examples_at(memory, cuts), cuts.targets
    assert targets is not None
    likeliest = likeliest_strengths(examples, start)[1]
    among_the_first = strengths_for_the_first(examples, targets, likeliest)
    likeliest, among_the_first = (not_against(each, memory.config.terms) for each in (likeliest, among_the_first))
    wanted = torch.arange(len(targets)), targets
    everything = [torch.zeros(1, memory.config.num_items, dtype=torch.bool)]
    before = ndcg(examples, wanted, likeliest, everything)
    return calibrated(
        examples, better_along(among_the_first - likeliest, examples, wanted, likeliest, everything, before)[1]
    )


def not_against(strength: Tensor, terms: tuple[str, ...]) -> Tensor:
    """The same strengths [T, knots], but those of TOGETHER at least 0. Below 0, an item would be the less likely, the
    more lists have it beside what is visible: with few lists, such strengths are found by chance. What is visible
    itself, which no list has twice, would then be the likeliest of all."""
    together = torch.tensor([term in TOGETHER for term in terms])
    return torch.where(together[:, None], strength.clamp_min(0), strength)


@one_thread()
def _fitted_without_order(
    sequences: Sequences,
    num_items: int,
    seed: int,
    alike: Sequences | None,
    in_catalogue: np.ndarray | None,
    most: int = MOST_ITEMS,
) -> tuple[ItemMemory, Settings]:
    shown = lists_in_part(sequences, num_items, seed)
    if not shown:
        raise UserError(
            "no list to train on has two anime of the catalogue, so nothing goes together: fetch more anime"
            " (prepare_dataset.py --count) or load more lists (load_users.py)"
        )
    some = shown[: -(-TRIAL_LISTS // SHOWN_AT_ONCE)]
    wanted = wanted_of(some)
    with progress("item memory", 4, "step", leave=False) as bar:
        tables = Tables(sequences, num_items, most, False, alike, in_catalogue=in_catalogue)
        tables.fit_completeness(batch for batch, _ in shown)
        trial = tables.of_most_popular(TRIAL_ITEMS)
        bar.update()

        ridge, weight = start = 200.0, (0.25 if alike is not None else 0.0)
        memory = tables.memory(1.0, ridge, weight)
        examples = joined([examples_of(memory, batch, of_batch) for batch, of_batch in some])
        strength = first_place_strengths(examples, wanted)
        grounds = grounds_of(examples, memory.config.terms, tables.popularity)
        bar.update()

        @functools.cache
        def quality(ridge: float, alike_weight: float) -> float:
            memory = trial.with_ease(1.0, ridge, alike_weight)
            tried = with_ease_of(memory, examples, some)
            return ranking_strengths(tried, wanted, strength, grounds, TRIAL_STEPS)[0]

        ridge = climbed(RIDGES, ridge, lambda ridge: quality(ridge, weight))
        if alike is not None:
            weight = climbed(ALIKE_WEIGHTS, weight, lambda weight: quality(ridge, weight))
        bar.update()

        known, others = [examples], shown[len(some) :]
        if (ridge, weight) != start:
            memory = tables.memory(1.0, ridge, weight)
            known, others = [], shown
        examples = joined([*known, *(examples_of(memory, batch, of_batch) for batch, of_batch in others)])
        strength = first_place_strengths(examples, wanted_of(shown), strength)
        grounds = grounds_of(examples, memory.config.terms, tables.popularity)
        strength = ranking_strengths(examples, wanted_of(shown), strength, grounds)[1]
        strength = not_against(strength, memory.config.terms)
        if "franchise" in memory.config.terms:
            of_franchise = strength[memory.config.terms.index("franchise")]
            of_franchise += FRANCHISE_BONUS * (1 - torch.arange(KNOTS) / 6).clamp_min(0).repeat(memory.config.sides)
        memory.strength[0] = calibrated(examples, strength)
        bar.update()
    return memory, Settings(ridge, weight)


def climbed(values: Sequence[float], start: float, quality: Callable[[float], float]) -> float:
    """The value from which on neither neighbour is better, reached from `start` by steps that are: where the quality
    has one top, the best of all."""
    at = values.index(start)
    for step in (1, -1):
        before = at
        while 0 <= at + step < len(values) and quality(values[at + step]) > quality(values[at]):
            at += step
        if at != before:
            break
    return values[at]


def best_share(by_ease: Tensor, by_transitions: Tensor, batch: Batch) -> tuple[float, float]:
    """The NDCG of the targets of `batch` among what isn't visible, and the share of EASE with which it is highest.

    by_ease, by_transitions: what these say of the batch [M, N].
    """
    assert batch.targets is not None
    seen = visible_at(batch, by_ease.shape[1])
    gains, near = torch.zeros(len(SHARES_OF_EASE)), range(len(SHARES_OF_EASE))
    for some in slices(len(by_ease), max(1, NUMBERS_AT_ONCE // by_ease.shape[1])):
        if some.start > len(by_ease) / 4 and len(near) > 3:  # by then it is known well enough where the best one is
            best = int(gains.argmax())
            near = range(max(best - 1, 0), min(best + 2, len(gains)))
        ease, follows, target = by_ease[some], by_transitions[some], batch.targets[some, None]
        others = ease.scatter(1, torch.where(seen[some] != PAD, seen[some], target) - 1, -torch.inf)
        for number in near:
            share = SHARES_OF_EASE[number]
            wanted = torch.lerp(follows.gather(1, target - 1), ease.gather(1, target - 1), share)
            place = 1 + torch.lerp(follows, others, share).ge_(wanted).sum(1)  # in place: far faster than to booleans
            gains[number] += (1 / torch.log2(1 + place)).sum()
    best = int(gains.argmax())
    return gains[best].item() / len(by_ease), SHARES_OF_EASE[best]
