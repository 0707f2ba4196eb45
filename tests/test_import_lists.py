"""load_users.py --csv and --mal-xml: what is in the tables afterwards, after a second time and after a kill."""

from __future__ import annotations

import sqlite3

import pytest
import script_process

from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.records import Anime, CataloguePage, ListEntry, UserList
from anime_bert4rec.lists.user_names import user_hash
from anime_bert4rec.model.training_data import load_data
from config import PROJECT_DIR, TrainingSettings
from load_users import main


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "bert.db"
    with Database.open(path, create=True) as database:
        fetch = database.resume_or_start_catalogue_fetch("ID", 100)
        anime = tuple(Anime(n, mal_id=1000 + n) for n in range(1, 31))
        database.save_catalogue_page(fetch.fetch_id, CataloguePage(anime, None))
        entries = tuple(ListEntry(n, n, "COMPLETED") for n in range(1, 31))
        database.save_user_list(UserList(7, "Ann", entries), "Ann", 1_700_000_000, 20)
    return path


@pytest.fixture
def run(path, tmp_path):
    def run(text, *flags, flag="--csv", name="lists.csv"):
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        return main([flag, str(file), "--db", str(path), "--min-anime", "3", *flags])

    return run


def dump(path):
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        return list(connection.iterdump())
    finally:
        connection.close()


def lists(path):
    """By name_key: the shown name, left_out, and the entries."""
    connection = sqlite3.connect(path)
    try:
        users = connection.execute("SELECT user_id, name_key, name, left_out FROM user WHERE name_key LIKE '%:%'")
        entries = (
            "SELECT anime_id, status, score, completed, updated FROM list_entry WHERE user_id = ? ORDER BY anime_id"
        )
        return {key: (name, why, connection.execute(entries, [user]).fetchall()) for user, key, name, why in users}
    finally:
        connection.close()


def key(name, source="csv:lists"):
    return f"{source}:{user_hash(name) % 2**64:016x}"


SCATTERED = """user,anime_id,date,score,status
Ann,1,2020-01-01,7,COMPLETED
Bob,2,2020-01-01,,COMPLETED
Ann,3,1577934245,10,DROPPED
Bob,4,,0,PLANNING
Ann,2,,,CURRENT
Ann,1,2020-01-02,8,COMPLETED
Bob,99,,,COMPLETED
"""
ANN = [(1, "COMPLETED", 80, 20200102, None), (2, "CURRENT", None, None, None), (3, "DROPPED", 100, None, 1577934245)]
BOB = [(2, "COMPLETED", None, 20200101, None), (4, "PLANNING", None, None, None)]


def test_lists_scattered_over_a_file_are_put_together(run, path, capsys):
    assert run(SCATTERED) == 0
    hashed = {who: key(who).replace(":", "-") for who in ("Ann", "Bob")}
    assert lists(path) == {key("Ann"): (hashed["Ann"], None, ANN), key("Bob"): (hashed["Bob"], "short", BOB)}
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "2 users with 5 anime stored, 0 of them in place of an earlier import; of 7 rows 1 left out,"
        " 1 replaced by a later row.",
        "Left out of the training: 1 with fewer than 3 anime (--min-anime).",
        "Training set: 2 users with 33 watched anime.",
        f"The database: {path}",
        f"Next: python train_model.py --db {path}",
    ]
    assert captured.err.splitlines()[2:] == ["1 left out: anime that the catalogue does not have (the first: line 8)"]


def test_importing_again_changes_nothing(run, path):
    run(SCATTERED)
    before = dump(path)
    assert run(SCATTERED) == 0
    assert dump(path) == before


def test_the_name_that_a_person_is_known_by_is_the_same_for_ever(run, path):
    run(SCATTERED)
    assert key("Ann") in lists(path) and key("Ann") == "csv:lists:def35119f486965e"  # printf Ann | b2sum -l 64


def test_a_new_file_replaces_the_lists_of_its_users_alone(run, path):
    run(SCATTERED)
    run("user,mal_id\nBob,1005\nCid,1006\nCid,1007\nCid,1008\n", "--source", "lists")
    stored = lists(path)
    assert stored[key("Ann")][2] == ANN
    assert stored[key("Bob")][2] == [(5, "COMPLETED", None, None, None)]
    assert [row[0] for row in stored[key("Cid")][2]] == [6, 7, 8]


