"""What is counted over the lists, by hand."""

from __future__ import annotations

import numpy as np

from anime_bert4rec.lists.overview import length_edges, read_overview, usual_years
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
    row(3, 10, 20200202),
]


def test_counts_by_hand() -> None:
    """Over two parts, for the last person always comes alone."""
    overview = read_overview(ROWS, Vocabulary.of(range(1, 13)))
    assert overview.lengths.tolist() == [4, 10, 10]
    assert overview.popularity.tolist() == [3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 0, 0]
    assert (overview.own_date, overview.bulk, overview.undated) == (13, 10, 1)
    assert overview.by_year == {2001: 1, 2019: 9, 2020: 2, 2021: 1}


def test_years_before_and_after_all_that_have_many_entries_are_unusual() -> None:
    """Of at most 1,000 entries a year, two are many."""
    by_year = {2031: 1, 2020: 1_000, 1970: 1, 2018: 2, 2019: 0, 2022: 2}
    assert list(usual_years(by_year).items()) == [(2018, 2), (2019, 0), (2020, 1_000), (2022, 2)]


def test_lengths_are_in_at_most_thirty_bins_from_the_shortest_to_the_longest() -> None:
    assert length_edges(np.array([5, 3, 4])).tolist() == [3, 4, 5, 6]
    edges = length_edges(np.array([100, 99_999]))
    assert len(edges) == 31 and (edges[0], edges[10], edges[20], edges[30]) == (100, 1_000, 10_000, 100_000)
