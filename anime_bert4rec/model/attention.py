"""Attention, each way of computing it beside the formula that it equals, with gradients of its own on a CPU.

There, most of the time goes into passing over the scores of all pairs of positions again and again. So scores are made
for a few lists at a time, which stay in the processor's cache; and where no position sees what is later, for some
queries at a time, of no more keys than the last of these sees. The backward pass works in the same parts, with the
attention weights that the forward pass kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

SCORES_AT_ONCE = 2**19
"""About so many scores stay in the processor's cache from one operation to the next."""
QUERIES_AT_ONCE = 50
"""How many positions attend together where each sees only what is before it: with fewer, less is computed in vain."""
QUERIES_AT_ONCE_IN_EVALUATION = 32
"""The same where no gradient is needed, and all is computed in one go."""


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    padding: Tensor | None = None,
    seen: Sequence[int] | None = None,
) -> Tensor:
    """`softmax(query @ keyᵀ / √(size / heads) + bias + padding) @ value`, with the heads side by side.

    query [B, heads, Q, size / heads], key and value [B, heads, L, size / heads] → [B, Q, size]. bias, padding:
    broadcast to [B, heads, Q, L]; the padding is not learnt. seen: how many of the keys, from the first on, each query
    sees at the most, ascending; the bias hides the others.
    """
    # No dropout on the attention weights: its random numbers would cost more than the attention.
    if not torch.is_grad_enabled():
        mixed = _without_gradient(query, key, value, bias, padding, seen)
    elif query.device.type == "cpu":
        mixed = cast(Tensor, _Attention.apply(query, key, value, bias, padding, seen))
    else:
        scores = query * query.shape[-1] ** -0.5 @ key.transpose(2, 3)
        for added in (bias, padding):
            scores = scores if added is None else scores + added
        mixed = scores.softmax(-1) @ value
    return mixed.transpose(1, 2).flatten(2)


def attend_to_states(
    query: Tensor,
    states: Tensor,
    of_key: Tensor,
    of_value: Tensor,
    heads: int,
    bias: Tensor | None,
    shared: Tensor | None = None,
) -> Tensor:
    """`attend(query, states @ of_keyᵀ, states @ of_valueᵀ, bias)`, without making keys or values.

    For a few queries there is less to compute if these go through the weights of both, on their way to the states and
    back (as DeepSeek-AI, "DeepSeek-V2", 2024, absorb them). query [B, Q, size], states [B, L, size], weights of key and
    value [size, size] → [B, Q, size]. shared: what all lists have before these states [any, size].
    """
    key, value = (weight.unflatten(0, (heads, -1)) for weight in (of_key, of_value))
    query = query.unflatten(2, (heads, -1)) * key.shape[1] ** -0.5
    through = torch.einsum("bqhd,hds->bhqs", query, key)
    scores = torch.einsum("bhqs,bls->bhql", through, states)
    if shared is not None:
        scores = torch.cat([through @ shared.t(), scores], -1)
    weights = (scores if bias is None else scores + bias).softmax(-1)
    mixed = torch.einsum("bhql,bls->bhqs", weights[..., -states.shape[1] :], states)
    if shared is not None:
        mixed += weights[..., : len(shared)] @ shared
    return torch.einsum("bhqs,hds->bqhd", mixed, value).flatten(2)


def are_few(queries: int, positions: int, heads: int, size: int) -> bool:
    """Whether so many queries of each list are few enough for `attend_to_states`, by what both multiply."""
    return queries * (size + (heads - 1) * positions) <= positions * size


def _without_gradient(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    padding: Tensor | None,
    seen: Sequence[int] | None,
) -> Tensor:
    if padding is not None:
        bias = padding if bias is None else bias + padding
    if bias is not None:
        bias = bias.to(query.dtype).expand(*query.shape[:3], key.shape[2])
    mixed = torch.empty_like(query)
    for some, keys in _blocks(query.shape[2], key.shape[2], seen, QUERIES_AT_ONCE_IN_EVALUATION):
        of_some = None if bias is None else bias[..., some, :keys]
        mixed[:, :, some] = F.scaled_dot_product_attention(
            query[:, :, some], key[:, :, :keys], value[:, :, :keys], of_some
        )
    return mixed


