"""recommend.py --html: a page beside what it prints anyway."""

from __future__ import annotations

import subprocess
import sys

import pytest
from small_pages import data_of, some_map
from small_recommendations import ask, fill

from config import PROJECT_DIR


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("recommend"))


def test_the_page_shows_what_is_printed(folder, tmp_path, capsys):
    flags = ["--title", "Title 3", "--title", "Title 4", "--top-k", 5]
    _, printed, _ = ask(folder, capsys, *flags)
    code, out, err = ask(folder, capsys, *flags, "--html", tmp_path / "new" / "page.html")
    assert (code, out) == (0, printed)
    assert "The page has no map: " in err and f"The page is {tmp_path / 'new' / 'page.html'}." in err
    data = data_of((tmp_path / "new" / "page.html").read_text(encoding="utf-8"))
    ids = data["titles"]["id"]
    assert [f"Title {ids[card['title']]}" in out for card in data["cards"]] == [True] * 5
    assert ([ids[each] for each in data["given"]], data["names"]) == ([3, 4], [])
    assert (data["map"], data["image_host"]) == (None, None)


def test_the_person_has_a_place_on_the_map(folder, tmp_path, capsys):
    some_map(20).save(folder / "out" / "plots" / "anime_map.json")
    code, _, err = ask(folder, capsys, "--user", "Ann", "--html", tmp_path / "page.html", "--covers")
    (folder / "out" / "plots" / "anime_map.json").unlink()
    assert (
        code == 0
        and "no map" not in err
        and "has no cover pictures: the catalogue knows of none of these titles" in err
    )
    data = data_of((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert data["names"] == ["Ann"] and data["image_host"] is None
    assert [data["titles"]["id"][each] for each in data["lit"]] == [3, 4]
    assert any(card["planned"] for card in data["cards"] if data["titles"]["id"][card["title"]] == 8)


def test_covers_without_a_page_are_refused(folder, capsys):
    refused = "error: --covers needs --html\n"
    assert ask(folder, capsys, "--user", "Ann", "--covers") == (2, "", refused)


@pytest.mark.parametrize(
    "flags", [("--all", "--format", "jsonl", "-o", "all.jsonl"), ("--compare-with", "Ann", "--user", "Planner")]
)
def test_what_are_no_recommendations_for_somebody_have_no_page(folder, tmp_path, capsys, flags):
    refused = f"error: --html is the page of recommendations: not with {flags[0]}\n"
    assert ask(folder, capsys, *flags, "--html", tmp_path / "page.html") == (2, "", refused)


def test_a_page_that_cannot_be_written_is_one_line(folder, tmp_path, capsys):
    code, _, err = ask(folder, capsys, "--user", "Ann", "--html", tmp_path)
    assert code == 1 and err.splitlines()[-1].startswith("error: Is a directory: ")


def test_the_database_is_not_replaced_by_a_page(folder, capsys):
    path = next(folder.rglob("*.db"))
    before = path.read_bytes()
    code, out, err = ask(folder, capsys, "--user", "Ann", "--html", path)
    assert (code, out) == (1, "") and err.endswith(" is something else: give another name, or move it away\n")
    assert path.read_bytes() == before


def test_a_page_takes_the_place_of_an_earlier_one_and_of_no_other(folder, capsys, tmp_path):
    path, other = tmp_path / "page.html", tmp_path / "other.html"
    assert ask(folder, capsys, "--user", "Ann", "--html", path)[0] == 0
    first = path.read_bytes()
    assert ask(folder, capsys, "--anime", 12, 13, "--html", path)[0] == 0
    assert path.read_bytes() != first
    for held in (b"<!doctype html>\n<p>mine", first.replace(b'data-page="person"', b'data-page="report"')):
        other.write_bytes(held)
        code, out, err = ask(folder, capsys, "--user", "Ann", "--html", other)
        assert (code, out) == (1, "") and "other.html is there already" in err and other.read_bytes() == held


def test_nothing_of_pages_is_loaded_unless_one_is_asked_for():
    code = "import sys, recommend; sys.exit(any('anime_bert4rec.pages' in name for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT_DIR).returncode == 0
