"""Reads anime lists from CSV files that others have published: one line an entry, of many people, in any order.

`CsvLists(path, names)` finds the columns; `survey(…)` whose ids they hold and how dates and statuses are
written; `entries(…)` streams the entries and reports what became of every row.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Generic, TypeVar

from anime_bert4rec.lists.csv_header import WANTED, read_header
from anime_bert4rec.lists.csv_rows import CsvRow, CsvRows
from anime_bert4rec.lists.list_file import open_list
from anime_bert4rec.lists.list_values import (
    MAL_NUMBERS,
    UNCLEAR_SCORE,
    BadRow,
    RowReport,
    When,
    day_comes_first,
    is_below_nothing,
    number_in,
    numbers_of,
    parse_day,
    parse_score,
    parse_status,
    parse_when,
    tomorrow,
)
from anime_bert4rec.lists.records import ImportedEntry
from anime_bert4rec.lists.user_names import user_hash
from anime_bert4rec.lists.whose_ids import Fit, fit_of
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.text import plain

MOST_BELOW_NOTHING = 0.05
"""If more of a file's scores are below 0, they are not such as people give."""
_REMEMBERED = 200_000
"""The number of texts of a column whose meaning is remembered, since the same texts come again and again."""
_SURVEYED_WHOLE = 32
"""The survey reads this many blocks from the start of a file."""
_SURVEYED_SHARE = 32
"""After these, the survey reads one block in 32."""
_MAX_NAME = 200
"""The most characters of a user's name."""

NO_NAMES = {"\\N", "<NA>", "#N/A"}
"""What programs write where there is no name, and nobody is called."""
UNKNOWN_ANIME = "anime that the catalogue does not have"
_UNCLOSED = "a quote that is not closed"
_NO_ID = "the id of the anime is not a number"

T = TypeVar("T")


