"""Recommendations as a table for people, and as JSON and CSV for programs."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.lists.scores import HUNDRED, TEN, Scale
from anime_bert4rec.support.text import plain

LEAST_WIDTH = 40
"""A table is never made narrower than this many columns."""

LEAST_TITLE = 20
"""With less room than this many columns for a title, a predicted score takes the place of the probability."""

LEAST_GENRES = 8
"""With less room than this many columns, genres are left out of a table."""


@dataclass(frozen=True)
class Reason:
    """A watched title that a recommendation owes its score to."""

    anime_id: int
    title: str


@dataclass(frozen=True)
class RecommendedAnime:
    """What is shown of one recommendation."""

    rank: int
    anime_id: int
    title: str
    score: float
    because: tuple[Reason, ...]
    year: int | None
    format: str | None
    genres: tuple[str, ...]
    url: str
    planned: bool
    release: str | None = None
    """`airing`, `next season` or `not out yet`; None for a title that is out (recommending/release.py)."""
    predicted_score: float | None = None
    """What the person would give, in the scale in which the person scores; None where no scores are known."""
    score_scale: int | None = None
    """The largest score of that scale: 5, 10 or 100."""

    @classmethod
    def of(
        cls,
        rank: int,
        anime: Anime,
        score: float,
        because: Sequence[Reason],
        planned: bool,
        release: str | None = None,
        predicted: float | None = None,
        scale: Scale = TEN,
    ) -> RecommendedAnime:
        """The row of `anime`, whose texts are safe to show on a terminal. predicted: the predicted score of 100."""
        return cls(
            rank=rank,
            anime_id=anime.anime_id,
            title=title_of(anime),
            score=score,
            because=tuple(because),
            year=anime.year,
            format=anime.format and plain(anime.format, 20),
            genres=tuple(plain(genre, 40) for genre in anime.genres),
            url=_address(anime),
            planned=planned,
            release=release,
            predicted_score=None if predicted is None else scale.of_100(predicted),
            score_scale=None if predicted is None else scale.largest,
        )

    def you(self) -> str:
        """The predicted score as a table shows it, if there is one."""
        if self.predicted_score is None:
            return ""
        return f"you: {self.predicted_score:.{0 if self.score_scale == HUNDRED.largest else 1}f}"


def title_of(anime: Anime) -> str:
    """The title of an anime on one line, safe to show on a terminal."""
    title = anime.title_romaji or anime.title_english or anime.title_native or ""
    return plain(title) or f"anime {anime.anime_id}"


def as_json(rows: Sequence[RecommendedAnime], ascii_only: bool) -> str:
    """The rows as a JSON list of objects; the score is 0 to 1."""
    objects = [{**dataclasses.asdict(row), "score": _rounded(row.score)} for row in rows]
    return json.dumps(objects, indent=2, ensure_ascii=ascii_only) + "\n"


def as_csv(rows: Sequence[RecommendedAnime]) -> str:
    """The rows as CSV with a header. Several genres or reasons are joined by `; `. No text is a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in dataclasses.fields(RecommendedAnime))
    for row in rows:
        values: dict[str, Any] = {
            field.name: getattr(row, field.name) for field in dataclasses.fields(RecommendedAnime)
        }
        values["score"] = _rounded(row.score)
        values["genres"] = "; ".join(row.genres)
        values["because"] = "; ".join(reason.title for reason in row.because)
        values["planned"] = "yes" if row.planned else "no"
        writer.writerow(_no_formula(value) if isinstance(value, str) else value for value in values.values())
    return text.getvalue()


def _no_formula(text: str) -> str:
    """The text with an apostrophe before what a spreadsheet would compute, also where `;` or `|` ends a cell."""
    return re.sub(r"""(^|[,;|\t\r\n][\s"']*)(?=\s*[=+@\t\r＝＋－＠-])""", r"\1'", text)


def as_table(rows: Sequence[RecommendedAnime], width: int | None) -> str:
    """The rows as a table, each on two lines, or on three where a narrow terminal needs it.

    width: the columns of the terminal, to which lines are cut; None, as for a pipe, cuts nothing.
    """
    facts = [
        (f"{row.rank}", f"{row.year or ''}", row.format or "", f"{100 * row.score:.2f} %", row.you()) for row in rows
    ]
    number, year, format, score, you = (max(map(len, column), default=0) for column in zip(*facts, strict=True))
    genres = [", ".join(row.genres) for row in rows]
    widest = max((columns(row.title) for row in rows), default=0)
    if width is None:
        room, of_genres = widest, max(map(columns, genres), default=0)
    else:
        width = max(width, LEAST_WIDTH)
        left = width - (number + year + format + score + 8 + (you and you + 2))
        if you and left < LEAST_TITLE:  # the predicted score says more than the probability
            left, score = left + score + 2, 0
        room = min(widest, left * 2 // 3)
        of_genres = left - room - 2
        if of_genres < LEAST_GENRES:
            room, of_genres = left, 0
    lines = []
    for row, (a, b, c, d, e), genre in zip(rows, facts, genres, strict=True):
        first = f"{a:>{number}}  {fit(row.title, room)}  {b:>{year}}  {c:<{format}}"
        first += f"  {d:>{score}}" if score else ""
        first += f"  {e:>{you}}" if you else ""
        lines.append((first + ("  " + fit(genre, of_genres) if of_genres else "")).rstrip())
        room_below = None if width is None else width - number - 2
        lines.extend(" " * (number + 2) + line for line in _below(row, room_below))
    return "".join(f"{line}\n" for line in lines)


def _below(row: RecommendedAnime, room: int | None) -> list[str]:
    """The lines below: the address, which is of use only whole, and the reasons, on a line of their own if need be."""
    marks = [*filter(None, [row.release]), *(["planned"] if row.planned else [])]
    address = " · ".join([row.url, *marks])
    if marks and room is not None and columns(address) > room:
        return [row.url, *_below(dataclasses.replace(row, url=" · ".join(marks), planned=False, release=None), room)]
    if not row.because:
        return [address]
    because = "because of " + ", ".join(reason.title for reason in row.because)
    both = f"{address} · {because}"
    if room is None or columns(both) <= room:
        return [both]
    return [address, fit(because, room).rstrip()]


def columns(text: str) -> int:
    """How many columns of a terminal `text` takes: wide characters take two, and marks that combine take none."""
    return sum(map(_columns, text))


def _columns(c: str) -> int:
    if unicodedata.category(c) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


def fit(text: str, room: int) -> str:
    """`text` in exactly `room` columns: cut, ending in `…`, or filled up with spaces."""
    taken = columns(text)
    if taken > room:
        kept, taken = [], 1
        for c in text:
            if taken + _columns(c) > room:
                break
            kept.append(c)
            taken += _columns(c)
        text = "".join(kept) + "…"
    return text + " " * (room - taken)


def _rounded(score: float) -> float:
    """The score with six significant digits: more would be noise."""
    return float(f"{score:.6g}")


def _address(anime: Anime) -> str:
    """The address of the anime's page on AniList, as the catalogue has it or made from the id."""
    given = plain(anime.site_url or "", 200)
    return given if given.startswith("https://") else f"https://anilist.co/anime/{anime.anime_id}"
