"""On a CPU, one half of a training batch in each of two threads, which is 1.1 to 1.25 times as fast.

Otherwise torch's threads share every single operation. Most are so small here that handing them out and waiting for all
costs a good part of what is gained.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from batches import Batch, share_of
from distributed import world

T = TypeVar("T")

MOST_WEIGHTS = 2_000
"""For each position of a batch. With more, gradients of all weights for each half cost more than is gained, as they do
with short lists of many items."""


def in_halves(batch: Batch, weights: int, work: Callable[[Batch], T]) -> Iterable[T]:
    """What `work` gives for both halves of the batch or, where halving is of no use, for the whole.

    weights: how many the model has.

    The loss of each half times its `weight` adds up to the loss of the batch. Gradients that both add to the same
    weights come out the same, whichever half is first: of two numbers, either sum is the same to the last digit.
    """
    threads = torch.get_num_threads()
    few_rows = len(batch.items) == 1 or weights > MOST_WEIGHTS * batch.items.numel()
    if few_rows or threads == 1 or batch.items.device.type != "cpu" or world() > 1:
        return [work(batch)]
    halves = [share_of(batch, half, 2) for half in range(2)]
    return _two_threads(threads // 2).map(work, [half._replace(weight=half.weight / 2) for half in halves])


@functools.cache
def _two_threads(for_each: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, "half", torch.set_num_threads, (for_each,))
