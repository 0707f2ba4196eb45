"""Labels moved apart, and trends."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_runs import NAN

from anime_bert4rec.plots import style as plot_style


@pytest.mark.parametrize(
    ("wanted", "gap", "expected"),
    [
        ([0.1, 0.9], 0.2, [0.1, 0.9]),
        ([0.5, 0.5], 0.2, [0.4, 0.6]),
        ([0.5, 0.5, 0.5], 0.2, [0.3, 0.5, 0.7]),
        ([0.0, 0.0], 0.2, [0.0, 0.2]),
        ([0.9, 1.0], 0.2, [0.8, 1.0]),
        ([0.2, 0.3, 0.9], 0.2, [0.15, 0.35, 0.9]),
        ([], 0.2, []),
    ],
)
def test_spread(wanted: list[float], gap: float, expected: list[float]) -> None:
    assert plot_style.spread(wanted, gap) == pytest.approx(expected)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6).map(sorted), st.floats(0.01, 0.2))
def test_spread_keeps_the_gap_and_the_borders(wanted: list[float], gap: float) -> None:
    places = plot_style.spread(wanted, gap)
    assert all(above - below >= gap - 1e-9 for below, above in itertools.pairwise(places))
    assert places[0] >= 0 and places[-1] <= 1 + 1e-9


# ---- the trend


def test_trend_by_hand() -> None:
    # Weights at distances 0 and 1 with reach 1: 1 and (1 - (1/2)^3)^3 = 0.6699…; the fit is level by symmetry.
    near = (1 - 0.5**3) ** 3
    result = plot_style.trend(np.array([0.0, 0, 3, 0, 0]), 1)
    assert result[2] == pytest.approx(3 / (1 + 2 * near))


def test_trend_follows_a_straight_line_to_both_ends() -> None:
    values = np.arange(50.0) * 0.3 - 2
    np.testing.assert_allclose(plot_style.trend(values, 7), values, atol=1e-12)


def test_trend_keeps_the_steep_start() -> None:
    assert plot_style.trend(np.array([9.0, 1, 1, 1, 1, 1]), 3)[0] == 9


def test_trend_keeps_gaps_and_lone_values() -> None:
    result = plot_style.trend(np.array([1.0, NAN, NAN, NAN, 5.0, NAN]), 2)
    np.testing.assert_array_equal(result, [1.0, NAN, NAN, NAN, 5.0, NAN])


def test_trend_reach() -> None:
    assert [plot_style.trend_reach(n) for n in (0, 4, 5, 30, 200, 2000)] == [0, 0, 1, 2, 11, 101]
