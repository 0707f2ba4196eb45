"""BERT4Rec: a Transformer encoder over a watch list that predicts the items behind the masks.

Sun et al., "BERT4Rec: Sequential Recommendation with Bidirectional Encoder Representations from Transformer", 2019;
with pre-norm layers, a gated feed-forward, learned scalars for distances instead of position embeddings, and an
item-to-item memory that the logits start from (item_memory.py). Only what is read is computed: logits, and the last
layer's queries and feed-forward, at the masked positions alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from batches import Batch
from item_memory import ItemMemory, MemoryConfig
from sequences import PAD
from tied_embedding import TiedEmbedding

UNSEEN = -1e9
"""Added to the attention score of what a position must not see."""
MIXTURE = (0.3, 1.0)
"""What the logits of a network that answers alone, and those of the memory, count for together before training."""
MIXTURE_PACE = 10.0
"""These two are learned so many times as fast as the other weights."""


@dataclass(frozen=True)
class ModelConfig:
    """All that is needed to build a model; saved beside its weights."""

    num_items: int
    hidden_size: int = 256
    num_layers: int = 2
    num_heads: int = 4
    max_seq_len: int = 200
    dropout: float = 0.1
    ordered: bool = True
    """Whether the model looks at distances: in lists without an order they mean nothing."""
    memory: MemoryConfig | None = None
    answers_alone: bool = False
    """Whether the network also learns to answer alone, as though there were no memory."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        memory = values.get("memory")
        return cls(**{**values, "memory": memory and MemoryConfig.from_dict(memory)})


class BERT4Rec(nn.Module):
    """`forward(batch)` → logits [M, N] of the items 1 … N (in columns 0 … N - 1) at the slots of the batch."""

    def __init__(self, config: ModelConfig, memory: ItemMemory | None = None) -> None:
        super().__init__()
        self.config = config
        size = config.hidden_size
        self.item_embedding = nn.Embedding(config.num_items + 2, size, padding_idx=PAD)  # padding, items, mask
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(size)
        self.project = nn.Linear(size, size)
        self.item_bias = nn.Parameter(torch.zeros(config.num_items))
        self.memory = memory or (ItemMemory(config.memory) if config.memory else None)
        if config.answers_alone:
            self.alone_bias = nn.Parameter(torch.zeros(config.num_items))
            self.mixture = nn.Parameter(torch.tensor(MIXTURE) / MIXTURE_PACE)
        nn.init.normal_(self.item_embedding.weight, std=size**-0.5)
        nn.init.zeros_(self.item_embedding.weight[PAD])
        # The network starts without an opinion, so that training starts from what the bias or the memory knows.
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    @torch.no_grad()
    def start_from_popularity(self, popularity: Tensor) -> None:
        """Without the memory, begin with the guess that every masked item is a popular one; popularity: how often each
        is seen [N]."""
        bias = self.alone_bias if self.config.answers_alone else self.item_bias
        bias.copy_((popularity + 0.5).log().log_softmax(0))

    def forward(self, batch: Batch) -> Tensor:
        embedding = TiedEmbedding(self.item_embedding.weight)
        encode = self.encode_masks if batch.cuts is None else self.encode_cuts
        hidden = self.project(self.norm(encode(batch, embedding)))
        with torch.autocast(hidden.device.type, enabled=False):  # the memory needs the precision
            hidden = hidden.float()
            if self.memory is None or batch.alone:
                return embedding.logits(self.alone_bias if batch.alone else self.item_bias, hidden)
            prior = self.memory(batch)
            # All that the network could learn of items that no list has is that they never come.
            unlisted = self.memory.unlisted.columns
            by_memory = prior[:, unlisted] if batch.targets is None else None
            if not self.config.answers_alone:
                logits = embedding.logits(prior, hidden).add_(self.item_bias)
            else:
                of_network, of_memory = self.mixture * MIXTURE_PACE
                logits = embedding.logits(prior * of_memory, hidden * of_network).add_(self.item_bias)
                if by_memory is not None:  # which keeps its odds against all others
                    logits[:, unlisted] = prior[:, unlisted] = -torch.inf
                    by_memory += (logits.logsumexp(1) - prior.logsumexp(1))[:, None]
            if by_memory is not None:
                logits[:, unlisted] = by_memory
            return logits

    def encode_masks(self, batch: Batch, embedding: TiedEmbedding) -> Tensor:
        """Hidden states [M, hidden_size] at the slots; every position sees the whole list."""
        lists, length = batch.items.shape
        rows = batch.slots // length
        first = torch.searchsorted(rows, torch.arange(lists, device=rows.device))
        rank = torch.arange(len(rows), device=rows.device) - first[rows]
        columns = rows.new_zeros(lists, int(rank.max()) + 1)  # of the slots of each list, filled up with column 0
        columns[rows, rank] = batch.slots % length

        dropout = self._dropout(batch)
        hidden, unseen = dropout(embedding.look_up(batch.items)), _unseen_padding(batch.items)
        *layers, last = self._layers()
        for layer in layers:
            hidden = layer(hidden, dropout, _sum(layer.distance_bias(length), unseen))
        bias = last.distance_bias(length)
        if bias is not None:
            bias = bias.index_select(1, columns.flatten()).unflatten(1, columns.shape).transpose(0, 1)
        queries = hidden.flatten(0, 1).index_select(0, (columns + length * _column(lists, rows)).flatten())
        hidden = last(hidden, dropout, _sum(bias, unseen), queries.view(lists, -1, hidden.shape[-1]))
        return hidden.flatten(0, 1).index_select(0, rows * columns.shape[1] + rank)

    def encode_cuts(self, batch: Batch, embedding: TiedEmbedding) -> Tensor:
        """Hidden states [M, hidden_size] of the items before the cuts, each of which sees itself and all before it.

        So does every item in every layer, so that one row stands for many lists, each ending at a cut.
        """
        assert batch.cuts is not None
        dropout, length = self._dropout(batch), batch.items.shape[1]
        hidden = dropout(embedding.look_up(batch.items))
        column = torch.arange(length, device=batch.items.device)
        unseen, padding = (column > column[:, None]) * UNSEEN, _unseen_padding(batch.items)
        *layers, last = self._layers()
        for layer in layers:
            hidden = layer(hidden, dropout, _sum(_sum(layer.distance_bias(length), unseen), padding))
        before = batch.cuts - 1
        bias = last.distance_bias(length)
        bias = _sum(bias if bias is None else bias.index_select(1, before), unseen.index_select(0, before))
        hidden = last(hidden, dropout, _sum(bias, padding), hidden.index_select(1, before))
        return hidden.flatten(0, 1).index_select(0, batch.slots)

    def _layers(self) -> list[EncoderLayer]:
        return cast(list[EncoderLayer], list(self.layers))

    def _dropout(self, batch: Batch) -> Dropout:
        return Dropout(self.config.dropout if self.training else 0.0, batch.seed, batch.items.device)


