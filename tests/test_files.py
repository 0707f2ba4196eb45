"""A file is whole or it is not there."""

from __future__ import annotations

import json

import pytest

from files import write_aside, write_json


def test_the_file_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "new" / "file.json"
    write_json(path, {"a": "é"})
    write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 2}
    assert [p.name for p in path.parent.iterdir()] == ["file.json"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), write_aside(path) as file:
        file.write(b"half of the n")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_nobody_sees_a_half_written_file(tmp_path):
    path = tmp_path / "file"
    with write_aside(path) as file:
        file.write(b"half")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"half"
