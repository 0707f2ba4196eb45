"""Which way a ranking leans, where that is wished: from what is popular, and to what is like the titles known.

torch takes seconds to import, so that nothing here does before a model is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from anime_bert4rec.model.content_space import ContentSpace
from anime_bert4rec.model.histories import History
from anime_bert4rec.model.item_space import ItemSpace
from anime_bert4rec.model.torch_settings import on_the_cpu_in_float32
from anime_bert4rec.support.errors import UserError

if TYPE_CHECKING:
    from anime_bert4rec.model.bert4rec import BERT4Rec

STEEPNESS = 1.6
"""How much of the logarithm of the popularity `niche` takes off at most: the scores from one title rise by a little
more, 1.7 to 2.1 times that (benchmarks/LOG.md)."""
RARE = 0.1
"""Below this share of the most listed title's lists, `niche` hardly tells how rare titles are, for little is known of
them (benchmarks/LOG.md)."""
MOST_ALIKE = 10.0
"""The most that `alike` may be: little else counts then."""
CONTENT_COUNTS = 0.5
"""What the cosine by genres and tags counts for beside that by lists, of which few say little of a title
(benchmarks/LOG.md)."""


@dataclass(frozen=True)
class TitleLikeness:
    """How like titles are: by the lists that have them, and by what the catalogue says they are about."""

    by_lists: ItemSpace
    by_content: ContentSpace | None = None

    @classmethod
    @on_the_cpu_in_float32()
    def of(cls, model: BERT4Rec) -> TitleLikeness:
        """Raises UserError for weights of no use."""
        return cls(ItemSpace.of_lists(model), ContentSpace.of(model))

    def likeness_to(self, items: np.ndarray) -> np.ndarray:
        """The sum of the cosines of each title and of all of some items 1 … N: [N]."""
        found = self.by_lists.cosines(items)
        return found if self.by_content is None else found + CONTENT_COUNTS * self.by_content.cosines(items)

    def lost_without(self, items: np.ndarray, places: np.ndarray) -> np.ndarray:
        """How much lower it is without the item at each of some places: [P, N]."""
        whole = self.likeness_to(items)
        return whole - np.array([self.likeness_to(np.delete(items, place)) for place in places])


class ExpectedPopularity(NamedTuple):
    """On how many lists each title counts as [N], by the memory that answers for lists in order, and for sets."""

    in_order: np.ndarray
    of_sets: np.ndarray

    @classmethod
    @on_the_cpu_in_float32()
    def of(cls, model: BERT4Rec) -> ExpectedPopularity | None:
        """None where the model doesn't know it."""
        if model.memory is None or not model.memory.config.knots:
            return None
        memories = model.memory, model.unordered_memory or model.memory
        return cls(*(memory.expected_popularity().numpy() for memory in memories))


class Leaning(NamedTuple):
    """What is taken off the logarithm of each title's score, to rank by."""

    for_popularity: tuple[np.ndarray | float, np.ndarray | float]
    """Of sets, and of lists in order."""
    alike: float
    likeness: TitleLikeness | None

    @classmethod
    def of(
        cls, niche: float, alike: float, popularity: ExpectedPopularity | None, likeness: Callable[[], TitleLikeness]
    ) -> Leaning:
        """niche: from 0 to 1, the share of what popularity counts for. alike: from 0 to MOST_ALIKE, what it counts for
        how like the person's titles each is.

        Raises UserError where `niche` is asked of a model that doesn't know what is popular.
        """
        if not 0 <= niche <= 1:
            raise ValueError(f"niche is from 0 to 1, not {niche}")
        if not 0 <= alike <= MOST_ALIKE:
            raise ValueError(f"alike is from 0 to {MOST_ALIKE:g}, not {alike}")
        if niche and popularity is None:
            raise UserError("this model doesn't know how popular its titles are: train again, without --no-memory")

        def lowered(counts: np.ndarray) -> np.ndarray:
            off: np.ndarray = niche * STEEPNESS * np.log(counts + RARE * counts.max())
            return off

        off = (0.0, 0.0) if popularity is None else (lowered(popularity.of_sets), lowered(popularity.in_order))
        return cls(off, alike, likeness() if alike else None)

    def lowered(self, history: History) -> np.ndarray | float:
        """For somebody with these titles [N]."""
        off = self.for_popularity[history.in_order]
        return off if self.likeness is None else off - self.alike * self.likeness.likeness_to(history.items)
