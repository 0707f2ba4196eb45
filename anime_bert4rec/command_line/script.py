"""How a script runs and ends: its log on stderr and in files, one line for a user's error, and its exit code."""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

from anime_bert4rec.command_line.flags import Settings, Verbosity, read_flags
from anime_bert4rec.support import progress, stopping, streams
from anime_bert4rec.support.errors import SettingError, UserError
from anime_bert4rec.support.stopping import EXIT_INTERRUPTED
from anime_bert4rec.support.text import describe_os_error, harmless, plain

EXIT_ERROR, EXIT_USAGE = 1, 2
PACKAGE = "anime_bert4rec"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Main(Protocol):
    def __call__(self, argv: Sequence[str] | None = None) -> int: ...


def script(main: Main) -> Main:
    """Wrap a script's `main(argv=None) -> int`: one line and an exit code for a user's error, a traceback for a bug."""

    @functools.wraps(main)
    def wrapped(argv: Sequence[str] | None = None) -> int:
        streams.make_usable()
        _begin(Verbosity())
        with stopping.obeyed():
            try:
                code = _code_of(main, argv)
            except KeyboardInterrupt:
                stopping.over = True  # with Ctrl-C pressed twice, one is enough
                with contextlib.suppress(OSError):
                    print("interrupted", file=sys.stderr)
                code = EXIT_INTERRUPTED
            stopping.over = True
            streams.end_stderr()
            return code

    return wrapped


def _code_of(main: Main, argv: Sequence[str] | None) -> int:
    try:
        _require_working_directory()
        try:
            return main(argv)
        finally:
            streams.end_stdout()
    except SettingError as error:
        return _fail(error, EXIT_USAGE)
    except UserError as error:
        return _fail(error, EXIT_ERROR)
    except BrokenPipeError:  # the reader of our stdout, such as `head`, has seen enough
        with contextlib.suppress(OSError):
            sys.stdout.close()
        return EXIT_ERROR
    except OSError as error:
        if error.filename is None and error.errno in NO_ROOM:  # files are named where they are written
            error.filename = "standard output"
        return _fail(describe_os_error(error), EXIT_ERROR)
    except MemoryError:
        return _fail("out of memory: close other programs, and run this again", EXIT_ERROR)
    except sqlite3.OperationalError as error:
        return _fail(f"the database could not be used: {error}", EXIT_ERROR)


def _require_working_directory() -> None:
    """Raises UserError if the working directory is gone: relative paths lead nowhere, and libraries fail oddly."""
    try:
        Path.cwd()
    except OSError:
        raise UserError("the working directory is gone: change to another one, and run this again") from None


_screen_level = logging.INFO
_in_commands: Callable[[str], str] = str
"""Gives a text with the flags that commands in it need to use the same files as this script."""


def _begin(settings: Verbosity, in_commands: Callable[[str], str] = str) -> None:
    global _screen_level, _in_commands
    _in_commands = in_commands
    _screen_level = logging.WARNING if settings.quiet else logging.DEBUG if settings.verbose else logging.INFO
    progress.quiet = settings.quiet


def parse(
    argv: Sequence[str] | None, settings: type[Settings], description: str, epilog: str | None = None
) -> Settings:
    """The settings of a script as its flags give them; --quiet and --verbose are obeyed from here on.

    Commands that errors and the log name get the flags of the script's `paths`, if it has any.
    """
    given = read_flags(argv, settings, description, epilog)
    paths = getattr(given, "paths", None)
    _begin(given.verbosity, paths.in_commands if paths else str)
    return given


def _fail(error: object, code: int) -> int:
    with contextlib.suppress(OSError):
        text = harmless(_in_commands(plain(str(error))))
        print(coloured(f"error: {text}", RED, sys.stderr), file=sys.stderr)
    return code


RED, GREEN = 31, 32


def coloured(text: str, colour: int, stream: TextIO) -> str:
    """`text` in colour, if `stream` is a terminal that has colours and whose user wants them (https://no-color.org)."""
    wanted = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\x1b[{colour}m{text}\x1b[0m" if wanted else text


class _PlainFormatter(logging.Formatter):
    """Names and titles come from strangers: nothing in them reaches the terminal or the log as a control sequence."""

    def format(self, record: logging.LogRecord) -> str:
        text = _in_commands(super().format(record))
        return "\n".join(harmless(line)[:2000].rstrip() for line in text.split("\n"))


class _ScreenFormatter(_PlainFormatter):
    """Shorter where a record says how (see `on_screen`), and in colour."""

    def format(self, record: logging.LogRecord) -> str:
        short = getattr(record, "short", None)
        text = super().format(record) if short is None else harmless(short).rstrip()
        colour = RED if record.levelno >= logging.ERROR else getattr(record, "colour", None)
        return coloured(text, colour, sys.stderr) if colour else text


class _Screen(logging.Handler):
    """stderr. Progress bars make room for a line."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            progress.write_line(self.format(record))
        except Exception:
            self.handleError(record)


class _LogFile(logging.FileHandler):
    """A log that cannot be written is a warning, for what is logged goes on."""

    failed = False

    def handleError(self, record: logging.LogRecord) -> None:
        if not self.failed:
            self.failed = True
            reason = describe_os_error(error) if isinstance(error := sys.exc_info()[1], OSError) else repr(error)
            logging.getLogger(__name__).warning("%s is no longer written: %s", self.baseFilename, reason)

    def emit(self, record: logging.LogRecord) -> None:
        if not self.failed:
            super().emit(record)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


def on_screen(short: str, *, good: bool = False) -> dict[str, Any]:
    """The `extra` of a log call whose line is for the files: what stderr gets in its place, in green if it is good."""
    return {"short": short, "colour": GREEN if good else None}


@contextlib.contextmanager
def logging_to(*files: Path) -> Iterator[None]:
    """Log to stderr and, appended with the time, to `files`. Progress bars and log lines do not tear each other.

    --quiet and --verbose are for stderr; the files leave nothing out, and hold more with --verbose.
    """
    root = logging.getLogger()
    screen = _Screen(_screen_level)
    screen.setFormatter(_ScreenFormatter("%(message)s"))
    handlers: list[logging.Handler] = [screen]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _LogFile(path, encoding="utf-8")
        handler.setFormatter(_PlainFormatter("%(asctime)s %(levelname)s %(message)s"))
        handlers.append(handler)
    levels = {
        "": logging.INFO,
        PACKAGE: min(_screen_level, logging.INFO),  # --verbose is about the project, not about what it uses
        "matplotlib": logging.WARNING,
        "urllib3": logging.ERROR,  # a malformed header is a traceback to it
    }
    before = {name: logging.getLogger(name).level for name in levels}
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    for each in handlers:
        root.addHandler(each)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
        for each in handlers:
            root.removeHandler(each)
            each.close()


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextlib.contextmanager
def logged_later(is_shown: bool) -> Iterator[list[logging.LogRecord]]:
    """What is logged in the block is kept, for `log_now` when there is a log. If the block fails, it goes to stderr, if
    it is to be shown at all."""
    kept, package = _Kept(), logging.getLogger(PACKAGE)
    before = package.level
    package.setLevel(min(_screen_level, logging.INFO))
    package.addHandler(kept)
    try:
        yield kept.records
    except BaseException:
        package.removeHandler(kept)
        if is_shown:
            with logging_to():
                log_now(kept.records)
        raise
    finally:
        package.removeHandler(kept)
        package.setLevel(before)


def log_now(records: Sequence[logging.LogRecord]) -> None:
    """Log what was kept before, in the order and with the times in which it came."""
    for record in records:
        logging.getLogger(record.name).handle(record)
