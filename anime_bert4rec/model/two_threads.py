"""Work that two threads share on a CPU, each with half of torch's own threads.

By itself torch shares every single operation among its threads. Most are so small here that handing them out and
waiting for all costs a good part of what is gained: a step on one half of a batch in each of two threads is 1.1 to 1.25
times as fast (benchmarks/LOG.md).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from anime_bert4rec.model.batches import Batch, share_of
from anime_bert4rec.support.stopping import finish_first

Part = TypeVar("Part")
T = TypeVar("T")

MOST_WEIGHTS = 2_000
"""The most weights for each position of a batch that is halved. With more, as with short lists of many items, it costs
more than it gains to make the gradients of all weights for each half."""

LONGEST_START = 60
"""Seconds that one thread waits for the other to begin."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""The numbers of these two settings in glibc's malloc.h."""


def in_two_threads(work: Callable[[Part], T], parts: Iterable[Part]) -> list[T]:
    """What `work` gives for each part. `work` itself must not call this.

    Ctrl-C waits for all: a step that went on while the weights are put back would fail, and leave behind what makes
    the process abort when its thread ends.
    """
    threads, parts = torch.get_num_threads(), list(parts)
    if threads == 1:
        return [work(part) for part in parts]
    if len(parts) == 1:  # for another thread it would wait, and the others of torch have nothing to gain
        with one_thread():
            return [work(parts[0])]
    with finish_first():
        return list(_two_threads(threads // 2).map(work, parts))


def in_halves(batch: Batch, weights: int, work: Callable[[Batch], T], processes: int = 1) -> list[T]:
    """What `work` gives for both halves of the batch or, where halving is of no use, for the whole.

    weights: how many the model has. processes: how many share the batch; each of several takes its share whole, for it
    would send its gradients twice, and wait for the others' twice.

    The loss of each half times its `weight` adds up to the loss of the batch. Gradients that both add to the same
    weights come out the same, whichever half is first: of two numbers, either sum is the same to the last digit.
    """
    _keep_freed_memory()
    few_rows = len(batch.items) == 1 or weights > MOST_WEIGHTS * batch.items.numel()
    if few_rows or torch.get_num_threads() == 1 or batch.items.device.type != "cpu" or processes > 1:
        return [work(batch)]
    halves = [share_of(batch, half, 2) for half in range(2)]
    return in_two_threads(work, [half._replace(weight=half.weight / 2) for half in halves])


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """torch's operations in one thread: where many are small, two are hardly faster on a quiet machine, and several
    times as slow on a busy one, for each operation waits until both have had their turn (benchmarks/LOG.md)."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _two_threads.cache_clear()


@functools.cache
def _two_threads(for_each: int) -> ThreadPoolExecutor:
    """Two threads that have both begun. How many threads MKL takes is one number for the whole process, and the last
    who says it decides; with more of them it may add up in another order. So it is said before the work begins."""
    _keep_freed_memory()
    both_here = threading.Barrier(2)

    def begin() -> None:
        torch.set_num_threads(for_each)
        with contextlib.suppress(threading.BrokenBarrierError):  # the work is right all the same
            both_here.wait(LONGEST_START)

    threads = ThreadPoolExecutor(2, "one of two", begin)
    try:
        for _ in range(2):
            threads.submit(int)
    except BaseException:  # the system gives no second thread
        both_here.abort()
        threads.shutdown(wait=False)
        raise
    return threads


if hasattr(os, "register_at_fork"):  # the threads aren't there in a process that is forked off
    os.register_at_fork(after_in_child=_two_threads.cache_clear)


@functools.cache
def _keep_freed_memory() -> None:
    """Let this process keep the memory that a step has freed, which takes a twentieth off the next step.

    By itself glibc gives it back to Linux, and has it handed out and cleared anew, page by page. Where there is no
    glibc, nothing is changed.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 2**25)
        libc.mallopt(M_TRIM_THRESHOLD, 2**30)
