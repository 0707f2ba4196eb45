"""How much it counts for what a person starts next that others start a title now, that it airs, that it is a sequel.

The probability that a title is started at a moment is a softmax of a weighted sum, a conditional logit (McFadden 1974):
of what the model says from all that was watched, of what it says from the newest of it, where lists have an order also
of what its other memory says of both as though they had none (which knows what titles have in common, and this says
more of what is started than of what comes next on a list), and of what is known of each title at that moment
(lists/recent_starts.py). The weights are those that make the newest starts of the training users likeliest, each with
what others had started until the day before. The item memory stands for the model, which is not trained yet; and it is
one of the lists as they were before these starts, with the settings of the model's own. One that knew the whole lists
would know what was going to be liked.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from anime_bert4rec.lists.recent_starts import FEATURES, NEWEST, OF_SEASONS, AskedStart, RecentStarts
from anime_bert4rec.lists.sequences import PAD, Sequences
from anime_bert4rec.model.batches import ask_what_comes_next
from anime_bert4rec.model.item_memory import ItemMemory
from anime_bert4rec.model.memory_strengths import StrengthExamples, joined, likeliest_strengths
from anime_bert4rec.support.forms import WrongForm
from anime_bert4rec.support.text import count_of, count_people, decimal

log = logging.getLogger(__name__)

AS_SETS = ("from the whole history as a set", "from its newest titles as a set")
TERMS = ("from the whole history", "from its newest titles", *FEATURES, *AS_SETS)
"""What is added up, in the order of the strengths."""
FEWEST_STARTS, FEWEST_PEOPLE = 200, 5
"""Nothing is learnt from fewer starts, or from those of fewer people."""
MOST_STARTS, MOST_NUMBERS = 2_000, 6_000_000
"""The most starts that the strengths are fitted on, and the most that these may be times the titles."""
MOST_LIKELY = 100.0
"""No strength is fitted that is larger, and a file with one is refused."""
AT_ONCE = 64


@dataclass(frozen=True)
class RecentStrengths:
    """What each of the TERMS is multiplied by: float32 [2, T].

    First on days on which the catalogue knows titles of the season or the last one, then where it knows none.
    """

    values: np.ndarray

    def logits(
        self,
        whole: np.ndarray,
        newest: np.ndarray,
        features: np.ndarray,
        whole_as_set: np.ndarray | None = None,
        newest_as_set: np.ndarray | None = None,
    ) -> np.ndarray:
        """Of each title [N], from the logarithms of what the model says, twice, and the features [N, F].

        The two last are what it says of both as sets, where they are not sets already.
        """
        values = self.values[0 if features[:, OF_SEASONS].any() else 1]
        logits: np.ndarray = values[0] * whole + values[1] * newest + features @ values[2 : 2 + len(FEATURES)]
        if whole_as_set is not None and newest_as_set is not None:
            logits += values[-2] * whole_as_set + values[-1] * newest_as_set
        return logits

    def tensors(self) -> dict[str, Tensor]:
        """The form in which they are kept in a model file."""
        return {"values": torch.from_numpy(self.values)}

    @classmethod
    def of_tensors(cls, saved: Mapping[str, Tensor]) -> RecentStrengths:
        """Raises WrongForm for what `tensors` does not give."""
        values = saved.get("values")
        if saved.keys() != {"values"} or values is None or values.dtype != torch.float32:
            raise WrongForm("its strengths of recent starts have other parts")
        unknown = len(TERMS) - values.shape[-1] if values.ndim else 0
        if unknown in (len(AS_SETS), len(AS_SETS) + 1):  # of versions that did not know the last terms
            values = torch.nn.functional.pad(values, (0, unknown))
        if values.shape != (2, len(TERMS)) or not (values.abs() <= MOST_LIKELY).all():
            raise WrongForm("its strengths of recent starts are not such as are fitted")
        return cls(values.contiguous().numpy())


class Lately:
    """The starts that the strengths are fitted on, and the lists as they were before these."""

    def __init__(self, recent: RecentStarts, training: Sequences, seed: int) -> None:
        """training: the lists whose people's starts there are."""
        positions = recent.newest(min(MOST_STARTS, MOST_NUMBERS // recent.starts.num_items), seed)
        self.asked = [each for each in map(recent.asked, positions.tolist()) if each is not None]
        self.people = len({each.user for each in self.asked})
        first = min((each.day for each in self.asked), default=0)
        self.lists_before = recent.lists_before(first, training)

    @property
    def enough(self) -> bool:
        """Whether there is something to learn from."""
        return (
            len(self.asked) >= FEWEST_STARTS
            and self.people >= FEWEST_PEOPLE
            and len(self.lists_before) >= FEWEST_PEOPLE
        )


def fit_recent(
    lately: Lately, memory: ItemMemory, max_seq_len: int, unordered: ItemMemory | None = None
) -> RecentStrengths:
    """The strengths that make these starts likeliest. memory: of the lists before them; unordered: of the same lists
    without their order, if they have one."""
    clock = time.perf_counter()
    parts = [lately.asked[at : at + AT_ONCE] for at in range(0, len(lately.asked), AT_ONCE)]
    said = joined([_said(part, memory, max_seq_len, unordered) for part in parts])
    with_seasons = likeliest_strengths(said)[1][:, 0]
    for part in (said.terms, said.of_targets):
        part[:, [2 + feature for feature in OF_SEASONS]] = 0
    strengths = torch.stack([with_seasons, likeliest_strengths(said)[1][:, 0]])
    named = zip(TERMS, with_seasons.tolist(), strict=False)
    found = ", ".join(f"{term} {decimal(strength, '.2f')}" for term, strength in named)
    if unordered is None:
        strengths = torch.nn.functional.pad(strengths, (0, len(AS_SETS)))
    starts, people = count_of(len(lately.asked), "start"), count_people(lately.people)
    took = time.perf_counter() - clock
    log.info("Recent starts: learnt from %s of %s in %.1f s: %s.", starts, people, took, found)
    return RecentStrengths(strengths.clamp(-MOST_LIKELY, MOST_LIKELY).numpy())


def _said(
    asked: Sequence[AskedStart], memory: ItemMemory, max_seq_len: int, unordered: ItemMemory | None
) -> StrengthExamples:
    """What the terms say of some starts."""
    whole = [each.history for each in asked]
    newest = [history[-NEWEST:] for history in whole]

    def of_both(memory: ItemMemory) -> list[Tensor]:
        config = memory.config
        length = max_seq_len if config.ordered else max(map(len, whole)) + 1
        batches = (ask_what_comes_next(each, config.num_items + 1, length, config.ordered) for each in (whole, newest))
        return [memory(batch, rank_unlisted=True).log_softmax(1) for batch in batches]

    features = torch.from_numpy(np.stack([each.features for each in asked]))
    terms = [*of_both(memory), *features.unbind(2), *([] if unordered is None else of_both(unordered))]
    no_candidates = [torch.from_numpy(each.not_ranked) for each in asked]
    visible = torch.nn.utils.rnn.pad_sequence(no_candidates, batch_first=True, padding_value=PAD)
    rows, wanted = torch.arange(len(asked)), torch.tensor([each.item for each in asked])
    return StrengthExamples.of(terms, torch.ones(len(asked), 1), visible, (rows, wanted))
