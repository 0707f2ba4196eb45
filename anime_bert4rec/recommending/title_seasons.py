"""How anime of a catalogue follow each other: which of several is first, and which season of its franchise each is.

Relations say it and, where they are missing, titles: an anime that has another's title and more words comes after that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.recommending.title_words import numbered

MOST = 200
"""Among more anime than this, it is not worth working out which come first."""

SERIES_EPISODES = 10
"""The number of episodes from which an OVA counts as a series."""

SOON = 5
"""An anime with the title of another is a season of it if at most this many years lie between them, else a remake."""

_SERIES = {"TV", "TV_SHORT", "ONA", None}
_LEADS_TO = {"SEQUEL", "SIDE_STORY", "SUMMARY", "COMPILATION", "CONTAINS"}
_FOLLOWS = {"PREQUEL", "PARENT"}
_BESIDE = {"ALTERNATIVE", "OTHER", "SPIN_OFF"}


class Season(NamedTuple):
    """The anime at `place` of a catalogue, and which season and part of its franchise it is."""

    place: int
    number: int
    part: int | None = None
    final: bool = False
    is_stated: bool = False
    """Whether a title of the anime states the number; else it was counted."""


class SeasonOrder:
    """Which anime of a catalogue follow which. Anime are given as places in the catalogue.

    names_at: for a place, the words of each of the anime's titles.
    """

    def __init__(self, catalogue: Sequence[Anime], names_at: Callable[[int], Iterable[list[str]]]) -> None:
        self._anime = catalogue
        self._names_at = names_at
        self.place_of = {anime.anime_id: place for place, anime in enumerate(catalogue)}
        self._after: dict[int, set[int]] = defaultdict(set)
        self._before: dict[int, set[int]] = defaultdict(set)
        self._sequels: dict[int, set[int]] = defaultdict(set)
        self._beside: dict[int, set[int]] = defaultdict(set)
        self._spin_offs: dict[int, set[int]] = defaultdict(set)
        for place, anime in enumerate(catalogue):
            for relation in anime.relations:
                other = self.place_of.get(relation.anime_id)
                if other is None or other == place:
                    continue
                before, after = (other, place) if relation.kind in _FOLLOWS else (place, other)
                if relation.kind in _LEADS_TO | _FOLLOWS:
                    self._after[before].add(after)
                    self._before[after].add(before)
                if relation.kind in ("SEQUEL", "PREQUEL"):
                    self._sequels[before].add(after)
                if relation.kind == "SPIN_OFF":
                    self._spin_offs[place].add(other)
                if relation.kind in _BESIDE:
                    self._beside[place].add(other)
                    self._beside[other].add(place)

    def is_series(self, place: int) -> bool:
        """Whether the anime is a series, and no film or special."""
        anime = self._anime[place]
        return anime.format in _SERIES or (anime.episodes or 0) >= SERIES_EPISODES

    def earlier_than(self, place: int) -> set[int]:
        """The series that relations put before this anime."""
        return {other for other in reached(place, self._before) - {place} if self.is_series(other)}

    def is_numbered(self, place: int) -> bool:
        """Whether a title states that the anime is no first season or part."""
        return any(numbered(words).is_later for words in self._names_at(place))

    def first_of(self, places: Collection[int]) -> set[int]:
        """The anime of `places` that none of the others comes before: of a franchise, its first season."""
        if not 1 < len(places) <= MOST:
            return set(places)
        before = {place: self._come_after(place, places) for place in places}
        longer = self._longer_titles(places)
        for place, others in longer.items():
            before[place] |= others
        later = {
            after
            for place, others in before.items()
            for after in others
            if place not in before[after] or self._known(place) > self._known(after)
        }
        return set(places) - later or {max(places, key=self._known)}

    def _known(self, place: int) -> tuple[int, int]:
        return self._anime[place].popularity or 0, -self._anime[place].anime_id

    def _may_lead(self, place: int, other: int) -> bool:
        """A film or a special never comes before a series."""
        return self.is_series(place) or not self.is_series(other)

    def _come_after(self, place: int, places: Collection[int]) -> set[int]:
        after = {other for other in reached(place, self._after) if self._may_lead(place, other)}
        beside = {
            other
            for other in self._beside[place]
            if self._may_lead(place, other) and self._known(place) > self._known(other)
            if not self.is_series(other) or (other in self._spin_offs[place] and self._much_better_known(place, other))
        }
        return (after | beside) & set(places) - {place}

    def _much_better_known(self, place: int, other: int) -> bool:
        return self._known(place)[0] > 2 * self._known(other)[0]

    def _is_the_same_again(self, place: int, other: int) -> bool:
        """Whether the other has the same first title, punctuation aside, and is less known and a few years later."""
        years = year_of(self._anime[place]), year_of(self._anime[other])
        if years[0] is None or years[1] is None or not 0 < years[1] - years[0] <= SOON:
            return False
        one, another = (next(iter(self._names_at(each)), None) for each in (place, other))
        return one == another and self._known(place) > self._known(other)

    def _longer_titles(self, places: Collection[int]) -> dict[int, set[int]]:
        """For each anime, others that have one of its titles and more words: a number, or any if they are less known.

        An anime that has the same title soon after is a season too: K-ON! and K-ON!!.
        """
        named: dict[tuple[str, ...], set[int]] = defaultdict(set)
        for place in places:
            for words in self._names_at(place):
                named[tuple(words)].add(place)
        longer: dict[int, set[int]] = defaultdict(set)
        for other in places:
            for words in self._names_at(other):
                stated = numbered(words)
                for length in range(1, len(words) + 1):
                    for place in named.get(tuple(words[:length]), ()):
                        if not self._may_lead(place, other):
                            continue
                        if length == len(words):
                            comes_after = self._is_the_same_again(place, other)
                        elif stated.is_later and len(stated.base) <= length:
                            comes_after = True
                        else:
                            comes_after = self._known(place) > self._known(other)
                        if comes_after:
                            longer[place].add(other)
        for place, others in longer.items():
            others.discard(place)
        return longer

    def seasons(self, root: int, named_like: Sequence[tuple[int, list[str]]], mains: Sequence[str]) -> list[Season]:
        """The seasons of the franchise that begins with `root`, numbered by their titles or else along the sequels.

        named_like: titles that may be those of a season, each as the place of its anime and its words. mains: the
        root's main titles; a sequel whose title begins with none of them is no season of it.
        """
        names = list(self._names_at(root))
        bases = {_joined(numbered(words).base) for words in names}
        stated: dict[int, Season] = {}
        for place, words in named_like:
            says = numbered(words)
            if place != root and place not in stated and says.is_numbered and _joined(says.base) in bases:
                counted = says.final and not says.season  # a final season's title does not state which one it is
                number = 0 if counted else says.season or 1
                stated[place] = Season(place, number, says.part, says.final, is_stated=not counted)
        again = {place for place, words in named_like if words in names and self._is_the_same_again(root, place)}
        chain = {
            place
            for place in reached(root, self._sequels) | again
            if self.is_series(place) == self.is_series(root) and place != root
            if any(_joined(words).startswith(tuple(mains)) for words in self._names_at(place))
        }
        found = [Season(root, 1, is_stated=True)]
        for place in sorted({*stated, *chain}, key=self._age):
            highest = max(season.number for season in found)
            season = stated.get(place)
            if season is None:
                whole = any(self._extends(place, earlier.place) for earlier in found[1:])
                season = Season(place, highest, 2) if whole else Season(place, highest + 1)
            elif not season.number:
                part_of = [each.number for each in found if each.final]
                season = season._replace(number=part_of[0] if part_of else highest + 1)
            found.append(season)
        return found

    def _age(self, place: int) -> tuple[int, int]:
        anime = self._anime[place]
        return anime.start_date or (anime.year or 9999) * 10_000, anime.anime_id

    def _extends(self, place: int, earlier: int) -> bool:
        """Whether a title continues one of the earlier season's: then the anime is that season's second half."""
        names = list(self._names_at(place))
        return any(
            len(words) > len(short) and words[: len(short)] == short
            for words in names
            for short in self._names_at(earlier)
        )


def year_of(anime: Anime) -> int | None:
    """The year in which the anime started, if it is known."""
    return anime.year or (anime.start_date and anime.start_date // 10_000)


def reached(place: int, edges: dict[int, set[int]]) -> set[int]:
    """The places that `edges` lead to from `place` in any number of steps, and `place` itself."""
    seen, left = {place}, [place]
    while left:
        for other in edges.get(left.pop(), ()):
            if other not in seen:
                seen.add(other)
                left.append(other)
    return seen


def _joined(words: list[str]) -> str:
    return "".join(words)
