"""Titles as people type them: the right anime, or a question, never a guess."""

from __future__ import annotations

import dataclasses
import time

import pytest
from titles_to_search import CATALOGUE, anime

from anime_bert4rec.recommending.title_search import TitleSearch

SEARCH = TitleSearch(CATALOGUE)


def meant(typed):
    match = SEARCH.find(typed)
    return match.anime and match.anime.anime_id


def candidates(typed):
    match = SEARCH.find(typed)
    assert match.anime is None
    return [each.anime_id for each in match.others]


CLEAR = {
    "cowboy bebop": 1,
    "COWBOY  BEBOP!": 1,
    "カウボーイビバップ": 1,
    "ｃｏｗｂｏｙ　ｂｅｂｏｐ": 1,
    "bebop": 1,
    "bebop movie": 5,
    "steinsgate": 9,
    "steins gate 0": 10,
    "steins gate season 2": 10,
    "naruto": 20,
    "ナルト": 20,
    "Naruto Shippuuden": 21,
    "naruto season 2": 21,
    "boruto": 22,
    "one piece": 23,
    "one piece special": 24,
    "naruto shippūden": 21,
    "Attack on Titan": 30,
    "進撃の巨人": 30,
    "进击的巨人": 30,
    "AoT": 30,
    "snk": 30,
    "aot season 1": 30,
    "aot s2": 31,
    "進撃の巨人 第2期": 31,
    "进击的巨人 第二季": 31,
    "attack on titan season 3": 32,
    "attack on titan 3rd season": 32,
    "attack on titan III": 32,
    "aot season three part two": 33,
    "aot season 4": 34,
    "attack on titan final season": 34,
    "aot final season part 2": 35,
    "BNHA": 40,
    "MHA": 40,
    "我的英雄學院": 40,
    "mha season 2": 41,
    "my hero academia 2": 41,
    "OPM": 50,
    "one punch man second season": 51,
    "bna": 53,
    "SAO": 60,
    "sword art online season 2": 61,
    "sao 3": 63,
    "alicization": 63,
    "hunter x hunter": 71,
    "HxH": 71,
    "hunter x hunter 1999": 70,
    "Fruits Basket season 2": 74,
    "fruits basket 2001": 72,
    "Fullmetal Alchemist": 80,
    "FMAB": 81,
    "fullmetal alchemist 2009": 81,
    "unlimited blade works": 92,
    "UBW": 92,
    "K-ON": 100,
    "k-on!!": 101,
    "k-on season 2": 101,
    "けいおん": 100,
    "K": 102,
    "86": 103,
    "86 part 2": 104,
    "86 season 1": 103,
    "91 days": 105,
    "mob psycho 100": 106,
    "mob psycho 100 season 2": 107,
    "demon slayer": 110,
    "KnY": 110,
    "鬼灭之刃": 110,
    "Kaguya-sama": 111,
    "kaguya sama season 2": 112,
    "Re:Zero": 113,
    "rezero": 113,
    "turn a gundam": 116,
    "ＤＥＡＴＨ　ＮＯＴＥ": 117,
    "デスノート": 117,
    "LoGH": 118,
    "JJK": 119,
    "your name": 120,
    "你的名字": 120,
    "code geass": 121,
    "code geass season 2": 122,
    "NGE": 124,
    "evangelion": 124,
    "idolmaster": 126,
    "spice & wolf": 127,
    # slips
    "cowbow bebop": 1,
    "shingeki no kyojn": 30,
    "atack on titan season 2": 31,
    "fullmetal alchemsit brotherhood": 81,
}


@pytest.mark.parametrize(("typed", "anime_id"), CLEAR.items(), ids=CLEAR)
def test_what_is_clear(typed, anime_id):
    assert meant(typed) == anime_id


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("fruits basket", [73, 72]),  # a remake that is not much better known
        ("fate", [90, 92, 93]),
        ("gundam", [115, 114]),
        ("sword", [60]),  # little of a title, though no other has it
        ("development", [52]),
        ("boru", []),
        ("attack on titan season 9", [30, 31]),
        ("steins gate season 3", [9]),
        ("death note 2", [117]),
        ("code", [121, 123]),
        ("love live season 2", [133]),  # of which?
        ("ワンピース", [23, 24]),  # a special alone has the franchise's name in this spelling
        ("dungeon meshi", [25]),  # the first season goes by another name
        ("naruto season 3", [20, 21]),  # a sequel of another name is no season
        ("kyojin", [30]),
        ("monster", [52]),  # nobody's, where the one of that name is missing
        ("geass", [121, 123]),
        ("hunter c hunter", [71]),  # a letter alone is no slip
    ],
)
def test_what_is_not_clear_is_asked_the_best_known_first(typed, first):
    assert candidates(typed)[: len(first)] == first


