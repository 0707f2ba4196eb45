"""Attention has the values and gradients of the formula, however it is computed."""

from __future__ import annotations

import pytest
import torch

from anime_bert4rec.model import attention
from anime_bert4rec.model.attention import are_few, attend, attend_to_states


def made_up(*shape, learnt=True):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=learnt)


@pytest.fixture(autouse=True)
def the_same_numbers():
    torch.manual_seed(3)


def plain_attention(query, key, value, bias):
    """Head by head; query, key and value [B, heads, L, d]."""
    mixed = []
    for head in range(query.shape[1]):
        scores = query[:, head] @ key[:, head].transpose(1, 2) / query.shape[-1] ** 0.5
        of_head = 0 if bias is None else bias.expand(-1, query.shape[1], -1, -1)[:, head]
        mixed.append((scores + of_head).softmax(-1) @ value[:, head])
    return torch.cat(mixed, -1)


def causal_bias(length):
    return torch.full((1, 1, length, length), -1e9, dtype=torch.float64).triu(1)


def biases(kind):
    """The bias, the padding and what is seen, of 3 lists with 8 positions and 2 heads."""
    hidden = torch.zeros(3, 1, 1, 8, dtype=torch.float64)
    hidden[0, ..., :2], hidden[2, ..., :5] = -1e9, -1e9
    return {
        "none": (None, None, None),
        "padding": (None, hidden, None),
        "distances": (made_up(2, 8, 8), None, None),
        "distances and padding": (made_up(2, 8, 8), hidden, None),
        "of each list": (made_up(3, 2, 8, 8), hidden, None),
        "causal": (causal_bias(8)[0], None, range(1, 9)),
        "causal with distances": (made_up(2, 8, 8), None, range(1, 9)),
    }[kind]


@pytest.mark.parametrize("scores_at_once", [1, 2**19])
@pytest.mark.parametrize(
    "kind",
    [
        "none",
        "padding",
        "distances",
        "distances and padding",
        "of each list",
        "causal",
        "causal with distances",
    ],
)
def test_attention_and_its_gradients_are_those_of_the_formula(kind, scores_at_once, monkeypatch):
    monkeypatch.setattr(attention, "QUERIES_AT_ONCE", 3)
    monkeypatch.setattr(attention, "QUERIES_AT_ONCE_IN_EVALUATION", 3)
    monkeypatch.setattr(attention, "SCORES_AT_ONCE", scores_at_once)
    query, key, value = (made_up(3, 2, 8, 4) for _ in range(3))
    bias, padding, seen = biases(kind)
    learnt = [query, key, value, *([bias] if bias is not None and bias.requires_grad else [])]
    added = sum(each for each in (bias, padding, causal_bias(8) if seen else None) if each is not None)
    if seen and bias.requires_grad:
        bias = bias + causal_bias(8)[0]
    plain = plain_attention(query, key, value, None if isinstance(added, int) else added.expand(3, 2, 8, 8))
    ours, upstream = attend(query, key, value, bias, padding, seen), made_up(3, 8, 8, learnt=False)
    torch.testing.assert_close(ours, plain)
    for got, expected in zip(*(torch.autograd.grad(each, learnt, upstream) for each in (ours, plain)), strict=True):
        torch.testing.assert_close(got, expected)
    with torch.no_grad():
        torch.testing.assert_close(attend(query, key, value, bias, padding, seen), plain)


@pytest.mark.parametrize("with_gradients", [False, True])
@pytest.mark.parametrize("lists, queries", [(0, 3), (2, 0)])
def test_of_no_lists_and_of_no_queries_there_is_nothing(lists, queries, with_gradients):
    with torch.set_grad_enabled(with_gradients):
        query, key = made_up(lists, 2, queries, 4), made_up(lists, 2, 3, 4)
        assert attend(query, key, key, None).shape == (lists, queries, 8)


@pytest.mark.parametrize("with_gradients", [False, True])
def test_what_is_added_may_be_the_same_for_all_queries(with_gradients):
    query, key, value, bias = made_up(2, 3, 8, 4), made_up(2, 3, 8, 4), made_up(2, 3, 8, 4), made_up(1, 8, learnt=False)
    with torch.set_grad_enabled(with_gradients):
        got = attend(query, key, value, bias, seen=[8] * 8)
    torch.testing.assert_close(got, plain_attention(query, key, value, bias[None, None]))


def test_queries_at_cuts_see_what_is_before_them(monkeypatch):
    """Three queries of each list, the last of which sees 7 of 8 keys: nothing of the eighth comes into it."""
    monkeypatch.setattr(attention, "QUERIES_AT_ONCE", 2)
    query, key, value = made_up(2, 2, 3, 4), made_up(2, 2, 8, 4), made_up(2, 2, 8, 4)
    cuts = [2, 5, 7]
    bias = torch.where(torch.arange(8) < torch.tensor(cuts)[:, None], 0.0, -1e9).double()[None]
    plain, upstream = plain_attention(query, key, value, bias[None]), made_up(2, 3, 8, learnt=False)
    ours = attend(query, key, value, bias, seen=cuts)
    torch.testing.assert_close(ours, plain)
    learnt = [query, key, value]
    for got, expected in zip(*(torch.autograd.grad(each, learnt, upstream) for each in (ours, plain)), strict=True):
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("queries, few", [(59, True), (60, False)])
def test_few_queries_are_those_that_cost_less_by_the_states(queries, few):
    """By hand, of a list of 200 and four heads of 64: two products of 256 × 256 a query, and of 4 × 200 × 256 each, are
    as many multiplications as two of 200 × 256 × 256 and 200 × 256 a query at 59.8 queries."""
    by_states = queries * (2 * 256 * 256 + 2 * 4 * 200 * 256)
    by_keys = 2 * 200 * 256 * 256 + queries * 2 * 200 * 256
    assert (by_states <= by_keys) == few == are_few(queries, 200, 4, 256)


@pytest.mark.parametrize("biased", [False, True])
def test_attention_to_states_is_attention_to_the_keys_and_values_made_of_them(biased):
    heads, size = 2, 6
    query, states, of_key, of_value = made_up(3, 5, size), made_up(3, 7, size), made_up(size, size), made_up(size, size)
    bias = made_up(3, heads, 5, 7) if biased else None

    def heads_of(x):
        return x.unflatten(2, (heads, -1)).transpose(1, 2)

    plain = plain_attention(heads_of(query), heads_of(states @ of_key.T), heads_of(states @ of_value.T), bias)
    ours, upstream = attend_to_states(query, states, of_key, of_value, heads, bias), made_up(3, 5, size, learnt=False)
    torch.testing.assert_close(ours, plain)
    learnt = [query, states, of_key, of_value, *([bias] if biased else [])]
    for got, expected in zip(*(torch.autograd.grad(each, learnt, upstream) for each in (ours, plain)), strict=True):
        torch.testing.assert_close(got, expected)


def test_states_that_all_lists_share_are_attended_to_before_their_own():
    query, states, shared, of_key, of_value = (
        made_up(*shape) for shape in [(2, 3, 8), (2, 5, 8), (4, 8), *2 * [(8, 8)]]
    )
    bias = made_up(2, 2, 3, 9)
    whole = torch.cat([shared.expand(2, -1, -1), states], 1)
    expected = attend_to_states(query, whole, of_key, of_value, 2, bias)
    torch.testing.assert_close(attend_to_states(query, states, of_key, of_value, 2, bias, shared), expected)
