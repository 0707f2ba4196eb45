"""What items are about, by the genres and tags that the catalogue gives them: of similar direction for similar ones.

Each item is a vector with a number for each genre and tag that it has, and not nearly all have: the logarithm of how
many times fewer items have it than there are (the inverse document frequency), as words count in documents that are
searched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from anime_bert4rec.model.item_space import SHORTEST

if TYPE_CHECKING:
    from anime_bert4rec.model.bert4rec import BERT4Rec


@dataclass(frozen=True)
class ContentSpace:
    """The vectors, of which few numbers are not 0, as one number after the other."""

    columns: np.ndarray
    """int64 [M] whose number it is: the column of the item in the logits."""
    groups: np.ndarray
    """int64 [M] of which genre or tag."""
    values: np.ndarray
    """float64 [M] the number, of vectors of length 1."""
    num_items: int

    @classmethod
    def of_groups(cls, columns: np.ndarray, groups: np.ndarray, num_items: int) -> ContentSpace:
        """columns, groups [M]: which item is in which group, each pair once."""
        values = np.log(num_items / np.bincount(groups)[groups])
        lengths = np.sqrt(np.bincount(columns, values**2, num_items))
        return cls(columns, groups, values / np.maximum(lengths, SHORTEST)[columns], num_items)

    @classmethod
    def of(cls, model: BERT4Rec) -> ContentSpace | None:
        """That of a model's memory of sets; None where it knows of no genre or tag."""
        memory = model.unordered_memory or model.memory
        likeness = None if memory is None else memory.likeness
        if likeness is None or likeness.content is None:
            return None
        groups, starts = likeness.groups.numpy(), likeness.item_starts.numpy()
        columns = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(groups)))
        here = np.isin(groups, likeness.content.numpy())
        return cls.of_groups(columns[here], groups[here], model.config.num_items)

    def cosines(self, items: np.ndarray) -> np.ndarray:
        """Of each item's vector, and of the sum of those of some items 1 … N: float64 [N], 0 for what has none."""
        counts = np.bincount(items - 1, minlength=self.num_items)
        whole = np.bincount(self.groups, self.values * counts[self.columns])
        length = max(float(np.linalg.norm(whole)), SHORTEST)
        return np.bincount(self.columns, self.values * whole[self.groups], self.num_items) / length
