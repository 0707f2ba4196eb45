"""recommend.py on a small catalogue with a real memory: each way to name a person, each filter, each error's line."""

from __future__ import annotations

import csv
import gzip
import io
import pickle
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest
from fault_injection import Malicious
from script_process import finish, start
from small_recommendations import entry
from test_terminal_escapes import HOSTILE, harmless

from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.records import UserList
from anime_bert4rec.recommender import Recommender
from config import PROJECT_DIR
from recommend import main


def ids(rows):
    return [row["anime_id"] for row in rows]


def test_what_follows_a_list_comes_first(rows):
    best = rows("--user", "Ann", "--top-k", 3)
    assert [row["rank"] for row in best] == [1, 2, 3]
    assert best[0]["anime_id"] == 5 and best[0]["title"] == "Title 5"
    assert 1 >= best[0]["score"] > best[1]["score"] > 0


def test_what_is_beside_titles_that_are_named_comes_first_in_whatever_order_they_are(rows):
    best = rows("--anime", 15, 13, "--top-k", 4, "--niche", 0, "--alike", 0)
    assert set(ids(best)) == {12, 14, 16, 17} and 1 > best[0]["score"] > best[1]["score"] > 0
    assert best[0]["because"][0].keys() == {"anime_id", "title"}
    assert {row["anime_id"]: row["because"][0]["anime_id"] for row in best} == {12: 13, 14: 15, 16: 15, 17: 15}
    assert best == rows("--anime", 13, 15, "--top-k", 4, "--niche", 0, "--alike", 0)


def test_a_stored_list_with_its_planned_title_marked(run, rows):
    found = {row["anime_id"]: row["planned"] for row in rows("--user", "ann", "--top-k", 30)}
    assert found[8] is True and found[5] is False
    assert not {3, 4} & set(found)
    code, out, err = run("--user", "Ann", "--top-k", 30)
    assert (code, out.count(" · planned · because of ")) == (0, 1)
    assert err == f"Only {len(found)} titles are left to recommend.\n"


def test_sequels_adult_titles_genres_and_years(rows):
    everything = set(range(1, 31)) - {12, 13}
    assert set(ids(rows("--anime", 12, 13, "--top-k", 99))) == everything - {6, 10, 20, 30}
    assert set(ids(rows("--anime", 12, 13, "--top-k", 99, "--with-sequels"))) == everything - {10, 20, 30}
    assert set(ids(rows("--anime", 12, 13, "--top-k", 99, "--include-adult"))) == everything - {6}
    assert 6 in ids(rows("--anime", 5, "--top-k", 99))
    assert set(ids(rows("--anime", 12, 13, "--genre", "mecha", "--year", "2004-2016"))) == {4, 7, 16}


def test_who_names_a_later_season_has_seen_the_first(rows):
    named, first = rows("--anime", 6, "--top-k", 99), rows("--anime", 12, "--top-k", 99)
    assert 5 in set(ids(first)) and not {5, 6} & set(ids(named))
    assert 5 in set(ids(rows("--similar-to", 6, "--top-k", 99)))


def test_one_title_that_is_left_is_not_several(run, rows):
    assert [row["anime_id"] for row in rows("--user", "Ann", "--year", "2005")] == [5]
    assert run("--user", "Ann", "--year", "2005")[2] == "Only one title is left to recommend.\n"


def test_titles_and_ids_go_together(run, rows):
    assert rows("--title", "title12", "--anime", "13") == rows("--anime", "13", "12")
    code, _, err = run("--title", "進撃の巨人", "--top-k", "1")
    assert (code, err) == (0, '"進撃の巨人": Title 7 (2007), --anime 7\n')


def test_several_matches_are_listed_with_their_ids(run):
    code, out, err = run("--title", "title")
    assert (code, out) == (1, "")
    lines = err.splitlines()
    assert lines[:3] == ['"title" may be', "Title 1 (2001), --anime 1", "Title 2 (2002), --anime 2"]
    assert lines[-2:] == [
        "and 11 more",
        'error: "title" may be 31 titles: give the id of the one that is meant to --anime',
    ]


