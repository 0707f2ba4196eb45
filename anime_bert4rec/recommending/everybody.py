"""Recommendations for everybody in the database: one person after the other, so that any number fits into memory."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.records import Anime, ListEntry
from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.recommending.output import no_formula, rounded
from anime_bert4rec.recommending.person import Person
from anime_bert4rec.recommending.titles_to_show import TitlesToShow
from anime_bert4rec.support.growing_file import GrowingFile
from anime_bert4rec.support.progress import progress
from anime_bert4rec.support.text import plain

if TYPE_CHECKING:
    from anime_bert4rec.recommender import Recommendation

log = logging.getLogger(__name__)

FIRST_LOOK = 200
"""How many titles beyond five times those that are wanted are ranked at first: seldom are more needed."""
COLUMNS = ("name", "rank", "anime_id", "title", "score", "planned", "release")
BEGINNING = rb'\{"name": "(\\.|[^"\\])*", "recommendations": \[|' + ",".join(COLUMNS).encode() + rb"\n"
"""How files of everybody's recommendations begin, as `jsonl` or as `csv`: a regular expression."""

Ranking = Callable[[Sequence[Person], int | None], Iterator[list["Recommendation"]]]
"""Gives the best titles of each of some people, of which none was seen; all titles if the number is None."""


@dataclass(frozen=True)
class Chosen:
    """A title that is recommended to somebody."""

    anime: Anime
    score: float
    planned: bool


def write_people(
    file: GrowingFile,
    format: str,
    database: Database,
    vocabulary: Vocabulary,
    ranking: Ranking,
    shown: TitlesToShow,
    top_k: int,
    at_once: int,
    known: Callable[[list[ListEntry]], list[ListEntry]],
) -> tuple[int, int]:
    """Write the best `top_k` titles of everybody in the database who is not in the file yet, some people at once.

    known: gives what of a list is to count.
    Returns how many people there are, and of how many of those written now there is nothing.
    """
    total = sum(1 for _ in database.people_with_lists())
    left = list(database.people_with_lists(after=file.done))
    if file.is_empty:
        file.append(first_line(format), 0)
    nothing = 0
    with progress("recommending", total, "person", done=total - len(left)) as bar, saying_how_to_go_on():
        for start in range(0, len(left), at_once):
            part = left[start : start + at_once]
            people = [
                Person.of_list(known(database.entries(user_id)), vocabulary, name, user_id=user_id)
                for user_id, name in part
            ]
            chosen = list(choose(people, ranking, shown, top_k))
            file.append(as_lines(people, chosen, shown.names, shown.release, format), part[-1][0])
            nothing += sum(not each for each in chosen)
            bar.update(len(part))
    file.finish()
    return total, nothing


@contextlib.contextmanager
def saying_how_to_go_on() -> Iterator[None]:
    """Say it where the block is stopped."""
    try:
        yield
    except KeyboardInterrupt:
        log.info("Stopped: the same command completes it.")
        raise


def choose(people: Sequence[Person], ranking: Ranking, shown: TitlesToShow, top_k: int) -> Iterator[list[Chosen]]:
    """The titles for each of these people, the best first; none for who has no title that the model knows."""
    most = None if shown.diversity else 5 * top_k + FIRST_LOOK
    for person, ranked in zip(people, ranking(people, most), strict=True):
        chosen = _best(person, ranked, shown, top_k)
        if len(chosen) < top_k and len(ranked) == most:
            chosen = _best(person, next(ranking([person], None)), shown, top_k)
        yield chosen


def _best(person: Person, ranked: Sequence[Recommendation], shown: TitlesToShow, top_k: int) -> list[Chosen]:
    score = {each.anime_id: each.score for each in ranked}
    best = shown.best(score, [person], top_k)
    return [Chosen(anime, score[anime.anime_id], anime.anime_id in person.planned) for anime in best]


def as_lines(
    people: Sequence[Person],
    chosen: Collection[list[Chosen]],
    titles: Mapping[int, str],
    release: Mapping[int, str | None],
    format: str,
) -> bytes:
    """What is written of some people as `jsonl` or `csv`, in UTF-8: a JSON object a person, or a row of CSV a title.

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
