"""What is wished for: conditions on titles, ranges, words that no title has."""

from __future__ import annotations

import pytest

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.recommending.wishes import Wishes, of_catalogue, of_release, read_range
from anime_bert4rec.support.errors import SettingError, UserError

CATALOGUE = [
    Anime(1, year=2010, genres=("Action", "Drama")),
    Anime(2, year=2012, genres=("Action",)),
    Anime(4, year=2016, genres=("Drama",), is_adult=True),
    Anime(5, genres=("Drama",)),
]


def ids(**wishes):
    allow = Wishes(of_catalogue(CATALOGUE, **wishes)).allow
    return [anime.anime_id for anime in CATALOGUE if allow(anime)]


def test_adult_titles_are_out_unless_asked_for():
    assert ids() == [1, 2, 5]
    assert ids(include_adult=True) == [1, 2, 4, 5]


def test_genres_and_years():
    assert ids(genre=["drama"]) == [1, 5]
    assert ids(genre=["dRAMA", "action"]) == [1]
    assert ids(years=(2010, 2015)) == [1, 2]
    assert ids(years=(0, 9999)) == [1, 2]  # 5 has no year


def test_what_is_out_or_what_is_not():
    release = {1: None, 2: "airing", 4: "next season", 5: "not out yet"}
    for upcoming, expected in ((False, [1, 2]), (True, [4, 5])):
        assert [each.anime_id for each in CATALOGUE if of_release(release, upcoming).allows(each)] == expected


def test_each_wish_can_be_lifted():
    wishes = Wishes(of_catalogue(CATALOGUE, genre=["drama"], years=(2012, 2020)))
    found = {lifted: [each.anime_id for each in CATALOGUE if less.allow(each)] for lifted, less in wishes.each_lifted()}
    assert found == {
        "with --include-adult": [4],
        "without --genre Drama": [2],
        "with other --year": [1, 5],
        "with --with-sequels": [],
    }
    assert [less.with_sequels for _, less in wishes.each_lifted()] == [False, False, False, True]


@pytest.mark.parametrize(
    ("text", "years"),
    [("", None), ("2015", (2015, 2015)), ("2015-2020", (2015, 2020)), ("2015-", (2015, 10**9)), ("-2020", (0, 2020))],
)
def test_years(text, years):
    assert read_range("--year", text) == years


@pytest.mark.parametrize("text", ["-", "15", "2020-2015", "2015-20", "20152020", "2015 - 2020", "soon", "２０１５"])
def test_years_that_are_none(text):
    with pytest.raises(SettingError, match="--year must"):
        read_range("--year", text)


def test_an_unknown_genre_is_answered_with_those_there_are():
    with pytest.raises(UserError, match="'Opera'; there are Action, Drama"):
        of_catalogue(CATALOGUE, genre=["Opera"])
    with pytest.raises(UserError, match="'Dramma'; did you mean Drama"):
        of_catalogue(CATALOGUE, genre=["Dramma"])
