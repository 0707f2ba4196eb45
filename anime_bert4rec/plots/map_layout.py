"""Lays titles out in the plane so that near ones go together, and finds room for their names; numbers only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NEIGHBOURS = 12
ROUNDS = 300
ROUNDS_AGAIN = 40
"""How many of the rounds, the last and shortest ones, a layout takes that begins at an earlier one."""
LEAST_PLACED = 0.5
"""A layout begins at an earlier one that has this share of its points: in few rounds, more new ones find no place."""
PUSHES = 12
"""How many random others each title is pushed away from in a round."""
PUSH = 30.0
"""How strong the pushes are together, the pull of one neighbour being 1; tried out: more neighbours stay together."""
SPREADING_ROUNDS = 25
"""In how many rounds `spread_apart` moves points."""
ROWS_AT_ONCE = 1_000


def nearest(points: np.ndarray, count: int) -> np.ndarray:
    """The `count` points [N, count] with the most similar direction to each of `points` [N, D], in no order."""
    unit, found = _directions(points), []
    for start in range(0, len(unit), ROWS_AT_ONCE):
        similar = unit[start : start + ROWS_AT_ONCE] @ unit.T
        similar[np.arange(len(similar)), np.arange(start, start + len(similar))] = -np.inf
        found.append(np.argpartition(-similar, count - 1, axis=1)[:, :count])
    return np.concatenate(found)


def nearest_first(points: np.ndarray, count: int) -> np.ndarray:
    """As `nearest`, the nearest first."""
    if count < 1:
        return np.zeros((len(points), 0), np.int64)
    found, unit = nearest(points, count), _directions(points)
    similar = np.einsum("nd,nkd->nk", unit, unit[found])
    return np.take_along_axis(found, np.argsort(-similar, axis=1, kind="stable"), axis=1)


def force_layout(points: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """Places [N, 2] in no unit, in which neighbours in direction of `points` [N, D] are near each other.

    Neighbours pull, random others push, as in LargeVis (Tang et al., 2016) with Student's t as in t-SNE; with a fixed
    seed, so that the same points give the same map. It begins at the two first principal components or, where it is
    given with a place for half of the points, at `start` [N, 2], an earlier result: then a few short rounds keep
    everything near where it was. A point without a place there, NaN, begins where its neighbours are.
    """
    size = len(points)
    if size <= 3:
        return np.linspace(-0.5, 0.5, size)[:, None] * [1.0, 0.0]
    unit = _directions(points - points.mean(0))
    count = min(NEIGHBOURS, size - 1)
    source, target = np.repeat(np.arange(size), count), nearest(unit, count).ravel()
    random = np.random.default_rng(0)
    if start is None or np.isfinite(start).all(1).mean() < LEAST_PLACED:
        _, _, axes = np.linalg.svd(unit, full_matrices=False)
        place = unit @ axes[:2].T
        place = 5 * place / max(float(place.std()), 1e-9) + random.normal(0, 0.5, (size, 2))
        begin = 0
    else:
        place, begin = _with_new_ones(start, target.reshape(size, count), random), ROUNDS - ROUNDS_AGAIN
    pushed = np.repeat(np.arange(size), PUSHES)
    for done in range(begin, ROUNDS):
        move = np.zeros((size, 2))
        apart = place[source] - place[target]
        pull = apart / (1 + (apart**2).sum(1, keepdims=True)) * 2
        _add(move, source, -pull)
        _add(move, target, pull)
        apart = place[pushed] - place[random.integers(0, size, len(pushed))]
        square = (apart**2).sum(1, keepdims=True)
        _add(move, pushed, 2 * apart / ((0.1 + square) * (1 + square)) * (PUSH * count / PUSHES))
        place += np.clip(move, -4, 4) * 0.2 * (1 - done / ROUNDS)
    return place


def _with_new_ones(start: np.ndarray, neighbours: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """`start` with a place for those that have none: in the middle of their neighbours that have, else of all."""
    place = np.where(np.isfinite(start).all(1, keepdims=True), start, np.nan)
    for new in np.flatnonzero(np.isnan(place[:, 0])):
        near = start[neighbours[new]]
        near = near[np.isfinite(near).all(1)]
        middle = near.mean(0) if len(near) else np.nanmean(start, axis=0)
        place[new] = middle + random.normal(0, 0.1, 2)
    return place


def framed(place: np.ndarray) -> np.ndarray:
    """Places [N, 2] moved and stretched to -1 to 1; a few strays do not make the rest small."""
    if len(place) <= 3:
        return place
    low, high = np.percentile(place, [1, 99], axis=0)
    place = (place - (low + high) / 2) / np.maximum((high - low) / 2, 1e-9) / 1.1
    return place / (1 + np.abs(place) ** 12) ** (1 / 12)


def spread_apart(place: np.ndarray, room: np.ndarray) -> np.ndarray:
    """`place` [N, 2] with points moved apart that are nearer than the sum of their `room` [N], as far as it goes.

    Dense clusters open a little, so that titles do not cover each other and names find a place.
    """
    place = place.astype(np.float32)
    room = room.astype(np.float32)
    for _ in range(SPREADING_ROUNDS):
        move = np.zeros_like(place)
        for start in range(0, len(place), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            across, up = (place[part, axis, None] - place[:, axis] for axis in range(2))
            square = across * across + up * up
            near = np.flatnonzero((square < (room[part, None] + room) ** 2) & (square > 0))
            row, other = near // len(place), near % len(place)
            distance = np.sqrt(square.ravel()[near])
            # Who needs little room gives way more to who needs more.
            share = room[other] / (room[start + row] + room[other])
            push = share * (room[start + row] + room[other] - distance) / distance
            for axis, apart in enumerate((across, up)):
                move[part, axis] += np.bincount(row, push * apart.ravel()[near], len(square)).astype(np.float32)
        place += np.clip(0.4 * move, -0.05, 0.05)
    return place.astype(float)


def _directions(points: np.ndarray) -> np.ndarray:
    """The points [N, D] at length 1."""
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)


def _add(sums: np.ndarray, at: np.ndarray, values: np.ndarray) -> None:
    for axis in range(2):
        sums[:, axis] += np.bincount(at, values[:, axis], len(sums))


Box = tuple[float, float, float, float]
"""Left, bottom, right, top."""


def place_labels(
    points: np.ndarray, sizes: Sequence[tuple[float, float]], area: Box, air: float, most: int | None = None
) -> list[Box | None]:
    """A box of its size for each of `points` [M, 2], the first ones first, or None where no place is free.

    Boxes overlap neither each other nor any of the points, and stay within `area`. All in the same unit. Where only
    `most` boxes are placed, points after the first `most` are kept free only if they have one.
    """
    most = len(points) if most is None else most
    placed: list[Box | None] = [None] * len(points)
    around = np.array([(x - air, y - air, x + air, y + air) for x, y in points]).reshape(-1, 4)
    taken = around[:most]
    for at, ((x, y), (width, height)) in enumerate(zip(points, sizes, strict=True)):
        if len(placed) - placed.count(None) == most:
            break
        free = (box for box in _around(x, y, width, height, 2 * air) if _inside(box, area) and not _hits(box, taken))
        placed[at] = box = next(free, None)
        if box:
            taken = np.vstack([taken, box, around[at]])
    return placed


def _around(x: float, y: float, width: float, height: float, air: float) -> list[Box]:
    """Right of the point, left of it, over and under it, and at its corners."""
    places = [(x + air, y - height / 2), (x - air - width, y - height / 2)]
    places += [(x - width / 2, y + air), (x - width / 2, y - air - height)]
    places += [(left, bottom) for bottom in (y + air / 2, y - air / 2 - height) for left in (x + air / 2, x - width)]
    return [(left, bottom, left + width, bottom + height) for left, bottom in places]


def _inside(box: Box, area: Box) -> bool:
    return box[0] >= area[0] and box[1] >= area[1] and box[2] <= area[2] and box[3] <= area[3]


def _hits(box: Box, boxes: np.ndarray) -> bool:
    apart = (boxes[:, 0] >= box[2]) | (boxes[:, 2] <= box[0]) | (boxes[:, 1] >= box[3]) | (boxes[:, 3] <= box[1])
    return not bool(apart.all())
