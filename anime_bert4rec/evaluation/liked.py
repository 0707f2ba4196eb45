"""What held-out people like: how well their scores are predicted, and whether what ranks first is what they like.

Of each list the last fifth of what was scored is hidden (lists/scored_lists.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anime_bert4rec.evaluation.measuring import MODEL
from anime_bert4rec.evaluation.ranking import USERS_AT_ONCE, Scorer, mean_and_error
from anime_bert4rec.evaluation.report import wrapped
from anime_bert4rec.evaluation.score_errors import errors, rank_correlation
from anime_bert4rec.lists.people import ENOUGH_PEOPLE
from anime_bert4rec.lists.scored_lists import FEWEST_TO_ASK, ScoredList
from anime_bert4rec.lists.scores import Scores
from anime_bert4rec.model.ndcg import ndcg
from anime_bert4rec.model.predicted_scores import PredictedScores, standard
from anime_bert4rec.model.score_weight import FEWEST_ASKED, TOP
from anime_bert4rec.support.text import count_of, decimal

BY_CATALOGUE, BY_TRAINING_USERS = "AniList's mean score", "mean of the training users"
BY_LIST, BY_BOTH = "by list", "by both"
NOTES = (
    "Liked: a fifth of each person's scores is hidden. The rank correlation is that within a person, the error is in"
    " standard deviations of the person's scores. Liked is what is above the person's mean, disliked what is 15 points"
    " of 100 below it; who likes none, or gives one score to all, is not in what is said of that."
    f" What the score counts for, in brackets, was chosen on these same people if {FEWEST_ASKED} of"
    " them had scored enough."
)
Predictor = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From the items 1 … N and the scores of a person to the scores of all items [N]."""


@dataclass(frozen=True)
class Liked:
    """How well scores are predicted, and how much of the first ten is liked. Arrays have a value for each person, nan
    where there is none."""

    people: int
    hidden: int
    """How many scores are hidden."""
    weight: float
    """What the predicted score counts for in the ranking by both; nothing in models of earlier versions."""
    predicted: dict[str, dict[str, np.ndarray]]
    """By predictor: the rank correlation, and the mean error in standard deviations of the person."""
    ranked: dict[str, dict[str, np.ndarray]]
    """By what is ranked by: the NDCG@10 of all hidden titles and of those that are liked, and how many of the first ten
    are disliked."""


def measure_liked(
    scorer: Scorer, predicted: PredictedScores | None, training: Scores | None, questions: Sequence[ScoredList]
) -> Liked | str:
    """What comes of asking the model, and two simple predictors that are fitted on the training users' scores; or why
    nobody is asked."""
    if predicted is None:
        return "this model predicts no scores"
    if training is None or not len(training.items):
        return "nobody who was trained on has scored anything"
    if len(questions) < ENOUGH_PEOPLE:
        few = "nobody" if not questions else f"only {len(questions)}" if len(questions) > 1 else "only one"
        return f"of those who are asked, {few} scored {FEWEST_TO_ASK} titles"
    predictors = {
        MODEL: predicted.predict,
        BY_CATALOGUE: by_catalogue(training),
        BY_TRAINING_USERS: by_training_users(training),
    }
    weight = 0.0 if predicted.weight is None else float(predicted.weight[0])
    return Liked(
        len(questions),
        sum(len(each.hidden) for each in questions),
        weight,
        {name: how_near(predictor, questions) for name, predictor in predictors.items()},
        how_liked(scorer, predicted, {BY_LIST: 0.0, BY_BOTH: weight}, questions),
    )


def how_near(predictor: Predictor, questions: Sequence[ScoredList]) -> dict[str, np.ndarray]:
    """The rank correlation and the mean error of each person."""
    correlations, off = [], []
    for each in questions:
        found = predictor(each.items, each.scores)[each.hidden - 1]
        spread = float(each.all_scores.std())
        correlations.append(rank_correlation(found, each.given))
        off.append(errors(found, each.given, spread).mean() if spread else np.nan)
    return {"correlation": np.array(correlations), "error": np.array(off)}


def how_liked(
    scorer: Scorer, predicted: PredictedScores, weights: dict[str, float], questions: Sequence[ScoredList]
) -> dict[str, dict[str, np.ndarray]]:
    """What is among the first ten of each person, ranked with each of the weights of the predicted scores, by name."""
    rows: dict[str, list[tuple[float, float, float]]] = {name: [] for name in weights}
    for start in range(0, len(questions), USERS_AT_ONCE):
        part = questions[start : start + USERS_AT_ONCE]
        for logits, each in zip(scorer([each.history for each in part]), part, strict=True):
            logits[each.seen - 1] = -np.inf
            expected = predicted.given(each.items, each.scores)
            for name, weight in weights.items():
                rows[name].append(_of_first(expected.best(logits, weight, TOP) + 1, each))
    return {
        name: dict(zip(("all", "liked", "disliked"), np.array(of_people).reshape(-1, 3).T, strict=True))
        for name, of_people in rows.items()
    }


