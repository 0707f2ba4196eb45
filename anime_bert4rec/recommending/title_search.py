"""Which anime is meant by a title as people type it: one that is clear, or several to ask about; never a guess.

Case, accents, punctuation and spaces do not matter. What counts, the best first: a whole title or synonym; a season or
part of what is found by the rest of the words; initials; words of a title; a slip of the fingers. Of a franchise the
first season is meant, unless more is said. Of equal namesakes (a remake) the much better known one is meant.
"""

from __future__ import annotations

import difflib
import heapq
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.recommending.title_seasons import Season, SeasonOrder, year_of
from anime_bert4rec.recommending.title_words import Name, Numbered, bare_title, fold, names_of, numbered, sound

MUCH_BETTER_KNOWN = 4
"""Of namesakes, and of anime with the same initials, one that is this many times as popular as the next is meant."""

SURELY_A_SLIP = 0.9
"""A title at least this much like what was typed, by difflib's ratio, is taken to be meant."""

MAYBE_A_SLIP = 0.45
"""A title at least this much like what was typed is asked about."""

LEAST_FOR_A_SLIP = 8
"""With fewer letters than this, a slip may make another title, so that it is asked about."""

LEAST_IN_A_WORD = 4
"""A word of fewer letters must be right."""

LEAST_SHARE = 0.4
"""Words from within a title name it only if they make up at least this share of it."""

NEAREST = 3
"""The number of anime that are asked about where several are only spelt alike."""

LOOKED_AT = 200
"""The number of titles, those with the most letters in common, that are compared letter by letter."""

_ABBREVIATION = re.compile(r"[a-z]{3,6}")
_YEAR = re.compile(r"(?:19|20)[0-9]{2}")


@dataclass(frozen=True)
class Match:
    """What a typed title means."""

    anime: Anime | None
    """The anime that is clearly meant, or None."""
    others: tuple[Anime, ...] = ()
    """The other anime that it may be, the best first."""
    alike: bool = False
    """Whether `others` are only spelt much like what was typed."""