@pytest.mark.parametrize("typed", ["naruko", "narutow", "deth nte", "code gaess", "鬼滅之刀"])
def test_what_is_not_found_is_asked_with_the_three_nearest(typed):
    match = SEARCH.find(typed)
    assert match.anime is None and match.alike
    assert 1 <= len(match.others) <= 3


@pytest.mark.parametrize("typed", ["!?", "", "   ", "龘龘龘"])
def test_nothing_at_all(typed):
    match = SEARCH.find(typed)
    assert (match.anime, match.others) == (None, ())


def test_a_much_better_known_namesake_is_taken_and_the_other_is_named():
    match = SEARCH.find("hunter x hunter")
    assert match.anime.anime_id == 71
    assert [each.anime_id for each in match.others] == [70]


@pytest.mark.parametrize(
    ("typed", "anime_id"),
    [
        ("Kumo no Machi (TV)", 1),
        ("Kumo no Machi (TV): Kaze", 2),
        ("Kumo no Machi (2022)", 3),
        ("kumo no machi", None),
        ("Tsuki 1/2 (2024)", 5),
        ("Tsuki1/2", 5),
        ("tsuki 1/2", None),
        ("Umi (TV)", 6),
    ],
)
def test_a_title_as_it_is_printed_and_namesakes(typed, anime_id):
    """What stands in brackets tells namesakes apart; punctuation alone doesn't, unless it is all of one franchise."""
    search = TitleSearch(
        [
            anime(1, "Kumo no Machi (TV)", year=2015, popularity=50),
            anime(2, "Kumo no Machi (TV): Kaze", year=2016, popularity=90),
            anime(3, "Kumo no Machi (2022)", year=2022, popularity=40),
            anime(4, "Tsuki ½", year=1989, popularity=50),
            anime(5, "Tsuki1/2 (2024)", year=2024, popularity=60),
            anime(6, "Umi", year=2001, popularity=3),
        ]
    )
    found = search.find(typed).anime
    assert (found and found.anime_id) == anime_id


@pytest.mark.parametrize("typed", ["風の街2", "風の街 2", "風の街 第二季"])
def test_a_number_straight_after_a_script_without_spaces_is_a_season(typed):
    first = anime(1, "Kaze no Machi", native="風の街", year=2016, popularity=800)
    second = anime(2, "Kaze no Machi Dai 2-ki", native="風の街 第2期", year=2018, popularity=300)
    assert TitleSearch([first, second]).find(typed).anime.anime_id == 2


@pytest.mark.parametrize("missing", [50, 51, 40, 41])
def test_what_is_missing_is_never_replaced_by_a_weak_match(missing):
    """OPM without One Punch Man is no develOPMent, and BNHA without Boku no Hero Academia is not BNA."""
    search = TitleSearch(each for each in CATALOGUE if each.anime_id not in (missing, missing + 1, missing - 1))
    for typed in ("OPM", "BNHA", "one punch man season 2", "my hero academia season 2"):
        found = search.find(typed).anime
        assert found is None or found.anime_id in (40, 41, 50, 51)


def test_an_abbreviation_of_what_few_know_is_asked():
    search = TitleSearch([*CATALOGUE, anime(900, "Yoru no Zoo Quest", year=2000, popularity=1)])
    assert search.find("yzq").anime is None
    known = TitleSearch([*CATALOGUE, anime(900, "Yoru no Zoo Quest", year=2000, popularity=500)])
    assert known.find("yzq").anime.anime_id == 900


def test_initials_that_a_well_known_subtitle_has_too_are_asked():
    """EoE is The End of Evangelion at least as much as Eden of the East."""
    east = anime(901, "Higashi no Eden", "Eden of The East", year=2009, popularity=105)
    end = anime(902, "Evangelion Movie: Air", "Evangelion: The End of Evangelion", year=1997, popularity=231)
    match = TitleSearch([*CATALOGUE, east, end]).find("eoe")
    assert match.anime is None
    assert {each.anime_id for each in match.others} == {901, 902}


