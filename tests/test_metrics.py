"""Ranks and accuracies worked out by hand."""

from __future__ import annotations

import math

import torch

from metrics import ranks, top_k_hits


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
