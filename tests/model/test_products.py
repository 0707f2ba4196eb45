"""Products in bfloat16 have the values and gradients of plain ones, but for its rounding, whatever the sizes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from anime_bert4rec.model import products
from anime_bert4rec.model.products import Matrix, filled_up, multiply


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    torch.manual_seed(5)
    monkeypatch.setattr(products, "ROWS", 8)
    monkeypatch.setattr(products, "FEWEST_ROWS", 4)


def matrices(low):
    made = [Matrix(6, outputs) for outputs in (5, 3)]
    for matrix in made:
        matrix.low = low
    return made


@pytest.mark.parametrize("shape", [(1, 6), (7, 6), (8, 6), (3, 7, 6)])
def test_values_and_gradients_are_those_of_plain_products(shape):
    """Whole numbers up to 256 are exact in bfloat16, and so are these sums: nothing may differ."""
    made = matrices(torch.bfloat16)
    with torch.no_grad():
        for matrix in made:
            matrix.weight.copy_(torch.randint(-2, 3, matrix.weight.shape))
    x = torch.randint(-2, 3, shape).float().requires_grad_()
    learnt = [x, *(matrix.weight for matrix in made)]
    ours, plain = multiply(x, *made), [F.linear(x, matrix.weight) for matrix in made]
    upstream = [torch.randint(-1, 2, each.shape).float() for each in plain]
    for mine, expected in zip(ours, plain, strict=True):
        assert torch.equal(mine, expected)
    for mine, expected in zip(*(torch.autograd.grad(each, learnt, upstream) for each in (ours, plain)), strict=True):
        assert torch.equal(mine, expected)


def test_the_numbers_are_rounded_but_not_the_sums_over_parts():
    """The gradient of a weight over 1,001 rows of 1, eight at a time: bfloat16 cannot count beyond 256."""
    (matrix, _), x = matrices(torch.bfloat16), torch.full((1001, 6), 1.0 + 2**-9)
    multiply(x, matrix)[0].sum().backward()
    assert matrix.weight.grad.dtype == torch.float32
    assert (matrix.weight.grad == 1001).all()  # and what is beyond eight bits of the 1 is lost


def test_gradients_by_way_of_two_matrices_are_not_rounded_when_they_are_added():
    """256 by one and 1 by the other: in bfloat16 their sum were 256."""
    made, x = matrices(torch.bfloat16), torch.zeros(1, 6, requires_grad=True)
    with torch.no_grad():
        for matrix in made:
            matrix.weight.zero_()
        made[0].weight[0], made[1].weight[0] = 256, 1
    one, other = multiply(x, *made)
    (one.sum() + other.sum()).backward()
    assert (x.grad == 257).all()


def test_rows_that_do_not_lie_one_behind_the_other():
    (matrix, _), x = matrices(torch.bfloat16), torch.randint(-2, 3, (6, 9)).float().requires_grad_()
    matrix.weight.data.copy_(torch.randint(-2, 3, matrix.weight.shape))
    ours, plain = matrix(x.t()), F.linear(x.t(), matrix.weight)
    assert torch.equal(ours, plain)
    assert torch.equal(*(torch.autograd.grad(each.sum(), x)[0] for each in (ours, plain)))


def test_in_evaluation_and_without_other_numbers_products_are_plain():
    x = torch.randn(5, 6)
    for matrix in (matrices(None)[0], matrices(torch.bfloat16)[0].eval()):
        assert torch.equal(matrix(x), F.linear(x, matrix.weight))


@pytest.mark.parametrize("rows, filled", [(1, 4), (4, 4), (5, 8)])
def test_rows_are_filled_up_with_zeros(rows, filled):
    got = filled_up(torch.ones(rows, 2), torch.bfloat16)
    assert got.shape == (filled, 2) and got.sum() == 2 * rows
