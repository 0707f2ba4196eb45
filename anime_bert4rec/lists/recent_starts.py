"""Who started what on which day, and what that says of each title at a moment: what others start now, what is airing.

A moment is a day of one person. Of others, only what they started before that day counts; of the person, only how often
titles were started in their own season, and what was started last. Pure functions on arrays: no torch, no SQL.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from anime_bert4rec.lists.common_traits import prequels
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.dates import SEASONS, date_of, parts, quarter_of
from anime_bert4rec.lists.records import Anime, ListEntry
from anime_bert4rec.lists.sequences import BULK_DAY, PAD, UNDATED, Sequences, Vocabulary, when_watched

StartRow = tuple[int, int, int | None, int | None, int | None]
"""user_id, anime_id, started, completed (YYYYMMDD) and created (unix seconds); None is unknown."""

SPANS = ((3, 1.0), (30, 2.0))
"""Two decays: the days in which a start falls to 1/e of its weight, and its weight in all. The short one sees what
began this week, the long one what goes on for months."""
WINDOW = 365
"""Starts of so many days ago, or more, count for nothing."""
LEAST = 0.003
"""Added to the decayed starts before their logarithm: a single start of 90 days ago counts for as much."""
FEWEST_RECENT = 20
"""With fewer starts of others within the window, nothing is known of what people start now."""
EARLY = 10
"""A season's titles begin this many days before its first month at the earliest."""
NEWEST = 20
"""How many of the newest titles of a person the model is also asked about on their own, and how many of the last starts
tell how far the person follows the season."""
RECALL = 3
"""After how many more titles a prequel has fallen to 1/e of what it counts for as the title that was started last."""
FEATURES = (
    "others' starts",
    "this season",
    "last season",
    "sequel",
    "follower, this season",
    "follower, others' starts",
    "sequel of the newest",
)
"""What is known of each title at a moment, in the order of the columns of `features_at`."""
OF_SEASONS = (1, 2, 4)
"""The features that say nothing where the catalogue knows no season."""

ROWS_AT_ONCE = 250_000
MISTYPED, FAR_OFF = 0.05, 90
"""This share of the newest starts may have mistyped days, if these are more than FAR_OFF days after the others."""


def season_of(day: int) -> int:
    """The number of the season whose titles begin around this day since 1970: four a year, of the years 1 to 9999."""
    return quarter_of(date_of(day + EARLY))


def start_days(started: np.ndarray, completed: np.ndarray, created: np.ndarray) -> np.ndarray:
    """The days since 1970 on which titles were started, UNDATED where that is not known; in the arrays 0 is unknown.

    It is the whole date that was typed or else, where the title had not been completed before, the day on which the
    entry was added.
    """
    nothing = np.zeros_like(started)
    _, month, day_of_month = parts(started)
    whole = (day_of_month > 0) & (month > 0)
    day, _ = when_watched(nothing, np.where(whole, started, 0), nothing, created)
    finished, _ = when_watched(completed, nothing, nothing, nothing)
    return np.where(whole | (finished == UNDATED) | (finished >= day), day, UNDATED)


def started_on(entries: Iterable[ListEntry]) -> dict[int, int]:
    """The day since 1970 on which each anime was started, of those where it is known."""
    listed = list(entries)
    dates = np.array([(each.started or 0, each.completed or 0, each.created or 0) for each in listed], np.int64)
    days = start_days(*dates.reshape(-1, 3).T).tolist()
    return {each.anime_id: day for each, day in zip(listed, days, strict=True) if day != UNDATED}


