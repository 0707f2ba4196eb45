"""Databases that SQLite reads well and that are wrong all the same: one line, nothing run and nothing changed."""

from __future__ import annotations

import re
import shutil
import sqlite3

import pytest
from small_runs import training_flags

import prepare_dataset
import train_model
from anime_bert4rec.lists.database import Database, DatabaseError
from anime_bert4rec.lists.database_schema import APPLICATION_ID, MIGRATIONS
from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.model.training_data import load_data
from anime_bert4rec.recommending.release import day_in_japan
from anime_bert4rec.support.errors import UserError
from config import PathSettings, TrainingSettings
from visualize import plot_data

ENDLESS = "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x FROM r) SELECT x AS anime_id FROM r"


@pytest.fixture
def path(db, tmp_path):
    return shutil.copy(db, tmp_path / "spoilt.db")


def change(path, *statements):
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def refused(path, act):
    with pytest.raises(DatabaseError) as caught:
        act()
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (["CREATE TRIGGER spy AFTER INSERT ON list_entry BEGIN DELETE FROM anime; END"], 'trigger "spy"'),
        (["CREATE TABLE bookmark (url)"], 'table "bookmark"'),
        (["CREATE UNIQUE INDEX mine ON user (name)"], 'index "mine"'),
        (["CREATE INDEX mine ON user (lower(name))"], 'index "mine"'),
        (["CREATE INDEX mine ON user (name) WHERE user_id > 1"], 'index "mine"'),
        ([f"CREATE VIEW more AS {ENDLESS}"], 'view "more"'),
        (["DROP TABLE anime_tag", f"CREATE VIEW anime_tag AS {ENDLESS}"], 'view "anime_tag"'),
        (["CREATE VIRTUAL TABLE words USING fts5 (word)"], 'table "words'),
        (["DROP TABLE anime_genre"], 'table "anime_genre" is missing'),
        (["ALTER TABLE anime ADD COLUMN more DEFAULT 5"], 'table "anime"'),
        (["ALTER TABLE user RENAME COLUMN name TO names"], 'table "user"'),
        (["PRAGMA user_version = 0"], 'table "anime"'),
        (["PRAGMA user_version = -1"], "newer version"),
        (["PRAGMA user_version = 1"], 'table "anime_synonym"'),
        (["PRAGMA user_version = 2147483647"], "newer version"),
    ],
)
@pytest.mark.parametrize("create", [True, False])
def test_what_this_program_did_not_make_is_refused_and_nothing_is_run(path, statements, message, create):
    change(path, "PRAGMA journal_mode = DELETE", *statements)
    before = path.read_bytes()
    assert message in refused(path, lambda: Database.open(path, create=create))
    assert message in refused(path, lambda: Database.open_to_read(path))
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("version", [0, 1, len(MIGRATIONS)])
def test_another_programs_tables_under_our_mark_are_refused(tmp_path, version):
    path = tmp_path / "other.db"
    change(path, "CREATE TABLE anime (title)", f"PRAGMA application_id = {APPLICATION_ID}",
           f"PRAGMA user_version = {version}")  # fmt: skip
    before = path.read_bytes()
    refused(path, lambda: Database.open(path, create=True))
    assert path.read_bytes() == before


def read_all(path):
    """All that training, recommending and the plots read."""
    with Database.open_to_read(path) as database:
        database.anime(database.anime_ids())
        for user in database.users().values():
            database.entries(user.user_id)
        database.anime_by_mal_id()
        for at in database.anime_fetched_at().values():
            day_in_japan(at)
        database.training_size()
        database.min_anime()
        list(database.identities())
    load_data(path, TrainingSettings())


SOMEBODY = "WHERE user_id = (SELECT min(user_id) FROM user)"


@pytest.mark.parametrize("value", ["'x'", "x'fffe'", "1.5", "9e999", str(2**62), "-5"])
@pytest.mark.parametrize("column", ["completed", "started", "updated", "created"])
def test_what_is_no_date_is_one_line(path, column, value):
    if (column, value) in (("updated", "-5"), ("created", "-5")):
        pytest.skip("before 1970")
    change(path, f"UPDATE list_entry SET {column} = {value} {SOMEBODY}")
    assert f'the column "{column}" holds ' in refused(path, lambda: read_all(path))


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        *(("list_entry", column, "'x'") for column in ("score", "progress", "repeats", "entry_id")),
        *(("list_entry", column, "1.5") for column in ("score", "progress", "entry_id")),
        *(("list_entry", "score", value) for value in ("-1", "101", str(2**53 + 1))),
        *(("anime", column, value) for column in ("average_score", "mean_score") for value in ("-1", "101")),
        ("list_entry", "status", "x'00'"),
        *(("anime", column, "'abc'") for column in ("year", "popularity", "episodes", "mal_id", "start_date")),
        *(("anime", column, str(10**15)) for column in ("year", "start_date")),
        *(("anime", column, "x'fffe'") for column in ("title_romaji", "title_native", "format", "site_url")),
        ("anime", "title_romaji", "CAST(x'fffe' AS TEXT)"),
        ("anime", "title_romaji", "hex(zeroblob(600000))"),
        ("anime", "is_adult", "'yes'"),
        ("anime_genre", "genre", "CAST(genre AS BLOB)"),
        ("anime_tag", "rank", "'high'"),
        ("anime_tag", "name", "CAST(name AS BLOB)"),
        ("anime_studio", "studio_id", "'s' || studio_id"),
        ("anime_relation", "related_id", "'s' || related_id"),
        ("anime_relation", "kind", "CAST(kind AS BLOB)"),
        ("user", "name", "CAST(name AS BLOB)"),
        ("user", "fetched_at", "'now'"),
        *(("training_limit", "min_anime", value) for value in ("'few'", "0", "-5", "1000001", str(2**63 - 1))),
        *(("catalogue_fetch", "finished_at", value) for value in ("'now'", "1.5", "-1", str(253_402_300_799))),
    ],
)
def test_what_does_not_belong_into_a_column_is_one_line(path, table, column, value):
    change(path, f"UPDATE {table} SET {column} = {value}")
    refused(path, lambda: read_all(path))


