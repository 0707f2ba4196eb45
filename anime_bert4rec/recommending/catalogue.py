"""A catalogue for larger programs: the titles of a database, and which of them come in turn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.records import Anime
from anime_bert4rec.recommending.person import Person
from anime_bert4rec.recommending.shortlist import Shortlists
from anime_bert4rec.recommending.wishes import Wish, Wishes


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
