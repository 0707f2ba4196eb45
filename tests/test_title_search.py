"""Titles as people type them."""

from __future__ import annotations

import pytest

from records import Anime
from title_search import find_titles, fold

CATALOGUE = [
    Anime(1, title_romaji="Cowboy Bebop", title_native="カウボーイビバップ", popularity=90),
    Anime(5, title_romaji="Cowboy Bebop: Tengoku no Tobira", title_english="Cowboy Bebop: The Movie", popularity=40),
    Anime(9, title_romaji="Steins;Gate", popularity=80),
    Anime(10, title_romaji="Pokémon", popularity=70),
    Anime(11, title_romaji="Fruits Basket", year=2001, popularity=30),
    Anime(12, title_romaji="Fruits Basket", year=2019, popularity=60),
    Anime(13, title_romaji="Shingeki no Kyojin", title_english="Attack on Titan", title_native="進撃の巨人"),
    Anime(14, title_romaji="Hataraku Saibou", title_native="はたらく細胞"),
    Anime(15, title_romaji=None),
]


@pytest.mark.parametrize(
    ("typed", "ids"),
    [
        ("cowboy bebop", [1]),  # the whole of one title, though another begins with it
        ("COWBOY  BEBOP!", [1]),
        ("カウボーイビバップ", [1]),
        ("bebop", [1, 5]),
        ("bebop movie", [5]),
        ("steins gate", [9]),
        ("steinsgate", [9]),
        ("ＳＴＥＩＮＳ；ＧＡＴＥ", [9]),
        ("pokemon", [10]),
        ("fruits basket", [12, 11]),  # the most popular first
        ("attack on titan", [13]),
        ("進撃", [13]),
        ("はたらく", [14]),
        ("cowbow bebop", [1]),  # a slip
        ("shingeki no kyojn", [13]),
        ("nothing of the kind", []),
        ("!?", []),
        ("", []),
    ],
)
def test_what_is_found(typed, ids):
    assert [anime.anime_id for anime in find_titles(typed, CATALOGUE)] == ids


def test_marks_of_kana_are_letters_and_accents_are_not():
    assert fold("がっこう") != fold("かっこう")
    assert fold("Café's") == ["cafes"]
