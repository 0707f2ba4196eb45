"""Which score somebody would give to a title: Gaussian process regression on the person's other scores, in closed form.

Scores are standardised for each person. Each item has a mean, shrunk to what AniList's mean score leads one to expect.
How a person differs from the means is taken for a draw from a normal distribution over all items, in which two items
vary together as they did in what people scored, each item scaled down the fewer its scores are, and as much as they
have in common by the catalogue. Given some scores of a person, the expectation of all others is a ridge regression on
the factors of that covariance; it knows nothing else of the person, so that a score that is not given has no influence
at all.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from anime_bert4rec.lists.scores import Scores
from anime_bert4rec.lists.sequences import Sequences
from anime_bert4rec.model.torch_settings import on_the_cpu_in_float32
from anime_bert4rec.support.forms import WrongForm
from anime_bert4rec.support.text import count_of, count_people

log = logging.getLogger(__name__)

FACTORS = 320
"""The covariance of the items is kept as this many factors for each, 4 MB for 3,000 items."""
MOST_FACTORS = 4_096
"""A file with more for each item is refused."""
FEWEST_PEOPLE = 10
"""Nothing is learnt from fewer people with two scores or more."""
FEWEST_TO_LEARN_FROM = 2
"""Somebody with fewer scores is not learnt from."""
OF_TYPICAL = 2.0
"""The mean and the spread of a person are shrunk to the typical ones as though by this many scores."""
OF_EXPECTED = 20.0
"""The mean of an item is shrunk to the expected one as though by this many scores."""
OF_NO_OFFSET = 3.0
"""How much a person's scores are above the means of their items is shrunk to 0 as though by this many scores."""
FEW_SCORES = 100.0
"""An item with this many scores varies with others by half of what it would with very many."""
ALIKE_VARIANCE = 0.4
"""The mean variance of the items that is due to what they have in common; a person's scores have variance 1."""
OFFSET_VARIANCE = 0.05
"""The variance of what all scores of a person have in common."""
NOISE = 0.5
"""The variance of a score that nothing explains."""
ROUNDS, ITERATIONS = 5, 3
ITEM_VARIANCE = 0.6
"""An item has at least this variance where nothing is known of it: with few scores, its factors alone have less."""


@dataclass(frozen=True)
class Expectation:
    """What is expected of the scores of one person."""

    mean: float
    """The mean of the person's scores, shrunk to that of a typical person."""
    spread: float
    """Their standard deviation, shrunk likewise."""
    values: np.ndarray
    """[N]: the expected score of each item, in standard deviations above the mean."""
    uncertainty: Callable[[np.ndarray], np.ndarray]
    """Of some columns, by how many standard deviations the person's opinion may differ from what is expected."""
    most_uncertain: np.ndarray
    """[N]: the same of somebody of whom nothing is known, which is never less."""

    def of_100(self) -> np.ndarray:
        """The expected scores of 100 [N]."""
        return np.clip(self.mean + self.spread * self.values, 1, 100)

    def cautious(self) -> np.ndarray:
        """The expected scores less their uncertainty [N]."""
        return self.values - self.uncertainty(np.arange(len(self.values)))

    def best(self, others: np.ndarray, weight: float, count: int) -> np.ndarray:
        """The columns that rank highest, the best first, by the sum of `others` [N] and of the expected scores less
        their uncertainty, times the weight. Columns that are -inf in `others` are left out; of equals the first wins.

        The uncertainty is only computed for what can be among the highest.
        """
        count = min(count, int((others > -np.inf).sum()))
        if count <= 0:
            return np.zeros(0, np.int64)
        at_most = others + weight * self.values
        at_least = at_most - weight * self.most_uncertain
        some = np.flatnonzero(at_most >= np.partition(at_least, -count)[-count])
        ranked_by = at_most[some] - weight * self.uncertainty(some)
        return some[np.lexsort((some, -ranked_by))[:count]]


