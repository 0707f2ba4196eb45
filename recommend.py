"""Recommend anime to a person, with the model that train_model.py left.

    python recommend.py --user NAME
    python recommend.py --title "cowboy bebop" --title trigun --year 2010- --genre Drama
    python recommend.py --mal-xml animelist.xml.gz --top-k 50 --format csv > list.csv
    python recommend.py --similar-to "cowboy bebop"
    python recommend.py --all --format jsonl -o everybody.jsonl

Each title comes with those of the list that it owes its place to: the ones without which its score would fall most.
Nothing that was watched is recommended, and nothing that is not out yet, unless --upcoming asks for that. Later
seasons wait for their prequel, and a franchise appears once, unless --with-sequels is given.
"""

from __future__ import annotations

from anime_bert4rec.support import stopping

stopping.while_importing(__name__)

import contextlib
import hashlib
import itertools
import logging
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from anime_bert4rec import __version__
from anime_bert4rec.command_line.flags import ScriptSettings, group
from anime_bert4rec.command_line.script import logging_to, parse, script
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.records import Anime, UserList
from anime_bert4rec.lists.sequence_store import state_of
from anime_bert4rec.lists.user_names import anilist_name, name_key
from anime_bert4rec.model.run_folder import BEST_MODEL
from anime_bert4rec.recommender import PEOPLE_AT_ONCE, Recommendation, Recommender
from anime_bert4rec.recommending.asked_people import (
    person_of_export,
    person_of_titles,
    person_of_user,
    stored_or_fetched,
)
from anime_bert4rec.recommending.everybody import FORMATS, as_lines, choose, first_line
from anime_bert4rec.recommending.hide_list import add_to_hide_list, read_hide_list
from anime_bert4rec.recommending.output import as_csv, as_json, as_table
from anime_bert4rec.recommending.person import Person
from anime_bert4rec.recommending.release import CANCELLED, day_in_japan, read_day, release_on
from anime_bert4rec.recommending.rows import RecommendedAnime, rows_of, title_of
from anime_bert4rec.recommending.shortlist import Shortlists, why_nothing_is_left
from anime_bert4rec.recommending.title_questions import anime_of_titles, id_of
from anime_bert4rec.recommending.wishes import Wish, Wishes, of_catalogue, of_people, of_release, read_range, without
from anime_bert4rec.support.errors import SettingError, UserError
from anime_bert4rec.support.growing_file import GrowingFile
from anime_bert4rec.support.progress import progress
from anime_bert4rec.support.text import count_people
from config import (
    AniListSettings,
    PathSettings,
    PersonSettings,
    RecommendationSettings,
    UserListSettings,
    WishSettings,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Settings(ScriptSettings):
    person: PersonSettings = group("for whom")
    recommendations: RecommendationSettings = group("what")
    wishes: WishSettings = group("which titles")
    paths: PathSettings = group("files")
    anilist: AniListSettings = group("AniList, when a list is fetched")


@script
def main(argv: Sequence[str] | None = None) -> int:
    settings = parse(argv, Settings, "Recommend anime to a person.")
    check_all(settings.person, settings.recommendations)
    settings = replace(settings, person=checked(settings.person))
    what = settings.recommendations
    today = read_day(what.at) if what.at else day_in_japan(time.time())
    with logging_to():
        if settings.person.all:
            write_everybody(settings, today)
            return 0
        rows = recommendations(settings, today)
        if len(rows) < what.top_k:
            log.info("Only %d titles are left to recommend.", len(rows))
    show(rows, what.format)
    return 0


def recommendations(settings: Settings, today: int) -> list[RecommendedAnime]:
    """The best `top_k` that fit the wishes. Raises UserError if nothing is left, with the wish that is in the way."""
    who, what, wished, paths = settings.person, settings.recommendations, settings.wishes, settings.paths
    path = paths.database_file
    with Database.open(path, create=False) if who.store else Database.open_to_read(path) as database:
        shown = titles_to_show(settings, today, database)
        ids = ids_of(who, shown.catalogue)
        recommender = Recommender.load(paths.output)
        people = people_of(who, settings.anilist, paths, database, recommender, ids)
    wishes = Wishes([*shown.conditions, *of_people(people, wished.planned)], wished.with_sequels)
    ranked = ranking(recommender, people, shown.release, what)
    shortlists = Shortlists(shown.catalogue)
    chosen = list(itertools.islice(shortlists.of(ranked, people, wishes), what.top_k))
    if not chosen:
        why = why_nothing_is_left(shortlists, list(ranked), people, wishes)
        more = "; prepare_dataset.py fetches what was announced since" if what.upcoming else ""
        raise UserError(f"nothing is left to recommend: {why}{more}")
    reasons = who.similar_to is None
    return rows_of(chosen, ranked, people, recommender, shown.names, shown.release, what.language, reasons)


def write_everybody(settings: Settings, today: int) -> None:
    """Write the recommendations for everybody in the database, or go on with it. Raises UserError."""
    what, wished, paths = settings.recommendations, settings.wishes, settings.paths
    assert what.output is not None
    with Database.open_to_read(paths.database_file) as database, database.snapshot():
        shown = titles_to_show(settings, today, database)
        recommender, shortlists = Recommender.load(paths.output), Shortlists(shown.catalogue)
        with (paths.models / BEST_MODEL).open("rb") as model:
            mark = hashlib.file_digest(model, "sha256").hexdigest()
        work = repr([__version__, today, what, wished, state_of(paths.database_file), mark])

        def best(people: Sequence[Person], top_k: int | None) -> Iterator[list[Recommendation]]:
            histories = [person.history for person in people]
            excludes = [person.seen | shown.cancelled for person in people]
            most = recommender.vocabulary.num_items if top_k is None else top_k
            return recommender.recommend_many(histories, most, excludes, what.niche)

        def wishes_of(person: Person) -> Wishes:
            return Wishes([*shown.conditions, *of_people([person], wished.planned)], wished.with_sequels)

        with GrowingFile(what.output, work) as file:
            total = sum(1 for _ in database.people_with_lists())
            left = list(database.people_with_lists(after=file.done))
            if not file.done:
                file.append(first_line(what.format), 0)
            nothing = 0
            with progress("recommending", total, "person", done=total - len(left)) as bar, saying_how_to_go_on():
                for start in range(0, len(left), PEOPLE_AT_ONCE):
                    part = left[start : start + PEOPLE_AT_ONCE]
                    people = [
                        Person.of_list(database.entries(user_id), recommender.vocabulary, name)
                        for user_id, name in part
                    ]
                    chosen = list(choose(people, best, shortlists, wishes_of, what.top_k))
                    file.append(as_lines(people, chosen, shown.names, shown.release, what.format), part[-1][0])
                    nothing += sum(not each for each in chosen)
                    bar.update(len(part))
            file.finish()
    log.info("%s: %s%s.", what.output, count_people(total), f", {nothing:,} of them with nothing" if nothing else "")


@contextlib.contextmanager
def saying_how_to_go_on() -> Iterator[None]:
    """Say it where the block is stopped."""
    try:
        yield
    except KeyboardInterrupt:
        log.info("Stopped: the same command completes it.")
        raise


@dataclass(frozen=True)
class TitlesToShow:
    """The catalogue, and what of it may be shown to whoever it is."""

    catalogue: Sequence[Anime]
    names: Mapping[int, str]
    """What to call each anime."""
    release: Mapping[int, str | None]
    """What `release_on` says of each anime."""
    conditions: Sequence[Wish]

    @property
    def cancelled(self) -> frozenset[int]:
        return frozenset(anime_id for anime_id, word in self.release.items() if word == CANCELLED)


def titles_to_show(settings: Settings, today: int, database: Database) -> TitlesToShow:
    """The titles of the database, and the wishes of the command line. Raises UserError for words that none has."""
    what, wished = settings.recommendations, settings.wishes
    episodes = read_range("--episodes", wished.episodes, "12-26", "{1,5}")
    years = read_range("--year", wished.year)
    database.require_catalogue()
    catalogue = database.anime(database.anime_ids())
    fetched = {anime_id: day_in_japan(at) for anime_id, at in database.anime_fetched_at().items()}
    release = {anime.anime_id: release_on(today, anime, fetched.get(anime.anime_id)) for anime in catalogue}
    names = {anime.anime_id: title_of(anime, what.language) for anime in catalogue}
    conditions = of_catalogue(
        catalogue,
        genre=wished.genre,
        not_genre=wished.not_genre,
        tag=wished.tag,
        not_tag=wished.not_tag,
        types=wished.type,
        episodes=episodes,
        years=years,
        min_score=wished.min_score,
        min_popularity=wished.min_popularity,
        include_adult=wished.include_adult,
    )
    hidden = hidden_ids(wished, catalogue, names)
    return TitlesToShow(catalogue, names, release, [*conditions, of_release(release, what.upcoming), *without(hidden)])


def hidden_ids(wished: WishSettings, catalogue: Sequence[Anime], titles: Mapping[int, str]) -> set[int]:
    """The ids of `--hide`, and of the file to which they are added. Raises UserError if a title isn't clear."""
    ids = [id_of(each, catalogue, "--hide") for each in wished.hide]
    hidden = {anime_id: titles.get(anime_id, "") for anime_id in ids}
    if wished.hide_file is None:
        return set(hidden)
    if hidden:
        add_to_hide_list(wished.hide_file, hidden)
    return read_hide_list(wished.hide_file)


def ranking(
    recommender: Recommender,
    people: Sequence[Person],
    release: Mapping[int, str | None],
    what: RecommendationSettings,
) -> dict[int, float]:
    """The probability of each title that all these people may be shown, whatever the wishes are: the best first."""
    exclude = {anime_id for anime_id, word in release.items() if word == CANCELLED}.union(
        *(each.seen for each in people)
    )
    everything = recommender.vocabulary.num_items
    ranked = recommender.recommend_together([each.history for each in people], everything, exclude, what.niche)
    return {each.anime_id: each.score for each in ranked}


def check_all(who: PersonSettings, what: RecommendationSettings) -> None:
    """Raises SettingError unless a file is given for --all, and for nobody else."""
    if not who.all and what.output is not None:
        raise SettingError("--output goes with --all")
    if not who.all and what.format == "jsonl":
        raise SettingError("--format jsonl goes with --all")
    if not who.all:
        return
    if who.user or who.anime or who.title or who.mal_xml or who.similar_to is not None:
        raise SettingError("--all goes with nobody else: give no --user, --anime, --title, --mal-xml or --similar-to")
    if what.output is None:
        raise SettingError("--all writes a file: say which with -o FILE")
    if what.format not in FORMATS:
        raise SettingError(f"--all needs --format {' or '.join(FORMATS)}")


def checked(who: PersonSettings) -> PersonSettings:
    """The same settings, each name once, without its address. Raises SettingError unless it is said who is meant."""
    people = who.user or who.anime or who.title or who.mal_xml
    if not people and who.similar_to is None and not who.all:
        raise SettingError("for whom? Give --user, --anime, --title, --mal-xml, --similar-to or --all")
    if people and who.similar_to is not None:
        raise SettingError("--similar-to goes with no list: give a title that is liked to --title")
    for flag, is_given in {"--refresh": who.refresh, "--store": who.store}.items():
        if is_given and not who.user:
            raise SettingError(f"{flag} goes with --user")
    try:
        names = {name_key(name): name for name in map(anilist_name, who.user)}
        return replace(who, user=tuple(names.values()))
    except UserError as error:
        raise SettingError(f"--user: {error}") from None


def people_of(
    who: PersonSettings,
    anilist: AniListSettings,
    paths: PathSettings,
    database: Database,
    recommender: Recommender,
    ids: Sequence[int],
) -> list[Person]:
    """The people who are meant. Raises UserError if of one of them nothing that the model knows was watched.

    ids: what `ids_of` gave.
    """

    def fetch(name: str) -> UserList:
        from anilist_client import open_source  # slow to import, and seldom needed

        return open_source(anilist, sandbox=paths.sandbox).user_list(name)

    people, store = [], UserListSettings().min_anime if who.store else None
    for name in who.user:
        found = stored_or_fetched(name, database, fetch, int(time.time()), refresh=who.refresh, store=store)
        people.append(person_of_user(*found, recommender.vocabulary))
    of_mal = database.anime_by_mal_id() if who.mal_xml else {}
    people += [person_of_export(path, of_mal, recommender.vocabulary) for path in who.mal_xml]
    return [*people, person_of_titles(ids, recommender.vocabulary)] if ids else people


def ids_of(who: PersonSettings, catalogue: Sequence[Anime]) -> list[int]:
    """The ids of the anime that are named by id or title. Raises UserError for a title that isn't clear."""
    if who.similar_to is not None:
        return [id_of(who.similar_to, catalogue, "--similar-to")]
    return [*who.anime, *(anime.anime_id for anime in anime_of_titles(who.title, catalogue))]


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
