"""recommend.py --all: for everybody what --user gives, in a file that is completed after a stop, or begun anew."""

from __future__ import annotations

import csv
import json
import shutil
from types import SimpleNamespace

import pytest
from small_recommendations import fill

import recommend
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.records import Anime, ImportedEntry
from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.lists.user_names import user_hash
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.model_files import load_model, save_model
from anime_bert4rec.recommending import everybody
from anime_bert4rec.recommending.catalogue import say_what_is_missing


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("recommend"))


@pytest.fixture
def folder(filled, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(filled, tmp_path / "folder")


@pytest.fixture
def written(run, tmp_path):
    """Runs recommend.py --all; gives what it says, and the objects of each line, for the lines are not empty."""

    def write(*flags):
        path = tmp_path / "all.jsonl"
        code, out, err = run("--all", "--format", "jsonl", "-o", path, "--top-k", 5, *flags)
        assert (code, out) == (0, ""), err
        return err, [json.loads(line) for line in path.read_text("utf-8").splitlines()]

    return write


def shown(rows):
    return [(row["rank"], row["anime_id"], row["title"], row["planned"], row["release"]) for row in rows]


def test_everybody_gets_what_they_would_get_alone(written, rows):
    said, lines = written()
    assert "4 people, 3 of them with nothing" in said
    assert [line["name"] for line in lines] == ["Ann", "Empty", "Stranger", "Planner"]
    alone = rows("--user", "Ann", "--top-k", 5)
    assert shown(lines[0]["recommendations"]) == shown(alone)
    assert [each["score"] for each in lines[0]["recommendations"]] == pytest.approx([row["score"] for row in alone])
    assert all(line["recommendations"] == [] for line in lines[1:])


def test_wishes_hold_for_everybody_and_are_looked_for_among_all_titles(written, rows, monkeypatch):
    monkeypatch.setattr(everybody, "FIRST_LOOK", -24)  # so that one title is ranked at first
    _, lines = written("--genre", "Mecha", "--year", "2016-")
    alone = rows("--user", "Ann", "--top-k", 5, "--genre", "Mecha", "--year", "2016-")
    assert shown(lines[0]["recommendations"]) == shown(alone) and len(alone) == 5


def test_csv_has_a_row_a_title_and_no_formula(run, tmp_path, folder):
    with Database.open(folder / "bert.db", create=False) as database:
        database._connection.execute("UPDATE user SET name = '=1+1' WHERE name = 'Ann'")
        database._connection.commit()
    path = tmp_path / "all.csv"
    assert run("--all", "--format", "csv", "--output", path, "--top-k", 2)[0] == 0
    header, *table = csv.reader(path.read_text("utf-8").splitlines())
    assert header == ["name", "rank", "anime_id", "title", "score", "planned", "release"]
    assert [(name, rank, planned) for name, rank, *_, planned, _ in table] == [
        ("'=1+1", "1", "no"),
        ("'=1+1", "2", "no"),
    ]


def stop_after(monkeypatch, people):
    """As Ctrl-C would, once so many people are written. One person is read at a time."""
    monkeypatch.setattr(recommend, "PEOPLE_AT_ONCE", 1)
    asked, plain = [], everybody.as_lines

    def lines(*args):
        if len(asked) == people:
            raise KeyboardInterrupt
        asked.append(args)
        return plain(*args)

    monkeypatch.setattr(everybody, "as_lines", lines)


def test_stopped_it_is_completed_by_the_same_command(run, tmp_path, monkeypatch, written):
    path = tmp_path / "all.jsonl"
    _, expected = written()
    path.unlink()
    with monkeypatch.context() as patched:
        stop_after(patched, 2)
        code, _, err = run("--all", "--format", "jsonl", "-o", path, "--top-k", 5)
    assert code == 130 and "the same command completes it" in err
    part = tmp_path / "all.jsonl.part"
    assert not path.exists() and [json.loads(line) for line in part.read_text("utf-8").splitlines()] == expected[:2]
    said, lines = written()
    assert (
        lines == expected
        and "resumed where it was stopped" in said
        and "4 people, 2 of those written now with nothing" in said
    )


def test_a_journal_that_a_killed_process_left_is_no_change_of_the_database(run, tmp_path, folder, monkeypatch, written):
    """Whoever closes the database works the journal into it, which changes the file and nothing that is in it."""
    with Database.open(folder / "bert.db", create=False) as database:
        database.save_unavailable_user("gone", "unknown", 1)
        for name in ("bert.db", "bert.db-wal"):
            shutil.copy(folder / name, tmp_path / name)
    for name in ("bert.db", "bert.db-wal"):
        shutil.move(tmp_path / name, folder / name)
    assert (folder / "bert.db-wal").stat().st_size
    with monkeypatch.context() as patched:
        stop_after(patched, 2)
        assert run("--all", "--format", "jsonl", "-o", tmp_path / "all.jsonl", "--top-k", 5)[0] == 130
    said, lines = written()
    assert "resumed where it was stopped" in said and len(lines) == 4


def test_a_file_that_was_stopped_at_its_start_has_one_header(run, tmp_path, monkeypatch):
    asked = ["--all", "--format", "csv", "--top-k", 2, "-o"]
    assert run(*asked, tmp_path / "at_once.csv")[0] == 0
    with monkeypatch.context() as patched:
        stop_after(patched, 0)
        assert run(*asked, tmp_path / "stopped.csv")[0] == 130
    assert run(*asked, tmp_path / "stopped.csv")[0] == 0
    assert (tmp_path / "stopped.csv").read_bytes() == (tmp_path / "at_once.csv").read_bytes()


def test_what_the_model_cannot_do_begins_no_file(run, tmp_path, folder):
    path = folder / "out" / "models" / "best_model.pth"
    whole = path.read_bytes()
    model = BERT4Rec(ModelConfig(30, 8, num_heads=2, max_seq_len=8))  # it doesn't know what is popular
    save_model(path, model, epoch=1, val_loss=1.0)
    try:
        code, _, err = run("--all", "--format", "csv", "-o", tmp_path / "all.csv", "--niche", 0.3)
    finally:
        path.write_bytes(whole)
    assert code == 1 and "train again, without --no-memory" in err
    assert not list(tmp_path.glob("all.csv*"))


@pytest.mark.parametrize("change", ["flag", "model", "database", "hide file"])
def test_after_a_change_it_is_begun_anew(run, tmp_path, monkeypatch, written, folder, change):
    hide_file = tmp_path / "hidden.txt"
    hide_file.write_text("1\n", encoding="utf-8")
    hiding = ("--hide-file", hide_file)
    with monkeypatch.context() as patched:
        stop_after(patched, 1)
        assert run("--all", "--format", "jsonl", "-o", tmp_path / "all.jsonl", "--top-k", 5, *hiding)[0] == 130
    if change == "model":
        path = folder / "out" / "models" / "best_model.pth"
        save_model(path, load_model(path)[0], epoch=2, val_loss=1.0)
    if change == "database":
        with Database.open(folder / "bert.db", create=False) as database:
            database._connection.execute("UPDATE user SET name = 'Anna' WHERE name = 'Ann'")
            database._connection.commit()
    if change == "hide file":
        hide_file.write_text("2\n", encoding="utf-8")
    said, lines = written(*hiding, *(["--niche", 0.5] if change == "flag" else []))
    assert "begun anew" in said and len(lines) == 4
    assert lines[0]["name"] == ("Anna" if change == "database" else "Ann")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--all", "--format", "jsonl"], "--all writes a file: say which with -o FILE"),
        (["--all", "-o", "x"], "--all needs --format jsonl or csv"),
        (["--all", "-o", "x", "--format", "json"], "--all needs --format jsonl or csv"),
        (["--all", "-o", "x", "--format", "csv", "--user", "Ann"], "--all goes with nobody else"),
        (["--all", "-o", "x", "--format", "csv", "--similar-to", "5"], "--all goes with nobody else"),
        (["--user", "Ann", "-o", "x"], "--output goes with --all"),
        (["--user", "Ann", "--format", "jsonl"], "--format jsonl goes with --all"),
        (["--all", "-o", "x", "--format", "csv", "--refresh"], "--refresh goes with --user or --compare-with"),
        (["--all", "-o", "", "--format", "csv"], "--output: a value is needed, and it is empty"),
        (["--user", "Ann", "--html", ""], "--html: a value is needed, and it is empty"),
    ],
)
def test_wrong_use_is_one_line(run, flags, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*flags)
    assert (code, out, err.count("\n")) == (2, "", 1) and message in err
    assert not list(tmp_path.glob("x*"))


