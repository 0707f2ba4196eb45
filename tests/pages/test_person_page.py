"""What is on the page of a person, and from where its covers may come."""

from __future__ import annotations

import dataclasses

import pytest
from small_pages import ON_HOST, a_person, data_of, some_anime, some_map, some_rows

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.pages.person_page import cover_of, person_page
from anime_bert4rec.recommending.rows import ForPerson


def test_cards_by_hand():
    catalogue = some_anime(12)
    html = person_page(some_rows(catalogue, 4), catalogue, ["x\x1b[2Jy"], [5], "2026-01-02")
    data = data_of(html)
    assert (data["names"], data["made"], data["map"], data["lit"]) == (["xy"], "2026-01-02", None, [])
    assert (data["scale"], data["image_host"], data["links"]) == (10, None, True)
    ids = data["titles"]["id"]
    assert [ids[each] for each in data["given"]] == [5]
    assert [ids[card["title"]] for card in data["cards"]] == [1, 2, 3, 4]
    assert [ids[each] for each in data["cards"][0]["because"]] == [10, 11, 12]
    assert [card["planned"] for card in data["cards"]] == [False, False, False, True]
    assert [card["release"] for card in data["cards"]] == [None, "airing", None, None]
    assert data["cards"][3]["predicted"] == 8.9  # 89 of 100
    assert not any(card["each"] for card in data["cards"])
    assert not any(card["cover"] for card in data["cards"])


def test_of_several_people_each_has_a_score():
    catalogue = some_anime(12)
    each = (ForPerson("Ann", 7.123, 10, True), ForPerson("Bob", None, None, False))
    rows = [dataclasses.replace(row, for_each=each) for row in some_rows(catalogue, 1)]
    data = data_of(person_page(rows, catalogue, ["Ann", "Bob"], [], "2026-01-02"))
    assert data["cards"][0]["each"] == [["Ann", 7.12, 10, True], ["Bob", None, None, False]]


def test_the_list_is_lit_up_where_it_is_on_the_map():
    catalogue = some_anime(12)
    html = person_page(some_rows(catalogue, 2), catalogue, ["x"], [], "2026-01-02", [3, 11, 99], some_map(10))
    data = data_of(html)
    assert data["titles"]["id"][:10] == list(range(1, 11))
    assert [data["titles"]["id"][each] for each in data["lit"]] == [3, 11]  # 11 as a reason; no 99
    assert len(data["map"]["x"]) == 10


def test_covers_are_shown_when_asked_for_and_of_one_host():
    assert ON_HOST not in a_person()
    shown = [card["cover"] for card in data_of(a_person(4, 12, covers=True))["cards"]]
    assert shown == [ON_HOST, None, ON_HOST.replace("bx1", "bx3"), None]


def test_without_any_cover_the_page_loads_nothing_and_does_not_say_that_it_does(caplog):
    caplog.set_level("INFO")
    catalogue = [dataclasses.replace(each, cover_url=None) for each in some_anime(12)]
    html = person_page(some_rows(catalogue, 2), catalogue, ["x"], [], "2026-01-02", covers=True)
    assert data_of(html)["image_host"] is None and "https://s4" not in html
    assert caplog.messages == ["The page has no cover pictures: the catalogue knows of none of these titles."]


@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        "http://s4.anilist.co/a.jpg",
        "https://s4.anilist.co.evil.example/a.jpg",
        "https://s4.anilist.co@evil.example/a.jpg",
        "https://s4.anilist.co:8443/a.jpg",
        "https://evil.example/https://s4.anilist.co/a.jpg",
        "https://s4.anilist.co/a.jpg?who=me",
        "https://s4.anilist.co/a.jpg\n",
        'https://s4.anilist.co/a"onerror=.jpg',
        "https://s4.anilist.co/" + "a" * 400,
        "javascript:alert(1)",
    ],
)
def test_no_other_address_is_a_cover(address):
    assert cover_of(Anime(1, cover_url=address)) is None
    assert cover_of(Anime(1, cover_url=ON_HOST)) == ON_HOST


def test_what_is_like_a_title_is_for_nobody():
    catalogue = some_anime(10)
    data = data_of(person_page(some_rows(catalogue, 2), catalogue, [], [5], "2026-01-02", similar=True))
    assert data["similar"] and not data["names"]
