"""Files that hold lists: opened packed or not, in the usual encodings, or refused in one line with the reason."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tracemalloc
import zipfile

import pytest

from anime_bert4rec.lists import list_file
from anime_bert4rec.lists.list_file import open_list
from anime_bert4rec.support.errors import UserError

TEXT = "user,anime_id\nÄnn,1\n"


def whole(path, limit=2**26):
    with open_list(path, "a CSV file", (".csv",)) as file:
        return file.name, file.whole(limit).decode(errors="surrogateescape")


def zipped(*files, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return buffer.getvalue()


def without_bytes(value):
    """Names for the cases that are the same in every process: what is packed holds the time."""
    return "content" if isinstance(value, bytes) else None


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(TEXT.encode()),
        gzip.compress(TEXT[:9].encode()) + gzip.compress(TEXT[9:].encode()),
        bz2.compress(TEXT.encode()),
        lzma.compress(TEXT.encode()),
        zipped(("lists.csv", TEXT)),
        zipped(("data/", ""), ("data/lists.csv", TEXT), ("__MACOSX/data/._lists.csv", "x"), ("data/.DS_Store", "x")),
        zipped(("lists.csv", TEXT), ("README.md", "x"), ("licence.pdf", "x")),
        zipped(("data/lists.csv", TEXT), ("README.txt", "x"), ("data/license.csv", "x"), ("Read Me.txt", "x")),
        zipped(("lists.csv.gz", gzip.compress(TEXT.encode())), method=zipfile.ZIP_STORED),
        zipped(("lists.csv", TEXT), method=zipfile.ZIP_BZIP2),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        gzip.compress(TEXT.encode("utf-16")),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
    ],
    ids=without_bytes,
)
def test_the_same_text_however_it_is_packed_and_written(write, content):
    assert whole(write(content)) == ("lists.csv", TEXT)


def test_line_ends_at_the_ends_of_blocks(write, monkeypatch):
    lines = "a\r\nbb\r\rccc\n\r\n\rdddd\r\n"
    for block in range(1, 9):
        with open_list(write(lines), "", ()) as file:
            assert b"".join(file.blocks()) == b"a\nbb\n\nccc\n\n\ndddd\n"
        monkeypatch.setattr(list_file, "BLOCK", block)
        monkeypatch.setattr(list_file, "_HEAD", 4)
        assert whole(write(lines))[1] == "a\nbb\n\nccc\n\n\ndddd\n"
        assert whole(write(lines.encode("utf-16")))[1] == "a\nbb\n\nccc\n\n\ndddd\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped(("a.csv", "x"), ("b.csv", "y"), ("README.txt", "")), "holds a.csv, b.csv: unpack the one"),
        (zipped(("a.md", "x"), ("b.md", "y")), "holds a.md, b.md: unpack the one"),
        (zipped(), "without a file in it"),
        (zipped(("a.csv", TEXT * 99))[:-40], "damaged"),
        (zipped(("[Content_Types].xml", "x"), ("xl/workbook.xml", "y")), "Excel workbook"),
        (gzip.compress(gzip.compress(gzip.compress(gzip.compress(b"x")))), "packed several times"),
        (gzip.compress(os.urandom(5000))[:-100], "damaged"),
        (bz2.compress(os.urandom(5000))[:-100], "damaged"),
        (lzma.compress(os.urandom(5000))[:-100], "damaged"),
        (b"BZhnothing", "damaged"),
        (b"PK\x03\x04nothing", "damaged"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "pointer of Git LFS"),
        (b"\x28\xb5\x2f\xfd123", "zstd"),
        (b"7z\xbc\xaf\x27\x1c123", "7-Zip"),
        (b"SQLite format 3\x00123", "SQLite"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (TEXT.encode("utf-32"), "not a text file"),
        (bytes(5000), "not a text file"),
    ],
    ids=without_bytes,
)
def test_what_cannot_be_read_is_one_line_that_says_what_it_is(write, content, message):
    with pytest.raises(UserError, match=message) as caught:
        whole(write(content))
    assert "lists.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_a_line_without_end_is_no_line_of_a_list(write):
    with pytest.raises(UserError, match="has a line longer than"), open_list(write(b"x" * 2**21), "", ()) as file:
        list(file.blocks())


def test_an_encrypted_zip_is_named(write):
    content = bytearray(zipped(("lists.csv", TEXT)))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(UserError, match="is encrypted"):
        whole(write(bytes(content)))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
def test_missing_files_folders_and_devices(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path / "none", "there is no file"),
        (tmp_path, "is a directory"),
        (tmp_path / "pipe", "is a pipe or a device"),
        (tmp_path / ("x" * 300), "File name too long"),
    ):
        with pytest.raises(UserError, match=message):
            whole(path)
    with pytest.raises(UserError, match="is a pipe or a device"):
        whole(list_file.Path("/dev/zero"))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, lambda data: zipped(("a.csv", data))])
def test_a_bomb_is_refused_in_little_memory(write, monkeypatch, pack):
    monkeypatch.setattr(list_file, "FREELY_UNPACKED", 2**20)
    path = write(pack(b"\n" * (16 * 2**20)))
    tracemalloc.start()
    try:
        with (
            pytest.raises(UserError, match="unpacks to more than 200 times its size"),
            open_list(path, "", ()) as file,
        ):
            for _ in file.blocks():
                pass
        assert tracemalloc.get_traced_memory()[1] < 12 * 2**20
    finally:
        tracemalloc.stop()


def test_what_packs_very_well_or_is_large_is_no_bomb(write, monkeypatch):
    alike = "user,anime_id\n" + "Ann,1\n" * 200_000
    assert len(packed := gzip.compress(alike.encode())) * list_file.MAX_RATIO < len(alike)
    assert whole(write(packed, "lists.csv.gz")) == ("lists.csv", alike)
    monkeypatch.setattr(list_file, "FREELY_UNPACKED", 2**10)
    large = "".join(f"user {n * n},{n}\n" for n in range(1000))
    assert whole(write(gzip.compress(large.encode()), "lists.csv.gz")) == ("lists.csv", large)


def test_the_whole_text_has_a_limit(write):
    with pytest.raises(UserError, match="more than 1 MiB of text"):
        whole(write("a line\n" * 200_000), 2**20)
