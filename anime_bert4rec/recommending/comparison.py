"""Two people beside each other: how near they are, what both like, and what either could show the other."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.lists.scores import Scale
from anime_bert4rec.recommending.output import LEAST_WIDTH, as_table, columns, fit
from anime_bert4rec.recommending.person import Person
from anime_bert4rec.recommending.rows import RecommendedAnime
from anime_bert4rec.support.text import count_of, plain

FIRST = 100
"""How many of the best titles for each are looked at for what is recommended to both."""

FEWEST_SCORED = 5
"""With fewer titles that both have scored, it isn't said whether their scores agree."""


@dataclass(frozen=True)
class SharedAnime:
    """A title that both like, and what they gave it, each in the own scale; None where it was not scored."""

    anime_id: int
    title: str
    scores: tuple[float | None, float | None]


@dataclass(frozen=True)
class Comparison:
    """What two people have in common. Of each pair the first is about the first person."""

    names: tuple[str, str]
    watched: tuple[int, int]
    watched_by_both: int
    scored_by_both: int
    agreement: float | None
    """The correlation of the scores of what both have scored; None where too little is, or one scores all the same."""
    recommended_to_both: int
    """How many of the first titles for the one are among those for the other."""
    looked_at: int
    """How many these first titles are: FIRST, if as many may be shown to either."""
    both_like: tuple[SharedAnime, ...]
    to_show: tuple[tuple[RecommendedAnime, ...], tuple[RecommendedAnime, ...]]
    """What the first could show the second, and the second the first: titles that the one likes and the other has not
    watched, the best for the other first."""


def compare(
    people: tuple[Person, Person],
    best: tuple[Sequence[int], Sequence[int]],
    best_for: Callable[[int, Collection[int]], Sequence[RecommendedAnime]],
    titles: Mapping[int, str],
    catalogue: Sequence[Anime],
    most: int,
) -> Comparison:
    """The comparison, with at most `most` titles in each list.

    best: the ids of what is recommended to each, the best first, FIRST of them if there are as many. best_for: for the
    person 0 or 1, of some titles the rows of those that suit, the best first. catalogue: the anime that may be shown.
    """
    one, other = people
    looked_at = min(FIRST, *map(len, best))
    both = sorted(one.scores.keys() & other.scores.keys())
    return Comparison(
        names=(plain(one.name, 40), plain(other.name, 40)),
        watched=(len(one.watched), len(other.watched)),
        watched_by_both=len(one.watched & other.watched),
        scored_by_both=len(both),
        agreement=_correlation([one.scores[each] for each in both], [other.scores[each] for each in both]),
        recommended_to_both=len(set(best[0][:looked_at]) & set(best[1][:looked_at])),
        looked_at=looked_at,
        both_like=tuple(_both_like(one, other, titles, catalogue)[:most]),
        to_show=(
            tuple(best_for(1, _favourites(one) - other.seen)[:most]),
            tuple(best_for(0, _favourites(other) - one.seen)[:most]),
        ),
    )


def _favourites(person: Person) -> frozenset[int]:
    """What the person likes: not scored, or with the person's own mean or more."""
    mean = _mean(person)
    return frozenset(each for each in person.liked if person.scores.get(each, mean) >= mean)


def _mean(person: Person) -> float:
    return sum(person.scores.values()) / len(person.scores) if person.scores else 0.0


def _both_like(one: Person, other: Person, titles: Mapping[int, str], catalogue: Sequence[Anime]) -> list[SharedAnime]:
    """The favourites of both, first what is furthest above their means together, and of equals what fewer know."""
    popularity = {anime.anime_id: anime.popularity or 0 for anime in catalogue}
    means = _mean(one), _mean(other)
    scales = one.scale, other.scale

    def above(anime_id: int) -> float:
        return sum(person.scores.get(anime_id, mean) - mean for person, mean in zip((one, other), means, strict=True))

    def score(person: Person, anime_id: int, scale: Scale) -> float | None:
        return scale.of_100(person.scores[anime_id]) if anime_id in person.scores else None

    both = _favourites(one) & _favourites(other) & popularity.keys()
    return [
        SharedAnime(each, titles[each], (score(one, each, scales[0]), score(other, each, scales[1])))
        for each in sorted(both, key=lambda each: (-above(each), popularity[each], each))
    ]


def _correlation(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    if len(ours) < FEWEST_SCORED or len(set(ours)) == 1 or len(set(theirs)) == 1:
        return None
    return round(float(np.corrcoef(ours, theirs)[0, 1]), 3)


def comparison_as_json(comparison: Comparison, ascii_only: bool) -> str:
    """The comparison as a JSON object."""
    return json.dumps(dataclasses.asdict(comparison), indent=2, ensure_ascii=ascii_only) + "\n"


def comparison_as_text(comparison: Comparison, width: int | None) -> str:
    """The comparison for people. width: the columns of the terminal; None, as for a pipe, breaks and cuts nothing."""
    one, other = comparison.names
    either = sum(comparison.watched) - comparison.watched_by_both
    shared_first = f"{comparison.recommended_to_both:,}" if comparison.recommended_to_both else "none"
    sentences = [
        f"{one} has watched {count_of(comparison.watched[0], 'title')}, {other} {comparison.watched[1]:,}"
        f"; both have watched {comparison.watched_by_both:,} of the {either:,} that either has.",
    ]
    if comparison.looked_at:
        of_first = f"the first {comparison.looked_at:,} titles" if comparison.looked_at > 1 else "the first title"
        sentences.append(f"They share {shared_first} of {of_first} that each would like next.")
    if comparison.agreement is not None:
        sentences.append(
            f"On the {comparison.scored_by_both:,} titles that both have scored, their scores have a correlation of"
            f" {comparison.agreement:.2f} (1: the same, 0: nothing in common)."
        )
    lines = [line for sentence in sentences for line in _wrapped(sentence, width)]
    shared = comparison.both_like
    room = max((columns(each.title) for each in shared), default=0)
    room = room if width is None else min(room, max(width - 24 - columns(one + other), 30))
    lines += ["", "Both like" + (":" if shared else " nothing that both have watched and that may be shown.")]
    for rank, each in enumerate(shared, 1):
        scores = [
            f"{name}: {score:g}" for name, score in zip((one, other), each.scores, strict=True) if score is not None
        ]
        lines.append(f"{rank:>{len(str(len(shared)))}}  {'  '.join([fit(each.title, room), *scores])}".rstrip())
    for rows, giver, taker in zip(comparison.to_show, (one, other), (other, one), strict=True):
        lines += ["", f"{giver} could show {taker}" + (":" if rows else " nothing.")]
        lines += as_table(rows, width, taker).splitlines()
    return "".join(f"{line}\n" for line in lines)


def _wrapped(sentence: str, width: int | None) -> list[str]:
    return [sentence] if width is None else textwrap.wrap(sentence, max(width, LEAST_WIDTH), break_on_hyphens=False)
