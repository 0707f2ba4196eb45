"""Fetch the anime lists of the people named in datas_user.txt into the database.

    python load_users.py --file datas_user.txt --min-anime 20
    python load_users.py --csv lists.csv.gz             # or store lists that others have published
    python load_users.py --mal-xml animelist.xml.gz     # or MyAnimeList's own export of one list
    python load_users.py --remove NAME OTHER            # take people out again

Interrupted in whatever way, the same command goes on where it stopped: a list is kept for 7 days before it is fetched
again. Who is not found, private or has watched too little is reported and left out of the training.
"""

from __future__ import annotations

from anime_bert4rec.support import stopping

stopping.while_importing(__name__)

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from anilist_client import open_source
from anime_bert4rec.command_line.flags import ScriptSettings, group
from anime_bert4rec.command_line.script import logging_to, parse, script
from anime_bert4rec.lists.csv_lists import UNKNOWN_ANIME, name_in_table
from anime_bert4rec.lists.database import Database, StoredUser
from anime_bert4rec.lists.database_removal import NobodyOfThisName
from anime_bert4rec.lists.list_import import import_csv, import_export
from anime_bert4rec.lists.records import AniListSource, ListUnavailable
from anime_bert4rec.lists.sequence_store import folder_of, forget
from anime_bert4rec.lists.user_names import UserName, name_key, profiles_in, read_user_names
from anime_bert4rec.support.errors import SettingError, UserError
from anime_bert4rec.support.progress import progress
from anime_bert4rec.support.text import count_of, count_people, plain
from config import ANILIST_TERMS, AniListSettings, DatabaseSettings, LocalTaskSettings, UserListSettings

WITHOUT_LIST = ("unknown", "private")
"""Why nothing is stored of a name but that it was asked for."""

log = logging.getLogger(__name__)


@dataclass
class Loaded:
    """How many names this run fetched for the first time, fetched again, need not fetch, and found no list of."""

    new: int = 0
    updated: int = 0
    kept: int = 0
    without_list: int = 0


@dataclass(frozen=True, kw_only=True)
class Settings(ScriptSettings):
    users: UserListSettings = group("users")
    task: LocalTaskSettings = group("instead of AniList")
    paths: DatabaseSettings = group("files")
    anilist: AniListSettings = group("AniList")


@script
def main(argv: Sequence[str] | None = None) -> int:
    settings = parse(argv, Settings, "Fetch anime lists from AniList into the database.")
    wanted, task, paths = settings.users, settings.task, settings.paths
    usual = UserListSettings()
    if wanted.refresh and task.remove:
        raise SettingError("--refresh and --remove cannot be used together")
    if wanted.refresh and (task.csv or task.mal_xml):
        raise SettingError("--refresh is about people of AniList, who are not asked for now")
    if wanted.file != usual.file and (task.csv or task.mal_xml):
        raise SettingError("--file has names of people of AniList, who are not asked for now")
    if task.remove:
        if wanted.min_anime != usual.min_anime:
            raise SettingError("--min-anime is about lists that are stored, and --remove stores none")
        return remove_people(task.remove, wanted, paths)
    if task.csv or task.mal_xml:
        return import_file(task, wanted, paths)
    source = open_source(settings.anilist, sandbox=paths.sandbox)
    with logging_to(), Database.open(paths.database_file, create=False) as database:
        database.require_catalogue()
        names, problems = names_to_load(wanted, paths)
        for problem in problems:
            log.warning("%s", problem)
        if not paths.sandbox:
            log.info("AniList's terms forbid mass collection: only these names are read (%s).", ANILIST_TERMS)
        loaded = load_users(source, database, names, wanted)
        users = database.users()
    print_summary(loaded, names, problems, users, paths)
    if all(name.key not in users or users[name.key].left_out for name in names):
        raise UserError("nobody could be loaded: all names are left out, for the reasons given above")
    print(f"Next: python train_model.py{paths.as_flags}")
    return 0


