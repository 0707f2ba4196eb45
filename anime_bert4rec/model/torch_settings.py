"""torch's settings in a larger program, which may be others than a model was trained with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from anime_bert4rec.support.errors import UserError


@contextlib.contextmanager
def on_the_cpu_in_float32() -> Iterator[None]:
    """In the block, or the function that it decorates, new tensors are on the CPU, and nothing is cast on the way.

    Other threads go on as they were. Raises UserError where the default type of numbers, which is one for all threads,
    is another than float32.
    """
    import torch  # takes seconds, and who asks has imported it

    if torch.get_default_dtype() != torch.float32:
        raise UserError(f"torch's default is {torch.get_default_dtype()}: set torch.set_default_dtype(torch.float32)")
    with contextlib.ExitStack() as stack:
        if torch.get_default_device().type != "cpu":  # each of these costs a little with every operation
            stack.enter_context(torch.device("cpu"))
        if torch.is_autocast_enabled("cpu"):
            stack.enter_context(torch.autocast("cpu", enabled=False))
        yield
