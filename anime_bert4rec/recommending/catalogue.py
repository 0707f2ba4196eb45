"""A catalogue for larger programs: the titles of a database, and which of them come in turn."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.records import Anime
from anime_bert4rec.recommending.person import Person
from anime_bert4rec.recommending.shortlist import Shortlists
from anime_bert4rec.recommending.wishes import Wish, Wishes

if TYPE_CHECKING:
    from anime_bert4rec.recommender import Recommender

MANY_NEW = 10
"""So many anime that have come into the catalogue after the training are spoken of: a season has some fifty."""

log = logging.getLogger(__name__)


def say_what_is_missing(recommender: Recommender, catalogue: Sequence[Anime], has_scores: bool) -> None:
    """Log what keeps recommendations from being what they could be. has_scores: whether scores are to be predicted."""
    ids, count = np.array([each.anime_id for each in catalogue], np.int64), recommender.vocabulary.num_items
    known = np.count_nonzero(recommender.vocabulary.encode(ids))
    if known < count / 2:
        log.warning(
            "The catalogue has %s of the %s anime that the model knows: is this another database?",
            *(f"{each:,}" for each in (known, count)),
        )
    elif len(ids) - known >= MANY_NEW:
        new = f"{len(ids) - known:,}"
        log.info("The catalogue has %s anime that the model doesn't know: train again to have them.", new)
    if has_scores and not recommender.predicts_scores:
        log.info("Scores are not predicted: the model was trained by an earlier version, or on too few of them.")


class Catalogue:
    """The anime of a database, as records. Nothing changes in it, so that any number of threads may use one."""

    def __init__(self, anime: Sequence[Anime]) -> None:
        self.anime = {each.anime_id: each for each in anime}
        """By their ids."""
        self._shortlists = Shortlists(anime)

    @classmethod
    def load(cls, database_file: Path | str) -> Catalogue:
        """All anime of a database. Raises UserError for a file that is missing, damaged or not of this program."""
        with Database.open_to_read(Path(database_file)) as database:
            return cls(database.anime(database.anime_ids()))

    def in_turn(
        self, ranked: Iterable[int], anime_ids: Collection[int], allow: Callable[[Anime], bool] = lambda anime: True
    ) -> Iterator[Anime]:
        """Of the `ranked` ids the anime that come in turn for who has watched `anime_ids`, in the order of the ids.

        A later season waits for what it continues, of a franchise only the first is there; what was watched and recaps
        of it are left out, and so is what is not allowed.
        """
        watched = frozenset(anime_ids)
        new = (each for each in ranked if each not in watched)
        return self._shortlists.of(new, [Person.of_ids(anime_ids)], Wishes([Wish("", allow)]))
