"""load_users.py against an AniList on loopback: who is asked for, who is left out and why, and how it goes on."""

from __future__ import annotations

import signal
import sqlite3
import time

import pytest
import script_process
from loopback_anilist import LoopbackAniList, Reset
from script_process import error_line

from anime_bert4rec.lists.database import Database, StoredUser
from anime_bert4rec.lists.records import Anime, CataloguePage, ListEntry
from load_users import main

KNOWN = range(1, 31)


def watched(*anime_ids, status="COMPLETED"):
    return [ListEntry(100 + anime_id, anime_id, status) for anime_id in anime_ids]


@pytest.fixture
def anilist(no_waiting):
    users = {
        "Ann": watched(*range(1, 21)),
        "Bob": watched(*range(1, 26)),
        "Few": [*watched(*range(1, 20)), *watched(20, status="PLANNING"), *watched(500)],
        "Hidden": watched(*range(1, 26)),
    }
    with LoopbackAniList(users=users, private=["Hidden"]) as anilist:
        yield anilist


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "bert.db"
    with Database.open(path, create=True) as database:
        fetch = database.resume_or_start_catalogue_fetch("ID", 100)
        database.save_catalogue_page(fetch.fetch_id, CataloguePage(tuple(map(Anime, KNOWN)), None))
    return path


@pytest.fixture
def run(anilist, path, tmp_path):
    """Run the script with this text as the names file. Returns the exit code and the names that AniList was asked."""

    def run(text, *flags):
        names = tmp_path / "names.txt"
        names.write_text(text, encoding="utf-8")
        before = len(anilist.requests)
        default = ["--file", str(names), "--db", str(path), "--api-url", anilist.url, "--requests-per-minute", "0"]
        code = main([*default, *flags])
        return code, [request.variables["name"] for request in anilist.requests[before:]]

    return run


@pytest.fixture
def age(path):
    """Make everything stored older by this number of days."""

    def age(days, key=None):
        connection = sqlite3.connect(path)
        connection.execute(
            "UPDATE user SET fetched_at = fetched_at - ? WHERE name_key = coalesce(?, name_key)", (days * 86_400, key)
        )
        connection.commit()
        connection.close()

    return age


def stored(path):
    with Database.open(path, create=False) as database:
        return {key: user.left_out for key, user in database.users().items()}


EVERYBODY = "Ann\n# a comment\nhidden\nFEW\nNobody\nBob # hi\n"


def test_who_can_be_loaded_is_and_who_cannot_is_reported_with_the_line(run, path, capsys):
    assert run(EVERYBODY) == (0, ["Ann", "hidden", "FEW", "Nobody", "Bob"])
    assert stored(path) == {"ann": None, "hidden": "private", "few": "short", "nobody": "unknown", "bob": None}
    captured = capsys.readouterr()
    terms, *warnings = captured.err.splitlines()
    assert terms.startswith("AniList's terms")
    assert warnings == [
        'names.txt:3: "hidden" keeps the list private: left out',
        'names.txt:4: "FEW" has 19 known, watched anime (--min-anime 20): left out',
        'names.txt:5: "Nobody" is not found: left out',
    ]
    assert captured.out.splitlines() == [
        "5 users: 3 new, 0 updated, 0 skipped (fetched within the last 7 days).",
        "Left out: 1 private, 1 too short, 1 not found.",
        "Training set: 2 users with 45 watched anime.",
        f"The database: {path}",
        f"Next: python train_model.py --db {path}",
    ]


def test_nobody_is_asked_for_twice_within_a_week(run, capsys):
    run(EVERYBODY)
    capsys.readouterr()
    assert run(EVERYBODY) == (0, [])
    captured = capsys.readouterr()
    assert "5 users: 0 new, 0 updated, 5 skipped" in captured.out
    assert f'"Nobody" is not found: left out, as of {time.strftime("%Y-%m-%d")}; --refresh asks again' in captured.err


def test_after_a_week_and_with_refresh_everybody_is(run, age):
    _, everybody = run(EVERYBODY)
    age(6.99)
    assert run(EVERYBODY) == (0, [])
    age(0.02)
    assert run(EVERYBODY) == (0, everybody)
    assert run(EVERYBODY, "--refresh") == (0, everybody)


def test_a_time_in_the_future_does_not_keep_a_list_for_ever(run, age, capsys):
    run("Ann\n")
    age(-1000)
    capsys.readouterr()
    assert run("Ann\n") == (0, ["Ann"])
    assert "0 new, 1 updated" in capsys.readouterr().out
    assert run("Ann\n") == (0, [])


