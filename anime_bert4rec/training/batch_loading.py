"""The batches of an epoch, one after the other, by several processes or none; between two a run can be stopped.

With --num-workers, torch forks processes at the start of every epoch. Ctrl-C in the middle of that would be lost or
leave some of them behind, so it waits.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Iterator

from torch.utils.data import DataLoader
from torch.utils.data._utils import signal_handling
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from anime_bert4rec.model.batches import Batch
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.stopping import SIGNALS, finish_first, stop_if_asked
from anime_bert4rec.training.processes import ProcessLost, lost_its_launcher

FILES, FILES_PER_WORKER = 64, 24
"""How many files a run has open, and how many more for each process that loads: the tensors of two batches."""


class LoaderLost(ProcessLost):
    """A process that loads batches has ended before its time."""

    def __init__(self) -> None:
        super().__init__(
            "a process that loads batches was killed, as Linux does where memory is short; "
            "these flags help: --num-workers 0 --batch-size 32"
        )


def check_open_files(workers: int) -> None:
    """Raises UserError if a process may not open as many files as batches from `workers` processes take."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = FILES + FILES_PER_WORKER * workers
    if workers and limit != resource.RLIM_INFINITY and limit < needed:
        raise UserError(f"too many open files: --num-workers 0 or a higher ulimit -n ({limit} now, {needed} is enough)")


@contextlib.contextmanager
def each_batch(loader: DataLoader[Batch]) -> Iterator[Iterator[Batch]]:
    """The batches of `loader`. Who asks to stop in the block is obeyed between two of them.

    Raises LoaderLost, within some seconds, when one of the loading processes ends.
    """
    with finish_first():
        if loader.num_workers == 0:
            yield _stoppable(iter(loader))
            return
        batches = _start(loader)
        try:
            yield _stoppable(batches)
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise LoaderLost from error
        finally:
            batches._shutdown_workers()


def _stoppable(batches: Iterator[Batch]) -> Iterator[Batch]:
    while True:
        stop_if_asked()
        if lost_its_launcher():
            raise KeyboardInterrupt
        try:
            batch = next(batches)
        except StopIteration:
            return
        yield batch


class _Processes(_MultiProcessingDataLoaderIter):
    def __del__(self) -> None:
        """torch ends the processes here: late, as long as the traceback of an error holds a reference, and with another
        traceback where not all have been started."""


def _start(loader: DataLoader[Batch]) -> _Processes:
    """Batches from processes that are all there, or an error and no process."""
    # Else torch would raise an error wherever the program just is when one of them ends. That a batch does not come is
    # noticed, too, and early enough.
    signal_handling._SIGCHLD_handler_set = True
    others = multiprocessing.active_children()
    try:
        with _kept_from_the_signals():
            return _Processes(loader)
    except BaseException:
        for child in multiprocessing.active_children():
            if child not in others:
                child.kill()
                child.join()
        raise


@contextlib.contextmanager
def _kept_from_the_signals() -> Iterator[None]:
    """What is forked in the block never gets those that ask to stop: a terminal sends them to all, and until
    `work_for_another` has run, a worker would die of them. This process gets them when the block ends."""
    if not hasattr(signal, "pthread_sigmask"):  # as on Windows, which has no fork either
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
