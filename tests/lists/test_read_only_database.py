"""A database that is only read: also on a disk that cannot be written to, with what others left beside it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys

import pytest
from fault_injection import needs_mounts
from test_database_file import make

from anime_bert4rec.lists.database import Database, DatabaseError
from anime_bert4rec.lists.records import ListEntry, UserList
from config import PROJECT_DIR

READ_ONLY = """
import os, pathlib, shutil, subprocess, sys
from anime_bert4rec.lists.database import Database, DatabaseError
source, folder = map(pathlib.Path, sys.argv[1:])
subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)
for file in source.iterdir():
    shutil.copy(file, folder)
subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
with Database.open_to_read(folder / "bert.db") as database:
    print(len(database.anime_ids()), database.user_keys())
    try:
        database.mark_short_users(1)
    except DatabaseError as error:
        print("read-only" in str(error))
print(sorted(os.listdir(folder)) == sorted(os.listdir(source)))
"""


def read_only(source, folder):
    """What a process says that opens the database in `source` on a read-only disk."""
    folder.mkdir()
    command = ["unshare", "-rm", sys.executable, "-c", READ_ONLY, str(source), str(folder)]
    return subprocess.run(command, cwd=PROJECT_DIR, capture_output=True, text=True, check=True).stdout


def in_use(path):
    """A folder with copies of the three files as they are while somebody else writes."""
    make(path, range(1, 100))
    other = sqlite3.connect(path)
    other.execute("INSERT INTO anime (anime_id, is_adult, fetch_id) VALUES (100, 0, 1)")
    other.commit()
    (path.parent / "copy").mkdir()
    for end in ("", "-wal", "-shm"):
        shutil.copy(f"{path}{end}", path.parent / "copy")
    other.close()
    return path.parent / "copy"


@needs_mounts
@pytest.mark.parametrize("left", [(), ("-wal", "-shm"), ("-wal",)], ids=["closed", "in use", "killed"])
def test_where_nothing_can_be_written_it_is_read_all_the_same(tmp_path, left):
    copy = in_use(tmp_path / "bert.db")
    for end in {"-wal", "-shm"} - {*left}:
        (copy / f"bert.db{end}").unlink()
    if not left:
        shutil.copy(tmp_path / "bert.db", copy)
    assert read_only(copy, tmp_path / "mounted") == "100 []\nTrue\nTrue\n"


@needs_mounts
def test_an_older_schema_is_read_where_nothing_can_be_written(tmp_path):
    (tmp_path / "source").mkdir()
    make(tmp_path / "source" / "bert.db")
    connection = sqlite3.connect(tmp_path / "source" / "bert.db")
    connection.execute("PRAGMA user_version = 0")
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        connection.execute(f"DROP TABLE {table}")
    connection.commit()
    connection.close()
    assert read_only(tmp_path / "source", tmp_path / "mounted") == "0 []\nTrue\nTrue\n"


def test_what_is_opened_to_read_is_not_written_to(tmp_path):
    path = tmp_path / "bert.db"
    make(path)
    before = path.read_bytes(), path.stat().st_mtime_ns
    with Database.open_to_read(path) as database:
        assert len(database.anime_ids()) == 200
        with pytest.raises(DatabaseError, match="read-only"):
            database.mark_short_users(1)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert [p.name for p in tmp_path.iterdir()] == ["bert.db"]


def test_somebody_elses_file_gets_no_files_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "bert.db"
    make(path)
    monkeypatch.setattr(os, "access", lambda *_: False)  # to root, everything is its own
    with Database.open_to_read(path) as database:
        assert len(database.anime_ids()) == 200
        assert [p.name for p in tmp_path.iterdir()] == ["bert.db"]


def test_of_one_person_no_other_list_is_looked_through(tmp_path):
    """Of two people with many entries, the pages of the second one are damaged: who reads the first is not kept."""
    path = tmp_path / "bert.db"
    make(path)
    with Database.open(path, create=False) as database:
        for user in (1, 2):
            entries = tuple(ListEntry(k, k, "COMPLETED") for k in range(1, 3001))
            database.save_user_list(UserList(user, f"user{user}", entries), f"user{user}", 0, 1)
        first, second = (database.users()[f"user{user}"].user_id for user in (1, 2))
    spoil_the_last_leaf(path, "list_entry")
    with pytest.raises(DatabaseError, match="damaged"):
        Database.open_to_read(path)
    with Database.open_to_read(path, whole=False) as database:
        assert len(database.entries(first)) == 3000
        with pytest.raises(DatabaseError, match="damaged"):
            database.entries(second)
    spoil_the_last_leaf(path, "anime_tag")
    with pytest.raises(DatabaseError, match="damaged"):
        Database.open_to_read(path, whole=False)


def spoil_the_last_leaf(path, table):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", [table]).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    data = bytearray(path.read_bytes())
    while data[(page - 1) * size] in (0x02, 0x05):  # an inner page; its header ends with the number of its last child
        page = int.from_bytes(data[(page - 1) * size + 8 : (page - 1) * size + 12], "big")
    data[(page - 1) * size : page * size] = bytes(size)
    path.write_bytes(data)