def test_names_are_kept_only_if_asked_for(run, path):
    run(SCATTERED, "--keep-names")
    assert {name for name, _, _ in lists(path).values()} == {"Ann", "Bob"}
    run(SCATTERED)
    assert not {name for name, _, _ in lists(path).values()} & {"Ann", "Bob"}
    assert b"Bob" not in path.read_bytes()


def test_scores_up_to_100_stay_as_they_are(run, path):
    run("user,anime_id,score\nAnn,1,7\nAnn,2,85.4\nAnn,3,0.2\n")
    assert [score for _, _, score, _, _ in lists(path)[key("Ann")][2]] == [7, 85, 1]


def test_who_comes_from_anilist_is_not_touched_and_nobody_else_is_asked_for(run, path):
    with Database.open(path, create=False) as database:
        before = database.users("ann")
    run(SCATTERED)
    with Database.open(path, create=False) as database:
        assert database.users("ann") == before
        fetched = {name: user.fetched_at for name, user in database.users().items()}
    assert fetched == {"ann": 1_700_000_000, key("Ann"): 0, key("Bob"): 0}


def test_training_sees_the_imported_lists(run, path):
    run(SCATTERED)
    data = load_data(path, TrainingSettings(val_ratio=0.5))
    assert sorted([*data.training.lengths, *data.validation.lengths]) == [3, 30]


ONE = "user,anime_id\n1,1\n1,2\n1,3\n1,4\n"
OTHER = "user,anime_id\n1,11\n1,12\n1,13\n1,1\n"


def test_the_same_number_in_two_published_files_is_two_people(run, path):
    run(ONE, name="animelist.csv")
    run(OTHER, name="ratings.csv")
    stored = lists(path)
    assert [row[0] for row in stored[key("1", "csv:animelist")][2]] == [1, 2, 3, 4]
    assert [row[0] for row in stored[key("1", "csv:ratings")][2]] == [1, 11, 12, 13]


@pytest.mark.parametrize("name", ["ratings-2019-05.csv", "Ratings_20200101.csv", "ratings (2).csv", "2021 ratings.tsv"])
def test_a_newer_version_of_a_file_replaces_the_older(run, path, name):
    run(ONE, name="ratings.csv")
    run(ONE + "1,5\n2,1\n", name=name)
    stored = lists(path)
    assert [row[0] for row in stored[key("1", "csv:ratings")][2]] == [1, 2, 3, 4, 5] and len(stored) == 2


def test_other_people_under_the_same_names_are_asked_about_and_never_replaced(run, path, capsys):
    run(ONE, name="ratings.csv")
    before = dump(path)
    assert run(OTHER, name="ratings.csv") == 1
    assert 'source "ratings" have other lists here (1 of 4 anime in common)' in capsys.readouterr().err
    assert dump(path) == before
    assert run(OTHER, "--source", "Other Site", name="ratings.csv") == 0
    assert set(lists(path)) == {key("1", "csv:ratings"), key("1", "csv:other-site")}
    assert run(OTHER, "--source", "ratings", name="ratings.csv") == 0
    assert [row[0] for row in lists(path)[key("1", "csv:ratings")][2]] == [1, 11, 12, 13]


def test_a_source_that_is_named_is_taken_as_it_is(run, path, capsys):
    run(ONE, name="ratings-2019.csv")
    assert run(OTHER, "--source", "Ratings-2020", name="ratings-2020.csv") == 0
    assert set(lists(path)) == {key("1", "csv:ratings"), key("1", "csv:ratings-2020")}
    before = dump(path)
    assert run(OTHER, "--source", "!!!") == 2
    assert "--source needs a letter or a digit, and '!!!' has none" in capsys.readouterr().err
    assert dump(path) == before


@pytest.mark.parametrize(("text", "adopted"), [(ONE, True), (OTHER, False)])
def test_people_that_versions_without_sources_stored_are_taken_over_if_they_are_the_same(run, path, text, adopted):
    run(ONE)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE user SET name_key = replace(name_key, 'csv:lists:', 'csv:')")
    connection.commit()
    connection.close()
    assert set(lists(path)) == {key("1", "csv")}
    assert run(text) == 0
    assert set(lists(path)) == ({key("1")} if adopted else {key("1"), key("1", "csv")})


