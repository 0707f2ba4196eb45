"""What a person wishes for: conditions on single titles, each with the flag that asks for it or lifts it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.recommending.person import Person
from anime_bert4rec.recommending.release import UPCOMING
from anime_bert4rec.support.errors import SettingError, UserError
from anime_bert4rec.support.text import half_width, plain

Range = tuple[float, float]
"""The first and the last number of a range."""

MOST = 10**9
"""The last number of a range without an end."""

LEAST_TAG_RANK = 18
"""A tag counts from this rank on, as in AniList's own search: below it, few think that it fits."""

MOST_WORDS = 40
"""If there are more words than this, a message doesn't list them."""


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


WORDS: Mapping[str, Callable[[Anime], Collection[str]]] = {
    "genre": lambda anime: anime.genres,
    "tag": lambda anime: [each.name for each in anime.tags if each.rank is None or each.rank >= LEAST_TAG_RANK],
    "type": lambda anime: [anime.format] if anime.format else [],
}
"""The words that the catalogue says of an anime, by their kind."""


def of_catalogue(
    catalogue: Sequence[Anime],
    *,
    genre: Iterable[str] = (),
    not_genre: Iterable[str] = (),
    tag: Iterable[str] = (),
    not_tag: Iterable[str] = (),
    types: Iterable[str] = (),
    episodes: Range | None = None,
    years: Range | None = None,
    min_score: float = 0,
    min_popularity: int = 0,
    include_adult: bool = False,
) -> list[Wish]:
    """The wishes about what the catalogue says of a title; one that lacks the fact that is asked for is out.

    types: one of them is enough, of genres and tags all are asked for. min_score: AniList's mean, of 100 or, up to 10,
    of ten. Raises UserError for a word that no anime of the catalogue has, and where the catalogue lacks the fact.
    """
    wishes = []
    for kind, wanted, unwanted in (("genre", genre, not_genre), ("tag", tag, not_tag)):
        for word in _known(kind, wanted, catalogue):
            wishes.append(_has_word(f"without --{kind} {word}", WORDS[kind], {word}))
        for word in _known(kind, unwanted, catalogue, "not-"):
            wishes.append(_has_word(f"without --not-{kind} {word}", WORDS[kind], {word}, is_wanted=False))
    if kinds := _known("type", [re.sub(r"[ -]+", "_", each) for each in types], catalogue):
        wishes.append(_has_word("with another --type", WORDS["type"], set(kinds)))
    least = min_score * 10 if min_score <= 10 else min_score
    ranges: tuple[tuple[str, str, Range | None, Callable[[Anime], int | None]], ...] = (
        ("with other --episodes", "numbers of episodes", episodes, lambda anime: anime.episodes),
        ("with other --year", "years", years, lambda anime: anime.year),
        ("with a lower --min-score", "mean scores", (least, MOST) if least else None, lambda anime: anime.usual_score),
        (
            "with a lower --min-popularity",
            "popularity",
            (min_popularity, MOST) if min_popularity else None,
            lambda anime: anime.popularity,
        ),
    )
    for lifted, what, wished, number in ranges:
        if wished:
            if all(number(anime) is None for anime in catalogue):
                raise _lacking(what, lifted.split()[-1])
            wishes.append(_within(lifted, number, wished))
    if not include_adult:
        wishes.append(Wish("with --include-adult", lambda anime: not anime.is_adult))
    return wishes


def of_people(people: Collection[Person], planned: str | None) -> list[Wish]:
    """What `--planned` says, `only` or `no`: of several people it is about what one of them has planned."""
    if planned is None:
        return []
    ids = frozenset().union(*(person.planned for person in people))
    return [Wish(f"without --planned {planned}", lambda anime: (anime.anime_id in ids) == (planned == "only"))]


def without(anime_ids: Collection[int]) -> list[Wish]:
    """None of these titles."""
    return [Wish("with fewer titles hidden", lambda anime: anime.anime_id not in anime_ids)] if anime_ids else []


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
    text = half_width(text)
    found = re.fullmatch(rf"([0-9]{digits})?(-)?([0-9]{digits})?", text)
    if not found or text == "-" or (found[3] and not found[2]):
        raise SettingError(f"{flag} must be a number or a range such as {example}, not {text!r}")
    first = int(found[1] or 0)
    last = int(found[3] or MOST) if found[2] else first
    if first > last:
        raise SettingError(f"{flag} must begin with the smaller number, not {text!r}")
    return first, last


def _has_word(
    lifted: str, of: Callable[[Anime], Collection[str]], words: Collection[str], is_wanted: bool = True
) -> Wish:
    return Wish(lifted, lambda anime: any(word in words for word in of(anime)) == is_wanted)


def _within(lifted: str, of: Callable[[Anime], int | None], wished: Range) -> Wish:
    def allows(anime: Anime) -> bool:
        number = of(anime)
        return number is not None and wished[0] <= number <= wished[1]

    return Wish(lifted, allows)


def _lacking(what: str, flag: str) -> UserError:
    return UserError(f"the catalogue has no {what}, which {flag} needs: fetch it again with prepare_dataset.py")


def _known(kind: str, wanted: Iterable[str], catalogue: Sequence[Anime], no: str = "") -> list[str]:
    """The words as the catalogue spells them. Raises UserError, with what may be meant, for one that it lacks.

    no: what stands before the kind in the name of the flag.
    """
    wanted = [half_width(each).strip() for each in wanted]
    spelt = _spelt(kind, catalogue) if wanted else {}
    if wanted and not spelt:
        raise _lacking(f"{kind}s", f"--{no}{kind}")
    for word in wanted:
        if word.casefold() not in spelt:
            raise UserError(f"no anime has the {kind} {word!r}{_meant(word, spelt, kind, no, catalogue)}")
    return list(dict.fromkeys(spelt[word.casefold()] for word in wanted))


def _spelt(kind: str, catalogue: Iterable[Anime]) -> dict[str, str]:
    return {word.casefold(): word for anime in catalogue for word in WORDS[kind](anime)}


def _meant(word: str, spelt: Mapping[str, str], kind: str, no: str, catalogue: Iterable[Anime]) -> str:
    for other in WORDS:  # there is no --not-type
        is_flag = other != kind and not (no and other == "type")
        if is_flag and (found := _spelt(other, catalogue).get(word.casefold())):
            return f", but a {other} is called so: --{no}{other} {plain(found)}"
    near = difflib.get_close_matches(word.casefold(), spelt, n=1)
    if near:
        return f"; did you mean {plain(spelt[near[0]])}?"
    if len(spelt) > MOST_WORDS:
        return f", and none of the {len(spelt)} that there are is like it"
    return f"; there are {', '.join(map(plain, sorted(spelt.values())))}"
