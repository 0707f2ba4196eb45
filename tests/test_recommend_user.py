"""recommend.py --user: whose list is stored, or fetched from AniList; what is stored only with --store."""

from __future__ import annotations

import json
import shlex
import sqlite3
import time

import numpy as np
import pytest
from fault_injection import needs_mounts, run_on_disk
from loopback_anilist import LoopbackAniList
from small_recommendations import entry

from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.records import UserList
from anime_bert4rec.model.model_files import load_model, save_model
from anime_bert4rec.model.predicted_scores import PredictedScores
from recommend import main

CRITICS = {
    "Ten": [60, 70, 80, 90] * 3,
    "Hundred": [63, 71, 84, 92] * 3,
    "Five": [30, 50, 70, 90] * 3,
    "Same": [80] * 12,
    "Once": [90] + [None] * 11,
}
"""People who score in ten points, in a hundred, in five stars, everything the same, or one title: titles 1 … 12."""


@pytest.fixture
def anilist(no_waiting):
    users = {"Newcomer": [entry(12), entry(13)], "Ann": [entry(12), entry(13)], "Hidden": [entry(1)]}
    for name, scores in CRITICS.items():
        users[name] = [entry(k, score=score) for k, score in enumerate(scores, 1)]
    users["Decimal"] = UserList(900, "Decimal", tuple(users["Hundred"]), "POINT_10_DECIMAL")
    with LoopbackAniList(users=users, private=["Hidden"]) as anilist:
        yield anilist


@pytest.fixture
def asking(anilist):
    """The flags that ask the AniList on loopback for the list of somebody."""

    def asking(name, *flags):
        return ["--user", name, "--api-url", anilist.url, "--requests-per-minute", 0, "--top-k", 3, *flags]

    return asking


@pytest.fixture
def predicting(folder):
    """The same with a model that predicts scores."""
    path = folder / "out" / "models" / "best_model.pth"
    before = path.read_bytes()
    model, saved = load_model(path)
    mean, factors = np.linspace(-1, 1, 30, dtype=np.float32), np.ones((30, 1), np.float32)
    model.predicted_scores = PredictedScores(mean, factors, np.array([70, 15], np.float32)).with_weight(0.5)
    save_model(path, model, epoch=saved["epoch"], val_loss=saved["val_loss"])
    yield model.predicted_scores
    path.write_bytes(before)


@pytest.mark.parametrize(("name", "scale"), [("Ten", 10), ("Hundred", 100), ("Five", 5), ("Same", 10), ("Once", 10)])
def test_the_score_that_somebody_would_give(run, rows, asking, predicting, name, scale):
    scored = [(k, score) for k, score in enumerate(CRITICS[name], 1) if score is not None]
    expected = predicting.predict(*map(np.array, zip(*scored, strict=True)))
    for row in rows(*asking(name)):
        assert row["score_scale"] == scale
        digits = 0 if scale == 100 else 1
        assert row["predicted_score"] == pytest.approx(
            expected[row["anime_id"] - 1] * scale / 100, abs=0.51 / 10**digits
        )
    code, out, _ = run(*asking(name))
    assert code == 0 and out.count("you: ") == 3


def test_the_scale_is_the_one_that_anilist_tells_and_is_stored(run, rows, asking, predicting, folder):
    """Scores such as 7.3 of ten, which the scores alone would be taken for points of 100."""
    first = rows(*asking("Decimal", "--store"))
    assert {row["score_scale"] for row in first} == {10} and all(row["predicted_score"] <= 10 for row in first)
    with Database.open_to_read(folder / "bert.db") as database:
        assert database.users("decimal")["decimal"].score_format == "POINT_10_DECIMAL"
    assert rows(*asking("Decimal", "--api-url", "http://127.0.0.1:9")) == first


