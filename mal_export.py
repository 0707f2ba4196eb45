"""Reads MyAnimeList's own export of a list (animelist_….xml or .xml.gz), which may come from anybody.

Nothing in the file is expanded or followed: a document type, the only place where XML can declare entities, is refused,
and size, nesting and the number of entries have limits far above those of real exports.
"""

from __future__ import annotations

import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from console import describe_os_error, plain
from errors import UserError

MAX_BYTES = 64 * 2**20
"""Unpacked. An entry takes about 1 KB, and MyAnimeList has about 30,000 anime."""
MAX_ENTRIES = 100_000
MAX_DEPTH = 8
_MAX_TEXT = 1_000
MAX_ID = 2**31 - 1

_STATUSES = {
    "watching": "CURRENT",
    "completed": "COMPLETED",
    "onhold": "PAUSED",
    "dropped": "DROPPED",
    "plantowatch": "PLANNING",
    "1": "CURRENT",
    "2": "COMPLETED",
    "3": "PAUSED",
    "4": "DROPPED",
    "6": "PLANNING",
}
_FIELDS = {
    "series_animedb_id",
    "my_watched_episodes",
    "my_start_date",
    "my_finish_date",
    "my_score",
    "my_status",
}
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_NUMBER = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class MalEntry:
    """One anime of an export, with AniList's words and scales, as in records.ListEntry.

    `status` is CURRENT, PLANNING, COMPLETED, DROPPED or PAUSED; `score` is 10 to 100, None when unrated; dates are
    YYYYMMDD integers in which an unknown month or day is 00.
    """

    mal_id: int
    status: str | None
    score: int | None
    started: int | None
    completed: int | None
    progress: int


def read_export(path: Path) -> list[MalEntry]:
    """The entries of an export in its order, each anime once (the last of equals). Raises UserError."""
    return read_named_export(path)[1]


def read_named_export(path: Path) -> tuple[str | None, list[MalEntry]]:
    """The name of the person, if the file has it, and the entries. Raises UserError for what is not an export."""
    reader = _Reader(path)
    try:
        reader.parser.Parse(_unpacked(path), True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # the latter two for strange encodings
        raise UserError(f"{path} is not a MyAnimeList export: {plain(str(error), 100)}") from None
    if reader.manga and not reader.entries:
        raise UserError(f"{path} is a manga list: export the anime list")
    return reader.user_name, list(reader.entries.values())


def mal_status(text: str) -> str | None:
    """AniList's word for MyAnimeList's word or number; None for others."""
    return _STATUSES.get(re.sub(r"[\s_-]", "", text).lower())


def parse_date(text: str) -> int | None:
    """`2015-04-00` → 20150400. None when there is no such date or the year is unknown."""
    found = _DATE.fullmatch(text.strip())
    if not found:
        return None
    year, month, day = map(int, found.groups())
    if not 1900 <= year <= 2200 or month > 12 or day > 31:
        return None
    return year * 10_000 + (month * 100 + day if month else 0)


def _unpacked(path: Path) -> bytes:
    if path.is_dir():
        raise UserError(f"{path} is a directory: give the file of MyAnimeList's export")
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            data = (gzip.GzipFile(fileobj=file) if packed else file).read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UserError(f"there is no file {path}: give the file of MyAnimeList's export") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path} is a damaged .gz file: {error}") from None
    except OSError as error:
        raise UserError(f"the export could not be read: {describe_os_error(error)}") from None
    if len(data) > MAX_BYTES:
        raise UserError(f"{path} is not a MyAnimeList export: unpacked it has more than {MAX_BYTES >> 20} MiB")
    return data


class _Reader:
    """Collects entries while expat parses. Exceptions of the handlers leave the parser at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[int, MalEntry] = {}
        self.user_name: str | None = None
        self.manga = False
        self._open: list[str] = []
        self._fields: dict[str, str] = {}
        self._text: str | None = None
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.EntityDeclHandler = self._doctype  # never reached without a document type; a second lock
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters

    def _refuse(self, reason: str) -> NoReturn:
        raise UserError(f"{self.path}:{self.parser.CurrentLineNumber}: not a MyAnimeList export: {reason}")

    def _doctype(self, *_: object) -> None:
        self._refuse("it declares a document type (DTD), which is not read, for safety")

    def _start(self, name: str, _: object) -> None:
        self._open.append(name)
        if len(self._open) == 1 and name != "myanimelist":
            self._refuse(f"it starts with <{plain(name, 40)}>, not with <myanimelist>")
        if len(self._open) > MAX_DEPTH:
            self._refuse("its elements are nested too deep")
        if self._open[1:] == ["anime"]:
            self._fields = {}
        self.manga = self.manga or self._open[1:] == ["manga"]
        wanted = len(self._open) == 3 and (
            (self._open[1] == "anime" and name in _FIELDS) or self._open[1:] == ["myinfo", "user_name"]
        )
        self._text = "" if wanted else None

    def _characters(self, text: str) -> None:
        if self._text is not None and len(self._text) < _MAX_TEXT:
            self._text += text[:_MAX_TEXT]

    def _end(self, name: str) -> None:
        if self._text is not None:
            if name == "user_name":
                self.user_name = self._text.strip() or None
            else:
                self._fields[name] = self._text.strip()
        self._text = None
        if self._open[1:] == ["anime"]:
            entry = self._entry(self._fields)
            self.entries.pop(entry.mal_id, None)
            self.entries[entry.mal_id] = entry
            if len(self.entries) > MAX_ENTRIES:
                self._refuse(f"it has more than {MAX_ENTRIES:,} anime")
        self._open.pop()

    def _entry(self, fields: dict[str, str]) -> MalEntry:
        mal_id = _number(fields.get("series_animedb_id", ""))
        if not 0 < mal_id <= MAX_ID:
            self._refuse("an anime without a usable <series_animedb_id>")
        score = _number(fields.get("my_score", ""))
        return MalEntry(
            mal_id=mal_id,
            status=mal_status(fields.get("my_status", "")),
            score=10 * score if 1 <= score <= 10 else None,
            started=parse_date(fields.get("my_start_date", "")),
            completed=parse_date(fields.get("my_finish_date", "")),
            progress=min(_number(fields.get("my_watched_episodes", "")), 100_000),
        )


def _number(text: str) -> int:
    """0 for what is not a number."""
    return int(text) if _NUMBER.fullmatch(text) else 0
