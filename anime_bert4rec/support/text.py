"""Text for people: strangers' text that no terminal would obey, errors of the system, arguments, numbers, durations."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import unicodedata
from pathlib import Path

_ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.")
_UNDECODED_BYTE = re.compile("[\udc80-\udcff]")  # of a file name that is no text
_DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def plain(text: str, limit: int = 500) -> str:
    """`text` on one line, without what a terminal would obey (escape sequences, control and direction characters)."""
    text = " ".join(harmless(text).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def harmless(text: str) -> str:
    """`text` without what a terminal would obey; its spaces stay, and each control character becomes one."""
    if text.isprintable():  # nearly all texts are, and have nothing to remove
        return text
    text = _ESCAPE_SEQUENCE.sub("", text)
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text)
    text = _UNDECODED_BYTE.sub(lambda byte: f"\\x{ord(byte[0]) - 0xDC00:02x}", text)
    return "".join(c for c in text if unicodedata.category(c) != "Cs" and c not in _DIRECTION)


def describe_os_error(error: OSError) -> str:
    """`No space left on device: output/models/best_model.pth`, without the errno and the quotes."""
    reason = error.strerror or str(error)
    return f"{reason}: {error.filename}" if error.filename else reason


def as_argument(text: Path | str) -> str:
    """A path or name as one argument of a command that is to be copied into a terminal, in quotes where it needs
    them."""
    return subprocess.list2cmdline([str(text)]) if sys.platform == "win32" else shlex.quote(str(text))


def as_flag(flag: str, value: Path | str) -> str:
    """A flag and its value, ready to follow a command: one that begins like a flag could not stand apart from it."""
    return f" {flag}{'=' if str(value).startswith('-') else ' '}{as_argument(value)}"


def count_of(number: int, what: str) -> str:
    """`1 user`, `1,204 users`."""
    return f"{number:,} {what}{'s' if number != 1 else ''}"


def count_people(number: int) -> str:
    """`one person`, `1,204 people`."""
    return f"{number:,} people" if number != 1 else "one person"


def half_width(text: str) -> str:
    """`text` with the usual digits and signs in place of those as wide as Chinese characters: `２０１５－`."""
    return unicodedata.normalize("NFKC", text)


def decimal(value: float, form: str = ".3f") -> str:
    """`.412`, `-.012`, `1.000`: as all measured numbers are printed, without a zero before the point."""
    return re.sub(r"^([+-]?)0\.", r"\1.", format(value, form))


def duration(seconds: float) -> str:
    """`8.4 s`, `12 min`, `3 h 05 min`, `5 days`."""
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes < 6000 else f"{round(minutes / 1440)} days"
