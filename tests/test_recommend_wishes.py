"""recommend.py with wishes, on a catalogue in which each of them can be worked out by hand."""

from __future__ import annotations

import csv
import functools
import sqlite3

import pytest
from small_recommendations import ask, fill, rows_of

ORDINARY = set(range(1, 31)) - {6, 10, 20, 30}
"""What is neither adult nor a later season: 1 to 9 have a year before 2010; genres go Mecha, Sports, Drama in turn."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Title k has k episodes, 50 + k as its mean, is a movie if k is even, and has the tag Isekai with the rank 3 k."""
    folder = fill(tmp_path_factory.mktemp("wishes"))
    connection = sqlite3.connect(folder / "bert.db")
    connection.execute("UPDATE anime SET episodes = anime_id, mean_score = 50 + anime_id")
    connection.execute("UPDATE anime SET format = CASE anime_id % 2 WHEN 0 THEN 'MOVIE' ELSE 'TV' END")
    connection.execute("UPDATE anime SET title_english = 'English ' || anime_id WHERE anime_id = 14")
    connection.execute("INSERT INTO anime_tag SELECT anime_id, 'Isekai', 3 * anime_id, NULL, 0, 0 FROM anime")
    connection.commit()
    connection.close()
    return folder


@pytest.fixture
def run(folder, capsys):
    return functools.partial(ask, folder, capsys)


@pytest.fixture
def rows(run):
    return lambda *flags: rows_of(run("--top-k", 99, *flags, "--format", "json"))


@pytest.fixture
def ids(rows):
    return lambda *flags: {row["anime_id"] for row in rows(*flags)}


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (("--episodes", "-5"), {1, 2, 3, 4, 5}),
        (("--episodes", "29-"), {29}),
        (("--min-score", "7.7"), {27, 28, 29}),
        (("--min-score", "77"), {27, 28, 29}),
        (("--min-popularity", "97"), {1, 2, 3}),
        (("--type", "movie"), {each for each in ORDINARY if each % 2 == 0}),
        (("--type", "movie", "TV"), ORDINARY),
        (("--not-tag", "isekai"), {1, 2, 3, 4, 5}),
        (("--tag", "Isekai", "--episodes", "-7"), {7}),
        (("--not-genre", "drama", "Mecha"), {each for each in ORDINARY if each % 3 == 2}),
        (("--genre", "sports", "--year", "2005-2008"), {5, 8}),
        (("--hide", "1", "title 2", "--hide", "3", "--episodes", "-5"), {4, 5}),
    ],
)
def test_each_wish(ids, wish, expected):
    assert ids("--anime", 12, 13, *wish) == expected - {12, 13}


def test_planned_only_or_not(ids, run):
    assert ids("--user", "Ann", "--planned", "only") == {8}
    assert ids("--user", "Ann", "--planned", "no") == ORDINARY - {3, 4, 8}
    code, _, err = run("--user", "Ann", "--planned", "maybe")
    assert (code, err) == (2, "error: --planned must be one of only, no, not 'maybe'\n")


def test_hidden_titles_are_kept_in_a_file(ids, run, tmp_path):
    kept = ("--anime", 12, 13, "--episodes", "-5", "--hide-file", tmp_path / "hidden.txt")
    assert ids(*kept, "--hide", "title 2", "--hide", 1) == {3, 4, 5}
    assert (tmp_path / "hidden.txt").read_text(encoding="utf-8") == "2  # Title 2\n1  # Title 1\n"
    assert ids(*kept) == {3, 4, 5}
    assert ids(*kept, "--hide", 5) == {3, 4}
    assert ids(*kept) == {3, 4}
    code, _, err = run("--anime", 12, "--hide-file", tmp_path / "none.txt")
    assert (code, err) == (1, f"error: there is no file {tmp_path / 'none.txt'}\n")
    code, _, err = run("--anime", 12, "--hide", 777)
    assert (code, err.splitlines()[0]) == (0, "--hide 777: the catalogue has no anime with this id.")
    assert run("--anime", 12, "--hide", 0)[::2] == (1, "error: --hide 0: ids begin with 1\n")
    code, _, err = run("--anime", 12, "--hide", "no such title")
    assert code == 1 and "--hide 1\n" in err and err.endswith("give the id of the one that is meant to --hide\n")


