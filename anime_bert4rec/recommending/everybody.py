"""Recommendations for everybody in the database: one person after the other, so that any number fits into memory."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.recommending.output import no_formula, rounded
from anime_bert4rec.recommending.person import Person
from anime_bert4rec.recommending.shortlist import Shortlists
from anime_bert4rec.recommending.wishes import Wishes
from anime_bert4rec.support.text import plain

if TYPE_CHECKING:
    from anime_bert4rec.recommender import Recommendation

FIRST_LOOK = 200
"""How many titles beyond five times those that are wanted are ranked at first: seldom are more needed."""
COLUMNS = ("name", "rank", "anime_id", "title", "score", "planned", "release")
FORMATS = ("jsonl", "csv")

Ranking = Callable[[Sequence[Person], int | None], Iterator[list["Recommendation"]]]
"""Gives the best titles of each of some people, of which none was seen; all titles if the number is None."""


@dataclass(frozen=True)
class Chosen:
    """A title that is recommended to somebody."""

    anime: Anime
    score: float
    planned: bool


def choose(
    people: Sequence[Person],
    ranking: Ranking,
    shortlists: Shortlists,
    wishes_of: Callable[[Person], Wishes],
    top_k: int,
) -> Iterator[list[Chosen]]:
    """The titles for each of these people, the best first; none for who has no title that the model knows."""
    most = 5 * top_k + FIRST_LOOK
    for person, ranked in zip(people, ranking(people, most), strict=True):
        chosen = _first(person, ranked, shortlists, wishes_of(person), top_k)
        if len(chosen) < top_k and len(ranked) == most:
            chosen = _first(person, next(ranking([person], None)), shortlists, wishes_of(person), top_k)
        yield chosen


def _first(
    person: Person, ranked: Sequence[Recommendation], shortlists: Shortlists, wishes: Wishes, top_k: int
) -> list[Chosen]:
    score = {each.anime_id: each.score for each in ranked}
    listed: Iterable[Anime] = itertools.islice(shortlists.of(score, [person], wishes), top_k)
    return [Chosen(anime, score[anime.anime_id], anime.anime_id in person.planned) for anime in listed]


def as_lines(
    people: Sequence[Person],
    chosen: Collection[list[Chosen]],
    titles: Mapping[int, str],
    release: Mapping[int, str | None],
    format: str,
) -> bytes:
    """What is written of some people in one of FORMATS, in UTF-8: a JSON object a person, or a row of CSV a title.

    titles, release: of each anime, the latter as `release_on` gives it. No text of CSV is a formula.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for person, of_person in zip(people, chosen, strict=True):
        name = plain(person.name)
        facts = []
        for rank, each in enumerate(of_person, 1):
            anime_id = each.anime.anime_id
            facts.append((rank, anime_id, titles[anime_id], rounded(each.score), each.planned, release[anime_id]))
        if format == "csv":
            for rank, anime_id, title, score, planned, when in facts:
                row = (no_formula(name), rank, anime_id, no_formula(title), score, "yes" if planned else "no", when)
                writer.writerow(row)
        else:
            objects = [dict(zip(COLUMNS[1:], each, strict=True)) for each in facts]
            text.write(json.dumps({"name": name, "recommendations": objects}, ensure_ascii=False) + "\n")
    return text.getvalue().encode()


def first_line(format: str) -> bytes:
    """What a file of the format begins with."""
    return (",".join(COLUMNS) + "\n").encode() if format == "csv" else b""
