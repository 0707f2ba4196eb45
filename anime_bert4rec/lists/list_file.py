"""Opens a file that holds lists, whoever made it: CSV, an export in XML, or names.

`open_list(path, …)` says in one line what is wrong with a file that is missing, a device, damaged or no
text. gz, bz2, xz and zip are unpacked while they are read, UTF-16 becomes UTF-8, and every line ends with \\n.
"""

from __future__ import annotations

import bz2
import codecs
import contextlib
import gzip
import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, NoReturn

from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.text import describe_os_error, plain

MAX_LINE = 2**20
"""The most bytes of a line. A longer line is no line of a list, and would have to be held in memory."""
BLOCK = 2**16
FREELY_UNPACKED = 64 * 2**20
"""The bytes that any packed file may unpack to."""
MAX_RATIO = 200
"""How many times its packed size a file may have, beyond FREELY_UNPACKED bytes. Lists reach about 20."""
_SHOWN_FILES = 8
_HEAD = 4096

_UNPACKERS: dict[bytes, tuple[str, Callable[[Any], Any]]] = {
    b"\x1f\x8b": (".gz", lambda file: gzip.GzipFile(fileobj=file, mode="rb")),
    b"BZh": (".bz2", bz2.BZ2File),
    b"\xfd7zXZ\0": (".xz", lzma.LZMAFile),
}
_OTHERS = {
    b"version https://git-lfs": "only a pointer of Git LFS, not the file itself: fetch that with `git lfs pull`",
    b"/annex/objects/": "only a pointer of git-annex, not the file itself: fetch that with `git annex get`",
    b"\x28\xb5\x2f\xfd": "packed with zstd: unpack it first",
    b"7z\xbc\xaf": "packed with 7-Zip: unpack it first",
    b"Rar!": "packed with RAR: unpack it first",
    b"SQLite format 3": "an SQLite database: write its table as CSV",
    b"PAR1": "a Parquet file: write it as CSV",
    b"\xd0\xcf\x11\xe0": "an Excel workbook: save its sheet as CSV",
    b"%PDF": "a PDF: it has to be text",
}
_WEB_PAGE = "a web page, not the file that was meant: download that"
_DAMAGES = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile, ValueError, MemoryError)


@dataclass
class ListFile:
    """An open file. `name` is the name of what is in it, which in a zip has a name of its own."""

    path: Path
    name: str
    _packed: IO[bytes]
    _stream: IO[bytes]

    @property
    def position(self) -> int:
        """How many bytes of the file on the disk have been read."""
        return self._packed.tell()

    def blocks(self) -> Iterator[bytes]:
        """The text in UTF-8, cut behind line ends, which are all \\n; only the last block may lack one.

        Memory holds a block and a line, whatever the file is. Raises UserError for what cannot be read to its end.
        """
        rest = b""
        for block in self._text():
            block = rest + block
            held = block[-1:] == b"\r"  # it and the next \n are one line end
            if b"\r" in block:
                block = block[: len(block) - held].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            whole, newline, rest = block.rpartition(b"\n")
            if len(rest) > MAX_LINE:
                raise UserError(f"{self.path} has a line longer than {MAX_LINE:,} bytes: it is not a list")
            rest += b"\r" * held
            if newline:
                yield whole + newline
        if rest:
            yield rest.replace(b"\r", b"\n")

    def whole(self, limit: int) -> bytes:
        """The text of `blocks` in one piece, with lines of any length. Raises UserError for more than `limit` bytes."""
        blocks, size = [], 0
        for block in self._text():
            blocks.append(block)
            size += len(block)
            if size > limit:
                raise UserError(f"{self.path} has more than {limit >> 20} MiB of text, too much for such a file")
        return b"".join(blocks).replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _text(self) -> Iterator[bytes]:
        """The unpacked bytes in UTF-8 without a byte order mark."""
        blocks = self._bytes()
        head = next(blocks, b"")
        while head and len(head) < _HEAD and (more := next(blocks, b"")):
            head += more
        encoding = _encoding(head[:_HEAD])
        if encoding == "utf-8":
            yield head.removeprefix(codecs.BOM_UTF8)
            yield from blocks
            return
        if encoding is None:
            raise UserError(f"{self.path} is not a text file: save it as text in UTF-8")
        decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        yield decoder.decode(head).removeprefix("\ufeff").encode()
        for block in blocks:
            yield decoder.decode(block).encode()
        yield decoder.decode(b"", final=True).encode()

    def _bytes(self) -> Iterator[bytes]:
        size = 0
        try:
            while block := self._stream.read(BLOCK):
                size += len(block)
                if size > max(FREELY_UNPACKED, MAX_RATIO * self.position):
                    raise UserError(f"{self.path} unpacks to more than {MAX_RATIO} times its size: it is not a list")
                yield block
        except (*_DAMAGES, OSError) as error:
            _refuse_damaged(self.path, error)


