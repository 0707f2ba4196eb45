"""BERT4Rec: a Transformer encoder over a watch list that predicts the items behind the masks.

Sun et al., "BERT4Rec: Sequential Recommendation with Bidirectional Encoder Representations from Transformer", 2019;
with pre-norm layers, a gated feed-forward, learned scalars for distances instead of position embeddings, and an
item-to-item memory that the logits start from (model/item_memory.py). Only what is read is computed: logits, and the
last layer's queries and feed-forward, only at the positions that are asked for (model/fast_parts.py has what is fast).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anime_bert4rec.lists.sequences import PAD
from anime_bert4rec.model.batches import Batch, columns_of_masks
from anime_bert4rec.model.encoder_layer import UNSEEN, EncoderLayer, ItemStates
from anime_bert4rec.model.fast_parts import Dropout, TiedEmbedding, distinct, take
from anime_bert4rec.model.gate import Gate
from anime_bert4rec.model.item_memory import ItemMemory
from anime_bert4rec.model.leaving_out import LeftOut, LeftOutInOrder
from anime_bert4rec.model.memory_config import MemoryConfig
from anime_bert4rec.model.predicted_scores import PredictedScores
from anime_bert4rec.model.products import Matrix
from anime_bert4rec.model.recent_strengths import RecentStrengths
from anime_bert4rec.support.forms import WrongForm, check

MIXTURE = (0.45, 0.67)
"""What the logits of network and memory are multiplied by before they are added, if the network also answers without
the memory. Learnt with the other weights, the network's factor would be too large: it gets to know the training lists
by heart, while the memory leaves them out."""
EMBEDDING_SPREAD = 0.02
"""The standard deviation that the embeddings start with."""
STATES_AT_ONCE = 2**19
"""About so many numbers of hidden states stay in the processor's cache from one operation to the next."""
LEFT_OUT_AT_ONCE = 25
"""So many items of a list are left out at once, each by itself, for the same reason."""
FIRST_OPINION = 0.1
"""The weights of the projection start at this times the identity, if the network never answers without the memory."""


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
    """The width of the feed-forward, as a multiple of `hidden_size`."""
    ordered: bool = True
    """Whether the model looks at distances: in lists without an order they mean nothing."""
    memory: MemoryConfig | None = None
    unordered_memory: MemoryConfig | None = None
    """Where lists have an order, that of the memory that answers for titles of which none is known."""
    answers_alone: bool = False
    """Whether the network also learns to answer without the memory."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Raises WrongForm for what is not, or has sizes of which no model can be."""
        check(values, cls, "model_config")
        memories = {
            name: None if values.get(name) is None else MemoryConfig.from_dict(values[name])
            for name in ("memory", "unordered_memory")
        }
        config = cls(**{**values, **memories})
        sizes = (config.num_items, config.hidden_size, config.num_layers, config.num_heads, config.feed_forward_ratio)
        if min(sizes) < 1 or config.max_seq_len < 2 or config.hidden_size % config.num_heads:
            raise WrongForm("its sizes are not those of a model")
        if not 0 <= config.dropout < 1:
            raise WrongForm("its dropout is not from 0 to below 1")
        if any(memory.num_items != config.num_items for memory in config.memories.values()):
            raise WrongForm("its memory is of another number of items")
        if config.unordered_memory and config.unordered_memory.ordered:
            raise WrongForm("its memory for titles without an order has one")
        return config

    @property
    def memories(self) -> dict[str, MemoryConfig]:
        """Those that it has, by their names."""
        both = {"memory": self.memory, "unordered_memory": self.unordered_memory}
        return {name: memory for name, memory in both.items() if memory is not None}

    def least_numbers(self) -> int:
        """How many numbers a model with these sizes has at the least."""
        size, of_heads = self.hidden_size, self.num_heads * (2 * self.max_seq_len + 1)
        layer = (4 + 3 * self.feed_forward_ratio) * size**2 + of_heads
        of_memories = sum(memory.least_numbers() for memory in self.memories.values())
        return self.num_items * size + self.num_layers * layer + of_memories

    def places(self) -> dict[str, int]:
        """The tensors whose numbers say where something is, and the limit that they are below."""
        return {
            f"{memory}.{name}": limit
            for memory, config in self.memories.items()
            for name, limit in config.places().items()
        }


