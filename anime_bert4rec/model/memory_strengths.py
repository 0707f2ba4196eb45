"""How much each term of the memory counts for, as a function of how many items are visible.

The model is a softmax of a weighted sum, so finding the likeliest strengths is a convex problem, and Newton's method
solves it in a few steps. Where much is wanted of each list, the likelihood asks for the order of all of it, down to
what only few people have. People see the first ten. So there the strengths are those with which something that is
wanted most likely comes first; model/memory_ranking.py goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from anime_bert4rec.model.visible_items import is_item
from anime_bert4rec.support.slices import slices

KNOTS = 10
"""Strengths are known at 1, 2, 4, … 512 visible items, and in between they change with the logarithm of the number."""
START = 0.3
"""The value of every strength before the first step."""
ROUGHNESS, SIZE = 0.01, 1e-4
"""What the penalties weigh: the square of the second difference of neighbouring strengths, and that of a strength."""
GAIN_ENOUGH = 1e-4
"""The gain, in nats, below which no further step is made."""
GAIN_OF_LAST = 2e-3
"""The gain below which a step is the last one: what is left to gain after it is about the square of that."""
MOST_STEPS = 20
ROUNDS = 2
"""In how many rounds the strengths are found with which something wanted comes first; more make the differences larger,
and the order no better (benchmarks/LOG.md)."""
AMONG = 30
"""For lists in order, strengths are fitted in the end among so many items that come first, where people look."""
LEAST_FACTOR = 0.05
NUMBERS_AT_ONCE = 2**16
"""How many numbers of each term are processed at once, so that they stay in the processor's cache."""


def hats(counts: Tensor, knots: int, doublings: int = 1) -> Tensor:
    """How much of what is known at each knot goes into what is interpolated at these counts [R]: [R, knots].

    The knots are at 1, 2, 4, …, or with more `doublings` from one to the next further apart.
    """
    place = (counts.clamp_min(1).log2() / doublings).clamp_max(knots - 1)
    return (1 - (place[:, None] - torch.arange(knots, device=counts.device)).abs()).clamp_min(0)


class StrengthExamples(NamedTuple):
    """What strengths are fitted on: what the terms say of M lists, what is visible of these, and what is wanted."""

    terms: Tensor
    """float16 [M, T, N]"""
    shares: Tensor
    """[M, K] how much of what is known at each of K knots a list has."""
    seen: Tensor
    """[M, any] columns that are no candidates; every row has some."""
    of_targets: Tensor
    """[M, T] what each term says of what is wanted, the mean if that are several items."""
    weights: Tensor
    """[M] what each list counts for."""
    sides: int = 1
    """Into how many equal parts the K knots fall: 2 where those of lists shown in part come first, and those of whole
    ones after them (`both_sides`). Strengths are smooth within a part."""

    @classmethod
    def of(
        cls,
        terms: Sequence[Tensor],
        shares: Tensor,
        visible: Tensor,
        wanted: tuple[Tensor, Tensor],
        weights: Tensor | None = None,
        sides: int = 1,
    ) -> StrengthExamples:
        """visible: items [M, any], others than 1 … N don't count; wanted: rows and items, in any number."""
        of_targets = torch.stack([mean_of(term, wanted) for term in terms], 1)
        said = torch.stack([term.half() for term in terms], 1)
        seen = _columns(visible, said.shape[2])
        return cls(said, shares, seen, of_targets, torch.ones(len(said)) if weights is None else weights, sides)

    def with_first_term(self, term: Tensor, wanted: tuple[Tensor, Tensor]) -> StrengthExamples:
        """The same examples, with other values of the first term."""
        terms, of_targets = self.terms.clone(), self.of_targets.clone()
        terms[:, 0], of_targets[:, 0] = term, mean_of(term, wanted)
        return self._replace(terms=terms, of_targets=of_targets)


def mean_of(term: Tensor, wanted: tuple[Tensor, Tensor]) -> Tensor:
    """What a term says of what is wanted of each list, in the mean [M]. wanted: rows and items."""
    rows, items = wanted
    number = torch.zeros(len(term)).index_add_(0, rows, torch.ones(len(rows))).clamp_min_(1)
    return torch.zeros(len(term)).index_add_(0, rows, term[rows, items - 1]) / number


