"""The benchmarks of cold titles, size and starts in time on tiny, made-up data, closed forms against ones by hand."""

from __future__ import annotations

import datetime
import gzip
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from anime_bert4rec.evaluation.ranking import ranks_of
from anime_bert4rec.lists.sequences import Sequences
from anime_bert4rec.support.errors import UserError
from config import PROJECT_DIR


@pytest.fixture(autouse=True)
def modules_of_the_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT_DIR / "benchmarks"))


def test_cold_titles_are_on_enough_lists() -> None:
    import cold_titles
    from interactions import Interactions

    from anime_bert4rec.support.errors import UserError

    items = np.repeat([1, 2, 3, 4], [20, 19, 30, 20])
    sequences = Sequences(items, np.zeros(89, int), np.arange(90), np.arange(89))
    data = Interactions(sequences, ["1", "2", "3", "4"], [str(user) for user in range(89)])
    drawn = {tuple(cold_titles.choose_cold(data, 2, np.random.default_rng(seed)).tolist()) for seed in range(30)}
    assert drawn == {(1, 3), (1, 4), (3, 4)}
    with pytest.raises(UserError, match="3 items are on 20 lists or more; --cold 3 needs more"):
        cold_titles.choose_cold(data, 3, np.random.default_rng(0))


@pytest.mark.parametrize(("targets", "candidates"), [(1, 2), (2, 3), (3, 6), (1, 6), (6, 6)])
def test_a_random_order_is_the_mean_over_all_orders(targets: int, candidates: int) -> None:
    import cold_titles

    scores = np.array(list(itertools.permutations(range(candidates))), float)
    everyone = [np.arange(1, targets + 1)] * len(scores)
    ranks = ranks_of(scores, [np.zeros(0, int)] * len(scores), everyone)
    of_users, of_items = np.array([targets]), np.array([candidates])
    for k in (2, 10):
        assert cold_titles.expected_ndcg(of_users, of_items, k)[0] == pytest.approx(ranks.ndcg(k).mean())
    assert cold_titles.expected_reciprocal_rank(targets, candidates) == pytest.approx(ranks.reciprocal_rank().mean())
    places = cold_titles.percentile(ranks, np.full(len(scores), candidates))
    assert places.mean() == pytest.approx(50)


def test_cold_titles_are_ranked_among_all_and_among_themselves() -> None:
    import cold_titles

    one_list = (np.array([0, 1]), np.array([7]))
    known = Sequences(np.array([1]), np.array([0]), *one_list)
    hidden = Sequences(np.array([4]), np.array([0]), *one_list)
    scores = np.array([[9.0, 8.0, 5.0, 6.0, 1.0, 7.0]])
    values = cold_titles.metrics_of(scores, known, hidden, np.array([3, 4, 5]))
    assert values["mrr"] == pytest.approx(1 / 3), "behind items 2 and 6; item 1 is known"
    assert values["ndcg@10"] == values["ndcg@100"] == pytest.approx(1 / np.log2(4))
    assert values["percentile"] == pytest.approx(50), "the third of five"
    assert values[cold_titles.AMONG_COLD] == 1


def test_what_is_named_comes_as_in_the_list() -> None:
    import list_lengths
    import named_titles

    lists = Sequences(np.array([5, 2, 9, 1, 7, 3, 8]), np.zeros(7, int), np.array([0, 4, 7]), np.arange(2))
    asked = list_lengths.Questions([np.array([1, 5, 2]), np.array([8, 7])], [np.array([9]), np.array([3])])
    found = named_titles.in_their_order(lists, asked)
    assert [each.tolist() for each in found.given] == [[5, 2, 1], [7, 8]] and found.left is asked.left


