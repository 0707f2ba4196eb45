"""What is visible of the lists of a batch, where something is asked for."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from anime_bert4rec.lists.sequences import PAD
from anime_bert4rec.model.batches import Batch


def is_item(items: Tensor, num_items: int) -> Tensor:
    """Where there is an item, and neither padding nor the mask: bool, as many as `items`."""
    return (items != PAD) & (items <= num_items)


def count_visible(batch: Batch, num_items: int) -> Tensor:
    """How many items are visible where each position is asked for: int64 [M]."""
    if batch.cuts is None:
        return is_item(batch.all_visible, num_items).sum(1)[batch.rows]
    return F.pad(is_item(batch.items, num_items).cumsum(1), (1, 0))[batch.rows, batch.columns]


def visible_at(batch: Batch, num_items: int) -> Tensor:
    """The items that are visible where each position is asked for, and PAD [M, any]."""
    items = (batch.all_visible if batch.cuts is None else batch.items)[batch.rows]
    visible = is_item(items, num_items)
    if batch.cuts is not None:
        visible &= torch.arange(items.shape[1], device=items.device) < batch.columns[:, None]
    return torch.where(visible, items, PAD)
