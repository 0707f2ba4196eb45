"""Opens the SQLite file: is it ours and whole, is its schema older, and what do SQLite's errors mean to a user?"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import Any, Self
from urllib.parse import quote

from anime_bert4rec.lists import database_schema
from anime_bert4rec.lists.database_schema import NotOurs, check_schema, protect, typed, what_is_damaged
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.text import describe_os_error

log = logging.getLogger(__name__)

BUSY_SECONDS = 10.0
"""How long to wait for another process that is writing."""
STEPS_BETWEEN_LOOKS = 100_000
"""Of SQLite, between looks whether the script is to stop: some milliseconds."""

_DAMAGED = "the file is damaged: move it away and start again with `python prepare_dataset.py`"
_NOT_OURS = "the file is not as this program leaves it: move it away and start again with `python prepare_dataset.py`"
_REASONS = {
    sqlite3.SQLITE_FULL: "the disk is full: make room and run this again, what was saved before is safe",
    sqlite3.SQLITE_READONLY: "the file or its folder is read-only",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened; is its folder read-only?",
    sqlite3.SQLITE_BUSY: "another program is using the file; run this again when it is done",
    sqlite3.SQLITE_IOERR: "the disk reports an error; is it full?",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_TOOBIG: "a text is longer than any that belongs there",
}


class DatabaseError(UserError):
    """The database cannot be used as it is."""


class DatabaseFile:
    """An open database: transactions, snapshots, and rows whose values are checked.

    Every method may raise DatabaseError: a full disk, a locked file, …
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def open(cls, path: Path, *, create: bool) -> Self:
        """Open the file, made first if `create`. Raises DatabaseError when it is missing or cannot be used."""
        if not create and not path.exists():
            raise DatabaseError(no_anime(path))
        return cls(path, connect(path, create=create))

    @classmethod
    def open_to_read(cls, path: Path, *, whole: bool = True) -> Self:
        """Open a file that is not to be changed, which may be where nothing can be. Raises DatabaseError as `open`.

        Without `whole` the entries of lists are not looked through for damage, which takes a second for two million of
        them: then it is found where it is read.
        """
        if not path.exists():
            raise DatabaseError(no_anime(path))
        return cls(path, connect_to_read(path, whole))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with explained(self.path), transaction(self._connection):
            yield self._connection

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that is read in the block is of one moment, whatever another process writes meanwhile."""
        with explained(self.path):
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.rollback()

    def _rows(self, sql: str, values: Iterable[Any] = ()) -> Iterator[Any]:
        with explained(self.path):
            yield from typed(self._connection.execute(sql, tuple(values)))


def insert_into(table: str, columns: list[str]) -> str:
    """The SQL that inserts a row of values for these columns."""
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608


def no_anime(path: Path) -> str:
    """What to run, for a database that is missing or has no catalogue."""
    return (
        f"the database {path} has no anime yet: run `python prepare_dataset.py`, `python load_users.py` and"
        " `python train_model.py`, in this order"
    )


def connect(path: Path, *, create: bool) -> sqlite3.Connection:
    """A connection with the newest schema, and no transaction but those of `transaction`. Makes the file if `create`.

    Raises DatabaseError when the file is not ours, newer than this code or damaged, and leaves it as it is.
    """
    with _reachable(), explained(path):
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
        _check_header(path)
        connection = _open(path, "rwc" if create else "rw")
        with _closed_on_error(connection):
            _set_up(connection, path)
            _use_write_ahead_log(connection)
            connection.execute("PRAGMA secure_delete = ON")  # of who is removed nothing is left in the file either
        return connection


def connect_to_read(path: Path, whole: bool) -> sqlite3.Connection:
    """A connection that only reads a file that exists: it may be where nobody can write, or somebody else's.

    There SQLite cannot make the two files that it keeps beside a database in use. Without a journal it needs none; a
    journal that somebody left behind, and an older schema, are worked into a copy in memory.
    """
    with _reachable(), explained(path):
        version = _check_header(path)
        journal, index = (path.with_name(path.name + end) for end in ("-wal", "-shm"))
        with_journal = journal.exists() and journal.stat().st_size > 0
        if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
            connection = _open(path, "rw")
        elif version == len(database_schema.MIGRATIONS) and (index.exists() or not with_journal):
            connection = _open(path, "ro" if with_journal else "ro&immutable=1")
        else:
            connection = _copy_in_memory(path, journal if with_journal else None)
        with _closed_on_error(connection):
            _set_up(connection, path, whole)
            connection.execute("PRAGMA query_only = ON")
        return connection


def _open(path: Path, mode: str) -> sqlite3.Connection:
    log.debug("database: %s (SQLite %s)", path, sqlite3.sqlite_version)
    address = f"{_address(path.absolute())}?mode={mode}"
    return sqlite3.connect(address, uri=True, isolation_level=None, timeout=BUSY_SECONDS)


def _address(path: PurePath) -> str:
    """The path as SQLite takes it. Of a network share on Windows, `as_uri` makes an address with a host, which SQLite
    refuses."""
    text = path.as_posix()
    return "file://" + ("" if text.startswith("/") else "/") + quote(os.fsencode(text), safe="/:")


def _copy_in_memory(path: Path, journal: Path | None) -> sqlite3.Connection:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.db"
        shutil.copyfile(path, copy)
        if journal:
            shutil.copyfile(journal, copy.with_name("copy.db-wal"))
        connection = sqlite3.connect(":memory:", isolation_level=None)
        with contextlib.closing(_open(copy, "rw")) as source, _closed_on_error(connection):
            source.backup(connection)
    return connection


@contextlib.contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatabaseError(f"the database cannot be used: {describe_os_error(error)}") from None


@contextlib.contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Save all that the block writes, power loss or not, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()  # unlike ROLLBACK no error where SQLite has done so itself, as for a full disk
        raise


@contextlib.contextmanager
def stoppable(connection: sqlite3.Connection) -> Iterator[None]:
    """In the block, a request to stop is heard also while SQLite works on one statement, which may take minutes.

    Python handles signals when it runs; so SQLite calls it again and again. What is raised there only ends the
    statement, which nothing else does.
    """
    connection.set_progress_handler(lambda: 0, STEPS_BETWEEN_LOOKS)
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        raise KeyboardInterrupt from None
    finally:
        connection.set_progress_handler(None, 0)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the errors of SQLite that a user can do something about into a DatabaseError."""
    try:
        yield
    except sqlite3.Error as error:
        # The low byte is the error; the rest tells variants of it apart.
        reason = _REASONS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        if str(error).startswith("Could not decode"):  # a text that is none; what is said of it has no code
            raise DatabaseError(f"database {path}: {_DAMAGED}") from error
        if reason is None:
            raise
        raise DatabaseError(f"database {path}: {reason} ({error})") from error
    except NotOurs as error:
        raise DatabaseError(f"database {path}: {_NOT_OURS} ({error})") from error
    except UnicodeDecodeError as error:  # SQLite names a damaged table by what is left of its name
        raise DatabaseError(f"database {path}: {_DAMAGED}") from error


