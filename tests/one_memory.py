"""The memory of one set of lists; `fit_memories` makes those of several."""

from __future__ import annotations

from typing import Any

from anime_bert4rec.lists.sequences import Sequences
from anime_bert4rec.model.item_memory import ItemMemory
from anime_bert4rec.model.memory_fitting import fit_memories, fit_unordered_memories


def fit_memory(sequences: Sequences, num_items: int, **settings: Any) -> ItemMemory:
    return fit_memories([sequences], num_items, **settings)[0]


def fit_unordered_memory(sequences: Sequences, num_items: int, **settings: Any) -> ItemMemory:
    return fit_unordered_memories([sequences], num_items, **settings)[0]
