"""How large the item memory is and what it is made of, as the model file has it."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from typing import Any

from anime_bert4rec.model.item_space import DIMENSIONS
from anime_bert4rec.model.memory_completeness import SIDES
from anime_bert4rec.model.memory_likeness import LikenessSizes
from anime_bert4rec.model.memory_unlisted import UnlistedSizes
from anime_bert4rec.support.forms import WrongForm, check

FOLLOWS = ("lateness", "by_shares", "missing", "completeness")
"""Fields that files of earlier versions have, too, though they follow from the others."""


def without_what_follows(saved: Any) -> Any:
    """What was read of a model file or a checkpoint, without these fields."""
    for memory in ("memory", "unordered_memory"):
        with contextlib.suppress(AttributeError, KeyError, TypeError):  # it may be anything
            for name in FOLLOWS:
                saved["model_config"][memory].pop(name, None)
    return saved


@dataclass(frozen=True)
class MemoryConfig:
    """What is needed to build a memory that saved weights fit into."""

    num_items: int
    table_size: int
    ordered: bool
    """Whether lists have an order. Without, whole lists are read."""
    recency: float
    """What an item counts for in EASE is multiplied by this for each item between it and the position asked for."""
    unlisted: UnlistedSizes = UnlistedSizes()
    prior: float = 0.0
    """How much of the popularity the transitions add to each row."""
    reliance: float = 0.0
    """To which power of its sum each row of the transitions counts."""
    followers: int | None = None
    """How many pairs the transitions of all items have; None if they are a table of the same items as EASE's."""
    knots: int = 0
    """At how many numbers of visible items the strengths are known; 0 in models of earlier versions, in which they are
    the same for all numbers, and there are no terms but EASE and the transitions."""
    list_weight: float = 0.0
    """What a list of one item would add for a pair of items in the co-listing."""
    likeness: LikenessSizes = LikenessSizes()
    popularity_prior: bool = False
    """Whether the popularity in the catalogue counts."""
    directions: int = 0
    """How many items have a vector; none of lists in order."""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> MemoryConfig:
        """Raises WrongForm for what is not, or has sizes of which no memory can be."""
        check(values, cls, "memory")
        config = cls(
            **{
                **values,
                "unlisted": UnlistedSizes(**values.get("unlisted", {})),
                "likeness": LikenessSizes(**values.get("likeness", {})),
            }
        )
        sizes = (config.table_size, *asdict(config.unlisted).values(), *asdict(config.likeness).values())
        sizes += (config.followers or 0, config.directions)
        settings = (config.prior, config.reliance, config.knots, config.list_weight)
        if min(*sizes, *settings) < 0 or not 0 <= config.recency <= 1:
            raise WrongForm("the sizes of its memory are not those of one")
        return config

    @property
    def terms(self) -> tuple[str, ...]:
        """What the prior is made of, in the order of the strengths."""
        if not self.knots:
            return ("EASE", "transitions")
        if self.ordered:
            return ("EASE", "transitions", "popularity", "lateness")
        of_catalogue = ("likeness", "franchise", "missing") if self.likeness.groups else ()
        return ("EASE", "popularity", "co-listing", *of_catalogue, *(("direction",) if self.directions else ()))

    @property
    def completeness(self) -> bool:
        """Whether it counts if a list looks whole."""
        return bool(self.knots) and not self.ordered

    @property
    def sides(self) -> int:
        """Into how many equal parts the strengths of a term fall: two where those of lists shown in part come first
        and those of whole ones after them."""
        return SIDES if self.completeness else 1

    def least_numbers(self) -> int:
        """How many numbers a memory of these sizes has at the least."""
        of_terms = self.knots * self.sides * len(self.terms)
        of_items = self.num_items * (1 + bool(self.knots) + self.popularity_prior + ("lateness" in self.terms))
        sizes = (*asdict(self.unlisted).values(), *asdict(self.likeness).values(), of_terms, of_items)
        tables = self.table_size**2 * (2 if "co-listing" in self.terms else 1)
        vectors = (3 * DIMENSIONS + 1) * self.directions
        return tables + 2 * (self.followers or 0) + vectors + sum(sizes)

    def places(self) -> dict[str, int]:
        """The buffers whose numbers say where something is, and the limit that they are below."""
        sizes = self.unlisted
        of_unlisted = {
            "columns": self.num_items,
            "members": self.num_items + 1,
            "group_starts": sizes.members + 1,
            "groups": sizes.groups,
            "item_starts": sizes.memberships + 1,
        }
        of_likeness = {
            "members": self.num_items + 1,
            "group_starts": self.likeness.memberships + 1,
            "groups": self.likeness.groups,
            "item_starts": self.likeness.memberships + 1,
            "franchise": self.likeness.groups + 1,
        }
        if self.likeness.contents:
            of_likeness["content"] = self.likeness.groups
        own = {"kept": self.num_items, "column": self.table_size + 1}
        own |= {"direction.columns": self.num_items} if self.directions else {}
        own |= {f"unlisted.{name}": limit for name, limit in of_unlisted.items()}
        if self.followers is not None:
            own |= {"transitions.row_starts": self.followers + 1, "transitions.followers": self.num_items}
        return own | (
            {f"likeness.{name}": limit for name, limit in of_likeness.items()} if self.likeness.groups else {}
        )
