"""A file that grows is completed by the same work after any stop, and never by another."""

from __future__ import annotations

import errno
import json
import logging
from pathlib import Path
from typing import IO

import pytest

from anime_bert4rec.support import growing_file
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.growing_file import GrowingFile


def stopped_after(path: Path, pieces: int, work: str = "one") -> None:
    with pytest.raises(KeyboardInterrupt), GrowingFile(path, work) as file:
        assert file.is_empty
        for number in range(1, pieces + 1):
            file.append(b"piece %d\n" % number, number)
        raise KeyboardInterrupt


def test_the_same_work_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    stopped_after(path, 2)
    assert not path.exists()
    with GrowingFile(path, "one") as file:
        assert file.done == 2 and not file.is_empty
        file.append(b"piece 3\n", 3)
        file.finish()
    assert path.read_bytes() == b"piece 1\npiece 2\npiece 3\n"
    assert [each.name for each in path.parent.iterdir()] == ["file.txt"]


def test_what_was_half_written_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    stopped_after(path, 1)
    with (tmp_path / "file.txt.part").open("ab") as part:
        part.write(b"piece 2\nhalf a pie")  # killed before the note was written
    with GrowingFile(path, "one") as file:
        assert file.done == 1
        file.finish()
    assert path.read_bytes() == b"piece 1\n"


@pytest.mark.parametrize("note", [None, "{", '{"work": "one", "done": 1, "size": 999}', '{"work": "one", "done": 1}'])
def test_other_work_or_a_damaged_note_begins_anew_and_says_so(
    tmp_path: Path, note: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "file.txt"
    stopped_after(path, 2)
    if note is not None:
        (tmp_path / "file.txt.part.json").write_text(note, encoding="utf-8")
    with caplog.at_level(logging.WARNING), GrowingFile(path, "two" if note is None else "one") as file:
        assert file.done == 0
        file.append(b"other\n", 1)
        file.finish()
    assert path.read_bytes() == b"other\n"
    (line,) = caplog.messages
    assert "begun anew" in line and "\n" not in line


def test_a_complete_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(b"of before\n")
    stopped_after(path, 1)
    assert path.read_bytes() == b"of before\n", "until the new one is complete"
    with GrowingFile(path, "one") as file:
        file.finish()
    assert path.read_bytes() == b"piece 1\n"


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    with GrowingFile(path, "one") as file:
        file.append(b"piece 1\n", 1)
        with pytest.raises(UserError, match="another process"), GrowingFile(path, "two"):
            pass
        assert json.loads((tmp_path / "file.txt.part.json").read_text("utf-8"))["done"] == 1


def test_what_is_finished_while_another_begins_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the other opens the part before it gets its name, and locks it afterwards, or asks while it gets it."""
    path = tmp_path / "file.txt"
    rename, lock_it = Path.replace, growing_file.lock

    def begin_first(part: Path, to: Path) -> Path:
        if part.name == "file.txt.part":
            with pytest.raises(UserError, match="another process"), GrowingFile(path, "two"):
                pass
        return rename(part, to)

    with GrowingFile(path, "one") as first, monkeypatch.context() as patch:
        first.append(b"piece 1\n", 1)
        patch.setattr(Path, "replace", begin_first)
        first.finish()
    assert path.read_bytes() == b"piece 1\n"

    with GrowingFile(path, "one") as first:
        first.append(b"again 1\n", 1)

        def finish_first(file: IO[bytes]) -> None:
            monkeypatch.setattr(growing_file, "lock", lock_it)
            first.finish()
            lock_it(file)

        monkeypatch.setattr(growing_file, "lock", finish_first)
        with GrowingFile(path, "two") as second:
            assert second.done == 0
            second.append(b"of the other\n", 1)
            assert path.read_bytes() == b"again 1\n"
            second.finish()
    assert path.read_bytes() == b"of the other\n"
    assert [each.name for each in tmp_path.iterdir()] == ["file.txt"]


def test_the_note_of_another_that_begins_as_soon_as_the_part_has_its_name_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.txt"
    with GrowingFile(path, "one") as first, monkeypatch.context() as patch:
        first.append(b"piece 1\n", 1)
        patch.setattr(growing_file, "flush_folder", lambda _: stopped_after(path, 2, "two"))
        first.finish()
    assert path.read_bytes() == b"piece 1\n"
    with GrowingFile(path, "two") as second:
        assert second.done == 2
        second.finish()
    assert path.read_bytes() == b"piece 1\npiece 2\n"


def test_a_power_cut_leaves_no_part_without_its_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_the_disk = []

    def flush(folder: Path) -> None:
        on_the_disk.append(sorted(each.name for each in folder.iterdir()))

    with GrowingFile(tmp_path / "file.txt", "one") as file:
        monkeypatch.setattr(growing_file, "flush_folder", flush)
        file.finish()
    assert on_the_disk == [["file.txt", "file.txt.part.json"]]


def test_what_somebody_else_has_put_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file.txt.part").write_bytes(b"mine")
    with pytest.raises(UserError, match="in the way"), GrowingFile(tmp_path / "file.txt", "one"):
        pass
    assert (tmp_path / "file.txt.part").read_bytes() == b"mine"


def test_what_was_stopped_before_it_came_anywhere_is_begun_anew_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "file.txt"
    with pytest.raises(KeyboardInterrupt), GrowingFile(path, "one") as file:
        file.append(b"header\n", 0)
        raise KeyboardInterrupt
    with caplog.at_level(logging.INFO), GrowingFile(path, "one") as file:
        file.append(b"header\n", 0)
        file.finish()
    assert path.read_bytes() == b"header\n"
    assert not caplog.messages


def test_killed_with_only_the_note_left_to_remove_it_is_begun_anew_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "file.txt"
    stopped_after(path, 1)
    (tmp_path / "file.txt.part").rename(path)
    with caplog.at_level(logging.INFO), GrowingFile(path, "one") as file:
        assert file.done == 0
        file.append(b"piece 1\n", 1)
        file.finish()
    assert not caplog.messages
    assert [each.name for each in tmp_path.iterdir()] == ["file.txt"]


def test_where_nothing_can_be_written_the_name_is_the_one_that_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, mode: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermissionError) as caught, GrowingFile(tmp_path / "file.txt", "one"):
        pass
    assert caught.value.filename == str(tmp_path / "file.txt")


def test_an_empty_part_without_a_note_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "file.txt.part").touch()  # as a full disk leaves it
    with GrowingFile(tmp_path / "file.txt", "one") as file:
        file.append(b"piece 1\n", 1)
        file.finish()
    assert (tmp_path / "file.txt").read_bytes() == b"piece 1\n"


@pytest.mark.parametrize("name", ["folder", "folder/..", "."])
def test_what_is_no_file_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IsADirectoryError), GrowingFile(Path(name), "one"):
        pass
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]
