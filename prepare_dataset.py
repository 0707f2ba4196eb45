"""Fetch the top anime of AniList into the database.

    python prepare_dataset.py --count 3000

Interrupted in whatever way, the same command goes on where it stopped, for a day. Run again when it is done, it
updates.
"""

from __future__ import annotations

from anime_bert4rec.support import stopping

stopping.while_importing(__name__)

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from anilist_client import open_source
from anime_bert4rec.command_line.flags import ScriptSettings, group
from anime_bert4rec.command_line.script import logging_to, parse, script
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.records import AniListSource
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.progress import progress
from config import ANILIST_TERMS, AniListSettings, CatalogueSettings, DatabaseSettings

log = logging.getLogger(__name__)


@dataclass
class Fetched:
    """What a run did. `before` counts the anime that an interrupted run had fetched, `new` and `updated` this one's."""

    before: int = 0
    new: int = 0
    updated: int = 0

    @property
    def total(self) -> int:
        return self.before + self.new + self.updated


@dataclass(frozen=True, kw_only=True)
class Settings(ScriptSettings):
    catalogue: CatalogueSettings = group("catalogue")
    paths: DatabaseSettings = group("files")
    anilist: AniListSettings = group("AniList")


@script
def main(argv: Sequence[str] | None = None) -> int:
    settings = parse(argv, Settings, "Fetch the top anime of AniList into the database.")
    wanted, paths = settings.catalogue, settings.paths
    source = open_source(settings.anilist, sandbox=paths.sandbox)
    with logging_to(), Database.open(paths.database_file, create=True) as database:
        if not paths.sandbox:
            log.info("AniList's terms forbid mass collection: fetch no more than you need (%s).", ANILIST_TERMS)
        fetched = fetch_catalogue(source, database, wanted)
        stored = len(database.anime_ids())
    print_summary(fetched, wanted, stored, paths)
    return 0


def fetch_catalogue(source: AniListSource, database: Database, wanted: CatalogueSettings) -> Fetched:
    """Store page after page, from where an interrupted run with the same sort stopped."""
    source.top_anime(wanted.count, wanted.sort)  # what it refuses, is to leave no mark on an interrupted run
    fetch = database.resume_or_start_catalogue_fetch(wanted.sort, wanted.count)
    fetched = Fetched(before=len(fetch.seen))
    if fetch.given_up:
        log.info("The interrupted run of before is older than a day: begun anew, for the catalogue changes.")
    if fetched.before:
        log.info("Going on after the %s anime of the interrupted run.", f"{fetched.before:,}")
    pages = source.top_anime(wanted.count, wanted.sort, fetch.cursor, fetch.seen)
    try:
        with progress("anime", total=wanted.count, unit="anime", done=fetched.before) as bar:
            for page in pages:
                new, updated = database.save_catalogue_page(fetch.fetch_id, page)
                fetched.new += new
                fetched.updated += updated
                bar.update(new + updated)
        database.finish_catalogue_fetch(fetch.fetch_id)
    except (KeyboardInterrupt, UserError):
        log.warning(
            "%s of %s anime saved; the same command goes on from there.",
            *(f"{number:,}" for number in (fetched.total, wanted.count)),
        )
        raise
    return fetched


def print_summary(fetched: Fetched, wanted: CatalogueSettings, stored: int, paths: DatabaseSettings) -> None:
    before = f", {fetched.before:,} by the interrupted run before" if fetched.before else ""
    print(f"Fetched {fetched.total:,} anime: {fetched.new:,} new, {fetched.updated:,} updated{before}.")
    if fetched.total < wanted.count:
        print(f"There are no more: AniList's list by {wanted.sort} ends before the {wanted.count:,} of --count.")
    print(f"{paths.database_file} now holds {stored:,} anime.")
    names = "" if paths.sandbox else "put AniList names into datas_user.txt, then "
    print(f"Next: {names}python load_users.py{paths.as_flags}")


if __name__ == "__main__":
    raise SystemExit(main())
