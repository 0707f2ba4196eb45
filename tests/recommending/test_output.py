"""The table, JSON and CSV: widths worked out by hand, strangers' text made harmless."""

from __future__ import annotations

import csv
import dataclasses
import io
import json

import pytest

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.lists.scores import FIVE, HUNDRED, TEN
from anime_bert4rec.recommending.output import as_csv, as_json, as_table, columns, fit
from anime_bert4rec.recommending.rows import ForPerson, Reason, RecommendedAnime

BEBOP = Anime(
    1,
    title_romaji="Cowboy Bebop",
    title_english="Cowboy Bebop: The Series",
    title_native="カウボーイビバップ",
    mal_id=1,
    year=1998,
    format="TV",
    episodes=26,
    mean_score=86,
    cover_url="https://s4.anilist.co/bx1.png",
    genres=("Action", "Sci-Fi"),
    site_url="https://anilist.co/anime/1",
)
KYOJIN = Anime(16498, title_native="進撃の巨人", site_url="javascript:alert(1)")
ROWS = [
    RecommendedAnime.of(1, BEBOP, 0.0512345678, [Reason(6, "Trigun"), Reason(7, "進撃")], planned=True),
    RecommendedAnime.of(2, KYOJIN, 0.004, [], planned=False),
]


@pytest.mark.parametrize(
    ("text", "width"),
    [("abc", 3), ("進撃", 4), ("ｶﾞ", 2), ("か\u3099", 2), ("e\u0301", 1), ("a\u200bb", 2), ("", 0), ("🎬", 2)],
)
def test_how_wide_text_is(text, width):
    assert columns(text) == width


@pytest.mark.parametrize(
    ("text", "room", "shown"),
    [
        ("abc", 5, "abc  "),
        ("abcdef", 4, "abc…"),
        ("進撃の巨人", 10, "進撃の巨人"),
        ("進撃の巨人", 8, "進撃の… "),  # half of a wide character is not shown
        ("進撃の巨人", 7, "進撃の…"),
    ],
)
def test_text_is_cut_to_the_column(text, room, shown):
    assert fit(text, room) == shown
    assert columns(fit(text, room)) == room


def test_the_table_for_a_pipe_is_whole():
    assert as_table(ROWS, None).splitlines() == [
        "1  Cowboy Bebop  1998  TV  26 ep  mean: 8.6",
        "   https://anilist.co/anime/1 · Action, Sci-Fi · planned · because of Trigun, 進撃",
        "2  進撃の巨人",
        "   https://anilist.co/anime/16498",
    ]


def test_facts_that_are_too_many_for_a_line_go_on_in_the_next():
    long = dataclasses.replace(BEBOP, format="TV_SHORT", episodes=1000)
    row = RecommendedAnime.of(1, long, 0.5, [], planned=False, predicted=84.2, scale=TEN)
    assert as_table([row], 40).splitlines()[:3] == [
        "1  Cowboy Bebop",
        "   1998  TV_SHORT  1000 ep  mean: 8.6",
        "   you: 8.4 · https://anilist.co/anime/1",
    ]


@pytest.mark.parametrize(
    ("scale", "shown", "value", "mean"),
    [
        (TEN, ["you: 8.4", "you: 10.0"], 8.4, "mean: 8.6"),
        (HUNDRED, ["you: 84", "you: 100"], 84, "mean: 86"),
        (FIVE, ["you: 4.2", "you: 5.0"], 4.2, "mean: 4.3"),
    ],
)
def test_predicted_scores_are_shown_in_the_persons_scale(scale, shown, value, mean):
    rows = [
        RecommendedAnime.of(rank, BEBOP, 0.5, [], planned=False, predicted=score, scale=scale)
        for rank, score in enumerate((84.2, 100.0), 1)
    ]
    first, _, second, _ = as_table(rows, None).splitlines()
    assert first == f"1  Cowboy Bebop  1998  TV  26 ep  {mean}  {shown[0]:>{len(shown[1])}}"
    assert second == f"2  Cowboy Bebop  1998  TV  26 ep  {mean}  {shown[1]}"
    assert all(columns(line) <= 60 for line in as_table(rows, 60).splitlines())
    narrow = as_table(rows, 40).splitlines()
    assert all(columns(line) <= 40 for line in narrow)
    assert narrow[:2] == ["1  Cowboy Bebop", f"   1998  TV  26 ep  {mean}  {shown[0]}"]
    assert [json.loads(as_json(rows, False))[0][key] for key in ("predicted_score", "score_scale")] == [
        value,
        scale.largest,
    ]
    assert next(csv.DictReader(io.StringIO(as_csv(rows))))["predicted_score"] == str(value)


