"""Pages of a made-up catalogue for the tests: with titles that try to be markup, of any size."""

from __future__ import annotations

import json
import re

import numpy as np

from anime_bert4rec.lists.overview import Overview
from anime_bert4rec.lists.records import Anime
from anime_bert4rec.lists.scores import TEN
from anime_bert4rec.pages.kept_map import KeptMap
from anime_bert4rec.pages.person_page import person_page
from anime_bert4rec.pages.report_page import ReportData, report_page
from anime_bert4rec.plots.training_metrics import Metrics
from anime_bert4rec.recommending.rows import Reason, RecommendedAnime

HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "line\u2028separator\u2029and ]]> &lt;b&gt; &amp;",
    "${alert(1)} `x` \\u003cb\\u003e '\"",
    "{count} __proto__ constructor",
    "\u202egnikcart\u202c \x1b[31mred\x00",
)
GENRES = ("Action", "Comedy", "Drama", "Sci-Fi", "Slice of Life", "<b>genre</b>")
ON_HOST = "https://s4.anilist.co/file/anilistcdn/media/anime/cover/medium/bx1-Az_9%20.jpg"


def some_anime(count: int) -> list[Anime]:
    """Titles 1 to `count`: the first ones are hostile, then every third has only a native title."""
    return [
        Anime(
            k,
            title_romaji=HOSTILE[k - 1] if k <= len(HOSTILE) else None if k % 3 == 0 else f"Title {k} no Monogatari",
            title_english=f"Story number {k}" if k % 2 else None,
            title_native=f"第{k}話ものがたり",
            synonyms=(f"第{k}個故事", f"Name {k}"),
            year=1990 + k % 35,
            format=("TV", "MOVIE", "ONA")[k % 3],
            episodes=k % 30 or None,
            mean_score=40 + k % 50,
            genres=(GENRES[k % 6], GENRES[k % 5]) if k % 5 != k % 6 else (GENRES[k % 6],),
            popularity=100_000 // k,
            cover_url=ON_HOST.replace("bx1", f"bx{k}") if k % 2 else "https://elsewhere.example/cover.jpg",
        )
        for k in range(1, count + 1)
    ]


def some_map(count: int) -> KeptMap:
    place = np.random.default_rng(0).uniform(-1, 1, (count, 2))
    near = (np.arange(count)[:, None] + np.arange(1, min(9, count))) % count
    popularity = 100_000 // np.arange(1, count + 1)
    return KeptMap(np.arange(1, count + 1), popularity, 10 * place, place, near, "Made up.", "")


def some_rows(anime: list[Anime], count: int) -> list[RecommendedAnime]:
    """The first `count`, every fourth planned; the predicted score falls, and the titles after them are the reasons."""
    return [
        RecommendedAnime.of(
            rank,
            each,
            0.1 / rank,
            [Reason(other.anime_id, "?") for other in anime[-3:]],
            planned=rank % 4 == 0,
            release="airing" if rank == 2 else None,
            predicted=90 - rank / 4,
            scale=TEN,
        )
        for rank, each in enumerate(anime[:count], 1)
    ]


def a_person(rows: int = 20, anime: int = 300, covers: bool = False, who: str = HOSTILE[0]) -> str:
    catalogue = some_anime(anime)
    watched = range(anime // 2, anime)
    return person_page(
        some_rows(catalogue, rows), catalogue, [who], [], "2026-01-02", watched, some_map(anime), covers=covers
    )


def some_metrics(epochs: int = 12) -> Metrics:
    falling = np.linspace(6, 4, epochs)
    accuracies = {k: np.linspace(1, 10 + k, epochs) for k in (1, 5, 10, 20)}
    falling[epochs // 2] = np.nan
    return Metrics(falling + 0.2, falling, accuracies, accuracies, falling / 1000, {10: 3.0}, "EASE", {10: 9.0}, {}, 12,
                   "", (30, 300))  # fmt: skip


def some_tasks() -> list[dict]:
    values = {metric: [0.2, 0.01] for metric in ("ndcg@10", "hr@10", "mrr")}
    contenders = [
        {"name": name, "model": name == "this model", "values": values} for name in ("this model", HOSTILE[0])
    ]
    return [{"name": name, "users": 30, "contenders": contenders} for name in ("next item", "given 3", HOSTILE[1])]


def a_report(anime: int = 300, who: str = "") -> str:
    overview = Overview(np.arange(20, 120), np.arange(anime), 900, 50, 50, {2019: 400, 2020: 500})
    shown = ReportData(some_anime(anime), overview, some_map(anime))
    return report_page(some_metrics(), some_tasks(), shown, "2026-01-02", who, range(1, 40))


def data_of(html: str) -> dict:
    """What the scripts of a page read."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])
