"""What the values of a list mean, whether they stand in a CSV or in an export: scores, statuses, dates.

What a parser of scores or dates cannot make sense of costs no entry: it is kept without the value, which is counted.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from anime_bert4rec.lists.dates import DAY_SECONDS, date_of, date_of_parts
from anime_bert4rec.support.text import plain

MAX_SCORE = 100
_NONE = "null none nan nat na n/a #n/a n.a. n.a <na> unknown undefined unrated unscored \\n"
_WORDS_FOR_NONE = {*_NONE.split(), "not available", "not rated", "not scored", "no score"}
_SIGNS_FOR_NONE = re.compile(r"[-+]?0*[.,]?0*|-1(?:[.,]0*)?|[-\u2013\u2014/?.\s]*")

_STATUSES = {
    "CURRENT": "current watching currentlywatching inprogress",
    "COMPLETED": "completed complete watched watchedall finished finishedwatching seen done",
    "PAUSED": "paused onhold hold stalled",
    "DROPPED": "dropped drop",
    "PLANNING": "planning plantowatch planned plannedtowatch plan ptw wanttowatch towatch watchlist",
    "REPEATING": "repeating rewatching",
}
_STATUS_OF_WORD = {word: status for status, words in _STATUSES.items() for word in words.split()}
MAL_NUMBERS = {"1": "CURRENT", "2": "COMPLETED", "3": "PAUSED", "4": "DROPPED", "6": "PLANNING"}
ANILIST_NUMBERS = {
    "0": "CURRENT",
    "1": "PLANNING",
    "2": "COMPLETED",
    "3": "DROPPED",
    "4": "PAUSED",
    "5": "REPEATING",
}
STRAY_NUMBERS = 0.01
"""The share of the rows of a dump of MyAnimeList's that may have numbers of statuses that it doesn't have."""

_NO_DAYS = {19000101, 18991230, 18991231, 19040101, 19691231, 19700101, 99991231, 16010101}
"""The days that programs write for "no date": the first or the last that they know."""
_YEARS = range(1900, 2201)
_MONTHS = "janfebmaraprmayjunjulaugsepoctnovdec"
_WEEKDAYS = "montuewedthufrisatsun"
_BESIDE = {"st", "nd", "rd", "th", "of", "年", "月", "日", "xx", "x"}
"""Words that may stand beside the numbers of a day and have no meaning."""
_YEAR_LAST = re.compile(r"([0-9]{1,2})[-/. ]([0-9]{1,2})[-/. ]([0-9]{4})")
_NUMBER = re.compile(r"([0-9]{4,8})(?:[.,]0*)?|(-?[0-9]{9,19})(?:[.,][0-9]*)?")
_WHOLE_NUMBER = re.compile(r"\s*(?![0-9]{1,3}[.,]000\s*$)([0-9]{1,18})(?:[.,]0*)?\s*")
_POWER_OF_TEN = re.compile(r"[0-9][.,][0-9]+e\+?[0-9]{1,2}")
_TIME_OF_DAY = re.compile(r"[ t]+[0-9]{1,2}:[0-9].*?( [0-9]{4}$|$)", re.DOTALL)

When = tuple[int | None, int | None]
"""A day as YYYYMMDD, in which an unknown month or day is 00, or a time in unix seconds; both None for no date."""
NO_DATE: When = (None, None)
UNCLEAR_SCORE = -1.0
"""Stands for a text that is no score and does not say that there is none."""


class BadRow(ValueError):
    """A row that cannot be used; the text is the reason, the same for all rows of its kind."""

    def __init__(self, reason: str, example: str = "") -> None:
        super().__init__(reason)
        self.example = example  # what this row has


@dataclass
class RowReport:
    """What became of the rows of a file: how many there are, which were left out, which values were not understood.

    Reasons are kept with how many rows they concern and the line of the first (in exports, which entry it is).
    """

    rows: int = 0
    left_out: dict[str, tuple[int, int]] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    """What the first row of a reason has, where that tells something."""
    unclear: dict[str, tuple[int, int]] = field(default_factory=dict)

    def leave_out(self, reason: str, line: int, example: str = "") -> None:
        _count(self.left_out, reason, line)
        if example:
            self.examples.setdefault(reason, example)

    def without(self, value: str, line: int) -> None:
        """The row is kept without `value`, such as "score"."""
        _count(self.unclear, value, line)

    @property
    def total_left_out(self) -> int:
        return sum(count for count, _ in self.left_out.values())

    def lines(self, place: str = "line") -> Iterable[str]:
        """The lines that the user is shown: one for each reason and each value."""
        for reason, (count, line) in self.left_out.items():
            example = f', "{plain(self.examples[reason], 40)}"' if reason in self.examples else ""
            yield f"{count:,} left out: {reason} (the first: {place} {line}{example})"
        for value, (count, line) in self.unclear.items():
            yield f"{count:,} kept without {value}, which was not understood (the first: {place} {line})"


def _count(counts: dict[str, tuple[int, int]], reason: str, line: int) -> None:
    count, first = counts.get(reason, (0, line))
    counts[reason] = count + 1, first


def number_in(text: str) -> int | None:
    """The whole number of a field, such as an id; None for none, and for `1,000`, which may be a thousand.

    Table programs add decimals.
    """
    found = _WHOLE_NUMBER.fullmatch(text)
    return int(found[1]) if found else None


def says_nothing(text: str) -> bool:
    """Whether a text without spaces around it, in small letters, is what people and programs write for no value."""
    return text in _WORDS_FOR_NONE or _SIGNS_FOR_NONE.fullmatch(text) is not None


def parse_score(text: str) -> float | None:
    """The number, with a decimal point or comma, on whatever scale; None for no score, which dumps write as 0 or -1.

    One that names its scale, as in 4/5 or 80%, is of 10.
    """
    text = text.strip().lower()
    if says_nothing(text):
        return None
    number = re.fullmatch(r"([0-9]{1,3}(?:[.,][0-9]*)?)(?: ?/ ?(5|10|100)| ?(%))?", text)
    if not number:
        return UNCLEAR_SCORE
    score, scale = float(number[1].replace(",", ".")), int(number[2] or MAX_SCORE)
    if score > scale:
        return UNCLEAR_SCORE
    return (score * 10 / scale if number[2] or number[3] else score) or None


def is_below_nothing(text: str) -> bool:
    """Whether a text is a number below 0 that doesn't stand for no score."""
    text = text.strip()
    return re.fullmatch(r"-[0-9.,]+(?:e-?[0-9]+)?", text) is not None and not says_nothing(text)