def joined(parts: Sequence[StrengthExamples]) -> StrengthExamples:
    """The lists of all parts, one part after the other."""
    widest = max(part.seen.shape[1] for part in parts)
    seen = torch.cat([torch.cat([part.seen, part.seen[:, :1].expand(-1, widest - part.seen.shape[1])], 1)
                      for part in parts])  # fmt: skip
    terms, shares, of_targets, weights = (
        torch.cat([getattr(part, name) for part in parts]) for name in ("terms", "shares", "of_targets", "weights")
    )
    return StrengthExamples(terms, shares, seen, of_targets, weights, parts[0].sides)


def _columns(visible: Tensor, num_items: int) -> Tensor:
    there = is_item(visible, num_items)
    some = torch.where(there, visible, 0).amax(1, keepdim=True)
    return torch.where(there, visible, some) - 1


def likeliest_strengths(examples: StrengthExamples, start: Tensor | None = None) -> tuple[float, Tensor]:
    """The mean log likelihood of the targets, less what the strengths cost, and the strengths [T, K] at which it is
    highest."""
    terms, knots = examples.terms.shape[1], examples.shares.shape[1]
    shares = examples.shares.double()
    strength = torch.full((terms, knots), START, dtype=torch.double) if start is None else start.double()
    cost = penalty(knots, examples.sides)
    best, gradient, curvature = _quality(examples, shares, strength, cost)
    for _ in range(MOST_STEPS):
        step = torch.linalg.solve(curvature, gradient.flatten()).view_as(strength)
        expected = float((step * gradient).sum()) / 2
        if expected < GAIN_OF_LAST:
            if expected >= GAIN_ENOUGH:
                best, strength = best + expected, strength + step
            break
        for _ in range(5):
            tried = _quality(examples, shares, strength + step, cost)
            if tried[0] > best:
                break
            step /= 4
        else:
            break
        strength = strength + step
        best, gradient, curvature = tried
    return best, strength.float()


def first_place_strengths(
    examples: StrengthExamples,
    wanted: tuple[Tensor, Tensor],
    start: Tensor | None = None,
    rounds: int = ROUNDS,
) -> Tensor:
    """The strengths [T, K] with which one item, drawn as the softmax has it, most likely is any of what is wanted.

    By expectation and maximization: each item that is wanted counts for its share of what all that is wanted of its
    list has by the strengths of the round before. wanted: rows and items.
    """
    rows, items = wanted
    said = examples.terms[rows, :, items - 1].float()
    strength = likeliest_strengths(examples)[1] if start is None else start
    of_rows = examples.shares
    for _ in range(rounds):
        logits = (said * (of_rows @ strength.t())[rows]).sum(1)
        highest = torch.full((len(of_rows),), -torch.inf).scatter_reduce_(0, rows, logits, "amax")
        shares = logits.sub(highest[rows]).exp_()
        shares /= _sums(rows, shares, len(of_rows))[rows]
        of_targets = torch.stack([_sums(rows, of_term * shares, len(of_rows)) for of_term in said.unbind(1)], 1)
        strength = likeliest_strengths(examples._replace(of_targets=of_targets), strength)[1]
    return strength


def _sums(rows: Tensor, values: Tensor, number: int) -> Tensor:
    return torch.zeros(number).index_add_(0, rows, values)


def strengths_for_the_first(examples: StrengthExamples, targets: Tensor, strength: Tensor) -> Tensor:
    """The strengths [T, K] at which targets [M] are the likeliest among the AMONG items that `strength` has first;
    those that aren't there don't count."""
    of_rows, first = examples.shares @ strength.t(), []
    for rows in parts_of_rows(examples):
        logits = torch.bmm(of_rows[rows, None], examples.terms[rows].float())[:, 0]
        logits.scatter_(1, examples.seen[rows], -torch.inf)
        first.append(logits.topk(min(AMONG, logits.shape[1]), 1)[1])
    columns = torch.cat(first)
    found = (columns == targets[:, None] - 1).any(1).nonzero()[:, 0]
    if not len(found):
        return strength
    said = examples.terms[found].gather(2, columns[found, None].expand(-1, examples.terms.shape[1], -1))
    nothing = torch.full((len(found), 1), said.shape[2])  # a column more, which is then no candidate
    said = torch.cat([said, torch.zeros_like(said[:, :, :1])], 2)
    among = StrengthExamples(
        said, examples.shares[found], nothing, examples.of_targets[found], examples.weights[found], examples.sides
    )
    return likeliest_strengths(among, strength)[1]


