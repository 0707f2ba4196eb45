"""Recommendations as a table for people, and as JSON and CSV for programs."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from anime_bert4rec.lists.scores import FIVE, HUNDRED, TEN, Scale
from anime_bert4rec.recommending.rows import RecommendedAnime

LEAST_WIDTH = 40
"""A table is never made narrower than this many columns."""

LEAST_TITLE = 30
"""A title is never cut below this many columns."""

PERSON_PAGE = rb'<!doctype html>\r?\n<html lang="en" data-page="person">'
"""How a page of recommendations (pages/person_page.py) begins: a regular expression."""


def as_json(rows: Sequence[RecommendedAnime], ascii_only: bool) -> str:
    """The rows as a JSON list of objects; the score is 0 to 1."""
    objects = [{**dataclasses.asdict(row), "score": rounded(row.score)} for row in rows]
    return json.dumps(objects, indent=2, ensure_ascii=ascii_only) + "\n"


def as_csv(rows: Sequence[RecommendedAnime]) -> str:
    """The rows as CSV with a header. Several genres or reasons are joined by `; `. No text is a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in dataclasses.fields(RecommendedAnime))
    for row in rows:
        values: dict[str, Any] = dict(vars(row))
        values["score"] = rounded(row.score)
        values["genres"] = "; ".join(row.genres)
        values["because"] = "; ".join(reason.title for reason in row.because)
        values["planned"] = "yes" if row.planned else "no"
        values["for_each"] = "; ".join(f"{name}: {score}" for name, score in _each(row))
        writer.writerow(no_formula(value) if isinstance(value, str) else value for value in values.values())
    return text.getvalue()


def no_formula(text: str) -> str:
    """The text with an apostrophe before what a spreadsheet would compute, also where `;` or `|` ends a cell."""
    return re.sub(r"""(^|[,;|\t\r\n][\s"']*)(?=\s*[=+@\t\r＝＋－＠-])""", r"\1'", text)


def as_table(rows: Sequence[RecommendedAnime], width: int | None, you: str = "you") -> str:
    """The rows as a table: a line of facts each, and below it what has no fixed width.

    width: the columns of the terminal; None, as for a pipe, breaks and cuts nothing. Where a title would have too
    little room beside them, its facts have a line of their own. you: what the person is called.
    """
    facts = [
        (
            f"{row.year or ''}",
            row.format or "",
            f"{row.episodes} ep" if row.episodes else "",
            _mean(row),
            _you(row, you),
        )
        for row in rows
    ]
    wide = [max(map(columns, column), default=0) for column in zip(*facts, strict=True)]
    number = max((len(str(row.rank)) for row in rows), default=0)
    widest = max((columns(row.title) for row in rows), default=0)
    indent = " " * (number + 2)
    below = None if width is None else max(width, LEAST_WIDTH) - number - 2
    beside = widest if below is None else min(widest, below - sum(each + 2 for each in wide if each))
    is_narrow = beside < min(LEAST_TITLE, widest)
    lines = []
    for row, of_row in zip(rows, facts, strict=True):
        title = f"{row.rank:>{number}}  {fit(row.title, below if is_narrow and below else beside)}"
        pieces = [[row.url], _listed(row.genres), *([each] for each in _marks(row)), _because(row)]
        if is_narrow and below:
            lines.append(title.rstrip())
            pieces = [_listed(list(filter(None, of_row)), " "), *pieces]
        else:
            cells = [
                fit(cell, room) if side == "<" else " " * (room - columns(cell)) + cell
                for cell, side, room in zip(of_row, "><>>>", wide, strict=True)
                if room
            ]
            lines.append("  ".join([title, *cells]).rstrip())
        lines.extend((indent + line).rstrip() for line in _flowed([piece for piece in pieces if any(piece)], below))
    return "".join(f"{line}\n" for line in lines)


def _mean(row: RecommendedAnime) -> str:
    """What the people of AniList give, in the scale of the person."""
    return f"mean: {_scale(row.score_scale).show(row.mean_score)}" if row.mean_score else ""


def _you(row: RecommendedAnime, you: str) -> str:
    if row.predicted_score is None:
        return ""
    return f"{you}: {row.predicted_score:.{_scale(row.score_scale).digits}f}"


def _scale(largest: int | None) -> Scale:
    return next((scale for scale in (HUNDRED, FIVE) if scale.largest == largest), TEN)


def _marks(row: RecommendedAnime) -> list[str]:
    planners = ", ".join(each.name for each in row.for_each if each.planned)
    planned = f"planned by {planners}" if planners else "planned" if row.planned else ""
    each = ", ".join(f"{name}: {score}" for name, score in _each(row))
    return [*filter(None, [each, row.release, planned])]


def _each(row: RecommendedAnime) -> list[tuple[str, str]]:
    """Of several people the names and the predicted scores, where there is one."""
    scored = [(each.name, each.predicted_score, each.score_scale) for each in row.for_each]
    return [(name, f"{score:.{_scale(of).digits}f}") for name, score, of in scored if score is not None]


def _because(row: RecommendedAnime) -> list[str]:
    if not row.because:
        return []
    titles = [reason.title for reason in row.because]
    return ["because of", *_listed(titles, ";" if any("," in title for title in titles) else ",")]


def _listed(words: Sequence[str], between: str = ",") -> list[str]:
    """The words, each but the last with what is to stand between them."""
    return [*(f"{word}{between}" for word in words[:-1]), *words[-1:]]


def _flowed(pieces: Sequence[Sequence[str]], room: int | None) -> list[str]:
    """The pieces, each of some parts, one after the other in lines of this many columns.

    A piece begins a line where it has no room behind the one before, and the next line between two of its parts. Only
    a part longer than a line is cut, and an address never.
    """
    lines: list[str] = []
    for piece in pieces:
        whole = " ".join(piece)
        if lines and (room is None or columns(f"{lines[-1]} · {whole}") <= room):
            lines[-1] += f" · {whole}"
            continue
        lines.append("")
        for part in piece:
            if room is not None and columns(part) > room and not part.startswith("https://"):
                part = fit(part, room).rstrip()
            if not lines[-1] or (room is not None and columns(f"{lines[-1]} {part}") > room):
                lines += [part] if lines[-1] else []
                lines[-1] = part
            else:
                lines[-1] += f" {part}"
    return lines


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


def rounded(score: float) -> float:
    """The score with six significant digits: more would be noise."""
    return float(f"{score:.6g}")