@pytest.mark.parametrize(
    ("seconds_ago", "kept"),
    [(0, True), (7 * 86_400 - 1, True), (7 * 86_400, False), (-1, False)],
)
def test_how_long_a_list_is_kept(seconds_ago, kept):
    assert StoredUser(1, "Ann", 1_000_000, None, None, 30, is_imported=False).is_kept(1_000_000 + seconds_ago) is kept


def test_refresh_takes_the_oldest_first_so_that_interrupted_runs_get_through(run, anilist, age):
    run("Ann\nBob\nFew\n")
    age(1)
    age(1, "few")
    anilist.fail_next(None, Reset())
    assert run("Ann\nBob\nFew\n", "--refresh") == (1, ["Few", "Ann"])
    assert run("Ann\nBob\nFew\nHidden\n", "--refresh") == (0, ["Hidden", "Ann", "Bob", "Few"])


def test_after_a_lost_network_the_same_command_asks_for_the_rest(run, anilist, path, capsys):
    anilist.fail_next(None, None, Reset())
    assert run(EVERYBODY) == (1, ["Ann", "hidden", "FEW"])
    err = capsys.readouterr().err
    assert "2 of 5 users saved; the same command goes on from there." in err
    assert err.splitlines()[-1].startswith("error: ") and "Traceback" not in err
    assert run(EVERYBODY) == (0, ["FEW", "Nobody", "Bob"])
    assert stored(path) == {"ann": None, "hidden": "private", "few": "short", "nobody": "unknown", "bob": None}


def test_min_anime_applies_to_what_is_stored_too(run, path):
    run(EVERYBODY)
    assert run(EVERYBODY, "--min-anime", "21") == (0, [])
    assert stored(path) == {"ann": "short", "hidden": "private", "few": "short", "nobody": "unknown", "bob": None}
    assert run(EVERYBODY, "--min-anime", "19") == (0, [])
    assert stored(path) == {"ann": None, "hidden": "private", "few": None, "nobody": "unknown", "bob": None}


def test_a_list_that_became_private_is_forgotten(run, anilist, path):
    run("Ann\nBob\n")
    anilist.world.private.add("ann")
    run("Ann\nBob\n", "--refresh")
    assert stored(path) == {"ann": "private", "bob": None}
    with Database.open(path, create=False) as database:
        assert len(list(database.iter_watched())) == 25


def test_a_changed_list_is_updated(run, anilist, path, capsys):
    run("Ann\n")
    anilist.world.users["ann"]["entries"].pop()
    run("Ann\n", "--refresh")
    assert stored(path) == {"ann": "short"}


def test_names_no_longer_in_the_file_stay_and_are_counted(run, capsys):
    run("Ann\nBob\n")
    capsys.readouterr()
    assert run("bob\n") == (0, [])
    assert "Training set: 2 users with 45 watched anime, 1 of them not among these names." in capsys.readouterr().out


def test_bad_lines_are_reported_and_never_sent(run, capsys):
    text = f'Ann\n😀😀\nBob Bob\nO\'Neil\n{"x" * 10_000}\nANN\n"Bob"\n'
    assert run(text) == (0, ["Ann", "Bob"])
    captured = capsys.readouterr()
    for line in (2, 3, 4, 5, 6):
        assert f"names.txt:{line}: " in captured.err
    assert max(map(len, captured.err.splitlines())) < 200
    assert "Lines skipped: 5 (see above)." in captured.out


@pytest.mark.parametrize("text", ["Nobody\nHidden\nFew\n", "Nobody\n"])
def test_a_run_that_loads_nobody_fails_each_time(run, text, capsys):
    run("Ann\n")
    for _ in range(2):
        capsys.readouterr()
        assert run(text)[0] == 1
        captured = capsys.readouterr()
        assert captured.err.splitlines()[-1].startswith("error: nobody could be loaded")
        assert "Next:" not in captured.out


def test_ctrl_c_says_what_is_saved_and_goes_on_later(path, tmp_path):
    names = [f"user{n}" for n in range(12)]
    (tmp_path / "names.txt").write_text("\n".join(names))
    with LoopbackAniList(users={name: watched(*range(1, 26)) for name in names}, delay=0.02) as anilist:
        flags = ["--db", path, "--file", tmp_path / "names.txt", "--api-url", anilist.url, "--requests-per-minute", 0]
        process = script_process.start("load_users.py", *flags)
        script_process.wait_until(lambda: len(anilist.requests) == 5, process)
        process.send_signal(signal.SIGINT)
        code, _, err = script_process.finish(process)
        assert code == 130
        assert "Traceback" not in err
        saved = len(stored(path))
        assert saved in (4, 5)  # the fifth answer may have come in time
        assert f"{saved} of 12 users saved; the same command goes on from there." in err
        before = len(anilist.requests)
        code, out, _ = script_process.finish(script_process.start("load_users.py", *flags))
        assert code == 0
        assert f"12 users: {12 - saved} new, 0 updated, {saved} skipped" in out
        assert [request.variables["name"] for request in anilist.requests[before:]] == names[saved:]


