"""Near points stay near on the map, and names overlap nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anime_bert4rec.plots.map_layout import (
    force_layout,
    framed,
    nearest,
    nearest_first,
    place_labels,
    spread_apart,
)


def clusters(each: int) -> np.ndarray:
    """Three groups of points around directions at right angles to each other."""
    random = np.random.default_rng(0)
    return np.concatenate([np.eye(6)[k] + random.normal(0, 0.1, (each, 6)) for k in range(3)])


def lay_out(points: np.ndarray) -> np.ndarray:
    return framed(force_layout(points))


def test_nearest_by_hand() -> None:
    points = np.array([[1, 0], [5, 1], [0, 1], [1, 9.0]])  # by direction, whatever the length
    assert nearest(points, 1).ravel().tolist() == [1, 0, 3, 2]
    assert nearest_first(points, 3).tolist() == [[1, 3, 2], [0, 3, 2], [3, 1, 0], [2, 1, 0]]
    assert nearest_first(points, 0).shape == (4, 0)


def test_clusters_stay_together_and_apart() -> None:
    place = lay_out(clusters(30))
    assert place.shape == (90, 2) and np.abs(place).max() <= 1
    group = np.repeat([0, 1, 2], 30)
    distance = np.linalg.norm(place[:, None] - place, axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (group[distance.argmin(1)] == group).mean() > 0.95
    np.testing.assert_array_equal(lay_out(clusters(30)), place)


def test_what_hardly_changed_stays_where_it_was() -> None:
    points, random = clusters(30), np.random.default_rng(1)
    layout = force_layout(points)
    changed = points + random.normal(0, 0.01, points.shape)
    again, anew = (
        np.median(np.linalg.norm(framed(each) - framed(layout), axis=1))
        for each in (force_layout(changed, layout), force_layout(changed))
    )
    assert again < 0.05 < anew
    np.testing.assert_array_equal(force_layout(changed, np.full((90, 2), np.nan)), force_layout(changed))


def test_what_is_new_comes_to_its_neighbours() -> None:
    points, group = clusters(30), np.repeat([0, 1, 2], 30)
    start = force_layout(points)
    new = np.array([0, 40, 80])
    start[new] = np.nan
    place = force_layout(points, start)
    distance = np.linalg.norm(place[new, None] - place, axis=2)
    distance[:, new] = np.inf
    assert group[distance.argmin(1)].tolist() == group[new].tolist()


def test_where_less_than_half_had_a_place_all_is_laid_out_anew() -> None:
    """Begun at a map of a few titles, the many new ones would stay in a heap."""
    points, start = clusters(30), force_layout(clusters(30))
    start[45:] = np.nan
    assert (force_layout(points, start) != force_layout(points)).any()
    start[44:] = np.nan
    np.testing.assert_array_equal(force_layout(points, start), force_layout(points))


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 13])
def test_few_points_have_places_too(size: int) -> None:
    place = lay_out(np.random.default_rng(0).normal(size=(size, 5)))
    assert place.shape == (size, 2) and np.isfinite(place).all()
    assert np.isfinite(lay_out(np.zeros((size, 5)))).all()


def test_points_are_spread_apart_and_others_left_alone() -> None:
    before = np.array([[0, 0], [0.001, 0], [0.9, 0.9]])
    after = spread_apart(before, np.array([0.05, 0.05, 0.05]))
    assert 0.09 < np.linalg.norm(after[0] - after[1]) < 0.11
    assert after[2] == pytest.approx(before[2], abs=1e-6)


def test_a_label_that_finds_no_place_is_left_out() -> None:
    points = np.array([[50.0, 50.0], [50.0, 50.0]])
    boxes = place_labels(points, [(60, 10), (90, 90)], (0, 0, 120, 100), 2)
    assert boxes == [(54, 45, 114, 55), None]


def test_after_the_most_no_label_is_placed() -> None:
    points = np.array([[10.0, 50.0], [10.0, 50.0], [100.0, 50.0], [10.0, 80.0], [100.0, 80.0]])
    boxes = place_labels(points, [(40, 10)] * 5, (0, 0, 200, 100), 2, most=3)
    assert [bool(box) for box in boxes] == [True, False, True, True, False]  # no room, then enough


def test_labels_that_do_not_touch_all_find_their_place() -> None:
    """Side by side and one over the other, with some air between."""
    points = np.array([[10.0, 50.0], [100.0, 50.0], [10.0, 80.0]])
    boxes = place_labels(points, [(40, 10)] * 3, (0, 0, 200, 100), 2)
    assert boxes == [(14, 45, 54, 55), (104, 45, 144, 55), (14, 75, 54, 85)]


Places = st.lists(st.tuples(st.floats(0, 300), st.floats(0, 300)), max_size=12)


@settings(deadline=None, max_examples=50)
@given(Places, st.floats(5, 80), st.floats(5, 15))
def test_labels_cover_no_point_and_no_label(places: list[tuple[float, float]], width: float, height: float) -> None:
    points = np.array(places).reshape(-1, 2)
    boxes = place_labels(points, [(width, height)] * len(points), (0, 0, 300, 300), 1)
    placed = [box for box in boxes if box]
    for left, bottom, right, top in placed:
        assert left >= 0 and bottom >= 0 and right <= 300 and top <= 300
        assert not any(left < x < right and bottom < y < top for x, y in places)
    for (a, b, c, d), (e, f, g, h) in itertools.combinations(placed, 2):
        assert a >= g or e >= c or b >= h or f >= d