def test_named_titles_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """People who go through one half of the titles from the first to the last, each passing over some: what comes next
    is later, and what else is on a list may be earlier."""
    import named_titles

    random = np.random.default_rng(0)
    rows = ["user_id,item_id,timestamp"]
    for user in range(160):
        items = np.sort(random.permutation(20)[:14]) + 20 * (user % 2)
        rows += [f"{user},{item},{at}" for at, item in enumerate(items)]
    (tmp_path / "lists.csv").write_text("\n".join(rows))
    flags = ["--data", tmp_path / "lists.csv", "--asked=40", "--threads=1", "--output", tmp_path]
    assert named_titles.main([*map(str, flags)]) == 0
    report = json.loads((tmp_path / "named-titles-lists.json").read_text())
    assert (report["users"], report["items"]) == (80, 40)
    rows = {(row["name"], row["given"]): row for row in report["results"]}
    assert not any(given > 3 for _, given in rows), "14 titles are too few to be asked from ten"
    for given in (1, 3):
        ours, in_order = (rows[name, given] for name in (named_titles.OURS, named_titles.AS_IN_ORDER))
        assert ours["ndcg"] > max(in_order["ndcg"], rows["popularity", given]["ndcg"] + 0.3) and ours["people"] == 40
        assert in_order["ours_less"] == pytest.approx(ours["ndcg"] - in_order["ndcg"])
    assert len(capsys.readouterr().out.splitlines()) == 2 + 7 + 2


def test_liked_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """160 people, half of whom like what the others don't; a score of one line is missing, one person has too few."""
    import liked

    random = np.random.default_rng(0)
    lines = ["x1,1,50", "u999,1,50"]
    for user in range(160):
        for item in random.permutation(40)[:25]:
            score = 50 + 30 * ((item < 20) == (user % 2 == 0)) + random.normal(0, 5)
            lines.append(f"u{user},{item + 1},{score if user or item else ''}")
    (tmp_path / "scores.csv").write_text("user,anime_id,score\n" + "\n".join(lines))
    anime = [{"id": item, "genres": [f"genre {item % 3}"], "averageScore": 60 + item % 5} for item in range(1, 41)]
    (tmp_path / "anime.jsonl").write_text("\n".join(map(json.dumps, anime)))
    files = ["--data", str(tmp_path / "scores.csv"), "--catalogue", str(tmp_path / "anime.jsonl"), "--user-prefix", "u"]
    more = ["--held-out=20", "--users", "20", "999", "--seeds", "1", "--threads=1", "--output", str(tmp_path)]
    assert liked.main([*files, *more]) == 0

    report = json.loads((tmp_path / "liked-scores.json").read_text())
    assert (report["users"], report["items"]) == (160, 40)
    results = {(result["users"], result["name"]): result for result in report["results"]}
    assert len(results) == 2 * len(liked.METHODS)
    ours, means = results[50, "ours"], results[50, "mean of the training users"]
    assert ours["correlation"] > means["correlation"] + 0.3 and ours["off"] < means["off"] - 0.2
    ways = 1 + len(liked.WEIGHTS) + len(liked.MORE_WEIGHTS)
    ranking = {row["name"]: row for row in report["rankings"] if row["users"] == 50}
    assert len(report["rankings"]) == 2 * len(ranking) == 2 * ways
    assert [row["name"] for row in ranking.values() if row["chosen"]] != ["weight 0"]
    best, listed = ranking["weight 0.7"], ranking[liked.WHOLE_LISTS]
    assert best["liked"] > listed["liked"] + 0.2 and best["disliked"] < listed["disliked"]
    assert best["liked_less"] == pytest.approx(best["liked"] - listed["liked"]) and best["liked_less_error"] > 0
    assert len(capsys.readouterr().out.splitlines()) == 2 + 6 + 1 + 2 + 2 * ways


