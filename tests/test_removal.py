"""load_users.py --remove: who is meant by a name, all or nobody, and nothing of them is left in the file."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from itertools import permutations

import pytest

from anime_bert4rec.lists import database_file
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.records import Anime, CataloguePage, ImportedEntry, ListEntry, UserList
from anime_bert4rec.lists.sequence_store import MARK, folder_of
from anime_bert4rec.lists.user_names import user_hash
from anime_bert4rec.model.training_data import load_data
from anime_bert4rec.support.errors import UserError
from config import TrainingSettings
from load_users import main

SECRET = 777_777_777
"""When Ann has changed an entry: a number that is found in the file."""


def imported(name, kept=True):
    return [ImportedEntry(user_hash(name), name if kept else None, k, k, "COMPLETED") for k in (1, 2, 3)]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "bert.db"
    with Database.open(path, create=True) as database:
        fetch = database.resume_or_start_catalogue_fetch("ID", 30)
        database.save_catalogue_page(fetch.fetch_id, CataloguePage(tuple(map(Anime, range(1, 31))), None))
        for number, name in enumerate(("Ann", "Bob", "Cat"), 1):
            entries = tuple(ListEntry(k, k, "COMPLETED", created=SECRET if name == "Ann" else 5) for k in range(1, 21))
            database.save_user_list(UserList(number, name, entries), name.lower(), int(time.time()), 1)
        database.save_unavailable_user("gone", "unknown", int(time.time()))
        database.import_lists("csv", [*imported("bob"), *imported("Bob"), *imported("María X", kept=False)], 1)
    return path


@pytest.fixture
def remove(path, tmp_path, capsys):
    """Exit code, stdout and stderr."""

    def remove(*flags):
        code = main(["--db", str(path), "--file", str(tmp_path / "names.txt"), "--remove", *flags])
        return code, *capsys.readouterr()

    return remove


def left(path):
    connection = sqlite3.connect(path)
    names = [name for (name,) in connection.execute("SELECT name FROM user ORDER BY user_id")]
    (orphans,) = connection.execute(
        "SELECT count(*) FROM list_entry WHERE user_id NOT IN (SELECT user_id FROM user)"
    ).fetchone()
    connection.close()
    assert not orphans
    return {name.split("-")[0] if name.startswith("csv-") else name for name in names}


def test_who_was_fetched_goes_whatever_the_case_and_the_file_forgets(path, remove):
    assert SECRET.to_bytes(4, "big") in path.read_bytes()
    code, out, err = remove("ANN")
    assert (code, err) == (0, "")
    assert out.splitlines()[:3] == [
        'Removed: "Ann" (AniList), 20 anime.',
        "Training set: 5 users with 49 watched anime.",
        f"The database: {path}",
    ]
    assert "next training goes without them" in out and "--resume" in out and "evaluate.py" in out
    assert "Pages and files that recommend.py has written (--html, --all)" in out.splitlines()[-1]
    assert max(map(len, out.splitlines()[3:])) <= 100
    assert left(path) == {"Bob", "Cat", "gone", "bob", "csv"}
    assert SECRET.to_bytes(4, "big") not in path.read_bytes()


def test_nothing_of_them_is_left_in_the_file_though_sqlite_by_itself_leaves_it(path, remove, monkeypatch):
    real = database_file._open

    def _open(*args):
        connection = real(*args)
        connection.execute("PRAGMA secure_delete = OFF")
        return connection

    monkeypatch.setattr(database_file, "_open", _open)
    assert remove("Ann")[0] == 0
    assert SECRET.to_bytes(4, "big") not in path.read_bytes()


def test_a_name_in_several_places_goes_from_all_but_in_imports_case_matters(path, remove):
    code, out, _ = remove("Bob")
    assert code == 0 and out.count("Removed: ") == 2
    assert 'Removed: "Bob" (AniList), 20 anime.\nRemoved: "Bob" (csv), 3 anime.\n' in out
    assert left(path) == {"Ann", "Cat", "gone", "bob", "csv"}


@pytest.mark.parametrize("name", ["María X", "csv-{:016x}"])
def test_an_imported_name_is_found_by_its_hash_too(path, remove, name):
    assert remove(name.format(user_hash("María X") % 2**64))[0] == 0
    assert left(path) == {"Ann", "Bob", "Cat", "gone", "bob"}


def test_several_at_once_as_they_are_pasted_and_who_has_no_list(path, remove):
    code, out, _ = remove("@ann,", "https://anilist.co/user/Cat/animelist", "gone", "Ann")
    assert code == 0 and out.count("Removed: ") == 3
    assert left(path) == {"Bob", "bob", "csv"}


@pytest.mark.parametrize("name", ["nobody", "bo", "b%", "x' OR 1 --"])
def test_a_name_that_is_nobodys_removes_nobody(path, remove, name):
    before = path.read_bytes()
    code, out, err = remove("Ann", name)
    assert (code, out) == (1, "")
    assert "has nobody of the name" in err and "nobody is removed" in err and err.count("\n") == 1
    assert path.read_bytes() == before


def test_a_name_that_is_still_in_the_file_is_warned_of(tmp_path, remove):
    (tmp_path / "names.txt").write_text("Cat\nann\n")
    code, _, err = remove("Ann")
    assert (code, err) == (0, 'names.txt:2: "ann" is there: the next load_users.py fetches it again\n')


def test_it_goes_with_no_other_task(path, remove):
    for other in (["--csv", "x.csv"], ["--mal-xml", "x.xml"], ["--refresh"]):
        code, out, err = remove("Ann", *other)
        assert (code, out) == (2, "")
        assert err in {f"error: {a} and {b} cannot be used together\n" for a, b in permutations(("--remove", other[0]))}
    assert "Ann" in left(path)


def test_without_a_database_it_is_one_line(tmp_path, capsys):
    assert main(["--db", str(tmp_path / "none.db"), "--remove", "Ann"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_lists_that_were_kept_for_training_go_too(path, remove):
    settings = TrainingSettings(memory=False)
    with contextlib.suppress(UserError):  # nobody may be held out of so few
        load_data(path, settings)
    folder = folder_of(path)
    assert len(list(folder.iterdir())) == 2
    assert "bert.sequences" not in remove("ann")[1]
    assert [each.name for each in folder.iterdir()] == [MARK]
    (folder / "notes.txt").write_text("mine")
    assert "bert.sequences" in remove("cat")[1]
    assert (folder / "notes.txt").read_text() == "mine"


def test_killed_as_soon_as_they_are_gone_it_leaves_nothing_of_them_beside_the_database(path, remove, monkeypatch):
    with contextlib.suppress(UserError):
        load_data(path, TrainingSettings(memory=False))
    real = Database.remove

    def remove_and_die(*args):
        real(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(Database, "remove", remove_and_die)
    assert remove("ann")[0] == 130
    assert "Ann" not in left(path)
    assert [each.name for each in folder_of(path).iterdir()] == [MARK]


@pytest.mark.parametrize(
    ("given", "removed"),
    [
        ("@bob", "@bob"),  # and not "bob"
        ("bob;", "bob;"),
        ("anilist.co/user/bob", "anilist.co/user/bob"),
        ("123.0", "123"),
        ("https://anilist.co/user/ANN/", "Ann"),  # nobody is named so
        ("@Cat", "Cat"),
    ],
)
def test_a_name_that_looks_like_something_else_is_taken_as_it_is_first(path, remove, given, removed):
    with Database.open(path, create=False) as database:
        names = ("@bob", "bob;", "anilist.co/user/bob", "123")
        database.import_lists("other", [row for name in names for row in imported(name)], 1)
    before = left(path)
    code, out, _ = remove(given)
    assert code == 0 and f'Removed: "{removed}" (' in out
    assert before - left(path) == {removed}