def penalty(knots: int, sides: int = 1, roughness: float = ROUGHNESS) -> Tensor:
    """What the strengths of a term cost: their product with this [knots, knots] before and behind it. Nothing ties
    those of one side to those of another."""
    one = torch.eye(knots // sides, dtype=torch.double)
    bend = one.diff(n=2, dim=0) if len(one) > 2 else one[:0]
    return torch.block_diag(*[roughness * bend.t() @ bend + SIZE * one] * sides)


def calibrated(examples: StrengthExamples, strength: Tensor) -> Tensor:
    """The same strengths times a factor for each knot, with which they are the likeliest.

    It is never so small that what ranks well would say nothing, or the opposite.
    """
    of_rows = examples.shares @ strength.t()
    in_all = torch.stack([of_row @ terms.float() for of_row, terms in zip(of_rows, examples.terms, strict=True)]).half()
    of_targets = (of_rows * examples.of_targets).sum(1, keepdim=True)
    factors = likeliest_strengths(examples._replace(terms=in_all[:, None], of_targets=of_targets))[1]
    return strength * factors.clamp_min(LEAST_FACTOR)


def _quality(
    examples: StrengthExamples, shares: Tensor, strength: Tensor, cost: Tensor
) -> tuple[float, Tensor, Tensor]:
    """The mean log likelihood less the cost, its gradient [T, K] and the negative of its curvature."""
    number, costs = float(examples.weights.sum()), torch.block_diag(*[cost] * len(strength))
    likelihood, gradient, curvature = log_likelihood(examples, shares, strength, parts_of_rows(examples))
    quality = likelihood / number - float((strength @ cost * strength).sum())
    return quality, gradient / number - 2 * strength @ cost, curvature / number + 2 * costs


def log_likelihood(
    examples: StrengthExamples, shares: Tensor, strength: Tensor, parts: Iterable[slice]
) -> tuple[float, Tensor, Tensor]:
    """The sum of the log likelihoods, its gradient [T, K] and the negative of its curvature [T · K, T · K].

    shares: float64 [M, K], how much each knot counts for. parts: the lists, some at a time.
    """
    of_rows = shares @ strength.t().to(shares.device)
    totals, means, products = [], [], []
    for rows in parts:
        said = examples.terms[rows].float()
        logits = torch.bmm(of_rows[rows, None].float(), said)[:, 0].scatter_(1, examples.seen[rows], -torch.inf)
        highest = logits.amax(1, keepdim=True)
        chances = logits.sub_(highest).exp_()
        total = chances.sum(1, keepdim=True)
        weighted = said * chances.div_(total)[:, None]
        totals.append((total.log_() + highest)[:, 0])
        means.append(weighted.sum(2))
        products.append(torch.bmm(weighted, said.transpose(1, 2)))
    mean, counted = torch.cat(means), shares * examples.weights[:, None]
    spread = (torch.cat(products) - mean[:, :, None] * mean[:, None]).double()
    likelihoods = (of_rows * examples.of_targets).sum(1) - torch.cat(totals)
    gradient = (examples.of_targets - mean).double().t() @ counted
    curvature = torch.einsum("mab,mkl->akbl", spread, counted[:, :, None] * shares[:, None])
    size = strength.numel()
    return float((likelihoods * examples.weights).sum()), gradient.cpu(), curvature.reshape(size, size).cpu()


def parts_of_rows(examples: StrengthExamples) -> Iterator[slice]:
    """The lists, some at a time."""
    return slices(len(examples.shares), max(1, NUMBERS_AT_ONCE // examples.terms.shape[2]))
