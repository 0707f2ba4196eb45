"""How a training fails for which its user can do something: the loss explodes, or memory does not suffice."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch

from anime_bert4rec.support.errors import UserError
from anime_bert4rec.training.epoch_metrics import Result

EXPLODED = 20
"""A loss of this many times log N, which is that of a model that knows nothing, ends the run."""
NO_MEMORY = ("can't allocate memory", "not enough memory", "ALLOC_FAILED", "bad_alloc", "can't start new thread")
"""Parts of the messages of the RuntimeErrors that torch raises where memory does not suffice."""


class TrainingFailed(UserError):
    """The weights have exploded."""


class OutOfMemory(UserError):
    """There is not enough memory, on the GPU or elsewhere."""

    def __init__(self) -> None:
        super().__init__("out of memory; these flags help: --batch-size 32 --hidden-size 128 --max-seq-len 100")


def check_sane(trained: Result, validated: Result, num_items: int, epoch: int, learning_rate: float) -> None:
    """Raises TrainingFailed when the weights have exploded and would not come back: a loss is no longer a number, or
    beyond all measure; to know nothing costs log N."""
    for loss in (trained.loss, validated.loss):
        if not loss < EXPLODED * math.log(num_items + 1):
            raise TrainingFailed(
                f"the loss became {loss:.4g} in epoch {epoch} at learning rate {learning_rate:.1e}; a lower --lr helps"
            )


@contextlib.contextmanager
def naming_what_saves_memory() -> Iterator[None]:
    """In the block, errors that tell of too little memory become OutOfMemory, which names the flags that help."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if tells_of_too_little_memory(error):
            raise OutOfMemory from error
        raise


def tells_of_too_little_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY)