class TestMistakes:
    @pytest.mark.parametrize("create", [True, False])
    def test_an_empty_or_missing_database_names_the_three_commands(self, tmp_path, create, capsys):
        path = tmp_path / "bert.db"
        if create:
            Database.open(path, create=True).close()
        assert main(["--db", str(path)]) == 1
        line = error_line(capsys)
        commands = ["python prepare_dataset.py", "python load_users.py", "python train_model.py"]
        assert sorted(commands, key=line.index) == commands
        assert path.exists() == create

    @pytest.mark.parametrize(
        ("text", "message"), [("", "no names yet"), ("# x\n", "no names yet"), ("a b", "no usable")]
    )
    def test_a_file_without_names(self, run, text, message, capsys):
        assert run(text) == (1, [])
        assert message in error_line(capsys)

    @pytest.mark.parametrize(("name", "message"), [("missing.txt", "there is no file"), (".", "is a directory")])
    def test_no_such_file_and_a_directory(self, path, tmp_path, name, message, capsys):
        assert main(["--db", str(path), "--file", str(tmp_path / name)]) == 1
        assert message in error_line(capsys)

    def test_a_file_that_is_not_utf8(self, path, tmp_path, capsys):
        (tmp_path / "names.txt").write_bytes(b"Ann\n# caf\xe9\n")
        assert main(["--db", str(path), "--file", str(tmp_path / "names.txt")]) == 1
        assert "names.txt:2: this is not UTF-8" in error_line(capsys)

    @pytest.mark.parametrize(
        ("flags", "flag"),
        [
            (["--csv", "x.csv", "--file", "names.txt"], "--file"),
            (["--mal-xml", "x.xml", "--refresh"], "--refresh"),
            (["--remove", "Ann", "--refresh"], "--refresh"),
            (["--remove", "Ann", "--min-anime", "5"], "--min-anime"),
        ],
    )
    def test_flags_that_would_do_nothing_are_refused(self, path, flags, flag, capsys):
        assert main(["--db", str(path), *flags]) == 2
        assert f"error: {flag} " in error_line(capsys)

    @pytest.mark.parametrize(
        ("text", "flag"),
        [
            ("user,anime_id,score\nAnn,1,8\nBob,5,7\n", "--csv"),
            ("Ann;20\nAnn;25\nAnn;30\nBob;30\nBob;35\n", "--csv"),
            ("<?xml version='1.0'?>\n<myanimelist>\n</myanimelist>\n", "--mal-xml"),
        ],
    )
    def test_a_list_in_place_of_names_is_asked_nobody_for(self, run, text, flag, capsys):
        assert run(text) == (1, [])
        assert flag in error_line(capsys)

    def test_a_setting_out_of_range_names_its_flag(self, path, capsys):
        assert main(["--db", str(path), "--min-anime", "0"]) == 2
        assert "--min-anime" in error_line(capsys)


class TestSandbox:
    @pytest.fixture
    def sandbox_path(self, tmp_path, capsys):
        import prepare_dataset

        path = tmp_path / "sandbox.db"
        assert prepare_dataset.main(["--sandbox", "--count", "300", "--db", str(path)]) == 0
        capsys.readouterr()
        return path

    def test_it_has_people_of_its_own(self, sandbox_path, monkeypatch, capsys):
        from anime_bert4rec.anilist import sandbox as anilist_sandbox

        monkeypatch.setattr(anilist_sandbox.user_names, "__defaults__", (15,))
        assert main(["--sandbox", "--db", str(sandbox_path)]) == 0
        captured = capsys.readouterr()
        assert "15 users: 15 new" in captured.out
        assert "terms" not in captured.err

    def test_a_file_of_names_goes_before(self, sandbox_path, tmp_path, capsys):
        (tmp_path / "names.txt").write_text("sandbox0001\nSandbox0002\nprivate0001\nnobody\n")
        assert main(["--sandbox", "--db", str(sandbox_path), "--file", str(tmp_path / "names.txt")]) == 0
        captured = capsys.readouterr()
        assert 'names.txt:3: "private0001" keeps the list private: left out' in captured.err
        assert 'names.txt:4: "nobody" is not found: left out' in captured.err
