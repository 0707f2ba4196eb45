"""Recommend anime to a person, with the model that train_model.py left.

    python recommend.py --user NAME
    python recommend.py --title "cowboy bebop" --title trigun --year 2010- --genre Drama
    python recommend.py --mal-xml animelist.xml.gz --top-k 50 --format csv > list.csv
    python recommend.py --similar-to "cowboy bebop"

Each title comes with those of the list that it owes its place to: the ones without which its score would fall most.
Nothing that was watched is recommended, and nothing that is not out yet, unless --upcoming asks for that. Later
seasons wait for their prequel, and a franchise appears once, unless --with-sequels is given.
"""

from __future__ import annotations

from anime_bert4rec.support import stopping

stopping.while_importing(__name__)

import logging
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from anime_bert4rec.command_line.flags import ScriptSettings, group
from anime_bert4rec.command_line.script import logging_to, parse, script
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.mal_export import read_export
from anime_bert4rec.lists.records import Anime, ListEntry, ListUnavailable
from anime_bert4rec.lists.scores import scale_of
from anime_bert4rec.lists.user_names import anilist_name, name_key
from anime_bert4rec.recommender import Recommender
from anime_bert4rec.recommending.output import Reason, RecommendedAnime, as_csv, as_json, as_table, title_of
from anime_bert4rec.recommending.person import Person, from_export
from anime_bert4rec.recommending.release import CANCELLED, UPCOMING, day_in_japan, read_day, release_on
from anime_bert4rec.recommending.shortlist import Wishes, check_genres, read_years, shortlist
from anime_bert4rec.recommending.title_questions import anime_of_titles, similar_to
from anime_bert4rec.support.errors import SettingError, UserError
from config import AniListSettings, PathSettings, PersonSettings, RecommendationSettings, UserListSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Settings(ScriptSettings):
    person: PersonSettings = group("for whom")
    recommendations: RecommendationSettings = group("what")
    paths: PathSettings = group("files")
    anilist: AniListSettings = group("AniList, when a list is fetched")


@script
def main(argv: Sequence[str] | None = None) -> int:
    settings = parse(argv, Settings, "Recommend anime to a person.")
    who, what = checked(settings.person), settings.recommendations
    years, today = read_years(what.year), read_day(what.at) if what.at else day_in_japan(time.time())
    with logging_to():
        rows = rows_for(who, what, years, today, settings.paths, settings.anilist)
        if not rows:
            ways = "ask for fewer --genre, other --year, or --with-sequels"
            if what.upcoming:
                ways += "; prepare_dataset.py fetches what was announced since"
            raise UserError(f"nothing is left to recommend: {ways}")
        if len(rows) < what.top_k:
            log.info("Only %d titles are left to recommend.", len(rows))
    show(rows, what.format)
    return 0


def rows_for(
    who: PersonSettings,
    what: RecommendationSettings,
    years: tuple[int, int] | None,
    today: int,
    paths: PathSettings,
    anilist: AniListSettings,
) -> list[RecommendedAnime]:
    path = paths.database_file
    with Database.open(path, create=False) if who.store else Database.open_to_read(path) as database:
        database.require_catalogue()
        catalogue = database.anime(database.anime_ids())
        wishes = Wishes(check_genres(what.genre, catalogue), years, what.with_sequels, what.include_adult)
        ids = ids_of(who, catalogue)
        fetched = {anime_id: day_in_japan(at) for anime_id, at in database.anime_fetched_at().items()}
        recommender = Recommender.load(paths.output)
        person = person_of(who, anilist, paths, database, catalogue, recommender, ids)
    release = {anime.anime_id: release_on(today, anime, fetched.get(anime.anime_id)) for anime in catalogue}
    return recommendations(recommender, person, catalogue, release, wishes, what, reasons=who.similar_to is None)


def checked(who: PersonSettings) -> PersonSettings:
    """The same settings, with the name of an address that was given. Raises SettingError unless one person is meant."""
    ways = {
        "--user": bool(who.user),
        "--anime and --title": bool(who.anime or who.title),
        "--mal-xml": who.mal_xml is not None,
        "--similar-to": who.similar_to is not None,
    }
    given = [way for way, is_given in ways.items() if is_given]
    if not given:
        raise SettingError("for whom? Give one of --user, --anime, --title, --mal-xml and --similar-to")
    if len(given) > 1:
        raise SettingError(f"{', '.join(given)}: give one of them (--anime and --title go together)")
    for flag, is_given in {"--refresh": who.refresh, "--store": who.store}.items():
        if is_given and not who.user:
            raise SettingError(f"{flag} goes with --user")
    if not who.user:
        return who
    try:
        return replace(who, user=anilist_name(who.user))
    except UserError as error:
        raise SettingError(f"--user: {error}") from None


def person_of(
    who: PersonSettings,
    anilist: AniListSettings,
    paths: PathSettings,
    database: Database,
    catalogue: Sequence[Anime],
    recommender: Recommender,
    ids: Sequence[int],
) -> Person:
    """The person that is meant. Raises UserError if nothing that the model knows was watched.

    ids: what `ids_of` gave.
    """
    if who.user:
        name, entries = list_of_user(who, anilist, paths, database)
        person = Person.of_list(entries, recommender.vocabulary)
        whose, count = f'the list of "{name}"', len(entries)
    elif who.mal_xml is not None:
        export = read_export(who.mal_xml)
        for line in export.report.lines("entry"):
            log.warning("%s", line)
        entries, missing = from_export(export, database.anime_by_mal_id())
        if missing:
            log.info("%d of %d anime of the export are not in the catalogue.", missing, len(export.entries))
        person = Person.of_list(entries, recommender.vocabulary)
        whose, count = f"the export {who.mal_xml}", len(export.entries)
    else:
        person = known_only(Person.of_ids(ids), recommender)
        whose, count = "the given list", len(ids)
    if not person.history:
        reason = (
            f"{whose} has {count:,} anime, but none that was watched and that the model knows"
            if count
            else f"{whose} is empty"
        )
        raise UserError(f"there is nothing to go on: {reason}")
    return person


