"""What the network says of a list without each of its items, all at once: for the reasons of recommendations."""

from __future__ import annotations

import torch
from torch import Tensor

from anime_bert4rec.model.encoder_layer import EncoderLayer, ItemStates

LARGEST_SHARE = 0.999
"""No more of a position's attention may be on the item that is left out: what is left of it would be imprecise."""


class LeftOut:
    """`without(left_out)` → what the first layer makes of a list without an order, without one of its items.

    It equals `EncoderLayer.together` of the shorter list. With w the attention of a position to the item that is left
    out, v that item's value and m what all values come to, the others come to (m − w v) / (1 − w).
    """

    def __init__(self, layer: EncoderLayer, states: ItemStates) -> None:
        """states: of the list [L, size]."""
        heads = layer.config.num_heads
        query, key, value = (x.unflatten(1, (heads, -1)).transpose(0, 1) for x in states[1:])
        output = layer.attention_output.weight.unflatten(1, (heads, -1)).permute(1, 2, 0)
        self.hidden = states.hidden
        self.weights = (query @ key.transpose(1, 2) * query.shape[2] ** -0.5).softmax(2)
        """The attention of each position to each item [heads, L, L]."""
        self.values = value @ output
        """What each item adds to the position that looks at nothing else [heads, L, size]."""
        self.mixed = self.weights @ self.values

    @property
    def is_precise(self) -> bool:
        """Whether no position looks at almost nothing but one other item."""
        others = self.weights * (1 - torch.eye(self.weights.shape[1]))
        return bool((others < LARGEST_SHARE).all())

    def without(self, left_out: Tensor) -> Tensor:
        """The states of all positions [T, L, size]; that of the item that is left out means nothing.

        left_out [T]: the positions of the items.
        """
        weight = self.weights.index_select(2, left_out)  # [heads, L, T]
        weight[:, left_out, torch.arange(len(left_out))] = 0
        scale = 1 / (1 - weight)
        mixed = torch.bmm(scale.permute(1, 2, 0), self.mixed.transpose(0, 1)).transpose(0, 1)
        own = torch.bmm((scale * weight).permute(2, 1, 0), self.values.index_select(1, left_out).transpose(0, 1))
        return self.hidden + mixed - own
