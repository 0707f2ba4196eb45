"""The overview of the lists: its counts by hand, and that nothing in it overlaps."""

from __future__ import annotations

import itertools

import pytest
from made_up_runs import shown_texts

from anime_bert4rec.lists.sequences import Vocabulary, WatchedRow
from anime_bert4rec.plots.data_overview import data_overview, read_overview


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


def test_what_is_shown() -> None:
    lengths, dates, tail, years = data_overview(read_overview(ROWS, Vocabulary.of(range(1, 13)))).axes
    assert [text.get_text() for text in lengths.texts] == ["median 9"]
    assert [text.get_text() for text in dates.texts][1::2] == ["52 %", "43 %", "4 %"]
    # 23 entries: the four most popular anime have 12 of them.
    assert [text.get_text() for text in tail.texts] == ["half of all entries: 4 anime\non no list: 2"]
    assert {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in years.patches} == {
        2001: 1, 2019: 9, 2020: 1, 2021: 1,
    }  # fmt: skip


MANY = [
    row(user, anime, 20100000 + 10_000 * (user % 15) + 101 + anime % 25)
    for user in range(400)
    for anime in range(user % 90 + 1)
]


@pytest.mark.parametrize(
    "rows",
    [[], [row(1, 1)], [row(1, 1, 20200101)], ROWS, MANY, [row(1, k) for k in range(1, 2000)]],
    ids=["nobody", "one entry", "one date", "three", "many", "one long list"],
)
def test_no_text_covers_another_or_leaves_the_picture(rows: list[WatchedRow]) -> None:
    figure = data_overview(read_overview(rows, Vocabulary.of(range(1, 3001))))
    boxes = [(text, text.get_window_extent()) for text in shown_texts(figure)]
    assert len(boxes) > 10
    for text, box in boxes:
        assert min(box.x0, box.y0) >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height, text
    for (text, box), (other, another) in itertools.combinations(boxes, 2):
        assert not box.overlaps(another), (text, other)
