"""What the network says of a list without each of its items, all at once: for the reasons of recommendations."""

from __future__ import annotations

import torch
from torch import Tensor

from anime_bert4rec.model.encoder_layer import UNSEEN, EncoderLayer, ItemStates
from anime_bert4rec.model.fast_parts import Dropout

LARGEST_SHARE = 0.999
"""No more of a position's attention may be on the item that is left out: what is left of it would be imprecise."""
LARGEST_SUM = 1000.0
"""Nor may what is left, where it comes nearer, weigh so much more than before."""


class LeftOut:
    """`answers(left_out)` → what two layers make of a list without an order, where one of its items is left out.

    It equals `EncoderLayer.together` and `answer` of the shorter list. With w the attention of a position to the item
    that is left out, v that item's value and m what all values come to, the others come to (m − w v) / (1 − w).
    """

    def __init__(self, first: EncoderLayer, last: EncoderLayer, states: ItemStates) -> None:
        """states: of the list, and of the mask behind it [L, size]."""
        self.last = last
        heads = first.config.num_heads
        query, key, value = (x.unflatten(1, (heads, -1)).transpose(0, 1) for x in states[1:])
        output = first.attention_output.weight.unflatten(1, (heads, -1)).permute(1, 2, 0)
        self.hidden = states.hidden
        self.weights = (query @ key.transpose(1, 2) * query.shape[2] ** -0.5).softmax(2)
        """The attention of each position to each item [heads, L, L]."""
        self.values = value @ output
        """What each item adds to the position that looks at nothing else [heads, L, size]."""
        self.mixed = (self.weights @ self.values).transpose(0, 1).contiguous()

    @property
    def is_precise(self) -> bool:
        """Whether no position looks at almost nothing but one other item."""
        others = self.weights * (1 - torch.eye(self.weights.shape[1]))
        return bool((others < LARGEST_SHARE).all())

    def answers(self, left_out: Tensor) -> Tensor:
        """The states [T, size] that the mask ends with. left_out [T]: the positions of the items."""
        hidden = self.without(left_out)
        unseen = torch.zeros(len(left_out), 1, 1, hidden.shape[1])
        unseen[torch.arange(len(left_out)), 0, 0, left_out] = UNSEEN
        return self.last.answer(hidden[:, -1:], self.last.norm(hidden), Dropout(0, 0), unseen)[:, 0]

    def without(self, left_out: Tensor) -> Tensor:
        """The states of all positions [T, L, size] behind the first layer; that of the item itself means nothing."""
        weight = self.weights.index_select(2, left_out)  # [heads, L, T]
        weight[:, left_out, torch.arange(len(left_out))] = 0
        scale = 1 / (1 - weight)
        mixed = torch.bmm(scale.permute(1, 2, 0), self.mixed).transpose(0, 1)
        own = torch.bmm((scale * weight).permute(2, 1, 0), self.values.index_select(1, left_out).transpose(0, 1))
        return self.hidden + mixed - own


class LeftOutInOrder:
    """The same for a list in order, in which positions see what is before them, at learned distances.

    What is before the item that is left out comes nearer by one to all that is behind it. With d what this adds to each
    weight, the others come to (m − w v + Σ d v) / (1 − w + Σ d), with sums over what is before the item, so that one
    pass along the list has them for all. What is before the item stays as it is: it has never seen it.
    """

    def __init__(self, first: EncoderLayer, last: EncoderLayer, states: ItemStates) -> None:
        """states: of the list [L, size]."""
        self.first, self.last, self.hidden = first, last, states.hidden
        length = len(self.hidden)
        query, key, self.values = (x.unflatten(1, (first.config.num_heads, -1)).transpose(0, 1) for x in states[1:])
        bias, bias_of_last = (layer.distance_bias(length) for layer in (first, last))
        assert bias is not None and bias_of_last is not None
        hides = torch.ones(length, length, dtype=torch.bool).triu(1)
        scores = query @ key.transpose(1, 2) * query.shape[2] ** -0.5 + bias
        self.weights = scores.masked_fill(hides, UNSEEN).softmax(2)
        """The attention of each position to each item [heads, L, L]."""
        self.nearer = torch.zeros_like(self.weights)
        """What is added to it where the item comes nearer by one [heads, L, L]."""
        self.nearer[:, 1:] = self.weights[:, 1:] * (bias[:, :-1] - bias[:, 1:]).expm1()
        self.nearer.masked_fill_(hides.logical_or(torch.eye(length, dtype=torch.bool)), 0)
        self.mixed = self.weights @ self.values
        self.complete = self.hidden + self._output(self.mixed)
        self.normed = last.norm(self.complete)
        self.bias_of_last = bias_of_last[:, -2:]
        """What the last layer adds to the scores of the second last and of the last position [heads, 2, L]."""

    @property
    def is_precise(self) -> bool:
        """Whether what is left of each position's attention is neither almost nothing nor far more than before."""
        left = 1 - self.weights + self.nearer.cumsum(2) - self.nearer
        within = (left > 1 - LARGEST_SHARE) & (left < LARGEST_SUM)
        return bool(within.logical_or_(torch.ones(left.shape[1:], dtype=torch.bool).triu()).all())

    def answers(self, left_out: Tensor) -> Tensor:
        """The states [T, size] that what is then the last position ends with.

        left_out [T]: the positions of the items, ascending; the closer they are, the less there is to compute.
        """
        which, place, start = left_out[:, None, None], torch.arange(len(self.hidden)), int(left_out[0])
        bias = torch.where(place < which, self.bias_of_last[:, 0], self.bias_of_last[:, 1])
        bias = bias.masked_fill_(place == which, UNSEEN)[:, :, None]
        hidden = self.without(left_out)
        asked = torch.where(left_out[:, None] < len(place) - 1, hidden[:, -1], self.complete[-2])[:, None]
        normed, before = self.last.norm(hidden), self.normed[:start]
        return self.last.answer(asked, normed, Dropout(0, 0), bias, shared=before)[:, 0]

    def without(self, left_out: Tensor) -> Tensor:
        """The states behind the first layer, from the first that is left out on [T, L - left_out[0], size]; those of
        the items themselves mean nothing. All states before these are the same as in the whole list."""
        start, stop = int(left_out[0]), int(left_out[-1]) + 1
        nearer = self.nearer[:, start:, :start]
        mixed = torch.baddbmm(self.mixed[:, start:], nearer, self.values[:, :start])
        left = 1 + nearer.sum(2)
        # Of the items from the first to the last that are left out, for each of these: [heads, T, L - start, some].
        some, which = torch.arange(start, stop), left_out[:, None]
        own = self.nearer[:, None, start:, start:stop] * (some < which)[:, None]
        own -= self.weights[:, None, start:, start:stop] * (some == which)[:, None]
        mixed = mixed[:, None] + own @ self.values[:, None, start:stop]
        mixed /= (left[:, None] + own.sum(3))[..., None]
        hidden = self.hidden[start:] + self._output(mixed)
        is_before = some <= which
        hidden[:, : stop - start] = torch.where(
            is_before[..., None], self.complete[start:stop], hidden[:, : stop - start]
        )
        return hidden

    def _output(self, mixed: Tensor) -> Tensor:
        """mixed [heads, ..., size / heads] → [..., size]."""
        output: Tensor = self.first.attention_output(mixed.movedim(0, -2).flatten(-2))
        return output
