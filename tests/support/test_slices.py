"""Slices that are worked on one after the other."""

from __future__ import annotations

from anime_bert4rec.support.slices import slices


def test_each_is_in_one_slice() -> None:
    assert [[*range(7)][part] for part in slices(7, 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [[*range(6)][part] for part in slices(6, 3)] == [[0, 1, 2], [3, 4, 5]]
    assert not [*slices(0, 3)]
