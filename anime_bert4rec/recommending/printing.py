"""What was found for people, on stdout."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Sequence

from anime_bert4rec.recommending.comparison import Comparison, comparison_as_json, comparison_as_text
from anime_bert4rec.recommending.output import as_csv, as_json, as_table
from anime_bert4rec.recommending.rows import RecommendedAnime

log = logging.getLogger(__name__)


def show(what: Sequence[RecommendedAnime] | Comparison, format: str) -> None:
    ascii_only = "utf" not in (sys.stdout.encoding or "").lower()
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    if isinstance(what, Comparison):
        text = comparison_as_json(what, ascii_only) if format == "json" else comparison_as_text(what, width)
    elif format == "json":
        text = as_json(what, ascii_only)
    else:
        text = as_csv(what) if format == "csv" else as_table(what, width)
    if format == "csv":
        _say_what_is_lost(text)
    sys.stdout.write(text)
    sys.stdout.flush()  # a pipe that is closed already is noticed here, not when Python ends


def _say_what_is_lost(text: str) -> None:
    """A table with substitutes is for people; but CSV goes into a file."""
    encoding = sys.stdout.encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        log.warning("stdout is %s, which lacks characters of some titles: set PYTHONUTF8=1 to have them.", encoding)
