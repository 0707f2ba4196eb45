"""A trained model that recommends: anime ids in, plain records out.

    from anime_bert4rec import Recommender

    recommender = Recommender.load("output")
    for each in recommender.recommend([1, 5, 20], top_k=10):  # AniList ids, the newest last
        print(each.anime_id, f"{each.score:.1%}")

It knows ids only; titles, genres and sequels are the catalogue's (recommending/shortlist.py). Loading runs nothing that
a file may hold, and nothing changes after it, so that any number of threads may ask one Recommender.

torch takes seconds to import, so that nothing here does before a model is there.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anime_bert4rec.lists.recent_starts import NEWEST
from anime_bert4rec.lists.sequences import PAD, Vocabulary
from anime_bert4rec.model.histories import NO_HISTORY, History, HistoryScorer, collected, known_items, why_nothing
from anime_bert4rec.model.item_space import ItemSpace
from anime_bert4rec.model.ranking_by_scores import (
    NO_SCORES,
    AskedPerson,
    GivenScores,
    RankingByScores,
    asked_people,
    best_columns,
    by_id,
)
from anime_bert4rec.model.ranking_leaning import ExpectedPopularity, Leaning, TitleLikeness
from anime_bert4rec.model.run_folder import RunFolder
from anime_bert4rec.support.errors import UserError

if TYPE_CHECKING:
    from anime_bert4rec.lists.records import Anime
    from anime_bert4rec.model.bert4rec import BERT4Rec
    from anime_bert4rec.model.predicted_scores import Expectation
    from anime_bert4rec.recommending.catalogue import Catalogue

PEOPLE_AT_ONCE = 500
"""How many histories are scored together: the scores of all anime for each of them are in memory at once."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """`score`: the model's probability, 0 to 1, that of all titles neither in the history nor excluded this is next.

    They sum to 1, so that a good one among thousands has a few percent, and are not calibrated against what people do.
    """

    anime_id: int
    score: float


@dataclass(frozen=True, slots=True)
class Similar:
    """`cosine`: of the angle between the vectors of two titles, 1 for the same direction, 0 for a right angle."""

    anime_id: int
    cosine: float


class NothingToGoOn(UserError):
    """The history has no title that the model knows."""


class Recommender:
    """A trained model and its vocabulary. Any number of threads may ask one at the same time."""

    def __init__(self, model: BERT4Rec, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._score = HistoryScorer(model)
        self._by_scores = RankingByScores(model.predicted_scores, vocabulary)
        self._recent_strengths, self._popularity = model.recent_strengths, ExpectedPopularity.of(model)

    @classmethod
    def load(cls, output_dir: Path | str) -> Recommender:
        """The best model that training left in `output_dir`.

        Raises ModelFileError, a UserError, for a file that is missing, damaged or not written by this program.
        """
        from anime_bert4rec.model.model_files import load_model_with_items

        model, _, vocabulary = load_model_with_items(RunFolder(Path(output_dir)).models)
        return cls(model, vocabulary)

    def recommend(
        self,
        anime_ids: Collection[int],
        top_k: int = 20,
        exclude: Collection[int] = (),
        niche: float = 0.0,
        recent: np.ndarray | None = None,
        scores: GivenScores = NO_SCORES,
        by: str = "both",
        alike: float = 0.0,
    ) -> list[Recommendation]:
        """The `top_k` titles most likely to come next, the best first: neither of `anime_ids` nor of `exclude`.

        anime_ids: what was watched and liked, the oldest first; of a title given twice the last place counts, and ids
        that the model does not know are passed over. Of a set the order isn't known: then what else is on lists with
        these titles comes first, not what comes next. recent: what is known of this day, as
        `recommending.moment.Moment` has it for the person; a model without `knows_recent_starts` goes without.

        niche, alike: they change the order, not the scores. niche: from 0 to 1, how much of what popularity counts for
        is taken off the logarithm of each score, where rare titles count as a little popular. alike: from 0 to 10,
        what the cosine of its vector and of the sum of those of `anime_ids`, each of length 1, counts for beside the
        logarithm of its score.

        scores: what the person gave to titles, of 100, by their ids. by: `list` ranks by the score; `score` by what the
        person would give, cautiously, so that what little is known of does not lead; `both` by the two together, and
        by the list for who gave no scores, or by a model that predicts none.

        Raises NothingToGoOn when it knows none of the anime, UserError where niche is asked of a model that doesn't
        know what is popular, and NoPredictedScores where `score` is asked of one that predicts none.
        """
        self._history(anime_ids := collected(anime_ids))
        return next(self.recommend_many([anime_ids], top_k, [exclude], niche, [recent], [scores], by, alike))

    def recommend_many(
        self,
        histories: Iterable[Collection[int]],
        top_k: int = 20,
        excludes: Iterable[Collection[int]] | None = None,
        niche: float = 0.0,
        recents: Iterable[np.ndarray | None] | None = None,
        scores: Iterable[GivenScores] | None = None,
        by: str = "both",
        alike: float = 0.0,
    ) -> Iterator[list[Recommendation]]:
        """As `recommend`, for any number of people, which is several times as fast: for each a list, in their order.

        It reads PEOPLE_AT_ONCE people ahead, whom it scores together, and keeps no others: what it takes of memory does
        not grow with their number. Who has no title that the model knows gets an empty list. excludes, recents, scores:
        one a person; ValueError if there are more or fewer of them than people. Raises UserError as `recommend`.
        """
        leaning, weight = self._leaning(niche, alike), self._by_scores.weight(by)
        people = asked_people(histories, excludes, recents, scores)
        return (
            self._best(score, top_k, leaning.lowered(known), self._by_scores.expectation(given, by), weight)
            if len(known.items)
            else []
            for known, score, given in self._scored_many(people)
        )

    def recommend_titles(
        self,
        anime_ids: Collection[int],
        catalogue: Catalogue,
        top_k: int = 20,
        allow: Callable[[Anime], bool] = lambda anime: True,
        niche: float = 0.0,
        alike: float = 0.0,
    ) -> list[tuple[Anime, float]]:
        """As `recommend`, with the anime of a catalogue in the place of ids, each with its score, and only those that
        come in turn (`Catalogue.in_turn`). allow: whether an anime may be shown."""
        anime_ids = collected(anime_ids)
        everything = self.recommend(anime_ids, self.vocabulary.num_items, niche=niche, alike=alike)
        ranked = {each.anime_id: each.score for each in everything}
        chosen = itertools.islice(catalogue.in_turn(ranked, anime_ids, allow), max(top_k, 0))
        return [(anime, ranked[anime.anime_id]) for anime in chosen]

    def scores(self, anime_ids: Collection[int], candidates: Iterable[int]) -> list[float | None]:
        """The score of each of the candidates, as `recommend` would give it; 0 for what is among `anime_ids`, and None
        for what the model does not know. Raises NothingToGoOn as `recommend`."""
        self._history(anime_ids := collected(anime_ids))
        _, score, _ = next(self._scored_many([AskedPerson(anime_ids)]))
        return self.vocabulary.values_of(candidates, np.exp(score, dtype=np.float64))

    def embeddings(self) -> tuple[np.ndarray, np.ndarray]:
        """The anime ids, int64 [N], and a vector for each, float32 [N, D]: the space that the map of anime is drawn of.

        Titles that go together have a similar direction. They are made of the item memory, or of the network's
        embeddings where there is no memory; of a catalogue of more than 8,000 titles only the most popular ones have a
        vector. The arrays are the caller's own.
        """
        return self.vocabulary.anime_ids[self._space.columns], self._space.vectors.copy()

    def similar(self, anime_id: int, top_k: int = 10) -> list[Similar]:
        """The `top_k` titles whose vectors have the most similar direction to that of this one, the best first.

        It is what is listed by the same people and shares genres, studios or a franchise, whereas `recommend` of this
        title alone tells what its watchers list next. Raises NothingToGoOn for a title without a vector.
        """
        item, columns = self._items([anime_id]), self._space.columns
        if not np.isin(item - 1, columns).any():
            few = f"there is nothing to go on: anime {anime_id} is on too few lists to have a vector"
            raise NothingToGoOn(few if len(item) else why_nothing([anime_id]))
        cosines = self._space.cosines(item).clip(-1, 1)  # which rounding goes beyond
        best = columns[np.argsort(-cosines[columns], kind="stable")]
        best = best[best != item - 1][: max(top_k, 0)]
        return [Similar(int(self.vocabulary.anime_ids[each]), float(cosines[each])) for each in best]

    def recommend_together(
        self,
        histories: Iterable[Collection[int]],
        top_k: int = 20,
        exclude: Collection[int] = (),
        niche: float = 0.0,
        recents: Sequence[np.ndarray | None] = (),
        scores: Sequence[GivenScores] = (),
        by: str = "both",
        alike: float = 0.0,
    ) -> list[Recommendation]:
        """As `recommend`, for people who want something together: ranked by the sum of what each is ranked by.

        The score is the geometric mean of theirs. What one of them has listed is not recommended. recents, scores: one
        a person, or none; else ValueError. Raises NothingToGoOn where nothing of a history is known, and what
        `recommend` raises.
        """
        histories = list(histories)
        if not {len(recents), len(scores)} <= {0, len(histories)}:
            raise ValueError("recents and scores are one a person, or none")
        leaning, weight = self._leaning(niche, alike), self._by_scores.weight(by)
        known = [self._history(anime_ids) for anime_ids in histories] or [self._history(())]
        together = self._log_probabilities(known, [self._items(exclude)] * len(known), recents).mean(0)
        lowered = sum(leaning.lowered(each) for each in known) / len(known)
        for given in scores or [NO_SCORES]:
            if expected := self._by_scores.expectation(given, by):
                lowered = lowered - weight / max(len(scores), 1) * expected.cautious()
        return self._best(together, top_k, lowered, None, 0.0)

    @property
    def knows_recent_starts(self) -> bool:
        """Whether the model has learnt what it counts for that others start a title now."""
        return self._recent_strengths is not None

    @property
    def knows_popularity(self) -> bool:
        """Whether `niche` may be asked for."""
        return self._popularity is not None

    @property
    def predicts_scores(self) -> bool:
        """Whether the model was trained with scores, so that `predicted_scores` answers."""
        return self._by_scores.predicted is not None

    def predicted_scores(
        self, anime_ids: Sequence[int], scores: Sequence[float] | GivenScores, candidates: Iterable[int]
    ) -> list[float | None]:
        """The score of 100 that a person would give to each of the candidates, None for what the model does not know.

        anime_ids, scores: what the person has scored, of 100, in the same order or, as for `recommend`, by id. Without
        any, it is what most people would give; of a title given twice the last score counts. Raises NoPredictedScores
        unless the model `predicts_scores`, and ValueError unless each title has one score.
        """
        expected = self._by_scores.expected_of(by_id(anime_ids, scores))
        return self.vocabulary.values_of(candidates, expected.of_100())

    def because(
        self,
        anime_ids: Collection[int],
        recommended: Sequence[int],
        most: int = 3,
        alike: float = 0.0,
        exclude: Collection[int] = (),
    ) -> list[tuple[int, ...]]:
        """For each recommended title the watched ones, at most `most`, that it owes its place to, the strongest first.

        Each of the newest `max_seq_len` titles of the history is left out in turn: those are named without which the
        logarithm of the score, with what `alike` adds to it, is lowest, if lower than with them. exclude: as then.
        """
        likeness, history = self._leaning(0.0, alike).likeness, History.of(anime_ids, self.vocabulary)
        items, asked = history.items, self.vocabulary.items_of(recommended)
        columns = asked[asked != PAD] - 1
        if not len(items) or not len(columns):
            return [() for _ in asked]
        tried = np.arange(max(0, len(items) - self._score.model.config.max_seq_len), len(items))
        scores = np.concatenate([self._score([history]), self._score.without_each(history, tried)])
        excluded = [self._items(exclude)] * len(scores)
        scores = self._score.log_probabilities(scores, [history] * len(scores), excluded)[:, columns]
        with np.errstate(invalid="ignore"):  # a title of the history owes nothing to others: -inf less -inf
            lost = scores[0] - scores[1:]  # [tried, recommended]
        if likeness is not None:
            lost += alike * likeness.lost_without(items, tried)[:, columns]
        strongest = np.argsort(-lost, axis=0, kind="stable")[: max(most, 0)]
        reasons = (
            tuple(self.vocabulary.decode(items[tried[best[lost[best, which] > 0]]]).tolist())
            for which, best in enumerate(strongest.T)
        )
        return [next(reasons) if each != PAD else () for each in asked]

    def knows(self, anime_id: int) -> bool:
        """Whether the model can take this anime into account, and recommend it."""
        return bool(len(self._items([anime_id])))

    def _history(self, anime_ids: Collection[int]) -> History:
        """Raises NothingToGoOn where nothing is known."""
        anime_ids = collected(anime_ids)
        history = History.of(anime_ids, self.vocabulary)
        if not len(history.items):
            raise NothingToGoOn(why_nothing(anime_ids))
        return history

    def _items(self, anime_ids: Iterable[int]) -> np.ndarray:
        return known_items(anime_ids, self.vocabulary)

    @functools.cached_property
    def _space(self) -> ItemSpace:
        return ItemSpace.of(self._score.model)

    @functools.cached_property
    def _likeness(self) -> TitleLikeness:
        return TitleLikeness.of(self._score.model)

    def _leaning(self, niche: float, alike: float) -> Leaning:
        return Leaning.of(niche, alike, self._popularity, lambda: self._likeness)

    def _scored_many(self, people: Iterable[AskedPerson]) -> Iterator[tuple[History, np.ndarray, GivenScores]]:
        """For each person what is known of the history, the logarithms of the scores [N], -inf for what is in it or
        excluded, and the scores that were given."""
        people = iter(people)
        while part := list(itertools.islice(people, PEOPLE_AT_ONCE)):
            histories = [History.of(person.anime_ids, self.vocabulary) for person in part]
            asked = [each if len(each.items) else NO_HISTORY for each in histories]
            excluded = [self._items(person.exclude) for person in part]
            scores = self._log_probabilities(asked, excluded, [person.recent for person in part])
            yield from zip(histories, scores, (person.scores for person in part), strict=True)

    def _log_probabilities(
        self, histories: list[History], excluded: list[np.ndarray], recents: Sequence[np.ndarray | None]
    ) -> np.ndarray:
        """The log of the softmax over what is neither in the history nor excluded, -inf for what is: [U, N]."""
        scores = self._score(histories)
        dated = [(user, recent) for user, recent in enumerate(recents) if recent is not None]
        if dated and self._recent_strengths is not None:
            whole = [histories[user] for user, _ in dated]
            newest = [each.newest(NEWEST) for each in whole]
            as_sets = self._score.as_sets([*whole, *newest])
            answers = zip(self._score(newest), as_sets[: len(whole)], as_sets[len(whole) :], strict=True)
            for (user, recent), (of_newest, *two) in zip(dated, answers, strict=True):
                scores[user] = self._recent_strengths.logits(scores[user], of_newest, recent, *two)
        return self._score.log_probabilities(scores, histories, excluded)

    def _best(
        self, scores: np.ndarray, top_k: int, lowered: np.ndarray | float, expected: Expectation | None, weight: float
    ) -> list[Recommendation]:
        """The best by the logarithms of the scores [N], `lowered` by so much, and by what is expected of the person."""
        best = best_columns(scores - lowered, top_k, expected, weight)
        probability = np.exp(scores[best].astype(np.float64)).tolist()
        return list(map(Recommendation, self.vocabulary.decode(best + 1).tolist(), probability))
