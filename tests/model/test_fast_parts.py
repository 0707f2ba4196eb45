"""What is fast has the values and gradients of the plain computations of torch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from anime_bert4rec.lists.sequences import PAD
from anime_bert4rec.model.fast_parts import (
    Dropout,
    TiedEmbedding,
    distinct,
    sums_of_rows,
    take,
)

ITEMS, SIZE = 7, 4


def made_up(*shape, learnt=True):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=learnt)


@pytest.fixture(autouse=True)
def the_same_numbers():
    torch.manual_seed(3)


@pytest.mark.parametrize("shape", [(ITEMS,), (5, ITEMS)])
@pytest.mark.parametrize("start_is_learnt", [False, True])
def test_the_logits_and_their_gradients_are_those_of_plain_torch(shape, start_is_learnt):
    hidden, weight, start = made_up(5, SIZE), made_up(ITEMS + 2, SIZE), made_up(*shape, learnt=start_is_learnt)
    upstream = made_up(5, ITEMS, learnt=False)
    learnt = [hidden, weight, *([start] if start_is_learnt else [])]
    plain = start + hidden @ weight[1:-1].T
    logits = TiedEmbedding(weight).logits(start * 1, hidden)
    torch.testing.assert_close(logits, plain)
    for ours, expected in zip(*(torch.autograd.grad(each, learnt, upstream) for each in (logits, plain)), strict=True):
        torch.testing.assert_close(ours, expected)


def test_the_gradient_of_the_look_up_is_that_of_plain_torch():
    weight, items = made_up(ITEMS + 2, SIZE), torch.tensor([[PAD, PAD, 3, 1], [3, 3, ITEMS + 1, 5]])
    upstream = made_up(2, 4, SIZE, learnt=False)
    ours, plain = TiedEmbedding(weight).look_up(items), F.embedding(items, weight, PAD)
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(*(torch.autograd.grad(each, weight, upstream)[0] for each in (ours, plain)))


def test_both_together_have_one_gradient_of_one_pass_and_add_up_over_passes():
    """Look up, change what was looked up, and make logits of it: twice, as the two halves of a batch do."""
    items, mix = torch.tensor([[PAD, 2, 3], [ITEMS + 1, 2, 7]]), made_up(SIZE, SIZE, learnt=False)

    def ours(weight):
        tied = TiedEmbedding(weight)
        return tied.logits(torch.zeros(6, ITEMS, dtype=torch.float64), (tied.look_up(items) @ mix).tanh().flatten(0, 1))

    def plain(weight):
        hidden = (F.embedding(items, weight, PAD) @ mix).tanh().flatten(0, 1)
        return hidden @ weight[1:-1].T

    gradients = []
    start = torch.randn(ITEMS + 2, SIZE, dtype=torch.float64)
    for logits in (ours, plain):
        weight = start.clone().requires_grad_()
        for _ in range(2):
            logits(weight).square().sum().backward()
        gradients.append(weight.grad)
    torch.testing.assert_close(*gradients)
    assert (gradients[0][PAD] == 0).all()
    assert (gradients[0][-1] != 0).any(), "the mask learns from where it is looked up"


def test_the_gradient_is_handed_on_and_not_copied():
    weight = made_up(ITEMS + 2, SIZE)
    tied = TiedEmbedding(weight)
    of_logits = []
    logits = tied.logits(torch.zeros(3, ITEMS, dtype=torch.float64), tied.look_up(torch.tensor([1, 2, 3])))
    tied.weight.register_hook(lambda gradient: of_logits.append(gradient.data_ptr()))
    logits.sum().backward()
    assert of_logits == [weight.grad.data_ptr()]
    assert tied.gradient is None


def test_rows_are_taken_as_by_an_index():
    rows, which = made_up(5, 3), torch.tensor([[4, 0, 0], [2, 4, 1]])
    upstream = made_up(2, 3, 3, learnt=False)
    torch.testing.assert_close(take(rows, which), rows[which])
    ours, plain = (torch.autograd.grad(each, rows, upstream)[0] for each in (take(rows, which), rows[which]))
    torch.testing.assert_close(ours, plain)


def test_distinct_items_are_those_of_unique():
    items = torch.randint(0, 9, (4, 5))
    for ours, plain in zip(distinct(items), items.unique(return_inverse=True), strict=True):
        assert torch.equal(ours, plain)


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_dropout_drops_the_share_and_keeps_the_mean(p):
    dropout = Dropout(p, 1)
    first, second = dropout(torch.ones(1000, 333)), dropout(torch.ones(1000, 333))
    for dropped in first, second:
        assert (dropped == 0).float().mean().item() == pytest.approx(p, abs=0.005)
        assert dropped.mean().item() == pytest.approx(1, abs=0.01)
    assert ((first == 0) & (second == 0)).float().mean().item() == pytest.approx(p * p, abs=0.005), "each has its own"
    assert torch.equal(Dropout(0.0, 0)(torch.ones(5)), torch.ones(5))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("lists", [1, 7, 8, 9])
@pytest.mark.parametrize("different", [3, 50])
def test_sums_of_rows_by_hand(lists, different, weighted):
    """Also of few lists, of lists that are alike, and of items that a list has twice."""
    items, table = torch.randint(0, different, (lists, 5)), made_up(50, SIZE, learnt=False)
    weights = torch.rand(lists, 5, dtype=torch.float64) if weighted else torch.ones(lists, 5, dtype=torch.float64)
    expected = [
        sum(weight * table[item] for item, weight in zip(row, of_row, strict=True))
        for row, of_row in zip(items.tolist(), weights, strict=True)
    ]
    got = sums_of_rows(items, weights if weighted else None)(table.to(torch.float64 if weighted else torch.float32))
    torch.testing.assert_close(got.double(), torch.stack(expected), atol=1e-5, rtol=1e-5)
