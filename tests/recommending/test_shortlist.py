"""Which titles are shown, by hand: sequels, franchises, adult titles, genres and years."""

from __future__ import annotations

import pytest

from anime_bert4rec.lists.records import Anime, Relation
from anime_bert4rec.recommending.shortlist import Wishes, check_genres, prequels, read_years, shortlist
from anime_bert4rec.support.errors import SettingError, UserError

CATALOGUE = [
    Anime(1, year=2010, genres=("Action", "Drama"), relations=(Relation(2, "SEQUEL"),)),
    Anime(2, year=2012, genres=("Action",), relations=(Relation(1, "PREQUEL"), Relation(3, "SEQUEL"))),
    Anime(3, year=2015, genres=("Action",)),  # says nothing of its prequel; 2 does
    Anime(4, year=2016, genres=("Drama",), is_adult=True),
    Anime(5, genres=("Drama",), relations=(Relation(900, "PREQUEL"),)),  # of something the catalogue lacks
    Anime(6, year=2020, genres=("Action",), relations=(Relation(1, "SIDE_STORY"), Relation(5, "CHARACTER"))),
]
EVERYTHING = [1, 2, 3, 4, 5, 6]


def ids(ranked, liked=(), **wishes):
    return [anime.anime_id for anime in shortlist(ranked, CATALOGUE, liked, Wishes(**wishes))]


def test_a_later_season_waits_for_its_prequel():
    assert ids([3, 2, 5]) == [5]
    assert ids([3, 2, 5], liked={1}) == [2, 5]
    assert ids([3, 2, 5], liked={2}) == [3, 5]


def test_one_of_several_prequels_is_enough():
    catalogue = [Anime(1), Anime(2), Anime(3, relations=(Relation(1, "PREQUEL"), Relation(2, "PREQUEL")))]

    def shown(liked):
        return [anime.anime_id for anime in shortlist([3], catalogue, liked, Wishes())]

    assert (shown(set()), shown({1}), shown({2, 9}), shown({1, 2})) == ([], [3], [3], [3])


def test_a_franchise_appears_once_with_its_best():
    assert ids(EVERYTHING) == [1, 5]
    assert ids([6, 1, 5]) == [6, 5]
    assert ids([3, 6, 2], liked={1, 2}) == [3]


def test_with_sequels_lifts_both():
    assert ids([3, 2, 1, 6, 5], with_sequels=True) == [3, 2, 1, 6, 5]


def test_adult_titles_are_out_unless_asked_for():
    assert ids([4, 5]) == [5]
    assert ids([4, 5], include_adult=True) == [4, 5]


def test_genres_and_years():
    assert ids(EVERYTHING, genres=frozenset({"drama"})) == [1, 5]
    assert ids(EVERYTHING, genres=frozenset({"drama", "action"})) == [1]
    assert ids(EVERYTHING, years=(2010, 2015), with_sequels=True) == [1, 2, 3]
    assert ids(EVERYTHING, years=(0, 9999), with_sequels=True) == [1, 2, 3, 6]  # 5 has no year


def test_what_the_filter_drops_does_not_stand_for_its_franchise():
    assert ids([1, 6], years=(2020, 2020)) == [6]


def test_ids_that_the_catalogue_lacks_are_left_out():
    assert ids([900, 1]) == [1]


def test_prequels_are_read_from_both_sides():
    assert prequels(CATALOGUE) == {2: {1}, 3: {2}}


@pytest.mark.parametrize(
    ("text", "years"),
    [("", None), ("2015", (2015, 2015)), ("2015-2020", (2015, 2020)), ("2015-", (2015, 9999)), ("-2020", (0, 2020))],
)
def test_years(text, years):
    assert read_years(text) == years


@pytest.mark.parametrize("text", ["-", "15", "2020-2015", "2015-20", "20152020", "2015 - 2020", "soon", "２０１５"])
def test_years_that_are_none(text):
    with pytest.raises(SettingError, match="--year must"):
        read_years(text)


def test_an_unknown_genre_is_answered_with_those_there_are():
    assert check_genres(["dRAMA"], CATALOGUE) == {"drama"}
    with pytest.raises(UserError, match="'Opera'; there are Action, Drama"):
        check_genres(["Opera"], CATALOGUE)
