"""The benchmarks on tiny, made-up data: what they read, how they split, and one whole run of each without peers."""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_benchmarks import two_kinds_of_people

from anime_bert4rec.evaluation.ranking import NEVER
from anime_bert4rec.lists.sequences import Sequences
from anime_bert4rec.support.errors import UserError
from config import PROJECT_DIR

BENCHMARKS = PROJECT_DIR / "benchmarks"


@pytest.fixture(autouse=True)
def modules_of_the_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture
def no_recent_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists without dates come to no line of what is known of starts."""
    from anime_bert4rec.lists import recent_starts
    from anime_bert4rec.training import new_model

    def reached(*_: object) -> None:
        pytest.fail("these lists have no dates")

    for module, name in ((new_model, "Lately"), (new_model, "fit_recent"), (recent_starts, "features_at")):
        monkeypatch.setattr(module, name, reached)


def lists(sequences: Sequences) -> list[list[int]]:
    return [sequences.of_user(user).tolist() for user in range(len(sequences))]


def test_a_csv_is_read_in_order_of_time_and_of_rows(tmp_path: Path) -> None:
    import interactions

    path = tmp_path / "lists.csv.gz"
    rows = ["user_id,item_id,timestamp", "b,10,5", "a,2,30", "a,10,20", "a,7,20", "a,11,10"]
    path.write_bytes(gzip.compress("\n".join(rows).encode()))
    data = interactions.read(path)
    assert data.user_names == ["a", "b"]
    assert data.item_names == ["2", "7", "10", "11"]
    assert lists(data.sequences) == [[4, 3, 2, 1], [3]]
    assert data.sequences.blocks.tolist() == [0, 1, 1, 3, 0], "equal times have no order"


def test_dates_and_missing_dates_are_times(tmp_path: Path) -> None:
    import interactions

    path = tmp_path / "lists.csv"
    path.write_text(
        "user,anime_id,date\na,1,2014-04-09\na,2,2013-12-31\nb,2,\nb,1,\n"
        "c,1,2014-04-09T10:00:00+08:00\nc,2,2014-04-09 01:59:59\nc,3,2014-04-09 02:00\nc,4,-5\n"
    )
    sequences = interactions.read(path).sequences
    assert lists(sequences) == [[2, 1], [2, 1], [4, 2, 1, 3]]
    assert sequences.blocks.tolist() == [0, 1, 0, 0, 0, 1, 2, 2]


def test_a_user_a_line_is_in_order(tmp_path: Path) -> None:
    import interactions

    path = tmp_path / "lists.txt"
    path.write_text("3 1 2\n2,3\n")
    data = interactions.read(path)
    assert lists(data.sequences) == [[3, 1, 2], [2, 3]]
    assert data.sequences.blocks.tolist() == [0, 1, 2, 0, 1]


def test_what_comes_again_on_a_list_counts_where_it_comes_first(tmp_path: Path) -> None:
    import interactions

    path = tmp_path / "lists.csv"
    path.write_text("user_id,item_id,timestamp\na,1,9\na,2,5\nb,2,1\na,1,3\na,2,7\nb,1,2\nb,2,3\na,3,6\n")
    assert lists(interactions.read(path).sequences) == [[1, 2, 3], [2, 1]]
    path.write_text("3 1 3 2 1\n2 2\n")
    assert lists(interactions.read(path).sequences) == [[3, 1, 2], [2]]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffuser_id,item_id,timestamp\na,7,2\na,3,1\n",
        '"user_id","item_id","timestamp"\n"a","7","2"\n"a","3","1"\n\n',
        "User_ID;Item_ID;Timestamp;shop\r\na;7;2;x, y\r\na;3;1;z\r\n",
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\textra:token\na\t7\t5\t2\t0\na\t3\t5\t1\t0\n",
    ],
    ids=["with a byte order mark", "in quotes", "with semicolons", "of RecBole"],
)
def test_a_header_is_known_as_published_files_have_it(tmp_path: Path, text: str) -> None:
    import interactions

    path = tmp_path / "lists.csv"
    path.write_bytes(text.encode())
    data = interactions.read(path)
    assert (data.user_names, data.item_names) == (["a"], ["3", "7"])
    assert lists(data.sequences) == [[1, 2]]


def test_mistakes_in_a_file_are_named(tmp_path: Path) -> None:
    import interactions

    path = tmp_path / "lists.csv"
    path.write_text("user_id,item_id,timestamp\n1,2,3\n1,2,soon\n")
    with pytest.raises(UserError, match=r"lists\.csv:3: not a row of user_id,item_id,timestamp"):
        interactions.read(path)
    path.write_text("user_id,film\n1,2\n")
    with pytest.raises(UserError, match="the header has no item_id"):
        interactions.read(path)
    path.write_text("timestamp,visitorid,event,itemid,transactionid\n1433221332117,257597,view,355908,\n")
    with pytest.raises(UserError, match="the header has no user_id"):
        interactions.read(path)


def test_where_movielens_can_be_had(tmp_path: Path) -> None:
    import interactions

    with pytest.raises(UserError, match=r"https://grouplens\.org/datasets/movielens/"):
        interactions.find("ml-100k", tmp_path)
    (tmp_path / "ml-100k.csv.gz").touch()
    assert interactions.find("ml-100k", tmp_path) == tmp_path / "ml-100k.csv.gz"
    with pytest.raises(UserError, match=r"there is no file nowhere\.csv"):
        interactions.find("nowhere.csv", tmp_path)
    (tmp_path / "here.csv").touch()
    assert interactions.find("here.csv", tmp_path) == tmp_path / "here.csv"


def test_the_last_item_is_for_the_test_and_the_one_before_it_for_validation(tmp_path: Path) -> None:
    import interactions

    path = tmp_path / "lists.txt"
    path.write_text("1 2 3 4 5\n1 2 3 4\n5 4 3 2 1 6\n")
    data = interactions.keep_users(interactions.read(path))
    interactions.LeaveOneOut(data.sequences, data.num_items).save(tmp_path / "split.npz")
    split = interactions.LeaveOneOut.load(tmp_path / "split.npz")
    assert split.num_items == 6
    assert lists(split.training) == [[1, 2, 3], [5, 4, 3, 2]], "a list of four is too short"
    assert lists(split.known) == [[1, 2, 3, 4], [5, 4, 3, 2, 1]]
    assert (split.validation_items.tolist(), split.test_items.tolist()) == ([4, 1], [5, 6])


def test_only_the_most_listed_items_are_kept(tmp_path: Path) -> None:
    import interactions

    path = tmp_path / "lists.txt"
    path.write_text("1 2 3\n3 4 1\n2 9\n1 9 3\n")
    data = interactions.keep_items(interactions.read(path), 2)
    assert data.item_names == ["1", "3"]
    assert lists(data.sequences) == [[1, 2], [2, 1], [], [1, 2]]


def test_ranks_out_of_the_best_few_are_worst_in_ties() -> None:
    from contender import rank_lists

    items = np.array([[5, 7, 9], [5, 7, 9], [5, 7, 0]])
    scores = np.array([[3.0, 2.0, 2.0], [3.0, 2.0, 1.0], [3.0, 2.0, -np.inf]])
    assert rank_lists(items, scores, np.array([7, 5, 4])).ranks.tolist() == [3, 1, NEVER]


def test_ranks_in_batches_are_those_of_their_users() -> None:
    from contender import rank_batches

    known = Sequences(np.array([1, 2, 3]), np.zeros(3), np.array([0, 1, 2, 3]), np.arange(3))
    table = np.array([[9.0, 1, 2, 3], [1, 9, 3, 2], [3, 2, 9, 1]])
    batches = [(np.array([2, 0]), table[[2, 0]]), (np.array([1]), table[[1]])]
    assert rank_batches(batches, known, np.array([2, 3, 4])).ranks.tolist() == [3, 1, 3]


def test_the_best_look_at_validation_is_the_one_that_counts() -> None:
    from contender import Run, add_flags
    from interactions import LeaveOneOut

    from anime_bert4rec.evaluation.ranking import Ranks

    parser = argparse.ArgumentParser()
    add_flags(parser)
    flags = parser.parse_args(["--epochs=30", "--eval-every=2", "--patience=2"])
    whole = Sequences(np.array([1, 2, 3, 4, 5]), np.zeros(5), np.array([0, 5]), np.arange(1))
    run = Run(flags, LeaveOneOut(whole, 5), "1.0")
    for number, rank in enumerate([5, 1, 3, 4, 1, 1], 1):
        assert not run.finished()
        for _ in range(2):
            with run.epoch():
                pass
        assert run.due()
        run.validated(Ranks(np.array([rank]), np.array([0]), 1), lambda number=number: number)
        if run.finished():
            break
    assert (run.best_weights, run.best["epoch"], len(run.curve)) == (2, 4, 4), "two looks without a gain end the run"


def test_the_table_shows_medians_and_failures() -> None:
    from report import table

    runs = [{"name": "ours", "seed": seed, "ndcg@10": value} for seed, value in ((1, 0.1), (2, 0.3), (3, 0.2))]
    header, _, ours, failed = table([*runs, {"name": "peer", "seed": 1, "error": 1}]).splitlines()
    assert header.endswith("| NDCG@10 | others' cores |")
    assert ours.split() == ["|", "ours", *"|" * 9, "0.2000", "|", "|"]
    assert failed.startswith("| peer | ")
    assert "failed" in failed


@pytest.fixture
def made_up_lists(tmp_path: Path) -> Path:
    """400 people who go round one of four series of ten items, from anywhere on."""
    random = np.random.default_rng(0)
    lines = []
    for _ in range(400):
        series, start = random.integers(0, 4), random.integers(0, 10)
        lines.append(" ".join(str(10 * series + k % 10) for k in range(start, start + 7)))
    path = tmp_path / "series.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_compare_from_end_to_end(made_up_lists: Path, tmp_path: Path) -> None:
    sizes = ("--hidden", 16, "--layers", 1, "--max-len", 8, "--epochs", 2, "--eval-every", 1, "--threads", 1)
    baselines = ["popularity", "Markov chain", "Markov + EASE"]
    variants = ("--baselines", *baselines, "--ours=", "--ours=--refit")
    flags = ("--data", made_up_lists, "--peers", "--output", tmp_path / "results", *sizes, *variants)
    command = [sys.executable, str(BENCHMARKS / "compare.py"), *map(str, flags)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr

    (path,) = (tmp_path / "results").glob("*.json")
    report = json.loads(path.read_text())
    assert (report["users"], report["items"], report["flags"]["hidden"]) == (400, 40, 16)
    results = {result["name"]: result for result in report["results"]}
    assert list(results) == [*baselines, "ours", "ours --refit"]
    assert results["Markov chain"]["ndcg@10"] > 0.99, "the next item of a series always follows"
    assert results["popularity"]["ndcg@10"] < 0.3
    assert [look["epoch"] for look in results["ours"]["curve"]] == [0, 1, 2], "0: untrained, with what the memory knows"
    assert results["ours"]["tokens_per_second"] > 0
    assert 20 < results["ours"]["peak_mb"] < 4000
    refitted = results["ours --refit"]
    assert refitted["validation_ndcg"] == results["ours"]["validation_ndcg"], "the choice is the same"
    assert refitted["refit_seconds"] > 0 and "refit_seconds" not in results["ours"]
    assert [line.split("|")[1].strip() for line in done.stdout.splitlines()[2:]] == list(results)
    assert path.with_suffix(".png").stat().st_size > 10_000


@pytest.mark.usefixtures("no_recent_starts")
def test_fold_in_from_end_to_end(made_up_lists: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import fold_in

    sizes = ("--users", 10, 9999, "--epochs", 1, "--threads", 1)
    assert fold_in.main([*map(str, ("--data", made_up_lists, *sizes, "--output", tmp_path / "results"))]) == 0
    report = json.loads((tmp_path / "results" / "fold-in-series.json").read_text())
    assert [(result["users"], result["name"]) for result in report["results"]] == [
        (users, name) for users in (10, 50) for name in ("popularity", "item-kNN", "EASE", "ours")
    ], "400 less 250 held out and 100 tuned on are 50"
    ndcg = {(result["users"], result["name"]): result["ndcg@10"] for result in report["results"]}
    assert ndcg[50, "EASE"] > ndcg[50, "popularity"]
    assert len(capsys.readouterr().out.splitlines()) == 2 + 8


@pytest.mark.usefixtures("no_recent_starts")
def test_next_items_of_held_out_lists_from_end_to_end(made_up_lists: Path, tmp_path: Path) -> None:
    """The items of a series follow each other, so that the Markov chain knows them all."""
    import fold_in

    flags = ("--next-item", "--held-out", 50, "--users", 60, "--epochs", 1, "--threads", 1)
    assert fold_in.main([*map(str, ("--data", made_up_lists, *flags, "--output", tmp_path / "results"))]) == 0
    report = json.loads((tmp_path / "results" / "next-item-series.json").read_text())
    ndcg = {result["name"]: result["ndcg@10"] for result in report["results"]}
    assert list(ndcg) == [
        "popularity",
        "item-kNN",
        "EASE",
        "Markov chain",
        "Markov + EASE",
        "Markov + item-kNN",
        "ours",
    ]
    assert ndcg["popularity"] < 0.3 and ndcg["Markov chain"] > 0.99 and ndcg["ours"] > 0.9


@pytest.mark.usefixtures("no_recent_starts")
def test_list_lengths_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """People who like one of two kinds of anime: what one title tells is enough for all but popularity."""
    import list_lengths

    files = two_kinds_of_people(tmp_path)
    flags = ("--users", 40, "--asked", 20, "--given", 1, 0.8, "--epochs", 1, "--threads", 1, "--output", tmp_path)
    assert list_lengths.main([*files, *map(str, flags)]) == 0
    results = json.loads((tmp_path / "list_lengths.json").read_text())["results"]
    ways = ["all titles", "without the 200 most listed", "new ground"]
    assert [(result["given"], result["way"]) for result in results] == [(k, way) for k in (1, 0.8) for way in ways]
    for result in results:
        ndcg = {name: each["ndcg@10"] for name, each in result["contenders"].items()}
        names = [
            "popularity",
            "item-kNN",
            "EASE",
            "co-listing",
            "blend",
            "popularity on AniList",
            "our memory, untrained",
            "ours",
            "ours, as for titles that are named",
        ]
        assert list(ndcg) == names and set(result["ours_less"]) == {"our memory, untrained", "blend"}
        assert ndcg["co-listing"] > ndcg["popularity"]
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if line.startswith("40 lists")] == [f"40 lists, {way}" for way in ways]


def test_new_ground_has_no_title_of_a_franchise_that_is_given() -> None:
    import list_lengths

    franchise = np.array([0, 1, 1, 3, 4, 4])
    questions = list_lengths.Questions([np.array([1]), np.array([4])], [np.array([2, 3]), np.array([5])])
    ground = list_lengths.Ground(np.array([], int), franchise)
    limited, unranked, whose = ground.limited(questions)
    assert [items.tolist() for items in limited.left] == [[3]], "of the second nothing is left to be asked for"
    assert [items.tolist() for items in unranked] == [[1, 2]] and whose.tolist() == [0]
    without = list_lengths.Ground(np.array([3, 5])).limited(questions)
    assert [items.tolist() for items in without[0].left] == [[2]]


def test_a_fifth_of_each_list_or_the_last_item_is_hidden() -> None:
    import fold_in

    items = np.concatenate([np.arange(1, 11), [3, 2, 3, 1]])
    sequences = Sequences(items, np.zeros(14), np.array([0, 10, 14]), np.arange(2))
    halves = fold_in.hide(sequences, np.array([0, 1]), np.random.default_rng(0))
    assert [len(hidden) for hidden in halves.hidden] == [2, 1]
    assert sorted([*halves.known[0], *halves.hidden[0]]) == list(range(1, 11))
    assert sorted([*halves.known[1], *halves.hidden[1]]) == [1, 2, 3], "an item that comes twice is known or hidden"
    last = fold_in.hide(sequences, np.array([0]), None)
    assert (last.known[0].tolist(), last.hidden[0].tolist()) == (list(range(1, 10)), [10])
