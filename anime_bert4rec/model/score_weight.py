"""How much predicted scores count for beside what is listed, when titles are ranked by both.

Who follows a recommendation wants to like it. So titles are ranked by the logarithm of the probability that they are
listed, plus a weight times the predicted score, less its uncertainty. Weights are compared on people who were not
learnt from, by the sum of two NDCG@10: that of the hidden titles that they liked, and that of all hidden titles. Of the
weights that are about as good as the best, the one nearest to the usual one is taken.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import numpy as np

from anime_bert4rec.lists.scored_lists import ScoredList
from anime_bert4rec.model.bert4rec import BERT4Rec
from anime_bert4rec.model.ndcg import ndcg
from anime_bert4rec.model.next_item_scorer import ModelScorer
from anime_bert4rec.model.predicted_scores import Expectation, PredictedScores
from anime_bert4rec.support.text import count_people, decimal

log = logging.getLogger(__name__)

WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
"""With more, others have no more of what they liked, and less of what they listed (benchmarks/LOG.md)."""
USUAL_WEIGHT = 0.4
"""What suits most (benchmarks/LOG.md): few people tell little, and then it stays with this."""
FEWEST_ASKED = 20
TOP = 10


def fit_weight(model: BERT4Rec, predicted: PredictedScores, questions: Sequence[ScoredList]) -> PredictedScores:
    """The predicted scores with the weight that suits these people, who were not learnt from.

    What they list is predicted by the model's memory, without the network, which has learnt nothing yet.
    """
    if model.memory is None or model.gate is None or len(questions) < FEWEST_ASKED:
        return predicted.with_weight(USUAL_WEIGHT)
    before, training = model.gate.values.clone(), model.training
    model.silence_network()
    logits = ModelScorer(model)([each.history for each in questions])
    model.gate.values.copy_(before)
    model.train(training)
    liked, listed = gains_of(logits, (predicted.given(each.items, each.scores) for each in questions), questions)
    if not liked.size:
        return predicted.with_weight(USUAL_WEIGHT)
    weight = nearest_of_the_best(liked + listed)
    chosen = WEIGHTS.index(weight)
    log.info(
        "Predicted scores: %g of each standard deviation counts; of %s, NDCG@10 of what they liked %s instead of %s, of"
        " all %s instead of %s.",
        weight,
        count_people(len(questions)),
        *(decimal(gains[which].mean()) for gains in (liked, listed) for which in (chosen, 0)),
    )
    return predicted.with_weight(weight)


def gains_of(
    logits: np.ndarray, expectations: Iterable[Expectation], questions: Sequence[ScoredList]
) -> tuple[np.ndarray, np.ndarray]:
    """The NDCG@10 of what each person liked of the hidden titles, and of all hidden titles, each by weight
    [len(WEIGHTS), U]. logits [U, N] are used up; who liked nothing that is hidden is left out."""
    gains = []
    for of_person, expected, question in zip(logits, expectations, questions, strict=True):
        if len(question.liked):
            of_person[question.seen - 1] = -np.inf
            best = [expected.best(of_person, weight, TOP) + 1 for weight in WEIGHTS]
            gains.append([[ndcg(ranked, wanted) for ranked in best] for wanted in (question.liked, question.hidden)])
    liked, listed = np.array(gains).reshape(-1, 2, len(WEIGHTS)).transpose(1, 2, 0)
    return liked, listed


def nearest_of_the_best(gains: np.ndarray) -> float:
    """Of the weights with which the mean gain is within a standard error of the highest, person by person, the nearest
    to the usual one; of two the lower.

    gains: by weight [len(WEIGHTS), U], of at least one person.
    """
    lost = gains[gains.mean(1).argmax()] - gains
    error = lost.std(1, ddof=1) / gains.shape[1] ** 0.5 if gains.shape[1] > 1 else np.zeros(len(gains))
    good = np.flatnonzero(lost.mean(1) <= error)
    return WEIGHTS[good[np.abs(good - WEIGHTS.index(USUAL_WEIGHT)).argmin()]]
