"""recommend.py --user: people whose lists were imported go by any name, and are told apart letter by letter."""

from __future__ import annotations

import json
import shutil

import pytest
from small_recommendations import ask

from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.records import ImportedEntry
from anime_bert4rec.lists.user_names import user_hash

NAMES = {"bob_q": 4, "bob_q!": 7, "@bob_q": 12, "Bob_q": 15, "王小明": 18, "7": 21, "a:b": 24}
"""Who was imported, each with one title."""


@pytest.fixture
def asking(folder, capsys, tmp_path):
    """Gives the ids that each row is because of, or the error."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    with Database.open(tmp_path / "bert.db", create=False) as database:
        rows = [ImportedEntry(user_hash(name), None, one, 1, "COMPLETED", None, 0, None, None, None)
                for name, one in NAMES.items()]  # fmt: skip
        database.import_lists("csv:lists", rows, min_anime=1)
        database.import_lists("csv:more", [rows[0]._replace(anime_id=9)], min_anime=1)

    def asking(*flags):
        code, out, err = ask(tmp_path, capsys, *flags, "--format", "json", "--with-sequels", "--top-k", 2)
        if code:
            return err
        found = json.loads(out)
        return (
            found["watched"] if "watched" in found else {each["anime_id"] for row in found for each in row["because"]}
        )

    return asking


def test_an_imported_person_is_found_letter_by_letter(asking):
    for name, anime_id in NAMES.items():
        if name != "bob_q":
            assert asking("--user", name) == {anime_id}, name


def test_of_several_imports_one_is_named(asking):
    assert 'give "csv:lists:bob_q" or "csv:more:bob_q"' in asking("--user", "bob_q")
    assert asking("--user", "csv:lists:bob_q") == {NAMES["bob_q"]}
    assert asking("--user", "csv:more:bob_q") == {9}
    assert asking("--user", "csv:lists:a:b") == {NAMES["a:b"]}


def test_people_whose_names_differ_in_little_are_several(asking):
    assert asking("--user", "Bob_q", "--user", "bob_q!") == {NAMES["Bob_q"], NAMES["bob_q!"]}
    assert asking("--user", "Bob_q", "--compare-with", "@bob_q") == [1, 1]
    assert "--compare-with: that is the same person" in asking("--user", "csv:lists:7", "--compare-with", "7")
    assert '"小明" cannot be an AniList name' in asking("--user", "小明")
