"""The file of titles that are never to be shown: an AniList id a line, with anything behind a # as a comment."""

from __future__ import annotations

import codecs
import io
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.recommending.rows import title_of
from anime_bert4rec.recommending.title_questions import id_of
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.locks import one_at_a_time
from anime_bert4rec.support.text import half_width, plain
from anime_bert4rec.support.whole_files import write_aside

LONGEST = 2**24
"""The most bytes of such a file: a hundred for each anime that there is would be fewer."""

log = logging.getLogger(__name__)


def hidden_ids(wanted: Sequence[str], path: Path | None, catalogue: Sequence[Anime]) -> set[int]:
    """The ids of the wanted ids and titles, and of the file, to which these are added.

    Raises UserError for a title that isn't clear, and for a file that isn't one.
    """
    ids = [id_of(each, catalogue, "--hide") for each in wanted]
    titles = {anime.anime_id: title_of(anime) for anime in catalogue}
    for anime_id in ids:
        if anime_id < 1:
            raise UserError(f"--hide {anime_id}: ids begin with 1")
        if anime_id not in titles:
            log.warning("--hide %d: the catalogue has no anime with this id.", anime_id)
    if path is None:
        return set(ids)
    if ids:
        add_to_hide_list(path, {anime_id: titles.get(anime_id, "") for anime_id in ids})
    return read_hide_list(path)


def read_hide_list(path: Path) -> set[int]:
    """The ids. Raises UserError for a file that isn't there, or has another line."""
    ids = set()
    for number, line in enumerate(io.StringIO(_text(path), newline=None), 1):
        word = half_width(line.partition("#")[0].strip())
        if word and not (word.isascii() and word.isdecimal() and len(word) <= 18):
            raise UserError(f"{path}:{number}: {plain(word, 40)!r} is no AniList id; titles are added with --hide")
        if word:
            ids.add(int(word))
    return ids


def add_to_hide_list(path: Path, titles: Mapping[int, str]) -> None:
    """Adds the ids that the file doesn't have, each with its title as a comment; makes the file if there is none."""
    folder = Path(os.path.realpath(path)).parent
    folder.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(folder):  # what another process adds meanwhile is not to be lost
        there = read_hide_list(path) if path.exists() else set()
        text = _text(path) if path.exists() else ""
        new = [f"{anime_id}  # {title}\n" for anime_id, title in titles.items() if anime_id not in there]
        if new:
            with write_aside(path) as file:
                file.write((text + ("\n" if text and not text.endswith("\n") else "") + "".join(new)).encode())


def _text(path: Path) -> str:
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    if path.stat().st_size > LONGEST:
        raise UserError(f"{path} is too large for a list of ids")
    content = path.read_bytes()
    is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # as PowerShell's > writes
    try:
        return content.decode("utf-16" if is_utf_16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text in UTF-8") from None
