"""What a list says of a person: what was liked, in the order of time, what was only seen, and what is planned."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from anime_bert4rec.lists.mal_export import MalExport
from anime_bert4rec.lists.recent_starts import started_on
from anime_bert4rec.lists.records import ListEntry
from anime_bert4rec.lists.scores import Scale, is_liked, scale_of
from anime_bert4rec.lists.sequences import PAD, Vocabulary, WatchedRow, build_sequences, columns_of, when_watched

FEWEST_OTHER_DAYS = 5
"""So many entries with days of their own tell an order, whatever was imported on one day, or has none."""
UNFINISHED = ("CURRENT", "PAUSED", "DROPPED")
"""The statuses of titles whose sequels are not recommended yet."""


@dataclass(frozen=True)
class Person:
    """The ids of the anime that a person has seen, liked and planned."""

    history: tuple[int, ...]
    """The liked titles that the model knows, the oldest first: what recommendations are made from."""
    liked: frozenset[int]
    """All liked titles, also those that the model does not know."""
    seen: frozenset[int]
    """What was watched, liked or not: it is never recommended."""
    planned: frozenset[int] = frozenset()
    scores: Mapping[int, float] = field(default_factory=dict)
    """The scores of 100 that were given to what was watched."""
    unfinished: frozenset[int] = frozenset()
    """What is being watched, was paused or was dropped."""
    name: str = ""
    started: Mapping[int, int] = field(default_factory=dict)
    """The day since 1970 on which each title was started, of those where it is known."""
    in_order: bool = True
    """Whether it is known of the history what came before what."""
    score_format: str | None = None
    """How the person scores, as in records.UserList."""
    user_id: int | None = None
    """Whose stored list in the database is the person's, if there is one."""
    named_titles: bool = False
    """Whether it is nobody's list, but titles that were named."""

    @property
    def watched(self) -> frozenset[int]:
        """What the person is known to have watched: of titles that are named, not what must have been seen before."""
        return self.liked if self.named_titles else self.seen

    @property
    def scale(self) -> Scale:
        return scale_of(list(self.scores.values()), self.score_format)

    @property
    def titles(self) -> Collection[int]:
        """The history as `Recommender` takes it: a set where its order isn't known."""
        return self.history if self.in_order else frozenset(self.history)

    @classmethod
    def of_ids(cls, anime_ids: Collection[int]) -> Person:
        """A person who likes these titles, of which nobody said when they were watched."""
        return cls(tuple(anime_ids), frozenset(anime_ids), frozenset(anime_ids), in_order=False)

    @classmethod
    def of_list(
        cls,
        entries: Iterable[ListEntry],
        vocabulary: Vocabulary,
        name: str = "",
        score_format: str | None = None,
        user_id: int | None = None,
    ) -> Person:
        """The person whose list this is.

        Titles that were dropped, or rated well below the person's mean, are not liked. Where nothing else is known
        they are the history all the same.
        """
        entries = list(entries)
        watched = [entry for entry in entries if entry.is_watched]
        scores = {entry.anime_id: entry.score for entry in watched if entry.score}  # 0 is none
        given = np.array(list(scores.values()))
        well_scored = dict(zip(scores, is_liked(given, given), strict=True)) if scores else {}
        liked = [entry for entry in watched if entry.status != "DROPPED" and well_scored.get(entry.anime_id, True)]
        history, has_order = in_order(liked, vocabulary)
        if not history:
            history, has_order = in_order(watched, vocabulary)
        seen = frozenset(entry.anime_id for entry in watched)
        planned = frozenset(entry.anime_id for entry in entries) - seen
        unfinished = frozenset(entry.anime_id for entry in watched if entry.status in UNFINISHED)
        of_liked, started = frozenset(entry.anime_id for entry in liked), started_on(watched)
        return cls(
            history, of_liked, seen, planned, scores, unfinished, name, started, has_order, score_format, user_id
        )


def in_order(entries: Iterable[ListEntry], vocabulary: Vocabulary) -> tuple[tuple[int, ...], bool]:
    """The ids that the vocabulary has, in the order in which lists are trained on (lists/sequences.py), and whether it
    says anything: not unless FEWEST_OTHER_DAYS entries, or half of them, have other days than the rest."""
    rows: list[WatchedRow] = [
        (0, each.anime_id, each.entry_id, each.completed, each.started, each.updated, each.created) for each in entries
    ]
    sequences = build_sequences(rows, vocabulary)
    columns = columns_of(rows)
    days = when_watched(*columns[:, 3:].T)[0][vocabulary.encode(columns[:, 1]) != PAD]
    same_day = max(np.unique(days, return_counts=True)[1].tolist(), default=0)  # or without any
    other_days = len(days) - same_day
    has_order = other_days > 0 and other_days >= min(FEWEST_OTHER_DAYS, len(days) / 2)
    return tuple(vocabulary.decode(sequences.items).tolist()), has_order


def from_export(export: MalExport, anime_of_mal: Mapping[int, int]) -> tuple[list[ListEntry], int]:
    """MyAnimeList's entries with AniList's ids, and how many are of no anime in the catalogue.

    Of two entries for the same anime the last counts.
    """
    known = {
        anime_of_mal[entry.mal_id]: ListEntry(
            entry_id=number,
            anime_id=anime_of_mal[entry.mal_id],
            status=entry.status,
            score=entry.score,
            progress=entry.progress,
            started=entry.started,
            completed=entry.completed,
        )
        for number, entry in export.entries
        if entry.mal_id in anime_of_mal
    }
    missing = sum(entry.mal_id not in anime_of_mal for _, entry in export.entries)
    return list(known.values()), missing
