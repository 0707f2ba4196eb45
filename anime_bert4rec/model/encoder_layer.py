"""A layer of the Transformer: self-attention and a gated feed-forward, each added to what came in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anime_bert4rec.model.attention import are_few, attend, attend_to_states
from anime_bert4rec.model.fast_parts import Dropout, take
from anime_bert4rec.model.products import Matrix, multiply

if TYPE_CHECKING:
    from anime_bert4rec.model.bert4rec import ModelConfig

UNSEEN = -1e9
"""Added to the attention score of what a position must not see."""
LAYER_SPREAD = 0.05
"""The standard deviation that the weights of the layers start with."""


class ItemStates(NamedTuple):
    """What a layer makes of each state by itself, before it looks at others [..., size].

    Of the first layer, whose states are items, it is the same in every list.
    """

    hidden: Tensor
    query: Tensor
    key: Tensor
    value: Tensor


class EncoderLayer(nn.Module):
    """Self-attention and a gated feed-forward, each added to what came in.

    The two stand side by side behind one norm (Wang and Komatsuzaki, "GPT-J-6B", 2021), so that what depends on a state
    alone is computed once for all positions that have it. In the last layer, which is computed for the few positions
    that answer, the feed-forward comes behind the attention. No biases and no weights in the norms (Groeneveld et al.,
    "OLMo", 2024): a step takes two thirds of the time.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.config = config
        self.norm = nn.LayerNorm(size, elementwise_affine=False)
        self.query, self.key, self.value, self.attention_output = (_matrix(size, size) for _ in range(4))
        wide = config.feed_forward_ratio * size
        self.gate, self.feed_forward = (_matrix(size, wide) for _ in range(2))
        self.feed_forward_output = _matrix(wide, size)
        distance = torch.zeros(config.num_heads, 2 * config.max_seq_len + 1)
        self.distance = nn.Parameter(distance, requires_grad=config.ordered)  # of no use without an order

    def distance_bias(self, length: int) -> Tensor | None:
        """[heads, length, length]: a learned scalar for each distance from the query's column to the key's."""
        if not self.config.ordered:
            return None
        zero = self.config.max_seq_len
        return self.distance[:, zero - length + 1 : zero + length].unfold(1, length, 1).flip(1)

    def apart(self, hidden: Tensor, dropout: Dropout) -> ItemStates:
        """What is made of each of the states [..., size] by itself."""
        query, key, value, gate, fed = multiply(
            self.norm(hidden), self.query, self.key, self.value, self.gate, self.feed_forward
        )
        return ItemStates(hidden + dropout(self._fed_forward(gate, fed)), query, key, value)

    def together(
        self,
        apart: ItemStates,
        dropout: Dropout,
        bias: Tensor | None,
        padding: Tensor | None = None,
        seen: Sequence[int] | None = None,
        place: Tensor | None = None,
    ) -> Tensor:
        """The states [B, L, size], each with what it takes from the others of its list.

        apart: [B, L, size]; with place [B, L], [U, size], one of its rows at each position. bias, padding, seen: as in
        `attend`.
        """
        hidden, *rows = apart
        heads = self.config.num_heads
        if place is None:
            query, key, value = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in rows)
        else:
            hidden = take(hidden, place)
            of_head = place[:, None] * heads + torch.arange(heads, device=place.device)[:, None]
            query, key, value = (take(x.view(len(x) * heads, -1), of_head) for x in rows)
        return hidden + dropout(self.attention_output(attend(query, key, value, bias, padding, seen)))

    def answer(
        self,
        queries: Tensor,
        normed: Tensor,
        dropout: Dropout,
        bias: Tensor | None,
        padding: Tensor | None = None,
        seen: Sequence[int] | None = None,
        shared: Tensor | None = None,
    ) -> Tensor:
        """The last layer, which is computed for `queries` only, the states of some positions.

        queries [B, Q, size] → [B, Q, size]. normed: the states of all positions, behind the norm [B, L, size]. bias,
        padding, seen: as in `attend`. shared: the states that all lists have before these [any, size].
        """
        heads, query = self.config.num_heads, self.query(self.norm(queries))
        if shared is not None or are_few(queries.shape[1], normed.shape[1], heads, normed.shape[2]):
            bias = bias if padding is None else padding if bias is None else bias + padding
            mixed = attend_to_states(query, normed, self.key.weight, self.value.weight, heads, bias, shared)
        else:
            rows = (query, *multiply(normed, self.key, self.value))
            query, key, value = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in rows)
            mixed = attend(query, key, value, bias, padding, seen)
        queries = queries + dropout(self.attention_output(mixed))
        return queries + dropout(self._fed_forward(*multiply(self.norm(queries), self.gate, self.feed_forward)))

    def _fed_forward(self, gate: Tensor, fed: Tensor) -> Tensor:
        output: Tensor = self.feed_forward_output(F.silu(gate) * fed)
        return output


def _matrix(inputs: int, outputs: int) -> Matrix:
    matrix = Matrix(inputs, outputs)
    nn.init.normal_(matrix.weight, std=LAYER_SPREAD)
    return matrix
