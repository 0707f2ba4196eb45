"""What is counted over the lists, by hand."""

from __future__ import annotations

from anime_bert4rec.lists.overview import read_overview
from anime_bert4rec.lists.sequences import Vocabulary, WatchedRow


def row(user: int, anime: int, completed: int | None = None, updated: int | None = None) -> WatchedRow:
    return (user, anime, 1000 * user + anime, completed, None, updated, None)


ROWS = [
    row(1, 1, 20200101),
    row(1, 2, 20210600),
    row(1, 3),
    row(1, 4, None, 1_000_000_000),  # in 2001
    *(row(2, anime, 20190505) for anime in range(1, 11)),  # ten on one day: imported together
    *(row(3, anime, 20190505) for anime in range(1, 10)),  # nine: a long day
]


def test_counts_by_hand() -> None:
    overview = read_overview(ROWS, Vocabulary.of(range(1, 13)))
    assert overview.lengths.tolist() == [4, 10, 9]
    assert overview.popularity.tolist() == [3, 3, 3, 3, 2, 2, 2, 2, 2, 1, 0, 0]
    assert (overview.own_date, overview.bulk, overview.undated) == (12, 10, 1)
    assert overview.by_year == {2001: 1, 2019: 9, 2020: 1, 2021: 1}
