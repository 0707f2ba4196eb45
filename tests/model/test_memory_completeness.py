"""Whether a list looks whole: what tells it by hand, and that the memory's strengths go by it."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import torch
from one_memory import fit_memory
from small_lists import ITEMS, MASK, some_lists

from anime_bert4rec.lists.common_traits import FRANCHISE
from anime_bert4rec.lists.sequences import PAD, Sequences
from anime_bert4rec.model import memory_fitting
from anime_bert4rec.model.batches import Batch, WholeLists, ask_what_comes_next
from anime_bert4rec.model.memory_answers import examples_of
from anime_bert4rec.model.memory_completeness import SIGNS, Completeness, both_sides, signs_of
from anime_bert4rec.model.memory_fitting import fit_memories
from anime_bert4rec.model.memory_popularity import log_popularity
from anime_bert4rec.model.memory_ranking import Foremost, foremost, ranking_strengths, step_from
from anime_bert4rec.model.memory_samples import lists_in_part
from anime_bert4rec.model.memory_strengths import (
    KNOTS,
    StrengthExamples,
    hats,
    joined,
    likeliest_strengths,
    penalty,
    strengths_for_the_first,
)
from anime_bert4rec.model.memory_tables import Tables

NOTHING = torch.zeros(1, ITEMS, dtype=torch.bool)


def test_what_tells_by_hand():
    """Popularity 3, 2, 2, 1, 1, so that the squares are 9, 4, 4, 1, 1. Of the first list all items
    but the third are visible, which is of a franchise of theirs; of the second one is visible, of the third none."""
    by_popularity = torch.tensor([[3.0, 2, 2, 1, 1]]).log()
    visible = torch.tensor([[1, 2, 4, PAD, 5, 6], [2, *[PAD] * 5], [PAD] * 6])
    same_franchise = torch.tensor([[1.0, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    popular = math.log(15 / 19), math.log(4 / 19)
    expected = [[2, 4, popular[0], 2 * popular[0], 1 / 4, 2 / 4], [0, 0, popular[1], 0, 0, 0]]
    found = signs_of(visible, by_popularity, same_franchise)
    torch.testing.assert_close(found[:2], torch.tensor(expected))
    assert found.isfinite().all()
    found = signs_of(visible, by_popularity, None)
    torch.testing.assert_close(found[:2, :4], torch.tensor(expected)[:, :4])
    assert (found[:, 4:] == 0).all()


def test_the_weights_are_the_likeliest():
    random = torch.Generator().manual_seed(0)
    signs = torch.randn(500, SIGNS, generator=random) * torch.tensor([1, 5, 0.1, 1, 2, 1]) + 3
    signs[:, 5] = 3  # one that never changes
    chance = torch.sigmoid((signs[:, 0] - 3) * 2 - (signs[:, 4] - 3))
    whole = torch.rand(500, generator=random) < chance
    completeness = Completeness()
    completeness.fit(signs, whole)
    assert (completeness(signs) - chance).abs().mean() < 0.05
    spread = signs.double().std(0, correction=0).clamp_min(1e-3)
    weights = completeness.weights.double().requires_grad_()
    found = torch.sigmoid(signs.double() @ weights[:-1] + weights[-1])
    constant = weights[-1] + weights[:-1] @ signs.double().mean(0)
    cost = ((weights[:-1] * spread).square().sum() + constant.square()) / 2
    (cost - torch.where(whole, found, 1 - found).log().sum()).backward()
    assert weights.grad.abs().max() < 0.001


def test_where_all_lists_are_alike_it_is_said_of_all():
    completeness = Completeness()
    completeness.fit(torch.ones(20, SIGNS), torch.ones(20, dtype=torch.bool))
    assert (completeness(torch.ones(3, SIGNS)) > 0.7).all()


def test_each_side_is_fitted_on_the_lists_that_look_like_it():
    """What is wanted is what the term says on one side, and the opposite on the other."""
    random = torch.Generator().manual_seed(0)
    rows = 400
    term, shares = torch.randn(rows, ITEMS, generator=random).half().float(), hats(torch.ones(rows), 3)
    is_whole = torch.arange(rows) % 2
    noise = torch.rand(rows, ITEMS, generator=random).log().neg().log().neg()
    wanted = torch.arange(rows), (term * (1 - 2 * is_whole)[:, None] + noise).argmax(1) + 1
    visible = torch.ones(rows, 1, dtype=torch.long)
    two = StrengthExamples.of([term], both_sides(shares, is_whole.float()), visible, wanted, sides=2)
    part, whole = likeliest_strengths(two)[1][0].split(3)
    assert part[0] > 0.7 and whole[0] < -0.7
    torch.testing.assert_close(penalty(6, 2), torch.block_diag(penalty(3), penalty(3)))


def on_two_sides(is_whole):
    """Lists of which it is said whether they are whole, two terms, and what is wanted."""
    rows, random = len(is_whole), torch.Generator().manual_seed(0)
    terms = list(torch.randn(2, rows, ITEMS, generator=random).half().float())
    counts = torch.tensor([1, 2, 4, 4]).repeat(rows // 4)
    noise = torch.rand(rows, ITEMS, generator=random).log().neg().log().neg()
    wanted = torch.arange(rows), (terms[0] * counts[:, None] + terms[1] + noise)[:, 1:].argmax(1) + 2
    shares = both_sides(hats(counts, 3), is_whole)
    return StrengthExamples.of(terms, shares, torch.ones(rows, 1, dtype=torch.long), wanted, sides=2), wanted


def test_a_step_on_two_sides_is_one_on_either():
    asked, wanted = on_two_sides((torch.arange(40) >= 20).float())
    start = torch.rand(2, 6, generator=torch.Generator().manual_seed(1))
    now = start + 0.3
    first = foremost(asked, wanted, now, [NOTHING])
    step = step_from(first, now, start, 2)
    for side, rows in enumerate((slice(20), slice(20, 40))):
        knots = slice(3 * side, 3 * side + 3)
        one = Foremost(*(part[rows] for part in first))._replace(shares=first.shares[rows, knots])
        torch.testing.assert_close(step[:, knots], step_from(one, now[:, knots], start[:, knots]))


def test_of_a_side_that_no_list_is_on_nothing_is_learnt():
    """Where lists are shown in part, the strengths of whole ones are those that cost nothing."""
    asked, wanted = on_two_sides(torch.zeros(40))
    asked = joined([asked, asked])
    wanted = torch.cat([wanted[0], wanted[0] + 40]), wanted[1].repeat(2)
    likeliest = likeliest_strengths(asked)[1]
    among = strengths_for_the_first(asked, wanted[1], likeliest)
    start = likeliest * torch.tensor([[0.2], [1.0]])
    ranked = ranking_strengths(asked, wanted, start, [NOTHING])[1]
    assert not torch.equal(ranked, start)
    for found in (likeliest, among, ranked):
        assert found[:, :3].abs().min() > 1e-3 and found[:, 3:].abs().max() < 1e-5, found


def of_franchises():
    """Lists, three franchises of four items each, and how popular each item is in the catalogue."""
    lists = some_lists(40, unordered=True)
    alike = Sequences(np.arange(1, 13), np.zeros(12, np.int64), np.arange(0, 13, 4), np.full(3, FRANCHISE))
    return lists, alike, np.arange(ITEMS, 0, -1).astype(np.float32) ** 2


def test_what_tells_is_of_the_catalogue_too(monkeypatch):
    """Of two lists of five, four and three are shown: the first is nearly whole."""
    lists, alike, in_catalogue = of_franchises()
    tables, fitted = Tables(lists, ITEMS, ITEMS, False, alike, in_catalogue=in_catalogue), []
    items = torch.tensor([1, 2, 5, 6, 9, 1, 2, 5, 6, 9])
    visible = torch.tensor([[1, 2, 5, 6, PAD], [1, 2, 5, PAD, PAD]])
    of_lists = WholeLists(items, torch.tensor([0, 5]))
    batch = Batch(visible, torch.arange(2), torch.zeros(2), visible=visible, lists=of_lists)
    monkeypatch.setattr(Completeness, "fit", lambda self, *given: fitted.append(given))
    tables.fit_completeness([batch])
    memory = tables.memory(1.0, 10.0, 0.0)
    memory.completeness.weights.copy_(torch.linspace(-0.5, 0.5, SIGNS + 1))
    by_popularity = log_popularity(memory.popularity, memory.popularity_prior, of_lists)
    signs = signs_of(visible, by_popularity, memory.likeness.same_franchise(visible))
    assert signs[:, 4].min() > 0
    torch.testing.assert_close(fitted[0][0], signs)
    assert fitted[0][1].tolist() == [True, False]
    shares = both_sides(hats(torch.tensor([4, 3]), KNOTS), memory.completeness(signs))
    torch.testing.assert_close(memory.terms(batch).shares, shares)


def test_memories_of_other_lists_go_by_the_same_and_say_on_how_many_sides():
    lists, alike, in_catalogue = of_franchises()
    first, other = fit_memories([lists, lists.select(np.arange(20))], ITEMS, 20, 0, alike, in_catalogue)
    assert first.completeness.weights.abs().max() > 0.01
    assert torch.equal(first.completeness.weights, other.completeness.weights)
    assert examples_of(first, *lists_in_part(lists, ITEMS, 0)[0]).sides == first.config.sides == 2


def test_a_franchise_gets_its_bonus_on_both_sides(monkeypatch):
    lists, alike, _ = of_franchises()
    monkeypatch.setattr(memory_fitting, "calibrated", lambda asked, strength: strength)
    found = []
    for bonus in (0.0, 2.0):
        monkeypatch.setattr(memory_fitting, "FRANCHISE_BONUS", bonus)
        memory = fit_memory(lists, ITEMS, max_seq_len=20, seed=0, alike=alike)
        found.append(memory.strength[0, memory.config.terms.index("franchise")])
    for side in (found[1] - found[0]).split(KNOTS):
        assert side.tolist() == pytest.approx([2 * max(0, 1 - knot / 6) for knot in range(KNOTS)], abs=1e-5)


def test_the_log_names_the_strengths_of_both_at_the_numbers_that_it_says(caplog):
    caplog.set_level(logging.INFO)
    memory = Tables(some_lists(unordered=True), ITEMS, ITEMS, False, None).memory(1.0, 10.0, 0.0)
    memory.strength[0] = torch.arange(2 * KNOTS)
    memory_fitting._log_memory("Item memory", memory, memory_fitting.Settings(200.0, 0.0))
    assert "EASE 0.00, 3.00, 6.00, 9.00 / 10.00, 13.00, 16.00, 19.00; popularity" in caplog.messages[-1]


def longer_lists(people: int = 120) -> Sequences:
    """Of 200 items, the more popular the lower; lists of 10 to 150, the longer the rarer what is on them."""
    random = np.random.default_rng(0)
    arrays = []
    for _ in range(people):
        length = int(random.integers(10, 150))
        order = np.argsort(-random.gumbel(size=200) + 3 * np.log(np.arange(1, 201)))
        arrays.append(np.sort(order[:length]) + 1)
    lengths = [len(each) for each in arrays]
    items = np.concatenate(arrays).astype(np.int32)
    return Sequences(items, np.zeros(len(items), np.int32), np.cumsum([0, *lengths]), np.arange(people))


def test_the_memory_tells_whole_lists_of_other_people_from_parts_of_longer_ones():
    lists = longer_lists()
    memory = fit_memory(lists.select(np.arange(80)), 200, max_seq_len=200, seed=0)
    others = [lists.of_user(user) for user in range(80, 120)]
    random = np.random.default_rng(1)
    long, short = ([each for each in others if low <= len(each) < high] for low, high in ((80, 150), (20, 50)))
    parts = [random.permutation(each)[:30] for each in long]
    assert len(parts) > 10 and len(short) > 5

    def whole(asked: list[np.ndarray]) -> torch.Tensor:
        batch = ask_what_comes_next(asked, 201, 200, ordered=False)
        return memory.completeness(memory.signs(batch, None))

    assert whole(parts).mean() < 0.3 < 0.6 < whole(short).mean()
    batch = ask_what_comes_next(parts + short, 201, 200, ordered=False)
    terms, chance = memory.terms(batch), whole(parts + short)[:, None]
    shares = hats(torch.tensor([len(each) for each in parts + short]), KNOTS)
    torch.testing.assert_close(terms.shares, torch.cat([shares * (1 - chance), shares * chance], 1))


@pytest.mark.parametrize("shown", [3, 8])
def test_a_list_that_was_counted_is_left_out(shown):
    """What tells whether it is whole is the same as though it had never been counted."""
    sequences = some_lists(unordered=True)
    memory = Tables(sequences, ITEMS, ITEMS, False, None).memory(1.0, 10.0, 0.0)
    for user in range(4):
        own = torch.from_numpy(sequences.of_user(user).astype(np.int64))
        visible = torch.cat([own[:shown], torch.tensor([MASK])])[None]
        batch = Batch(visible, torch.tensor([0]), torch.tensor([shown]), lists=WholeLists(own, torch.tensor([0])))
        others = sequences.select(np.delete(np.arange(len(sequences)), user))
        without = Tables(others, ITEMS, ITEMS, False, None).memory(1.0, 10.0, 0.0)
        expected = without.signs(batch._replace(lists=None), None)
        torch.testing.assert_close(memory.signs(batch, None), expected, rtol=1e-4, atol=1e-5)