@pytest.mark.parametrize(
    "held", ["# Notes\n", "Ann\nBen\n", '{"name": "Bob", "phone": 1}\n', "name,rank,anime_id,title,score\nmine,1\n"]
)
def test_a_file_of_something_else_is_left_as_it_is(run, tmp_path, held):
    path = tmp_path / "notes.txt"
    path.write_text(held, encoding="utf-8")
    code, out, err = run("--all", "--format", "csv", "-o", path)
    assert (code, out, err.count("\n")) == (1, "", 1) and "notes.txt is there already, and is something else" in err
    assert path.read_text(encoding="utf-8") == held and list(tmp_path.glob("notes*")) == [path]


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_an_earlier_file_is_replaced_by_either_format(run, tmp_path, format):
    path = tmp_path / "all.txt"
    for first in ("csv", "jsonl"):
        assert run("--all", "--format", first, "-o", path, "--top-k", 1)[0] == 0
        assert run("--all", "--format", format, "-o", path, "--top-k", 2)[0] == 0
    assert path.read_bytes().startswith({"csv": b"name,rank", "jsonl": b'{"name": '}[format])


def test_of_people_of_one_name_the_imported_have_their_source(written, folder, run):
    """A program that reads the file by names would take one for the other."""
    with Database.open(folder / "bert.db", create=False) as database:
        rows = [ImportedEntry(user_hash(name), name, k, 1, "COMPLETED") for name, k in (("Ann", 12), ("Cat", 15))]
        database.import_lists("csv:lists", rows, min_anime=1)
        database.import_lists("mal", rows[:1], min_anime=1)
    _, lines = written()
    names = [line["name"] for line in lines if line["recommendations"]]
    assert sorted(names) == ["Ann", "Cat", "csv:lists:Ann", "mal:Ann"]
    assert all(run("--user", name)[0] == 0 for name in names)


