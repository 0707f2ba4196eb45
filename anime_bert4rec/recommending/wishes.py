"""What a person wishes for: conditions on single titles, each with the flag that asks for it or lifts it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.recommending.release import UPCOMING
from anime_bert4rec.support.errors import SettingError, UserError
from anime_bert4rec.support.text import plain

Range = tuple[int, int]
"""The first and the last number of a range."""


@dataclass(frozen=True)
class Wish:
    """A condition that titles must meet to be shown."""

    lifted: str
    """What to do without it, such as `without --genre Drama`."""
    allows: Callable[[Anime], bool]


@dataclass(frozen=True)
class Wishes:
    """All conditions on single titles, and whether sequels need not wait."""

    conditions: Sequence[Wish] = ()
    with_sequels: bool = False
    """Whether later seasons are shown without their prequel, and several titles of a franchise."""

    def allow(self, anime: Anime) -> bool:
        """Whether the anime meets all conditions."""
        return all(wish.allows(anime) for wish in self.conditions)

    def each_lifted(self) -> list[tuple[str, Wishes]]:
        """For each condition what to do without it, and what is then wished for."""
        lifted = [
            (wish.lifted, Wishes([each for each in self.conditions if each is not wish], self.with_sequels))
            for wish in self.conditions
        ]
        return lifted if self.with_sequels else [*lifted, ("with --with-sequels", Wishes(self.conditions, True))]


def of_catalogue(
    catalogue: Sequence[Anime],
    *,
    genre: Iterable[str] = (),
    years: Range | None = None,
    include_adult: bool = False,
) -> list[Wish]:
    """The wishes about what the catalogue says of a title; one that lacks the fact that is asked for is out.

    Raises UserError for a word that no anime of the catalogue has.
    """
    wishes = []
    if not include_adult:
        wishes.append(Wish("with --include-adult", lambda anime: not anime.is_adult))
    for word in _known("genre", genre, (each for anime in catalogue for each in anime.genres)):
        wishes.append(Wish(f"without --genre {plain(word)}", lambda anime, word=word: word in anime.genres))  # type: ignore[misc]
    if years:
        wishes.append(Wish("with other --year", lambda anime: _within(anime.year, years)))
    return wishes


def of_release(release: Mapping[int, str | None], upcoming: bool) -> Wish:
    """Only what is out or, with `upcoming`, only what is not. release: what `release_on` says of each anime."""
    lifted = "without --upcoming" if upcoming else "with --upcoming"
    return Wish(lifted, lambda anime: (release[anime.anime_id] in UPCOMING) == upcoming)


def read_range(flag: str, text: str, example: str = "2015-2020", digits: str = "{4}") -> Range | None:
    """The first and the last number of `2015-2020`, `2015`, `2015-` or `-2020`; None for an empty text.

    digits: how many a number has, as a regular expression says it. Raises SettingError for anything else.
    """
    if not text:
        return None
    found = re.fullmatch(rf"([0-9]{digits})?(-)?([0-9]{digits})?", text)
    if not found or text == "-" or (found[3] and not found[2]):
        raise SettingError(f"{flag} must be a number or a range such as {example}, not {text!r}")
    first = int(found[1] or 0)
    last = int(found[3] or 10**9) if found[2] else first
    if first > last:
        raise SettingError(f"{flag} must begin with the smaller number, not {text!r}")
    return first, last


def _within(number: int | None, range: Range) -> bool:
    return number is not None and range[0] <= number <= range[1]


def _known(kind: str, wanted: Iterable[str], words: Iterable[str]) -> list[str]:
    """The words as the catalogue spells them. Raises UserError, with what may be meant, for one that it lacks."""
    wanted = list(wanted)
    spelt = {word.casefold(): word for word in words} if wanted else {}
    for word in wanted:
        if word.casefold() not in spelt:
            raise UserError(f"no anime has the {kind} {word!r}{_meant(word, spelt)}")
    return list(dict.fromkeys(spelt[word.casefold()] for word in wanted))


MOST_WORDS = 40
"""If there are more words than this, a message doesn't list them."""


def _meant(word: str, spelt: Mapping[str, str]) -> str:
    near = difflib.get_close_matches(word.casefold(), spelt, n=3)
    if near:
        return f"; did you mean {' or '.join(plain(spelt[each]) for each in near)}?"
    shown: Collection[str] = sorted(spelt.values())[: MOST_WORDS + 1]
    if len(shown) > MOST_WORDS:
        return f", and none of the {len(spelt)} that there are is like it"
    return f"; there are {', '.join(map(plain, shown))}" if shown else ""
