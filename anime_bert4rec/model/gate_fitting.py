"""Fits the gate between memory and network, on lists that neither was made of.

The logits are linear in the gate's weights, so that finding the likeliest weights is a convex problem, which Newton's
method solves in a few steps. A lower loss can come with a worse order of the first ten; so the weights that are taken
are on the line from the memory alone to the likeliest ones, where the NDCG is best. With few people it can't tell which
of two points is better: the best point would jump from epoch to epoch, and with it the loss by which the best epoch is
chosen. So the mean of all points that may be the best is taken, each weighed by how likely it is. The loss there is no
higher than that of the memory alone, because it is convex.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from anime_bert4rec.model.batches import Batch
from anime_bert4rec.model.bert4rec import BERT4Rec
from anime_bert4rec.model.gate import CUTS, GATE_KNOTS, MASKS, MEMORY, NETWORK, knot_shares
from anime_bert4rec.model.memory_strengths import StrengthExamples, log_likelihood
from anime_bert4rec.model.ndcg import discounts, ideal
from anime_bert4rec.model.visible_items import count_visible, visible_at
from anime_bert4rec.support.slices import slices

MOST_NUMBERS, ENOUGH_POSITIONS, MOST_NUMBERS_FOR_ENOUGH = 12_000_000, 1_500, 48_000_000
"""Positions are left out at random until memory and network have at most MOST_NUMBERS logits at the others. With many
items these would be too few to tell which weights rank best; then ENOUGH_POSITIONS are kept, or as many as have
MOST_NUMBERS_FOR_ENOUGH logits."""
DISTANCE, GATE_ROUGHNESS = 0.1, 0.1
"""What the penalties weigh: half the square of a weight's distance from 1 for the memory and 0 for the network, and
half the square of the difference of neighbouring weights. A list counts for its mean loss, however long it is."""
GAIN_ENOUGH = 1e-5
"""The gain, in nats a list, below which no further step is made."""
MOST_STEPS = 20
PARTS_OF_THE_WAY = (0.0, 0.25, 0.5, 0.75, 1.0)
"""From the memory alone to the likeliest weights."""
NO_ERROR = 1e-12
"""Stands for the standard error of the difference between points that rank everything alike."""
NUMBERS_AT_ONCE = 2**19
"""How many logits are processed at once, so that they stay in the processor's cache."""


class GateExamples(NamedTuple):
    """What memory and network say at M positions, and what is wanted there."""

    said: Tensor
    """float32 [M, 2, N]: of memory and network."""
    counts: Tensor
    """[M]: how many items are visible."""
    targets: Tensor
    """int64 [M, A]: columns of what is wanted, -1 behind the last."""
    weights: Tensor
    """float64 [M]: what each position counts for; they sum to the number of lists."""
    seen: Tensor
    """bool [M, N]: what is visible, and not to be ranked."""
    shares_of_ndcg: Tensor
    """float64 [M]: what each position counts for in the mean NDCG; they sum to 1."""

    @property
    def shares(self) -> Tensor:
        """float64 [M, GATE_KNOTS]: how much each knot counts for."""
        return knot_shares(self.counts).double()

    def among_all(self) -> StrengthExamples:
        """The same for `log_likelihood`; what is visible is a candidate, too."""
        real = self.targets >= 0
        at = self.targets.clamp_min(0)[:, None].expand(-1, 2, -1)
        of_targets = (self.said.gather(2, at) * real[:, None]).sum(2).double() / real.sum(1, keepdim=True)
        return StrengthExamples(self.said, self.shares, self.targets[:, :0], of_targets, self.weights)


class GateFitting:
    """Fits a model's gate after each epoch, on always the same positions of lists that are not trained on."""

    def __init__(self, model: BERT4Rec, batches: Iterable[Batch], lists: int) -> None:
        """batches: with targets, of masks, of cuts or of both. lists: how many they are of."""
        self.batches: dict[int, list[Batch]] = {}
        self.examples: dict[int, GateExamples] = {}
        for batch in _thinned(list(batches), most_positions(model.config.num_items)):
            self.batches.setdefault(MASKS if batch.cuts is None else CUTS, []).append(batch)
        for kind, some in self.batches.items():
            self.examples[kind] = _examples_of(model, some, lists)

    @torch.no_grad()
    def fit(self, model: BERT4Rec) -> None:
        """Give the model's gate the weights that suit what the network says now."""
        assert model.gate is not None
        model.eval()
        model.gate.silence()
        for kind, examples in self.examples.items():
            start = 0
            for batch in self.batches[kind]:
                stop = start + len(batch.rows)
                examples.said[start:stop, NETWORK] = model.opinion(batch)
                start = stop
            model.gate.values[kind] = as_far_as_it_ranks_well(examples, likeliest(examples))


