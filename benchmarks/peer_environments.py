"""The virtual environments of the other implementations: what is in them, and how they are made."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

from anime_bert4rec.support.errors import UserError

VENVS = Path(__file__).resolve().parent / ".venvs"

TORCH = "torch==2.13.0"  # installed first, so that every peer has the version that the project has
REQUIREMENTS = {
    "rectools": ["rectools[torch]==0.19.0"],
    # RecBole still uses names that NumPy 2, pandas 3 and setuptools 81 have dropped.
    "recbole": ["recbole==1.2.1", "numpy==1.26.4", "pandas==2.2.3", "setuptools<81"],
    "replay": ["replay-rec[torch]==0.22.0"],
}


def python_of(peer: str) -> Path:
    """The peer's interpreter, which is there once the peer is wholly installed."""
    folder = VENVS / peer
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def is_set_up(peer: str) -> bool:
    return _mark(peer).is_file() and _mark(peer).read_text() == _wanted(peer)


def set_up(peer: str) -> None:
    """Installs `peer` unless it is there in the right versions. Raises UserError when pip fails."""
    if is_set_up(peer):
        print(f"{peer}: already there")
        return
    print(f"{peer}: installing {TORCH} and {' '.join(REQUIREMENTS[peer])}", flush=True)
    folder = VENVS / peer
    if os.path.lexists(folder) and (folder.is_symlink() or not (folder / "pyvenv.cfg").is_file()):
        raise UserError(f"{folder} is in the way, and no virtual environment of this program: move it away")
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(python_of(peer)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        subprocess.run([*pip, TORCH], check=True)
        subprocess.run([*pip, TORCH, *REQUIREMENTS[peer]], check=True)
    except subprocess.CalledProcessError as error:
        raise UserError(f"pip could not install {peer}; its own message is above") from error
    _mark(peer).write_text(_wanted(peer))


def _mark(peer: str) -> Path:
    return VENVS / peer / "installed.txt"


def _wanted(peer: str) -> str:
    return "\n".join([TORCH, *REQUIREMENTS[peer]])