@dataclass(frozen=True)
class PredictedScores:
    """What is learnt of scores: a mean and factors for each item, and how people score."""

    mean: np.ndarray
    """float32 [N]: the mean of each item, in standard deviations of a person above the person's mean."""
    factors: np.ndarray
    """float32 [N, K]: the covariance of two items is the product of their factors."""
    typical: np.ndarray
    """float32 [2]: the mean and the standard deviation of the scores of a typical person, of 100."""

    weight: np.ndarray | None = None
    """float32 [1]: what predicted scores count for beside what is listed (model/score_weight.py), once it is known."""

    def predict(self, items: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """The scores of 100 that a person would give to each of the items 1 … N [N].

        items [E], scores [E] of 100: what the person has scored, which may be nothing.
        """
        return self.given(items, scores).of_100()

    @on_the_cpu_in_float32()
    def given(self, items: np.ndarray, scores: np.ndarray) -> Expectation:
        """What is expected of a person's scores, as in `predict`. Of few scores as many equations are solved as there
        are scores, of many as many as there are factors, which gives the same."""
        mean, spread = (float(each[0]) for each in standard(scores, np.zeros(len(scores), np.int64), 1, self.typical))
        differs = (scores.astype(np.float64) - mean) / spread - self.mean[items - 1]
        known = self._with_offset(items - 1)
        few = len(items) < known.shape[1]
        noise = NOISE * torch.eye(min(known.shape), dtype=torch.double)
        root = torch.linalg.cholesky((known @ known.T if few else known.T @ known) + noise)

        def squares(right: Tensor) -> np.ndarray:
            return torch.linalg.solve_triangular(root, right, upper=False).square().sum(0).numpy()

        def solve_both(right: Tensor) -> Tensor:
            return torch.cholesky_solve(right[:, None], root)[:, 0]

        off = torch.from_numpy(differs)
        weights = known.T @ solve_both(off) if few else solve_both(known.T @ off)
        by_factors = (torch.from_numpy(self.factors) @ weights[:-1].float()).numpy()
        values = self.mean + by_factors + OFFSET_VARIANCE**0.5 * float(weights[-1])
        variance, unexplained = self._variances

        @on_the_cpu_in_float32()
        def uncertainty(columns: np.ndarray) -> np.ndarray:
            factors = self._with_offset(columns)
            left = variance[columns] - squares(known @ factors.T) if few else NOISE * squares(factors.T)
            return np.sqrt(np.maximum(left, 0) + unexplained[columns])

        return Expectation(mean, spread, values, uncertainty, np.sqrt(variance + unexplained))

    def _with_offset(self, columns: np.ndarray) -> Tensor:
        """The factors of some items and what all scores of a person have in common, float64 [E, K + 1].

        For torch: NumPy's threads wait spinning, which costs several times as much as products of this size.
        """
        offset = np.full((len(columns), 1), OFFSET_VARIANCE**0.5)
        return torch.from_numpy(np.concatenate([self.factors[columns], offset], 1))

    @functools.cached_property
    def _variances(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each item [N]: what the factors say, and what is left of ITEM_VARIANCE."""
        variance = np.einsum("nk,nk->n", self.factors, self.factors) + OFFSET_VARIANCE
        return variance, np.maximum(ITEM_VARIANCE - variance, 0)

    def tensors(self) -> dict[str, Tensor]:
        """The form in which they are kept in a model file."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: torch.from_numpy(array) for name, array in arrays.items() if array is not None}

    def with_weight(self, weight: float) -> PredictedScores:
        return replace(self, weight=np.array([weight], np.float32))

    @classmethod
    def of_tensors(cls, saved: Mapping[str, Tensor], num_items: int) -> PredictedScores:
        """Raises WrongForm for what `tensors` does not give of a model with this many items."""
        if saved.keys() | {"weight"} != {"mean", "factors", "typical", "weight"}:
            raise WrongForm("its predicted scores have other parts")
        for name, tensor in saved.items():
            first = {"typical": 2, "weight": 1}.get(name, num_items)
            dimensions = 2 if name == "factors" else 1
            if tensor.dtype != torch.float32 or tensor.dim() != dimensions or len(tensor) != first:
                raise WrongForm(f"{name} of its predicted scores is of another form")
            if tensor.numel() and not torch.stack(tensor.aminmax()).isfinite().all():
                raise WrongForm(f"{name} of its predicted scores has numbers that are not finite")
        if not (1 <= saved["typical"][0] <= 100 and 0 < saved["typical"][1] <= 100):
            raise WrongForm("nobody scores as its typical person does")
        if "weight" in saved and saved["weight"][0] < 0:
            raise WrongForm("its predicted scores count for less than nothing")
        if saved["factors"].shape[1] > MOST_FACTORS or max(map(_largest, saved.values())) > 1e4:
            raise WrongForm("its predicted scores are larger than any")
        return cls(**{name: tensor.contiguous().numpy() for name, tensor in saved.items()})


def _largest(tensor: Tensor) -> float:
    return float(tensor.abs().max()) if tensor.numel() else 0.0


def fit_scores(scores: Scores, alike: Sequences | None = None) -> PredictedScores | None:
    """What these scores tell, or None if they are of too few people. alike: as for `fit_memories`."""
    clock = time.perf_counter()
    enough = (np.bincount(scores.person) >= FEWEST_TO_LEARN_FROM)[scores.person]
    items, values = scores.items[enough] - 1, scores.values[enough].astype(np.float64)
    _, person = np.unique(scores.person[enough], return_inverse=True)
    people = int(person[-1]) + 1 if len(person) else 0
    if people < FEWEST_PEOPLE:
        few = f"fewer than {FEWEST_PEOPLE} people to learn from have scored {FEWEST_TO_LEARN_FROM} titles or more"
        log.info("No scores will be predicted: %s.", few)
        return None
    plain_mean, plain_spread = standard(values, person, people)
    scoring = plain_spread > 0  # who gives one score to everything tells nothing of how far scores spread
    spread_of_most = float(np.median(plain_spread[scoring])) if scoring.any() else 10.0
    typical = np.array([np.median(plain_mean), spread_of_most], np.float32)
    mean, spread = standard(values, person, people, typical)
    standardised = (values - mean[person]) / spread[person]
    of_alike = None if alike is None else _features(alike, scores.num_items)
    item_mean, offset = _item_means(standardised, items, person, people, scores.of_catalogue)
    differs = standardised - item_mean[items] - offset[person]
    count = np.bincount(items, minlength=scores.num_items)
    scaled = differs / np.sqrt(count[items] + FEW_SCORES)
    parts = [_sparse(items, person, scaled, (scores.num_items, people))]
    if of_alike is not None:
        parts.append(of_alike * ALIKE_VARIANCE**0.5)
    factors = _factors(torch.cat(parts, 1).coalesce())
    found = PredictedScores(item_mean.astype(np.float32), factors, typical)
    learnt_from, took = f"{count_of(len(values), 'score')} of {count_people(people)}", time.perf_counter() - clock
    log.info("Predicted scores: learnt from %s in %.1f s.", learnt_from, took)
    return found


def standard(
    values: np.ndarray, person: np.ndarray, people: int, typical: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the standard deviation of each person's scores [people], shrunk to the typical ones if given."""
    shrink = 0.0 if typical is None else OF_TYPICAL
    usual, usual_spread = (0.0, 0.0) if typical is None else map(float, typical)
    count = np.bincount(person, minlength=people)
    total = np.bincount(person, values, people)
    own = total / np.maximum(count, 1)
    squares = np.bincount(person, (values - own[person]) ** 2, people)
    mean = (total + shrink * usual) / np.maximum(count + shrink, 1)
    return mean, np.sqrt((squares + shrink * usual_spread**2) / np.maximum(count + shrink, 1))


def _item_means(
    standardised: np.ndarray,
    items: np.ndarray,
    person: np.ndarray,
    people: int,
    of_catalogue: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The mean of each item [N], and how much each person's scores are above those of their items [people].

    An item's own mean is shrunk to the parabola of AniList's mean score that fits all items best.
    """
    known = np.isfinite(of_catalogue)
    center, width = (of_catalogue[known].mean(), of_catalogue[known].std() + 1e-6) if known.any() else (0.0, 1.0)
    x = np.where(known, (of_catalogue - center) / width, 0)
    curve = np.stack([np.ones(len(x)), ~known, x, x * x], 1).astype(np.float64)
    count = np.bincount(items, minlength=len(x)).astype(np.float64)
    counts_of_person = np.bincount(person, minlength=people)
    offset = np.zeros(people)
    for _ in range(ROUNDS):
        total = np.bincount(items, standardised - offset[person], len(x))
        gram = (curve * count[:, None]).T @ curve + 1e-3 * np.eye(curve.shape[1])
        expected = curve @ np.linalg.solve(gram, curve.T @ total)
        mean = (total + OF_EXPECTED * expected) / (count + OF_EXPECTED)
        offset = np.bincount(person, standardised - mean[items], people) / (counts_of_person + OF_NO_OFFSET)
    return mean, offset


def _features(alike: Sequences, num_items: int) -> Tensor:
    """Sparse [N, groups]: which groups each item is in, the smaller the weightier; the mean of the squares is 1."""
    group = np.repeat(np.arange(len(alike)), alike.lengths)
    weight = alike.lengths[group] ** -0.25
    scale = np.sqrt(max(float((weight**2).sum()), 1e-9) / num_items)
    return _sparse(alike.items - 1, group, weight / scale, (num_items, len(alike)))


def _sparse(rows: np.ndarray, columns: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> Tensor:
    at = torch.from_numpy(np.stack([rows, columns]).astype(np.int64))
    return torch.sparse_coo_tensor(
        at, torch.from_numpy(values.astype(np.float32)), shape, check_invariants=True
    ).coalesce()


def _factors(table: Tensor) -> np.ndarray:
    """The largest factors [N, FACTORS at most] of a sparse table [N, M] times its transpose, by subspace iteration
    (Halko, Martinsson and Tropp 2011)."""
    count, transposed = min(FACTORS, *table.shape), table.t().coalesce()
    start = np.random.default_rng(0).standard_normal((table.shape[1], count)).astype(np.float32)
    basis = torch.linalg.qr(torch.sparse.mm(table, torch.from_numpy(start)))[0]
    for _ in range(ITERATIONS):
        basis = torch.linalg.qr(torch.sparse.mm(table, torch.sparse.mm(transposed, basis)))[0]
    of_basis = torch.sparse.mm(transposed, basis)
    values, vectors = torch.linalg.eigh(of_basis.t() @ of_basis)
    return (basis @ vectors * values.clamp_min(0).sqrt()).contiguous().numpy()