class TitleSearch:
    """Finds anime of a catalogue by title; made once, asked often."""

    def __init__(self, catalogue: Iterable[Anime]) -> None:
        self._anime = list(catalogue)
        self._names: list[Name] = []
        self._by_key: dict[str, list[Name]] = defaultdict(list)
        self._by_sound: dict[str, list[Name]] = defaultdict(list)
        self._by_whole: dict[str, list[Name]] = defaultdict(list)
        for place, anime in enumerate(self._anime):
            for name in names_of(anime, place):
                self._names.append(name)
                self._by_key["".join(name.spelt)].append(name)
                self._by_sound[name.key].append(name)
                if name.whole:
                    self._by_whole[name.whole].append(name)
        self._order = SeasonOrder(self._anime, lambda place: [n.words for n in self._names_at(place)])
        self._well_known = statistics.median_low([anime.popularity or 0 for anime in self._anime] or [0])
        self._first_name: dict[int, int] = {}
        for at, name in enumerate(self._names):
            self._first_name.setdefault(name.place, at)

    def find(self, wanted: str) -> Match:
        """What a typed title means."""
        words = fold(wanted)
        if not words:
            return Match(None)
        found = (
            self._same(wanted, words)
            or self._of_year(words)
            or self._same(bare_title(wanted), fold(bare_title(wanted)))
            or self._season(words)
            or _NOTHING
        )
        if found.anime is None:
            more = self._words_of_titles(words)
            found = more if more.anime else _joined(found, more)
        if found.anime is None and not found.others:
            found = self._spelt_alike(words)
        return found

    def _same(self, text: str, words: list[str]) -> Match | None:
        """By a whole title or, if none is the same, a whole synonym."""
        key = "".join(words)
        by_sound = self._by_sound.get("".join(sound(words)), ())
        for names in (self._by_whole.get(key, ()), self._by_key.get(key, ()), by_sound):
            same = [name for name in names if name.is_title] or list(names)
            if not same:
                continue
            places = {name.place for name in same}
            to_the_dot = {name.place for name in same if name.text.casefold() == text.strip().casefold()}
            if len(self._order.first_of(places)) == 1:  # K-ON! and K-ON!!
                to_the_dot = to_the_dot or {name.place for name in same if _no_space(name.text) == _no_space(text)}
            return self._decide(to_the_dot or places, namesakes=True)
        return None

    def _of_year(self, words: list[str]) -> Match | None:
        """By a title and the year at the end, as in `hunter x hunter 1999`."""
        *rest, last = words
        if not rest or not _YEAR.fullmatch(last):
            return None
        same = {name.place for name in self._by_key.get("".join(rest), ())}
        named = {name.place for name in self._names if name.share(sound(rest))}
        for places in (same, named):
            then = {place for place in places if year_of(self._anime[place]) == int(last)}
            if then:
                return self._decide(then, namesakes=places is same)
        return None

    def _season(self, words: list[str]) -> Match | None:
        """By a season or part of what the other words mean; None without a number, or if they mean nothing."""
        asked = numbered(words)
        if not asked.is_numbered:
            return None
        same = self._same("".join(asked.base), asked.base)
        first = same or self._unnumbered(asked.base)
        if first.anime is None and (first.alike or not first.others):
            return None
        roots = self._places([first.anime] if first.anime else first.others[:NEAREST])
        found: set[int] = set()
        whole: set[int] = set()
        for root in roots:
            like = self._named_like(root)
            seasons = self._order.seasons(root, like, [name.parts[0] for name in self._names_at(root)])
            found |= _asked_for(seasons, asked)
            whole |= {season.place for season in seasons} | {place for place, _ in like}
        if not found or (first.anime is None and not same):
            return Match(None, self._best_first(found or whole))
        return self._decide(found, namesakes=False)

    def _unnumbered(self, words: list[str]) -> Match:
        """What the words mean that are left when those of the season are taken away."""
        found = self._same("".join(words), words) or self._words_of_titles(words)
        return found if found.anime or found.others else self._spelt_alike(words)

    def _words_of_titles(self, words: list[str]) -> Match:
        """By initials, the beginning of a title, or words in it."""
        sounded = sound(words)
        letters = words[0] if len(words) == 1 and _ABBREVIATION.fullmatch(words[0]) else ""
        known_as: dict[int, float] = {}
        named: dict[int, float] = {}  # which share of its title the words are
        main: set[int] = set()
        begins: set[int] = set()
        subtitles: set[int] = set()
        for name in self._names:
            share = name.share(sounded)
            if share:
                named[name.place] = max(share, named.get(name.place, 0.0))
                first, *more = name.parts
                if name.key.startswith("".join(sounded)):
                    begins.add(name.place)
                if first == "".join(sounded):
                    main.add(name.place)
                elif "".join(sounded) in more:
                    subtitles.add(name.place)
            if letters and name.is_title and (fit := name.abbreviated(letters)):
                weight = fit * (self._popularity(name.place) or 1)
                known_as[name.place] = max(weight, known_as.get(name.place, 0.0))
        return (
            self._much_the_best_abbreviated(known_as, set(named))
            or self._named(named, main, begins, subtitles)
            or Match(None, (*self._best_first(set(named)), *self._best_first({*known_as} - {*named})))
        )

    def _much_the_best_abbreviated(self, known_as: dict[int, float], named: set[int]) -> Match | None:
        weights = {place: known_as.get(place) or self._popularity(place) for place in {*known_as, *named}}
        roots = sorted(self._order.first_of(weights), key=lambda place: -weights[place])
        if not roots or roots[0] not in known_as or self._popularity(roots[0]) < self._well_known:
            return None  # nobody abbreviates what few know
        others = roots[1:2]
        if others and weights[roots[0]] < MUCH_BETTER_KNOWN * weights[others[0]]:
            return None
        return self._clear(roots[0], ())

    def _named(self, shares: dict[int, float], main: set[int], begins: set[int], subtitles: set[int]) -> Match | None:
        """By the main title or, if no other anime has these words, by a subtitle or words that make up much of a title.

        Words that the title of a film or special begins with may mean its whole franchise, so that they are not clear.
        """
        roots = self._best(self._order.first_of(set(shares)))
        if roots and roots[0] in begins and not self._order.is_series(roots[0]):
            earlier = self._order.earlier_than(roots[0]) - set(shares)
            if earlier or self._anime[roots[0]].format != "MOVIE":  # specials and OVAs seldom stand for themselves
                return Match(None, tuple(dict.fromkeys((*self._best_first(earlier), *self._best_first(set(shares))))))
        if roots and self._order.is_numbered(roots[0]):
            return None
        of_main = [place for place in roots if place in main]
        if of_main and of_main[0] == roots[0] and self._is_much_better_known(of_main):
            return self._clear(of_main[0], of_main[1:])
        if len(roots) == 1 and (roots[0] in subtitles or shares[roots[0]] >= LEAST_SHARE):
            return self._clear(roots[0], ())
        return None

    def _spelt_alike(self, words: list[str]) -> Match:
        """By a slip: clear if a long title differs in a letter or two, and no short word or number does."""
        key = "".join(sound(words))
        matcher = difflib.SequenceMatcher(b=key, autojunk=False)  # it prepares `b` once for all titles
        ratios: dict[int, float] = {}
        for title in heapq.nlargest(
            LOOKED_AT, self._by_sound, key=lambda title: _letters_in_common(matcher, title, key)
        ):
            matcher.set_seq1(title)
            ratio = matcher.ratio()
            if ratio >= MAYBE_A_SLIP:
                for name in self._by_sound[title]:
                    ratios[name.place] = max(ratio, ratios.get(name.place, 0.0))
        surely = {
            place
            for place, ratio in ratios.items()
            if ratio >= SURELY_A_SLIP and len(key) >= LEAST_FOR_A_SLIP
            if any(_differ_in_letters(words, name.spelt) for name in self._names_at(place))
        }
        if surely:
            found = self._decide(surely, namesakes=False)
            if found.anime:
                return found
        nearest = sorted(ratios, key=lambda place: (-ratios[place], -self._popularity(place)))[:NEAREST]
        return Match(None, tuple(self._anime[place] for place in nearest), alike=True)

    # What the ways above share

    def _decide(self, places: set[int], namesakes: bool) -> Match:
        """The first of a franchise; of several franchises, the much better known one if they are `namesakes`."""
        roots = self._best(self._order.first_of(places))
        clear = len(roots) == 1 or (namesakes and self._is_much_better_known(roots))
        return self._clear(roots[0], roots[1:]) if clear else Match(None, self._best_first(places))

    def _is_much_better_known(self, best: Sequence[int]) -> bool:
        """Whether the first is much better known than the second, if there is a second."""
        first, second, *_ = [*map(self._popularity, best), 0, 0]
        return len(best) == 1 or first >= MUCH_BETTER_KNOWN * max(1, second)

    def _clear(self, place: int, others: Sequence[int]) -> Match:
        return Match(self._anime[place], tuple(self._anime[other] for other in others))

    def _best_first(self, places: set[int]) -> tuple[Anime, ...]:
        roots = self._best(self._order.first_of(places))
        return tuple(self._anime[place] for place in [*roots, *self._best(places - set(roots))])

    def _best(self, places: Iterable[int]) -> list[int]:
        return sorted(places, key=lambda place: (-self._popularity(place), self._anime[place].anime_id))

    def _popularity(self, place: int) -> int:
        return self._anime[place].popularity or 0

    def _places(self, anime: Iterable[Anime]) -> list[int]:
        return [self._order.place_of[each.anime_id] for each in anime]

    def _names_at(self, place: int) -> Iterator[Name]:
        at = self._first_name.get(place, len(self._names))
        while at < len(self._names) and self._names[at].place == place:
            yield self._names[at]
            at += 1

    def _named_like(self, root: int) -> list[tuple[int, list[str]]]:
        """The place and the words of each name that begins with one of the root's, numbers aside."""
        keys = tuple("".join(numbered(name.words).base) for name in self._names_at(root))
        return [(name.place, name.words) for name in self._names if name.key.startswith(keys)]


