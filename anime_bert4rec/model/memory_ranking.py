"""The strengths of the memory's terms with which the first ten are what is wanted.

Each pair of an item that is wanted and one that isn't counts for what NDCG@10 would lose if the two
changed places, times the logistic loss of how far apart their logits are (LambdaRank, Burges 2010). With the places of
one order that is a convex problem, of which Newton's method makes a step; the next step has the places of the order
that this one led to. A step knows nothing of items that are far behind, and may bring them to the front. So after it
all items are ranked anew, and a step that ranks worse is made shorter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from anime_bert4rec.model.memory_strengths import StrengthExamples, parts_of_rows, penalty
from anime_bert4rec.model.ndcg import gains, ideal
from anime_bert4rec.support.slices import slices

STEPS = 2
"""More steps change nothing that the ranking of a sample shows (benchmarks/LOG.md)."""
TRIES, SHORTER = 3, 4
"""How many lengths of a step are tried until it is given up, and by which factor each is shorter than the last."""
RANKING_ROUGHNESS = 0.05
"""What the square of the second difference of neighbouring strengths weighs, as ROUGHNESS in memory_strengths.py."""
DISTANCE, FEW = 0.3, 5
"""What the square of the distance from the start weighs with one visible title, and less with more, nothing from 2 to
the power of FEW on. With few titles many strengths rank equally well, and of these the ones at the start look more like
what a fan expects; others lead to what everybody has (benchmarks/LOG.md)."""
PLACES = 10
CANDIDATES = 50
"""So many items that come first are looked at to find a step."""
NO_CANDIDATE = -1e4
"""The logit of what is there only because there are fewer candidates."""
ROWS_AT_ONCE = 250


class Foremost(NamedTuple):
    """What comes first of each of R rankings, and what is wanted of it."""

    said: Tensor
    """float16 [R, T, C] what the terms say."""
    wanted: Tensor
    """bool [R, C]"""
    is_candidate: Tensor
    """bool [R, C]"""
    shares: Tensor
    """float64 [R, K] how much each knot counts for."""
    weights: Tensor
    """[R] what the gains of each ranking are multiplied by, so that they sum to the mean NDCG."""

    def in_order(self, rows: slice, strength: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The logits [r, C] from the highest to the lowest, what the terms say [r, T, C] and what is wanted [r, C]."""
        said, of_rows = self.said[rows].float(), (self.shares[rows] @ strength.double().t()).float()
        logits = torch.bmm(of_rows[:, None], said)[:, 0].masked_fill_(~self.is_candidate[rows], NO_CANDIDATE)
        logits, order = logits.sort(dim=1, descending=True, stable=True)
        said = said.gather(2, order[:, None].expand(-1, said.shape[1], -1))
        return logits, said, self.wanted[rows].gather(1, order)


def ranking_strengths(
    examples: StrengthExamples,
    wanted: tuple[Tensor, Tensor],
    strength: Tensor,
    grounds: Sequence[Tensor],
    steps: int = STEPS,
) -> tuple[float, Tensor]:
    """The mean NDCG@10 that `steps` from the given strengths [T, K] lead to, each of which raises it, and the
    strengths there.

    wanted: rows and items. grounds: bool [M or 1, N] each, what is neither wanted nor a candidate there; each ground
    counts as much as another, and has every list.
    """
    start, best = strength, ndcg(examples, wanted, strength, grounds)
    for _ in range(steps):
        step = step_from(foremost(examples, wanted, strength, grounds), strength, start, examples.sides)
        now, strength = better_along(step, examples, wanted, strength, grounds, best)
        if now == best:
            break
        best = now
    return best, strength


def better_along(
    step: Tensor,
    examples: StrengthExamples,
    wanted: tuple[Tensor, Tensor],
    strength: Tensor,
    grounds: Sequence[Tensor],
    best: float,
) -> tuple[float, Tensor]:
    """The NDCG@10 after a step, made shorter until it is above `best`, and the strengths there; `best` and the given
    strengths if it never is."""
    for shorter in range(TRIES):
        there = strength + step / SHORTER**shorter
        if (now := ndcg(examples, wanted, there, grounds)) > best:
            return now, there
    return best, strength


def ndcg(
    examples: StrengthExamples, wanted: tuple[Tensor, Tensor], strength: Tensor, grounds: Sequence[Tensor]
) -> float:
    """The mean NDCG@10 by these strengths on all grounds."""
    fronts, of_places = in_front(examples, wanted, strength, grounds, PLACES), gains_of(PLACES)
    return sum(float(weights @ (hits @ of_places[: hits.shape[1]])) for *_, hits, weights in fronts)