def test_a_catalogue_of_other_anime_is_named(run, tmp_path, folder):
    with Database.open(folder / "bert.db", create=False) as database:
        database._connection.execute("DELETE FROM anime WHERE anime_id > 14")
    for flags in (["--user", "Ann"], ["--all", "--format", "csv", "-o", tmp_path / "all.csv"]):
        err = run(*flags)[2]
        assert err.count("The catalogue has 14 of the 30 anime that the model knows: is this another database?") == 1


def test_large_numbers_have_commas(caplog):
    recommender = SimpleNamespace(vocabulary=Vocabulary.of(range(1, 3001)), predicts_scores=True)
    say_what_is_missing(recommender, [Anime(k) for k in range(1, 1005)], has_scores=False)
    assert "The catalogue has 1,004 of the 3,000 anime that the model knows" in caplog.text


@pytest.mark.parametrize(("since", "said"), [(10, True), (9, False)])
def test_what_came_after_the_training_is_spoken_of(caplog, since, said):
    """A season's new anime never came up, and nothing said why."""
    caplog.set_level("INFO")
    recommender = SimpleNamespace(vocabulary=Vocabulary.of(range(1, 101)), predicts_scores=True)
    say_what_is_missing(recommender, [Anime(k) for k in range(2, 101 + since)], has_scores=False)
    line = f"The catalogue has {since} anime that the model doesn't know: train again to have them."
    assert caplog.messages == [line] * said


def test_stopped_behind_the_header_it_has_one(run, tmp_path, monkeypatch):
    flags = ["--all", "--format", "csv", "-o", tmp_path / "all.csv", "--top-k", 2]
    with monkeypatch.context() as patched:
        stop_after(patched, 0)
        assert run(*flags)[0] == 130
    assert (tmp_path / "all.csv.part").read_bytes().count(b"\n") == 1
    assert run(*flags)[0] == 0
    assert (tmp_path / "all.csv").read_bytes().count(b"name,rank") == 1
