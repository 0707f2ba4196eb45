"""What was known of a list on a day, and what others had started before it."""

from __future__ import annotations

import dataclasses
import math
import time

import numpy as np
import pytest

from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.dates import day_of
from anime_bert4rec.lists.recent_starts import FEWEST_RECENT, LEAST
from anime_bert4rec.lists.records import Anime, CataloguePage, ListEntry, UserList
from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.recommending.moment import Moment, known_on
from anime_bert4rec.recommending.person import Person

ITEMS = Vocabulary.of(range(1, 7))
CATALOGUE = [Anime(number, season="SPRING", year=2020) for number in range(1, 7)]
DAY = 20200501


def seconds(date):
    return day_of(date) * 86_400


@pytest.mark.parametrize(
    ("dates", "known"),
    [
        ({}, True),  # nothing tells when it came to the list
        ({"started": DAY}, True),
        ({"started": 20200502}, False),
        ({"started": 20200500, "completed": 20200502}, False),  # of the month alone it is not known whether before
        ({"started": 20200400, "completed": 20200430}, True),
        ({"completed": DAY}, True),
        ({"completed": 20200502}, False),
        ({"created": seconds(DAY) + 86_399}, True),
        ({"created": seconds(20200502)}, False),
        ({"created": seconds(20200502), "completed": 20200301}, True),  # seen before it was put on the list
        ({"created": seconds(20200502), "completed": DAY, "updated": seconds(20240502)}, True),
        ({"updated": seconds(DAY)}, True),
        ({"updated": seconds(20200502)}, False),
        ({"started": 20200301, "updated": seconds(20200601)}, True),
        ({"started": 20200600, "completed": 20200700, "created": seconds(20190101)}, False),  # of June, on whatever day
        ({"started": 20210000}, False),
        ({"started": 20200500, "created": seconds(20190101)}, True),
    ],
)
def test_what_was_known(dates, known):
    entry = ListEntry(1, 1, "COMPLETED", 80, **dates)
    assert known_on(DAY, [entry]) == ([entry] if known else [])


def test_what_was_completed_later_was_being_watched():
    (entry,) = known_on(DAY, [ListEntry(1, 1, "COMPLETED", 80, 12, started=20200401, completed=20200601)])
    assert entry == ListEntry(1, 1, "CURRENT", None, 12, started=20200401)
    planned = ListEntry(2, 2, "PLANNING", created=seconds(20200401))
    assert known_on(DAY, [planned]) == [planned]


@pytest.fixture
def database(tmp_path):
    with Database.open(tmp_path / "bert.db", create=True) as database:
        fetch = database.resume_or_start_catalogue_fetch("ID", 6)
        database.save_catalogue_page(fetch.fetch_id, CataloguePage(tuple(CATALOGUE), None))
        yield database


def load(database, name, *entries):
    number = 1 + len(database.users())
    return database.save_user_list(UserList(number, name, entries), name, int(time.time()), 0).user_id


def starts_of(name, *started):
    return (ListEntry(number, anime, "COMPLETED", **dates) for number, (anime, dates) in enumerate(started, 1))


def person(*started):
    days = {anime: day_of(date) for anime, date in started}
    return Person(tuple(days), frozenset(days), frozenset(days), started=days)


def test_a_list_that_is_loaded_today_counts_at_once(database):
    for number in range(FEWEST_RECENT):
        load(database, f"user{number}", *starts_of("", (3, {"started": 20200430})))
    me = person((1, 20200401))
    of_day = Moment(database, CATALOGUE, ITEMS, DAY).of_person(me)
    one_day_old = math.exp(-1 / 3) / 3 + 2 / 30 * math.exp(-1 / 30)
    assert of_day[:, 0].tolist() == pytest.approx(
        [math.log(LEAST)] * 2 + [math.log(FEWEST_RECENT * one_day_old + LEAST)] + [math.log(LEAST)] * 3, rel=1e-5
    )
    load(database, "later", *starts_of("", (5, {"created": seconds(20200430)}), (6, {"started": DAY})))
    now = Moment(database, CATALOGUE, ITEMS, DAY).of_person(me)
    assert now[4, 0] == pytest.approx(math.log(one_day_old + LEAST), rel=1e-5)
    assert np.array_equal(np.delete(now, 4, 0), np.delete(of_day, 4, 0))  # what is started today is not counted yet


def test_the_own_stored_list_does_not_count(database):
    for number in range(FEWEST_RECENT):
        load(database, f"user{number}", *starts_of("", (3, {"started": 20200430})))
    mine = load(database, "me", *starts_of("", (4, {"started": 20200430})))
    moment, me = Moment(database, CATALOGUE, ITEMS, DAY), person((1, 20200401))
    stored = moment.of_person(dataclasses.replace(me, user_id=mine))
    assert stored[3, 0] == pytest.approx(math.log(LEAST)) and moment.of_person(me)[3, 0] > stored[3, 0]


def test_nothing_counts_where_too_little_is_known(database):
    load(database, "one", *starts_of("", (3, {"started": 20200430})))
    assert Moment(database, CATALOGUE, ITEMS, DAY).of_person(person((1, 20200401))) is None
    for number in range(FEWEST_RECENT):
        load(database, f"user{number}", *starts_of("", (3, {"started": 20200430})))
    moment = Moment(database, CATALOGUE, ITEMS, DAY)
    assert moment.of_person(person()) is None and moment.of_person(person((1, DAY))) is None
    me = person((1, 20200401), (77, 20190401))
    assert np.array_equal(moment.of_person(me), moment.of_person(person((1, 20200401)))), "77 is not known"
    imported = person(*((number, 20200401) for number in range(1, 11)))
    assert moment.of_person(imported) is not None, "a day of import, too, says that the person goes by days"
    assert Moment(database, CATALOGUE, ITEMS, 20190501).of_person(person((1, 20180401))) is None
    for first_or_last in (10101, 99991231):
        assert Moment(database, CATALOGUE, ITEMS, first_or_last).of_person(person((1, 20180401))) is None