def foremost(
    examples: StrengthExamples, wanted: tuple[Tensor, Tensor], strength: Tensor, grounds: Sequence[Tensor]
) -> Foremost:
    """What comes first by these strengths on all grounds."""
    terms, parts = examples.terms.shape[1], []
    for rows, columns, is_candidate, hits, weights in in_front(examples, wanted, strength, grounds, CANDIDATES):
        said = examples.terms[rows].gather(2, columns[:, None].expand(-1, terms, -1))
        parts.append(Foremost(said, hits > 0, is_candidate, examples.shares[rows].double(), weights))
    return Foremost(*map(torch.cat, zip(*parts, strict=True)))


def in_front(
    examples: StrengthExamples, wanted: tuple[Tensor, Tensor], strength: Tensor, grounds: Sequence[Tensor], most: int
) -> Iterator[tuple[slice, Tensor, Tensor, Tensor, Tensor]]:
    """At most so many items that come first by these strengths, for some lists at a time on each ground: the rows of
    the lists, the items' columns [r, C], whether they are candidates, 1 for those that are wanted, and the weights [r]
    of these rankings, as `Foremost` has them."""
    lists, _, items = examples.terms.shape
    is_wanted = torch.zeros(lists, items)
    is_wanted[wanted[0], wanted[1] - 1] = 1
    best, weights = torch.from_numpy(ideal(PLACES)).float(), []
    for out in grounds:
        there = ~out.expand(lists, -1)[wanted[0], wanted[1] - 1]
        number = torch.zeros(lists, dtype=torch.long).index_add_(0, wanted[0], there.long())
        share = examples.weights * (number > 0) / best[number.clamp(1, PLACES)]
        weights.append(share / (examples.weights.sum() * len(grounds)))
    of_rows = examples.shares @ strength.t()
    for rows in parts_of_rows(examples):
        logits = torch.bmm(of_rows[rows, None], examples.terms[rows].float())[:, 0]
        logits.scatter_(1, examples.seen[rows], -torch.inf)
        for out, of_lists in zip(grounds, weights, strict=True):
            here = logits.masked_fill(out.expand(lists, -1)[rows], -torch.inf)
            highest, columns = here.topk(min(most, items), 1)
            is_candidate = highest > -torch.inf
            yield rows, columns, is_candidate, is_wanted[rows].gather(1, columns) * is_candidate, of_lists[rows]


def gains_of(count: int) -> Tensor:
    """What the items in the first `count` places gain; nothing behind the first ten."""
    return torch.from_numpy(gains(np.arange(1, count + 1), PLACES)).float()


def step_from(first: Foremost, strength: Tensor, start: Tensor, sides: int = 1) -> Tensor:
    """Newton's step [T, K] from these strengths, for the loss of all pairs with the places that these lead to, and
    what the distance from the strengths at the start costs."""
    (terms, knots), count = strength.shape, first.said.shape[2]
    top, of_places = min(PLACES, count), gains_of(count)
    apart = (of_places[:top, None] - of_places).abs()
    apart[:, :top] /= 2  # two of the first ten are a pair twice
    gradients, curvatures = [], []
    for rows in slices(len(first.said), ROWS_AT_ONCE):
        logits, said, wanted = first.in_order(rows, strength)
        of_top = said[:, :, :top]
        # 1 where the first of the two is wanted alone, -1 where the second is
        sign = wanted[:, :top, None].float() - wanted[:, None].float()
        wrong = torch.sigmoid((logits[:, None] - logits[:, :top, None]) * sign)
        pull = apart * first.weights[rows, None, None] * sign * wrong
        bend = pull * sign * (1 - wrong)
        gradients.append(
            torch.bmm(of_top, pull.sum(2)[:, :, None])[:, :, 0] - torch.bmm(said, pull.sum(1)[:, :, None])[:, :, 0]
        )
        across = torch.bmm(torch.bmm(said, bend.transpose(1, 2)), of_top.transpose(1, 2))
        within = torch.bmm(of_top * bend.sum(2)[:, None], of_top.transpose(1, 2))
        within += torch.bmm(said * bend.sum(1)[:, None], said.transpose(1, 2))
        curvatures.append(within - across - across.transpose(1, 2))
    cost, now = penalty(knots, sides, RANKING_ROUGHNESS), strength.double()
    near = DISTANCE * (1 - torch.arange(knots // sides) / FEW).clamp_min(0).double().repeat(sides)
    gradient = torch.cat(gradients).double().t() @ first.shares - 2 * now @ cost - 2 * (now - start) * near
    cost += near.diag()
    both = first.shares[:, :, None] * first.shares[:, None]
    curvature = torch.einsum("rab,rkl->akbl", torch.cat(curvatures).double(), both)
    for term in range(terms):
        curvature[term, :, term] += 2 * cost
    step = torch.linalg.solve(curvature.reshape(terms * knots, -1), gradient.flatten())
    return step.view(terms, knots).to(strength.dtype)
