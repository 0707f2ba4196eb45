"""The file of titles that are never to be shown: read, added to, and refused where it is something else."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from anime_bert4rec.recommending.hide_list import add_to_hide_list, read_hide_list
from anime_bert4rec.support.errors import UserError


def test_what_is_added_is_read_back_and_what_was_there_stays(tmp_path):
    path = tmp_path / "new" / "hidden.txt"
    add_to_hide_list(path, {7: "進撃の巨人", 1: "Cowboy Bebop"})
    assert path.read_bytes().decode() == "7  # 進撃の巨人\n1  # Cowboy Bebop\n"
    path.write_bytes("\ufeff# mine\r\n\r\n 7 # why\r\n９".encode())  # as Notepad does
    assert read_hide_list(path) == {7, 9}
    add_to_hide_list(path, {9: "x", 7: "y", 5: "z"})
    assert read_hide_list(path) == {5, 7, 9}
    assert path.read_bytes().decode() == "# mine\r\n\r\n 7 # why\r\n９\n5  # z\n"
    before = path.stat().st_mtime_ns
    add_to_hide_list(path, {5: "z"})
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_list_in_utf_16_is_read_and_becomes_utf_8_when_something_is_added(tmp_path, encoding):
    path = tmp_path / "hidden.txt"
    path.write_bytes("\ufeff16498 # 進撃の巨人\r\n7\r\n".encode(encoding))  # as PowerShell's > writes
    assert read_hide_list(path) == {16498, 7}
    add_to_hide_list(path, {5: "z"})
    assert path.read_bytes().decode() == "16498 # 進撃の巨人\r\n7\r\n5  # z\n"


@pytest.mark.skipif(sys.platform == "win32", reason="there nobody waits")
def test_what_many_add_at_once_is_all_kept(tmp_path):
    path = tmp_path / "hidden.txt"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda anime_id: add_to_hide_list(path, {anime_id: "x"}), range(1, 41)))
    assert read_hide_list(path) == set(range(1, 41))


def test_only_ends_of_lines_end_a_comment(tmp_path):
    path = tmp_path / "hidden.txt"
    path.write_bytes("1 # a\u2028b\x0bc\x85d\r2 # e\x1cf\r\n3\n".encode())
    assert read_hide_list(path) == {1, 2, 3}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1\nBleach\n", "hidden.txt:2: 'Bleach' is no AniList id; titles are added with --hide"),
        ("١".encode(), "hidden.txt:1: '١' is no AniList id"),
        (b"9" * 19, "hidden.txt:1: "),
        (b"\xff\xfe1", "is not a text in UTF-8"),
        (b"1\n" * 2**23 + b"1", "is too large for a list of ids"),
        (None, "there is no file"),
    ],
)
def test_another_file_is_refused_and_left_as_it_is(tmp_path, content, message):
    path = tmp_path / "hidden.txt"
    if content is not None:
        path.write_bytes(content)
        with pytest.raises(UserError, match=message):
            add_to_hide_list(path, {1: "x"})
        assert path.read_bytes() == content
    with pytest.raises(UserError, match=message):
        read_hide_list(path)