_NOTHING = Match(None)


def _asked_for(seasons: list[Season], asked: Numbered) -> set[int]:
    """The places of the season and part that were asked for; a number that a title states goes before a counted one."""
    if asked.final:
        found = [season for season in seasons if season.final]
    else:
        number = asked.season or 1
        found = [season for season in seasons if season.number == number]
        found = [season for season in found if season.is_stated] or found
    wanted = {asked.part} if asked.part and asked.part > 1 else {None, 1}
    return {season.place for season in found if season.part in wanted}


def _no_space(text: str) -> str:
    return "".join(text.split()).casefold()


def _joined(one: Match, other: Match) -> Match:
    """A match that asks about the candidates of both."""
    return Match(None, tuple(dict.fromkeys((*one.others, *other.others))))


def _differ_in_letters(words: list[str], others: list[str]) -> bool:
    """Whether each word has its counterpart, and those that are short or with a number are the same."""
    return len(words) == len(others) and all(
        one == other
        for one, other in zip(words, others, strict=True)
        if min(len(one), len(other)) < LEAST_IN_A_WORD or re.search("[0-9]", one + other)
    )


def _letters_in_common(matcher: difflib.SequenceMatcher[str], title: str, key: str) -> float:
    """The share of letters in common, in any order: quick to compute, and never less than the ratio in order."""
    if 2 * min(len(title), len(key)) < MAYBE_A_SLIP * (len(title) + len(key)):
        return 0.0
    matcher.set_seq1(title)
    return matcher.quick_ratio()