def test_several_people_have_a_score_each():
    each = (
        ForPerson("Ann", 8.4, 10, True),
        ForPerson("Ben", 64.0, 100, False),
        ForPerson("a fan of the titles given", None, None, False),
    )
    row = dataclasses.replace(ROWS[1], for_each=each, planned=True)
    assert as_table([row], None).splitlines()[1] == (
        "   https://anilist.co/anime/16498 · Ann: 8.4, Ben: 64 · planned by Ann"
    )
    assert next(csv.DictReader(io.StringIO(as_csv([row]))))["for_each"] == "Ann: 8.4; Ben: 64"


def test_what_has_no_predicted_score_leaves_its_place_empty():
    rows = [RecommendedAnime.of(1, BEBOP, 0.5, [], planned=False, predicted=70.0), *ROWS[1:]]
    assert "you: 7.0" in as_table(rows, None) and as_table(rows, None).count("you") == 1


LONG = Anime(
    3,
    title_romaji="進撃の巨人 " * 20,
    year=2020,
    format="TV_SHORT",
    episodes=1000,
    mean_score=100,
    genres=("Slice of Life", "Drama"),
)


@pytest.mark.parametrize("width", [40, 60, 79, 80, 200])
def test_the_table_fits_the_terminal(width):
    long = RecommendedAnime.of(100, LONG, 0.5, [Reason(8, "x" * 100)] * 3, planned=True, predicted=100.0)
    lines = as_table([*ROWS, long], width).splitlines()
    assert max(map(columns, lines)) <= width
    first, *below = lines[lines.index(next(line for line in lines if line.startswith("100"))) :]
    title = first.removeprefix("100  ").split("  ")[0]
    assert title.startswith("進撃の巨人 進撃の巨人") and title.endswith("…") and 29 <= columns(title) <= width - 5
    facts = "2020  TV_SHORT  1000 ep  mean: 10.0  you: 10.0"
    assert first.endswith(facts) == (width >= 83)
    assert "".join(below).count("https://anilist.co/anime/3") == 1  # never cut
    assert below[-1].startswith("     xxxx") and below[-1].endswith("x…") == (width < 105)


def test_eighty_columns_have_room_for_thirty_of_a_title():
    row = RecommendedAnime.of(10, dataclasses.replace(LONG, episodes=24, mean_score=85), 0.5, [], False, predicted=84.0)
    first = as_table([row], 80).splitlines()[0]
    title, _, facts = first.removeprefix("10  ").partition("…")
    assert columns(title) >= 29 and facts.strip() == "2020  TV_SHORT  24 ep  mean: 8.5  you: 8.4"


def test_reasons_stand_beside_the_rest_where_there_is_room_and_wrap_where_there_is_none():
    assert as_table(ROWS[:1], 82).splitlines()[1:] == [
        "   https://anilist.co/anime/1 · Action, Sci-Fi · planned · because of Trigun, 進撃"
    ]
    assert as_table(ROWS[:1], 81).splitlines()[1:] == [
        "   https://anilist.co/anime/1 · Action, Sci-Fi · planned",
        "   because of Trigun, 進撃",
    ]
    genres = dataclasses.replace(ROWS[0], genres=("Mystery", "Sci-Fi", "Slice of Life", "Supernatural"), because=())
    assert as_table([genres], 40).splitlines()[-2:] == [
        "   Mystery, Sci-Fi, Slice of Life,",
        "   Supernatural · planned",
    ]
    titles = ["Shingeki no Kyojin", "Hunter x Hunter (2011)", "Trigun"]
    row = dataclasses.replace(ROWS[0], because=tuple(Reason(k, title) for k, title in enumerate(titles)))
    assert as_table([row], 50).splitlines()[-2:] == [
        "   because of Shingeki no Kyojin,",
        "   Hunter x Hunter (2011), Trigun",
    ]
    row = dataclasses.replace(ROWS[0], because=(Reason(1, "86"), Reason(2, "Ijiranaide, Nagatoro-san"), Reason(3, "K")))
    assert as_table([row], None).endswith(" · because of 86; Ijiranaide, Nagatoro-san; K\n"), "which titles, is clear"


def test_what_is_airing_or_not_out_is_marked_in_every_output():
    airing = dataclasses.replace(ROWS[0], release="airing", because=())
    upcoming = dataclasses.replace(ROWS[1], release="not out yet")
    rows = [airing, upcoming]
    assert as_table(rows, 80).splitlines()[1::2] == [
        "   https://anilist.co/anime/1 · Action, Sci-Fi · airing · planned",
        "   https://anilist.co/anime/16498 · not out yet",
    ]
    assert [row["release"] for row in json.loads(as_json([*rows, ROWS[0]], ascii_only=False))] == [
        "airing",
        "not out yet",
        None,
    ]
    assert [row["release"] for row in csv.DictReader(io.StringIO(as_csv([*rows, ROWS[0]])))] == [
        "airing",
        "not out yet",
        "",
    ]


