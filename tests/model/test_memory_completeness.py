"""Whether a list looks whole: what tells it by hand, and that the memory's strengths go by it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small_lists import ITEMS, MASK, some_lists

from anime_bert4rec.lists.sequences import PAD, Sequences
from anime_bert4rec.model.batches import Batch, WholeLists, ask_what_comes_next
from anime_bert4rec.model.memory_completeness import SIGNS, Completeness, both_sides, signs_of
from anime_bert4rec.model.memory_fitting import fit_memory
from anime_bert4rec.model.memory_strengths import KNOTS, Asked, hats, likeliest_strengths, penalty
from anime_bert4rec.model.memory_tables import Tables


def test_what_tells_by_hand():
    """Popularity 3, 2, 2, 1, so that the squares are 9, 4, 4, 1. Of two items the first and the last are visible, and
    one more of a franchise of theirs isn't."""
    by_popularity = torch.tensor([[3.0, 2, 2, 1]]).log()
    visible = torch.tensor([[1, 4, PAD, 5], [2, PAD, PAD, PAD]])
    same_franchise = torch.tensor([[1.0, 1, 0, 0], [0, 0, 0, 0]])
    popular = math.log(10 / 18), math.log(4 / 18)
    expected = [[1, 1, popular[0], popular[0], 1 / 2, 1 / 2], [0, 0, popular[1], 0, 0, 0]]
    found = signs_of(visible, by_popularity, same_franchise)
    torch.testing.assert_close(found, torch.tensor(expected))
    found = signs_of(visible, by_popularity, None)
    torch.testing.assert_close(found[:, :4], torch.tensor(expected)[:, :4])
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
    two = Asked.of([term], both_sides(shares, is_whole.float()), visible, wanted, sides=2)
    part, whole = likeliest_strengths(two)[1][0].split(3)
    assert part[0] > 0.7 and whole[0] < -0.7
    torch.testing.assert_close(penalty(6, 2), torch.block_diag(penalty(3), penalty(3)))


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
