"""A file is whole or it is not there."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from pathlib import Path

import pytest

from anime_bert4rec.support import whole_files as files
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.whole_files import require_own_text, write_aside, write_json, written_aside_for


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


def test_the_content_is_on_the_disk_before_it_has_the_name_and_then_the_name(tmp_path, monkeypatch):
    """Renamed first, it would be an empty file after a power loss."""
    done, fsync, replace = [], os.fsync, os.replace

    def flushed(descriptor):
        found = os.fstat(descriptor)
        done.append(("flushed", found.st_ino, found.st_size if stat.S_ISREG(found.st_mode) else "folder"))
        fsync(descriptor)

    def renamed(source, target):
        done.append(("renamed", Path(source).stat().st_ino, str(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", renamed)
    path = tmp_path / "file"
    with write_aside(path) as file:
        file.write(b"whole")
    made, folder = path.stat().st_ino, tmp_path.stat().st_ino
    expected = [("flushed", made, 5), ("renamed", made, str(path)), ("flushed", folder, "folder")]
    assert done == (expected if os.name == "posix" else expected[:2])


def test_a_link_stays_a_link_to_what_is_replaced_also_by_way_of_another(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(files, "flush_folder", flushed.append)
    target, another, link = tmp_path / "there" / "file", tmp_path / "links" / "another", tmp_path / "link"
    another.parent.mkdir()
    try:
        another.symlink_to(target)
        link.symlink_to(another)
    except OSError:
        pytest.skip("this system makes no links")
    for value in (1, 2):  # at first there is nothing at the end of the link
        write_json(link, value)
        assert link.is_symlink() and another.is_symlink() and json.loads(target.read_text()) == value
    assert [each.name for each in target.parent.iterdir()] == ["file"]
    assert flushed == [target.parent.resolve()] * 2


@pytest.mark.skipif(os.name != "posix", reason="this system has no modes of files")
def test_who_may_read_a_file_is_who_might_before(tmp_path):
    path = tmp_path / "file"
    write_json(path, 1)
    as_new = path.stat().st_mode
    write_json(path, 2)
    assert path.stat().st_mode == as_new
    path.chmod(0o600)
    with write_aside(path) as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_error_that_names_no_file_is_about_this_one(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(OSError, match="No space left") as caught, write_aside(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


def test_an_error_about_the_file_aside_is_about_this_one(tmp_path, monkeypatch):
    def refuse(self, *_):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    path = tmp_path / "file"
    for call in ("open", "replace"):
        with monkeypatch.context() as patch, pytest.raises(PermissionError) as caught:
            patch.setattr(Path, call, refuse)
            write_json(path, 1)
        assert caught.value.filename == str(path)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("refused", "is_written"), [(2, True), (3, False)])
def test_where_windows_has_a_reader_it_is_tried_again(tmp_path, monkeypatch, refused, is_written):
    real, tries, slept = Path.replace, [], []

    def replace(self, target):
        tries.append(target)
        if len(tries) <= refused:
            raise PermissionError(errno.EACCES, "Access is denied", str(self))
        return real(self, target)

    monkeypatch.setattr(files, "WAITS", (0.05, 0.1))  # of which other systems have none
    monkeypatch.setattr(files.time, "sleep", slept.append)
    monkeypatch.setattr(Path, "replace", replace)
    path = tmp_path / "file"
    with contextlib.nullcontext() if is_written else pytest.raises(PermissionError):
        write_json(path, 1)
    assert slept == [0.05, 0.1]
    assert [each.name for each in tmp_path.iterdir()] == (["file"] if is_written else [])


def test_what_has_the_name_already_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: "0123abcd")
    (tmp_path / ".file.0123abcd.part").write_bytes(b"of another process")
    with pytest.raises(FileExistsError), write_aside(tmp_path / "file"):
        pass
    assert (tmp_path / ".file.0123abcd.part").read_bytes() == b"of another process"


def test_names_of_what_is_written_aside(tmp_path):
    with write_aside(tmp_path / "a.png") as file:
        assert written_aside_for(file.name.rpartition("/")[2]) == "a.png"
    for name in ("a.png", ".a.png.part", ".a.png.0123abc.part", ".a.png.0123ABCD.part", "a.png.0123abcd.part"):
        assert written_aside_for(name) is None


@pytest.mark.parametrize("name", ["folder", "", "."])
def test_a_folder_is_not_replaced_and_named_as_it_was_given(tmp_path, monkeypatch, name):
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IsADirectoryError) as caught, write_aside(Path(name)):
        pass
    assert caught.value.filename == str(Path(name))
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="Not a file"):
        write_json(tmp_path / "pipe", {})
    assert not (tmp_path / "pipe").is_file()


@pytest.mark.parametrize(
    "held", [b"SQLite format 3\0", b"PK\x03\x04\x00", b"# Notes\n", b" <!doctype html>", b"\xff\xfea\0"]
)
def test_what_is_something_else_is_not_replaced(tmp_path, held):
    path = tmp_path / "page.html"
    path.write_bytes(held)
    with pytest.raises(UserError, match=r"page\.html is there already, and is something else: give another name"):
        require_own_text(path, b"<!doctype html>|<html>")
    assert path.read_bytes() == held


@pytest.mark.parametrize("held", [None, b"", b"<html>", b"<!doctype html>" + b"x" * 2000])
def test_what_begins_alike_is_replaced(tmp_path, held):
    path = tmp_path / "page.html"
    if held is not None:
        path.write_bytes(held)
    require_own_text(path, b"<!doctype html>|<html>")