def _check_header(path: Path) -> int:
    """Looks at the first bytes without SQLite, which would write beside the file or take up an unfinished journal.

    Returns the version of the schema, 0 where there is none yet.
    """
    if not path.exists():
        return 0
    if not path.is_file():
        raise DatabaseError(f"{path} is not a file: the database has to be one")
    with path.open("rb") as file:
        header = file.read(100)
    if not header:
        return 0  # made, and killed before the first transaction
    application_id = int.from_bytes(header[68:72], "big")
    if not header.startswith(b"SQLite format 3\0") or application_id != database_schema.APPLICATION_ID:
        raise DatabaseError(f"{path} is not a database of this program: choose another file with --db, or move it away")
    version = int.from_bytes(header[60:64], "big")
    _check_version(version, path)
    return version


def _check_version(version: int, path: Path) -> None:
    if not 0 <= version <= len(database_schema.MIGRATIONS):
        known = len(database_schema.MIGRATIONS)
        raise DatabaseError(
            f"{path} was made by a newer version of this program (schema {version}, known here: {known}):"
            " update the program"
        )


def _set_up(connection: sqlite3.Connection, path: Path, whole: bool = True) -> None:
    protect(connection)
    version = _version(connection)
    _check_version(version, path)
    check_schema(connection)
    if damage := what_is_damaged(connection, whole):
        raise DatabaseError(f"database {path}: {_DAMAGED} ({damage})")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")  # in WAL mode, less would lose commits in a power loss
    _migrate(connection, path)


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """SQLite itself does not wait for this when another process is about to write."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    if _version(connection) == len(database_schema.MIGRATIONS):
        return
    with transaction(connection):
        version = _version(connection)  # again: another process may have been first
        _check_version(version, path)
        for script in database_schema.MIGRATIONS[version:]:
            for statement in script.split(";\n"):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {database_schema.APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(database_schema.MIGRATIONS)}")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