@dataclass(frozen=True)
class Starts:
    """What people started, in the order of days."""

    users: np.ndarray
    """int64 [S]: user ids."""
    items: np.ndarray
    """int64 [S]: indices 1 … N."""
    days: np.ndarray
    """int64 [S], ascending: days since 1970."""
    counted: np.ndarray
    """bool [S]: not among BULK_DAY or more of a person and a day, which were typed in or imported at once."""
    num_items: int

    @classmethod
    def of(cls, rows: Iterable[StartRow], vocabulary: Vocabulary, user_ids: np.ndarray | None = None) -> Starts:
        """Of rows in any order, each title of a person once. Those of unknown titles or days drop out, and, where there
        are `user_ids`, those of other people. Not all rows need to fit into memory."""
        rows = iter(rows)
        parts = [np.zeros((3, 0), np.int64)]
        while some := list(itertools.islice(rows, ROWS_AT_ONCE)):
            parts.append(_known_starts(some, vocabulary, user_ids))
        users, items, days = np.concatenate(parts, 1)
        order = np.lexsort((items, users, days))
        users, days = users[order], days[order]
        return cls(users, items[order], days, ~_in_bulk(users, days), vocabulary.num_items)

    def __len__(self) -> int:
        return len(self.days)

    def before(self, day: int, but_not: int | None = None) -> Starts:
        """Those that count and are within WINDOW before the day, without the day itself, of all people but one."""
        start, stop = np.searchsorted(self.days, [day - WINDOW, day])
        kept = np.flatnonzero(self.counted[start:stop] & (self.users[start:stop] != but_not)) + start
        return Starts(self.users[kept], self.items[kept], self.days[kept], self.counted[kept], self.num_items)

    def of_user_before(self, user: int, day: int) -> tuple[np.ndarray, np.ndarray]:
        """The items that somebody started before the day, and on which days, ascending."""
        mine = np.flatnonzero(self.users[: np.searchsorted(self.days, day)] == user)
        return self.items[mine], self.days[mine]

    def decayed(self, day: int) -> np.ndarray:
        """How often each title was started [N], older starts counting for less. All are before the day."""
        age = np.arange(WINDOW + 1)
        weight = np.sum([share / span * np.exp(-age / span) for span, share in SPANS], 0)
        return np.bincount(self.items - 1, weight[day - self.days], self.num_items)


def _known_starts(rows: list[StartRow], vocabulary: Vocabulary, user_ids: np.ndarray | None) -> np.ndarray:
    """Whose they are, the item and the day of those of which all is known, and which are of these people: [3, S]."""
    flat = (0 if value is None else value for row in rows for value in row)
    users, anime, started, completed, created = np.fromiter(flat, np.int64).reshape(-1, 5).T
    items, days = vocabulary.encode(anime).astype(np.int64), start_days(started, completed, created)
    known = (items != PAD) & (days != UNDATED)
    if user_ids is not None:
        known &= np.isin(users, user_ids)
    return np.stack([users[known], items[known], days[known]])


