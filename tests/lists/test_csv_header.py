"""The columns of lists that others have published, by the names that they have there."""

from __future__ import annotations

import pytest

from anime_bert4rec.lists.csv_header import read_header
from anime_bert4rec.support.errors import UserError

OF_MYANIMELIST = (
    "username,anime_id,my_watched_episodes,my_start_date,my_finish_date,my_score,my_status,my_rewatching,"
    "my_rewatching_ep,my_last_updated,my_tags"
)


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (
            OF_MYANIMELIST,
            {"user": 0, "anime_id": 1, "started": 3, "date": 4, "score": 5, "status": 6, "timestamp": 9},
        ),
        (
            "user_id,anime_id,rating,watching_status,watched_episodes",
            {"user": 0, "anime_id": 1, "score": 2, "status": 3},
        ),
        ("uid;series_animedb_id;user_score;list_status", {"user": 0, "mal_id": 1, "score": 2, "status": 3}),
        ("Username\tMedia ID\tcompleted_at\tupdated_at", {"user": 0, "anime_id": 1, "date": 2, "timestamp": 3}),
        ("user,item,watched_at,unix_time,status", {"user": 0, "anime_id": 1, "date": 2, "timestamp": 3, "status": 4}),
        ("user,anilist_id,anime_id", {"user": 0, "anilist_id": 1}),
        ("user_id:token\titem_id:token\trating:float", {"user": 0, "anime_id": 1, "score": 2}),
        ("user:name,anime:title,anime_id,rating:count", {"user": 0, "anime_id": 2}),
        ("user,anime_id,rating,user_rating,episodes", {"user": 0, "anime_id": 1, "score": 3}),
        ("user,anime_id,rating_user,name,rating", {"user": 0, "anime_id": 1, "score": 2}),
        (
            "user,anime_id,watch_status,started_at,finished_at",
            {"user": 0, "anime_id": 1, "status": 2, "started": 3, "date": 4},
        ),
    ],
)
def test_columns_are_known_by_the_names_of_published_lists(tmp_path, names, columns):
    (tmp_path / "lists.csv").write_text(f"{names}\n")
    assert read_header(tmp_path / "lists.csv").columns == columns


@pytest.mark.parametrize(
    ("first", "first_line"),
    [
        ("Ann,1,8,Completed", 1),  # a status is also the name of a column
        ("Ann,1,,Completed", 1),
        ("user,5.0,7,Completed", 1),  # somebody is called so
        ("user,anime,rating,status", 2),
        ("name,anime,rating,watched", 2),
        ("Ann,x,8,9", 1),  # a row with a mistake, to be told of
    ],
)
def test_where_the_columns_are_given_a_first_row_with_an_id_is_no_header(tmp_path, first, first_line):
    (tmp_path / "lists.csv").write_text(f"{first}\n")
    header = read_header(tmp_path / "lists.csv", "user,anime_id,score,status")
    assert (header.first_line, header.columns["status"]) == (first_line, 3)


def test_the_number_of_columns_that_are_given_tells_what_separates_them(tmp_path):
    (tmp_path / "lists.csv").write_text("Ann\t1\tOne, two, three, four\n")
    assert read_header(tmp_path / "lists.csv", "user,anime_id,-").delimiter == "\t"
    assert read_header(tmp_path / "lists.csv", "user,anime_id,-,-").delimiter == ","


def test_which_of_several_columns_is_taken_can_be_said(tmp_path):
    (tmp_path / "lists.csv").write_text("user,anime,anime_id,score,my_score,status\n")
    header = read_header(tmp_path / "lists.csv")
    assert sorted(header.doubtful) == [("anime_id", "anime_id", ["anime"]), ("score", "my_score", ["score"])]


def test_columns_that_mean_nothing_are_known(tmp_path):
    (tmp_path / "lists.csv").write_text("user,anime_id,,rating_x,anime,my_tags\n")
    assert read_header(tmp_path / "lists.csv").not_read == ["rating_x", "my_tags"]
    assert read_header(tmp_path / "lists.csv", "user,anime_id,-,score,-,-").not_read == []
    (tmp_path / "lists.csv").write_text("user,anilist_id,mal_id,score,rating\n")
    assert read_header(tmp_path / "lists.csv").not_read == ["mal_id"], "of the scores it is said which one is taken"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("<?xml version='1.0'?>\n", "XML: an export of MyAnimeList's goes to --mal-xml"),
        ('[{"user": "Ann", "anime_id": 1}]\n', "JSON"),
        ('{"lists": []}\n', "JSON"),
    ],
)
def test_what_is_no_csv_is_said(tmp_path, text, what):
    (tmp_path / "lists.csv").write_text(text)
    with pytest.raises(UserError, match=f"lists.csv is no CSV file, but looks like {what}$"):
        read_header(tmp_path / "lists.csv")
