"""Recommend anime to a person, with the model that train_model.py left.

    python recommend.py --user NAME
    python recommend.py --user NAME --user FRIEND
    python recommend.py --user NAME --compare-with FRIEND
    python recommend.py --user NAME --planned only --episodes -26 --not-tag Isekai --language english
    python recommend.py --title "cowboy bebop" --title trigun --year 2010- --genre Drama
    python recommend.py --mal-xml animelist.xml.gz --top-k 50 --format csv > list.csv
    python recommend.py --similar-to "cowboy bebop"
    python recommend.py --user NAME --html for_name.html                    # a page to look at and to keep
    python recommend.py --all --format jsonl -o everybody.jsonl

Each title comes with those of the list that it owes its place to: the ones without which its score would fall most.
Nothing that was watched is recommended, and nothing that is not out yet, unless --upcoming asks for that. Later
seasons wait until their prequel is finished and liked, and a franchise appears once, unless --with-sequels is given.
"""

from __future__ import annotations

from anime_bert4rec.support import stopping

stopping.while_importing(__name__)

import gc

if __name__ == "__main__":
    gc.set_threshold(1_000_000)  # looking for circles to free is a twentieth of a short run, that has none

import functools
import hashlib
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from anime_bert4rec import __version__
from anime_bert4rec.command_line.flags import ScriptSettings, group
from anime_bert4rec.command_line.recommendation_settings import check_who
from anime_bert4rec.command_line.script import logging_to, parse, script
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.records import Anime, ListEntry, UserList
from anime_bert4rec.lists.sequence_store import as_of_one_moment
from anime_bert4rec.lists.user_names import anilist_name, name_key
from anime_bert4rec.model.run_folder import BEST_MODEL
from anime_bert4rec.recommender import PEOPLE_AT_ONCE, Recommendation, Recommender
from anime_bert4rec.recommending.asked_people import (
    leaning_of,
    people_of_exports,
    person_of_titles,
    person_of_user,
    stored_or_fetched,
)
from anime_bert4rec.recommending.catalogue import say_what_is_missing
from anime_bert4rec.recommending.comparison import FIRST, Comparison, compare
from anime_bert4rec.recommending.everybody import BEGINNING, write_people
from anime_bert4rec.recommending.hide_list import hidden_ids
from anime_bert4rec.recommending.moment import Moment, known_on, moment_of
from anime_bert4rec.recommending.output import PERSON_PAGE
from anime_bert4rec.recommending.person import Person
from anime_bert4rec.recommending.printing import show
from anime_bert4rec.recommending.release import day_in_japan, read_day
from anime_bert4rec.recommending.rows import RecommendedAnime, rows_of
from anime_bert4rec.recommending.shortlist import why_nothing_is_left
from anime_bert4rec.recommending.title_questions import anime_of_titles, id_of
from anime_bert4rec.recommending.titles_to_show import TitlesToShow
from anime_bert4rec.recommending.wishes import of_catalogue, read_range, without
from anime_bert4rec.support.errors import SettingError, UserError
from anime_bert4rec.support.growing_file import GrowingFile
from anime_bert4rec.support.text import count_people
from anime_bert4rec.support.whole_files import require_own_text
from config import AniListSettings, PathSettings, PersonSettings, RecommendationSettings, UserListSettings, WishSettings

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
    check_who(settings.person, settings.recommendations)
    what = settings.recommendations
    today = read_day(what.at) if what.at is not None else day_in_japan(time.time())
    with logging_to():
        if what.html:
            require_own_text(what.html, PERSON_PAGE)
        if settings.person.all:
            write_everybody(settings, today)
            return 0
        asked = load(settings, today)
        if settings.person.compare_with:
            show(comparison(asked, what), what.format)
            return 0
        rows = recommendations(asked, what)
        if len(rows) < what.top_k:
            log.info("Only %s left to recommend.", "one title is" if len(rows) == 1 else f"{len(rows):,} titles are")
        if what.html:
            from anime_bert4rec.pages.person_page import write_person_page  # not needed without a page

            page = what.html, settings.paths.map_file, today, what.language, what.covers, asked.similar_to is not None
            write_person_page(rows, asked.people, asked.shown.catalogue, *page)
    show(rows, what.format)
    return 0


@dataclass(frozen=True)
class Asked:
    """What a recommendation is made from."""

    shown: TitlesToShow
    people: Sequence[Person]
    recommender: Recommender
    moment: Moment | None
    """What others start on this day; None where it does not count."""
    similar_to: int | None
    """The anime that others are to be like, where it isn't about people."""

    def leaning(self, what: RecommendationSettings) -> tuple[float, float]:
        return leaning_of(self.people, self.recommender, what.niche, what.alike)


