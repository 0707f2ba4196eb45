"""How much the memory and the network count for in the logits, by how many items of a list are visible.

In training these weights are fixed. After each epoch they are fitted on the lists of people who are not trained on,
whose lists the network does not know by heart (model/gate_fitting.py): at first the network counts for nothing, and for
more the more it has learnt.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from anime_bert4rec.model.batches import Batch
from anime_bert4rec.model.memory_strengths import hats
from anime_bert4rec.model.visible_items import count_visible

GATE_KNOTS = 5
"""The weights are known at 1, 4, 16, 64 and 256 visible items; in between they change with the logarithm of the
number, and beyond they are those of 256."""
MASKS, CUTS = 0, 1
MEMORY, NETWORK = 0, 1


class Gate(nn.Module):
    """`forward(batch, num_items)` → what memory and network count for at each position of the batch [M, 2]."""

    def __init__(self, of_memory: float) -> None:
        """of_memory: what the memory counts for in training, and until the weights are fitted; the network: 1."""
        super().__init__()
        values = torch.ones(2, 2, GATE_KNOTS)
        values[:, MEMORY] = of_memory
        self.register_buffer("values", values)

    values: Tensor
    """[2, 2, GATE_KNOTS]: where masks are asked for and where cuts are; of memory and network; at each of the knots."""

    def forward(self, batch: Batch, num_items: int) -> Tensor:
        kind = MASKS if batch.cuts is None else CUTS
        return knot_shares(count_visible(batch, num_items)) @ self.values[kind].t()

    def silence(self) -> None:
        """From now on the memory counts for 1 and the network for 0."""
        self.values[:, MEMORY], self.values[:, NETWORK] = 1, 0


def knot_shares(counts: Tensor) -> Tensor:
    """How much of the weight at each knot goes into the weight at these numbers of visible items [M, GATE_KNOTS]."""
    return hats(counts, GATE_KNOTS, doublings=2)
