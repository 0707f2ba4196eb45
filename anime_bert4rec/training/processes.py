"""Training by several processes, as torchrun starts them; without it, one process does everything.

    torchrun --nproc-per-node 2 train_model.py

Each process takes its share of the rows of every batch (`batches.share_of`), so that a batch is what it is for one
process. Only process 0 writes files, logs and shows progress.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.stopping import is_orphan

T = TypeVar("T")

PATIENCE = timedelta(hours=6)
"""How long the processes wait for one that is alive, for instance while the first one reads the lists. If it ends, they
notice at once."""


class ProcessLost(UserError):
    """Another process of the run has ended before its time."""

    def __init__(self, message: str = "another process of this run has ended; torchrun tells which") -> None:
        super().__init__(message)


@contextlib.contextmanager
def several_processes(use_gpu: bool) -> Iterator[None]:
    """In the block, the processes that torchrun has started know each other. Raises ProcessLost if one ends in it."""
    if not started_by_torchrun():
        yield
        return
    if lost_its_launcher():
        raise ProcessLost
    on_gpu = use_gpu and torch.cuda.is_available()
    if on_gpu:
        if local_rank() >= torch.cuda.device_count():
            raise UserError(
                f"more processes than GPUs on this machine: --nproc-per-node {torch.cuda.device_count()}, or --no-gpu"
            )
        torch.cuda.set_device(local_rank())
    with naming_a_lost_process():
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=PATIENCE)
        yield
        dist.destroy_process_group()


def started_by_torchrun() -> bool:
    return "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def lost_its_launcher() -> bool:
    """Whether torchrun has been killed, which can stop its processes no more: they have to stop by themselves."""
    return started_by_torchrun() and is_orphan()


@contextlib.contextmanager
def naming_a_lost_process() -> Iterator[None]:
    """Raises ProcessLost where torch says in its own way that a process of the run does not answer any more."""
    try:
        yield
    except RuntimeError as error:
        lost = isinstance(error, dist.DistError) or any(s in str(error) for s in ("gloo", "NCCL", "onnection "))
        if not lost or not started_by_torchrun():
            raise
        raise ProcessLost from error


def process_rank() -> int:
    """The number of this process, from 0; that of the main process is 0."""
    return int(os.environ["RANK"]) if started_by_torchrun() else 0


def world() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def local_rank() -> int:
    """Which of the processes of this machine this one is."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def is_main() -> bool:
    """Whether this is the process that writes files, and the only one that speaks."""
    return process_rank() == 0


def one_after_the_other(make: Callable[[], T]) -> T:
    """Call `make` in process 0 first, then in the first of every other machine, then in the rest; return its value.

    So what it leaves on the disk is made once on each machine, or once in all where they share the disk.
    """
    turn = 0 if is_main() else 1 if local_rank() == 0 else 2
    made: list[T] = []
    for now in range(3):
        if now == turn:
            made.append(make())
        add_up(torch.zeros(1))  # all wait here
    return made[0]


def from_main(value: T) -> T:
    """The value that process 0 has given; the others' are not looked at."""
    values = [value]
    if world() > 1:
        dist.broadcast_object_list(values)
    return values[0]


def add_up(sums: Tensor) -> Tensor:
    """The sums over all processes, in the CPU's memory."""
    sums = sums.cpu()
    if world() > 1:
        dist.all_reduce(sums)
    return sums


def in_parallel(model: nn.Module, some_unused: bool) -> nn.Module:
    """The model with gradients that are means over all processes. It begins everywhere as it is in process 0, the item
    memory included. some_unused: whether there are steps in which some weights have no part."""
    if world() == 1:
        return model
    return DistributedDataParallel(model, forward_sync_buffers=False, find_unused_parameters=some_unused)
