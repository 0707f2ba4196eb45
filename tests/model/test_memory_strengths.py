"""The strengths of the memory's terms: those under which what is wanted is the likeliest."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_lists import ITEMS

from anime_bert4rec.model.batches import Batch
from anime_bert4rec.model.memory_answers import in_parts
from anime_bert4rec.model.memory_strengths import (
    LEAST_FACTOR,
    ROUGHNESS,
    SIZE,
    StrengthExamples,
    _quality,
    calibrated,
    first_place_strengths,
    hats,
    joined,
    likeliest_strengths,
    penalty,
    strengths_for_the_first,
)

KNOTS = 4


def examples_of(rows=400, seed=0):
    """Two terms, of which the first tells the more, the more is visible; two items are wanted of each list."""
    random = torch.Generator().manual_seed(seed)
    counts = 2 ** torch.randint(0, KNOTS, (rows,), generator=random)
    terms = [torch.randn(rows, ITEMS, generator=random).half().float() for _ in range(2)]
    visible = torch.randint(1, ITEMS + 1, (rows, 3), generator=random)
    best = (terms[0] * counts[:, None].log() + terms[1]).scatter(1, visible - 1, -torch.inf)
    noise = torch.rand(rows, ITEMS, generator=random).log().neg().log().neg()
    wanted = (best + noise).topk(2)[1] + 1
    targets = torch.arange(rows).repeat_interleave(2), wanted.flatten()
    return terms, hats(counts, KNOTS), visible, targets


def test_gradient_and_curvature_are_those_of_the_quality():
    """Penalties included: Newton's method would take other steps, and end elsewhere."""
    terms, shares, visible, targets = examples_of(rows=60)
    asked, cost = StrengthExamples.of(terms, shares, visible, targets), penalty(KNOTS, roughness=1.0)
    strength = torch.rand(2, KNOTS, generator=torch.Generator().manual_seed(1), dtype=torch.double)
    _, gradient, curvature = _quality(asked, shares.double(), strength, cost)
    for at in range(strength.numel()):
        step = torch.zeros(strength.numel(), dtype=torch.double)
        step[at] = 0.01
        above, below = (_quality(asked, shares.double(), strength + way * step.view(2, -1), cost) for way in (1, -1))
        assert (above[0] - below[0]) / 0.02 == pytest.approx(gradient.flatten()[at].item(), abs=1e-3)
        torch.testing.assert_close((below[1] - above[1]).flatten() / 0.02, curvature[at], atol=1e-3, rtol=1e-3)


def test_they_are_the_likeliest_by_gradient():
    terms, shares, visible, targets = examples_of()
    weights = torch.rand(len(shares), generator=torch.Generator().manual_seed(2)) + 0.1
    quality, strength = likeliest_strengths(StrengthExamples.of(terms, shares, visible, targets, weights))

    def loss(strength):
        of_lists = shares.double() @ strength.t()
        logits = sum(of_lists[:, number, None] * term for number, term in enumerate(terms))
        logits = logits.scatter(1, visible - 1, -torch.inf).log_softmax(1)
        bend = strength[:, 2:] - 2 * strength[:, 1:-1] + strength[:, :-2]
        cost = ROUGHNESS * bend.square().sum() + SIZE * strength.square().sum()
        of_wanted = logits[targets[0], targets[1] - 1] * weights[targets[0]]
        return cost - of_wanted.sum() / weights.sum() / 2

    found = strength.double().requires_grad_()
    value = loss(found)
    value.backward()
    assert quality == pytest.approx(-value.item(), abs=1e-4)
    assert found.grad.abs().max() < 0.02
    for change in torch.randn(5, *strength.shape, generator=torch.Generator().manual_seed(1)):
        assert loss(found.detach() + 0.1 * change) > value