@contextlib.contextmanager
def open_list(path: Path, kind: str, suffixes: tuple[str, ...]) -> Iterator[ListFile]:
    """Open a file. `kind` says what is wanted, such as "a CSV file"; `suffixes` choose among a zip's files."""
    with contextlib.ExitStack() as stack:
        try:
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode):
                raise UserError(f"{path} is a directory: give {kind}")
            if not stat.S_ISREG(mode):
                raise UserError(f"{path} is a pipe or a device: give {kind} that is stored on the disk")
            packed: IO[bytes] = stack.enter_context(path.open("rb"))
        except FileNotFoundError:
            raise UserError(f"there is no file {path}: give {kind}") from None
        except (OSError, ValueError) as error:
            reason = describe_os_error(error) if isinstance(error, OSError) else str(error)
            raise UserError(f"{path} could not be read: {reason}") from None
        stream, name = packed, path.name
        try:
            for _ in range(3):  # a packed file in a zip is common, more than that is not
                opened = _open_one(path, stream, name, suffixes)
                if opened is None:
                    break
                stream, name = stack.enter_context(opened[0]), opened[1]
            else:
                raise UserError(f"{path} is packed several times: unpack it first")
        except (*_DAMAGES, NotImplementedError, RuntimeError, OSError) as error:
            _refuse_damaged(path, error)
        yield ListFile(path, name, packed, stream)


def _open_one(path: Path, stream: IO[bytes], name: str, suffixes: tuple[str, ...]) -> tuple[IO[bytes], str] | None:
    """What is packed in `stream`, with its name, or None for a file that is not packed."""
    head = stream.read(_HEAD)
    stream.seek(0)
    for mark, (suffix, unpack) in _UNPACKERS.items():
        if head.startswith(mark):
            return unpack(stream), name.removesuffix(suffix)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _open_zip(path, stream, suffixes)
    for mark, what in _OTHERS.items():
        if head.startswith(mark):
            raise UserError(f"{path} is {what}")
    if head[257:262] == b"ustar":
        raise UserError(f"{path} is a tar archive: unpack it first")
    if head.removeprefix(codecs.BOM_UTF8).lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        raise UserError(f"{path} is {_WEB_PAGE}")
    return None


_ABOUT = re.compile(r"(read.?me|licen[cs]e|copying|notice|changelog)\b", re.IGNORECASE)
"""What a packed file is called that is about the others."""


def _open_zip(path: Path, stream: IO[bytes], suffixes: tuple[str, ...]) -> tuple[IO[bytes], str]:
    archive = zipfile.ZipFile(stream)
    files = [
        info
        for info in archive.infolist()
        if not info.is_dir()
        and not info.filename.startswith("__MACOSX/")
        and not PurePosixPath(info.filename).name.startswith(".")
        and not _ABOUT.match(PurePosixPath(info.filename).name)
    ]
    if any(info.filename == "xl/workbook.xml" for info in files):
        raise UserError(f"{path} is an Excel workbook: save its sheet as CSV")
    fitting = [info for info in files if info.filename.lower().removesuffix(".gz").endswith(suffixes)]
    if len(files) != 1 and len(fitting) != 1:
        shown = ", ".join(plain(info.filename, 60) for info in (fitting or files)[:_SHOWN_FILES])
        more = ", …" if len(fitting or files) > _SHOWN_FILES else ""
        holds = f"holds {shown}{more}: unpack the one that is meant" if files else "is a zip without a file in it"
        raise UserError(f"{path} {holds}")
    (chosen,) = files if len(files) == 1 else fitting
    if chosen.flag_bits & 1:
        raise UserError(f"{path} is encrypted: unpack it first")
    return archive.open(chosen), PurePosixPath(chosen.filename).name


def _refuse_damaged(path: Path, error: BaseException) -> NoReturn:
    if isinstance(error, OSError) and error.errno is not None:
        raise UserError(f"{path} could not be read: {describe_os_error(error)}") from None
    reason = plain(str(error), 100) or "it needs too much memory"
    raise UserError(f"{path} is a damaged packed file, or packed in an unknown way: {reason}") from None


def _encoding(head: bytes) -> str | None:
    """The encoding: utf-8, utf-16-le, utf-16-be, or None for what is no text. Other 8-bit encodings count as UTF-8."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return None
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if head.startswith(mark):
            return encoding
    pairs = max(1, len(head) // 2)
    first, second = head[0::2].count(0) / pairs, head[1::2].count(0) / pairs
    if max(first, second) > 0.4 and min(first, second) < 0.05:
        return "utf-16-be" if first > second else "utf-16-le"
    return "utf-8" if head.count(0) <= max(8, len(head) // 20) else None