def test_nothing_is_recommended_until_every_title_is_clear(run):
    code, out, err = run("--title", "title 12", "--title", "titel seven", "--title", "title")
    assert (code, out) == (1, "")
    assert err.startswith('"title 12": Title 12 (2012), --anime 12\n"titel seven" is no title here. Did you mean\n')
    assert '"title" may be\nTitle 1 (2001), --anime 1\n' in err
    last = "error: 2 of 3 titles are not clear: give the id of the one that is meant to --anime, instead of each\n"
    assert err.endswith(last)


def test_similar_are_titles_whose_vectors_are(run, rows, folder):
    best = rows("--similar-to", 20, "--top-k", 2)
    assert set(ids(best)) == {19, 21} and [row["because"] for row in best] == [[], []]
    everything = rows("--similar-to", 20, "--top-k", 99, "--with-sequels", "--include-adult")
    recommender = Recommender.load(folder / "out")
    assert [(row["anime_id"], row["score"]) for row in everything] == [
        (each.anime_id, pytest.approx(each.cosine, abs=1e-6)) for each in recommender.similar(20, 30)
    ]
    assert rows("--similar-to", "title 20", "--top-k", 2) == best
    code, out, err = run("--similar-to", "title")
    assert (code, out) == (1, "") and "Title 1 (2001), --similar-to 1\n" in err


@pytest.mark.parametrize("name", ["list.xml", "list.xml.gz"])
def test_an_export_of_myanimelist(folder, tmp_path, run, rows, name):
    def xml(mal_id, status):
        return (
            f"<anime><series_animedb_id>{mal_id}</series_animedb_id><my_status>{status}</my_status>"
            "<my_score>8</my_score></anime>"
        )

    listed = xml(512, "Completed") + xml(513, "Completed") + xml(999, "Completed") + xml(515, "Plan to Watch")
    content = f"<?xml version='1.0'?><myanimelist>{listed}</myanimelist>".encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    found = rows("--mal-xml", path)
    assert {12, 13}.isdisjoint(ids(found))
    assert [row["anime_id"] for row in found if row["planned"]] == [15]
    assert "The catalogue lacks 1 of the 4 anime of the export." in run("--mal-xml", path)[2]


def test_several_people_get_what_suits_all(tmp_path, run, rows):
    """Ann has 3 and 4, and plans 8; the export has 12 and 13."""
    listed = "".join(
        f"<anime><series_animedb_id>{mal_id}</series_animedb_id><my_status>Completed</my_status></anime>"
        for mal_id in (512, 513)
    )
    path = tmp_path / "ben.xml"
    path.write_text(f"<?xml version='1.0'?><myanimelist>{listed}</myanimelist>", encoding="utf-8")
    people = ("--user", "Ann", "ann", "--mal-xml", path, path, "--anime", 22)  # who is named twice is asked once
    found = rows(*people, "--top-k", 99)
    everything = set(range(1, 31)) - {6, 10, 20, 30}
    assert set(ids(found)) == everything - {3, 4, 12, 13, 22}
    score = [
        {row["anime_id"]: row["score"] for row in rows(*flags, "--top-k", 99)}
        for flags in (("--user", "Ann"), ("--mal-xml", path), ("--anime", 22))
    ]
    # The geometric mean of theirs, but for what the others have seen, which the score of one person leaves a chance.
    more = [row["score"] ** 3 / np.prod([each[row["anime_id"]] for each in score]) for row in found]
    assert more == pytest.approx([more[0]] * len(found), rel=1e-3) and more[0] > 1
    for row in found:
        assert [each["name"] for each in row["for_each"]] == ["Ann", "ben.xml", "a fan of the titles given"]
        assert [each["planned"] for each in row["for_each"]] == [row["anime_id"] == 8, False, False]
        assert row["planned"] == (row["anime_id"] == 8)
    assert [row["score"] for row in found] == sorted((row["score"] for row in found), reverse=True)
    assert {reason["anime_id"] for row in found for reason in row["because"]} == {3, 4, 12, 13, 22}
    _, table, _ = run(*people, "--top-k", 99)
    assert table.count("planned by Ann") == 1
    assert rows("--user", "Ann", "ann") == rows("--user", "Ann")


def test_five_thousand_titles(rows):
    ids_given = [*range(1_000, 5_995), 1, 2, 3, 4, 12]
    assert ids(rows("--anime", *ids_given, "--top-k", 1)) == [5]


