"""The catalogue on a day, and what of it may be shown to whom."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.records import Anime
from anime_bert4rec.recommending.diversity import LOOKED_AT, diversified
from anime_bert4rec.recommending.person import Person
from anime_bert4rec.recommending.release import CANCELLED, UPCOMING, day_in_japan, release_on
from anime_bert4rec.recommending.rows import title_of
from anime_bert4rec.recommending.shortlist import Shortlists
from anime_bert4rec.recommending.wishes import Wish, Wishes, of_people, of_release


@dataclass(frozen=True)
class TitlesToShow:
    """The anime of a catalogue, and all wishes that are made of them."""

    catalogue: Sequence[Anime]
    names: Mapping[int, str]
    """What to call each anime."""
    release: Mapping[int, str | None]
    """What `release_on` says of each anime."""
    conditions: Sequence[Wish]
    """What is wished for, whoever it is for."""
    planned: str | None
    """What is wished of planned titles: `only` these, `no` such, or None."""
    with_sequels: bool
    diversity: float = 0.0
    """How far titles are spread over franchises, studios and genres, from 0 to 1."""

    @classmethod
    def on(
        cls,
        day: int,
        database: Database,
        catalogue: Sequence[Anime],
        conditions: Sequence[Wish],
        *,
        language: str,
        upcoming: bool,
        planned: str | None,
        with_sequels: bool,
        diversity: float,
    ) -> TitlesToShow:
        """The titles of the database on a day YYYYMMDD, under these conditions and that they are out or, with
        `upcoming`, are not."""
        fetched = {anime_id: day_in_japan(at) for anime_id, at in database.anime_fetched_at().items()}
        is_past = any(day < each for each in fetched.values())
        started = database.first_starts() if is_past else {}
        release = {
            anime.anime_id: release_on(day, anime, fetched.get(anime.anime_id), started.get(anime.anime_id))
            for anime in catalogue
        }
        names = {anime.anime_id: title_of(anime, language) for anime in catalogue}
        conditions = [*conditions, of_release(release, upcoming)]
        return cls(catalogue, names, release, conditions, planned, with_sequels, diversity)

    def wishes_of(self, people: Collection[Person]) -> Wishes:
        """What these people wish for."""
        return Wishes([*self.conditions, *of_people(people, self.planned)], self.with_sequels)

    def best(self, ranked: Iterable[int], people: Collection[Person], count: int) -> list[Anime]:
        """The best `count` of the ranked anime, or fewer, that suit these people and what they wish for."""
        suiting = self.shortlists.of(ranked, people, self.wishes_of(people))
        if not self.diversity:
            return list(itertools.islice(suiting, count))
        looked_at = list(itertools.islice(suiting, LOOKED_AT * count))
        return diversified(looked_at, count, self.diversity, self.shortlists.franchise)

    @functools.cached_property
    def shortlists(self) -> Shortlists:
        """What makes the shortlists of people."""
        return Shortlists(self.catalogue, {anime_id for anime_id, word in self.release.items() if word in UPCOMING})

    @functools.cached_property
    def cancelled(self) -> frozenset[int]:
        """What never comes out."""
        return frozenset(anime_id for anime_id, word in self.release.items() if word == CANCELLED)