def points(scores: Sequence[float]) -> list[int]:
    """The scores of one person, of 100 each.

    They are taken to be of 100 if more than a tenth of them are above 10, else of 10; a single score above 10 is then
    of 100 itself.
    """
    of_100 = sum(score > 10 for score in scores) * 10 > len(scores)
    return [max(1, int(score * (1 if of_100 or score > 10 else 10) + 0.5)) for score in scores]


def parse_status(text: str, numbers: dict[str, str] = MAL_NUMBERS) -> str:
    """AniList's word for the words of AniList and MyAnimeList, or for a number. No status means watched.

    Raises BadRow for what may mean anything: planned, dropped or watched.
    """
    word = _status_word(text)
    if not re.search("[0-9]", word) and says_nothing(text.strip().lower()):
        return "COMPLETED"
    status = _STATUS_OF_WORD.get(word) or numbers.get(word)
    if status is None:
        raise BadRow("unknown status", text)
    return status


def _status_word(text: str) -> str:
    """Only the letters, or a number without the decimals and zeros that table programs add."""
    number = re.fullmatch(r"0*([0-9]+?)(?:[.,]0*)?", text.strip())
    letters = re.sub(r"[\W_]+", "", text).lower()
    return number[1] if number else text if letters.isdigit() else letters


def numbers_of(texts: Mapping[str, int], with_mal_ids: bool = False) -> dict[str, str]:
    """What statuses that are numbers stand for, by how often there are some that only one of the catalogues has.

    with_mal_ids: whether the anime have MyAnimeList's ids; of its own dumps a few rows have numbers that nobody knows.
    """
    words: Counter[str] = Counter()
    for text, count in texts.items():
        words[_status_word(text)] += count
    only_anilist, only_mal = words["0"] + words["5"], words["6"]
    stray = STRAY_NUMBERS * words.total() if with_mal_ids else 0
    return ANILIST_NUMBERS if only_anilist > max(only_mal, stray) else MAL_NUMBERS


def day_comes_first(texts: Iterable[str]) -> bool | None:
    """Whether 05/06/2015 is in June, by the days above 12 of the other dates; None when these do not decide it."""
    days_first = days_second = 0
    for text in texts:
        if found := _YEAR_LAST.match(text.strip()):
            days_first += 12 < int(found[1]) <= 31
            days_second += 12 < int(found[2]) <= 31
    if days_first > 10 * days_second:
        return True
    return False if days_second > 10 * days_first else None


