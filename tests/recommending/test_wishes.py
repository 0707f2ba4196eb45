"""What is wished for: conditions on titles, ranges, words that no title has."""

from __future__ import annotations

import dataclasses

import pytest

from anime_bert4rec.lists.records import Anime, Tag
from anime_bert4rec.recommending.person import Person
from anime_bert4rec.recommending.wishes import Wishes, of_catalogue, of_people, of_release, read_range, without
from anime_bert4rec.support.errors import SettingError, UserError

CATALOGUE = [
    Anime(
        1,
        year=2010,
        genres=("Action", "Drama"),
        format="TV",
        episodes=26,
        mean_score=75,
        popularity=900,
        tags=(Tag("Isekai", 90), Tag("Magic", 17)),
    ),
    Anime(2, year=2012, genres=("Action",), format="MOVIE", episodes=1, mean_score=74, tags=(Tag("Magic", 18),)),
    Anime(4, year=2016, genres=("Drama",), is_adult=True),
    Anime(
        5, genres=("Drama",), format="TV_SHORT", episodes=27, average_score=80, popularity=899, tags=(Tag("Isekai"),)
    ),
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


def test_what_is_not_wanted():
    assert ids(not_genre=["action"]) == [5]
    assert ids(not_genre=["Action"], genre=["Drama"], include_adult=True) == [4, 5]
    assert ids(not_genre=["Action", "Drama"]) == []


def test_a_tag_counts_from_the_rank_on_from_which_anilist_searches_it():
    assert ids(tag=["isekai"]) == [1, 5]  # without a rank, it counts
    assert ids(tag=["Magic"]) == [2]
    assert ids(not_tag=["magic"]) == [1, 5]
    assert ids(tag=["Isekai", "Magic"]) == []


def test_one_of_several_types_is_enough():
    assert ids(types=["tv"]) == [1]
    assert ids(types=["TV", "movie"]) == [1, 2]
    assert ids(types=["tv short"]) == ids(types=["TV-SHORT"]) == [5]


def test_episodes_scores_and_popularity():
    assert ids(episodes=(0, 26)) == [1, 2]
    assert ids(episodes=(26, 27)) == [1, 5]
    assert ids(min_score=75) == ids(min_score=7.5) == [1, 5]  # 5 has no mean but an average
    assert ids(min_score=10) == [] and ids(min_score=74) == [1, 2, 5]
    assert ids(min_popularity=900) == [1] and ids(min_popularity=899) == [1, 5]  # of 2 it is not known


def test_wishes_hold_at_once():
    assert ids(genre=["Drama"], not_tag=["Magic"], types=["TV", "TV_SHORT"], episodes=(27, 99), min_score=8) == [5]


def test_planned_titles_alone_or_not_at_all():
    people = [Person.of_ids([3]), dataclasses.replace(Person.of_ids([3]), planned=frozenset({1, 4}))]
    allowed = {
        planned: [anime.anime_id for anime in CATALOGUE if Wishes(of_people(people, planned)).allow(anime)]
        for planned in (None, "only", "no")
    }
    assert allowed == {None: [1, 2, 4, 5], "only": [1, 4], "no": [2, 5]}


def test_hidden_titles():
    assert [anime.anime_id for anime in CATALOGUE if Wishes(without({1, 4})).allow(anime)] == [2, 5]
    assert without(set()) == []


@pytest.mark.parametrize(
    ("wish", "what"),
    [
        ({"genre": ["Drama"]}, "genres, which --genre needs"),
        ({"not_tag": ["Isekai"]}, "tags, which --not-tag needs"),
        ({"types": ["TV"]}, "types, which --type needs"),
        ({"episodes": (1, 2)}, "numbers of episodes, which --episodes needs"),
        ({"min_score": 70}, "mean scores, which --min-score needs"),
        ({"min_popularity": 7}, "popularity, which --min-popularity needs"),
    ],
)
def test_a_catalogue_without_the_fact_must_be_fetched_again_only_where_it_is_asked_for(wish, what):
    bare = [Anime(1), Anime(2)]
    assert [each.lifted for each in of_catalogue(bare)] == ["with --include-adult"]
    with pytest.raises(UserError, match=f"^the catalogue has no {what}: fetch it again with prepare_dataset.py"):
        of_catalogue(bare, **wish)


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
    assert len(dataclasses.replace(wishes, with_sequels=True).each_lifted()) == 3, "what is lifted is lifted once"


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("", None),
        ("2015", (2015, 2015)),
        ("2015-2020", (2015, 2020)),
        ("2015-", (2015, 10**9)),
        ("-2020", (0, 2020)),
        ("２０１５－", (2015, 10**9)),
    ],
)
def test_years(text, years):
    assert read_range("--year", text) == years


@pytest.mark.parametrize("text", ["-", "15", "2020-2015", "2015-20", "20152020", "2015 - 2020", "soon"])
def test_years_that_are_none(text):
    with pytest.raises(SettingError, match="--year must"):
        read_range("--year", text)


@pytest.mark.parametrize("word", ["Ｄｒａｍａ", " drama　", "ＤＲＡＭＡ"])
def test_words_may_be_typed_at_full_width_and_with_spaces(word):
    assert of_catalogue(CATALOGUE, genre=[word])[0].lifted == "without --genre Drama"


def test_an_unknown_genre_is_answered_with_those_there_are():
    with pytest.raises(UserError, match="'Opera'; there are Action, Drama"):
        of_catalogue(CATALOGUE, genre=["Opera"])
    with pytest.raises(UserError, match="'Dramma'; did you mean Drama"):
        of_catalogue(CATALOGUE, genre=["Dramma"])
    with pytest.raises(UserError, match="the tag 'isekei'; did you mean Isekai"):
        of_catalogue(CATALOGUE, not_tag=["isekei"])
    with pytest.raises(UserError, match="the type 'OVA'; there are MOVIE, TV, TV_SHORT"):
        of_catalogue(CATALOGUE, types=["OVA"])
    with pytest.raises(UserError, match="the tag 'drama', but a genre is called so: --not-genre Drama"):
        of_catalogue(CATALOGUE, not_tag=["drama"])
    with pytest.raises(UserError, match="the genre 'isekai', but a tag is called so: --tag Isekai"):
        of_catalogue(CATALOGUE, genre=["isekai"])
    with pytest.raises(UserError, match="the genre 'tv'; there are Action, Drama"):
        of_catalogue(CATALOGUE, not_genre=["tv"])
    many = [Anime(1, tags=tuple(Tag(f"{k:03}") for k in range(41)))]
    with pytest.raises(UserError, match="the tag 'x', and none of the 41 that there are is like it"):
        of_catalogue(many, tag=["x"])


def test_numbers_of_episodes():
    assert read_range("--episodes", "-26", "12-26", "{1,5}") == (0, 26)
    assert read_range("--episodes", "7", "12-26", "{1,5}") == (7, 7)
    with pytest.raises(SettingError, match="--episodes must be a number or a range such as 12-26, not '1000000'"):
        read_range("--episodes", "1000000", "12-26", "{1,5}")