def test_each_list_counts_for_its_weight():
    """Of the second half of the lists, what the terms say is the opposite of the truth: unless it counts for nothing,
    the strengths are others. And to count for three is as good as to be there three times."""
    terms, shares, visible, targets = examples_of()
    for term in terms:
        term[200:] *= -1
    asked = StrengthExamples.of(terms, shares, visible, targets)
    first = StrengthExamples(*(part[:200] for part in asked[:-1]))
    half, true = torch.arange(400) < 200, likeliest_strengths(first)
    quality, strength = likeliest_strengths(asked._replace(weights=half.float()))
    assert quality == pytest.approx(true[0], abs=1e-6)
    torch.testing.assert_close(strength, true[1])
    thrice = joined([first] * 3 + [asked])
    torch.testing.assert_close(
        likeliest_strengths(asked._replace(weights=1 + 3 * half.float()))[1],
        likeliest_strengths(thrice)[1],
    )
    assert (likeliest_strengths(asked)[1] - true[1]).abs().max() > 0.3


def test_what_tells_more_of_longer_lists_is_stronger_there():
    _, strength = likeliest_strengths(StrengthExamples.of(*examples_of(2000)))
    assert (strength[0].diff() > 0.1).all()
    assert strength[1].std() < strength[0].std() / 3


def test_lists_of_which_nothing_is_asked_are_in_no_part(monkeypatch):
    """A part of these alone has a row of another's, which would be asked twice."""
    monkeypatch.setattr("anime_bert4rec.model.memory_answers.NUMBERS_AT_ONCE", 1)
    items = torch.arange(1, 9).view(4, 2)
    cuts = Batch(items, torch.tensor([0, 3]), torch.tensor([1, 1]), torch.tensor([2, 8]), cuts=torch.tensor([1]))
    assert [part.targets.tolist() for part in in_parts(cuts, 8)] == [[2], [8]]


def test_in_parts_and_from_elsewhere_they_are_the_same(monkeypatch):
    asked = StrengthExamples.of(*examples_of())
    quality, strength = likeliest_strengths(asked)
    monkeypatch.setattr("anime_bert4rec.model.memory_strengths.NUMBERS_AT_ONCE", 5 * ITEMS)
    start = torch.full((2, KNOTS), 1.0)
    again, other = likeliest_strengths(asked, start)
    assert again == pytest.approx(quality, abs=2e-4)
    torch.testing.assert_close(other, strength, atol=0.05, rtol=0.05)


def test_batches_are_joined():
    terms, shares, visible, (rows, items) = examples_of(20)
    whole = StrengthExamples.of(terms, shares, visible, (rows, items))
    narrow = torch.cat([visible[:8], torch.zeros(8, 2, dtype=torch.long)], 1)
    parts = [
        StrengthExamples.of([term[:8] for term in terms], shares[:8], narrow, (rows[:16], items[:16])),
        StrengthExamples.of([term[8:] for term in terms], shares[8:], visible[8:], (rows[16:] - 8, items[16:])),
    ]
    both = joined(parts)
    assert likeliest_strengths(both)[0] == pytest.approx(likeliest_strengths(whole)[0], abs=1e-6)
    swapped = whole.with_first_term(terms[1], (rows, items))
    assert np.allclose(swapped.of_targets[:, 0], whole.of_targets[:, 1]) and torch.equal(swapped.terms[:, 0],
                                                                                        whole.terms[:, 1])  # fmt: skip


def test_between_two_powers_of_two_a_strength_is_a_mean_of_both():
    shares = hats(torch.tensor([0, 1, 2, 3, 512, 9999]), 10)
    assert shares[:3, :2].tolist() == [[1, 0], [1, 0], [0, 1]]
    assert shares[3, 1:3].tolist() == pytest.approx([2 - np.log2(3), np.log2(3) - 1])
    assert shares[4:, -1].tolist() == [1, 1] and shares.sum(1).tolist() == pytest.approx([1] * 6)


