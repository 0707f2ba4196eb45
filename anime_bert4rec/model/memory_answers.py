"""What a memory says of a sample of lists, in the form in which strengths are fitted and settings compared."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from anime_bert4rec.model.batches import Batch, share_of
from anime_bert4rec.model.item_memory import ItemMemory
from anime_bert4rec.model.memory_samples import Wanted
from anime_bert4rec.model.memory_strengths import StrengthExamples, joined
from anime_bert4rec.model.visible_items import visible_at

NUMBERS_AT_ONCE = 2**21
"""How many numbers are processed at once: they stay in the processor's cache, and are enough for several threads."""
MOST_LISTED = 1 / 15
"""Where settings are compared, this share of all items is taken for those on the most lists."""


def examples_at(memory: ItemMemory, batch: Batch) -> StrengthExamples:
    """What the memory says at the positions of a batch of ordered lists."""
    examples = []
    for part in in_parts(batch, memory.config.num_items):
        assert part.targets is not None
        terms, seen = memory.terms(part), visible_at(part, memory.config.num_items)
        examples.append(
            StrengthExamples.of(terms.values, terms.shares, seen, (torch.arange(len(part.rows)), part.targets))
        )
    return joined(examples)


def in_parts(batch: Batch, num_items: int) -> list[Batch]:
    """Some lists of a batch at a time, of which the memory says few enough numbers to stay near the processor."""
    count = min(len(batch.items), math.ceil(len(batch.rows) * num_items / NUMBERS_AT_ONCE))
    parts = (share_of(batch, number, count) for number in range(count))
    return [part for part in parts if part.weight]


def examples_of(memory: ItemMemory, batch: Batch, wanted: Wanted) -> StrengthExamples:
    """What the memory says of lists without an order, all in one batch."""
    terms = memory.terms(batch)
    return StrengthExamples.of(
        terms.values, terms.shares, batch.all_visible, wanted[:2], wanted.weights, memory.config.sides
    )


def with_ease_of(memory: ItemMemory, examples: StrengthExamples, shown: list[tuple[Batch, Wanted]]) -> StrengthExamples:
    """The examples, with what another memory's EASE says of the same lists in the place of this one's."""
    return examples.with_first_term(torch.cat([memory.by_ease(batch) for batch, _ in shown]), wanted_of(shown))


def grounds_of(examples: StrengthExamples, terms: tuple[str, ...], popularity: np.ndarray) -> list[Tensor]:
    """What is left out where rankings are compared, bool [M or 1, N]: nothing; what is on the most lists, for everybody
    knows it; and what is of a franchise of which something is visible, for everybody guesses it."""
    often = torch.zeros(1, len(popularity), dtype=torch.bool)
    often[0, np.argsort(-popularity, kind="stable")[: int(MOST_LISTED * len(popularity))].copy()] = True
    grounds = [torch.zeros_like(often), often]
    return [*grounds, examples.terms[:, terms.index("franchise")] > 0] if "franchise" in terms else grounds


def wanted_of(shown: list[tuple[Batch, Wanted]]) -> tuple[Tensor, Tensor]:
    """The rows, counted through all batches, and the items that are wanted."""
    starts = np.cumsum([0, *(len(batch.items) for batch, _ in shown)])
    rows = torch.cat([wanted.rows + int(start) for (_, wanted), start in zip(shown, starts[:-1], strict=True)])
    return rows, torch.cat([wanted.items for _, wanted in shown])
