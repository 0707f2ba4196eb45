"""BERT4Rec: a Transformer encoder over a watch list that predicts the items behind the masks.

Sun et al., "BERT4Rec: Sequential Recommendation with Bidirectional Encoder Representations from Transformer", 2019;
with pre-norm layers, a gated feed-forward, learned scalars for distances instead of position embeddings, and an
item-to-item memory that the logits start from (model/item_memory.py). Only what is read is computed: logits, and the
last layer's queries and feed-forward, at the masked positions alone.
"""

from __future__ import annotations

import functools
import random
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anime_bert4rec.lists.sequences import PAD
from anime_bert4rec.model.batches import Batch, columns_of_masks
from anime_bert4rec.model.item_memory import ItemMemory, MemoryConfig
from anime_bert4rec.model.tied_embedding import TiedEmbedding
from anime_bert4rec.support.forms import WrongForm, check

UNSEEN = -1e9
"""Added to the attention score of what a position must not see."""
QUERIES_AT_ONCE = 32
"""So many attend together where each sees only what is before it: with fewer, less is computed in vain."""
SMALLEST_TABLE = 2**20
"""Of random factors for dropout."""
MIXTURE = (0.45, 0.67)
"""What the logits of a network that answers alone, and those of the memory, count for together. Learned with the other
weights the network would count for more: it gets to know the training lists by heart, which the memory leaves out."""
EMBEDDING_SPREAD, LAYER_SPREAD = 0.02, 0.05
"""Standard deviations that the weights start with."""
FIRST_OPINION = 0.1
"""What the network says before it has learned anything is multiplied by this, if it is said together with a memory."""


@dataclass(frozen=True)
class ModelConfig:
    """All that is needed to build a model; saved beside its weights."""

    num_items: int
    hidden_size: int = 256
    num_layers: int = 2
    num_heads: int = 4
    max_seq_len: int = 200
    dropout: float = 0.1
    feed_forward_ratio: int = 1
    """In hidden sizes."""
    ordered: bool = True
    """Whether the model looks at distances: in lists without an order they mean nothing."""
    memory: MemoryConfig | None = None
    answers_alone: bool = False
    """Whether the network also learns to answer alone, as though there were no memory."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Raises WrongForm for what is not, or has sizes of which no model can be."""
        check(values, cls, "model_config")
        memory = values.get("memory")
        config = cls(**{**values, "memory": None if memory is None else MemoryConfig.from_dict(memory)})
        sizes = (config.num_items, config.hidden_size, config.num_layers, config.num_heads, config.feed_forward_ratio)
        if min(sizes) < 1 or config.max_seq_len < 2 or config.hidden_size % config.num_heads:
            raise WrongForm("its sizes are not those of a model")
        if not 0 <= config.dropout < 1:
            raise WrongForm("its dropout is not from 0 to below 1")
        if config.memory and config.memory.num_items != config.num_items:
            raise WrongForm("its memory is of another number of items")
        return config

    def least_numbers(self) -> int:
        """So many numbers a model with these sizes has at the least."""
        size, of_heads = self.hidden_size, self.num_heads * (2 * self.max_seq_len + 1)
        layer = (4 + 3 * self.feed_forward_ratio) * size**2 + of_heads
        return self.num_items * size + self.num_layers * layer + (self.memory.least_numbers() if self.memory else 0)

    def places(self) -> dict[str, int]:
        """The tensors whose numbers say where something is, and the limit that they are below."""
        return {f"memory.{name}": limit for name, limit in self.memory.places().items()} if self.memory else {}


