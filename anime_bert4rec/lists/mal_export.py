"""Reads MyAnimeList's own export of a list (animelist_….xml or .xml.gz), which may come from anybody.

Only a few fields of each anime are wanted, and none of them is text that people write. So this looks for these fields
and for nothing else: whatever a title or a comment has in it that XML would not allow makes no difference. Nothing in
the file is expanded or followed; a document type, where XML declares entities, is refused; sizes have limits.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from anime_bert4rec.lists.list_file import open_list
from anime_bert4rec.lists.list_values import (
    UNCLEAR_SCORE,
    BadRow,
    RowReport,
    day_comes_first,
    number_in,
    parse_day,
    parse_score,
    parse_status,
    points,
    tomorrow,
)
from anime_bert4rec.support.errors import UserError

MAX_BYTES = 64 * 2**20
"""The most bytes of an unpacked export. An entry takes about 1 KB, and MyAnimeList has about 30,000 anime."""
MAX_ENTRIES = 100_000
MAX_ID = 2**31 - 1
_MAX_TEXT = 1_000

_FIELDS = {"series_animedb_id", "my_watched_episodes", "my_start_date", "my_finish_date", "my_score", "my_status"}
_DATES = ("my_start_date", "my_finish_date")
_TEXTS = {"series_title", "my_tags", "my_comments"}
"""The elements that hold what people write: what looks like a tag there is none."""
_TAG = re.compile(rb"<!--|<!DOCTYPE\b|<!ENTITY\b|<(/?)([A-Za-z][A-Za-z_]*)(?:\s[^<>]*)?(/?)>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MalEntry:
    """One anime of an export, with AniList's words and scales, as in records.ListEntry.

    `score` is 1 to 100, None when unrated; dates are YYYYMMDD integers in which an unknown month or day is 00.
    """

    mal_id: int
    status: str | None
    score: int | None
    started: int | None
    completed: int | None
    progress: int


@dataclass(frozen=True)
class MalExport:
    """An export. `name` is the person's, if the file has one. Each entry comes with its number in the file."""

    name: str | None
    entries: tuple[tuple[int, MalEntry], ...]
    report: RowReport


def read_export(path: Path) -> MalExport:
    """Read an export. Raises UserError for a file that is none, or has no anime."""
    with open_list(path, "the file of MyAnimeList's export", (".xml",)) as file:
        text = file.whole(MAX_BYTES)
    name, found = _fields_of_anime(path, text)
    report = RowReport(rows=len(found))
    day_first = day_comes_first(fields[each] for fields in found for each in _DATES if each in fields)
    latest = tomorrow()
    entries = []
    scores = []
    for number, fields in enumerate(found, start=1):
        try:
            entries.append((number, _entry(fields, day_first, latest, report, number)))
        except BadRow as error:
            report.leave_out(str(error), number, error.example)
            continue
        scores.append(parse_score(fields.get("my_score", "")))
        if scores[-1] == UNCLEAR_SCORE:
            report.without("its score", number)
            scores[-1] = None
    of_100 = iter(points([score for score in scores if score is not None]))
    scored = (
        (number, replace(entry, score=None if score is None else next(of_100)))
        for (number, entry), score in zip(entries, scores, strict=True)
    )
    return MalExport(name, tuple(scored), report)


def _entry(fields: dict[str, str], day_first: bool | None, latest: int, report: RowReport, number: int) -> MalEntry:
    """The entry without its score. Raises BadRow for one that cannot be used."""
    mal_id = number_in(fields.get("series_animedb_id", "")) or 0
    if not 0 < mal_id <= MAX_ID:
        raise BadRow("an anime without a usable <series_animedb_id>")
    days = [parse_day(fields.get(each, ""), day_first, latest) for each in _DATES]
    for (_, understood), which in zip(days, ("its start date", "its finish date"), strict=True):
        if not understood:
            report.without(which, number)
    return MalEntry(
        mal_id=mal_id,
        status=parse_status(fields.get("my_status", "")),
        score=None,
        started=days[0][0],
        completed=days[1][0],
        progress=min(number_in(fields.get("my_watched_episodes", "")) or 0, 100_000),
    )


def _fields_of_anime(path: Path, text: bytes) -> tuple[str | None, list[dict[str, str]]]:
    """The name of the person, if there is one, and what the wanted fields of each anime hold."""
    about: dict[str, str] = {}
    found: list[dict[str, str]] = []
    fields = about
    is_open = ended = manga = False
    opened, start = "", 0  # the element whose text may be wanted, and where that starts
    for at, end, closing, name in _tags(path, text):
        if not is_open and name != "myanimelist":
            raise UserError(f"{path} is not a MyAnimeList export: it starts with <{name[:40]}>, not with <myanimelist>")
        if opened in _FIELDS or opened in ("user_name", "user_id"):
            fields.setdefault(opened, _content(text[start : min(at, start + 2 * _MAX_TEXT)]))
        opened, start = ("" if closing else name), end
        if name == "myanimelist":
            is_open, ended = True, closing
        elif name in ("anime", "manga"):
            fields = {}
            manga = manga or name == "manga"
            if name == "anime" and not closing:
                found.append(fields)
                if len(found) > MAX_ENTRIES:
                    raise UserError(f"{path} is not a MyAnimeList export: it has more than {MAX_ENTRIES:,} anime")
    if not text.strip():
        raise UserError(f"{path} is empty: give the file of MyAnimeList's export")
    if not is_open:
        raise UserError(f"{path} is not a MyAnimeList export: there is no <myanimelist> in it")
    if not ended:
        raise UserError(f"{path} is cut off: </myanimelist> is missing at its end, so export the list again")
    if not found:
        raise UserError(f"{path}: the export has no anime" + (", it is a manga list" if manga else ""))
    number = about.get("user_id", "")
    return about.get("user_name") or (number if number.strip("0") else None), found  # Taiga writes 0 for all


def _tags(path: Path, text: bytes) -> Iterator[tuple[int, int, bool, str]]:
    """`(start, end, closing, name)` of the tags, without those in comments and in what people write."""
    at = 0
    ends: dict[str, int] = {}  # where the next end of a kind is, which is looked for only once
    while found := _TAG.search(text, at):
        at = found.end()
        if found[0] == b"<!--":
            if ends.get("comment", 0) < at:
                ends["comment"] = text.find(b"-->", at) % (len(text) + 1)  # the end of the text, if there is none
            at = ends["comment"] if ends["comment"] < len(text) else at
            continue
        if found[2] is None:
            raise UserError(
                f"{path} is not a MyAnimeList export: it declares a document type (DTD), which is not read, for safety"
            )
        name = found[2].decode().lower()
        yield found.start(), at, bool(found[1] or found[3]), name
        if name in _TEXTS and not found[1] and not found[3]:
            if ends.get(name, 0) < at:
                end = re.compile(rb"</%s\s*>|<series_animedb_id\b" % name.encode(), re.IGNORECASE).search(text, at)
                ends[name] = end.start() if end else len(text)
            if text[ends[name] + 1 : ends[name] + 2] == b"/":  # otherwise the next anime begins: this has no end
                at = ends[name]


def _content(raw: bytes) -> str:
    text = raw[: 2 * _MAX_TEXT].decode(errors="replace").strip()
    if cdata := re.fullmatch(r"<!\[CDATA\[(.*)\]\]>", text, re.DOTALL | re.IGNORECASE):
        return cdata[1].strip()
    return html.unescape(text)[:_MAX_TEXT].strip()