def test_names_that_differ_in_case_are_two_people_in_a_file(run, path):
    run("user,anime_id\nbob,1\nBob,2\n")
    assert set(lists(path)) == {key("bob"), key("Bob")}


def points(path, name):
    return [score for _, _, score, _, _ in lists(path)[key(name)][2]]


def test_the_scale_is_each_persons_own(run, path):
    rows = [*(("A", n, 5 + n % 6) for n in range(1, 21)), ("B", 1, 85), ("B", 2, 7), ("C", 1, "7,5"), ("C", 2, 4)]
    rows += [("A", 21, 100), ("D", 1, 5), ("D", 2, 3)]
    run("user;anime_id;score\n" + "".join(f"{user};{n};{score}\n" for user, n, score in rows))
    assert points(path, "A") == [*(10 * (5 + n % 6) for n in range(1, 21)), 100]
    assert (points(path, "B"), points(path, "C"), points(path, "D")) == ([85, 7], [75, 40], [50, 30])


def test_a_tenth_above_a_scale_is_not_more_than_a_tenth_and_halves_are_rounded_up(run, path):
    rows = [("E", 1, 100), *(("E", n, 7.25) for n in range(2, 11)), ("F", 1, 10), *(("F", n, 4) for n in range(2, 11))]
    run("user,anime_id,score\n" + "".join(f"{user},{n},{score}\n" for user, n, score in [*rows, ("G", 1, 4)]))
    assert points(path, "E") == [100, *[73] * 9]
    assert points(path, "F") == [100, *[80] * 9], "of 5, with a single one that cannot be"


def test_where_most_never_give_more_than_five_scores_are_of_five(run, path):
    run("user,anime_id,score\nA,1,5\nA,2,3.5\nB,1,4\nB,2,1\nC,1,8\nC,2,5\n")
    assert (points(path, "A"), points(path, "B"), points(path, "C")) == ([100, 70], [80, 20], [80, 50])
    run("user,anime_id,score\nD,1,5\nD,2,3.5\nE,1,8\nE,2,5\n", name="half.csv")
    assert [score for _, _, score, *_ in lists(path)[key("D", "csv:half")][2]] == [50, 35], "half are not most"


EXPORT = """<myanimelist><myinfo><user_name>Dora</user_name></myinfo>
<anime><series_animedb_id>1001</series_animedb_id><my_finish_date>2020-01-02</my_finish_date><my_score>1</my_score>
<my_status>Completed</my_status></anime>
<anime><series_animedb_id>99</series_animedb_id></anime>
<anime><series_animedb_id>1002</series_animedb_id><my_status>Plan to Watch</my_status></anime></myanimelist>"""


def test_an_export_of_myanimelist_is_one_more_person(run, path, capsys):
    for _ in range(2):
        assert run(EXPORT, "--keep-names", flag="--mal-xml", name="list.xml") == 0
    entries = [(1, "COMPLETED", 10, 20200102, None), (2, "PLANNING", None, None, None)]
    assert lists(path) == {key("Dora", "mal"): ("Dora", "short", entries)}
    assert "1 left out: anime that the catalogue does not have (the first: entry 2)" in capsys.readouterr().err
    run(EXPORT.replace("<my_score>1<", "<my_score>85<"), flag="--mal-xml", name="list.xml")
    assert lists(path)[key("Dora", "mal")][2][0][2] == 85


def test_without_a_name_an_export_has_that_of_its_file(run, path):
    nameless = EXPORT.replace("Dora", "")
    run(nameless, flag="--mal-xml", name="animelist_1.xml")
    assert set(lists(path)) == {key("animelist_1", "mal")}
    assert run(nameless, flag="--mal-xml", name="animelist_1.xml") == 0


def test_an_export_without_a_name_replaces_nobody_elses_list(run, path, capsys):
    nameless = EXPORT.replace("Dora", "")
    run(nameless, flag="--mal-xml", name="-animelist.xml")
    before = dump(path)
    assert run(nameless.replace(">1001<", ">1011<"), flag="--mal-xml", name="-animelist.xml") == 1
    err = capsys.readouterr().err
    assert 'names nobody, and under "-animelist", the name of the file, another list is stored (1 of 2 anime' in err
    assert err.endswith("take that one out first: --remove=-animelist\n")
    assert dump(path) == before


