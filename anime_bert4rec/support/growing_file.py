"""A file that grows piece by piece, and that the same work completes after it was stopped.

Until it is complete it is called FILE.part, and a note beside it, FILE.part.json, says which pieces are whole: what was
written behind them is cut off when the work goes on.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, TypedDict

from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.forms import WrongForm, check
from anime_bert4rec.support.locks import lock
from anime_bert4rec.support.whole_files import (
    flush_folder,
    naming,
    put_in_place,
    read_json,
    require_own_text,
    write_json,
)

log = logging.getLogger(__name__)


class Note(TypedDict):
    """What is known of a file that grows."""

    work: str
    """Tells this work from any other."""
    done: int
    """How far the work has come, in units of its own; 0 at the start."""
    size: int
    """How many bytes the whole pieces have together."""


class GrowingFile:
    """`with GrowingFile(path, work) as file`: `append` pieces, and at last `finish`. `done` says where to go on.

    work: a text that is the same only where the pieces are. beginning: of files whose place it may take, a
    regular expression. Raises UserError while another process writes the file, and where something else is in the way.
    """

    def __init__(self, path: Path, work: str, beginning: bytes = b"") -> None:
        require_own_text(path, beginning)
        self.path, self.work, self.done = path, work, 0
        self._part, self._note = path.with_name(path.name + ".part"), path.with_name(path.name + ".part.json")
        self._size = 0

    def __enter__(self) -> GrowingFile:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._opened()
        try:
            note = self._read_note()
            is_same = note and note["work"] == self.work and 0 <= note["size"] <= self._part.stat().st_size
            if note and is_same and note["done"]:
                self.done, self._size = note["done"], note["size"]
                log.info("%s: resumed where it was stopped.", self.path)
            elif note and not is_same and self._part.stat().st_size:  # a note alone is of a file that was finished
                log.warning(
                    "%s was begun with another model, database or day, or with other flags: it is begun anew.",
                    self._part,
                )
            self._file.truncate(self._size)
            self._write_note()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it is written yet."""
        return not self._size

    def append(self, piece: bytes, done: int) -> None:
        """Write a piece, after which the work has come to `done`. From then on nothing undoes it."""
        with naming(self._part):
            self._file.write(piece)
            self._file.flush()
            os.fsync(self._file.fileno())
        self.done, self._size = done, self._size + len(piece)
        self._write_note()

    def finish(self) -> None:
        """Give the file its name: it takes the place of what had it."""
        if sys.platform == "win32":  # where no open file is renamed
            self._file.close()
        put_in_place(self._part, self.path)
        flush_folder(self.path.parent)  # before the note goes: a part without a note would be somebody else's
        if self._read_note() == self._own_note():  # and not that of another process, which has begun since
            self._note.unlink(missing_ok=True)
        self._file.close()

    def _opened(self) -> BinaryIO:
        """The part, locked. Another process may finish it, and rename it, before it is locked: then it is opened
        again, for it is that one's complete file now."""
        while True:
            if self._part.exists() and not self._is_ours():
                raise UserError(f"{self._part} is in the way, and was not begun by this program: move it away")
            with naming(self.path, self._part):
                file = self._part.open("ab")
            try:
                lock(file)
                if os.path.samestat(os.fstat(file.fileno()), self._part.stat()):
                    return file
            except FileNotFoundError:
                pass
            except OSError:
                file.close()
                raise UserError(f"{self.path} is being written by another process: wait for it") from None
            file.close()

    def _is_ours(self) -> bool:
        """An empty part has no note where the disk was full, or where the program was killed, before that was made."""
        return self._part.is_file() and (self._note.is_file() or not self._part.stat().st_size)

    def _write_note(self) -> None:
        write_json(self._note, self._own_note())

    def _own_note(self) -> Note:
        return Note(work=self.work, done=self.done, size=self._size)

    def _read_note(self) -> Note | None:
        """The note, if there is one. Whatever else a damaged one holds, it is of no work."""
        try:
            note: Note = read_json(self._note)
            check(note, Note, "the note")
        except FileNotFoundError:
            return None
        except (ValueError, WrongForm):
            return Note(work="", done=0, size=0)
        return note
