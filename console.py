"""What the scripts say and how they end: results on stdout, log and progress bars on stderr, sensible exit codes."""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import signal
import sqlite3
import sys
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from errors import SettingError, UserError

EXIT_ERROR, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


class Main(Protocol):
    def __call__(self, argv: Sequence[str] | None = None) -> int: ...


def script(main: Main) -> Main:
    """Wrap a script's `main(argv=None) -> int`: one line and an exit code for a user's error, a traceback for a bug."""

    @functools.wraps(main)
    def wrapped(argv: Sequence[str] | None = None) -> int:
        _never_fail_on_encoding()
        _terminate_like_ctrl_c()
        try:
            return main(argv)
        except SettingError as error:
            return _fail(error, EXIT_USAGE)
        except UserError as error:
            return _fail(error, EXIT_ERROR)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return EXIT_INTERRUPTED
        except BrokenPipeError:  # the reader of our stdout, such as `head`, has seen enough
            with contextlib.suppress(OSError):
                sys.stdout.close()
            return EXIT_ERROR
        except OSError as error:
            return _fail(describe_os_error(error), EXIT_ERROR)
        except sqlite3.OperationalError as error:
            return _fail(f"the database could not be used: {error}", EXIT_ERROR)

    return wrapped


def describe_os_error(error: OSError) -> str:
    """`No space left on device: output/models/best_model.pth`, without the errno and the quotes."""
    reason = error.strerror or str(error)
    return f"{reason}: {error.filename}" if error.filename else reason


def _fail(error: object, code: int) -> int:
    print(f"error: {plain(str(error))}", file=sys.stderr)
    return code


def _never_fail_on_encoding() -> None:
    """A console that lacks a character, as cp1252 and cp950 do, shows a substitute instead of ending the script."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace" if stream is sys.stderr else "replace")


def _terminate_like_ctrl_c() -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextlib.contextmanager
def finish_first() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until the block is done, so that what belongs together is kept together."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM)
    handlers = [signal.signal(each, lambda number, _: came.append(number)) for each in signals]
    try:
        yield
    finally:
        for each, handler in zip(signals, handlers, strict=True):
            signal.signal(each, handler)
    if came:
        raise KeyboardInterrupt


def plain(text: str, limit: int = 500) -> str:
    """`text` on one line, without what a terminal would obey (escape sequences, control and direction characters)."""
    text = re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.", "", text)
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text)
    text = "".join(c for c in text if unicodedata.category(c) not in ("Cs",) and c not in _DIRECTION)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


_DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class _PlainFormatter(logging.Formatter):
    """Names and titles come from strangers: nothing in them reaches the terminal or the log as a control sequence."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(plain(line, limit=2000) if line.strip() else "" for line in super().format(record).split("\n"))


@contextlib.contextmanager
def logging_to(*files: Path) -> Iterator[None]:
    """Log to stderr and, appended with the time, to `files`. Progress bars and log lines do not tear each other."""
    root = logging.getLogger()
    screen = logging.StreamHandler(sys.stderr)
    screen.setFormatter(_PlainFormatter("%(message)s"))
    handlers: list[logging.Handler] = [screen]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, encoding="utf-8")
        handler.setFormatter(_PlainFormatter("%(asctime)s %(levelname)s %(message)s"))
        handlers.append(handler)
    level = root.level
    root.setLevel(logging.INFO)
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # a malformed header is a traceback to it
    for each in handlers:
        root.addHandler(each)
    try:
        with logging_redirect_tqdm([root]):
            yield
    finally:
        root.setLevel(level)
        for each in handlers:
            root.removeHandler(each)
            each.close()


def duration(seconds: float) -> str:
    """`8.4 s`, `12 min`, `3 h 05 min`."""
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


def progress(description: str, total: int, unit: str, done: int = 0, leave: bool = True) -> tqdm[Any]:
    """A progress bar on stderr, with what is left; silent when stderr is not a terminal."""
    return tqdm(
        total=total,
        initial=done,
        desc=description,
        unit=unit,
        leave=leave,
        file=sys.stderr,
        disable=not sys.stderr.isatty(),
        dynamic_ncols=True,
        smoothing=0.1,
    )