def test_cold_titles_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """400 people, each of whom watches anime of one of four genres."""
    import cold_titles

    random = np.random.default_rng(0)
    lists = [random.integers(0, 4) * 12 + random.permutation(12)[:8] + 1 for _ in range(400)]
    (tmp_path / "lists.csv").write_text(
        "user,anime_id,date\n" + "".join(f"u{user},{item},\n" for user, items in enumerate(lists) for item in items)
    )
    anime = [{"id": item, "genres": [f"genre {(item - 1) // 12}"], "popularity": 100 - item} for item in range(1, 49)]
    (tmp_path / "anime.jsonl").write_text("\n".join(map(json.dumps, anime)))
    files = ["--data", str(tmp_path / "lists.csv"), "--catalogue", str(tmp_path / "anime.jsonl")]
    assert cold_titles.main([*files, "--cold=8", "--epochs=1", "--threads=1", "--output", str(tmp_path)]) == 0

    report = json.loads((tmp_path / "cold-titles-lists.json").read_text())
    results = {result["name"]: result for result in report["results"]}
    assert list(results) == [
        "ours",
        "ours, untrained",
        "ours without the catalogue",
        "popularity",
        "AniList popularity",
        "random",
    ]
    assert 200 < results["ours"]["asked"] <= 250
    among_cold = {name: result[cold_titles.AMONG_COLD] for name, result in results.items()}
    assert among_cold["ours"] > 0.8, "the genre tells them apart"
    blind = among_cold["ours without the catalogue"]
    assert abs(blind - among_cold["random"]) < among_cold["ours"] - blind, "without it, it's chance"
    assert results["ours"][cold_titles.WHOLE_LIST] > 2 * results["random"][cold_titles.WHOLE_LIST]
    assert results["popularity"]["percentile"] == pytest.approx(100, abs=5), "no list has them: last, ties and all"
    table = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in table[2:]] == list(results)


def test_made_up_lists_are_of_clusters_and_of_popular_items() -> None:
    import size

    data = size.made_up_data(1_000, 2_000)
    assert (len(data.training), len(data.validation), data.vocabulary.num_items) == (2_000, 500, 1_000)
    assert data.ordered
    lists = data.training.items.reshape(-1, 9)
    clusters = (lists - 1) // size.CLUSTER
    most = np.array([np.bincount(row).max() for row in clusters])
    assert most.mean() > 6


def test_size_from_end_to_end() -> None:
    import size

    cases = {"catalogue-3000": (size.sandbox_data, 200, 12), "items-3000": (size.made_up_data, 300, 80)}
    results = [{"name": name, **size.measure_apart(case, 1, 0.0, 1)} for name, case in cases.items()]
    sandbox, made_up = results
    assert (sandbox["items"], made_up["items"], made_up["users"]) == (200, 300, 80)
    assert made_up["tokens_per_step"] == 40 * 9, "80 lists make two batches of 40"
    for result in results:
        shares = [result[f"{part}_share"] for part in ("logits", "memory", "optimizer")]
        assert 0 < min(shares) <= sum(shares) < 1.5, "the logits are timed a second time, so 1 is not exact"
        assert 0.1 < result["peak_gib_data"] <= result["peak_gib_memory"] <= result["peak_gib"] < 4
    lines = size.table([*results, {"name": "items-55000", "error": "out of memory"}]).splitlines()
    assert lines[0].endswith("| × catalogue-3000 | × items-3000 |")
    assert lines[2].split("|")[-3].strip() == lines[3].split("|")[-2].strip() == "1.00"
    assert lines[4].startswith("| items-55000 ")
    assert "failed" in lines[4]


@pytest.fixture
def lists_in_time(tmp_path: Path) -> Path:
    """Each week of two years has its title, which eight people start on the same days; others have no dates."""
    anime = range(1, 105)
    with gzip.open(tmp_path / "anilist_catalogue.jsonl.gz", "wt", encoding="utf-8") as file:
        for each in anime:
            file.write(json.dumps({"id": each, "popularity": each, "genres": ["Drama"], "season": None}) + "\n")
    first = datetime.date(2019, 1, 1)
    with gzip.open(tmp_path / "anime_scores.csv.gz", "wt", encoding="utf-8") as file:
        file.write("user,anime_id,status,score,z,started,created\n")
        for user, each in itertools.product(range(8), anime):
            day = first + datetime.timedelta(weeks=each, days=user % 4)
            file.write(f"a{user},{each},COMPLETED,,,{day},\n")
        file.write("a0,1,PLANNING,,,,2019-01-01\nm1,5,COMPLETED,80,,,\n")
    with gzip.open(tmp_path / "anime_lists.csv.gz", "wt", encoding="utf-8") as file:
        file.write("user,anime_id,date\n")
        file.writelines(f"m{user},{each},\n" for user in range(40) for each in range(1 + user % 7, 90, 1 + user % 5))
    return tmp_path