def test_of_several_people_each_has_a_score_and_all_have_the_mean(run, rows, asking, predicting):
    """Both score in ten points; Newcomer has scored nothing."""
    alone = {
        name: {row["anime_id"]: row["predicted_score"] for row in rows(*asking(name, "--top-k", 30))}
        for name in ("Ten", "Once")
    }
    for row in rows(*asking("Ten", "--user", "Once", "Newcomer")):
        of_each = [each["predicted_score"] for each in row["for_each"]]
        assert of_each == [alone["Ten"][row["anime_id"]], alone["Once"][row["anime_id"]], None]
        assert row["predicted_score"] == pytest.approx(sum(of_each[:2]) / 2, abs=0.11)
    assert " · Ten: " in run(*asking("Ten", "--user", "Newcomer"))[1]


def test_two_people_are_compared(run, asking, predicting):
    """Ten likes 3, 4, 7, 8, 11 and 12, which are at the mean or above, Newcomer 12 and 13."""
    code, out, err = run(*asking("Ten", "--compare-with", "newcomer", "--with-sequels"))
    assert (code, err) == (0, "")
    assert out.startswith("Ten has watched 12 titles, Newcomer 2; both have watched 1 of the 13 that either has.\n")
    assert "\nBoth like:\n1  Title 12  Ten: 9\n" in out
    assert "\nTen could show Newcomer:\n1  Title" in out and "\nNewcomer could show Ten:\n1  Title 13" in out
    shown = json.loads(run(*asking("Ten", "--compare-with", "Newcomer", "--format", "json"))[1])["to_show"]
    assert {row["anime_id"] for row in shown[0]} <= {3, 4, 7, 8, 11} and [row["anime_id"] for row in shown[1]] == [13]


@pytest.mark.parametrize("wishes", [(), ("--year", "2014-2029"), ("--with-sequels", "--include-adult")])
def test_what_is_recommended_to_both_is_what_each_would_be_recommended(run, rows, asking, wishes):
    alone = [[row["anime_id"] for row in rows(*asking(name, "--top-k", 100, *wishes))] for name in ("Ten", "Newcomer")]
    asked = asking("Ten", "--compare-with", "Newcomer", "--format", "json", *wishes)
    fewest = min(map(len, alone))
    both = set(alone[0][:fewest]) & set(alone[1][:fewest])
    compared = json.loads(run(*asked)[1])
    assert (compared["recommended_to_both"], compared["looked_at"]) == (len(both), fewest) and both
    assert both <= set(range(1, 31)) - ({10, 20, 30} if not wishes else set())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--user", "Ann", "--compare-with", "ann"), "--compare-with: that is the same person"),
        (("--user", "Ann", "Ben", "--compare-with", "c"), "--compare-with compares one person with another"),
        (("--similar-to", "3", "--compare-with", "c"), "--compare-with compares one person with another"),
        (("--compare-with", "b", "--compare-with", "c"), "--compare-with takes one NAME, and is given twice"),
        (("--user", "Ann", "--compare-with", "c d"), '--compare-with: "c d" cannot be an AniList name'),
        (("--user", "Ann", "--compare-with", "c", "--format", "csv"), "--compare-with is shown as a table or as JSON"),
    ],
)
def test_a_comparison_that_cannot_be_is_one_clear_line(run, flags, message):
    code, out, err = run(*flags)
    assert (code, out) == (2, "") and err.startswith(f"error: {message}") and err.count("\n") == 1


def test_who_has_scored_nothing_sees_no_score_and_loses_nothing(run, rows, asking, predicting):
    assert {row["predicted_score"] for row in rows(*asking("Newcomer"))} == {None}
    code, out, err = run(*asking("Newcomer"))
    assert code == 0 and "you:" not in out and "predict" not in err


def test_a_model_that_predicts_no_scores_says_so(run, asking):
    code, out, err = run(*asking("Ten"))
    assert code == 0 and "you:" not in out and len(out.splitlines()) >= 6
    assert err.count("Scores are not predicted") == 1
    for flag in ("--user", "--compare-with"):
        assert run(*asking("Ten", flag, "Five"))[2].count("Scores are not predicted") == 1


