"""Names of people. Reads the file of AniList names: one a line, or more with commas; `#` begins a comment.

What cannot be used is described with its line and skipped; only a file that cannot be read at all is an error.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from anime_bert4rec.lists.csv_header import has_header
from anime_bert4rec.lists.list_file import open_list
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.text import plain

MAX_BYTES = 16 * 2**20
_POSSIBLE_NAME = re.compile(r"[A-Za-z0-9_-]{2,20}")
_WHAT_NAMES_ARE = "2 to 20 of A-Z a-z 0-9 _ -"
_PROFILE = re.compile(r"(?:^|[/.@(<\s])anilist\.co/user/([^/?#\s)>\]]+)", re.IGNORECASE)
_PAGE_OF_PROFILE = re.compile(
    r"/?(?:user/)?([^/?]+)/?(?:(?:animelist|mangalist|favorites|favourites|stats|social|reviews)(?:[/?].*)?|\?.*)?",
    re.IGNORECASE,
)
_TURNS_ROUND = "\u202d\u202e"
"""Characters that make text look other than it is. Unlike other invisible ones, they get into no name by pasting."""
_BULLET = re.compile(r"(?:[-*\u2022\u00b7]|[0-9]{1,4}[.)])\s+")
_AROUND = " \t\"'`<>()[]{}\u2018\u2019\u201c\u201d\u300c\u300d\u00ab\u00bb"
_BETWEEN = re.compile(r"[,;|\t\u3001]+|\s+(?=@|https?://|www\.|anilist\.co/)", re.IGNORECASE)

_CELLS, _NUMBER = re.compile(r"[,;|\t]"), re.compile(r"-?[0-9]+(?:[.,][0-9]+)?")
MOST_OF_TABLE = 2**16


@dataclass(frozen=True, slots=True)
class UserName:
    """A name to load. `where` says where it was given, such as `datas_user.txt:12`."""

    name: str
    where: str

    @property
    def key(self) -> str:
        return name_key(self.name)


def name_key(name: str) -> str:
    """The form in which names are compared: AniList ignores case in them."""
    return name.lower()


def user_hash(name: str) -> int:
    """What stands for the name of an imported list: always the same signed 64 bits (of BLAKE2b).

    Raises UnicodeEncodeError for what is not text in UTF-8.
    """
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)


def profiles_in(text: str) -> list[str]:
    """The names in the addresses of profiles on AniList that are in a text."""
    return list(map(unquote, _PROFILE.findall(text)))


def anilist_name(text: str) -> str:
    """The name that is meant by a name, @name, name/animelist or a profile's address.

    Raises UserError for what cannot be one.
    """
    shown = f'"{plain(text.strip(), limit=40)}"'
    text = _BULLET.sub("", _usual_characters(text).strip(_AROUND), count=1)
    if len(profiles := profiles_in(text)) == 1:
        text = profiles[0]
    elif re.search(r"https?://|www\.|\.[a-z]{2,}/", text, re.IGNORECASE):
        raise UserError(f"{shown} is an address, but not of somebody on AniList (https://anilist.co/user/NAME)")
    elif page := _PAGE_OF_PROFILE.fullmatch(text):
        text = page[1]
    name = text.strip(_AROUND + ",;.:!").lstrip("@")
    if not _POSSIBLE_NAME.fullmatch(name):
        raise UserError(f"{shown} cannot be an AniList name ({_WHAT_NAMES_ARE})")
    return name


def read_user_names(path: Path) -> tuple[list[UserName], list[str]]:
    """The usable names of the file in order, each once, and one text for each name that was skipped.

    Raises UserError for a file that cannot be read, is not UTF-8 or holds no name.
    """
    names: dict[str, UserName] = {}
    problems = []
    for where, text in _names(path):
        try:
            name = anilist_name(text)
        except UserError as error:
            problems.append(f"{where}: {error}, skipped")
            continue
        if earlier := names.get(name_key(name)):
            problems.append(f'{where}: "{name}" is already given at {earlier.where}, skipped')
        else:
            names[name_key(name)] = UserName(name, where)
    if not names and not problems:
        raise UserError(f"{path} has no names yet: add AniList user names to it, one a line")
    if not names:
        raise UserError(f"{path} has no usable name: {problems[0]}")
    return list(names.values()), problems


def _names(path: Path) -> Iterator[tuple[str, str]]:
    with open_list(path, "a text file with one AniList name a line", (".txt", ".csv")) as file:
        data = file.whole(MAX_BYTES)
    if data[:4096].lstrip().lower().startswith((b"<?xml", b"<myanimelist")):
        raise UserError(f"{path} is no file of names: give an export of MyAnimeList's to --mal-xml")
    if has_header(path) or _is_table(data[:MOST_OF_TABLE].decode(errors="replace")):
        raise UserError(f"{path} is a table, and no file of names: give lists of several people to --csv")
    for number, line in enumerate(data.split(b"\n"), start=1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            raise UserError(f"{path.name}:{number}: this is not UTF-8 text: save the file as UTF-8") from None
        text = _usual_characters(text).partition("#")[0]
        broken = any(unicodedata.category(c) == "Cc" and c != "\t" for c in text)  # no text that anybody has typed
        for part in [text] if broken else _BETWEEN.split(text):
            if part.strip(_AROUND):
                yield f"{path.name}:{number}", part


def _is_table(text: str) -> bool:
    """Whether most lines, of at least three, have a number behind a name that comes in several of them.

    Nobody names the same people again and again, and numbers before names count the lines.
    """
    lines = [[part.strip(_AROUND) for part in _CELLS.split(line.partition("#")[0])] for line in text.splitlines()]
    lines = [cells for cells in lines if any(cells)]
    names = [cells[0] for cells in lines if cells[0] and any(map(_NUMBER.fullmatch, cells[1:]))]
    return len(names) >= 3 and 2 * len(names) > len(lines) and 2 * len(set(names)) <= len(names)


def _usual_characters(text: str) -> str:
    """The text without invisible marks, and with full-width letters and signs as the usual ones."""
    text = unicodedata.normalize("NFKC", text)
    return "".join(c for c in text if unicodedata.category(c) != "Cf" or c in _TURNS_ROUND)