def test_in_time_from_end_to_end(lists_in_time: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import in_time

    flags = ["--data", lists_in_time, "--output", lists_in_time, "--from", "2020-06-01", "--asked", 40, "--undated", 30]
    assert in_time.main([*map(str, flags), "--tuned-on", "30", "--threads", "1"]) == 0
    table = capsys.readouterr().out
    results = json.loads((lists_in_time / "in_time.json").read_text())["results"]
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == list(results)
    assert {"recent starts", "recent starts × EASE", "item-kNN", "our memory alone", "ours"} <= results.keys()
    assert results["ours"]["ours_less"] == [0, 0] and results["ours"]["hr@10"][0] > 0.6
    assert results["popularity on AniList"]["ndcg@10"][0] < 0.2


def test_what_is_known_before_a_day(lists_in_time: Path) -> None:
    import in_time

    world = in_time.read(lists_in_time, 104, 2)
    day = in_time._day("2019-01-09")  # two of eight have started the first title, two on this day
    lists = world.lists_before(day)
    assert lists.lengths.tolist() == [1, 1, len(range(1, 90)), len(range(2, 90, 2))]
    assert [asked.user for asked in world.questions(day, day + 1, 99)] == []  # nothing of them was known before
    assert world.typed.all() and world.typed_between(day, day + 1) == 2


def test_what_recent_starts_cost_from_end_to_end(capsys: pytest.CaptureFixture[str]) -> None:
    import recommend_speed

    flags = ("--stored", 30, "--length", 60, "--items", 200, "--threads", 1)
    assert recommend_speed.main([*map(str, flags)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("30 lists of 60, 200 anime; before a training:\n")
    asked = re.search(r"what was known before (\d+) of them\n", out)
    assert asked and 100 < int(asked[1]) < 300, "of 1,800 starts in ten years, those of the last one"
    assert out.count(" s of CPU: ") == 8 and " ms of CPU a person: what is known of the day\n" in out


def test_a_peer_without_mixed_precision_is_not_asked_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    import compare

    assert compare.main(["--peers", "recbole", "--peer-precision", "bf16-mixed"]) == 1
    assert "recbole trains in fp32 on a CPU" in capsys.readouterr().err


def test_a_peer_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    import compare
    import peer_environments

    monkeypatch.setattr(peer_environments, "VENVS", tmp_path)
    assert compare.main(["--peers", "rectools"]) == 1
    assert "python benchmarks/setup_peers.py rectools" in capsys.readouterr().err


def test_a_folder_in_the_place_of_a_peer_is_not_emptied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import peer_environments

    monkeypatch.setattr(peer_environments, "VENVS", tmp_path / "venvs")
    mine = tmp_path / "venvs/rectools/mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    (tmp_path / "venvs/recbole").symlink_to(mine.parent)
    for peer in ("rectools", "recbole"):
        with pytest.raises(UserError, match="in the way"):
            peer_environments.set_up(peer)
    assert mine.read_text() == "mine"


def test_a_missing_file_is_named_with_how_to_say_where_it_is(tmp_path: Path) -> None:
    import fold_in
    import interactions

    for missing in (lambda path: fold_in.read_catalogue(path), lambda path: list(interactions.rows_of(path))):
        with pytest.raises(UserError, match=r"there is no file .*nowhere\.gz; BENCHMARK_DATA says"):
            missing(tmp_path / "nowhere.gz")