class CsvLists:
    """A CSV file whose columns are known. `read_header` says what is raised for a file that has none."""

    def __init__(self, path: Path, names: str = "") -> None:
        self.path = path
        self.header = header = read_header(path, names)
        self.columns = header.columns
        self.ids = header.ids
        self._certain = header.is_given and header.ids != "anime_id"
        self._needed = 1 + max(self.columns.values())
        self._least, self._scores_tell, self._scores_count = header.width, True, True
        self._numbers = MAL_NUMBERS
        self.numbered_statuses: Mapping[str, str] | None = None
        self._day_first: bool | None = None

    def survey(self, anilist_ids: Collection[int], by_mal_id: Mapping[int, int]) -> Fit:
        """Find out from rows of all parts of the file whose ids these are, and how dates and statuses are written.

        Raises UserError where it is not clear whose ids a column `anime_id` holds and --columns has not said it.
        """
        texts = {role: Counter[str]() for role in self.columns if role != "user"}
        lengths: Counter[int] = Counter()
        pairs: set[tuple[str, str]] = set()
        for _, rows in self._chunks(every=_SURVEYED_SHARE):
            lengths.update(map(len, filter(None, rows)))
            long_enough = [row for row in rows if row and len(row) >= self._needed]
            for role, seen in texts.items():
                if len(seen) < _REMEMBERED:
                    seen.update(map(itemgetter(self.columns[role]), long_enough))
            if self.header.has_both_ids and len(pairs) < _REMEMBERED:
                pairs.update(map(itemgetter(self.columns["anime_id"], self.columns["mal_id"]), long_enough))
        if self.header.has_both_ids:
            compared, differing = _agreement(pairs, by_mal_id)
            self._certain = compared > 0
            self.ids = "mal_id" if 2 * differing > compared else "anime_id"
        ids = {number for number in map(number_in, texts[self.ids]) if number is not None}
        scores, statuses = texts.get("score", Counter()), texts.get("status", Counter())
        dates = (texts.get(role, Counter()) for role in ("started", "date", "timestamp"))
        self._day_first = day_comes_first(set().union(*dates))
        unclear = sum(count for text, count in scores.items() if parse_score(text) == UNCLEAR_SCORE)
        self._scores_tell = 2 * unclear <= scores.total()
        below = sum(count for text, count in scores.items() if is_below_nothing(text))
        self._scores_count = below <= MOST_BELOW_NOTHING * scores.total()
        usual = lengths.most_common(1)[0][0] if lengths else 0
        if self._needed <= usual < self.header.width:  # the last columns are empty, and their separators left away
            self._least = usual
        fit = self._taken(fit_of(ids, anilist_ids, by_mal_id))
        self._numbers = numbers_of(statuses, with_mal_ids=fit.whose == "mal")
        if any(each.strip()[:1].isdigit() for each in statuses):
            self.numbered_statuses = self._numbers
        return fit

    def _taken(self, fit: Fit) -> Fit:
        """With whose ids they are taken for. Raises UserError where that isn't clear."""
        named = "mal" if self.ids == "mal_id" else "anilist"
        if self._certain:
            return fit.taken(named)
        if fit.better:
            return fit.taken(fit.better)
        if self.ids == "anime_id" and not fit.harmless:
            columns = [self._role_of(place) for place in range(len(self.header.names))]
            mal, anilist = (
                ",".join(new if each == "anime_id" else each for each in columns) for new in ("mal_id", "anilist_id")
            )
            raise UserError(
                f"{self.path}: it is unclear whose ids the column anime_id holds ({fit.counts}):"
                f" say it with --columns={mal} (MyAnimeList's) or --columns={anilist} (AniList's)"
            )
        return fit.taken(named)

    def entries(
        self,
        known: Mapping[int, int],
        keep_names: bool,
        report: RowReport,
        read: Callable[[int], object] = lambda so_far: None,
    ) -> Iterator[ImportedEntry]:
        """The entries in the order of the file, numbered by row; `known` is anime_id by the file's own ids.

        `read` is called with the number of bytes of the file that have been read.
        Raises UserError when the file cannot be read to its end.
        """
        roles = ("user", self.ids, "started", "date", "timestamp", "score", "status")
        place = [self.columns.get(role, -1) for role in roles]
        at_user, at_anime, at_start, at_date, at_time, at_score, at_status = place
        user_of, anime_of = _Remembered(_parse_user), _Remembered(lambda text: _parse_anime(text, known))
        shown = _Remembered(lambda text: plain(name_in_table(text), 100))
        when_of = _Remembered(partial(parse_when, day_first=self._day_first, latest=tomorrow()))
        day_of = _Remembered(partial(parse_day, day_first=self._day_first, latest=tomorrow()))
        seconds_now = str(int(time.time()))
        score_of, status_of = _Remembered(parse_score), _Remembered(partial(parse_status, numbers=self._numbers))
        needed, width = self._needed, self.header.width
        score, status, started, day, second = None, "COMPLETED", None, None, None
        given: When | None
        for first, rows in self._chunks(read):
            number, report.rows = report.rows, report.rows + len(rows) - rows.count([])
            for line, row in enumerate(rows, first):
                if row == []:
                    continue
                number += 1
                if row is None:
                    report.leave_out(_UNCLOSED, line)
                    continue
                try:
                    if len(row) != width:
                        if len(row) < needed:
                            raise BadRow("fewer columns than the header")
                        if len(row) > width and any(row[width:]):
                            raise BadRow("more columns than the header, which --columns can name")
                    user, anime_id = user_of[row[at_user]], anime_of[row[at_anime]]
                    if at_status >= 0:
                        status = status_of[row[at_status]]
                except BadRow as error:
                    report.leave_out(str(error), line, error.example)
                    continue
                if at_time >= 0:
                    text = row[at_time]  # most are ten digits, and different from all others
                    if len(text) == 10 and "1" <= text <= seconds_now and text.isdecimal():
                        day, second = None, int(text)
                    elif given := when_of[text]:
                        day, second = given
                    else:
                        report.without("its time", line)
                        day, second = None, None
                if at_date >= 0:
                    given = when_of[row[at_date]]
                    if given is None:
                        report.without("its date", line)
                        given = None, None
                    day, second = (given[0] or day, given[1] or second) if at_time >= 0 else given
                if at_start >= 0:
                    started, understood = day_of[row[at_start]]
                    if not understood:
                        report.without("its start date", line)
                if at_score >= 0:
                    score = score_of[row[at_score]]
                    if score is not None and not self._scores_count:
                        score = UNCLEAR_SCORE
                    if score == UNCLEAR_SCORE:
                        report.without("its score", line)
                        score = None
                name = shown[row[at_user]] if keep_names else None
                # A plain tuple takes a third of the time of the class, and is equal to it.
                yield (user, name, anime_id, number, status, score, 0, started, day, second)  # type: ignore[misc]

    def _chunks(
        self, read: Callable[[int], object] = lambda so_far: None, every: int = 1
    ) -> Iterator[tuple[int, list[CsvRow]]]:
        """The rows below the header, as CsvRows gives them.

        `every`: after the first _SURVEYED_WHOLE blocks of text, one in `every` is read, and line numbers are wrong.
        """
        with open_list(self.path, *WANTED) as file:

            def blocks() -> Iterator[bytes]:
                for number, block in enumerate(file.blocks()):
                    read(file.position)
                    if number < _SURVEYED_WHOLE or number % every == 0:
                        yield block

            needed = set(self.columns.values())
            for line, rows in CsvRows(blocks(), self.header.delimiter, needed, self._is_whole, self._is_row):
                above = max(0, self.header.first_line - line)
                yield line + above, rows[above:] if above else rows

    def _is_whole(self, row: Sequence[str]) -> bool:
        return self._least <= len(row) and not any(row[self.header.width :])

    def _is_row(self, row: Sequence[str]) -> bool:
        """Whether the fields make sense, each in its place. Dates are left out: they are written in too many ways."""
        if not self._is_whole(row) or not row[self.columns["user"]].strip():
            return False
        try:
            parse_status(row[self.columns["status"]] if "status" in self.columns else "", self._numbers)
        except BadRow:
            return False
        if "score" in self.columns and self._scores_tell and parse_score(row[self.columns["score"]]) == UNCLEAR_SCORE:
            return False
        return number_in(row[self.columns[self.ids]]) is not None

    def _role_of(self, place: int) -> str:
        return next((role for role, its in self.columns.items() if its == place), "-")