def load(settings: Settings, today: int) -> Asked:
    """All that is needed of the database, the model and, where a list isn't there, AniList."""
    who, paths = settings.person, settings.paths
    path = paths.database_file
    with Database.open(path, create=False) if who.store else Database.open_to_read(path, whole=False) as database:
        who = named(who, database)
        shown = titles_to_show(settings, today, database)
        ids = ids_of(who, shown.catalogue)
        recommender = Recommender.load(paths.output)
        people = people_of(replace(settings, person=who), database, recommender, ids, known_by(settings, today))
        if ids and who.similar_to is None:  # who names a later season has seen the first one
            before = shown.shortlists.continued_by(ids)
            people = [replace(each, seen=each.seen | before) if each.named_titles else each for each in people]
        moment = None
        if any(each.started for each in people):
            moment = moment_of(today, database, shown.catalogue, recommender)
    has_scores = any(each.scores for each in people) and settings.recommendations.by != "score"
    say_what_is_missing(recommender, shown.catalogue, has_scores)
    return Asked(shown, people, recommender, moment, None if who.similar_to is None else ids[0])


def known_by(settings: Settings, today: int) -> Callable[[Sequence[ListEntry]], list[ListEntry]]:
    """Gives what of a list was known on the day of --at; without one, all."""
    return functools.partial(known_on, today) if settings.recommendations.at is not None else list


def titles_to_show(settings: Settings, today: int, database: Database) -> TitlesToShow:
    """The titles of the database, and the wishes of the command line. Raises UserError for words that none has."""
    what, wished = settings.recommendations, settings.wishes
    episodes = read_range("--episodes", wished.episodes, "12-26", "{1,5}")
    years = read_range("--year", wished.year)
    database.require_catalogue()
    catalogue = database.anime(database.anime_ids())
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
    return TitlesToShow.on(
        today,
        database,
        catalogue,
        [*conditions, *without(hidden_ids(wished.hide, wished.hide_file, catalogue))],
        language=what.language,
        upcoming=what.upcoming,
        planned=wished.planned,
        with_sequels=wished.with_sequels,
        diversity=what.diversity,
    )


def recommendations(asked: Asked, what: RecommendationSettings) -> list[RecommendedAnime]:
    """The best `top_k` that fit the wishes. Raises UserError if nothing is left, with the wish that is in the way."""
    ranked = ranking(asked, asked.people, what)
    rows = rows_for(asked, asked.people, ranked, ranked, what)
    if not rows:
        wishes = asked.shown.wishes_of(asked.people)
        why = why_nothing_is_left(asked.shown.shortlists, list(ranked), asked.people, wishes)
        more = "; prepare_dataset.py fetches what was announced since, for the next training" if what.upcoming else ""
        raise UserError(f"nothing is left to recommend: {why}{more}")
    return rows


def comparison(asked: Asked, what: RecommendationSettings) -> Comparison:
    """The two people who are asked about beside each other."""
    one, other = asked.people
    ranked = [ranking(asked, [person], what) for person in asked.people]

    def best_for(which: int, anime_ids: Collection[int]) -> list[RecommendedAnime]:
        scores = ranked[which]
        return rows_for(asked, [asked.people[which]], [each for each in scores if each in anime_ids], scores, what)

    first = [
        [anime.anime_id for anime in asked.shown.best(scores, [person], FIRST)]
        for scores, person in zip(ranked, asked.people, strict=True)
    ]
    allow = asked.shown.wishes_of(asked.people).allow
    catalogue = [anime for anime in asked.shown.catalogue if allow(anime)]
    return compare((one, other), (first[0], first[1]), best_for, asked.shown.names, catalogue, what.top_k)


def rows_for(
    asked: Asked,
    people: Sequence[Person],
    ranked: Iterable[int],
    scores: Mapping[int, float],
    what: RecommendationSettings,
) -> list[RecommendedAnime]:
    """The rows of the best `top_k` of the ranked anime that suit these people and the wishes."""
    shown = asked.shown
    chosen = shown.best(ranked, people, what.top_k)
    has_reasons, (_, alike) = asked.similar_to is None, asked.leaning(what)
    facts = shown.names, shown.release, what.language
    return rows_of(chosen, scores, people, asked.recommender, *facts, has_reasons, alike)


def ranking(asked: Asked, people: Sequence[Person], what: RecommendationSettings) -> dict[int, float]:
    """How likely each title is that these people may be shown, or how similar, whatever the wishes: the best first."""
    exclude = asked.shown.cancelled.union(*(person.seen for person in people))
    everything = asked.recommender.vocabulary.num_items
    if asked.similar_to is not None:
        similar = asked.recommender.similar(asked.similar_to, everything)
        return {each.anime_id: each.cosine for each in similar if each.anime_id not in exclude}
    histories, scores = [person.titles for person in people], [person.scores for person in people]
    recents = [asked.moment.of_person(person) for person in people] if asked.moment else ()
    if what.by == "score" and not any(scores):
        log.info("No scores are known: ranked by what most people would give.")
    niche, alike = asked.leaning(what)
    ranked = asked.recommender.recommend_together(
        histories, everything, exclude, niche, recents, scores, what.by, alike
    )
    return {each.anime_id: each.score for each in ranked}