@pytest.mark.parametrize(
    ("width", "below"),
    [
        (200, ["https://anilist.co/anime/154587 · next season · planned · because of Trigun"]),
        (80, ["https://anilist.co/anime/154587 · next season · planned · because of Trigun"]),
        (77, ["https://anilist.co/anime/154587 · next season · planned", "because of Trigun"]),
        (50, ["https://anilist.co/anime/154587 · next season", "planned · because of Trigun"]),
        (40, ["https://anilist.co/anime/154587", "next season · planned", "because of Trigun"]),
    ],
)
def test_marks_stand_on_a_line_of_their_own_where_there_is_no_room(width, below):
    anime = Anime(154587, title_romaji="x")
    row = RecommendedAnime.of(1, anime, 0.1, [Reason(6, "Trigun")], planned=True, release="next season")
    lines = as_table([row], width).splitlines()
    assert lines[1:] == ["   " + line for line in below]
    assert max(map(columns, lines)) <= width


def test_json_is_a_list_of_objects():
    first, second = json.loads(as_json(ROWS, ascii_only=False))
    assert first == {
        "rank": 1,
        "anime_id": 1,
        "title": "Cowboy Bebop",
        "score": 0.0512346,
        "because": [{"anime_id": 6, "title": "Trigun"}, {"anime_id": 7, "title": "進撃"}],
        "year": 1998,
        "format": "TV",
        "genres": ["Action", "Sci-Fi"],
        "url": "https://anilist.co/anime/1",
        "planned": True,
        "release": None,
        "predicted_score": None,
        "score_scale": None,
        "mal_id": 1,
        "title_romaji": "Cowboy Bebop",
        "title_english": "Cowboy Bebop: The Series",
        "title_native": "カウボーイビバップ",
        "episodes": 26,
        "mean_score": 86,
        "cover_url": "https://s4.anilist.co/bx1.png",
        "for_each": [],
    }
    assert second["year"] is None and second["because"] == []
    assert json.loads(as_json(ROWS, ascii_only=True)) == [first, second]
    assert as_json(ROWS, ascii_only=True).isascii()


def test_csv_has_a_header_and_a_line_a_row():
    rows = list(csv.DictReader(io.StringIO(as_csv(ROWS))))
    assert list(rows[0]) == [
        "rank",
        "anime_id",
        "title",
        "score",
        "because",
        "year",
        "format",
        "genres",
        "url",
        "planned",
        "release",
        "predicted_score",
        "score_scale",
        "mal_id",
        "title_romaji",
        "title_english",
        "title_native",
        "episodes",
        "mean_score",
        "cover_url",
        "for_each",
    ]
    assert rows[0]["because"] == "Trigun; 進撃" and rows[0]["genres"] == "Action; Sci-Fi"
    assert rows[0]["planned"] == "yes" and rows[1]["planned"] == "no"
    assert rows[1]["year"] == ""


def of_texts(title, *genres, because=(), format="TV"):
    row = RecommendedAnime.of(
        1, Anime(1, title_romaji="x", year=-5), 0.1, [Reason(2, each) for each in because], planned=False
    )
    return dataclasses.replace(row, title=title, genres=genres, format=format)


FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


@pytest.mark.parametrize("begin", [*FORMULA, "\t", "\r", " ="])
def test_a_spreadsheet_shows_a_text_that_looks_like_a_formula(begin):
    evil = f"{begin}HYPERLINK(A1)"
    row = of_texts(evil, "Drama", evil, because=["Trigun", evil, f"of; {evil}"], format=evil)
    (read,) = csv.DictReader(io.StringIO(as_csv([row]).replace("\r", "\f"), newline=""))
    evil = evil.replace("\r", "\f")
    assert read["title"] == read["format"] == f"'{evil}"
    if begin != " =":
        assert read["genres"] == f"Drama; '{evil}"
        assert read["because"] == f"Trigun; '{evil}; of; '{evil}"
    assert read["year"] == "-5", "a number stays one"


@pytest.mark.parametrize("title", ["a;=1+1", 'a;"=1+1', "a; =1", "a,-1", "a|@x", "a\t+1", 'a;""=1', "a, ; =1", "a\n=1"])
@pytest.mark.parametrize("separator", ",;|\t")
def test_nor_is_one_where_another_character_ends_a_cell(title, separator):
    text = as_csv([dataclasses.replace(of_texts(title), year=None)])
    cells = [cell for line in csv.reader(io.StringIO(text, newline=""), delimiter=separator) for cell in line]
    assert not [cell for cell in cells if cell.lstrip('" \n').startswith(FORMULA)]


def test_other_texts_stay_as_they_are():
    row = of_texts("Re:Zero -Starting Life- 2+2=4 a@b", "Sci-Fi", "Slice of Life", because=["Steins;Gate", "K-On!"])
    (read,) = csv.DictReader(io.StringIO(as_csv([row])))
    assert read["title"] == row.title and read["genres"] == "Sci-Fi; Slice of Life"
    assert read["because"] == "Steins;Gate; K-On!"
    assert json.loads(as_json([of_texts("=1", "-2")], ascii_only=False))[0]["title"] == "=1"
