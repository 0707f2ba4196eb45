"""The strengths with which the first ten are what is wanted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_lists import ITEMS

from anime_bert4rec.model.memory_ranking import (
    DISTANCE,
    FEW,
    RANKING_ROUGHNESS,
    foremost,
    ndcg,
    ranking_strengths,
    step_from,
)
from anime_bert4rec.model.memory_strengths import SIZE, StrengthExamples, hats, likeliest_strengths

NOTHING = torch.zeros(1, ITEMS, dtype=torch.bool)
GAINS = [1 / np.log2(place + 1) if place <= 10 else 0.0 for place in range(1, ITEMS + 1)]


def random_lists(rows=60, seed=0):
    """Two terms, of which the first tells the more, the more is visible; what is wanted of each list."""
    random = torch.Generator().manual_seed(seed)
    counts = 2 ** torch.randint(0, 3, (rows,), generator=random)
    terms = [torch.randn(rows, ITEMS, generator=random).half().float() for _ in range(2)]
    visible = torch.randint(1, ITEMS + 1, (rows, 1), generator=random)
    best = (terms[0] * counts[:, None].log() + terms[1]).scatter(1, visible - 1, -torch.inf)
    items = (best + torch.randn(rows, ITEMS, generator=random)).topk(3)[1] + 1
    wanted = torch.arange(rows).repeat_interleave(3), items.flatten()
    return StrengthExamples.of(
        terms, hats(counts, 3), visible, wanted, torch.rand(rows, generator=random) + 0.1
    ), wanted


def test_ndcg_by_hand():
    """Items 1, 2, 3, … from the first to the last. Of one list 1 is visible, 2 and 4 are wanted, which are in places 1
    and 3; of the other list, which counts three times, 3, in place 3. Without item 2 they are in place 2."""
    term = torch.arange(ITEMS, 0, -1).repeat(2, 1).float()
    wanted = torch.tensor([0, 0, 1]), torch.tensor([2, 4, 3])
    asked = StrengthExamples.of([term], torch.ones(2, 1), torch.tensor([[1], [12]]), wanted, torch.tensor([1.0, 3.0]))
    without_2, second = NOTHING.clone(), 1 / np.log2(3)
    without_2[0, 1] = True
    both, ones = [(1.5 / (1 + second) + 3 / 2) / 4, second], torch.ones(1, 1)
    for grounds, expected in (([NOTHING], both[0]), ([without_2], both[1]), ([NOTHING, without_2], sum(both) / 2)):
        assert ndcg(asked, wanted, ones, grounds) == pytest.approx(expected)
    without_others = torch.ones(2, ITEMS, dtype=torch.bool)
    without_others[0, 1] = False
    assert ndcg(asked, wanted, ones, [without_others]) == pytest.approx(1 / 4), (
        "of one list there is only what is wanted, of the other nothing"
    )


def test_of_many_candidates_those_in_front_are_looked_at(monkeypatch):
    monkeypatch.setattr("anime_bert4rec.model.memory_ranking.CANDIDATES", 4)
    asked, wanted = random_lists()
    strength = torch.tensor([[0.5, 1.0, 2.0], [1.0, 1.0, 1.0]])
    first = foremost(asked, wanted, strength, [NOTHING])
    logits = torch.einsum("rt,rtn->rn", asked.shares @ strength.t(), asked.terms.float())
    best = logits.scatter(1, asked.seen, -torch.inf).topk(4)[1]
    torch.testing.assert_close(first.said, asked.terms.gather(2, best[:, None].expand(-1, 2, -1)))


def test_a_step_is_newtons():
    """Against the loss of each pair, one after the other, and what autograd makes of it."""
    asked, wanted = random_lists()
    strength, start = torch.tensor([[0.2, 1.0, 0.5], [1.0, 0.7, 0.1]]), torch.tensor([[0.3, 0.7, 0.5], [1.2, 0.6, 0.0]])
    out = torch.rand(60, ITEMS, generator=torch.Generator().manual_seed(4)) < 0.3
    grounds = [NOTHING, out]
    is_wanted = torch.zeros(60, ITEMS, dtype=torch.bool)
    is_wanted[wanted[0], wanted[1] - 1] = True
    shares = asked.shares.double()
    pairs = []
    for ground in grounds:
        for row in range(60):
            here = ~ground.expand(60, -1)[row]
            here[asked.seen[row]] = False
            said = asked.terms[row].double()
            logits = shares[row] @ strength.double().t() @ said
            order = sorted(np.flatnonzero(here), key=lambda item: -float(logits[item]))
            best = sum(GAINS[: int((is_wanted[row] & here).sum())])
            for place, item in enumerate(order):
                for other_place, other in enumerate(order):
                    if is_wanted[row, item] and not is_wanted[row, other]:
                        change = abs(GAINS[place] - GAINS[other_place]) / best * asked.weights[row] / 2
                        pairs.append((change, row, said[:, item] - said[:, other]))
    weight, rows = torch.stack([pair[0] for pair in pairs]).double(), torch.tensor([pair[1] for pair in pairs])
    apart = torch.stack([pair[2] for pair in pairs])

    def loss(flat):
        tried = flat.view(2, 3)
        margins = ((shares[rows] @ tried.t()) * apart).sum(1)
        bend = tried[:, 2] - 2 * tried[:, 1] + tried[:, 0]
        cost = RANKING_ROUGHNESS * bend.square().sum() + SIZE * tried.square().sum()
        near = DISTANCE * torch.tensor([1, 1 - 1 / FEW, 1 - 2 / FEW])
        cost += (near * (tried - start).square()).sum()
        return (weight * torch.nn.functional.softplus(-margins)).sum() / asked.weights.sum() + cost

    at = strength.double().flatten()
    gradient = torch.autograd.functional.jacobian(loss, at)
    curvature = torch.autograd.functional.hessian(loss, at)
    expected = -torch.linalg.solve(curvature, gradient).view(2, 3).float()
    step = step_from(foremost(asked, wanted, strength, grounds), strength, start)
    torch.testing.assert_close(step, expected, rtol=1e-3, atol=1e-4)


def test_with_them_the_ranking_is_better():
    """From strengths of which one is a fifth of what it should be; the best of the way is kept."""
    asked, wanted = random_lists(400, 1)
    likeliest = likeliest_strengths(asked)[1]
    start = likeliest * torch.tensor([[0.2], [1.0]])
    before = ndcg(asked, wanted, start, [NOTHING])
    found = [ranking_strengths(asked, wanted, start, [NOTHING], steps) for steps in range(5)]
    values = [value for value, _ in found]
    assert values[0] == pytest.approx(before) and torch.equal(found[0][1], start)
    assert values == sorted(values) and values[-1] > before + 0.01, values
    assert ndcg(asked, wanted, found[-1][1], [NOTHING]) == pytest.approx(values[-1])


def test_a_step_that_brings_others_to_the_front_is_made_shorter(monkeypatch):
    """Who looks at three items only goes where they are in a better order, and others before them."""
    monkeypatch.setattr("anime_bert4rec.model.memory_ranking.CANDIDATES", 3)
    worse = 0
    for seed in range(20):
        asked, wanted = random_lists(400, seed)
        start = likeliest_strengths(asked)[1]
        before = ndcg(asked, wanted, start, [NOTHING])
        step = step_from(foremost(asked, wanted, start, [NOTHING]), start, start)
        worse += ndcg(asked, wanted, start + step, [NOTHING]) < before
        found, strength = ranking_strengths(asked, wanted, start, [NOTHING])
        assert before <= found == ndcg(asked, wanted, strength, [NOTHING])
    assert worse
