"""The people who are asked about: by a stored or fetched list, by an export, or by titles."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.mal_export import read_export
from anime_bert4rec.lists.records import ListEntry, ListUnavailable, UserList
from anime_bert4rec.lists.sequences import PAD, Vocabulary
from anime_bert4rec.lists.whose_ids import anime_of_export
from anime_bert4rec.recommending.person import Person, from_export
from anime_bert4rec.support.errors import UserError

if TYPE_CHECKING:
    from anime_bert4rec.recommender import Recommender

MAL_SCORES = "POINT_10"
"""How everybody scores on MyAnimeList, in AniList's word."""
NICHE_OF_ONE, ALIKE_OF_ONE = 1.0, 6.0
"""Who names one title wants what is like it, and the model says of one little but what is popular. The more titles are
named, the more it says of them: each further one halves these (benchmarks/LOG.md)."""

log = logging.getLogger(__name__)


class FoundList(NamedTuple):
    """Somebody's list, wherever it is from."""

    name: str
    entries: Sequence[ListEntry]
    score_format: str | None
    """How the person scores, as in records.UserList."""
    user_id: int | None
    """Of who is stored in the database."""


def person_of_user(
    found: FoundList, vocabulary: Vocabulary, known: Callable[[Sequence[ListEntry]], list[ListEntry]]
) -> Person:
    """The person whose list was found, with those of its entries that are `known`.

    Raises UserError if nothing of these was watched and is known to the model.
    """
    counted, count = known(found.entries), len(found.entries)
    person = Person.of_list(counted, vocabulary, found.name, found.score_format, found.user_id)
    return _with_history(person, f'the list of "{found.name}"', count, count - len(counted))


def people_of_exports(
    paths: Sequence[Path],
    database: Database,
    vocabulary: Vocabulary,
    known: Callable[[Sequence[ListEntry]], list[ListEntry]] = list,
    others: Sequence[str | None] = (),
) -> list[Person]:
    """The people whose exports from MyAnimeList the files are, with those of their entries that are `known`.

    Each has the user name in the export or, without one, the name of the file; where that is also another's or one of
    `others`, the name of the file with its folder. Raises UserError if of one of them nothing was watched and is known
    to the model.
    """
    exports = [read_export(path) for path in paths]
    names = [export.name or path.name for export, path in zip(exports, paths, strict=True)]
    taken = [each.casefold() for each in (*names, *filter(None, others))]
    people, catalogues = [], (set(database.anime_ids()), database.anime_by_mal_id()) if paths else ()
    for path, export, name in zip(paths, exports, names, strict=True):
        for line in export.report.lines("entry"):
            log.warning("%s", line)
        ids = [entry.mal_id for _, entry in export.entries]
        entries, missing = from_export(export, anime_of_export(path, ids, *catalogues))
        if missing:
            of_all = f"{missing:,} of the {len(export.entries):,}"
            log.info("The catalogue lacks %s anime of the export.", of_all)
        counted = known(entries)
        apart = name if taken.count(name.casefold()) == 1 else "/".join(path.parts[-2:])
        person = Person.of_list(counted, vocabulary, apart, MAL_SCORES)
        people.append(_with_history(person, f"the export {path}", len(export.entries), len(entries) - len(counted)))
    return people


def leaning_of(
    people: Sequence[Person], recommender: Recommender, niche: float | None, alike: float | None
) -> tuple[float, float]:
    """`niche` and `alike` for these people; where they are None, the usual ones: 0, but for one person who names
    titles."""
    usual = 0.0, 0.0
    if [person.named_titles for person in people] == [True] and recommender.knows_popularity:
        usual = usual_leaning(len(people[0].history))
    return usual[0] if niche is None else niche, usual[1] if alike is None else alike


def usual_leaning(titles: int) -> tuple[float, float]:
    """The usual `niche` and `alike` for somebody who names so many titles."""
    share = 0.5 ** (titles - 1)
    return NICHE_OF_ONE * share, ALIKE_OF_ONE * share


def person_of_titles(anime_ids: Sequence[int], vocabulary: Vocabulary) -> Person:
    """Somebody who likes these anime. Those that the model lacks are logged. Raises UserError if it lacks all."""
    person = Person.of_ids(anime_ids)
    items = vocabulary.encode(np.array(anime_ids, np.int64)).tolist()
    known = tuple(anime_id for anime_id, item in zip(anime_ids, items, strict=True) if item != PAD)
    unknown = [anime_id for anime_id, item in zip(anime_ids, items, strict=True) if item == PAD]
    if unknown:
        shown = ", ".join(map(str, unknown[:10])) + (", …" if len(unknown) > 10 else "")
        if not known:
            raise UserError(
                f"there is nothing to go on: the model knows no anime with the id {shown}; it knows those that the"
                " catalogue had when it was trained"
            )
        log.warning("The model knows no anime with the id %s: passed over.", shown)
    return replace(person, history=known, name="a fan of the titles given", named_titles=True)


def stored_or_fetched(
    name: str, database: Database, fetch: Callable[[str], UserList], now: int, *, refresh: bool, store: int | None
) -> FoundList:
    """The user's list: the stored one or, where that is missing or old, one that is fetched.

    now: in unix seconds. store: None, or the fewest anime of a list that a training takes, to store what is fetched.
    Raises UserError for a list that cannot be read.
    """
    stored = database.listed(name, imported=not refresh)
    if stored and stored.is_imported:
        log.info('"%s": the list that was imported; --refresh asks AniList for somebody of this name.', name)
        return FoundList(name, database.entries(stored.user_id), stored.score_format, stored.user_id)
    if stored and stored.is_kept(now) and not refresh:
        return FoundList(stored.name, database.entries(stored.user_id), stored.score_format, stored.user_id)
    try:
        fetched = fetch(name)
    except ListUnavailable as error:
        if store is not None:
            database.save_unavailable_user(name, error.reason, now)
        reason = {"unknown": f"is not found on {error.where}", "private": "keeps the list private"}
        raise UserError(f'"{name}" {reason.get(error.reason, error.reason)}') from None
    except UserError as error:
        if not stored or refresh or store is not None:
            raise
        log.warning("%s; the stored list is taken, which is older than 7 days", error)
        return FoundList(stored.name, database.entries(stored.user_id), stored.score_format, stored.user_id)
    if store is not None:
        stored = database.save_user_list(fetched, name, now, store)
    return FoundList(fetched.name, fetched.entries, fetched.score_format, stored.user_id if stored else None)


def _with_history(person: Person, whose: str, count: int, of_later: int) -> Person:
    """count: of all entries; of_later: of those that are not from before the day that is asked about."""
    if not person.history:
        reason = f"{whose} is empty"
        if count:
            by_then = " by that day" if of_later else ""
            reason = f"{whose} has {count:,} anime, but none that was watched{by_then} and that the model knows"
        raise UserError(f"there is nothing to go on: {reason}")
    return person
