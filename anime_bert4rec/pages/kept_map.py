"""The map of anime as a run keeps it: where each title is, and which ones are near; numbers only, in anime_map.json."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from anime_bert4rec.model.run_folder import RunFolder
from anime_bert4rec.pages.title_table import TitleTable
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.forms import check
from anime_bert4rec.support.text import describe_os_error
from anime_bert4rec.support.whole_files import read_json, write_aside

log = logging.getLogger(__name__)

NEAR = 8
"""How many neighbours of a title a page names."""
LAYOUT_DIGITS = 4
"""How many decimal places of a layout are kept. It is rounded before titles are spread out, so that what is made of a
kept one is the same."""
STEPS = 9_999
"""A place on a page is a whole number from 0 to this, across and down."""


class _Saved(TypedDict):
    anime_ids: list[int]
    popularity: list[int]
    layout: list[list[float]]
    place: list[list[float]]
    near: list[list[int]]
    source: str
    made_from: str


@dataclass(frozen=True)
class KeptMap:
    """The titles on the map, the most popular first."""

    anime_ids: np.ndarray
    """int64 [N]."""
    popularity: np.ndarray
    """int64 [N]: on how many lists each is."""
    layout: np.ndarray
    """float [N, 2]: what `force_layout` gave, where the next layout begins."""
    place: np.ndarray
    """float [N, 2], -1 to 1: what `spread_out` gave, as titles are on the map."""
    near: np.ndarray
    """int64 [N, K]: positions on the map of those that each title goes with most, the nearest first."""
    source: str
    """What it is made from, a sentence."""
    made_from: str
    """A hash of the points that were laid out: the same points have the same map."""

    def save(self, path: Path) -> None:
        saved: _Saved = {
            "anime_ids": self.anime_ids.tolist(),
            "popularity": self.popularity.tolist(),
            "layout": self.layout.round(LAYOUT_DIGITS).tolist(),
            "place": self.place.round(4).tolist(),
            "near": self.near.tolist(),
            "source": self.source,
            "made_from": self.made_from,
        }
        with write_aside(path) as file:
            file.write(json.dumps(saved, separators=(",", ":")).encode())

    def begin_at(self, anime_ids: np.ndarray) -> np.ndarray:
        """Where these anime [M] were in the layout, [M, 2]; NaN for those that were not on the map."""
        at = dict(zip(self.anime_ids.tolist(), self.layout.tolist(), strict=True))
        return np.array([at.get(each, [np.nan, np.nan]) for each in anime_ids.tolist()]).reshape(-1, 2)

    def columns(self, titles: TitleTable) -> dict[str, Any]:
        """The map as the scripts read it; its titles are the first of `titles`, in the same order."""
        if titles.rows(self.anime_ids.tolist()) != list(range(len(self.anime_ids))):
            raise ValueError("the titles of the map must be added first")
        across, down = ((self.place * [1, -1] + 1) / 2 * STEPS).round().astype(int).clip(0, STEPS).T.tolist()
        return {"x": across, "y": down, "popularity": self.popularity.tolist(), "near": self.near.tolist()}


def read_map(path: Path) -> KeptMap:
    """Read what `save` has written. Raises UserError where it is missing or is not that."""
    try:
        saved: _Saved = read_json(path)
        check(saved, _Saved, "the file")
        size = len(saved["anime_ids"])
        place, layout = (np.array(saved[name], float).reshape(size, 2) for name in ("place", "layout"))
        near = np.array(saved["near"], np.int64).reshape(size, -1) if size else np.zeros((0, 0), np.int64)
        ids, popularity = (np.array(saved[name], np.int64).reshape(size) for name in ("anime_ids", "popularity"))
        if len(np.unique(ids)) < size or ((near < 0) | (near >= size)).any() or (popularity < 0).any():
            raise ValueError("it contradicts itself")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: python visualize.py makes it") from None
    except OSError as error:
        raise UserError(f"cannot read the map: {describe_os_error(error)}") from None
    except (ValueError, OverflowError):
        raise UserError(f"{path} is not the map of a run: python visualize.py makes it again") from None
    return KeptMap(ids, popularity, layout, place, near, saved["source"], saved["made_from"])


def earlier_map(folder: RunFolder) -> KeptMap | None:
    """The newest map that there is of this run, or of those before it that were moved aside."""
    old = sorted((folder.output / "old").glob(f"*/plots/{folder.map_file.name}"), reverse=True)
    for path in (folder.map_file, *old):
        try:
            return read_map(path)
        except UserError as error:
            log.debug("%s", error)
    return None