class BERT4Rec(nn.Module):
    """`forward(batch)` → logits [M, N] of the items 1 … N (in columns 0 … N - 1) at the slots of the batch."""

    def __init__(self, config: ModelConfig, memory: ItemMemory | None = None) -> None:
        super().__init__()
        self.config = config
        size = config.hidden_size
        self.item_embedding = nn.Embedding(config.num_items + 2, size, padding_idx=PAD)  # padding, items, mask
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(size, elementwise_affine=False)
        self.project = nn.Linear(size, size, bias=False)
        self.item_bias = nn.Parameter(torch.zeros(config.num_items))
        self.memory = memory or (ItemMemory(config.memory) if config.memory else None)
        if config.answers_alone:
            self.alone_bias = nn.Parameter(torch.zeros(config.num_items))
        nn.init.normal_(self.item_embedding.weight, std=EMBEDDING_SPREAD)
        nn.init.zeros_(self.item_embedding.weight[PAD])
        # What comes in goes out again, but for little: so from the first step on the embeddings that are looked up, and
        # those that the logits are made with, learn from each other. A memory knows better, and with few lists there
        # are few steps to unlearn it in.
        nn.init.eye_(self.project.weight)
        if self.memory is not None and not config.answers_alone:
            self.project.weight.data.mul_(FIRST_OPINION)

    @torch.no_grad()
    def start_from_popularity(self, popularity: Tensor) -> None:
        """Without the memory, begin with the guess that every masked item is a popular one; popularity: how often each
        is seen [N]."""
        bias = self.alone_bias if self.config.answers_alone else self.item_bias
        bias.copy_((popularity + 0.5).log().log_softmax(0))

    def forward(self, batch: Batch) -> Tensor:
        embedding = TiedEmbedding(self.item_embedding.weight)
        hidden = self.project(self.norm(self.encode(batch, embedding)))
        with torch.autocast(hidden.device.type, enabled=False):  # the memory needs the precision
            hidden = hidden.float()
            if self.memory is None or batch.alone:
                return embedding.logits(self.alone_bias if batch.alone else self.item_bias, hidden)
            prior = self.memory(batch)
            # All that the network could learn of items that no list has is that they never come.
            unlisted = self.memory.unlisted.columns if self.memory.ranks_unlisted(batch) else None
            by_memory = None if unlisted is None else prior[:, unlisted]
            if not self.config.answers_alone:
                logits = embedding.logits(prior, hidden).add_(self.item_bias)
            else:
                if by_memory is not None:  # which keeps its odds against all others
                    prior[:, unlisted] = -torch.inf
                    by_memory -= prior.logsumexp(1)[:, None]
                of_network, of_memory = MIXTURE
                logits = embedding.logits(prior.mul_(of_memory), hidden * of_network).add_(self.item_bias)
                if by_memory is not None:
                    by_memory += logits.logsumexp(1)[:, None]
            if by_memory is not None:
                logits[:, unlisted] = by_memory
            return logits

    def encode(self, batch: Batch, embedding: TiedEmbedding) -> Tensor:
        """Hidden states [M, hidden_size] that answer at the slots.

        A mask sees the whole list, and answers itself. For a cut, the item before it answers, which sees itself and all
        before it. So does every item in every layer, so that one row stands for many lists, each ending at a cut.
        """
        if batch.cuts is None:
            listed, later, padding = batch.items, None, _unseen_padding(batch.items)
            columns, of_slot = columns_of_masks(batch)
        else:
            listed, padding = batch.items[:, : int(batch.cuts[-1])], None
            skipped = (listed == PAD).sum(1, keepdim=True)
            if batch.masked is not None:
                listed = torch.where(batch.masked & (listed != PAD), self.config.num_items + 1, listed)
            column = torch.arange(listed.shape[1], device=listed.device)
            # Padding at the end is later than all that answers, so that it needs no mask of its own for each list.
            listed = listed.gather(1, (column + skipped) % len(column))
            columns, of_slot = (batch.cuts - 1 - skipped).clamp_min(0), batch.slots
            later = torch.full((1, len(column), len(column)), UNSEEN, device=listed.device).triu(1)
        lists, length = listed.shape
        dropout = Dropout(self.config.dropout if self.training else 0.0, batch.seed)
        *layers, last = cast(list[EncoderLayer], list(self.layers))

        items, place = _distinct(listed)
        hidden = dropout(embedding.look_up(items) * self.config.hidden_size**0.5)
        if not layers:
            hidden = _take(hidden, place)
        for number, layer in enumerate(layers):
            bias = _sum(_sum(layer.distance_bias(length), later), padding)
            hidden = layer(hidden, dropout, bias, causal=later is not None, place=None if number else place)
        where = (columns + length * torch.arange(lists, device=columns.device)[:, None]).flatten()
        queries = hidden.flatten(0, 1).index_select(0, where).view(lists, -1, hidden.shape[-1])
        bias = _sum(last.distance_bias(length), later)
        if bias is not None:
            bias = bias.index_select(1, columns.flatten()).unflatten(1, columns.shape).transpose(0, 1)
        asked = last.answer(queries, hidden, dropout, _sum(bias, padding))
        return asked.flatten(0, 1).index_select(0, of_slot)


