"""BERT4Rec: a Transformer encoder over a watch list that predicts the items behind the masks.

Sun et al., "BERT4Rec: Sequential Recommendation with Bidirectional Encoder Representations from Transformer", 2019;
with pre-norm layers, and with logits computed at the masked positions only.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from sequences import PAD


@dataclass(frozen=True)
class ModelConfig:
    """All that is needed to build a model; saved beside its weights."""

    num_items: int
    hidden_size: int = 256
    num_layers: int = 2
    num_heads: int = 4
    max_seq_len: int = 200
    dropout: float = 0.1

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class BERT4Rec(nn.Module):
    """`forward(items, slots)` → logits [M, N] of the items 1 … N (in columns 0 … N - 1) at the masked slots."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        size = config.hidden_size
        self.item_embedding = nn.Embedding(config.num_items + 2, size, padding_idx=PAD)  # padding, items, mask
        self.position_embedding = nn.Embedding(config.max_seq_len, size)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(size)
        self.project = nn.Sequential(nn.Linear(size, size), nn.GELU(), nn.LayerNorm(size))
        self.item_bias = nn.Parameter(torch.zeros(config.num_items))
        self.apply(_initialise)

    @torch.no_grad()
    def start_from_popularity(self, popularity: torch.Tensor) -> None:
        """Begin with the guess that every masked item is a popular one; popularity: how often each is seen [N]."""
        self.item_bias.copy_((popularity + 0.5).log().log_softmax(0))

    def forward(self, items: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
        """items: int64 [B, L], lists aligned at the end; slots: int64 [M], indices into `items.flatten()`."""
        hidden = self.encode(items)
        masked = self.project(hidden.flatten(0, 1)[slots])
        return F.linear(masked, self.item_embedding.weight[1:-1], self.item_bias)

    def encode(self, items: torch.Tensor) -> torch.Tensor:
        """[B, L] → hidden states [B, L, hidden_size]."""
        length = items.shape[1]
        # Positions count back from the end of the list, so that the newest entry always has the same one.
        positions = self.position_embedding.weight[self.config.max_seq_len - length :]
        hidden = self.dropout(self.item_embedding(items) + positions)
        visible = (items != PAD)[:, None, None, :]
        for layer in self.layers:
            hidden = layer(hidden, visible)
        return self.norm(hidden)


class EncoderLayer(nn.Module):
    """Pre-norm self-attention and feed-forward, each added to what came in."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.num_heads = config.num_heads
        self.attention_norm = nn.LayerNorm(size)
        self.query_key_value = nn.Linear(size, 3 * size)
        self.attention_output = nn.Linear(size, size)
        self.feed_forward_norm = nn.LayerNorm(size)
        self.feed_forward = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        """hidden: [B, L, hidden_size]; visible: bool [B, 1, 1, L], false at the padding."""
        hidden = hidden + self.dropout(self.attend(self.attention_norm(hidden), visible))
        return hidden + self.dropout(self.feed_forward(self.feed_forward_norm(hidden)))

    def attend(self, hidden: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        batch, length, size = hidden.shape
        heads = self.query_key_value(hidden).view(batch, length, 3, self.num_heads, size // self.num_heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        # No dropout on the attention weights: it would rule out the fused kernels.
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=visible)
        return self.attention_output(mixed.transpose(1, 2).reshape(batch, length, size))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.trunc_normal_(module.weight, std=0.02, a=-0.04, b=0.04)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
        elif module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()
