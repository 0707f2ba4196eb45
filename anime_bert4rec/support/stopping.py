"""How a script is asked to stop: Ctrl-C, SIGTERM, or the end of its terminal; and what it finishes first.

Asked to stop, a script raises KeyboardInterrupt wherever it is, but for blocks that are finished first. To import this
module changes nothing; scripts import it before all else, since it needs no time.
"""

from __future__ import annotations

import _thread
import contextlib
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

EXIT_INTERRUPTED = 130

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
"""The signals that ask a script to stop. Windows has SIGBREAK in place of SIGHUP."""

over = False
"""Whether the script has finished its work, so that a request to stop is ignored."""

_blocks = 0
"""How many nested `finish_first` blocks the main thread is in."""
_came: list[int] = []
"""The signals that arrived within `finish_first` and wait for its end."""
_parent = os.getppid()


def while_importing(name: str) -> None:
    """Ctrl-C ends a script with one line while it imports what takes seconds; `obeyed` takes over from then on.

    name: `__name__` of the caller, for nothing is done where a script is imported by another program.
    """
    if name == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end_at_once)


def _end_at_once(number: int, frame: FrameType | None) -> None:
    """End the process: an exception could be caught or reported by the module that is being imported."""
    with contextlib.suppress(OSError):
        os.write(2, b"interrupted\n")
    os._exit(EXIT_INTERRUPTED)


@contextlib.contextmanager
def obeyed() -> Iterator[None]:
    """In the block, a signal that asks to stop raises KeyboardInterrupt in the main thread.

    Those that are ignored from the start stay so, as SIGHUP does after nohup.
    """
    global over
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {each: signal.getsignal(each) for each in SIGNALS}
    others = {each: handler for each, handler in handlers.items() if handler not in (signal.SIG_IGN, None, _obey)}
    hook, was_over = sys.unraisablehook, over
    try:
        if others:
            sys.unraisablehook = _ask_again
            for each in others:
                signal.signal(each, _obey)
        yield
    finally:
        for each, handler in others.items():  # a script that has run is ending anyway
            signal.signal(each, signal.SIG_IGN if handler is _end_at_once else handler)
        sys.unraisablehook, over = hook, was_over


def _obey(number: int, frame: FrameType | None) -> None:
    if number == getattr(signal, "SIGHUP", None):
        _leave_a_lost_terminal()
    if _blocks:
        _came.append(number)
    elif not over:
        raise KeyboardInterrupt


def _leave_a_lost_terminal() -> None:
    """Point stdout and stderr to nowhere if their terminal is gone, since writing to it would be an error."""
    for stream in (1, 2):
        try:
            os.write(stream, b"")
        except OSError:
            with contextlib.suppress(OSError):
                nobody = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nobody, stream)
                os.close(nobody)


def _ask_again(unraisable: sys.UnraisableHookArgs) -> None:
    """Raise KeyboardInterrupt once more, a moment later, where Python could only print and forget it.

    That happens in code that Python calls in between and that no exception can leave, such as `__del__`.
    """
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        threading.Timer(0.05, _interrupt_main).start()
    else:
        sys.__unraisablehook__(unraisable)


def _interrupt_main() -> None:
    if hasattr(signal, "pthread_kill"):  # which also wakes the thread
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()


@contextlib.contextmanager
def finish_first() -> Iterator[None]:
    """A request to stop waits until the block is done, so that what belongs together is written together."""
    global _blocks
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    try:
        with obeyed():  # outside of scripts, too
            _blocks += 1
            try:
                yield
            finally:
                _blocks -= 1
    finally:
        if _came and not _blocks:
            number = _came[0]
            _came.clear()
            signal.raise_signal(number)  # which is handled as it was before


def stop_if_asked() -> None:
    """A place within `finish_first` where the script may stop. Raises KeyboardInterrupt if that was asked for."""
    if _came:
        _came.clear()
        raise KeyboardInterrupt


def is_orphan() -> bool:
    """Whether the process that started this one has ended. Always False on Windows, which does not say."""
    return os.getppid() != _parent


def work_for_another(_: Any = None) -> None:
    """Call this in a process that works for the one that started it: it ends with that one, and at no signal before,
    even where a terminal or systemd signals to all.

    torch's own loading processes look who their parent is when they start, and never end if it is gone by then.
    """
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    if parent := multiprocessing.parent_process():
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