def most_positions(num_items: int) -> int:
    """At how many positions the weights are fitted."""
    enough = min(ENOUGH_POSITIONS, MOST_NUMBERS_FOR_ENOUGH // 2 // num_items)
    return max(MOST_NUMBERS // 2 // num_items, enough)


def _thinned(batches: list[Batch], most: int) -> list[Batch]:
    """Batches with at most this many positions in all, an equal part for each kind of question."""
    sizes: Counter[tuple[bool, int]] = Counter()
    for batch in batches:
        sizes[batch.cuts is None, batch.given] += len(batch.rows)
    random, kept = torch.Generator().manual_seed(0), []
    for batch in batches:
        share = most / len(sizes) / sizes[batch.cuts is None, batch.given]
        chosen = torch.rand(len(batch.rows), generator=random) < share
        if chosen.any():
            kept.append(batch.only(chosen.to(batch.rows.device)))
    return kept


@torch.no_grad()
def _examples_of(model: BERT4Rec, batches: list[Batch], lists: int) -> GateExamples:
    """What memory and lists tell, before the network has been asked."""
    assert model.memory is not None
    num_items, memory = model.config.num_items, model.memory
    said = torch.empty(sum(len(batch.rows) for batch in batches), 2, num_items, device=batches[0].rows.device)
    said[:, MEMORY] = torch.cat([memory(batch) for batch in batches])
    wanted = [batch.targets.view(len(batch.rows), -1) - 1 for batch in batches if batch.targets is not None]
    widest = max(each.shape[1] for each in wanted)
    targets = torch.cat([F.pad(each, (0, widest - each.shape[1]), value=-1) for each in wanted])
    counts = torch.cat([count_visible(batch, num_items) for batch in batches])
    weights = (targets >= 0).sum(1).double()
    given = torch.cat([torch.full_like(batch.rows, batch.given) for batch in batches])
    lengths, of_ndcg = given.unique(), torch.ones_like(weights)
    for length in lengths:  # each counts for as much as any other, as in the validation loss
        weights[given == length] *= lists / len(lengths) / weights[given == length].sum()
        of_ndcg[given == length] /= len(lengths) * (given == length).sum()
    seen = torch.cat([_seen(batch, num_items) for batch in batches])
    return GateExamples(said, counts, targets, weights, seen, of_ndcg)


def _seen(batch: Batch, num_items: int) -> Tensor:
    """What is visible at each position [M, N]."""
    items = visible_at(batch, num_items)
    seen = torch.zeros(len(items), num_items + 1, dtype=torch.bool, device=items.device)
    return seen.scatter_(1, items.long(), True)[:, 1:]


def as_far_as_it_ranks_well(examples: GateExamples, weights: Tensor) -> Tensor:
    """The weights at the mean part of the way from the memory alone to these weights [2, GATE_KNOTS].

    Each of PARTS_OF_THE_WAY is weighted by the normal distribution, by how far its NDCG is behind the best one's, in
    standard errors of this difference.
    """
    alone = torch.zeros_like(weights)
    alone[MEMORY] = 1
    if torch.equal(weights[NETWORK], alone[NETWORK]):
        return weights
    found = torch.stack([ndcg(examples, torch.lerp(alone, weights, part)) for part in PARTS_OF_THE_WAY])
    behind = found[found.sum(1).argmax()] - found
    errors = behind.square().sum(1).sqrt().clamp_min(NO_ERROR)
    chances = torch.exp(-(behind.sum(1) / errors).square() / 2).cpu().tolist()
    mean = sum(chance * part for chance, part in zip(chances, PARTS_OF_THE_WAY, strict=True)) / sum(chances)
    return torch.lerp(alone, weights, mean)


def ndcg(examples: GateExamples, weights: Tensor) -> Tensor:
    """What each position adds [M] to the mean NDCG@10 of what is wanted among what isn't visible, with these weights
    [2, GATE_KNOTS]."""
    of_rows = (examples.shares @ weights.double().t().to(examples.shares.device)).float()
    gains, best = (torch.from_numpy(each).float().to(of_rows.device) for each in (discounts(10), ideal(10)))
    found = []
    for rows in _parts(examples):
        logits = torch.bmm(of_rows[rows, None], examples.said[rows])[:, 0].masked_fill_(examples.seen[rows], -torch.inf)
        first = logits.topk(min(10, logits.shape[1]), 1)[1]
        hits = (first[:, :, None] == examples.targets[rows, None]).any(2)
        number = (examples.targets[rows] >= 0).sum(1).clamp_max(10)
        found.append((hits * gains[: first.shape[1]]).sum(1) / best[number])
    return torch.cat(found) * examples.shares_of_ndcg


def likeliest(examples: GateExamples) -> Tensor:
    """The weights [2, GATE_KNOTS] at which the sum of the losses and of the penalties is the lowest.

    Those of the network are not negative.
    """
    memory_only = torch.zeros(2, GATE_KNOTS, dtype=torch.double)
    memory_only[MEMORY] = 1
    bend = torch.eye(GATE_KNOTS, dtype=torch.double).diff(dim=0)
    costs = torch.block_diag(*[DISTANCE * torch.eye(GATE_KNOTS) + GATE_ROUGHNESS * bend.t() @ bend] * 2).double()
    among_all, shares = examples.among_all(), examples.shares

    def cost(weights: Tensor) -> tuple[float, Tensor, Tensor]:
        likelihood, gradient, curvature = log_likelihood(among_all, shares, weights, _parts(examples))
        off = (weights - memory_only).flatten()
        return float(off @ costs @ off) / 2 - likelihood, costs @ off - gradient.flatten(), curvature + costs

    weights = memory_only
    lowest, gradient, curvature = cost(weights)
    for _ in range(MOST_STEPS):
        held = (weights <= 0).flatten() & (gradient > 0)
        held[:GATE_KNOTS] = False
        step = torch.zeros(2 * GATE_KNOTS, dtype=torch.double)
        step[~held] = -torch.linalg.solve(curvature[~held][:, ~held], gradient[~held])
        if -float(step @ gradient) / 2 < GAIN_ENOUGH:
            break
        for _ in range(10):
            tried = weights + step.view(2, GATE_KNOTS)
            tried[NETWORK].clamp_min_(0)
            found = cost(tried)
            if found[0] < lowest:
                break
            step /= 2
        else:
            break
        weights, (lowest, gradient, curvature) = tried, found
    return weights.float()


def _parts(examples: GateExamples) -> Iterator[slice]:
    return slices(len(examples.said), max(1, NUMBERS_AT_ONCE // examples.said.shape[2]))