def tomorrow() -> int:
    """The day after today as YYYYMMDD: nobody has watched anything later, wherever they are."""
    return date_of(int(time.time()) // DAY_SECONDS + 1)


def parse_when(text: str, day_first: bool | None = None, latest: int | None = None) -> When | None:
    """A day or a time; NO_DATE where the text says so, None for what is neither.

    Known are 2015-04-30, 2015/4/30, 2015.04, 2015 and 20150430, 30/4/2015 and 4/30/2015, 04/2015, Apr 30, 2015,
    30-Apr-2015 and 2015年4月30日, with or without weekday and time of day, ISO 8601, and unix time in seconds or
    smaller units. `day_first` is what `day_comes_first` has found: without it, only the year is taken from 05/06/2015.
    What is after `latest`, a day as YYYYMMDD, is no date; where it is not given, that is tomorrow.
    """
    when = _when(text, day_first)
    return when if (_date_of(when) or 0) <= (latest or tomorrow()) else None


def _when(text: str, day_first: bool | None) -> When | None:
    """What a text says, also of days to come."""
    text = text.strip(" \t\r\n\"'").lower()
    if says_nothing(text):
        return NO_DATE
    if number := _NUMBER.fullmatch(text):
        return _of_digits(number[1] or number[2])
    if _POWER_OF_TEN.fullmatch(text):
        return _of_seconds(int(float(text.replace(",", "."))))
    with contextlib.suppress(ValueError, OverflowError):
        moment = datetime.fromisoformat(re.sub(r" ?(?:utc|gmt)$", "Z", text.replace("/", "-")).upper())
        day = _of_day(moment.year, moment.month, moment.day)
        if ":" not in text or not day or not day[0]:
            return day
        return None, int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    return _of_parts(_TIME_OF_DAY.sub(r"\1", text), day_first)  # a time that is none takes nothing from its day


def parse_day(text: str, day_first: bool | None = None, latest: int | None = None) -> tuple[int | None, bool]:
    """The day, also of a text with a time, and whether the text was understood."""
    when = parse_when(text, day_first, latest)
    return _date_of(when), when is not None


def _date_of(when: When | None) -> int | None:
    """The day of a day or a time."""
    day, seconds = when or NO_DATE
    return day if seconds is None else date_of(seconds // DAY_SECONDS)


def _of_parts(text: str, day_first: bool | None) -> When | None:
    """A day by its numbers and the name of its month, whatever stands between them."""
    numbers = re.findall(r"[0-9]+", text)
    words = [word for word in re.findall(r"[^\W\d_]+", text) if word not in _BESIDE and not _third(word, _WEEKDAYS)]
    years = [at for at, number in enumerate(numbers) if len(number) == 4]
    if len(years) != 1 or len(words) > 1 or any(len(number) > 2 for number in numbers if len(number) != 4):
        return None
    year = int(numbers.pop(years[0]))
    rest = [int(number) for number in numbers]
    if words:
        month = _third(words[0], _MONTHS)
        return _of_day(year, month, *rest) if month and len(rest) < 2 else None
    if len(rest) == 2 and years[0]:
        return _of_year_last(rest[0], rest[1], year, day_first) if years[0] == 2 else None
    return _of_day(year, *rest) if len(rest) <= 2 else None


def _third(word: str, names: str) -> int:
    """Which of the names, of three letters each, the word begins with; the first is 1, and 0 stands for none."""
    at = names.find(word[:3]) if len(word) >= 3 else -1
    return at // 3 + 1 if at >= 0 and at % 3 == 0 else 0


def _of_digits(digits: str) -> When | None:
    if len(digits) in (4, 6, 8, 12, 14):
        year, month, day = int(digits[:4]), int(digits[4:6] or 0), int(digits[6:8] or 0)
        if found := _of_day(year, month, day):
            return found
    if len(digits) <= 8:
        return None
    unit = 1 if len(digits) <= 10 else 1_000 if len(digits) <= 15 else {16: 10**6, 19: 10**9}.get(len(digits), 1)
    return _of_seconds(int(digits)) or _of_seconds(int(digits) // unit)


def _of_seconds(seconds: int) -> When | None:
    if abs(seconds) <= DAY_SECONDS:
        return NO_DATE
    try:
        moment = datetime(1970, 1, 1) + timedelta(seconds=seconds)
    except OverflowError:
        return None
    day = _of_day(moment.year, moment.month, moment.day)
    return day if day in (None, NO_DATE) else (None, seconds) if seconds > 0 else None


def _of_day(year: int, month: int = 0, day: int = 0) -> When | None:
    date = date_of_parts(year, month, day)
    if year <= 1 or date in _NO_DAYS:
        return NO_DATE
    return None if date is None or year not in _YEARS else (date, None)


def _of_year_last(first: int, second: int, year: int, day_first: bool | None) -> When | None:
    if not first or not second:
        return _of_day(year, first or second)
    if first > 12 or second > 12 or first == second:
        day_first = first > 12
    elif day_first is None:
        return _of_day(year)
    day, month = (first, second) if day_first else (second, first)
    return _of_day(year, month, day)