def test_a_numbered_season_comes_before_a_final_one_that_was_only_counted():
    first = anime(903, "Kaze no Machi", year=2016, popularity=800)
    second = dataclasses.replace(anime(904, "Kaze no Machi 2", year=2022, popularity=230), year=None, start_date=None)
    final = anime(905, "Kaze no Machi FINAL SEASON", year=2025, popularity=98)
    search = TitleSearch([first, second, final])
    assert search.find("kaze no machi season 2").anime.anime_id == 904
    assert search.find("kaze no machi final season").anime.anime_id == 905
    assert TitleSearch([first, final]).find("kaze no machi 2").anime.anime_id == 905


def test_a_season_without_a_date_is_the_last():
    first = anime(903, "Kaze no Machi", year=2016, popularity=800, sequel=[904, 905])
    announced = dataclasses.replace(anime(904, "Kaze no Machi: Kai", year=1, popularity=9), year=None, start_date=None)
    second = dataclasses.replace(anime(905, "Kaze no Machi: Zoku", year=2018, popularity=230), start_date=None)
    search = TitleSearch([first, announced, second])
    assert [search.find(f"kaze no machi season {n}").anime.anime_id for n in (2, 3)] == [905, 904]


def test_an_exact_title_comes_before_a_synonym():
    search = TitleSearch(
        [
            anime(1, "Nana", year=2006, popularity=5),
            anime(2, "Nanatsu no Iro", year=2010, popularity=500, synonyms=("NANA",)),
        ]
    )
    assert search.find("nana").anime.anime_id == 1


def test_the_beginning_of_a_film_without_relations_is_not_clear():
    film = anime(1, "ワンピース ハート", year=2016, popularity=20, format="SPECIAL")
    series = anime(2, "ONE PIECE", year=1999, popularity=900)
    assert TitleSearch([film, series]).find("ワンピース").anime is None
    assert TitleSearch([film, series]).find("ワンピース ハート").anime.anime_id == 1
    movie = anime(3, "風の谷のナウシカ 完全版", year=1984, popularity=200, format="MOVIE")
    assert TitleSearch([movie, series]).find("風の谷のナウシカ").anime.anime_id == 3


def test_relations_in_a_circle_have_an_end():
    circle = [
        anime(n, f"Around {n}", year=2000 + n, popularity=40 - 10 * n, sequel=[n % 3 + 1], prequel=[(n + 1) % 3 + 1])
        for n in (1, 2, 3)
    ]
    search = TitleSearch(circle)
    assert search.find("around").anime.anime_id == 1  # all come before each other: the best known
    assert search.find("around season 7").anime is None


def test_without_popularity_nobody_is_much_better_known():
    unknown = [dataclasses.replace(each, popularity=None) for each in CATALOGUE]
    assert TitleSearch(unknown).find("hunter x hunter").anime is None
    assert TitleSearch(unknown).find("cowboy bebop").anime.anime_id == 1


def test_endless_titles_and_questions_have_an_end():
    long = [anime(n, "a" * 100_000 + str(n), year=2000, popularity=n) for n in range(20)]
    long += [anime(100 + n, "season 2 " * 20_000, year=2000, popularity=n) for n in range(20)]
    search = TitleSearch(long)
    before = time.process_time()
    for typed in ("a" * 100_000, "season 2 " * 20_000, "a " * 50_000, "2 " * 9_999):
        assert search.find(typed).anime is None
    assert time.process_time() - before < 30


@pytest.mark.parametrize(
    ("typed", "taken", "asked"),
    [
        ("bagidekomup", True, False),
        ("bagidekomut", True, False),  # 20 of 22 letters: 0.91
        ("bagidekosut", False, True),  # 18 of 22: 0.82
        ("bagitarasut", False, True),  # 10 of 22: 0.455
        ("bagitarasat", False, False),  # 8 of 22: 0.36
    ],
)
def test_one_slip_in_ten_letters_is_taken_and_several_are_asked_about(typed, taken, asked):
    found = TitleSearch(
        [anime(1, "Bagidekomup", year=2001, popularity=9), anime(2, "Zzz", year=2001, popularity=9)]
    ).find(typed)
    assert (found.anime is not None, bool(found.others)) == (taken, asked)
