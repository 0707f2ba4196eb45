"""What is said of titles that are clear, and what is asked of those that are not."""

from __future__ import annotations

import logging

import pytest

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.recommending.title_questions import anime_of_titles, id_of
from anime_bert4rec.support.errors import UserError

CATALOGUE = [
    Anime(1, title_romaji="Bleach", format="TV", year=2004, popularity=900, synonyms=("死神",)),
    Anime(2, title_romaji="Hunter x Hunter", format="TV", year=1999, popularity=100),
    Anime(3, title_romaji="Hunter x Hunter (2011)", title_english="Hunter x Hunter", year=2011, popularity=800),
    Anime(86, title_romaji="Beach", popularity=5),
    Anime(5000, title_romaji="86", popularity=300),
    Anime(5001, title_romaji="91 Days", popularity=200),
]


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records]


def test_what_was_taken_is_said_and_what_was_not(said):
    assert [anime.anime_id for anime in anime_of_titles(["死神", "hunter x hunter"], CATALOGUE)] == [1, 3]
    assert said() == [
        '"死神": Bleach (TV, 2004), --anime 1',
        '"hunter x hunter": Hunter x Hunter (2011) / Hunter x Hunter (2011), --anime 3; not Hunter x Hunter'
        " (TV, 1999), --anime 2, which fewer know",
    ]


def test_nothing_found_says_what_is_nearest(said):
    with pytest.raises(UserError, match='no title of the catalogue matches "bleech": give the id'):
        anime_of_titles(["bleech"], CATALOGUE)
    assert said() == ['"bleech" is no title here. Did you mean', "Bleach (TV, 2004), --anime 1", "Beach, --anime 86"]


def test_nothing_near_is_one_line(said):
    with pytest.raises(UserError, match=r'^no title of the catalogue matches "龘"$'):
        anime_of_titles(["龘"], CATALOGUE)
    assert said() == []


def test_without_synonyms_it_says_how_to_get_them(said):
    with pytest.raises(UserError, match="matches"):
        anime_of_titles(["我的英雄學院"], CATALOGUE[1:])
    assert said() == [
        "The catalogue has no synonyms (abbreviations, Chinese titles, …): prepare_dataset.py fetches them."
    ]


def test_a_number_is_an_id_where_there_is_one_and_else_a_title(said):
    assert id_of("86", CATALOGUE, "--similar-to") == 86
    assert said() == ["86 is taken for an id; the title is 86, --similar-to 5000"]
    assert id_of("86", [each for each in CATALOGUE if each.anime_id != 86], "--similar-to") == 5000
    assert id_of("7", CATALOGUE, "--similar-to") == 7  # which the model may know
    assert id_of("７", CATALOGUE, "--similar-to") == 7
    assert id_of("91 days", CATALOGUE, "--similar-to") == 5001
    with pytest.raises(UserError, match="no title of the catalogue"):
        id_of("9" * 5000, CATALOGUE, "--similar-to")


@pytest.mark.parametrize(
    "text", ["https://anilist.co/anime/1/BLEACH/", "anilist.co/anime/1", " HTTPS://AniList.co/anime/1?x "]
)
def test_an_address_is_understood_as_it_stands_under_each_recommendation(said, text):
    assert id_of(text, CATALOGUE, "--hide") == 1 and said() == []
    assert anime_of_titles([text], CATALOGUE) == CATALOGUE[:1]


@pytest.mark.parametrize(
    "text", ["https://anilist.co/anime/777", "https://anilist.co/manga/1", "https://anilist.co/anime/x"]
)
def test_an_address_of_nothing_that_is_here_is_no_title(text):
    with pytest.raises(UserError, match="no title of the catalogue matches"):
        anime_of_titles([text], CATALOGUE)