def _of_first(ranked: np.ndarray, asked: ScoredList) -> tuple[float, float, float]:
    liked = ndcg(ranked, asked.liked) if len(asked.liked) else np.nan
    return ndcg(ranked, asked.hidden), liked, float(np.isin(ranked, asked.disliked).sum())


def by_catalogue(training: Scores) -> Predictor:
    """AniList's mean score, brought to standard deviations by the line that fits the training users best."""
    known = np.isfinite(training.of_catalogue)
    if not known.any():
        return _of_means(np.zeros(training.num_items))
    score = np.where(known, training.of_catalogue, training.of_catalogue[known].mean())
    if np.ptp(score[training.items - 1]) == 0:
        return _of_means(np.zeros(training.num_items))
    slope, start = np.polyfit(score[training.items - 1], _standardised(training), 1)
    return _of_means(start + slope * score)


def by_training_users(training: Scores) -> Predictor:
    """The mean of the training users' standardised scores; 0, their own means, for what none of them has scored."""
    count = np.bincount(training.items - 1, minlength=training.num_items)
    total = np.bincount(training.items - 1, _standardised(training), training.num_items)
    return _of_means(total / np.maximum(count, 1))


def _standardised(training: Scores) -> np.ndarray:
    mean, spread = standard(training.values.astype(np.float64), training.person, training.people)
    return (training.values - mean[training.person]) / np.maximum(spread[training.person], 1e-6)


def _of_means(means: np.ndarray) -> Predictor:
    return lambda items, scores: scores.mean() + scores.std() * means


def table(liked: Liked) -> str:
    """Both sets of numbers, a row for each predictor and for each ranking, within 80 columns."""
    lines = [f"Liked ({count_of(liked.people, 'user')}, {liked.hidden:,} hidden scores)"]
    lines.append(f"{'predicted by':30}{'rank correlation':>20}{'error':>18}")
    for name, values in liked.predicted.items():
        lines.append(f"{name:30}{_cell(values['correlation']):>20}{_cell(values['error']):>18}")
    lines.append(f"{'first ten':14}{'NDCG@10 of liked':>20}{'NDCG@10 of all':>20}{'disliked of ten':>20}")
    for name, values in liked.ranked.items():
        title = f"{name} ({liked.weight:g})" if name == BY_BOTH else name
        cells = "".join(f"{_cell(values[what]):>20}" for what in ("liked", "all", "disliked"))
        lines.append(f"{title:14}{cells}")
    return "\n".join(lines)


def paragraphs(liked: Liked | str) -> list[str]:
    """The table and what it means, or why there is none, within 80 columns."""
    if isinstance(liked, str):
        return [wrapped(f"Liked was left out: {liked}.")]
    return [table(liked), wrapped(NOTES)]


def short_lines(liked: Liked | str) -> list[str]:
    """The outcome in a line of at most 80 characters, if there is one."""
    if isinstance(liked, str):
        return []
    found = [liked.ranked[BY_LIST]["liked"], liked.ranked[BY_BOTH]["liked"], liked.predicted[MODEL]["correlation"]]
    if not all(np.isfinite(values).any() for values in found):
        return []
    by_list, by_both, correlation = (decimal(np.nanmean(values)) for values in found)
    return [f"Liked: NDCG@10 {by_list} by list, {by_both} by both; rank correlation {correlation}"]


def as_json(liked: Liked | str) -> dict[str, Any]:
    """Every number with its standard error and of how many people it is, or why there is none."""
    if isinstance(liked, str):
        return {"skipped": liked}

    def number(array: np.ndarray) -> dict[str, float | int | None]:
        known = array[np.isfinite(array)]
        mean, error = mean_and_error(known) if len(known) else (None, None)
        return {"mean": mean, "error": error, "users": len(known)}

    def values(of_names: dict[str, dict[str, np.ndarray]]) -> dict[str, Any]:
        return {name: {what: number(array) for what, array in each.items()} for name, each in of_names.items()}

    return {
        "users": liked.people,
        "hidden_scores": liked.hidden,
        "weight": liked.weight,
        "predicted": values(liked.predicted),
        "ranked": values(liked.ranked),
    }


def _cell(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    if not len(known):
        return "–"
    mean, error = mean_and_error(known)
    return f"{decimal(mean)} ± {decimal(error)}"
