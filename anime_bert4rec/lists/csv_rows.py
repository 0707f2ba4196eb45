"""Cuts the text of a CSV into rows, so that a stray quote costs its own row and no other.

Almost all text is cut by csv.reader, in C: where a block of lines gives as many rows as it has lines, each row is
right. Only where it gives fewer, because a quoted field goes over several lines or a quote was never closed, is each of
those fields looked at.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

MAX_SPAN = 1_000
"""The most lines of one quoted field, such as a review. The csv module itself limits a field to 128 KiB."""

CsvRow = list[str] | None
"""The fields of a row: an empty list for an empty line, and None for a line with a quote that is not closed."""


class CsvRows:
    """Iterating gives `(line, rows)`: the rows of consecutive lines, and the number of the first of these."""

    def __init__(
        self,
        blocks: Iterable[bytes],
        delimiter: str,
        needed: Collection[int],
        is_whole: Callable[[Sequence[str]], bool],
        is_row: Callable[[Sequence[str]], bool],
    ) -> None:
        """`needed`: the places of the fields that matter, none of which has line breaks.

        `is_whole` tells whether a row has as many fields as it should, `is_row` also whether each makes sense.
        """
        self.blocks = blocks
        self.delimiter = delimiter
        self.needed = needed
        self.is_whole = is_whole
        self.is_row = is_row

    def __iter__(self) -> Iterator[tuple[int, list[CsvRow]]]:
        line, rest = 1, ""
        for block in self.blocks:
            lines = _lines(rest + block.decode(errors="surrogateescape"))
            used = len(lines)
            if (rows := self._simply(lines)) is not None:
                yield line, rows
            else:
                for start, end, found in self._carefully(lines, last=False):
                    yield line + start, found
                    used = end
            line += used
            rest = "".join(f"{each}\n" for each in lines[used:])
        if rest:
            for start, _, found in self._carefully(_lines(rest), last=True):
                yield line + start, found

    def _reader(self, lines: Iterable[str]) -> Iterator[list[str]]:
        return csv.reader(lines, delimiter=self.delimiter, skipinitialspace=True)

    def _simply(self, lines: list[str]) -> list[CsvRow] | None:
        """The rows, or None if they are not one a line. An open quote would take up the empty line at the end."""
        try:
            rows: list[CsvRow] = list(self._reader([*lines, ""]))
        except csv.Error:
            return None
        return rows[:-1] if len(rows) == len(lines) + 1 else None

    def _carefully(self, lines: list[str], last: bool) -> Iterator[tuple[int, int, list[CsvRow]]]:
        """`(start, end, rows)` of these lines; unless they are the last, without a row that may go on after them."""
        start = endless = 0  # before the line `endless`, no field that is open ends
        while start < len(lines):
            feed = _Feed(lines, start, endless, self._looks_like_row)
            closed, rows = False, list[CsvRow]()  # of one line each, up to feed.start
            for row in _until_error(self._reader(feed)):
                if feed.start == len(lines):
                    break
                if feed.at == feed.start + 1 and not feed.gave_up:
                    rows.append(row)
                elif not feed.gave_up and feed.at <= len(lines) and self._is_one_row(row):
                    yield start, feed.start, rows
                    yield feed.start, feed.at, [row]
                    start, rows = feed.at, []
                else:
                    closed = not feed.gave_up and feed.at <= len(lines)
                    break
                feed.next_row()
            yield start, feed.start, rows
            start = feed.start
            if start == len(lines) or (not last and feed.at > len(lines)):
                return
            if not closed and not feed.found_rows:
                endless = max(endless, feed.at)
            yield start, start + 1, [self._as_if_unquoted(lines[start])]
            start += 1

    def _is_one_row(self, row: Sequence[str]) -> bool:
        """Whether a row that goes over several lines is meant to."""
        return self.is_whole(row) and not any("\n" in row[place] for place in self.needed if place < len(row))

    def _looks_like_row(self, line: str) -> bool:
        """Whether a line that stands inside quotes would be a row if it did not."""
        if self.is_row(line.replace('"', "").split(self.delimiter)):
            return True
        closed = [line, line + '"'] if '"' in line else []
        parsed = (row for each in closed for row in _until_error(self._reader([each])))
        return any(map(self.is_row, parsed))

    def _as_if_unquoted(self, line: str) -> CsvRow:
        """The row of a line with a stray quote, if the quote hides no separator and stands in no needed field."""
        row = line.split(self.delimiter)
        good = self.is_whole(row) and not any('"' in row[place] for place in self.needed if place < len(row))
        return row if good else None


class _Feed:
    """Gives csv.reader the lines from `start` on, and gives up when its quoted field is no field of several lines.

    That is when two of its lines are rows by themselves, or it goes over too many. `at`: the first line not yet given.
    """

    def __init__(self, lines: Sequence[str], start: int, endless: int, looks_like_row: Callable[[str], bool]) -> None:
        self.lines = lines
        self.start = self.at = start
        self.endless = endless
        self.gave_up = self.found_rows = False
        self._looks_like_row = looks_like_row
        self._alike = 0

    def next_row(self) -> None:
        self.start, self._alike = self.at, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.at > len(self.lines):
            raise StopIteration
        if self.at > self.start:
            if self.start < self.endless:
                self.gave_up = True
                raise StopIteration
            first = [self.lines[self.start]] if self.at == self.start + 1 else []
            self._alike += sum(map(self._looks_like_row, [*first, *self.lines[self.at : self.at + 1]]))
            self.found_rows = self._alike >= 2
            self.gave_up = self.found_rows or self.at - self.start >= MAX_SPAN
            if self.gave_up:
                raise StopIteration
        self.at += 1
        return self.lines[self.at - 1] + "\n" if self.at <= len(self.lines) else ""  # the last ends an unquoted row


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


def _until_error(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    """The rows before a field that is longer than csv allows."""
    try:
        yield from reader
    except csv.Error:
        return