def test_unknown_ids_are_named(run):
    code, _, err = run("--anime", 13, 31, 777, "--top-k", 1)
    assert (code, err) == (0, "The model knows no anime with the id 31, 777: passed over.\n")


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (
            ["--anime", "777", "31"],
            1,
            "there is nothing to go on: the model knows no anime with the id 777, 31; it knows",
        ),
        (["--user", "Empty"], 1, 'there is nothing to go on: the list of "Empty" is empty'),
        (["--user", "Planner"], 1, 'there is nothing to go on: the list of "Planner" has 1 anime, but none that was'),
        (["--user", "Stranger"], 1, 'there is nothing to go on: the list of "Stranger" has 2 anime, but none that was'),
        (["--title", "nothing of the kind"], 1, 'no title of the catalogue matches "nothing of the kind"'),
        (["--anime", "3", "--genre", "Opera"], 1, "no anime has the genre 'Opera'; there are Drama, Mecha, Sports"),
        (["--anime", "3", "--year", "1950"], 1, "nothing is left to recommend: there would be 25 with other --year"),
        (["--anime", "3", "--year", "soon"], 2, "--year must be a number or a range such as 2015-2020, not 'soon'"),
        (["--anime", "3", "--top-k", "0"], 2, "--top-k must be at least 1, not 0"),
        (["--anime", "3", "--format", "xml"], 2, "--format must be one of table, json, csv, jsonl, not 'xml'"),
        (["--anime", "three"], 2, "--anime: invalid int value: 'three'"),
        ([], 2, "for whom? Give --user, --anime, --title, --mal-xml, --similar-to or --all"),
        (["--similar-to", "3", "--niche", ".5"], 2, "--niche, --alike and --by score go with people, not with"),
        (["--similar-to", "3", "--alike", "1"], 2, "--niche, --alike and --by score go with people, not with"),
        (["--similar-to", "3", "--by", "score"], 2, "--niche, --alike and --by score go with people, not with"),
        (["--similar-to", "3", "--user", "Ann"], 2, "--similar-to goes with no list: give a title that is liked"),
        (["--similar-to", "3", "--similar-to", "4"], 2, "--similar-to takes one TITLE, and is given twice"),
        (["--user", "Ann", "--user", "Empty"], 1, 'there is nothing to go on: the list of "Empty" is empty'),
        (["--anime", "3", "--refresh"], 2, "--refresh goes with --user or --compare-with"),
        (["--title", "x", "--store"], 2, "--store goes with --user"),
        (["--mal-xml", "missing.xml"], 1, "there is no file missing.xml"),
        (["--user", "a b"], 2, '--user: "a b" cannot be an AniList name'),
        (["--user", "https://myanimelist.net/profile/Ann"], 2, '--user: "https://myanimelist.net/profile/Ann" is an'),
    ],
)
def test_each_error_is_one_clear_line(run, flags, code, message):
    exit_code, out, err = run(*flags)
    assert (exit_code, out) == (code, "")
    assert err.startswith(f"error: {message}") and err.count("\n") == 1


def test_a_profile_s_address_is_its_name(run):
    asked = [run("--user", each, "--top-k", 3) for each in ("Ann", "@ann", "https://anilist.co/user/Ann/animelist")]
    assert asked[0][0] == 0 and asked[0] == asked[1] == asked[2]


def test_csv_for_programs(run):
    _, out, _ = run("--anime", 12, 13, "--format", "csv", "--top-k", 2)
    first, _ = csv.DictReader(io.StringIO(out))
    assert (first["rank"], first["title"]) == ("1", "Title 14")


def test_without_a_model_or_a_catalogue_it_says_what_to_run(folder, tmp_path, capsys):
    db, out = folder / "bert.db", tmp_path / "not there"
    assert main(["--anime", "1", "--db", str(db), "--output-dir", str(out)]) == 1
    first = f"train a model first: python train_model.py --db {db} --output-dir '{out}'\n"
    assert capsys.readouterr().err.endswith(first)
    db = tmp_path / "none.db"
    assert main(["--anime", "1", "--sandbox", "--db", str(db), "--output-dir", str(folder / "out")]) == 1
    assert (
        f"run `python prepare_dataset.py --sandbox --db {db}`, `python load_users.py --sandbox --db {db}` and"
        f" `python train_model.py --sandbox --db {db} --output-dir {folder / 'out'}`, in this order\n"
    ) in capsys.readouterr().err