def rewrite(path, column, new, name):
    """Behind SQLite's back."""
    statement = f"UPDATE sqlite_master SET {column} = {new} WHERE name = '{name}'"
    change(path, "PRAGMA writable_schema = ON", statement, "PRAGMA writable_schema = OFF")


def test_nothing_where_something_must_be_is_one_line(path):
    must, may = "progress INTEGER NOT NULL", "progress INTEGER"
    rewrite(path, "sql", f"replace(sql, '{must}', '{may}')", "list_entry")
    change(path, "UPDATE list_entry SET progress = NULL")
    rewrite(path, "sql", f"replace(sql, '{may}', '{must}')", "list_entry")
    assert "NULL value in list_entry.progress" in refused(path, lambda: read_all(path))


def test_an_index_that_does_not_fit_its_table_is_noticed(path):
    other = "(SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_user_2')"
    rewrite(path, "rootpage", other, "sqlite_autoindex_user_1")
    assert "damaged" in refused(path, lambda: Database.open(path, create=False))


def test_a_value_that_is_another_in_the_index_is_noticed(path):
    """By it, a person would be found by no name, or a second time under the same one."""
    connection = sqlite3.connect(path)
    key = connection.execute("SELECT name_key FROM user ORDER BY length(name_key) DESC").fetchone()[0].encode()
    connection.close()
    content = path.read_bytes()
    at = [found.start() for found in re.finditer(re.escape(key), content)]
    path.write_bytes(content[: at[-1]] + b"~" + content[at[-1] + 1 :])
    assert "damaged" in refused(path, lambda: Database.open(path, create=False))


def test_an_anime_without_a_number_of_its_own_is_one_line(path):
    change(path, "UPDATE anime SET anime_id = -anime_id WHERE anime_id = (SELECT max(anime_id) FROM anime)")
    assert 'the column "anime_id" holds a number that is not from 1' in refused(path, lambda: read_all(path))


@pytest.mark.parametrize(
    "statement", ["DELETE FROM list_entry", "UPDATE list_entry SET anime_id = anime_id + 1000000000"]
)
def test_nobody_with_anything_on_the_list_is_one_line(path, tmp_path, statement, capsys):
    change(path, statement)
    assert train_model.main(training_flags(path, tmp_path / "output", "--epochs", 1)) == 1
    assert "too few lists with anime of its catalogue" in capsys.readouterr().err
    assert not (tmp_path / "output" / "models").exists()
    drawn, _ = plot_data(PathSettings(db=path, output_dir=tmp_path / "output"))
    assert [each.name for each in drawn] == ["data_overview.png"]


def test_entries_of_anime_and_people_that_there_are_not_are_passed_over(path, db):
    change(path, "INSERT INTO list_entry SELECT user_id, 10000000, 1, 'COMPLETED', 5, 1, 0, NULL, NULL, NULL, NULL"
           " FROM user", "INSERT INTO list_entry SELECT 10000000, anime_id, 1, 'COMPLETED', 5, 1, 0, NULL, NULL, NULL,"
           " NULL FROM anime")  # fmt: skip
    ours, whole = (load_data(each, TrainingSettings()) for each in (path, db))
    assert ours.fingerprint() == whole.fingerprint()


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
def test_what_sqlite_leaves_to_a_file_makes_no_difference(tmp_path, encoding):
    path = tmp_path / "u.db"
    change(path, f"PRAGMA encoding = '{encoding}'", "PRAGMA page_size = 512", "PRAGMA auto_vacuum = 1",
           f"PRAGMA application_id = {APPLICATION_ID}")  # fmt: skip
    assert prepare_dataset.main(["--sandbox", "--db", str(path), "--count", "60"]) == 0
    change(path, "ANALYZE", "VACUUM")
    with Database.open(path, create=False) as database:
        anime = database.anime(database.anime_ids())
    assert len(anime) == 60 and all(isinstance(each.title_romaji, str) for each in anime)
    assert Vocabulary.of(each.anime_id for each in anime).num_items == 60


def test_a_page_to_go_on_from_that_is_none_is_one_line(path, capsys):
    change(path, "UPDATE catalogue_fetch SET next_page = 'x', finished_at = NULL, sort = 'ID'")
    with pytest.raises(UserError, match='column "next_page"'), Database.open(path, create=False) as database:
        database.resume_or_start_catalogue_fetch("ID", 10)


def test_an_index_of_somebodys_own_changes_nothing(path):
    change(path, "CREATE INDEX mine ON list_entry (anime_id, user_id DESC)")
    with Database.open_to_read(path) as database:
        assert database.user_keys()