def traces(folder):
    """What asking could change: the content and the time of every file beside the database."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.glob("bert*")}


@pytest.fixture
def age(folder):
    """Makes the stored list of Ann older by `days`, until the end of the test."""

    def age(days):
        connection = sqlite3.connect(folder / "bert.db")
        connection.execute("UPDATE user SET fetched_at = fetched_at - ? WHERE name = 'Ann'", (days * 86_400,))
        connection.commit()
        connection.close()
        aged.append(days)

    aged = []
    yield age
    age(-sum(aged))


def test_a_fetched_list_is_not_stored(folder, anilist, asking, run, rows):
    before = traces(folder)
    for number, name in enumerate(["newcomer", "NEWCOMER"], 1):
        assert rows(*asking(name)) == rows("--anime", 12, 13, "--top-k", 3)
        assert len(anilist.requests) == number
    assert rows(*asking("ann")) == rows("--user", "ann", "--top-k", 3) != rows("--anime", 12, 13, "--top-k", 3)
    assert len(anilist.requests) == 2, "what is stored and new needs no asking"
    for flags, message in {("Hidden",): "keeps the list private", ("Nobody",): "is not found on AniList"}.items():
        assert run(*asking(*flags)) == (1, "", f'error: "{flags[0]}" {message}\n')
    assert traces(folder) == before


def test_whom_an_export_is_compared_with_can_be_fetched_anew(folder, anilist, run, tmp_path):
    path = tmp_path / "export.xml"
    anime = "<anime><series_animedb_id>503</series_animedb_id><my_status>Completed</my_status></anime>"
    path.write_text(f"<myanimelist>{anime}</myanimelist>", encoding="utf-8")
    flags = ("--api-url", anilist.url, "--requests-per-minute", 0, "--format", "json")
    asked = ("--mal-xml", path, "--compare-with", "Ann", *flags)
    assert [json.loads(run(*asked, *more)[1])["watched_by_both"] for more in ((), ("--refresh",))] == [1, 0]
    compared = json.loads(run(*asked)[1])
    assert (compared["names"], compared["watched"][0]) == (["export.xml", "Ann"], 1)


def test_titles_are_compared_as_they_were_named(run):
    """Who names 22 has seen what it continues; but that is not what was named."""
    compared = json.loads(run("--anime", 22, "--compare-with", "Ann", "--format", "json")[1])
    assert (compared["names"], compared["watched"][0]) == (["a fan of the titles given", "Ann"], 1)
    said = run("--anime", 22, "--compare-with", "Ann")[1]
    assert said.startswith("a fan of the titles given has watched 1 title, Ann ")
    assert "\na fan of the titles given could show Ann" in said and "\nAnn could show a fan of the titles given" in said


@pytest.mark.parametrize(("days", "flags", "is_fetched"), [(8, (), True), (6, (), False), (0, ("--refresh",), True)])
def test_an_old_list_is_fetched_anew_and_left_as_it_is(folder, anilist, asking, rows, age, days, flags, is_fetched):
    age(days)
    before = traces(folder)
    assert (rows(*asking("Ann", *flags)) == rows("--anime", 12, 13, "--top-k", 3)) is is_fetched
    assert len(anilist.requests) == is_fetched
    assert traces(folder) == before


def test_without_an_answer_an_old_list_is_better_than_none(folder, run, anilist, asking, age):
    _, stored, _ = run("--user", "Ann", "--top-k", 3)
    age(8)
    anilist.close()
    code, found, err = run(*asking("Ann"))
    assert (code, found) == (0, stored)
    assert err.endswith("; the stored list is taken, which is older than 7 days\n")
    for flags in (("Newcomer",), ("Ann", "--refresh"), ("Ann", "--store")):
        code, out, err = run(*asking(*flags))
        assert (code, out) == (1, "") and err.splitlines()[-1].startswith("error: ")


def test_with_store_it_is_stored_as_load_users_does(folder, tmp_path, anilist, asking, capsys):
    copy = tmp_path / "copy.db"
    copy.write_bytes((folder / "bert.db").read_bytes())

    def ask(name, *flags):
        given = [*asking(name, "--store", *flags), "--db", copy, "--output-dir", folder / "out"]
        return main(list(map(str, given)))

    assert [ask("newcomer"), ask("Newcomer"), ask("hidden"), ask("nobody")] == [0, 0, 1, 1]
    assert len(anilist.requests) == 4 - 1, "what is stored is not fetched again"
    with Database.open(copy, create=False) as database:
        users = database.users()
        assert [users[key].left_out for key in ("newcomer", "hidden", "nobody")] == ["short", "private", "unknown"]
        assert [each.anime_id for each in database.entries(users["newcomer"].user_id)] == [12, 13]
        database.mark_short_users(2)
    assert ask("Newcomer", "--refresh") == 0
    with Database.open(copy, create=False) as database:
        assert database.users()["newcomer"].left_out is None, "judged as load_users.py has judged all, not by 20"


def test_for_everybody_scores_count_as_for_one(folder, tmp_path, predicting, capsys):
    db, path = tmp_path / "copy.db", tmp_path / "all.jsonl"
    db.write_bytes((folder / "bert.db").read_bytes())
    entries = tuple(entry(k, score=score) for k, score in enumerate((90, 80, 20, 10), 1))
    with Database.open(db, create=False) as database:
        database.save_user_list(UserList(77, "Scorer", entries), "scorer", int(time.time()), 2)

    def ask(*flags):
        given = [*flags, "--top-k", 15, "--db", db, "--output-dir", folder / "out"]
        assert main(list(map(str, given))) == 0
        return capsys.readouterr().out

    found = {}
    for by in ("both", "list"):
        ask("--all", "--format", "jsonl", "-o", path, "--by", by)
        everybody = map(json.loads, path.read_text("utf-8").splitlines())
        (of_all,) = (each["recommendations"] for each in everybody if each["name"] == "Scorer")
        found[by] = [each["anime_id"] for each in of_all]
        alone = json.loads(ask("--user", "Scorer", "--by", by, "--format", "json"))
        assert found[by] == [each["anime_id"] for each in alone]
        path.unlink()
    assert found["both"] != found["list"]


@needs_mounts
def test_a_database_that_cannot_be_written_is_enough(folder, tmp_path):
    path = tmp_path / "bert.db"
    flags = ["recommend.py", "--user", "ann", "--db", path, "--output-dir", folder / "out"]
    copy = f"cp {shlex.quote(str(folder / 'bert.db'))} {shlex.quote(str(path))}"
    assert run_on_disk(tmp_path, "ro", *flags, "--top-k", 3, before=copy) == (0, "")
    code, err = run_on_disk(tmp_path, "ro", *flags, "--store", before=copy)
    assert code == 1 and "read-only" in err and err.count("\n") == 1


def test_by_list_by_score_and_by_both(predicting, asking, rows, run):
    """What is expected of later titles is higher; by both it is added to the logarithm of the probability."""
    flags = asking("Hundred", "--top-k", 30, "--with-sequels")
    plain, by_score, by_both = (rows(*flags, "--by", by) for by in ("list", "score", "both"))
    score = {row["anime_id"]: row["score"] for row in plain}
    assert list(score.values()) == sorted(score.values(), reverse=True)
    for ranked in (by_score, by_both):
        assert {row["anime_id"]: row["score"] for row in ranked} == score, "the probability is the same"
    assert [row["anime_id"] for row in by_score] == sorted(score, reverse=True)
    assert by_both == rows(*flags) and by_both not in (plain, by_score)
    code, _, err = run(*flags, "--by", "mean")
    assert code == 2 and "--by" in err


def test_who_has_scored_nothing_loses_nothing(predicting, asking, rows, run):
    flags = asking("Newcomer", "--top-k", 30, "--with-sequels")
    assert rows(*flags) == rows(*flags, "--by", "list")
    assert "ranked by what most people would give" in run(*flags, "--by", "score")[2]


def test_a_model_that_predicts_no_scores_ranks_by_the_list(asking, rows, run):
    flags = asking("Ten", "--top-k", 30)
    assert rows(*flags) == rows(*flags, "--by", "list")
    code, out, err = run(*flags, "--by", "score")
    assert (code, out) == (1, "") and "predicts no scores" in err.splitlines()[-1]