class _Remembered(dict[str, T], Generic[T]):
    """A dict that calls a parser for each new text and remembers the result, for the latest texts."""

    def __init__(self, parse: Callable[[str], T]) -> None:
        self.parse = parse

    def __missing__(self, text: str) -> T:
        if len(self) >= _REMEMBERED:
            self.clear()
        value = self[text] = self.parse(text)
        return value


def _agreement(pairs: Iterable[tuple[str, str]], by_mal_id: Mapping[int, int]) -> tuple[int, int]:
    """The number of pairs of `anime_id` and `mal_id` whose MyAnimeList id the catalogue knows, and of those among them
    whose `anime_id` is not AniList's id of that anime: a file may number its anime in a way of its own."""
    meant = [(number_in(anime_id), by_mal_id.get(number_in(mal_id) or 0)) for anime_id, mal_id in pairs]
    known = [(number, anime_id) for number, anime_id in meant if anime_id is not None]
    return len(known), sum(number != anime_id for number, anime_id in known)


def name_in_table(text: str) -> str:
    """The user's name. A number is the same with and without decimals, which table programs add."""
    return re.sub(r"^(?![0-9]{1,3}[.,]000$)([0-9]+)[.,]0+$", r"\1", text.strip())


def _parse_user(text: str) -> int:
    name = name_in_table(text)
    if not name or name in NO_NAMES:
        raise BadRow("no user")
    if "\n" in name or name.count('"') % 2:
        raise BadRow("a stray quote in the user's name")
    if len(name) > _MAX_NAME:
        raise BadRow(f"the user's name is longer than {_MAX_NAME} characters")
    try:
        return user_hash(name)
    except UnicodeEncodeError:
        raise BadRow("the user's name is not UTF-8 text, which the file can be saved as") from None


def _parse_anime(text: str, known: Mapping[int, int]) -> int:
    number = number_in(text)
    if number is None:
        raise BadRow(_NO_ID)
    anime_id = known.get(number)
    if anime_id is None:
        raise BadRow(UNKNOWN_ANIME)
    return anime_id
