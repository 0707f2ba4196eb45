"""How late items are in lists in order: what people come to late comes next more often than its popularity says."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from anime_bert4rec.model.batches import Batch
from anime_bert4rec.model.memory_pairs import Pairs


class Lateness(nn.Module):
    """`forward(batch, …)` → the logarithm of each item's mean place in the lists, from 0, the first, to 1, the last.

    Each item counts as though it were midway in two more lists.
    """

    def __init__(self, num_items: int) -> None:
        super().__init__()
        self.register_buffer("places", torch.zeros(num_items))

    places: Tensor
    """[N] the sum of an item's places."""

    def forward(self, batch: Batch, popularity: Tensor, pairs: Pairs | None) -> Tensor:
        """float [M, N], for each position of the batch. Training lists, of which the pairs are, are left out.

        popularity [N]: on how many lists each item is.
        """
        logs = ((self.places + 1) / (popularity + 2)).log()
        values = logs.repeat(len(batch.rows), 1)
        if batch.entries is not None:
            assert pairs is not None and batch.lists is not None
            listed, lengths = batch.lists.padded(), batch.lists.lengths
            entries = pairs.entries_of(batch.entries.cpu().numpy(), listed.shape[1])
            own, columns = torch.from_numpy(pairs.places[entries]).to(logs.device), (listed - 1).clamp_min(0)
            others = (popularity[columns] - 1).clamp_min_(0)
            change = ((self.places[columns] - own).clamp_min_(0) + 1).div_(others + 2).log_().sub_(logs[columns])
            change *= torch.arange(listed.shape[1], device=logs.device) < lengths[:, None]
            values.scatter_add_(1, columns[batch.rows], change[batch.rows])
        return values
