"""Finds the columns of a CSV of lists: what separates them, and which of them hold the user, the anime and so on."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from anime_bert4rec.lists.list_file import open_list
from anime_bert4rec.lists.list_values import number_in
from anime_bert4rec.support.errors import SettingError, UserError
from anime_bert4rec.support.text import plain

ROLES = {
    "user": "user user_id username user_name uid",
    "anime_id": "anime_id media_id item_id anime item",
    "anilist_id": "anilist_id",
    "mal_id": "mal_id id_mal anime_mal_id myanimelist_id series_animedb_id",
    "started": "my_start_date started_at started",
    "date": "my_finish_date finish_date finish_date_string finished_at completed_at watched_at date completed",
    "timestamp": "my_last_updated last_updated updated_at timestamp unix_time time updated",
    "score": "my_score user_score score_user my_rating user_rating rating_user score rating",
    "status": "my_status list_status watching_status watch_status user_status status",
}
"""The meanings that a column may have, each with the names by which it is known, the surest first: beside the person's
score and status a table may have those of the anime."""
_ROLE_OF_NAME = {name.replace("_", ""): role for role, names in ROLES.items() for name in names.split()}
_NAMES = list(_ROLE_OF_NAME)
_ID_ROLES = ("anilist_id", "anime_id", "mal_id")
_DELIMITERS = ",;\t|"
WANTED = "a CSV file", (".csv", ".tsv", ".txt", ".dat")
"""What `open_list` asks for, and the suffixes by which it chooses among the files of a zip."""


@dataclass
class CsvHeader:
    """The columns of a CSV."""

    table: str
    """The name of the file, or of the one that is packed in it."""
    delimiter: str
    names: list[str]
    """The names of the columns, as the first line or --columns has them."""
    width: int
    """The number of fields in the first line."""
    first_line: int
    """The number of the line, from 1, where the entries begin."""
    columns: dict[str, int]
    """The place of each role (see ROLES) that the file has; of the ids, only of those that are used."""
    ids: str
    """The role of the column that has the anime: anilist_id, anime_id or mal_id."""
    is_given: bool
    """Whether --columns has named the columns."""

    @property
    def has_both_ids(self) -> bool:
        """Whether a column `mal_id` can tell whose ids the column `anime_id` has."""
        return {"anime_id", "mal_id"} <= set(self.columns)

    @property
    def not_read(self) -> list[str]:
        """The names in the first line of columns that mean nothing here."""
        known = enumerate([] if self.is_given else self.names)
        return [name for place, name in known if name and _role_of(name) not in self.columns]

    @property
    def doubtful(self) -> list[tuple[str, str, list[str]]]:
        """The roles that several columns could have: the role, the column that has it, and the others."""
        found = []
        for role, at in self.columns.items():
            others = [name for place, name in enumerate(self.names) if place != at and _role_of(name) == role]
            if others:
                found.append((role, self.names[at], others))
        return found


def read_header(path: Path, names: str = "") -> CsvHeader:
    """The columns by the first line, or by the names of --columns.

    Raises UserError for a file that is no list, and SettingError for names that mean nothing.
    """
    with open_list(path, *WANTED) as file:
        table = file.name
        first = next(file.blocks(), b"").decode(errors="surrogateescape")
    if not first.strip():
        raise UserError(f"{path} is empty: give a CSV file")
    lines = first.split("\n")
    at = next((at for at, line in enumerate(lines) if line.strip()), 0)
    separator = re.fullmatch(r"\s*\"?sep=(.)\"?\s*", lines[at], re.IGNORECASE)
    at += separator is not None
    line = lines[at] if at < len(lines) else ""
    given = [name.strip() for name in names.split(",")] if names else []
    fields, delimiter = _split_header(line, separator[1] if separator else _DELIMITERS, len(given))
    width = len(fields)
    header = [plain(name, 40) for name in fields]
    is_named = any(map(_role_of, header))
    if given:
        for name in given:
            if name != "-" and not _role_of(name):
                raise SettingError(f"--columns: {name!r} is not one of {', '.join(ROLES)}, or - for any other")
        # Also an entry may have a word in it that is the name of a column, such as a status.
        of_ids = [text for name, text in zip(given, fields, strict=False) if _role_of(name) in _ID_ROLES]
        is_named &= not any(number_in(text) is not None for text in of_ids)
        header = given
        width = max(width, len(header))
    elif not is_named and (found := _OTHER_FORMS.match(line)):
        what = "XML: an export of MyAnimeList's goes to --mal-xml" if found[1] == "<" else "JSON"
        raise UserError(f"{path} is no CSV file, but looks like {what}")
    elif not is_named:
        raise UserError(f"{path} does not name its columns in the first line: name them with --columns")
    columns: dict[str, int] = {}
    for place in sorted(range(len(header)), key=lambda place: _surest(header[place])):
        if role := _role_of(header[place]):
            columns.setdefault(role, place)
    ids = [role for role in _ID_ROLES if role in columns]
    if "user" not in columns or not ids:
        raise UserError(
            f"{path} needs a column user and one anime_id or mal_id, but has {', '.join(header)}:"
            " name them with --columns"
        )
    both = not names and ids == ["anime_id", "mal_id"]
    for role in ids[1 + both :]:
        del columns[role]
    return CsvHeader(table, delimiter, header, width, at + 1 + is_named, columns, ids[0], bool(names))


def has_header(path: Path) -> bool:
    """Whether the first line names the columns of a table of lists."""
    try:
        read_header(path)
    except UserError:
        return False
    return True


_OTHER_FORMS = re.compile(r"""\s*(<|\{|\[\s*(?:[\[{"]|$))""")


def _split_header(line: str, delimiters: str, number: int) -> tuple[list[str], str]:
    """The names in the first line, and the separator that makes most known names of it, or else so many fields (0: that
    is not known), or else most."""

    def names(delimiter: str) -> list[str]:
        try:
            return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
        except csv.Error:
            return []

    def worth(delimiter: str) -> tuple[int, bool, int]:
        found = names(delimiter)
        return sum(_role_of(name) is not None for name in found), len(found) == number, len(found)

    best = max(delimiters, key=worth)
    return names(best), best


def _key(name: str) -> str:
    """The letters of a name without a type, which RecBole writes behind it (`user_id:token`)."""
    return re.sub(r":(token|float)(_seq)?$|[\W_]", "", name.lower())


def _role_of(name: str) -> str | None:
    return _ROLE_OF_NAME.get(_key(name))


def _surest(name: str) -> int:
    """The place of a column's name among those that are known, the surest first."""
    key = _key(name)
    return _NAMES.index(key) if key in _ROLE_OF_NAME else len(_NAMES)
