"""What is to be seen before what, by hand."""

from __future__ import annotations

import dataclasses

from anime_bert4rec.lists.records import Anime, Relation
from anime_bert4rec.recommending.shortlist import Shortlists


def seasons(*starts, formats=(), **more):
    """1 continues nothing; 2, 3, … continue it and started on these days."""
    formats = formats or ["TV"] * (len(starts) + 1)
    first = (Relation(1, "PREQUEL"),)
    later = [Anime(n, format=formats[n - 1], start_date=day, relations=first) for n, day in enumerate(starts, 2)]
    return [Anime(1, format=formats[0], start_date=2000_01_01, **more), *later]


def waits_for(catalogue, anime_id):
    return Shortlists(catalogue)._just_before[anime_id]


def test_a_season_that_did_not_surely_begin_before_is_not_waited_for():
    for other, waited in {
        2021_01_10: False,
        2021_01_09: True,
        2021_01_00: False,
        2020_12_00: True,
        2021_00_00: False,
        2020_00_00: True,
    }.items():
        assert waits_for(seasons(other, 2021_01_10), 3) == ({2} if waited else {1}), other
    assert waits_for(seasons(2021_01_10, 2021_00_00), 3) == waits_for(seasons(2021_01_10, 2021_01_00), 3) == {1}
    assert waits_for(seasons(2020_12_31, 2021_00_00), 3) == {2}


def test_each_season_waits_for_the_one_before_it():
    catalogue = seasons(2005_01_01, 2004_01_01, 2003_01_01, 2006_01_01)
    assert [waits_for(catalogue, n) for n in (2, 3, 4, 5)] == [{3}, {4}, {1}, {2}]


def test_seasons_are_of_one_format():
    for formats, waited in {
        ("TV", "TV", "TV"): True,
        ("TV", "ONA", "ONA"): True,
        ("TV", "TV_SHORT", "TV_SHORT"): True,
        ("TV", "TV", "ONA"): False,
        ("TV", "MOVIE", "MOVIE"): False,
        ("TV", "OVA", "OVA"): False,
        ("ONA", "TV", "TV"): True,
        ("MOVIE", "TV", "TV"): True,
    }.items():
        catalogue = seasons(2017_04_01, 2021_01_10, formats=formats)
        assert waits_for(catalogue, 3) == ({2} if waited else {1}), formats


def test_a_recap_is_no_season():
    catalogue = seasons(2017_04_01, 2021_01_10)
    catalogue[0] = Anime(1, format="TV", relations=(Relation(2, "SUMMARY"),))
    assert waits_for(catalogue, 3) == {1}


def test_a_season_does_not_wait_for_one_that_continues_more():
    first, other = Relation(1, "PREQUEL"), Relation(4, "PREQUEL")
    catalogue = [
        Anime(1, format="TV", start_date=2000_01_01),
        Anime(2, format="TV", start_date=2005_01_01, relations=(first, other)),
        Anime(3, format="TV", start_date=2010_01_01, relations=(first,)),
        Anime(4, format="TV", start_date=2001_01_01),
    ]
    assert (waits_for(catalogue, 2), waits_for(catalogue, 3)) == ({1, 4}, {1})
    catalogue[1:3] = [dataclasses.replace(catalogue[2], anime_id=2, start_date=2005_01_01),
                      dataclasses.replace(catalogue[1], anime_id=3, start_date=2010_01_01)]  # fmt: skip
    assert (waits_for(catalogue, 2), waits_for(catalogue, 3)) == ({1}, {2, 4}), "but for one that continues less"


def test_of_seasons_of_which_some_days_are_unknown_the_last_that_is_sure():
    catalogue = seasons(2017_00_00, 2016_05_00, 2018_01_01)
    assert [waits_for(catalogue, n) for n in (2, 3, 4)] == [{3}, {1}, {2}]
    assert waits_for(seasons(2017_00_00, 2017_05_00, 2017_06_10), 4) == {3}


def test_of_two_in_a_circle_and_another_beside_them_any_is_enough():
    named = {1: (2,), 2: (1,), 3: (), 4: (1, 2, 3)}
    catalogue = [Anime(n, relations=tuple(Relation(each, "PREQUEL") for each in of)) for n, of in named.items()]
    assert waits_for(catalogue, 4) == {1, 2, 3}


def before(*prequels):
    """What is to be seen before the last of some anime, of which each names the one before it as its prequel."""
    chain = [
        Anime(n, relations=(Relation(n - 1, "PREQUEL"),), **facts) if n > 1 else Anime(n, **facts)
        for n, facts in enumerate(prequels, 1)
    ]
    return Shortlists(chain)._before.get(len(chain), set())


