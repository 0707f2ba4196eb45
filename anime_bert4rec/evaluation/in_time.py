"""How well the model foretells what somebody starts next, on that day, beside what others had started before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anime_bert4rec.evaluation.ranking import Scorer, mean_and_error
from anime_bert4rec.evaluation.report import wrapped
from anime_bert4rec.lists.people import ENOUGH_PEOPLE
from anime_bert4rec.lists.recent_starts import NEWEST, AskedStart, RecentStarts
from anime_bert4rec.model.ndcg import gains
from anime_bert4rec.model.recent_strengths import RecentStrengths
from anime_bert4rec.support.text import decimal

MOST_STARTS, MOST_NUMBERS = 1_000, 3_000_000
"""The most starts that are asked, and the most that these may be times the titles."""
TOLD, NOT_TOLD, OTHERS = "this model, told the day", "the same, not told", "others' recent starts"
NOTE = (
    "In time: the newest fifth of what validation users started, of the last year of the lists at most, each title on"
    " its own day among all that were out. Told the day, the model knows what others had started until the day before"
    " and what was airing. In its training it saw what other people listed later; the strengths of recent starts were"
    " fitted on training users. ± is over people, of whom each has several starts."
)


@dataclass(frozen=True)
class InTime:
    """How each contender ranked some starts."""

    users: np.ndarray
    """Of whom each start is [Q]."""
    places: dict[str, np.ndarray]
    """By contender: the place of each start among the candidates, from 1 [Q]."""

    @property
    def starts(self) -> int:
        return len(self.users)

    @property
    def people(self) -> int:
        return len(np.unique(self.users))


def measure_in_time(
    model: Scorer,
    sets: Scorer | None,
    strengths: RecentStrengths | None,
    recent: RecentStarts | None,
    user_ids: np.ndarray,
    seed: int,
) -> InTime | None:
    """How well starts of these people are foretold; None if there are none, or the model has not learnt to.

    sets: what the model says of histories without their order, if that is something else. recent: of everybody, of whom
    all but the person asked about are others.
    """
    if strengths is None or recent is None:
        return None
    most = min(MOST_STARTS, MOST_NUMBERS // recent.starts.num_items)
    asked = [each for each in map(recent.asked, recent.newest(most, seed, user_ids).tolist()) if each is not None]
    users = np.array([each.user for each in asked], np.int64)
    if len(np.unique(users)) < ENOUGH_PEOPLE:
        return None
    whole, told = told_the_day(model, sets, strengths, asked)
    scores = {
        TOLD: told,
        NOT_TOLD: whole,
        OTHERS: np.stack([each.features[:, 0] for each in asked]),
    }
    return InTime(users, {name: places(each, asked) for name, each in scores.items()})


def told_the_day(
    model: Scorer, sets: Scorer | None, strengths: RecentStrengths, asked: Sequence[AskedStart]
) -> tuple[np.ndarray, np.ndarray]:
    """What the model says of the histories alone, and what it says when it is told what was known on each day: [Q, N]
    both. sets: as `measure_in_time` has it."""
    histories = [each.history for each in asked]
    newest = [history[-NEWEST:] for history in histories]
    said = [scorer(each) for scorer in (model, sets) if scorer is not None for each in (histories, newest)]
    told = [
        strengths.logits(whole, newest, each.features, *as_sets)
        for each, whole, newest, *as_sets in zip(asked, *said, strict=True)
    ]
    return said[0], np.stack(told)


def places(scores: np.ndarray, asked: Sequence[AskedStart]) -> np.ndarray:
    """The place of each start among the candidates, the worst that ties allow: int64 [Q]. scores: [Q, N]."""
    found = []
    for row, each in zip(scores, asked, strict=True):
        candidates = np.ones(len(row), bool)
        candidates[each.not_ranked - 1] = False
        found.append(int((row[candidates] >= row[each.item - 1]).sum()))
    return np.array(found, np.int64)


def paragraphs(found: InTime | None) -> list[str]:
    """The table, and what it means; nothing where nobody was asked."""
    if found is None:
        return []
    head = f"In time ({found.starts:,} starts of {found.people:,} people)"
    lines = [f"{head:50}{'HR@10':>8}{'NDCG@10':>9}{'±':>7}"]
    for name, each in found.places.items():
        mean, error = mean_and_error(gains(each, 10), found.users)
        lines.append(f"{name:50}{decimal((each <= 10).mean()):>8}{decimal(mean):>9}{decimal(error):>7}")
    return ["\n".join(lines), wrapped(NOTE)]


def as_json(found: InTime | None) -> dict[str, Any] | None:
    """The same numbers, and by how much the model is better for being told, with the standard errors over people."""
    if found is None:
        return None

    def number(values: np.ndarray) -> dict[str, float]:
        return dict(zip(("mean", "error"), mean_and_error(values, found.users), strict=True))

    contenders = {
        name: {"hr@10": number(each <= 10), "ndcg@10": number(gains(each, 10))} for name, each in found.places.items()
    }
    told, not_told = (gains(found.places[name], 10) for name in (TOLD, NOT_TOLD))
    return {
        "starts": found.starts,
        "people": found.people,
        "contenders": contenders,
        "gain_of_being_told": number(told - not_told),
    }
