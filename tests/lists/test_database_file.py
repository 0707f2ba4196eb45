"""Which files are opened, and what is said of the others, which stay as they are."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import threading
from pathlib import PurePosixPath, PureWindowsPath

import pytest

from anime_bert4rec.lists import database_file, database_schema
from anime_bert4rec.lists.database import Database, DatabaseError
from anime_bert4rec.lists.database_file import _address, stoppable
from anime_bert4rec.lists.records import Anime, CatalogueCursor, CataloguePage, ListEntry, UserList


def make(path, anime=range(1, 201)):
    """A database of ours with some pages in it."""
    with Database.open(path, create=True) as database:
        fetch = database.resume_or_start_catalogue_fetch("ID", 10_000)
        titles = tuple(Anime(n, title_romaji=f"Title {n} " * 20) for n in anime)
        database.save_catalogue_page(fetch.fetch_id, CataloguePage(titles, None))


def text_file(path):
    path.write_text("these are my notes\n" * 100)


def short_text_file(path):
    path.write_text("x")


def other_program(path, journal="DELETE"):
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode = {journal}")
    connection.execute("CREATE TABLE bookmark (url)")
    connection.commit()
    connection.close()


def other_program_wal(path):
    other_program(path, "WAL")


def newer(path):
    make(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 999")
    connection.close()


def cut(path):
    make(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def cut_in_the_header(path):
    make(path)
    path.write_bytes(path.read_bytes()[:90])


def overwritten(path):
    make(path)
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(data)


def one_bad_page(path):
    make(path)
    data = bytearray(path.read_bytes())
    assert len(data) > 20 * 4096
    data[-4096:] = os.urandom(4096)
    path.write_bytes(data)


def a_damaged_name(path):
    """SQLite complains of a table by its name, which is no UTF-8."""
    make(path)
    data = path.read_bytes()
    for text, damaged in (
        (b"tablelist_entry", b"table\xa3ist_entry"),
        (b"CREATE TABLE list_entry", b"CREATE T\xa3BLE "),
    ):
        assert data.count(text) == 1
        data = data.replace(text, damaged.ljust(len(text)))
    path.write_bytes(data)


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (text_file, "not a database of this program"),
        (short_text_file, "not a database of this program"),
        (other_program, "not a database of this program"),
        (other_program_wal, "not a database of this program"),
        (newer, "newer version"),
        (cut, "damaged"),
        (cut_in_the_header, "damaged"),
        (overwritten, "damaged"),
        (one_bad_page, "damaged"),
        (a_damaged_name, "damaged"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_line_and_stays_as_it_is(tmp_path, spoil, message, create):
    path = tmp_path / "bert.db"
    spoil(path)
    before = path.read_bytes()
    with pytest.raises(DatabaseError, match=message) as caught:
        Database.open(path, create=create)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["bert.db"]


@pytest.mark.parametrize("create", [True, False])
def test_a_directory(tmp_path, create):
    with pytest.raises(DatabaseError, match="is not a file"):
        Database.open(tmp_path, create=create)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "notes").write_text("")
    with pytest.raises(DatabaseError, match="notes"):
        Database.open(tmp_path / "notes" / "bert.db", create=True)


def test_names_with_characters_that_mean_something_in_an_address(tmp_path):
    path = tmp_path / "a ?mode=memory&b#c%20ü.db"
    make(path)
    assert path.stat().st_size > 0
    with Database.open(path, create=False) as database:
        assert len(database.anime_ids()) == 200


@pytest.mark.parametrize(
    ("path", "address"),
    [
        (PurePosixPath("/home/ann/b ert.db"), "file:///home/ann/b%20ert.db"),
        (PureWindowsPath(r"C:\Users\Ann\bert.db"), "file:///C:/Users/Ann/bert.db"),
        (PureWindowsPath(r"\\server\share\bert.db"), "file:////server/share/bert.db"),  # "file://server" is refused
    ],
)
def test_the_address_by_which_sqlite_knows_a_path(path, address):
    assert _address(path) == address


def test_ctrl_c_is_heard_while_sqlite_works_on_one_statement():
    for_minutes = (
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000000000) SELECT max(i) FROM n"
    )
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt), stoppable(connection):
            connection.execute(for_minutes)
        with pytest.raises(sqlite3.OperationalError, match="no such table"), stoppable(connection):
            connection.execute("SELECT * FROM no_table")


def test_an_empty_file_is_as_good_as_none(tmp_path):
    path = tmp_path / "bert.db"
    path.touch()
    make(path)
    with Database.open(path, create=False) as database:
        assert len(database.anime_ids()) == 200


def test_what_a_new_file_promises(tmp_path):
    with Database.open(tmp_path / "new" / "bert.db", create=True) as database:

        def pragma(name):
            return database._connection.execute(f"PRAGMA {name}").fetchone()[0]

        assert pragma("application_id") == database_schema.APPLICATION_ID
        assert pragma("user_version") == len(database_schema.MIGRATIONS)
        assert pragma("journal_mode") == "wal"
        assert pragma("synchronous") == 2  # FULL: a commit survives a power loss
        assert pragma("foreign_keys") == 1
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["bert.db"]


def test_an_older_schema_is_brought_up_to_date_with_its_rows(tmp_path, monkeypatch):
    path = tmp_path / "bert.db"
    make(path)
    more = ("CREATE TABLE extra (a);\nINSERT INTO extra VALUES (1);\n", "ALTER TABLE extra ADD COLUMN b DEFAULT 5;\n")
    monkeypatch.setattr(database_schema, "MIGRATIONS", (*database_schema.MIGRATIONS, *more))
    for _ in range(2):
        with Database.open(path, create=False) as database:
            assert list(database._rows("SELECT * FROM extra")) == [(1, 5)]
            assert list(database._rows("PRAGMA user_version")) == [(len(database_schema.MIGRATIONS),)]
            assert len(database.anime_ids()) == 200


def test_a_database_from_before_synonyms_goes_on_working_and_takes_them(tmp_path, monkeypatch):
    path = tmp_path / "bert.db"
    with monkeypatch.context() as patch:
        patch.setattr(database_schema, "MIGRATIONS", database_schema.MIGRATIONS[:1])
        Database.open(path, create=True).close()
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO catalogue_fetch VALUES (1, 'ID', 1, 1, NULL, 5)")
    connection.execute("INSERT INTO anime (anime_id, title_romaji, is_adult, fetch_id) VALUES (7, 'Nana', 0, 1)")
    connection.commit()
    connection.close()
    with Database.open(path, create=False) as database:
        assert database.anime([7]) == [Anime(7, title_romaji="Nana")]
        fetch = database.resume_or_start_catalogue_fetch("ID", 1)
        database.save_catalogue_page(fetch.fetch_id, CataloguePage((Anime(7, synonyms=("娜娜", "NANA")),), None))
        assert database.anime([7]) == [Anime(7, synonyms=("娜娜", "NANA"))]


def test_a_database_from_before_score_formats_keeps_its_lists_and_takes_them(tmp_path, monkeypatch):
    path, entries = tmp_path / "bert.db", (ListEntry(5, 7, "COMPLETED", 73),)
    with monkeypatch.context() as patch:
        patch.setattr(database_schema, "MIGRATIONS", database_schema.MIGRATIONS[:2])
        Database.open(path, create=True).close()
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO user (anilist_id, name, name_key, fetched_at) VALUES (3, 'Ann', 'ann', 9)")
    connection.commit()
    connection.close()
    with Database.open_to_read(path) as database:
        assert database.users()["ann"].score_format is None
    with Database.open(path, create=False) as database:
        for score_format in ("POINT_5", "POINT_10_DECIMAL", None):
            stored = database.save_user_list(UserList(3, "Ann", entries, score_format), "ann", 10, 1)
            assert (stored.user_id, stored.score_format) == (1, score_format)
        assert database.entries(1) == list(entries)


def test_a_score_of_zero_is_none(tmp_path):
    with Database.open(tmp_path / "bert.db", create=True) as database:
        entries = tuple(ListEntry(number, number, "COMPLETED", score) for number, score in ((1, 0), (2, None), (3, 1)))
        stored = database.save_user_list(UserList(3, "Ann", entries), "ann", 10, 1)
        assert [each.score for each in database.entries(stored.user_id)] == [None, None, 1]


def test_a_migration_that_fails_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "bert.db"
    make(path)
    with monkeypatch.context() as patch:
        more = ("CREATE TABLE extra (a);\n", "INSERT INTO nowhere VALUES (1);\n")
        patch.setattr(database_schema, "MIGRATIONS", (*database_schema.MIGRATIONS, *more))
        with pytest.raises(sqlite3.OperationalError, match="nowhere"):
            Database.open(path, create=False)
    with Database.open(path, create=False) as database:
        assert list(database._rows("PRAGMA user_version")) == [(len(database_schema.MIGRATIONS),)]
        assert list(database._rows("SELECT name FROM sqlite_master WHERE name = 'extra'")) == []


def test_a_newer_schema_that_is_still_in_the_log_file_is_noticed(tmp_path):
    path = tmp_path / "bert.db"
    make(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 999")  # in the -wal file as long as this connection is open
    with pytest.raises(DatabaseError, match="newer version"):
        Database.open(path, create=False)
    connection.close()


def test_several_may_make_it_at_once(tmp_path):
    failures = []

    def work(n):
        try:
            make(tmp_path / "bert.db", [n])
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=[n]) for n in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with Database.open(tmp_path / "bert.db", create=False) as database:
        assert database.anime_ids() == [1, 2, 3, 4, 5, 6]


def test_a_writer_is_waited_for_when_the_file_gets_its_log(tmp_path, monkeypatch):
    path = tmp_path / "bert.db"
    make(path)
    writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    writer.execute("PRAGMA journal_mode = DELETE")  # as it is between the making of the tables and that of the log
    writer.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(database_file, "BUSY_SECONDS", 0.05)
    with pytest.raises(DatabaseError, match="another program is using"):
        Database.open(path, create=False)
    monkeypatch.setattr(database_file, "BUSY_SECONDS", 10)
    end = threading.Timer(0.2, writer.execute, ["ROLLBACK"])
    end.start()
    with Database.open(path, create=False) as database:
        assert list(database._rows("PRAGMA journal_mode")) == [("wal",)]
    end.join()
    writer.close()


def test_a_file_in_use_is_waited_for_and_then_one_clear_line(tmp_path, monkeypatch):
    path = tmp_path / "bert.db"
    make(path)
    monkeypatch.setattr(database_file, "BUSY_SECONDS", 0.05)
    with Database.open(path, create=False) as writer, Database.open(path, create=False) as other:
        with writer._transaction(), pytest.raises(DatabaseError, match="another program is using"):
            other.resume_or_start_catalogue_fetch("ID", 10)
        assert len(other.anime_ids()) == 200
        other.resume_or_start_catalogue_fetch("ID", 10)


def test_a_full_disk_loses_nothing_that_was_saved(tmp_path):
    path = tmp_path / "bert.db"
    make(path, range(1, 11))
    many = CataloguePage(tuple(Anime(n, title_romaji="x" * 1000) for n in range(1, 2_000)), CatalogueCursor(2))
    with Database.open(path, create=False) as database:
        fetch = database.resume_or_start_catalogue_fetch("ID", 5_000)
        (pages,) = next(database._rows("PRAGMA page_count"))
        database._connection.execute(f"PRAGMA max_page_count = {pages + 10}")  # SQLite's own way to have no room
        with pytest.raises(DatabaseError, match="the disk is full"):
            database.save_catalogue_page(fetch.fetch_id, many)
    with Database.open(path, create=False) as database:
        assert len(database.anime_ids()) == 10
        assert database.resume_or_start_catalogue_fetch("ID", 5_000).cursor == CatalogueCursor(1)


def test_the_error_that_has_ended_a_snapshot_is_the_one_that_is_raised(tmp_path):
    with Database.open(tmp_path / "a.db", create=True) as database:
        with pytest.raises(MemoryError), database.snapshot():
            database._connection.execute("ROLLBACK")  # as SQLite itself does without memory, or if the disk fails
            raise MemoryError
        assert database.anime_ids() == []


def test_a_file_that_cannot_be_written(tmp_path):
    make(tmp_path / "bert.db")
    with Database.open(tmp_path / "bert.db", create=False) as database:
        database._connection.execute("PRAGMA query_only = ON")
        with pytest.raises(DatabaseError, match="read-only"):
            database.mark_short_users(1)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o500)
    with pytest.raises(DatabaseError, match="read-only"):
        Database.open(folder / "bert.db", create=True)
