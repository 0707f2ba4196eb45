"""The map is kept and found again, and stays where it was."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from small_pages import some_anime, some_map

from anime_bert4rec.model.run_folder import RunFolder
from anime_bert4rec.pages.kept_map import earlier_map, read_map
from anime_bert4rec.pages.title_table import TitleTable
from anime_bert4rec.support.errors import UserError


def same(one, other):
    return all(
        np.allclose(a, b, atol=1e-4) if isinstance(a, np.ndarray) else a == b
        for a, b in zip(dataclasses.astuple(one), dataclasses.astuple(other), strict=True)
    )


@pytest.mark.parametrize("count", [0, 1, 12])
def test_what_is_saved_is_read(tmp_path, count):
    kept = some_map(count)
    kept.save(tmp_path / "anime_map.json")
    assert same(read_map(tmp_path / "anime_map.json"), kept)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("anime_ids", [1, 1]),
        ("anime_ids", [1, 10**30]),
        ("anime_ids", [1]),
        ("popularity", [1, -1]),
        ("place", [[0, 0], [0]]),
        ("place", [[0, 0], [0, float("nan")]]),
        ("layout", [[0, 0]]),
        ("near", [[1], [2]]),
        ("near", [[1], [-1]]),
        ("source", None),
    ],
)
def test_what_is_no_map_is_one_line(tmp_path, key, value):
    file = tmp_path / "anime_map.json"
    some_map(2).save(file)
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    with pytest.raises(UserError, match=r"anime_map.json is not the map of a run") as refused:
        read_map(file)
    assert "\n" not in str(refused.value)


def test_a_missing_map_names_the_command(tmp_path):
    with pytest.raises(UserError, match=r"python visualize\.py makes it"):
        read_map(tmp_path / "anime_map.json")


def test_the_next_layout_begins_where_titles_were():
    kept = some_map(3)
    begin = kept.begin_at(np.array([3, 50, 1]))
    assert begin[[0, 2]].tolist() == kept.layout[[2, 0]].tolist()
    assert np.isnan(begin[1]).all() and begin.shape == (3, 2)


def test_places_on_a_page_by_hand():
    kept = dataclasses.replace(some_map(2), place=np.array([[-1.0, 1.0], [0.5, -1.0]]))
    columns = kept.columns(TitleTable(some_anime(2)))
    assert (columns["x"], columns["y"]) == ([0, 7499], [0, 9999])  # across and down
    late = TitleTable(some_anime(2))
    late.row(2)
    with pytest.raises(ValueError, match="added first"):
        kept.columns(late)


def test_the_map_of_the_run_before_is_found(tmp_path):
    folder = RunFolder(tmp_path)
    assert earlier_map(folder) is None
    for count, name in ((1, "2026-01-02_03-04-05"), (2, "2026-02-02_03-04-05")):
        some_map(count).save(tmp_path / "old" / name / "plots" / "anime_map.json")
    (tmp_path / "old" / "2026-03-02_03-04-05" / "plots").mkdir(parents=True)
    (tmp_path / "old" / "2026-03-02_03-04-05" / "plots" / "anime_map.json").write_text("damaged")
    found = earlier_map(folder)
    assert found and len(found.anime_ids) == 2
    some_map(3).save(folder.map_file)
    found = earlier_map(folder)
    assert found and len(found.anime_ids) == 3
