"""Names of people. Reads the file of AniList names: one name a line, blank lines and `#` comments allowed.

A line that cannot be used is described with its number and skipped; only a file that cannot be read at all is an error.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from console import describe_os_error, plain
from errors import UserError

_UTF8_BOM = b"\xef\xbb\xbf"
_POSSIBLE_NAME = re.compile(r"[A-Za-z0-9_-]{2,20}")


@dataclass(frozen=True, slots=True)
class UserName:
    """A name to load. `where` says where it was given, such as `datas_user.txt:12`."""

    name: str
    where: str

    @property
    def key(self) -> str:
        return name_key(self.name)


def name_key(name: str) -> str:
    """What names are compared by: AniList ignores case in them."""
    return name.lower()


def user_hash(name: str) -> int:
    """What stands for the name of an imported list: always the same signed 64 bits (of BLAKE2b).

    Raises UnicodeEncodeError for what is not text in UTF-8.
    """
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)


def read_user_names(path: Path) -> tuple[list[UserName], list[str]]:
    """The usable names of the file in order, each once, and one text for each line that was skipped.

    Raises UserError for a file that cannot be read, is not UTF-8 or holds no name.
    """
    names: dict[str, UserName] = {}
    problems = []
    for number, text in enumerate(_lines(path), start=1):
        name = text.partition("#")[0].strip()
        if not name:
            continue
        where = f"{path.name}:{number}"
        shown = f'"{plain(name, limit=40)}"'
        if not _POSSIBLE_NAME.fullmatch(name):
            problems.append(f"{where}: {shown} cannot be an AniList name (2 to 20 of A-Z a-z 0-9 _ -), skipped")
        elif earlier := names.get(name_key(name)):
            problems.append(f"{where}: {shown} is already given at {earlier.where}, skipped")
        else:
            names[name_key(name)] = UserName(name, where)
    if not names and not problems:
        raise UserError(f"{path} has no names yet: add AniList user names to it, one a line")
    if not names:
        raise UserError(f"{path} has no usable name: {problems[0]}")
    return list(names.values()), problems


def _lines(path: Path) -> list[str]:
    if path.is_dir():
        raise UserError(f"{path} is a directory: --file takes a text file with one AniList name a line")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"there is no file {path}: make one with one AniList name a line") from None
    except OSError as error:
        raise UserError(f"the names could not be read: {describe_os_error(error)}") from None
    lines = []
    # Bytes are split at \n, \r\n and \r only, so the numbers are those that an editor shows.
    for number, line in enumerate(data.removeprefix(_UTF8_BOM).splitlines(), start=1):
        try:
            lines.append(line.decode("utf-8"))
        except UnicodeDecodeError:
            raise UserError(f"{path.name}:{number}: this is not UTF-8 text: save the file as UTF-8") from None
    return lines