class EncoderLayer(nn.Module):
    """Pre-norm self-attention and gated feed-forward, each added to what came in."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.config = config
        self.attention_norm = nn.LayerNorm(size)
        self.query = nn.Linear(size, size)
        self.key = nn.Linear(size, size)
        self.value = nn.Linear(size, size)
        self.attention_output = nn.Linear(size, size)
        self.feed_forward_norm = nn.LayerNorm(size)
        self.gate = nn.Linear(size, 2 * size)
        self.widen = nn.Linear(size, 2 * size)
        self.narrow = nn.Linear(2 * size, size)
        distance = torch.zeros(config.num_heads, 2 * config.max_seq_len + 1)
        self.distance = nn.Parameter(distance, requires_grad=config.ordered)  # of no use without an order
        for linear in self.children():
            if isinstance(linear, nn.Linear):
                nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
                nn.init.zeros_(linear.bias)

    def distance_bias(self, length: int) -> Tensor | None:
        """[heads, length, length]: a learned scalar for each distance from the query's column to the key's."""
        if not self.config.ordered:
            return None
        zero = self.config.max_seq_len
        return self.distance[:, zero - length + 1 : zero + length].unfold(1, length, 1).flip(1)

    def forward(self, hidden: Tensor, dropout: Dropout, bias: Tensor | None, queries: Tensor | None = None) -> Tensor:
        """hidden [B, L, size] → the same, or [B, Q, size] for `queries` alone, which are some of its positions.

        bias: added to the attention scores, broadcast to [B, heads, Q, L].
        """
        normed = self.attention_norm(hidden)
        key, value = self._heads(self.key(normed)), self._heads(self.value(normed))
        hidden, normed = (hidden, normed) if queries is None else (queries, self.attention_norm(queries))
        query = self._heads(self.query(normed))
        # No dropout on the attention weights: its random numbers would cost more than the attention.
        if torch.is_grad_enabled():
            scores = query * (self.config.hidden_size // self.config.num_heads) ** -0.5 @ key.transpose(2, 3)
            mixed = (scores if bias is None else scores + bias).softmax(-1) @ value
        else:  # several times as fast, and without a gradient for the bias
            bias = bias if bias is None else bias.to(query.dtype).expand(len(hidden), -1, -1, -1)
            mixed = F.scaled_dot_product_attention(query, key, value, bias)
        hidden = hidden + dropout(self.attention_output(mixed.transpose(1, 2).flatten(2)))
        normed = self.feed_forward_norm(hidden)
        return hidden + dropout(self.narrow(F.silu(self.gate(normed)) * self.widen(normed)))

    def _heads(self, x: Tensor) -> Tensor:
        """[B, L, size] → [B, heads, L, size / heads]."""
        return x.unflatten(2, (-1, self.config.hidden_size // self.config.num_heads)).transpose(1, 2)


class Dropout:
    """Dropout of one forward pass, with p rounded to 1/256: a random byte an element is several times cheaper than a
    Bernoulli draw. Its random numbers are its own, so that threads don't take them from each other."""

    def __init__(self, p: float, seed: int, device: torch.device) -> None:
        self.dropped = round(p * 256)
        self.generator = torch.Generator(device).manual_seed(seed) if self.dropped else None

    def __call__(self, x: Tensor) -> Tensor:
        if not self.dropped:
            return x
        random = torch.empty((x.numel() + 7) // 8, dtype=torch.int64, device=x.device)
        random.random_(-(2**63), None, generator=self.generator)
        keep = random.view(torch.uint8)[: x.numel()].view(x.shape) >= self.dropped
        return x * (keep * (256 / (256 - self.dropped)))


def _unseen_padding(items: Tensor) -> Tensor | None:
    """[B, 1, 1, L] to add to attention scores."""
    padding = items == PAD
    return padding[:, None, None] * UNSEEN if padding.any() else None


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b


def _column(count: int, like: Tensor) -> Tensor:
    return torch.arange(count, device=like.device)[:, None]
