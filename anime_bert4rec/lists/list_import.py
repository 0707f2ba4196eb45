"""Stores the lists of a file, a published CSV or MyAnimeList's own export: from the file's rows to the database's.

A person is known by the name and by the source that it comes from, for the user 1 of two published files is two people.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from anime_bert4rec.lists.bulk_import import Imported, OtherPeople
from anime_bert4rec.lists.csv_lists import UNKNOWN_ANIME, CsvLists
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.list_values import MAL_NUMBERS, RowReport
from anime_bert4rec.lists.mal_export import MalExport, read_export
from anime_bert4rec.lists.records import ImportedEntry
from anime_bert4rec.lists.user_names import user_hash
from anime_bert4rec.lists.whose_ids import CATALOGUES, anime_of_export
from anime_bert4rec.support.errors import SettingError, UserError
from anime_bert4rec.support.progress import progress
from anime_bert4rec.support.text import as_flag, plain

log = logging.getLogger(__name__)

_SUFFIXES = re.compile(r"(?:\.(?:csv|tsv|txt|dat|gz|bz2|xz|zip))+$", re.IGNORECASE)
_DATE = re.compile(
    r"(?<![0-9])(?:19|20)[0-9]{2}(?:[-_.]?[0-9]{2}){0,2}(?![0-9])|(?<![0-9])[0-9]{2}[-_.][0-9]{2}[-_.]20[0-9]{2}(?![0-9])"
)
_COPY = re.compile(r"\s*\([0-9]+\)$")


def source_of(name: str) -> str:
    """The name of a published file without date and packing, which keeps its people apart from those of other files.

    `Ratings-2020-05.csv.gz` and `ratings (1).csv` are both `ratings`.
    """
    stem = _COPY.sub("", _SUFFIXES.sub("", name.lower()))
    return _tidy(_COPY.sub("", _DATE.sub("", stem))) or _tidy(stem) or "csv"


def _tidy(text: str) -> str:
    return re.sub(r"[\W_]*[^\w.-]+[\W_]*|[-_.]{2,}", "-", text).strip("-_.")[:60]


def import_csv(
    path: Path, columns: str, source: str, keep_names: bool, database: Database, min_anime: int
) -> tuple[Imported, RowReport]:
    """Store the lists of a published CSV. Raises UserError for one that cannot be used, and stores nothing then."""
    if source and not _tidy(source):
        raise SettingError(f"--source needs a letter or a digit, and {source!r} has none")
    lists, report = CsvLists(path, columns), RowReport()
    if lists.header.not_read:
        log.info("%s: columns that are not read: %s.", path, ", ".join(lists.header.not_read))
    for role, taken, others in lists.header.doubtful:
        log.info("%s: the %s is taken from the column %s, and not from %s.", path, role, taken, ", ".join(others))
    by_mal_id, anilist_ids = database.anime_by_mal_id(), set(database.anime_ids())
    fit = lists.survey(anilist_ids, by_mal_id)
    if fit.ids:
        log.info("%s: ids are taken for %s's: %s.", path, CATALOGUES[fit.whose], fit.counts)
    if fit.better and fit.better != fit.whose:
        log.warning("They fit %s's clearly better: is --columns right?", CATALOGUES[fit.better])
    if lists.numbered_statuses:
        whose = CATALOGUES["mal" if lists.numbered_statuses is MAL_NUMBERS else "anilist"]
        log.info("Its statuses are numbers, taken for %s's.", whose)
    sure, source = bool(source), _tidy(source.lower()) or source_of(lists.header.table)
    log.info(
        'Its source is "%s"%s: importing it again replaces these people\'s lists.',
        source,
        "" if sure else " (--source)",
    )
    known = by_mal_id if fit.whose == "mal" else {each: each for each in anilist_ids}
    with progress("reading", path.stat().st_size, "B") as bar:
        entries = lists.entries(known, keep_names, report, lambda so_far: bar.update(so_far - bar.n))
        try:
            imported = database.import_lists(f"csv:{source}", entries, min_anime, sure=sure)
        except OtherPeople as found:
            raise UserError(
                f'{found.known:,} people of an earlier import from the source "{source}" have other lists here'
                f" ({found.kept:,} of {found.stored:,} anime in common): if these are other people, give this file's"
                f" source a name with --source NAME; if not, replace the lists with --source {source}"
            ) from None
    return imported, report


def import_export(path: Path, keep_name: bool, database: Database, min_anime: int) -> tuple[Imported, RowReport]:
    """Store the list of MyAnimeList's own export. Raises UserError for a file that is no such export."""
    export = read_export(path)
    name = export.name or os.fsencode(path.name).decode(errors="backslashreplace").partition(".")[0]
    ids = [entry.mal_id for _, entry in export.entries]
    known = anime_of_export(path, ids, set(database.anime_ids()), database.anime_by_mal_id())
    entries = _entries(export, name, known, keep_name)
    try:
        return database.import_lists("mal", entries, min_anime, points=True, sure=bool(export.name)), export.report
    except OtherPeople as found:
        raise UserError(
            f'{path} names nobody, and under "{plain(name, 40)}", the name of the file, another list is stored'
            f" ({found.kept:,} of {found.stored:,} anime in common): if it is somebody else's, rename the file; if not,"
            f" take that one out first:{as_flag('--remove', plain(name, 100))}"
        ) from None


def _entries(export: MalExport, name: str, known: Mapping[int, int], keep_name: bool) -> Iterator[ImportedEntry]:
    user, shown = user_hash(name), plain(name, 100) if keep_name else None
    for number, entry in export.entries:
        anime_id = known.get(entry.mal_id)
        if anime_id is None:
            export.report.leave_out(UNKNOWN_ANIME, number)
            continue
        yield ImportedEntry(
            user, shown, anime_id, number, entry.status, entry.score, entry.progress, entry.started, entry.completed
        )
