"""The made-up AniList: the same every time, shaped like the real one, and predictable from people's tastes."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import statistics
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest

from anime_bert4rec.anilist.sandbox import PAGE_SIZE, USERS, Sandbox, user_names
from anime_bert4rec.lists.records import Anime, CatalogueCursor, ListEntry, ListUnavailable
from config import CATALOGUE_SORTS, PROJECT_DIR


def fetched(count: int, sort: str = "POPULARITY_DESC", **options: Any) -> list[Anime]:
    return [anime for page in Sandbox().top_anime(count, sort, **options) for anime in page.anime]


@pytest.fixture(scope="module")
def catalogue() -> dict[int, Anime]:
    """All of it, the most popular first."""
    return {anime.anime_id: anime for anime in fetched(100_000)}


@pytest.fixture(scope="module")
def lists() -> list[tuple[ListEntry, ...]]:
    return [Sandbox().user_list(name).entries for name in user_names(300)]


@pytest.fixture(scope="module")
def watched(lists: list[tuple[ListEntry, ...]]) -> list[list[ListEntry]]:
    return [[entry for entry in entries if entry.status != "PLANNING"] for entries in lists]


# The same every time


def fingerprint() -> str:
    world = fetched(60, "SCORE_DESC"), [Sandbox().user_list(name) for name in ("sandbox0300", "sandbox0003")]
    return hashlib.sha256(repr(world).encode()).hexdigest()


@pytest.mark.parametrize("hash_seed", ["0", "4242"])
def test_another_process_sees_the_same_world(hash_seed: str) -> None:
    code = "import test_sandbox as t; print(t.fingerprint())"
    paths = os.pathsep.join([str(PROJECT_DIR), str(PROJECT_DIR / "tests"), str(PROJECT_DIR / "tests" / "anilist")])
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": paths}
    other = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == fingerprint()


def test_a_list_does_not_depend_on_what_was_asked_before(lists: list[tuple[ListEntry, ...]]) -> None:
    sandbox = Sandbox()
    backwards = [sandbox.user_list(name).entries for name in reversed(user_names(20))]
    list(sandbox.top_anime(70, "ID"))
    assert backwards[::-1] == lists[:20]
    assert sandbox.user_list("sandbox0020").entries == lists[19]


def test_fewer_anime_are_the_same_anime(catalogue: dict[int, Anime]) -> None:
    assert fetched(120) == list(catalogue.values())[:120]


# Pages


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (50, [50]), (51, [50, 1]), (120, [50, 50, 20])])
def test_pages_of_50_until_the_count_is_reached(count: int, sizes: list[int]) -> None:
    assert [len(page.anime) for page in Sandbox().top_anime(count, "POPULARITY_DESC")] == sizes


def test_20000_are_there_and_the_last_page_has_no_next(catalogue: dict[int, Anime]) -> None:
    assert len({anime.anime_id for anime in fetched(20_000)}) == 20_000
    *before, last = Sandbox().top_anime(100_000, "ID")
    assert last.next is None
    assert [page.next for page in before] == [CatalogueCursor(number + 2) for number in range(len(before))]
    assert sum(len(page.anime) for page in [*before, last]) == len(catalogue) > 20_000


@pytest.mark.parametrize("stop_after", [1, 2, 3])
@pytest.mark.parametrize("count", [170, 230])
def test_going_on_from_a_cursor_gives_what_was_left(stop_after: int, count: int) -> None:
    first = list(itertools.islice(Sandbox().top_anime(170, "FAVOURITES_DESC"), stop_after))
    cursor, got = first[-1].next, [anime for page in first for anime in page.anime]
    assert cursor == CatalogueCursor(stop_after + 1)
    rest = fetched(count, "FAVOURITES_DESC", start=cursor, seen={anime.anime_id for anime in got})
    assert got + rest == fetched(count, "FAVOURITES_DESC")


def test_seen_anime_are_counted_and_not_given_again() -> None:
    top = fetched(PAGE_SIZE + 20)
    seen = [anime.anime_id for anime in (*top[:5], *top[-5:])]
    assert fetched(30, seen=seen) == top[5:25]
    assert fetched(10, seen=seen) == []


def test_a_cursor_below_a_popularity_starts_there(catalogue: dict[int, Anime]) -> None:
    below = list(catalogue.values())[130].popularity
    assert below is not None
    expected = [anime for anime in catalogue.values() if (anime.popularity or 0) < below][PAGE_SIZE : PAGE_SIZE + 60]
    assert fetched(60, start=CatalogueCursor(2, below)) == expected


@pytest.mark.parametrize("sort", CATALOGUE_SORTS)
def test_every_sort_is_known(sort: str) -> None:
    assert len({anime.anime_id for anime in fetched(120, sort)}) == 120


@pytest.mark.parametrize("name", ["POPULARITY", "SCORE", "FAVOURITES", "ID"])
def test_ties_go_by_id(name: str, catalogue: dict[int, Anime]) -> None:
    field = {"SCORE": "average_score", "ID": "anime_id"}.get(name, name.lower())
    for sort, sign in ((name, 1), (f"{name}_DESC", -1)):
        expected = sorted(catalogue.values(), key=lambda anime: (sign * (getattr(anime, field) or 0), anime.anime_id))
        assert fetched(2_000, sort) == expected[:2_000]


@pytest.mark.parametrize("name", ["START_DATE", "EPISODES"])
def test_sorts_by_what_is_sometimes_unknown(name: str) -> None:
    for sort in (name, f"{name}_DESC"):
        finished = [anime for anime in fetched(2_000, sort) if anime.status == "FINISHED"]
        values = [getattr(anime, name.lower()) for anime in finished if (anime.start_date or 0) % 100]
        assert len(values) > 1_000
        assert values == sorted(values, reverse=sort != name)


# The people


def test_names() -> None:
    assert user_names(2) == ["sandbox0001", "sandbox0002"]
    assert len(user_names()) == 300
    everybody = user_names(USERS)
    assert len(set(everybody)) == USERS >= 20_000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{2,20}", name) for name in everybody)
    assert Sandbox().user_list(everybody[-1]).entries
    with pytest.raises(ValueError, match="has 50000 people"):
        user_names(USERS + 1)


def test_names_ignore_case() -> None:
    assert Sandbox().user_list("SandBox0007") == Sandbox().user_list("sandbox0007")
    assert Sandbox().user_list("SANDBOX0007").name == "sandbox0007"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "nobody",
        "sandbox",
        "sandbox0000",
        "sandbox1",
        "sandbox00001",
        "sandbox99999",
        "sandbox0001\n",
        "sandbox０００１",
    ],
)
def test_strangers_are_unknown(name: str) -> None:
    with pytest.raises(ListUnavailable) as refusal:
        Sandbox().user_list(name)
    said = refusal.value
    assert (said.name, said.reason, said.where) == (name, "unknown", "the made-up AniList")


def test_somebody_is_private() -> None:
    with pytest.raises(ListUnavailable) as refusal:
        Sandbox().user_list("private0001")
    assert refusal.value.reason == "private"


def test_entries_fit_the_catalogue(catalogue: dict[int, Anime], lists: list[tuple[ListEntry, ...]]) -> None:
    everything = [entry for entries in lists for entry in entries]
    assert len({entry.entry_id for entry in everything}) == len(everything)
    for entries in lists:
        assert len({entry.anime_id for entry in entries}) == len(entries)
    for entry in everything:
        anime = catalogue[entry.anime_id]
        assert entry.score is None or 1 <= entry.score <= 100
        assert entry.status == "PLANNING" or anime.status != "NOT_YET_RELEASED"
        assert entry.progress <= (anime.episodes or 0) or anime.episodes is None
        if entry.status in ("COMPLETED", "REPEATING"):
            assert entry.progress == anime.episodes
        if entry.status == "PLANNING":
            assert (entry.progress, entry.score, entry.started, entry.completed) == (0, None, None, None)
        if entry.completed and entry.started:
            assert entry.started // 10_000 <= entry.completed // 10_000


def test_lists_are_as_long_as_real_ones(watched: list[list[ListEntry]]) -> None:
    lengths = [len(entries) for entries in watched]
    assert 90 < statistics.median(lengths) < 150
    assert 2 <= sum(length < 20 for length in lengths) <= 15
    assert max(lengths) > 800


def test_a_small_catalogue_is_enough_for_most(catalogue: dict[int, Anime], watched: list[list[ListEntry]]) -> None:
    order = list(catalogue)
    top500, top3000 = set(order[:500]), set(order[:3000])
    assert statistics.mean(sum(entry.anime_id in top500 for entry in entries) >= 20 for entries in watched) > 0.85
    everything = [entry.anime_id for entries in watched for entry in entries]
    assert 0.8 < statistics.mean(anime_id in top3000 for anime_id in everything) < 0.98


def test_every_habit_occurs(lists: list[tuple[ListEntry, ...]], watched: list[list[ListEntry]]) -> None:
    statuses = Counter(entry.status for entries in lists for entry in entries)
    assert set(statuses) == {"COMPLETED", "CURRENT", "DROPPED", "PAUSED", "PLANNING", "REPEATING"}
    assert min(statuses.values()) > 30
    completed = [entry for entries in watched for entry in entries if entry.status == "COMPLETED"]
    assert 0.5 < statistics.mean(entry.completed is not None for entry in completed) < 0.9
    dates = [entry.completed for entry in completed if entry.completed]
    assert sum(date % 10_000 == 0 for date in dates) > 100
    assert sum(date % 100 == 0 and date % 10_000 > 0 for date in dates) > 100
    assert 0.02 < statistics.mean(entry.updated is None for entry in completed) < 0.2
    assert any(entry.repeats > 1 for entry in completed)
    for field in ("completed", "score", "updated"):
        without = sum(all(getattr(entry, field) is None for entry in entries) for entries in watched)
        assert (field == "updated") or 10 < without < 100, field


def test_some_people_import_years_in_a_day(watched: list[list[ListEntry]]) -> None:
    imported = [Counter((entry.created or 0) // 86_400 for entry in entries if entry.created) for entries in watched]
    dated = [Counter(entry.completed for entry in entries if (entry.completed or 0) % 100) for entries in watched]
    assert 30 < sum(max(days.values(), default=0) >= 10 for days in imported) < 150
    assert 8 < sum(max(days.values(), default=0) >= 10 for days in dated) < 100


def test_prequels_come_first(catalogue: dict[int, Anime], watched: list[list[ListEntry]]) -> None:
    in_order = []
    for entries in watched:
        finished = {entry.anime_id: entry.completed for entry in entries if (entry.completed or 0) % 100}
        if max(Counter(finished.values()).values(), default=0) >= 10:
            continue
        for anime_id, day in finished.items():
            for relation in catalogue[anime_id].relations:
                if relation.kind == "SEQUEL" and relation.anime_id in finished:
                    in_order.append((day or 0) <= (finished[relation.anime_id] or 0))
    assert len(in_order) > 2_000
    assert statistics.mean(in_order) > 0.95


def test_scores_follow_quality_and_dropping(catalogue: dict[int, Anime], watched: list[list[ListEntry]]) -> None:
    rated = [
        (entry.score, score)
        for entries in watched
        for entry in entries
        if entry.score and (score := catalogue[entry.anime_id].average_score)
    ]
    assert np.corrcoef(np.array(rated, float).T)[0, 1] > 0.3
    scores: dict[str | None, list[int]] = {"COMPLETED": [], "DROPPED": []}
    for entry in itertools.chain.from_iterable(watched):
        if entry.score:
            scores.setdefault(entry.status, []).append(entry.score)
    assert statistics.mean(scores["DROPPED"]) < statistics.mean(scores["COMPLETED"]) - 15


# Is there anything to learn?


def hit_rate(scores: np.ndarray, histories: list[list[int]], hidden: list[int]) -> float:
    """HR@10 of `scores` [user, item], what is in the history removed."""
    hits = []
    for row, history, target in zip(scores.copy(), histories, hidden, strict=True):
        row[history] = -np.inf
        hits.append(int((row > row[target]).sum()) < 10)
    return statistics.mean(hits)


def test_tastes_show_in_the_lists(catalogue: dict[int, Anime], watched: list[list[ListEntry]]) -> None:
    index = {anime_id: at for at, anime_id in enumerate(itertools.islice(catalogue, 1_000))}
    sequences = [[index[entry.anime_id] for entry in entries if entry.anime_id in index] for entries in watched]
    rng = np.random.default_rng(0)
    trials = [(s, int(rng.integers(len(s)))) for s in sequences if len(s) >= 20]
    histories = [[*s[:at], *s[at + 1 :]] for s, at in trials]
    hidden = [s[at] for s, at in trials]
    seen = np.zeros((len(trials), len(index)))
    for row, history in zip(seen, histories, strict=True):
        row[history] = 1
    popularity = seen.sum(axis=0)
    cosine = seen.T @ seen / np.sqrt(np.outer(popularity + 5, popularity + 5))
    by_popularity = hit_rate(np.tile(popularity, (len(trials), 1)), histories, hidden)
    assert hit_rate(seen @ cosine, histories, hidden) > 1.5 * by_popularity > 0


def test_the_next_title_follows_from_the_last_one(catalogue: dict[int, Anime], watched: list[list[ListEntry]]) -> None:
    sequels = {
        anime_id: {relation.anime_id for relation in anime.relations if relation.kind == "SEQUEL"}
        for anime_id, anime in catalogue.items()
    }
    steps = [pair for entries in watched for pair in itertools.pairwise(entries)]
    followed = statistics.mean(after.anime_id in sequels[before.anime_id] for before, after in steps)
    assert 0.03 < followed < 0.5  # by popularity alone it would be less than 1 in 300