def _blocks(queries: int, keys: int, seen: Sequence[int] | None, at_once: int) -> Iterator[tuple[slice, int]]:
    """Which queries go together, and how many of the keys they see."""
    if seen is None:
        yield slice(0, queries), keys
        return
    for start in range(0, queries, at_once):
        stop = min(start + at_once, queries)
        yield slice(start, stop), seen[stop - 1]


class _Attention(torch.autograd.Function):
    """query [B, heads, Q, d], key and value [B, heads, L, d], … → [B, heads, Q, d], as `attend`."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        bias: Tensor | None,
        padding: Tensor | None,
        seen: Sequence[int] | None,
    ) -> Tensor:
        lists, heads, queries, _ = query.shape
        ctx.scale, ctx.heads, ctx.of_bias = query.shape[-1] ** -0.5, heads, None if bias is None else bias.shape
        ctx.blocks = list(_blocks(queries, key.shape[2], seen, QUERIES_AT_ONCE))
        query, key, value = (query * ctx.scale).flatten(0, 1), key.flatten(0, 1), value.flatten(0, 1)
        mixed = torch.empty_like(query)
        weights = [query.new_empty(len(query), some.stop - some.start, keys) for some, keys in ctx.blocks]
        ctx.parts = list(_parts(lists, heads, max(kept.shape[1] * kept.shape[2] for kept in weights)))
        for part in ctx.parts:
            for (some, keys), kept in zip(ctx.blocks, weights, strict=True):
                scores = torch.bmm(query[part.heads, some], key[part.heads, :keys].transpose(1, 2))
                for added in (bias, padding):
                    if added is not None:
                        scores.unflatten(0, (-1, heads)).add_(_of_part(added, part.lists, some, keys))
                kept[part.heads] = scores.softmax(-1)
                mixed[part.heads, some] = torch.bmm(kept[part.heads], value[part.heads, :keys])
        ctx.save_for_backward(query, key, value, mixed, *weights)
        return mixed.unflatten(0, (lists, heads))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, mixed, *weights = ctx.saved_tensors
        gradient = gradient.flatten(0, 1)
        # What goes back through a softmax is weighed against the mean of what comes back.
        mean = (gradient * mixed).sum(-1, keepdim=True)
        of_query, of_key, of_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)
        of_bias = gradient.new_zeros(ctx.of_bias) if ctx.needs_input_grad[3] else None
        for part in ctx.parts:
            for (some, keys), kept in zip(ctx.blocks, weights, strict=True):
                upstream, weight = gradient[part.heads, some], kept[part.heads]
                of_scores = torch.bmm(upstream, value[part.heads, :keys].transpose(1, 2))
                of_scores.sub_(mean[part.heads, some]).mul_(weight)
                if of_bias is not None:
                    to = _of_part(of_bias, part.lists, some, keys)
                    to.add_(of_scores.unflatten(0, (-1, ctx.heads)).sum_to_size(to.shape))
                of_query[part.heads, some] = torch.bmm(of_scores, key[part.heads, :keys])
                of_key[part.heads, :keys] += torch.bmm(of_scores.transpose(1, 2), query[part.heads, some])
                of_value[part.heads, :keys] += torch.bmm(weight.transpose(1, 2), upstream)
        of_query.mul_(ctx.scale)
        each = [x.unflatten(0, (-1, ctx.heads)) for x in (of_query, of_key, of_value)]
        return *each, of_bias, None, None


class _Part(NamedTuple):
    """Some lists, and which of the B × heads attentions are theirs."""

    lists: slice
    heads: slice


def _parts(lists: int, heads: int, scores: int) -> Iterator[_Part]:
    """scores: of one list and one head."""
    at_once = max(1, SCORES_AT_ONCE // max(1, heads * scores))
    for start in range(0, lists, at_once):
        stop = min(start + at_once, lists)
        yield _Part(slice(start, stop), slice(start * heads, stop * heads))


def _of_part(added: Tensor, lists: slice, some: slice, keys: int) -> Tensor:
    """What is added to the scores of a block: of a tensor that is broadcast to [B, heads, Q, L], a view."""
    if added.ndim == 4 and len(added) > 1:
        added = added[lists]
    if added.shape[-2] > 1:
        added = added[..., some, :]
    return added[..., :keys] if added.shape[-1] > 1 else added
