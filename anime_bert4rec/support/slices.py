"""Slices of what is too much to be worked on at once."""

from __future__ import annotations

from collections.abc import Iterator


def slices(count: int, at_once: int) -> Iterator[slice]:
    """Slices of 0 … count - 1, one after the other, of `at_once` each, which is at least 1; the last may reach beyond
    the end."""
    return (slice(start, start + at_once) for start in range(0, count, at_once))
