"""Ranks and accuracies worked out by hand, and the loss beside that of torch."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from anime_bert4rec.model.masked_metrics import (
    hits_by_row,
    masked_cross_entropy,
    ranks,
    squares_of_rows,
    standard_errors,
    top_k_hits,
)


def test_the_rank_counts_what_scores_higher():
    scores = torch.tensor([[0.1, 0.9, 0.5], [0.1, 0.9, 0.5], [0.1, 0.9, 0.5]])
    assert ranks(scores, torch.tensor([1, 2, 0])).tolist() == [1, 2, 3]


def test_a_tie_gets_the_worst_rank():
    scores = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    assert ranks(scores, torch.tensor([0])).tolist() == [3]


def test_a_model_without_an_opinion_gets_nothing_right():
    constant = torch.zeros(5, 100)
    assert top_k_hits(ranks(constant, torch.arange(5))).tolist() == [0, 0, 0, 0]


def test_what_is_not_a_number_never_counts_as_right():
    nan = math.nan
    assert ranks(torch.tensor([[nan, 0.0, 1.0]]), torch.tensor([0])).tolist() == [3]
    assert ranks(torch.tensor([[nan, nan, 1.0]]), torch.tensor([2])).tolist() == [3]


def test_hits_within_each_k():
    assert top_k_hits(torch.tensor([1, 2, 5, 6, 10, 11, 20, 21])).tolist() == [1, 3, 5, 7]


def test_hits_by_row():
    # Row 0 has ranks 1 and 7, row 2 has rank 12; row 1 has none.
    by_row = hits_by_row(torch.tensor([1, 7, 12]), torch.tensor([0, 0, 2]), 3)
    assert by_row.tolist() == [[1, 1, 2, 2, 2], [0, 0, 0, 0, 0], [0, 0, 0, 1, 1]]


def test_standard_errors_take_the_positions_of_a_row_together():
    # Two rows of two positions each, one all right, one all wrong: p = 1/2, and Σ (h - p n)² = 1 + 1 → √(2 · 2) / 4.
    by_row = torch.tensor([[2.0, 2.0], [0.0, 2.0]])
    assert standard_errors([0.5], 4, squares_of_rows(by_row).tolist()) == [pytest.approx(0.5)]
    # A row without positions is none; of three rows with h - p n = 1, -1 and 0: √(3 / 2 · 2) / 6.
    by_row = torch.tensor([[2.0, 2.0], [0.0, 2.0], [0.0, 0.0], [1.0, 2.0]])
    assert standard_errors([0.5], 6, squares_of_rows(by_row).tolist()) == [pytest.approx(math.sqrt(3) / 6)]
    assert standard_errors([1.0], 2, squares_of_rows(torch.tensor([[2.0, 2.0]])).tolist()) == [0]
    # One right and one wrong in each row: the rows agree.
    assert standard_errors([0.5], 4, squares_of_rows(torch.tensor([[1.0, 2.0], [1.0, 2.0]])).tolist()) == [0]


def test_the_loss_in_place_is_the_cross_entropy():
    logits = torch.randn(7, 11, dtype=torch.float64) * 5
    targets = torch.randint(0, 11, (7,))
    plain = logits.clone().requires_grad_()
    F.cross_entropy(plain, targets).backward()
    leaf = logits.clone().requires_grad_()
    loss = masked_cross_entropy(leaf * 1, targets)
    (2 * loss).backward()
    assert loss.item() == pytest.approx(F.cross_entropy(logits, targets).item())
    assert torch.allclose(leaf.grad, 2 * plain.grad)


def test_of_several_targets_in_a_row_the_loss_is_the_mean_over_all():
    logits = torch.randn(3, 11, dtype=torch.float64)
    targets = torch.tensor([[4, 7, -1], [0, -1, -1], [10, 2, 5]])
    rows, columns = (targets >= 0).nonzero()[:, 0], targets[targets >= 0]
    plain = logits.clone().requires_grad_()
    F.cross_entropy(plain[rows], columns).backward()
    leaf = logits.clone().requires_grad_()
    loss = masked_cross_entropy(leaf * 1, targets)
    (2 * loss).backward()
    assert loss.item() == pytest.approx(F.cross_entropy(logits[rows], columns).item())
    assert torch.allclose(leaf.grad, 2 * plain.grad)
