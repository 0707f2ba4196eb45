"""Where a model is trained, and in which numbers matrices are multiplied: those of the weights (fp32), or shorter ones.

In bfloat16 (bf16), which has fp32's range and 8 bits of precision, newer processors multiply several times as fast, and
older ones more slowly. On a CPU, what is rounded to it are the products by the weights of the layers and of the logits,
and those of their gradients; attention, norms, loss, item memory, weights and optimizer stay in fp32, and so does all
that is asked of a trained model.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from anime_bert4rec.model.training_data import RunSettings
from anime_bert4rec.model.two_threads import one_thread

log = logging.getLogger(__name__)

NARROWEST = 256
"""A step of a narrower model gains little or nothing: what is not a product takes most of it (benchmarks/LOG.md)."""
LEAST_GAIN = 1.3
"""Products of matrices are to be so many times as fast in bf16, or the rest of a step takes back what they gain."""
ROWS, TRIES = 512, 3
"""Rows of the product that is tried, and how often it is."""
NAMES = {None: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}


def choose_device(settings: RunSettings) -> torch.device:
    """Where to train."""
    if settings.use_gpu and torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if settings.use_gpu:
        log.info("No CUDA GPU was found: training on the CPU.")
    return torch.device("cpu")


def choose_numbers(
    settings: RunSettings, device: torch.device, before: Mapping[str, Any] | None = None
) -> torch.dtype | None:
    """The numbers that matrices are multiplied in on this device, if not in those of the weights.

    before: the settings of the run that is gone on with; by itself it goes on in the numbers that it had.
    """
    on_cpu = device.type == "cpu"
    if settings.use_fp16 and not on_cpu:
        return torch.float16
    if settings.use_fp16:
        log.info("--fp16 needs a GPU: it counts for nothing here.")
    if settings.precision == "auto" and on_cpu:
        if before is not None:
            return torch.bfloat16 if before.get("precision") == NAMES[torch.bfloat16] else None
        return torch.bfloat16 if settings.hidden_size >= NARROWEST and gain_of_bf16() >= LEAST_GAIN else None
    return torch.bfloat16 if settings.precision == "bf16" else None


@one_thread()
def gain_of_bf16() -> float:
    """How many times as fast this CPU multiplies in bf16 what is as wide as NARROWEST: tried in some milliseconds.

    In one thread, for two share a batch by halves.
    """
    hidden, weight, low = torch.ones(ROWS, NARROWEST), torch.ones(NARROWEST, NARROWEST), torch.bfloat16
    return _seconds(lambda: hidden @ weight) / _seconds(lambda: hidden.to(low) @ weight.to(low))


def _seconds(work: Callable[[], object]) -> float:
    """Of the fastest call: what else the machine does makes calls slower, and never faster."""
    work()
    seconds = []
    for _ in range(TRIES):
        clock = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - clock)
    return min(seconds)
