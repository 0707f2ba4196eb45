"""The overview of the lists: what it shows, and that nothing in it overlaps."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from made_up_runs import shown_texts

from anime_bert4rec.lists.overview import Overview
from anime_bert4rec.plots.data_overview import data_overview


def overview_of(lengths: list[int], popularity: list[int], *counts: int, by_year: dict[int, int]) -> Overview:
    """counts: the entries with a date of their own, those imported together, those without a date."""
    return Overview(np.array(lengths, np.int64), np.array(popularity, np.int64), *counts, by_year)


ANIME = 3000
YEARS = {2001: 1, 2019: 9, 2020: 1, 2021: 1}
THREE = overview_of([4, 10, 9], [3] * 4 + [2] * 5 + [1, 0, 0], 12, 10, 1, by_year=YEARS)


def test_what_is_shown() -> None:
    lengths, dates, tail, years = data_overview(THREE).axes
    assert [text.get_text() for text in lengths.texts] == ["median 9"]
    assert [text.get_text() for text in dates.texts][1::2] == ["52 %", "43 %", "4 %"]
    # 23 entries: the four most popular anime have 12 of them.
    assert [text.get_text() for text in tail.texts] == ["half of all entries: 4 anime\non no list: 2"]
    assert {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in years.patches} == YEARS


def listed(*times: int) -> list[int]:
    return [*times, *[0] * (ANIME - len(times))]


LENGTHS = [user % 90 + 1 for user in range(400)]
OVERVIEWS = {
    "nobody": overview_of([], listed(), 0, 0, 0, by_year={}),
    "one entry": overview_of([1], listed(1), 0, 0, 1, by_year={}),
    "one date": overview_of([1], listed(1), 1, 0, 0, by_year={2020: 1}),
    "three": THREE,
    "many": overview_of(
        LENGTHS,
        [sum(length > anime for length in LENGTHS) for anime in range(ANIME)],
        *(sum(LENGTHS), 0, 0),
        by_year={2010 + since: sum(LENGTHS[since::15]) for since in range(15)},
    ),
    "one long list": overview_of([1999], listed(*[1] * 1999), 0, 0, 1999, by_year={}),
}


@pytest.mark.parametrize("overview", OVERVIEWS.values(), ids=OVERVIEWS)
def test_no_text_covers_another_or_leaves_the_picture(overview: Overview) -> None:
    figure = data_overview(overview)
    boxes = [(text, text.get_window_extent()) for text in shown_texts(figure)]
    assert len(boxes) > 10
    for text, box in boxes:
        assert min(box.x0, box.y0) >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height, text
    for (text, box), (other, another) in itertools.combinations(boxes, 2):
        assert not box.overlaps(another), (text, other)