@pytest.mark.parametrize("name", ["item_mappings.pkl", "best_model.pth"])
def test_a_file_that_would_run_something_is_refused_with_one_line(folder, tmp_path, capsys, name):
    victim, models = tmp_path / "made", tmp_path / "models"
    models.mkdir()
    for file in (folder / "out" / "models").iterdir():
        (models / file.name).write_bytes(file.read_bytes())
    (models / name).write_bytes(pickle.dumps({"item_to_idx": Malicious(victim), "model_config": Malicious(victim)}))
    assert main(["--anime", "3", "--db", str(folder / "bert.db"), "--output-dir", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and name in err and err.count("\n") == 1
    assert not victim.exists()


def test_what_strangers_wrote_cannot_command_the_terminal(folder, tmp_path, capsys):
    copy = tmp_path / "hostile.db"
    copy.write_bytes((folder / "bert.db").read_bytes())
    with Database.open(copy, create=False) as database:
        database.save_user_list(UserList(50, "Eve", (entry(3), entry(4))), "Eve", int(time.time()), 1)
    connection = sqlite3.connect(copy)
    connection.execute(
        "UPDATE anime SET title_romaji = title_romaji || ?, title_english = ?, format = ?, site_url = 'https://' || ?",
        (HOSTILE,) * 4,
    )
    connection.execute("UPDATE anime_genre SET genre = genre || ?", (HOSTILE,))
    connection.execute("UPDATE user SET name = name || ?", (HOSTILE,))
    connection.commit()
    connection.close()
    for code, flags in {
        0: [["--anime", "12", "--format", each] for each in ("table", "json", "csv")] + [["--user", "eve"]],
        1: [["--title", "title"], ["--anime", "12", "--genre", "x"], ["--user", "empty"], ["--title", HOSTILE]],
    }.items():
        for each in flags:
            found = main([*each, "--db", str(copy), "--output-dir", str(folder / "out")])
            said = "".join(capsys.readouterr())
            assert found == code and "Evil" in said and harmless(said), said


def test_as_a_process_into_a_pipe(folder):
    flags = ["--anime", 12, 13, "--top-k", 3, "--db", folder / "bert.db", "--output-dir", folder / "out"]
    code, out, err = finish(start("recommend.py", *flags))
    assert (code, err) == (0, "")
    assert out.startswith("1  Title 14") and len(out.splitlines()) == 6


def test_a_reader_that_has_seen_enough(folder):
    flags = ["--anime", 12, 13, "--top-k", 3, "--db", folder / "bert.db", "--output-dir", folder / "out"]
    process = start("recommend.py", *flags)
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(60) == 1


def test_the_script_loads_no_plotting_and_no_training(folder):
    code = "import sys, recommend; print({'matplotlib', 'train_model', 'requests'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_DIR, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_niche_takes_popularity_off_the_rank(rows, run):
    plain, niche = (rows("--anime", 22, 13, "--top-k", 30, "--niche", each) for each in (0, 1))
    assert sorted(ids(plain)) == sorted(ids(niche)) and ids(plain) != ids(niche)
    assert {row["anime_id"]: row["score"] for row in plain} == {row["anime_id"]: row["score"] for row in niche}
    as_for_titles, as_it_is = ("--niche", 0.5, "--alike", 3), ("--niche", 0, "--alike", 0)
    assert rows("--anime", 22, 13) == rows("--anime", 22, 13, *as_for_titles), "two are named"
    assert rows("--user", "Ann", "--top-k", 30) == rows("--user", "Ann", *as_it_is, "--top-k", 30)
    together = [rows("--user", "Ann", "--anime", 22, "--top-k", 30, *more) for more in ((), as_it_is)]
    assert together[0] == together[1]
    code, _, err = run("--anime", 22, "--niche", 2)
    assert code == 2 and "--niche" in err


@pytest.mark.parametrize(("encoding", "years", "lost"), [("ascii", "2007", True), ("utf-8", "2007", False),
                                                         ("ascii", "2008", False)])  # fmt: skip
def test_csv_without_its_characters_says_so(run, monkeypatch, caplog, encoding, years, lost):
    """Title 7, of the year 2007, has a Japanese one. The table is for people, who see it."""
    for format, says in (("csv", lost), ("table", False)):
        caplog.clear()
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding, "replace"))
            assert run("--anime", 6, "--format", format, "--year", years, "--with-sequels")[0] == 0
        assert (f"stdout is {encoding}, which lacks characters" in caplog.text) is says