def test_where_nothing_is_left_it_says_which_wish_to_drop(run):
    """Of 1 to 5 episodes, 3 is Drama, and 2 and 4 are movies; of all titles, 18 and 24 are both."""
    code, out, err = run("--anime", 12, 13, "--episodes", "-5", "--genre", "Drama", "--type", "MOVIE")
    assert (code, out) == (1, "")
    assert err == (
        "error: nothing is left to recommend: there would be 2 without --genre Drama, 1 with another --type,"
        " 2 with other --episodes\n"
    )


def test_the_language_of_titles(rows, run):
    """Only 7 has a native title, and only 14 an English one."""
    for language, titles in {
        "romaji": {"Title 7", "Title 14"},
        "english": {"Title 7", "English 14"},
        "native": {"進撃の巨人", "Title 14"},
    }.items():
        found = rows("--anime", 6, 13, "--language", language)
        assert {row["title"] for row in found if row["anime_id"] in (7, 14)} == titles
        assert titles <= {
            line[4:].split("  ")[0]
            for line in run("--anime", 6, 13, "--language", language, "--top-k", 30)[1].splitlines()
        }
    (reason,) = rows("--anime", 7, "--language", "native", "--episodes", "8")[0]["because"]
    assert reason == {"anime_id": 7, "title": "進撃の巨人"}
    code, _, err = run("--anime", 7, "--language", "latin")
    assert (code, err) == (2, "error: --language must be one of romaji, english, native, not 'latin'\n")


def test_diversity_spreads_genres(folder, rows, run, tmp_path):
    """There are three genres, so that as far as can be the first three titles have one each."""
    plain = rows("--anime", 13, "--with-sequels", "--top-k", 6)
    spread = rows("--anime", 13, "--with-sequels", "--diversity", 1, "--top-k", 6)
    first = [row["genres"][0] for row in spread[:3]]
    assert spread[0]["anime_id"] == plain[0]["anime_id"] and len(set(first)) == 3
    assert rows("--anime", 13, "--with-sequels", "--diversity", 0, "--top-k", 6) == plain
    code, _, err = run("--anime", 13, "--diversity", 1.5)
    assert (code, err) == (2, "error: --diversity must be at most 1, not 1.5\n")
    path = tmp_path / "all.csv"
    for_all = ("--all", "--format", "csv", "-o", path, "--top-k", 5)
    assert run(*for_all, "--diversity", 0.6)[0] == 0
    written = [
        int(row["anime_id"]) for row in csv.DictReader(path.read_text("utf-8").splitlines()) if row["name"] == "Ann"
    ]
    alone = rows_of(run("--user", "Ann", "--diversity", 0.6, "--top-k", 5, "--format", "json"))
    assert written == [row["anime_id"] for row in alone]


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (("--tag", "isekei"), 1, "no anime has the tag 'isekei'; did you mean Isekai?"),
        (("--not-tag", "x"), 1, "no anime has the tag 'x'; there are Isekai"),
        (("--type", "tvs"), 1, "no anime has the type 'tvs'; did you mean TV?"),
        (("--not-genre", "dram"), 1, "no anime has the genre 'dram'; did you mean Drama?"),
        (("--episodes", "few"), 2, "--episodes must be a number or a range such as 12-26, not 'few'"),
        (("--episodes", "26-12"), 2, "--episodes must begin with the smaller number, not '26-12'"),
        (("--min-score", "101"), 2, "--min-score must be at most 100, not 101.0"),
        (("--min-popularity", "-1"), 2, "--min-popularity must be at least 0, not -1"),
    ],
)
def test_a_wish_that_cannot_be_is_one_clear_line(run, flags, code, message):
    assert run("--anime", 12, *flags) == (code, "", f"error: {message}\n")