def import_file(files: LocalTaskSettings, wanted: UserListSettings, paths: DatabaseSettings) -> int:
    """Store the lists of a file. AniList is asked nothing."""
    with logging_to(), Database.open(paths.database_file, create=False) as database:
        database.require_catalogue()
        if files.csv:
            imported, report = import_csv(
                files.csv, files.columns, files.source, files.keep_names, database, wanted.min_anime
            )
        else:
            assert files.mal_xml
            imported, report = import_export(files.mal_xml, files.keep_names, database, wanted.min_anime)
        for line in report.lines("line" if files.csv else "entry"):
            log.warning("%s", line)
        if 2 * report.left_out.get(UNKNOWN_ANIME, (0, 0))[0] > report.rows:
            log.warning(
                "Most of its anime are not in the catalogue: is that small (prepare_dataset.py --count), or are these"
                " neither AniList's ids nor MyAnimeList's?"
            )
        users, watched = database.training_size()
    print(
        f"{count_of(imported.users, 'user')} with {imported.entries:,} anime stored, {imported.replaced:,} of them in"
        f" place of an earlier import; of {count_of(report.rows, 'row')} {report.total_left_out:,} left out,"
        f" {imported.repeated:,} replaced by a later row."
    )
    if imported.short:
        print(f"Left out of the training: {imported.short:,} with fewer than {wanted.min_anime:,} anime (--min-anime).")
    if imported.dropped:
        print(f"And {imported.dropped:,} of before, who were stored with a lower --min-anime.")
    print(f"{training_set(users, watched)}.\nThe database: {paths.database_file}")
    if not imported.users:
        raise UserError("nobody was imported: " + ("see above why" if report.rows else "the file has no rows"))
    if users:
        print(f"Next: python train_model.py{paths.as_flags}")
    else:
        print("Nobody is left to train on: give the same command with a lower --min-anime.")
    return 0


def remove_people(given: Sequence[str], wanted: UserListSettings, paths: DatabaseSettings) -> int:
    """Take people out of the database, all or none. Raises UserError for a name that is nobody's."""
    with logging_to(), Database.open(paths.database_file, create=False) as database:
        found = (next(filter(database.has_somebody, readings_of(text)), meant_by(text)) for text in given)
        names = list(dict.fromkeys(found))
        forget(paths.database_file)  # before they are gone: stopped in between, the same command does the rest
        try:
            removed = database.remove(names)
        except NobodyOfThisName as error:
            unknown = ", ".join(f'"{plain(name, 40)}"' for name in error.names)
            raise UserError(f"{paths.database_file} has nobody of the name {unknown}: nobody is removed") from None
        users, watched = database.training_size()
        with contextlib.suppress(UserError):  # without such a file, nobody is fetched again
            for name in names_to_load(wanted, paths)[0]:
                if name.key in map(name_key, names):
                    log.warning('%s: "%s" is there: the next load_users.py fetches it again', name.where, name.name)
    rest = (
        "delete output/old after it"
        if forget(paths.database_file)
        else (f"delete output/old after it, and {plain(folder_of(paths.database_file).name)} beside the database")
    )
    for who in removed:
        print(f'Removed: "{plain(who.name, 100)}" ({plain(who.source, 100)}), {who.entries:,} anime.')
    print(
        f"{training_set(users, watched)}.\nThe database: {paths.database_file}\n"
        "The next training goes without them. Models and checkpoints of before have learnt from\n"
        "their lists: --resume will not go on from these, and evaluate.py asks the others. To keep\n"
        f"nothing of them, train anew, and {rest}.\n"
        "Pages and files that recommend.py has written (--html, --all) still have them: delete these, too."
    )
    return 0


def readings_of(text: str) -> Iterator[str]:
    """The names that a text may be, the likeliest first: imports have all kinds, and some look like something else."""
    yield from (text, name_in_table(text), meant_by(text))


def meant_by(text: str) -> str:
    """The name in @name or in the address of a profile, or the text itself."""
    text = text.strip(" \t,;")
    return next(iter(profiles_in(text)), text.removeprefix("@"))


def names_to_load(wanted: UserListSettings, paths: DatabaseSettings) -> tuple[list[UserName], list[str]]:
    """The names, and a text for each bad line. Without --file, the sandbox has people of its own."""
    if paths.sandbox and wanted.file == UserListSettings().file:
        from anime_bert4rec.anilist import sandbox as anilist_sandbox

        return [UserName(name, where="sandbox") for name in anilist_sandbox.user_names()], []
    return read_user_names(wanted.file)