def write_everybody(settings: Settings, today: int) -> None:
    """Write the recommendations for everybody in the database, or go on with it. Raises UserError."""
    what, paths = settings.recommendations, settings.paths
    assert what.output is not None
    with as_of_one_moment(paths.database_file) as (database, state):
        shown = titles_to_show(settings, today, database)
        recommender = Recommender.load(paths.output)
        say_what_is_missing(recommender, shown.catalogue, has_scores=False)
        moment = moment_of(today, database, shown.catalogue, recommender)
        with (paths.models / BEST_MODEL).open("rb") as model:
            mark = hashlib.file_digest(model, "sha256").hexdigest()
        hidden = hidden_ids((), settings.wishes.hide_file, shown.catalogue)
        work = repr([__version__, today, what, settings.wishes, sorted(hidden), state, mark])

        def best(people: Sequence[Person], top_k: int | None) -> Iterator[list[Recommendation]]:
            histories = [person.titles for person in people]
            excludes = [person.seen | shown.cancelled for person in people]
            most = recommender.vocabulary.num_items if top_k is None else top_k
            recents = [moment.of_person(person) for person in people] if moment else None
            scores = [person.scores for person in people]
            niche, alike = leaning_of(people, recommender, what.niche, what.alike)
            return recommender.recommend_many(histories, most, excludes, niche, recents, scores, what.by, alike)

        best([], 1)  # what the model can't do is refused before a file is begun
        known = known_by(settings, today)
        with GrowingFile(what.output, work, BEGINNING) as file:
            whom = "those written now" if file.done else "them"
            people, nothing = write_people(
                file, what.format, database, recommender.vocabulary, best, shown, what.top_k, PEOPLE_AT_ONCE, known
            )
    log.info("%s: %s%s.", what.output, count_people(people), f", {nothing:,} of {whom} with nothing" if nothing else "")


def named(who: PersonSettings, database: Database) -> PersonSettings:
    """The same settings, each person and each file once, and names of AniList without their address.

    Raises SettingError for what cannot be a name.
    """

    def person(flag: str, given: str) -> tuple[int | str, str]:
        """Who it is, and the name: of who isn't in the database, one that AniList may know."""
        stored = database.listed(given, imported=not who.refresh)
        if not stored:
            try:
                given = anilist_name(given)
            except UserError as error:
                raise SettingError(f"{flag}: {error}") from None
            stored = database.listed(given, imported=not who.refresh)
        return stored.user_id if stored else name_key(given), given

    users = dict(person("--user", each) for each in who.user)
    identity, compare_with = person("--compare-with", who.compare_with) if who.compare_with else ("", None)
    if identity in users:
        raise SettingError("--compare-with: that is the same person")
    return replace(
        who, user=tuple(users.values()), mal_xml=tuple(dict.fromkeys(who.mal_xml)), compare_with=compare_with
    )


def people_of(
    settings: Settings,
    database: Database,
    recommender: Recommender,
    ids: Sequence[int],
    known: Callable[[Sequence[ListEntry]], list[ListEntry]],
) -> list[Person]:
    """The people who are meant. Raises UserError if of one of them nothing that the model knows was watched.

    ids: what `ids_of` gave. known: gives what of a list is to count.
    """
    who = settings.person

    def fetch(name: str) -> UserList:
        from anilist_client import open_source  # slow to import, and seldom needed

        return open_source(settings.anilist, sandbox=settings.paths.sandbox).user_list(name)

    store = (database.min_anime() or UserListSettings().min_anime) if who.store else None

    def of_user(name: str) -> Person:
        found = stored_or_fetched(name, database, fetch, int(time.time()), refresh=who.refresh, store=store)
        return person_of_user(found, recommender.vocabulary, known)

    people = [of_user(name) for name in who.user]
    people += people_of_exports(who.mal_xml, database, recommender.vocabulary, known, [*who.user, who.compare_with])
    people += [person_of_titles(ids, recommender.vocabulary)] if ids else []
    return [*people, of_user(who.compare_with)] if who.compare_with else people


def ids_of(who: PersonSettings, catalogue: Sequence[Anime]) -> list[int]:
    """The ids of the anime that are named by id or title. Raises UserError for a title that isn't clear."""
    if who.similar_to is not None:
        return [id_of(who.similar_to, catalogue, "--similar-to")]
    ids = [*who.anime, *(anime.anime_id for anime in anime_of_titles(who.title, catalogue))]
    return list(dict.fromkeys(ids))


if __name__ == "__main__":
    raise SystemExit(main())