class EncoderLayer(nn.Module):
    """Self-attention and a gated feed-forward, each added to what came in.

    Side by side, behind one norm (Wang and Komatsuzaki, "GPT-J-6B", 2021), so that what a state makes of itself is
    computed once for all places it is at; in the last layer, for the few positions that answer, one behind the other.
    No biases and no weights in the norms (Groeneveld et al., "OLMo", 2024): a step takes two thirds of the time.
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

    def forward(
        self,
        hidden: Tensor,
        dropout: Dropout,
        bias: Tensor | None,
        *,
        causal: bool = False,
        place: Tensor | None = None,
    ) -> Tensor:
        """hidden [B, L, size] → the same. With place [B, L], hidden is [U, size], one of its rows at each position.

        bias: added to the attention scores, broadcast to [B, heads, L, L]. causal: whether it hides what is later.
        """
        normed, heads = self.norm(hidden), self.config.num_heads
        hidden = hidden + dropout(self._fed_forward(normed))
        rows = self.query(normed), self.key(normed), self.value(normed)
        if place is None:
            query, key, value = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in rows)
        else:
            hidden = _take(hidden, place)
            of_head = place[:, None] * heads + torch.arange(heads, device=place.device)[:, None]
            query, key, value = (_take(x.view(len(x) * heads, -1), of_head) for x in rows)
        return hidden + dropout(self.attention_output(_attend(query, key, value, bias, causal)))

    def answer(self, queries: Tensor, hidden: Tensor, dropout: Dropout, bias: Tensor | None) -> Tensor:
        """As the last layer: queries [B, Q, size], which are some of the positions of hidden [B, L, size] → the same.

        Neither keys nor values are made: for a few queries there is less to compute if these go through the weights of
        both, on their way to the states and back (as DeepSeek-AI, "DeepSeek-V2", 2024, absorb them).
        """
        heads, normed = self.config.num_heads, self.norm(hidden)
        key, value = (part.weight.unflatten(0, (heads, -1)) for part in (self.key, self.value))
        query = self.query(self.norm(queries)).unflatten(2, (heads, -1)) * key.shape[1] ** -0.5
        through = torch.einsum("bqhd,hds->bhqs", query, key)
        scores = torch.einsum("bhqs,bls->bhql", through, normed)
        weights = (scores if bias is None else scores + bias).softmax(-1)
        mixed = torch.einsum("bhql,bls->bhqs", weights, normed)
        mixed = torch.einsum("bhqs,hds->bqhd", mixed, value).flatten(2)
        queries = queries + dropout(self.attention_output(mixed))
        return queries + dropout(self._fed_forward(self.norm(queries)))

    def _fed_forward(self, normed: Tensor) -> Tensor:
        return self.feed_forward_output(F.silu(self.gate(normed)) * self.feed_forward(normed))


def _attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, causal: bool) -> Tensor:
    """query, key and value [B, heads, L, size / heads] → [B, L, size]."""
    # No dropout on the attention weights: its random numbers would cost more than the attention.
    if torch.is_grad_enabled():
        scores = query * query.shape[-1] ** -0.5 @ key.transpose(2, 3)
        mixed = (scores if bias is None else scores + bias).softmax(-1) @ value
    else:  # several times as fast, and without a gradient for the bias
        bias = bias if bias is None else bias.to(query.dtype).expand(len(query), -1, -1, -1)
        length = query.shape[2]
        at_once = QUERIES_AT_ONCE if causal else length
        mixed = torch.empty_like(query)
        for start in range(0, length, at_once):
            some, seen = slice(start, start + at_once), slice(0, start + at_once)
            mixed[:, :, some] = F.scaled_dot_product_attention(
                query[:, :, some], key[:, :, seen], value[:, :, seen], None if bias is None else bias[..., some, seen]
            )
    return mixed.transpose(1, 2).flatten(2)


def _take(rows: Tensor, which: Tensor) -> Tensor:
    """`rows[which]`, whose gradient is several times as fast."""
    return rows.index_select(0, which.flatten()).view(*which.shape, -1)


class Dropout:
    """Dropout of one forward pass, whose factors are read off a table of random ones, each time from a random place on.

    To draw all of them anew costs a tenth of a training step. (Salimans et al., "Evolution Strategies as a Scalable
    Alternative to Reinforcement Learning", 2017, share their noise in this way.)
    """

    def __init__(self, p: float, seed: int) -> None:
        self.p = p
        self.random = random.Random(seed)  # its own, so that threads don't take numbers from each other

    def __call__(self, x: Tensor) -> Tensor:
        if not self.p:
            return x
        size = x.numel()
        table = _dropout_factors(self.p, max(SMALLEST_TABLE, 2 ** (2 * size).bit_length()), x.device)
        start = self.random.randrange(len(table) - size)
        return x * table[start : start + size].view(x.shape)


@functools.cache
def _dropout_factors(p: float, size: int, device: torch.device) -> Tensor:
    kept = np.random.default_rng(0).random(size, np.float32) >= p
    return torch.from_numpy(np.multiply(kept, 1 / (1 - p), dtype=np.float32)).to(device)


def _matrix(inputs: int, outputs: int) -> nn.Linear:
    linear = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(linear.weight, std=LAYER_SPREAD)
    return linear


def _unseen_padding(items: Tensor) -> Tensor | None:
    """[B, 1, 1, L] to add to attention scores."""
    padding = items == PAD
    return padding[:, None, None] * UNSEEN if padding.any() else None


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b


def _distinct(items: Tensor) -> tuple[Tensor, Tensor]:
    """The items that there are [U], and which of them each of `items` is, in their shape."""
    flat = items.flatten()
    there = torch.zeros(int(flat.max()) + 1, dtype=torch.long, device=items.device).index_fill_(0, flat, 1)
    return there.nonzero()[:, 0], (there.cumsum(0) - 1).index_select(0, flat).view(items.shape)