def load_users(
    source: AniListSource, database: Database, names: Sequence[UserName], wanted: UserListSettings
) -> Loaded:
    """Store list after list, each with the time it was fetched, and report who is left out."""
    dropped = database.mark_short_users(wanted.min_anime)  # the limit or the catalogue may have changed since
    if dropped:
        log.warning("Left out of the training: %s with fewer than %d anime", count_people(dropped), wanted.min_anime)
    stored, now = database.users(), time.time()
    kept: list[UserName] = []
    asked: list[UserName] = []
    for name in names:
        known = stored.get(name.key)
        (kept if known and known.is_kept(now) and not wanted.refresh else asked).append(name)
    # The oldest first, so that --refresh gets through the whole file even if it is interrupted again and again.
    asked.sort(key=lambda name: stored[name.key].fetched_at if name.key in stored else 0)
    loaded = Loaded(kept=len(kept))
    for name in kept:
        of_day = time.strftime("%Y-%m-%d", time.localtime(stored[name.key].fetched_at))
        report_left_out(name, stored[name.key], wanted, f", as of {of_day}; --refresh asks again")
    try:
        with progress("users", total=len(names), unit="user", done=len(kept)) as bar:
            taken = {name.key: name for name in kept if stored[name.key].left_out not in WITHOUT_LIST}
            for name in asked:
                user = load_user(source, database, name, wanted, taken)
                bar.update()
                if user is None:
                    continue
                report_left_out(name, user, wanted)
                if user.left_out in WITHOUT_LIST:
                    loaded.without_list += 1
                    continue
                taken[name.key] = name
                if name.key in stored:
                    loaded.updated += 1
                else:
                    loaded.new += 1
    except (KeyboardInterrupt, UserError):
        saved = loaded.kept + loaded.new + loaded.updated + loaded.without_list
        log.warning("%d of %s saved; the same command goes on from there.", saved, count_of(len(names), "user"))
        raise
    return loaded


def load_user(
    source: AniListSource, database: Database, name: UserName, wanted: UserListSettings, taken: Mapping[str, UserName]
) -> StoredUser | None:
    """Store the list of a name, unless AniList gives it the id of one of the `taken` names: then returns None."""
    try:
        user_list = source.user_list(name.name)
    except ListUnavailable as error:
        return database.save_unavailable_user(name.name, error.reason, int(time.time()))
    key = database.key_of(user_list.user_id)
    if key is not None and key in taken:
        words = '%s: "%s" has the id of "%s" (%s) on AniList, who is stored: passed over; is one of them an old name?'
        log.warning(words, name.where, name.name, taken[key].name, taken[key].where)
        return None
    if key not in (None, name.key):
        log.warning('%s: "%s" has the id that "%s" had on AniList: stored in that place', name.where, name.name, key)
    if key is None and database.anilist_id(name.key) is not None:
        words = '%s: "%s" is somebody else on AniList now, by the id: stored in place of who had the name before'
        log.warning(words, name.where, name.name)
    return database.save_user_list(user_list, name.name, int(time.time()), wanted.min_anime)


def report_left_out(name: UserName, user: StoredUser, wanted: UserListSettings, more: str = "") -> None:
    if user.left_out:
        reasons = {
            "unknown": "is not found",
            "private": "keeps the list private",
            "short": f"has {user.watched} known, watched anime (--min-anime {wanted.min_anime})",
        }
        log.warning('%s: "%s" %s: left out%s', name.where, name.name, reasons.get(user.left_out, user.left_out), more)


def training_set(users: int, watched: int) -> str:
    return f"Training set: {count_of(users, 'user')} with {watched:,} watched anime"


def print_summary(
    loaded: Loaded,
    names: Sequence[UserName],
    problems: Sequence[str],
    users: Mapping[str, StoredUser],
    paths: DatabaseSettings,
) -> None:
    named = [users[name.key] for name in names if name.key in users]
    reasons = Counter(user.left_out for user in named if user.left_out)
    trained = [user for user in users.values() if not user.left_out]
    others = len(trained) - sum(not user.left_out for user in named)
    print(
        f"{count_of(len(names), 'user')}: {loaded.new:,} new, {loaded.updated:,} updated,"
        f" {loaded.kept:,} skipped (fetched within the last 7 days)."
    )
    if problems:
        print(f"Lines skipped: {len(problems)} (see above).")
    if reasons:
        words = {"unknown": "not found", "private": "private", "short": "too short"}
        print(f"Left out: {', '.join(f'{count:,} {words.get(why, why)}' for why, count in sorted(reasons.items()))}.")
    print(
        training_set(len(trained), sum(user.watched for user in trained))
        + (f", {others:,} of them not among these names" if others else "")
        + "."
    )
    print(f"The database: {paths.database_file}")


if __name__ == "__main__":
    raise SystemExit(main())