def test_what_came_out_later_need_not_be_seen_first():
    """As an OVA of 2015 that tells what was before a series of October 2014."""
    for start, needed in {
        2014_11_01: set(),
        2015_00_00: set(),
        2014_10_09: {1},
        2014_10_00: {1},
        2014_00_00: {1},
        None: {1},
    }.items():
        assert before({"format": "TV", "start_date": start}, {"format": "TV", "start_date": 2014_10_00}) == needed, (
            start
        )
    assert before({"format": "TV", "start_date": 2014_10_10}, {"format": "TV", "start_date": 2014_10_09}) == set()
    assert before({"format": "TV", "start_date": 2014_10_10}, {"format": "TV", "start_date": 2014_00_00}) == {1}
    assert before({"format": "TV", "year": 2020}, {"format": "TV", "year": 2014}) == set(), (
        "of which the years are known"
    )
    assert before({"format": "TV", "year": 2014}, {"format": "TV", "year": 2014}) == {1}
    same_day = {"format": "TV", "start_date": 2014_10_09}
    assert before(same_day, same_day) == {1}
    assert before({"format": "TV", "start_date": 2015_01_01}, {"format": "TV"}) == {1}, "nobody knows when"


def test_what_is_not_out_or_never_came_need_not_be_seen_first():
    out, announced = {"format": "TV", "status": "FINISHED"}, {"format": "TV", "status": "NOT_YET_RELEASED"}
    assert before(announced, out) == before({**out, "status": "CANCELLED"}, out) == set()
    assert before(out, announced) == before(announced, announced) == {1}
    for status in ("CANCELLED", "NOT_YET_RELEASED"):
        catalogue = seasons(2010_01_01, 2020_01_01)
        catalogue[1] = dataclasses.replace(catalogue[1], status=status)
        assert waits_for(catalogue, 3) == {1}, "nor is it the season before another"


def test_what_is_out_is_said_by_the_day():
    chain = [Anime(1, format="TV"), Anime(2, format="TV", relations=(Relation(1, "PREQUEL"),))]
    assert [Shortlists(chain, out)._before for out in ((), (1,), (2,), (1, 2))] == [{2: {1}}, {}, {2: {1}}, {2: {1}}]


def test_what_came_out_later_may_continue_the_title_or_another_such_one():
    """As circles in the relations do."""
    later = {"format": "OVA", "start_date": 2015_01_01}
    first = Anime(1, format="TV", start_date=2014_01_01, relations=(Relation(2, "PREQUEL"),))
    back = Anime(2, relations=(Relation(1, "PREQUEL"),), **later)
    assert Shortlists([first, back])._before == {2: {1}}
    third = Anime(3, relations=(Relation(2, "PREQUEL"),), **later)
    circle = Anime(2, relations=(Relation(3, "PREQUEL"),), **later)
    assert 1 not in Shortlists([first, circle, third])._before


def test_an_extra_that_few_know_need_not_be_seen_first():
    """An episode 0; but not FLCL, an OVA that more people know than what continues it."""
    title = {"format": "TV", "popularity": 1000}
    for known, needed in {499: set(), 500: {1}, 2000: {1}, 0: set(), None: {1}}.items():
        assert before({"format": "OVA", "popularity": known}, title) == needed, known
    assert before({"format": "TV", "popularity": 1}, title) == {1}, "a season"
    assert before({"format": "OVA", "popularity": 1}, {"format": "OVA", "popularity": 9}) == {1}
    assert before({"format": "OVA", "popularity": 1}, {"format": "TV"}) == {1}
    for extra in ("OVA", "SPECIAL", "MUSIC"):
        assert before({"format": extra, "popularity": 1}, title) == set(), extra


def test_what_an_extra_continues_stands_in_its_place():
    first, third = {"format": "TV", "popularity": 2000}, {"format": "TV", "popularity": 900}
    extra = {"format": "OVA", "popularity": 100}
    assert before(first, extra, third) == before(first, extra, extra, third) == {1}
    assert before(extra, third) == set()
    shortlists = Shortlists([Anime(1), Anime(2, start_date=2015_01_01), Anime(3, start_date=2014_01_01, relations=(
        Relation(2, "PREQUEL"),))])  # fmt: skip
    assert shortlists.continued_by([3]) == frozenset(), "who names it need not have seen what came out later"


def test_thousands_that_continue_one_title_take_no_time():
    catalogue = seasons(*range(1000_01_01, 1000_01_01 + 6000))
    assert sum(map(len, Shortlists(catalogue)._before.values())) < 2 * 6000


def test_the_latest_season_is_needed_where_the_first_is_named_too():
    """Of 5, both 1 and 4 are said to be before; 4 continues 1 by way of 2 and 3 alone."""
    of = {2: (1,), 3: (2,), 4: (3,), 5: (1, 4)}
    catalogue = [
        Anime(n, format="TV", start_date=2000_01_01 + n * 1_00_00,
              relations=tuple(Relation(each, "PREQUEL") for each in of.get(n, ())))
        for n in range(1, 6)
    ]  # fmt: skip
    assert waits_for(catalogue, 5) == {4}


def test_a_film_does_not_stand_for_a_season():
    def third(second):
        of = {1: ("TV", ()), 2: (second, (1,)), 3: ("TV", (1, 2))}
        return [
            Anime(n, format=format, start_date=2000_01_01 + n * 1_00_00,
                  relations=tuple(Relation(each, "PREQUEL") for each in before))
            for n, (format, before) in of.items()
        ]  # fmt: skip

    assert waits_for(third("TV"), 3) == {2}
    assert waits_for(third("MOVIE"), 3) == {1, 2}
