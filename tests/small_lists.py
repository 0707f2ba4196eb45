"""Lists of a dozen items, and batches of them, for what the memory is made of."""

from __future__ import annotations

import numpy as np
import torch
from one_memory import fit_memory

from anime_bert4rec.lists.sequences import Sequences
from anime_bert4rec.model.batches import Batch, MaskedBatches
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.hidden_positions import BatchSettings

ITEMS = 12
MASK = ITEMS + 1
COLUMN = np.concatenate([[ITEMS], np.arange(ITEMS), [ITEMS]])


def array(*items: int) -> np.ndarray:
    return np.array(items, np.int64)


def sequences_of(*lists, blocks=None) -> Sequences:
    """Lists of items; each entry is a block of its own unless `blocks` says otherwise."""
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in lists])])
    if blocks is None:
        blocks = [range(len(one)) for one in lists]
    flat = [np.concatenate([np.asarray(one, np.int32) for one in each]) for each in (lists, blocks)]
    return Sequences(flat[0], flat[1], offsets, np.arange(len(lists)))


def some_lists(count=30, seed=0, unordered=False):
    random = np.random.default_rng(seed)
    lists = [random.choice(ITEMS, random.integers(3, 9), replace=False) + 1 for _ in range(count)]
    return sequences_of(*lists, blocks=[np.zeros(len(one), int) for one in lists] if unordered else None)


def with_bulk_days(count=30, seed=0):
    """Lists of all items: one, a bulk day of seven, one, and another of three, and the same stored in another order."""
    random = np.random.default_rng(seed)
    lists = [random.permutation(ITEMS) + 1 for _ in range(count)]
    mixed = [np.concatenate([one[:1], one[7:0:-1], one[8:9], one[[10, 11, 9]]]) for one in lists]
    blocks = [[0, *[1] * 7, 8, 9, 9, 9]] * count
    return sequences_of(*lists, blocks=blocks), sequences_of(*mixed, blocks=blocks)


def without(sequences, user):
    return sequences.select(np.delete(np.arange(len(sequences)), user))


def batches_of(sequences, *, cut_share=0.0, whole_lists=False, counted=None):
    settings = BatchSettings(
        ITEMS, 7, max_seq_len=20, mask_prob=0.4, seed=3, cut_share=cut_share, whole_lists=whole_lists
    )
    return MaskedBatches(sequences, settings, 1, counted)


def masked_at(items, positions, targets=None, **more):
    """A batch of masks, at these positions of the flat items."""
    return Batch(items, positions // items.shape[1], positions % items.shape[1], targets, **more)


def cut_at(items, cuts, rows, places, targets=None, **more):
    """A batch of cuts that asks in these rows at these of the cuts."""
    return Batch(items, rows, cuts[places], targets, cuts=cuts, **more)


def untrained_model():
    """A network of any weights beside the memory of some lists without an order."""
    memory = fit_memory(some_lists(60, unordered=True), ITEMS, max_seq_len=20, seed=0)
    torch.manual_seed(0)
    model = BERT4Rec(ModelConfig(ITEMS, 8, 1, 2, 20, dropout=0, ordered=False, memory=memory.config), memory)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.5)
    return model.eval()


def asked_of_others():
    """Batches of masks in lists that no memory has counted."""
    batches = list(batches_of(some_lists(20, seed=5, unordered=True), whole_lists=True))
    return [batch._replace(entries=None, lists=None) for batch in batches]