def first_or_all(rows=300):
    """Lists of which three items are wanted. One term knows one of them, of two lists in three, and the other all of
    them, but as well as three others."""
    terms = [torch.zeros(rows, ITEMS), torch.zeros(rows, ITEMS)]
    order = torch.rand(rows, ITEMS, generator=torch.Generator().manual_seed(0)).argsort(1)
    known = torch.where(torch.arange(rows) % 3 > 0, order[:, 0], order[:, 6])
    terms[0].scatter_(1, known[:, None], 1.0)
    terms[1].scatter_(1, order[:, :6], 1.0)
    wanted = torch.arange(rows).repeat_interleave(3), order[:, :3].flatten() + 1
    visible = order[:, -1:] + 1
    return StrengthExamples.of(terms, torch.ones(rows, 1), visible, wanted), wanted


def test_with_them_something_that_is_wanted_comes_first():
    """The first place is surer by the term that knows one item than by likelihood, which asks for the other two too."""
    asked, wanted = first_or_all()
    likeliest = likeliest_strengths(asked)[1]

    def first_place(strength: torch.Tensor) -> float:
        logits = torch.einsum("t,rtn->rn", strength[:, 0], asked.terms.float()).scatter(1, asked.seen, -torch.inf)
        return logits.softmax(1)[wanted[0], wanted[1] - 1].view(-1, 3).sum(1).log().mean().item()

    found = [first_place_strengths(asked, wanted, rounds=rounds) for rounds in (1, 2, 3)]
    values = [first_place(strength) for strength in (likeliest, *found)]
    assert values == sorted(values) and values[-1] > values[0] + 0.02, values
    assert found[-1][0, 0] / found[-1][1, 0] > likeliest[0, 0] / likeliest[1, 0] + 0.1
    again = first_place_strengths(asked, wanted, start=found[1], rounds=1)
    torch.testing.assert_close(again, found[2], atol=0.02, rtol=0.02)


def test_for_the_first_nothing_but_these_is_a_candidate_and_no_list_without_its_target_there_is_asked(monkeypatch):
    monkeypatch.setattr("anime_bert4rec.model.memory_strengths.AMONG", 3)
    terms, shares, visible, targets = examples_of()
    one = targets[1].view(-1, 2)[:, 0]
    asked = StrengthExamples.of(terms, shares, visible, (torch.arange(len(one)), one))
    start = torch.ones(2, KNOTS)
    places = (terms[0] + terms[1]).scatter(1, visible - 1, -torch.inf).argsort(1, descending=True)
    there = (places[:, :3] == one[:, None] - 1).any(1)
    assert 20 < there.sum() < 380
    rows = torch.arange(int(there.sum()))
    by_hand = StrengthExamples.of(
        [term[there] for term in terms], shares[there], places[there, 3:] + 1, (rows, one[there])
    )
    found = strengths_for_the_first(asked, one, start)
    torch.testing.assert_close(found, likeliest_strengths(by_hand, start)[1])
    assert not torch.allclose(found, likeliest_strengths(asked, start)[1], atol=0.05)
    none = (places[:, -1] + 1).clamp_min(1)
    assert strengths_for_the_first(asked, none, start) is start


def test_calibrated_they_are_as_likely_as_their_direction_can_be():
    terms, shares, visible, targets = examples_of()
    asked = StrengthExamples.of(terms, shares, visible, targets)
    likeliest = likeliest_strengths(asked)[1]
    back = calibrated(asked, likeliest * torch.tensor([4.0, 2.0, 1.0, 0.5]))
    torch.testing.assert_close(back, likeliest, atol=0.05, rtol=0.1)


def test_calibrated_strengths_never_turn_round():
    """What ranks well in the first places and badly behind would be likelier the other way round."""
    terms, shares, visible, targets = examples_of()
    asked = StrengthExamples.of(terms, shares, visible, targets)
    turned = -likeliest_strengths(asked)[1]
    torch.testing.assert_close(calibrated(asked, turned), LEAST_FACTOR * turned)
