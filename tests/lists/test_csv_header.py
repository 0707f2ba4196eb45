"""The columns of lists that others have published, by the names that they have there."""

from __future__ import annotations

import pytest

from anime_bert4rec.lists.csv_header import read_header

OF_MYANIMELIST = (
    "username,anime_id,my_watched_episodes,my_start_date,my_finish_date,my_score,my_status,my_rewatching,"
    "my_rewatching_ep,my_last_updated,my_tags"
)


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (
            OF_MYANIMELIST,
            {"user": 0, "anime_id": 1, "date": 4, "score": 5, "status": 6, "timestamp": 9},
        ),
        (
            "user_id,anime_id,rating,watching_status,watched_episodes",
            {"user": 0, "anime_id": 1, "score": 2, "status": 3},
        ),
        ("uid;series_animedb_id;user_score;list_status", {"user": 0, "mal_id": 1, "score": 2, "status": 3}),
        ("Username\tMedia ID\tcompleted_at\tupdated_at", {"user": 0, "anime_id": 1, "date": 2, "timestamp": 3}),
        ("user,item,watched_at,unix_time,status", {"user": 0, "anime_id": 1, "date": 2, "timestamp": 3, "status": 4}),
        ("user,anilist_id,anime_id", {"user": 0, "anilist_id": 1}),
    ],
)
def test_columns_are_known_by_the_names_of_published_lists(tmp_path, names, columns):
    (tmp_path / "lists.csv").write_text(f"{names}\n")
    assert read_header(tmp_path / "lists.csv").columns == columns