def _in_bulk(users: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Which starts are among BULK_DAY or more of one person's day: bool. They come by days, and of a day by users."""
    new = np.concatenate([np.ones(1, bool), (users[1:] != users[:-1]) | (days[1:] != days[:-1])])[: len(users)]
    sizes = np.diff(np.append(np.flatnonzero(new), len(users)))
    return np.repeat(sizes >= BULK_DAY, sizes)


@dataclass(frozen=True)
class Calendar:
    """Of each title in which season it began, and what it continues."""

    season: np.ndarray
    """int64 [N]: the number of the season, 0 where it is not known."""
    continues: np.ndarray
    """int64 [P, 2]: an item and one that it directly continues."""

    @classmethod
    def of(cls, catalogue: Iterable[Anime], vocabulary: Vocabulary) -> Calendar:
        """Of the anime of a catalogue; what it does not have has no season."""
        anime = list(catalogue)
        season = np.zeros(vocabulary.num_items + 1, np.int64)
        season[vocabulary.encode(np.array([each.anime_id for each in anime], np.int64))] = [
            _season(each) for each in anime
        ]
        pairs = [(later, earlier) for later, before in prequels(anime).items() for earlier in sorted(before)]
        continues = vocabulary.encode(np.array(pairs, np.int64).reshape(-1)).reshape(-1, 2).astype(np.int64)
        return cls(season[1:], continues[(continues != PAD).all(1)])

    def sequels(self, items: Collection[int] | np.ndarray) -> np.ndarray:
        """Which titles directly continue one of the items 1 … N: bool [N]."""
        found = np.zeros(len(self.season), bool)
        found[self.continues[np.isin(self.continues[:, 1], list(items)), 0] - 1] = True
        return found

    def newly_continued(self, items: np.ndarray, days: np.ndarray) -> np.ndarray:
        """How new what each title directly continues is among these items, in order of the days on which they were
        started: float [N], 1 for a sequel of the one that was started last, 0 for what continues none.

        It falls with the number of others that were started on that day or later, so that of many titles of one day,
        which were typed in or imported at once, none is the newest.
        """
        others = len(days) - 1 - np.searchsorted(days, days)
        newness = np.zeros(len(self.season) + 1)
        newness[items] = np.exp(-others / RECALL)
        found = np.zeros(len(self.season))
        np.maximum.at(found, self.continues[:, 0] - 1, newness[self.continues[:, 1]])
        return found

    def follower(self, items: np.ndarray, days: np.ndarray) -> float:
        """The share of the last titles, in order of the days on which they were started, begun in their own season."""
        last = slice(max(0, len(items) - NEWEST), None)
        own = self.season[items[last] - 1]
        return float(np.mean(own == [season_of(day) for day in days[last].tolist()]))


def _season(anime: Anime) -> int:
    if anime.season in SEASONS and anime.year:
        return anime.year * 4 + SEASONS.index(anime.season)
    _, month, _ = parts(date := anime.start_date or 0)
    return quarter_of(date) if month else 0


def features_at(
    day: int,
    others: Starts,
    calendar: Calendar,
    seen: Collection[int] | np.ndarray,
    started: tuple[np.ndarray, np.ndarray],
) -> np.ndarray | None:
    """FEATURES of each title [N, F], or None if too little is known of others or of the person.

    others: what others started before the day. seen: the items that the person has seen; started: items of the
    person with the days, ascending, on which they were started.
    """
    if len(others) < FEWEST_RECENT or not len(started[0]):
        return None
    now, follower = season_of(day), calendar.follower(*started)
    starts = np.log(others.decayed(day) + LEAST)
    this, last = calendar.season == now, calendar.season == now - 1
    sequel, of_newest = calendar.sequels(seen), calendar.newly_continued(*started)
    columns = (starts, this, last, sequel, follower * this, follower * starts, of_newest)
    return np.stack(columns, 1).astype(np.float32)


@dataclass(frozen=True)
class AskedStart:
    """A start that is to be foretold, and what was known the day before."""

    user: int
    """Whose it is: the user id."""
    item: int
    day: int
    history: np.ndarray
    """What the person had started before, in the order of days."""
    features: np.ndarray
    """float32 [N, F]"""
    not_ranked: np.ndarray
    """What is no candidate: the history, and what belongs to a later season."""


@dataclass(frozen=True)
class RecentStarts:
    """When people started what, and in which season titles began."""

    starts: Starts
    calendar: Calendar

    @classmethod
    def of(
        cls,
        database: Database,
        catalogue: Iterable[Anime],
        vocabulary: Vocabulary,
        user_ids: np.ndarray | None = None,
    ) -> RecentStarts:
        """Of everybody in the training set of the database, or of some of these people."""
        return cls(Starts.of(database.starts(), vocabulary, user_ids), Calendar.of(catalogue, vocabulary))

    def asked(self, position: int) -> AskedStart | None:
        """What is asked about one of the starts; None where too little was known, or the title was not out."""
        user, item, day = (int(each[position]) for each in (self.starts.users, self.starts.items, self.starts.days))
        items, days = self.starts.of_user_before(user, day)
        features = features_at(day, self.starts.before(day, user), self.calendar, items, (items, days))
        not_out = np.flatnonzero(self.calendar.season > season_of(day)) + 1
        if features is None or item in not_out:
            return None
        return AskedStart(user, item, day, items, features, np.concatenate([items, not_out]))

    def newest(self, most: int, seed: int, user_ids: np.ndarray | None = None) -> np.ndarray:
        """Positions of starts that count, ascending, of everybody or of some people: at most so many, drawn by chance
        from the newest fifth of all, and of it from the last year, which ends with the last day that is no typing
        error."""
        of_people = np.ones(len(self.starts), bool) if user_ids is None else np.isin(self.starts.users, user_ids)
        counted = np.flatnonzero(self.starts.counted & of_people)
        newest = counted[len(counted) * 4 // 5 :]
        days = self.starts.days[newest]
        usual = days[-1 - int(MISTYPED * len(days))] if len(days) else 0
        newest = newest[days > days[days <= usual + FAR_OFF].max(initial=usual) - WINDOW]
        return np.sort(np.random.default_rng(seed).permutation(newest)[:most])

    def lists_before(self, day: int, sequences: Sequences) -> Sequences:
        """The lists as they may have been before a day: without what was started since and without titles of later
        seasons. Who had nothing drops out."""
        since = int(np.searchsorted(self.starts.days, day))
        known = np.isin(self.starts.users, sequences.user_ids) & (np.arange(len(self.starts)) >= since)
        size = self.starts.num_items + 1
        later = np.searchsorted(sequences.user_ids, self.starts.users[known]) * size + self.starts.items[known]
        entries = np.repeat(np.arange(len(sequences)), sequences.lengths) * size + sequences.items
        was_out = self.calendar.season[sequences.items - 1] <= season_of(day)
        left = sequences.keep(was_out & ~np.isin(entries, later))
        return left.select(np.flatnonzero(left.lengths))
