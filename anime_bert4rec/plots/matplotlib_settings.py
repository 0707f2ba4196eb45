"""matplotlib as it comes: no setting that a user has for it, in a file or in the environment, changes our pictures.

Import this before matplotlib.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Drawn = TypeVar("Drawn")


def _import_matplotlib() -> None:
    """Import matplotlib even where a user's settings would end that in a traceback, and without warnings of them."""
    log = logging.getLogger("matplotlib")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        try:
            import matplotlib
        except Exception:
            for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
                del sys.modules[name]  # the half of it that is there already
            with _out_of_sight_of_settings():
                import matplotlib
        try:
            import matplotlib.font_manager
        except OSError:  # there is no folder at all that it could keep its list of fonts in
            matplotlib.get_cachedir = lambda: os.devnull
            import matplotlib.font_manager
    finally:
        log.setLevel(before)


@contextlib.contextmanager
def _out_of_sight_of_settings() -> Iterator[None]:
    """In the block, matplotlib finds its own defaults only, and no settings of a user or of the working directory."""
    found = importlib.util.find_spec("matplotlib")
    if not found or not found.origin:
        yield
        return
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        with contextlib.chdir(Path(found.origin).parent / "mpl-data"):
            yield
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


_import_matplotlib()

import matplotlib as mpl  # noqa: E402

_SETTINGS = {key: value for key, value in mpl.rcParamsDefault.items() if not key.startswith("backend")} | {
    "text.parse_math": False  # "$" in a name is a character
}
_drawing = threading.RLock()  # settings are matplotlib's own, not a picture's


def with_own_settings(draw: Callable[Given, Drawn]) -> Callable[Given, Drawn]:
    """Make `draw` use the settings that matplotlib comes with; the caller's are back afterwards."""

    @functools.wraps(draw)
    def drawn(*args: Given.args, **kwargs: Given.kwargs) -> Drawn:
        with _drawing, mpl.rc_context(_SETTINGS):
            return draw(*args, **kwargs)

    return drawn
