"""Reads anime lists from CSV files that others have published: one line an entry, of many people, in any order.

`CsvLists(path, columns)` finds out what the columns are; `entries(…)` streams them and counts what it leaves out.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import itertools
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Generic, TypeVar

from console import describe_os_error, plain
from errors import SettingError, UserError
from mal_export import mal_status, parse_date
from records import ImportedEntry
from user_names import user_hash

MAX_LINE = 2**20
"""Bytes. A longer line is no line of a list, and would have to be held in memory."""

_REMEMBERED = 200_000
"""Texts of a column whose meaning is kept: the same ones come again and again."""

_NAMES = {
    "user": "user user_id username user_name uid",
    "anime_id": "anime_id anilist_id media_id item_id anime item",
    "mal_id": "mal_id id_mal anime_mal_id myanimelist_id series_animedb_id",
    "date": "date completed completed_at finish_date my_finish_date watched_at",
    "timestamp": "timestamp time unix_time updated updated_at last_updated my_last_updated",
    "score": "score rating my_score user_score",
    "status": "status watching_status my_status list_status",
}
_ROLES = {name.replace("_", ""): role for role, names in _NAMES.items() for name in names.split()}
_ONLY_MAL = {"watchingstatus", "mystatus", "myscore"}
"""Names of MyAnimeList dumps, in which `anime_id` is MyAnimeList's."""

_ANILIST_STATUSES = {"CURRENT", "PLANNING", "COMPLETED", "DROPPED", "PAUSED", "REPEATING"}
_UNKNOWN = {"", "0", "-1", "0000-00-00", "null", "none", "nan", "na", "\\n"}

UNKNOWN_ANIME = "anime that the catalogue does not have"

T = TypeVar("T")


