"""Keeps stdout and stderr from ending a script: where they are closed, on a full disk, or lack a character."""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO


def make_usable() -> None:
    """Make stdin, stdout and stderr safe to use, before anything else is opened.

    A closed stream is None to Python, and the next file that is opened would get its number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 (until the script ends)
    # A console that lacks a character, as cp1252 and cp950 do, shows a substitute.
    for stream, errors in ((sys.stdout, "substitute"), (sys.stderr, "substitute_and_escape")):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors=errors)


def end_stdout() -> None:
    """Write what stdout still buffers. Raises OSError, naming stdout, if it cannot be written."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _give_up(sys.stdout)
        raise OSError(error.errno, error.strerror, "standard output") from error


def end_stderr() -> None:
    """Write what stderr still buffers. Where it cannot be written, only the exit code can say so."""
    try:
        sys.stderr.flush()
    except OSError:
        _give_up(sys.stderr)


def _give_up(stream: TextIO) -> None:
    """Close a stream that fails, or Python tries it again at exit and changes the exit code."""
    with contextlib.suppress(OSError):
        stream.close()


_SUBSTITUTES = {"…": "...", "·": "-", "±": "+-", "→": "->", "–": "-", "−": "-", "×": "x"}
"""What consoles without these characters show of the scripts' own texts."""


def _substitute(error: UnicodeError, otherwise: Callable[[UnicodeError], tuple[str | bytes, int]]) -> Any:
    assert isinstance(error, UnicodeEncodeError)
    own = _SUBSTITUTES.get(error.object[error.start])
    if own is not None:
        return own, error.start + 1
    error.end = error.start + 1
    return otherwise(error)


def _replace(error: UnicodeError) -> tuple[str | bytes, int]:
    """A byte of a file name that is no text is shown as `\\xe9`, as in messages, so that the rest is still text."""
    assert isinstance(error, UnicodeEncodeError)
    character = error.object[error.start]
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}", error.end
    return codecs.replace_errors(error)


codecs.register_error("substitute", lambda error: _substitute(error, _replace))
codecs.register_error("substitute_and_escape", lambda error: _substitute(error, codecs.backslashreplace_errors))