@pytest.mark.parametrize(
    ("text", "flags", "message"),
    [
        ("Ann,1\n", (), "name them with --columns"),
        ("user,anime_id\nAnn,99\n", (), "nobody was imported"),
        ("user,anime_id\nAnn,1\n" * 9 + "x" * 2**21, (), "has a line longer than"),
    ],
)
def test_a_file_that_cannot_be_used_changes_nothing(run, path, capsys, text, flags, message):
    run(SCATTERED)
    before = dump(path)
    assert run(text, *flags) == 1
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert dump(path) == before


@pytest.mark.parametrize(
    "flags",
    [
        ("--csv", "a.csv", "--mal-xml", "b.xml"),
        ("--columns", "user,anime_id"),
        ("--keep-names",),
        ("--source", "x"),
        ("--mal-xml", "a.csv", "--source", "x"),
        ("--csv", "a.csv", "--columns", "user,nonsense"),
    ],
)
def test_flags_that_do_not_go_together(path, tmp_path, monkeypatch, flags):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("Ann,1\n")
    assert main(["--db", str(path), *flags]) == 2


def test_without_a_catalogue_the_commands_are_named(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("user,anime_id\nAnn,1\n")
    assert main(["--csv", str(tmp_path / "a.csv"), "--db", str(tmp_path / "none.db")]) == 1
    assert "prepare_dataset.py" in capsys.readouterr().err


SMALL_CACHE = f"""import sys
sys.path.insert(0, {str(PROJECT_DIR)!r})
import load_users
from anime_bert4rec.lists import bulk_import as database_import
database_import.CACHE_KIB = 100
raise SystemExit(load_users.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("written", [0, 1, 100_000, 300_000])
def test_killed_at_any_moment_all_lists_are_there_or_none(path, tmp_path, written):
    before = dump(path)
    rows = "".join(f"user{n % 977},{n % 31},{n % 11}\n" for n in range(40_000))
    (tmp_path / "many.csv").write_text("user,anime_id,score\n" + rows)
    (tmp_path / "script.py").write_text(SMALL_CACHE)  # so that the log grows while lists are written, not at the end
    flags = ["--csv", tmp_path / "many.csv", "--db", path]
    process = script_process.start(tmp_path / "script.py", *flags)
    log = path.with_name("bert.db-wal")
    script_process.wait_until(lambda: log.exists() and log.stat().st_size >= written, process)
    assert process.poll() is None
    process.kill()
    script_process.finish(process)
    assert dump(path) == before
    code, _, err = script_process.finish(script_process.start("load_users.py", *flags))
    assert code == 0, err
    assert len(lists(path)) == 977
    assert {each.name for each in tmp_path.iterdir()} == {"bert.db", "many.csv", "script.py"}


def test_who_falls_out_because_of_another_limit_is_said(run, path, capsys):
    short = "user,anime_id\n" + "".join(f"Dan,{anime}\n" for anime in (1, 2, 3))
    assert run(short, "--min-anime", "2") == 0
    assert "fewer than" not in capsys.readouterr().out
    long = "user,anime_id\n" + "".join(f"Eve,{anime}\n" for anime in range(1, 7))
    assert run(long, "--source", "other", "--min-anime", "5") == 0
    assert "And 1 of before, who were stored with a lower --min-anime." in capsys.readouterr().out
    assert run("user,anime_id\nAnn,1\n", "--min-anime", "1000000") == 0
    out, err = capsys.readouterr()
    assert out.endswith("\nNobody is left to train on: give the same command with a lower --min-anime.\n")
    assert out.startswith("1 user with 1 anime ") and "of 1 row 0 " in out and "1 different id, of which" in err


@pytest.mark.parametrize("text", ["u,1,2\nu,5,3\n", "u\nv\n"])
def test_more_columns_named_than_there_are_is_no_traceback(run, capsys, text):
    assert run(text, "--columns", "user,anime_id,-,-,-,score") == 1
    assert "fewer columns than the header" in capsys.readouterr().err