class LeftOut:
    """How many rows were left out for each reason, and the line of the first (in exports, which entry it is)."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[int, int]] = {}

    def add(self, reason: str, line: int) -> None:
        count, first = self.rows.get(reason, (0, line))
        self.rows[reason] = count + 1, first

    @property
    def total(self) -> int:
        return sum(count for count, _ in self.rows.values())


class BadRow(ValueError):
    """A row that cannot be used; the text is the reason, the same for all rows of its kind."""


class CsvLists:
    """A CSV file whose columns are known: `columns` has the place of each (see _NAMES) that the file has.

    Raises UserError for a file that is no such list, and SettingError for names that mean nothing.
    """

    def __init__(self, path: Path, names: str = "") -> None:
        self.path = path
        with _lines(path) as lines:
            first = next(iter(lines), "")
        self.delimiter = max(",;\t", key=first.count)
        header = [plain(name, 40) for name in next(_rows(csv.reader([first], delimiter=self.delimiter), LeftOut()), [])]
        self.has_header = any(_key(name) in _ROLES for name in header)
        if names:
            header = [name.strip() for name in names.split(",")]
            for name in header:
                if name != "-" and _key(name) not in _ROLES:
                    raise SettingError(f"--columns: {name!r} is not one of {', '.join(_NAMES)}, or - for any other")
        elif not self.has_header:
            raise UserError(f"{path} does not name its columns in the first line: name them with --columns")
        self.columns: dict[str, int] = {}
        for at, name in enumerate(header):
            if role := _ROLES.get(_key(name)):
                self.columns.setdefault(role, at)
        if not names and "mal_id" not in self.columns and any(_key(name) in _ONLY_MAL for name in header):
            self.columns = {"mal_id" if role == "anime_id" else role: at for role, at in self.columns.items()}
        if "user" not in self.columns or not {"anime_id", "mal_id"} & self.columns.keys():
            raise UserError(
                f"{path} needs a column user and one anime_id or mal_id, but has {', '.join(header)}:"
                " name them with --columns"
            )

    @property
    def ids(self) -> str:
        """Whose ids are read: anime_id (AniList's), also where the file has both, or mal_id."""
        return "anime_id" if "anime_id" in self.columns else "mal_id"

    def entries(
        self,
        known: Mapping[int, int],
        keep_names: bool,
        left_out: LeftOut,
        read: Callable[[int], object] = lambda so_far: None,
    ) -> Iterator[ImportedEntry]:
        """The entries in the order of the file, numbered by row; `known` is anime_id by the file's own ids.

        `read` is told how many bytes of the file have been read so far.
        Raises UserError when the file cannot be read to its end.
        """
        place = [self.columns.get(role, -1) for role in ("user", self.ids, "date", "timestamp", "score", "status")]
        at_user, at_anime, at_date, at_time, at_score, at_status = place
        user_of, anime_of = _Remembered(_parse_user), _Remembered(lambda text: _parse_anime(text, known))
        shown = _Remembered(lambda text: plain(text, 100))
        when_of, score_of, status_of = _Remembered(parse_when), _Remembered(parse_score), _Remembered(parse_status)
        needed = 1 + max(place)
        score, status, day, second = None, "COMPLETED", None, None
        with _lines(self.path, read) as lines:
            reader = csv.reader(lines, delimiter=self.delimiter)
            rows = _rows(reader, left_out)
            if self.has_header:
                next(rows, None)
            for number, row in enumerate(rows, start=1):
                try:
                    if len(row) < needed:
                        raise BadRow("fewer columns than the header")
                    user, anime_id = user_of[row[at_user]], anime_of[row[at_anime]]
                    if at_time >= 0:
                        text = row[at_time]  # most are ten digits, and different from all others
                        day, second = (None, int(text)) if len(text) == 10 and text.isdecimal() else when_of[text]
                    if at_date >= 0:
                        given = when_of[row[at_date]]
                        day, second = (given[0] or day, given[1] or second) if at_time >= 0 else given
                    if at_score >= 0:
                        score = score_of[row[at_score]]
                    if at_status >= 0:
                        status = status_of[row[at_status]]
                except BadRow as error:
                    left_out.add(str(error), reader.line_num)
                    continue
                name = shown[row[at_user]] if keep_names else None
                # A plain tuple takes a third of the time of the class, and is equal to it.
                yield (user, name, anime_id, number, status, score, 0, None, day, second)  # type: ignore[misc]


class _Remembered(dict[str, T], Generic[T]):
    """What a parser makes of each text, computed once for the texts of late."""

    def __init__(self, parse: Callable[[str], T]) -> None:
        self.parse = parse

    def __missing__(self, text: str) -> T:
        if len(self) >= _REMEMBERED:
            self.clear()
        value = self[text] = self.parse(text)
        return value


def _rows(reader: Iterator[list[str]], left_out: LeftOut) -> Iterator[list[str]]:
    """The rows that are not empty. One that breaks the rules of CSV is left out, and the next are read."""
    while True:
        try:
            yield from filter(None, reader)
            return
        except csv.Error:
            left_out.add("not a line of CSV", reader.line_num)  # type: ignore[attr-defined]


def _key(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def _parse_user(text: str) -> int:
    name = text.strip()
    if not name:
        raise BadRow("no user")
    try:
        return user_hash(name)
    except UnicodeEncodeError:
        raise BadRow("the user's name is not UTF-8 text") from None


def _parse_anime(text: str, known: Mapping[int, int]) -> int:
    number = re.fullmatch(r"\s*([0-9]{1,18})(?:\.0*)?\s*", text)
    if not number:
        raise BadRow("the id of the anime is not a number")
    anime_id = known.get(int(number[1]))
    if anime_id is None:
        raise BadRow(UNKNOWN_ANIME)
    return anime_id


def parse_score(text: str) -> float | None:
    """None for no score, which dumps write as 0 or -1. Raises BadRow for what is not a number up to 100."""
    try:
        score = float(text) if text.strip().lower() not in _UNKNOWN else 0.0
    except ValueError:
        score = float("nan")
    if score in (0, -1):
        return None
    if not 0 < score <= 100:
        raise BadRow("the score is not a number from 0 to 100")
    return score


def parse_status(text: str) -> str:
    """AniList's word for AniList's and MyAnimeList's. No status means watched. Raises BadRow for other words."""
    word = text.strip().upper()
    if not word:
        return "COMPLETED"
    status = word if word in _ANILIST_STATUSES else mal_status(word)
    if status is None:
        raise BadRow("unknown status")
    return status


def parse_when(text: str) -> tuple[int | None, int | None]:
    """A day as YYYYMMDD, or a time in unix seconds; both None for no date. Raises BadRow for what is neither.

    Known are 2015-04-30, 2015/04/30 and 20150430, unix seconds and milliseconds, and ISO 8601 with a time of day.
    """
    text = text.strip()
    if text.lower() in _UNKNOWN:
        return None, None
    if number := re.fullmatch(r"([0-9]{8,13})(?:\.[0-9]*)?", text):
        digits = number[1]
        if len(digits) > 8:
            return None, int(digits) // (1 if len(digits) <= 10 else 1000)
        text = f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
    text = text.replace("/", "-")
    if day := parse_date(text):
        return day, None
    try:
        time = datetime.fromisoformat(text)
        return None, int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise BadRow("the date is neither a day nor a time") from None


@contextlib.contextmanager
def _lines(path: Path, read: Callable[[int], object] = lambda so_far: None) -> Iterator[Iterable[str]]:
    """The lines of a text file, packed or not, without their ends."""
    if path.is_dir():
        raise UserError(f"{path} is a directory: give a CSV file")
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise UserError(f"there is no file {path}: give a CSV file") from None
    except OSError as error:
        raise UserError(f"the lists could not be read: {describe_os_error(error)}") from None
    with file:
        yield itertools.chain.from_iterable(_blocks_of_lines(path, file, read))


def _blocks_of_lines(path: Path, file: IO[bytes], read: Callable[[int], object]) -> Iterator[list[str]]:
    """Blocks are cut at line ends only, so memory holds one block and one line, whatever the file is."""
    rest, start = b"", True
    try:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        source = gzip.GzipFile(fileobj=file) if packed else file
        while block := source.read(MAX_LINE):
            if start and b"\0" in block:
                raise UserError(f"{path} is not a text file in UTF-8: save it as UTF-8")
            block = rest + (block.removeprefix(b"\xef\xbb\xbf") if start else block)
            start = False
            read(file.tell())
            whole, newline, rest = block.rpartition(b"\n")
            if len(rest) > MAX_LINE:
                raise UserError(f"{path} has a line longer than {MAX_LINE:,} bytes: it is not a list in CSV")
            if newline:
                yield whole.decode(errors="surrogateescape").split("\n")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path} is a damaged .gz file: {error}") from None
    except OSError as error:
        raise UserError(f"{path} could not be read: {describe_os_error(error)}") from None
    if rest:
        yield rest.decode(errors="surrogateescape").split("\n")
    elif start:
        raise UserError(f"{path} is empty: it has to be a list in CSV")