class NetworkInput(NamedTuple):
    """What the network reads of a batch, and where in it an answer is made."""

    items: Tensor
    """int64 [B, L]: item indices, PAD, or the mask."""
    cuts: Sequence[int] | None
    """Where each position sees only itself and what is before it, the columns of cuts, ascending; None: all see all."""
    columns: Tensor
    """int64 [B, Q]: at which columns each list answers, filled up with any."""
    answers: Tensor
    """int64 [M]: which of the B × Q answers is the one that is asked for at each position of the batch."""

    def bias(self, of_distance: Tensor | None) -> Tensor | None:
        """What is added to attention scores [heads, L, L]: the bias of each distance, and UNSEEN for what is later."""
        if self.cuts is None:
            return of_distance
        length = self.items.shape[1]
        later = torch.full((1, length, length), UNSEEN, device=self.items.device).triu(1)
        return later if of_distance is None else of_distance + later

    def parts(self, size: int) -> Iterator[NetworkInput]:
        """Some lists at a time, of whose states an item has `size` numbers; `answers` are those of all."""
        lists = max(1, STATES_AT_ONCE // (self.items.shape[1] * size))
        for items, columns in zip(self.items.split(lists), self.columns.split(lists), strict=True):
            yield self._replace(items=items, columns=columns)

    def padding_bias(self) -> Tensor | None:
        """UNSEEN for padding, broadcast to [B, heads, L, L]. Where it is later than all that answers, it needs none."""
        padding = self.items == PAD
        return padding[:, None, None] * UNSEEN if self.cuts is None and padding.any() else None


class Known(NamedTuple):
    """What many calls of the model with the same weights can share."""

    states: ItemStates
    """What the first layer makes of each item by itself."""
    biases: list[Tensor | None]
    """What each layer adds to attention scores [heads, L, L], for lists as long as they may be: `NetworkInput.bias`."""


class BERT4Rec(nn.Module):
    """`forward(batch)` → logits [M, N] of the items 1 … N (in columns 0 … N - 1) at the positions of the batch."""

    def __init__(
        self, config: ModelConfig, memory: ItemMemory | None = None, unordered_memory: ItemMemory | None = None
    ) -> None:
        super().__init__()
        self.predicted_scores: PredictedScores | None = None
        self.recent_strengths: RecentStrengths | None = None
        """What is learnt of scores beside the network, and kept in its file."""
        self.config = config
        size = config.hidden_size
        self.item_embedding = nn.Embedding(config.num_items + 2, size, padding_idx=PAD)  # padding, items, mask
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(size, elementwise_affine=False)
        self.project = Matrix(size, size)
        self.item_bias = nn.Parameter(torch.zeros(config.num_items))
        self.memory = memory or (ItemMemory(config.memory) if config.memory else None)
        if unordered_memory is None and config.unordered_memory is not None:
            unordered_memory = ItemMemory(config.unordered_memory)
        self.unordered_memory = unordered_memory
        """It answers for titles of which no order is known, without the network (`SetScorer`)."""
        self.gate = None if self.memory is None else Gate(MIXTURE[1] if config.answers_alone else 1.0)
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

    def silence_network(self) -> None:
        """From now on, in evaluation mode, the logits are those of the memory, without the network's."""
        assert self.gate is not None
        self.gate.silence()

    def forward(self, batch: Batch, rank_unlisted: bool = False, known: Known | None = None) -> Tensor:
        """rank_unlisted: score items that nobody has listed by what the catalogue says of them; in training and where
        it is checked, they are items like the others. known: what `known` gives, in evaluation mode alone."""
        low, kind = self.project.low if self.training else None, batch.items.device.type
        embedding = TiedEmbedding(self.item_embedding.weight, low if kind == "cpu" else None)
        dropout = Dropout(self.config.dropout if self.training else 0, batch.seed)
        with torch.autocast(kind, low, enabled=low is not None and kind != "cpu"):
            states = self.project(self.norm(self.encode(self.read(batch), embedding, dropout, known)))
        with torch.autocast(kind, enabled=False):  # the memory needs the precision
            return self.logits(batch, states, embedding, rank_unlisted)

    @torch.inference_mode()
    def known(self) -> Known | None:
        """What many calls of `forward` can share that ask what comes next; nothing where there is but one layer."""
        if len(self.layers) < 2:
            return None
        layers = self._encoder_layers()
        states = layers[0].apart(self.item_embedding.weight * self.config.hidden_size**0.5, Dropout(0, 0))
        cuts, nothing = [self.config.max_seq_len] if self.config.ordered else None, torch.zeros(0)
        longest = NetworkInput(torch.zeros(1, self.config.max_seq_len), cuts, nothing, nothing)
        return Known(states, [longest.bias(layer.distance_bias(self.config.max_seq_len)) for layer in layers])

    def read(self, batch: Batch) -> NetworkInput:
        """What the network sees of a batch.

        A mask sees the whole list, and answers itself. For a cut, the item before it answers, which sees itself and all
        before it. So does every item in every layer, so that one row stands for many lists, each ending at a cut.
        """
        if batch.cuts is None:
            return NetworkInput(batch.items, None, *columns_of_masks(batch))
        cuts: list[int] = batch.cuts.cpu().tolist()
        items = batch.items[:, : cuts[-1]]
        padding = items == PAD
        if batch.masked is not None:
            items = torch.where(batch.masked & ~padding, self.config.num_items + 1, items)
        # Padding goes to the end, later than all that answers, so that it needs no mask of its own for each list.
        skipped = padding.sum(1, keepdim=True)
        column = torch.arange(items.shape[1], device=items.device)
        items = items.gather(1, (column + skipped) % len(column))
        columns = (batch.cuts - 1 - skipped).clamp_min(0)
        return NetworkInput(items, cuts, columns, batch.rows * len(cuts) + batch.places)

    def leaving_out(self, items: Tensor, known: Known | None) -> LeftOut | LeftOutInOrder | None:
        """What `logits_without` needs of a list, if it can do it: there are two layers.

        items [L]: without the mask. known: what `known` gives.
        """
        if known is None or len(self.layers) != 2:
            return None
        shown = items if self.config.ordered else F.pad(items, (0, 1), value=self.config.num_items + 1)
        states, (first, last) = ItemStates(*(part[shown] for part in known.states)), self._encoder_layers()
        found = (LeftOutInOrder if self.config.ordered else LeftOut)(first, last, states)
        return found if found.is_precise else None

    def logits_without(self, shown: LeftOut | LeftOutInOrder, left_out: Tensor, batch: Batch) -> Tensor:
        """As `forward` of a batch that asks what comes next of a list without each of some items: [T, N].

        left_out [T]: the positions of the items; batch: of the shorter lists, whole, which the memory reads.
        """
        states = torch.cat([shown.answers(part) for part in left_out.split(LEFT_OUT_AT_ONCE)])
        embedding = TiedEmbedding(self.item_embedding.weight)
        return self.logits(batch, self.project(self.norm(states)), embedding, rank_unlisted=True)

    def encode(
        self, shown: NetworkInput, embedding: TiedEmbedding, dropout: Dropout, known: Known | None = None
    ) -> Tensor:
        """Hidden states [M, hidden_size] of the positions that answer."""
        length, size = shown.items.shape[1], self.config.hidden_size
        if known is None:
            biases = [shown.bias(layer.distance_bias(length)) for layer in self._encoder_layers()]
            asked = self._asked(shown, biases, embedding, dropout, None)
        else:
            biases = [bias if bias is None else bias[:, :length, :length] for bias in known.biases]
            asked = torch.cat([self._asked(part, biases, embedding, dropout, known) for part in shown.parts(size)])
        return asked.flatten(0, 1).index_select(0, shown.answers)

    def _asked(
        self,
        shown: NetworkInput,
        biases: list[Tensor | None],
        embedding: TiedEmbedding,
        dropout: Dropout,
        known: Known | None,
    ) -> Tensor:
        """Hidden states [B, Q, hidden_size]. biases: of each layer."""
        *layers, last = self._encoder_layers()
        padding = shown.padding_bias()
        if known is None:
            items, place = distinct(shown.items)
            hidden = dropout(embedding.look_up(items) * self.config.hidden_size**0.5)
            if not layers:
                hidden = take(hidden, place)
        else:
            hidden, place = known.states.hidden, shown.items
        for number, layer in enumerate(layers):
            apart = known.states if known and not number else layer.apart(hidden, dropout)
            seen = None if shown.cuts is None else range(1, place.shape[1] + 1)
            hidden = layer.together(apart, dropout, biases[number], padding, seen, None if number else place)
        bias = biases[-1]
        if bias is not None:  # of the positions that answer: [B, heads, Q, L]
            bias = bias.index_select(1, shown.columns.flatten()).unflatten(1, shown.columns.shape).transpose(0, 1)
        row = shown.items.shape[1] * torch.arange(len(hidden), device=hidden.device)[:, None]
        queries = take(hidden.flatten(0, 1), row + shown.columns)
        return last.answer(queries, last.norm(hidden), dropout, bias, padding, shown.cuts)

    def _encoder_layers(self) -> list[EncoderLayer]:
        return cast(list[EncoderLayer], list(self.layers))

    def logits(self, batch: Batch, states: Tensor, embedding: TiedEmbedding, rank_unlisted: bool) -> Tensor:
        """The terms put together: what the network says, a bias for each item, and what the memory says.

        states: projected, of the positions that answer [M, hidden_size].
        """
        states = states.float()
        if self.memory is None or batch.without_memory:
            return embedding.logits(self.alone_bias if batch.without_memory else self.item_bias, states)
        prior = self.memory(batch, rank_unlisted)
        unlisted = self.memory.unlisted.columns
        if not rank_unlisted or not len(unlisted):
            return self._weighed(batch, states, prior, embedding)
        # All that the network could learn of items that no list has is that they never come.
        by_memory = prior[:, unlisted]
        if self.config.answers_alone:  # there, they keep their odds against all others
            by_memory -= prior.index_fill_(1, unlisted, -torch.inf).logsumexp(1)[:, None]
        elif not self.training:
            by_memory *= self._gate(batch)[:, :1]
        logits = self._weighed(batch, states, prior, embedding)
        if self.config.answers_alone:
            by_memory += logits.index_fill_(1, unlisted, -torch.inf).logsumexp(1)[:, None]
        return logits.index_copy_(1, unlisted, by_memory)

    def _weighed(self, batch: Batch, states: Tensor, prior: Tensor, embedding: TiedEmbedding) -> Tensor:
        """The sum of the network's logits and of the prior (used up), each times its weight, and of the bias."""
        if self.config.answers_alone:
            states = states * MIXTURE[0]
        if self.training:
            if self.config.answers_alone:
                prior = prior.mul_(MIXTURE[1])
            return embedding.logits(prior, states).add_(self.item_bias)
        of_memory, of_network = self._gate(batch).split(1, 1)
        return embedding.logits(prior.mul_(of_memory), states * of_network).addcmul_(of_network, self.item_bias)

    def _gate(self, batch: Batch) -> Tensor:
        assert self.gate is not None
        return self.gate(batch, self.config.num_items)

    def opinion(self, batch: Batch) -> Tensor:
        """What the network says [M, N], which the logits have added to the memory's prior, weighed by the gate."""
        embedding = TiedEmbedding(self.item_embedding.weight)
        states = self.project(self.norm(self.encode(self.read(batch), embedding, Dropout(0, batch.seed)))).float()
        if self.config.answers_alone:
            states = states * MIXTURE[0]
        return embedding.logits(self.item_bias, states)
