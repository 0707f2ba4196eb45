"""What is shown of a recommended title: its facts in the catalogue, the scores, the reasons."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.lists.scores import TEN, Scale
from anime_bert4rec.recommending.person import Person
from anime_bert4rec.support.text import plain

if TYPE_CHECKING:
    from anime_bert4rec.recommender import Recommender

LANGUAGES = ("romaji", "english", "native")
"""The languages that AniList has titles in; a title that lacks one is shown in the first of these that it has."""

MOST_REASONS, MOST_REASONS_OF_EACH = 3, 2
"""How many reasons a row has at most: for one person, and for each of several."""


@dataclass(frozen=True)
class Reason:
    """A watched title that a recommendation owes its score to."""

    anime_id: int
    title: str


@dataclass(frozen=True)
class ForPerson:
    """What a title is to one of several people; the fields are those of `RecommendedAnime`."""

    name: str
    predicted_score: float | None
    score_scale: int | None
    planned: bool

    @classmethod
    def of(cls, person: Person, predicted: float | None, scale: Scale, anime_id: int) -> ForPerson:
        """predicted: the predicted score of 100."""
        score = None if predicted is None else scale.of_100(predicted)
        planned = anime_id in person.planned
        return cls(plain(person.name, 40), score, None if score is None else scale.largest, planned)


@dataclass(frozen=True)
class RecommendedAnime:
    """One recommendation, its texts safe to show on a terminal."""

    rank: int
    anime_id: int
    title: str
    """In the language that was asked for."""
    score: float
    because: tuple[Reason, ...]
    year: int | None
    format: str | None
    genres: tuple[str, ...]
    url: str
    planned: bool
    release: str | None = None
    """`airing`, `next season` or `not out yet`; None for a title that is out (recommending/release.py)."""
    predicted_score: float | None = None
    """What the person would give, in the scale in which the person scores; None where no scores are known."""
    score_scale: int | None = None
    """The largest score of that scale: 5, 10 or 100."""
    mal_id: int | None = None
    title_romaji: str | None = None
    title_english: str | None = None
    title_native: str | None = None
    episodes: int | None = None
    mean_score: int | None = None
    """What the people of AniList give it, of 100."""
    cover_url: str | None = None
    for_each: tuple[ForPerson, ...] = ()
    """Of several people each; the predicted score above is their mean then."""

    @classmethod
    def of(
        cls,
        rank: int,
        anime: Anime,
        score: float,
        because: Sequence[Reason],
        planned: bool,
        release: str | None = None,
        predicted: float | None = None,
        scale: Scale = TEN,
        language: str = LANGUAGES[0],
    ) -> RecommendedAnime:
        """The row of `anime`. predicted: the predicted score of 100."""
        return cls(
            rank=rank,
            anime_id=anime.anime_id,
            title=title_of(anime, language),
            score=score,
            because=tuple(because),
            year=anime.year,
            format=anime.format and plain(anime.format, 20),
            genres=tuple(plain(genre, 40) for genre in anime.genres),
            url=_address(anime),
            planned=planned,
            release=release,
            predicted_score=None if predicted is None else scale.of_100(predicted),
            score_scale=None if predicted is None else scale.largest,
            mal_id=anime.mal_id,
            title_romaji=plain(anime.title_romaji or "") or None,
            title_english=plain(anime.title_english or "") or None,
            title_native=plain(anime.title_native or "") or None,
            episodes=anime.episodes,
            mean_score=anime.usual_score,
            cover_url=_https(anime.cover_url),
        )


def rows_of(
    chosen: Sequence[Anime],
    scores: Mapping[int, float],
    people: Sequence[Person],
    recommender: Recommender,
    titles: Mapping[int, str],
    release: Mapping[int, str | None],
    language: str = LANGUAGES[0],
    reasons: bool = True,
    alike: float = 0.0,
) -> list[RecommendedAnime]:
    """The rows of the chosen anime, in their order.

    scores: of each anime its probability. titles: what to call the titles of people's lists. alike: as it was ranked.
    """
    ids = [anime.anime_id for anime in chosen]
    most = MOST_REASONS if len(people) == 1 else MOST_REASONS_OF_EACH
    seen: frozenset[int] = frozenset().union(*(person.seen for person in people))
    why = [recommender.because(person.titles, ids, most, alike, seen) for person in people] if reasons else []
    predicted = [predicted_scores(recommender, person, ids) for person in people]
    scales = [person.scale for person in people]
    scale = scales[0] if len(set(scales)) == 1 else TEN
    rows = []
    for place, anime in enumerate(chosen):
        of_each = [of_person[place] for of_person in predicted]
        known = [score for score in of_each if score is not None]
        strongest = [each for reasons in itertools.zip_longest(*(of[place] for of in why)) for each in reasons if each]
        row = RecommendedAnime.of(
            place + 1,
            anime,
            scores[anime.anime_id],
            [Reason(each, titles.get(each, f"anime {each}")) for each in dict.fromkeys(strongest)],
            any(anime.anime_id in person.planned for person in people),
            release[anime.anime_id],
            sum(known) / len(known) if known else None,
            scale,
            language,
        )
        if len(people) > 1:
            for_each = map(ForPerson.of, people, of_each, scales, itertools.repeat(anime.anime_id))
            row = dataclasses.replace(row, for_each=tuple(for_each))
        rows.append(row)
    return rows


def predicted_scores(recommender: Recommender, person: Person, anime_ids: Sequence[int]) -> Sequence[float | None]:
    """What the person would give to each title, of 100; nothing for who has scored nothing, or by an older model."""
    if not person.scores or not recommender.predicts_scores:
        return [None] * len(anime_ids)
    return recommender.predicted_scores(list(person.scores), list(person.scores.values()), anime_ids)


def title_of(anime: Anime, language: str = LANGUAGES[0]) -> str:
    """The title of an anime in the language, or in another that it has: one line, safe to show on a terminal."""
    titles = dict(zip(LANGUAGES, (anime.title_romaji, anime.title_english, anime.title_native), strict=True))
    title = titles[language] or next(filter(None, titles.values()), "")
    return plain(title) or f"anime {anime.anime_id}"


def _address(anime: Anime) -> str:
    """The address of the anime's page on AniList, as the catalogue has it or made from the id."""
    return _https(anime.site_url) or f"https://anilist.co/anime/{anime.anime_id}"


def _https(address: str | None) -> str | None:
    given = plain(address or "", 200)
    return given if given.startswith("https://") else None