def ids_of(who: PersonSettings, catalogue: Sequence[Anime]) -> list[int]:
    """The ids of the anime that are named by id or title. Raises UserError for a title that isn't clear."""
    if who.similar_to is not None:
        return [similar_to(who.similar_to, catalogue)]
    return [*who.anime, *(anime.anime_id for anime in anime_of_titles(who.title, catalogue))]


def known_only(person: Person, recommender: Recommender) -> Person:
    """The person without the ids that the model does not know, which are logged. Raises UserError if it knows none."""
    unknown = [anime_id for anime_id in person.history if not recommender.knows(anime_id)]
    if unknown:
        shown = ", ".join(map(str, unknown[:10])) + (", …" if len(unknown) > 10 else "")
        if len(unknown) == len(person.history):
            raise UserError(f"there is nothing to go on: the model knows no anime with the id {shown}")
        log.warning("The model knows no anime with the id %s: passed over.", shown)
    history = tuple(anime_id for anime_id in person.history if recommender.knows(anime_id))
    return Person(history, person.liked, person.seen)


def list_of_user(
    who: PersonSettings, anilist: AniListSettings, paths: PathSettings, database: Database
) -> tuple[str, Sequence[ListEntry]]:
    """The user's name and list: the stored list or, where that is missing or old, one that is fetched.

    What is fetched is stored only with --store. Raises UserError for a list that cannot be read.
    """
    key, now = name_key(who.user), int(time.time())
    stored = database.users(key).get(key)
    if stored and stored.left_out not in (None, "short"):
        stored = None
    if stored and stored.is_kept(now) and not who.refresh:
        return stored.name, database.entries(stored.user_id)
    from anilist_client import open_source  # slow to import, and seldom needed
    from anime_bert4rec.anilist.connection import AniListError

    try:
        fetched = open_source(anilist, sandbox=paths.sandbox).user_list(who.user)
    except ListUnavailable as error:
        if who.store:
            database.save_unavailable_user(who.user, error.reason, now)
        reason = {"unknown": "is not found on AniList", "private": "keeps the list private"}
        raise UserError(f'"{who.user}" {reason.get(error.reason, error.reason)}') from None
    except AniListError as error:
        if not stored or who.refresh or who.store:
            raise
        log.warning("%s; the stored list is taken, which is older than 7 days", error)
        return stored.name, database.entries(stored.user_id)
    if who.store:
        database.save_user_list(fetched, who.user, now, UserListSettings().min_anime)
    return fetched.name, fetched.entries


def recommendations(
    recommender: Recommender,
    person: Person,
    catalogue: Sequence[Anime],
    release: Mapping[int, str | None],
    wishes: Wishes,
    what: RecommendationSettings,
    reasons: bool = True,
) -> list[RecommendedAnime]:
    """The best `top_k` that fit the wishes, with the reasons for each: of what is out or, if `upcoming`, is not yet.

    release: what `release_on` says of each anime of the catalogue.
    """
    hidden = {each for each, word in release.items() if word == CANCELLED or (word in UPCOMING) != what.upcoming}
    everything = recommender.vocabulary.num_items
    ranked = recommender.recommend(person.history, everything, person.seen | hidden, what.niche)
    score = {each.anime_id: each.score for each in ranked}
    listed = shortlist((each.anime_id for each in ranked), catalogue, person.liked, wishes)
    chosen = [anime for anime, _ in zip(listed, range(what.top_k), strict=False)]
    because: list[tuple[int, ...]] = [()] * len(chosen)
    if reasons:
        because = recommender.because(person.history, [anime.anime_id for anime in chosen])
    predicted = predicted_scores(recommender, person, [anime.anime_id for anime in chosen])
    scale = scale_of(list(person.scores.values()))
    titles = {anime.anime_id: title_of(anime) for anime in catalogue}
    return [
        RecommendedAnime.of(
            rank,
            anime,
            score[anime.anime_id],
            _reasons(why, titles),
            anime.anime_id in person.planned,
            release[anime.anime_id],
            predicted=of_100,
            scale=scale,
        )
        for rank, (anime, why, of_100) in enumerate(zip(chosen, because, predicted, strict=True), 1)
    ]


def predicted_scores(recommender: Recommender, person: Person, anime_ids: Sequence[int]) -> Sequence[float | None]:
    """What the person would give to each title, of 100; nothing for who has scored nothing, or by an older model."""
    if person.scores and not recommender.predicts_scores:
        log.info("Scores are not predicted: this model learnt from none. Train again to have them.")
    if not person.scores or not recommender.predicts_scores:
        return [None] * len(anime_ids)
    return recommender.predicted_scores(list(person.scores), list(person.scores.values()), anime_ids)


def _reasons(anime_ids: Sequence[int], titles: Mapping[int, str]) -> list[Reason]:
    return [Reason(anime_id, titles.get(anime_id, f"anime {anime_id}")) for anime_id in anime_ids]


def show(rows: Sequence[RecommendedAnime], format: str) -> None:
    if format == "json":
        text = as_json(rows, ascii_only="utf" not in (sys.stdout.encoding or "").lower())
    elif format == "csv":
        text = as_csv(rows)
    else:
        text = as_table(rows, shutil.get_terminal_size().columns if sys.stdout.isatty() else None)
    sys.stdout.write(text)
    sys.stdout.flush()  # a pipe that is closed already is noticed here, not when Python ends


if __name__ == "__main__":
    raise SystemExit(main())
