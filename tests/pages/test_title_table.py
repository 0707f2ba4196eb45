"""Each title has one row, and strangers' titles are on one line."""

from __future__ import annotations

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.pages.title_table import TitleTable

CATALOGUE = [
    Anime(5, title_romaji="A\x1b[31m b\nc", title_native="進撃の巨人", synonyms=("AoT", "进击的巨人", "Атака"),
          format="TV", year=2013, episodes=25, mean_score=84, genres=("Action", "Drama")),
    Anime(7, title_english="Only English", average_score=70, genres=("Drama",), site_url="https://anilist.co/anime/7"),
]  # fmt: skip


def test_the_table_by_hand():
    titles = TitleTable(CATALOGUE)
    assert (titles.row(7), titles.row(5), titles.row(7), titles.rows([5, 99])) == (0, 1, 0, [1, 2])
    assert titles.known([99, 1, 5]) == [2, 1]
    assert titles.columns() == {
        "id": [7, 5, 99],
        "romaji": [None, "A b c", None],
        "english": ["Only English", None, None],
        "native": [None, "進撃の巨人", None],
        "others": [None, "进击的巨人 / Атака", None],
        "year": [None, 2013, None],
        "format": [None, "TV", None],
        "episodes": [None, 25, None],
        "mean": [70, 84, None],
        "genres": [[0], [1, 0], []],
        "genre_names": ["Drama", "Action"],
    }


def test_ids_that_are_not_anilists_have_no_links():
    titles = TitleTable([*CATALOGUE, Anime(8, site_url="https://sandbox.invalid/anime/8")])
    titles.rows([5, 7])
    assert titles.on_anilist
    titles.row(8)
    assert not titles.on_anilist
