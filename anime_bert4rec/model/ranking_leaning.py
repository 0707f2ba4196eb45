"""Which way a ranking leans, where that is wished: from what is popular, and to what is like the titles known.

torch takes seconds to import, so that nothing here does before a model is there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from anime_bert4rec.model.item_space import ItemSpace
from anime_bert4rec.support.errors import UserError

RARE, FEW = 0.1, 30
"""What is on fewer lists than a tenth of the most listed title's, or than 30, is to `niche` not much rarer than what is
on none, for little is known of it (benchmarks/LOG.md)."""
MOST_ALIKE = 10.0
"""So much that little else counts."""


class Leaning(NamedTuple):
    """What is taken off the logarithm of each title's score, to rank by."""

    for_popularity: np.ndarray | float
    alike: float
    space: ItemSpace | None

    @classmethod
    def of(cls, niche: float, alike: float, popularity: np.ndarray | None, space: Callable[[], ItemSpace]) -> Leaning:
        """niche: from 0 to 1, the share of the logarithm of each title's popularity. alike: from 0 to MOST_ALIKE, what
        the cosine of each title and of the person's counts for. popularity: on how many lists each title is [N].

        Raises UserError where `niche` is asked of a model that doesn't know what is popular.
        """
        if not 0 <= niche <= 1:
            raise ValueError(f"niche is from 0 to 1, not {niche}")
        if not 0 <= alike <= MOST_ALIKE:
            raise ValueError(f"alike is from 0 to {MOST_ALIKE:g}, not {alike}")
        if niche and popularity is None:
            raise UserError("this model doesn't know how popular its titles are: train again, without --no-memory")
        lowered = 0.0 if popularity is None else niche * np.log(popularity + max(FEW, RARE * popularity.max()))
        return cls(lowered, alike, space() if alike else None)

    def lowered(self, items: np.ndarray) -> np.ndarray | float:
        """For somebody with these items, 1 … N: [N]."""
        if self.space is None:
            return self.for_popularity
        return self.for_popularity - self.alike * self.space.cosines(items)
