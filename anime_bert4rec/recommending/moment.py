"""The day on which a recommendation is asked for: what others had started before it, and what was known of a list."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.dates import DAY_SECONDS, day_of
from anime_bert4rec.lists.recent_starts import WINDOW, Calendar, Starts, features_at, started_on
from anime_bert4rec.lists.records import Anime, ListEntry
from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.recommending.person import Person

if TYPE_CHECKING:
    from anime_bert4rec.recommender import Recommender

log = logging.getLogger(__name__)


class Moment:
    """What the database knows of the days before one day, for everybody who asks on it."""

    def __init__(self, database: Database, catalogue: Sequence[Anime], vocabulary: Vocabulary, day: int) -> None:
        """The day YYYYMMDD, by the lists that the database has now."""
        self._day, self._vocabulary = day_of(day), vocabulary
        self._starts = Starts.of(database.starts((self._day - WINDOW, self._day - 1)), vocabulary)
        self._calendar = Calendar.of(catalogue, vocabulary)

    def of_person(self, person: Person) -> np.ndarray | None:
        """What `Recommender.recommend` takes for somebody; None where too little is known of others or of the person.

        What the person has stored in the database does not count.
        """
        items = self._vocabulary.encode(np.array(list(person.started), np.int64)).astype(np.int64)
        days = np.array(list(person.started.values()), np.int64)
        known = np.flatnonzero((items > 0) & (days < self._day))
        known = known[np.lexsort((items[known], days[known]))]
        seen = self._vocabulary.encode(np.array(sorted(person.seen), np.int64))
        others = self._starts.before(self._day, person.user_id)
        return features_at(self._day, others, self._calendar, seen, (items[known], days[known]))


def moment_of(day: int, database: Database, catalogue: Sequence[Anime], recommender: Recommender) -> Moment | None:
    """The day YYYYMMDD, for a recommender that knows what it counts for that others start a title; None for another."""
    if recommender.knows_recent_starts:
        return Moment(database, catalogue, recommender.vocabulary, day)
    log.debug("What others start now does not count: the model has not learnt it. Train again to have it.")
    return None


def known_on(day: int, entries: Iterable[ListEntry]) -> list[ListEntry]:
    """The list as it was known at the end of a day YYYYMMDD, as far as its dates tell; what has none was known.

    What was completed later was being watched, and had no score.
    """
    listed, number = list(entries), day_of(day)
    started = started_on(listed)
    known = []
    for entry in listed:
        first, later = started.get(entry.anime_id), (entry.completed or 0) > day
        if (entry.started or 0) > day:  # also where only the month or the year is known, and surely a later one
            continue
        # A list that was tidied up later was changed later, which says nothing of what has been completed before.
        changed_later = not entry.completed and (entry.updated or 0) // DAY_SECONDS > number
        if first > number if first is not None else later or changed_later:
            continue
        if later:
            entry = dataclasses.replace(entry, status="CURRENT", completed=None, score=None)
        known.append(entry)
    return known
