"""Reads a file of torch.save as what this program puts there: tensors in dicts and lists of numbers and texts.

torch's own loader runs nothing of such a file, but takes its word for much: that it may be unpacked to any size, that a
tensor of a billion numbers lies in four bytes, that it is sparse, complex or nowhere. Here, whatever is not plain is
refused, and what memory is taken grows with the length of the file alone. The checksums are compared, which torch does
not do either.
"""

from __future__ import annotations

import io
import math
import pickle
import stat
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anime_bert4rec.support.forms import WrongForm

KINDS = {"FloatStorage": torch.float32, "HalfStorage": torch.float16, "LongStorage": torch.int64}
"""The kinds of numbers that a file may hold, by torch's names of their storages; the program writes no others."""
AT_ONCE = 2**24
"""How many bytes are read at a time: they are copied on their way."""


def read_tensors(path: Path) -> Any:
    """What was given to torch.save. Raises OSError, and any other error for a file that is damaged or not plain."""
    require_file(path)
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
            raise WrongForm("it is packed, as torch.save never does")
        if sum(part.file_size for part in parts) > path.stat().st_size:
            raise WrongForm("its parts claim to be larger than the file")
        (folder,) = {part.filename.split("/")[0] for part in parts}
        if archive.read(f"{folder}/byteorder").decode() != sys.byteorder:
            raise WrongForm("its numbers are in the byte order of another kind of machine")
        return _TensorUnpickler(archive.read(f"{folder}/data.pkl"), archive, f"{folder}/data/").load()


def read_plain(path: Path) -> Any:
    """What was given to pickle.dump, if it is but dicts and lists of numbers and texts. Raises as `read_tensors`."""
    require_file(path)
    return PlainUnpickler(path.read_bytes()).load()


def require_file(path: Path) -> None:
    """Raises OSError, or WrongForm for a pipe or a device, from which one could read for ever."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise WrongForm("it is not a file")


_ALLOWED = (
    *(pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK),
    *(pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.GET, pickle.BINGET, pickle.LONG_BINGET),
    *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BINFLOAT),
    *(pickle.INT, pickle.LONG, pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1),
    *(pickle.UNICODE, pickle.BINUNICODE, pickle.SHORT_BINUNICODE),
    *(pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
    *(pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS),
    *(pickle.EMPTY_DICT, pickle.DICT, pickle.SETITEM, pickle.SETITEMS),
)


_PythonsOwn: Any = pickle._Unpickler
"""The one that is written in Python: a table in it says what it knows."""


class PlainUnpickler(_PythonsOwn):  # type: ignore[misc]  # whose stack and memo have no types
    """Knows nothing but plain values.

    A key is a number or a text: to look up one that is made of tuples of tuples could take for ever.
    """

    def __init__(self, pickled: bytes) -> None:
        super().__init__(io.BytesIO(pickled))  # which never gives more than there is, however much is asked for

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set(self.stack[-1], [key], [value])

    def load_setitems(self) -> None:
        items = self.pop_mark()
        self._set(self.stack[-1], items[::2], items[1::2])

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.stack.append({})
        self._set(self.stack[-1], items[::2], items[1::2])

    @staticmethod
    def _set(target: Any, keys: list[Any], values: list[Any]) -> None:
        if type(target) is not dict or not set(map(type, keys)) <= {int, str}:
            raise WrongForm("it holds a dict with keys that are neither numbers nor texts")
        target.update(zip(keys, values, strict=True))

    dispatch = {code[0]: _PythonsOwn.dispatch[code[0]] for code in _ALLOWED} | {
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.DICT[0]: load_dict,
    }


class _TensorUnpickler(PlainUnpickler):
    """Knows tensors too, each a part of one of the stores of numbers that lie beside the pickle."""

    def __init__(self, pickled: bytes, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(pickled)
        self.archive = archive
        self.folder = folder
        self.stores: dict[str, Tensor] = {}
        """The stores that were read, by key, so that tensors that shared one before they were saved share it again."""

    def find_class(self, module: str, name: str) -> Any:
        known = {"torch._utils._rebuild_tensor_v2": _tensor, "collections.OrderedDict": dict}
        if module == "torch" and name in KINDS:
            return KINDS[name]
        if f"{module}.{name}" not in known:
            raise WrongForm("it asks for something that is no tensor of plain numbers")
        return known[f"{module}.{name}"]

    def persistent_load(self, pid: Any) -> Tensor:
        tag, kind, key, _, count = pid
        if tag != "storage" or not isinstance(kind, torch.dtype) or type(key) is not str or type(count) is not int:
            raise WrongForm("it has numbers of an unknown kind")
        if key not in self.stores:
            part = self.archive.getinfo(self.folder + key)
            if part.file_size != count * kind.itemsize:
                raise WrongForm("a tensor claims another size than it has in the file")
            self.stores[key] = torch.empty(count, dtype=kind)
            if count:
                to = memoryview(self.stores[key].numpy().data).cast("B")
                with self.archive.open(part) as file:
                    for start in range(0, len(to), AT_ONCE):
                        to[start : start + AT_ONCE] = file.read(AT_ONCE)
        if self.stores[key].dtype != kind:
            raise WrongForm("the same numbers are of two kinds")
        return self.stores[key]

    def load_build(self) -> None:
        """Drops what torch notes about a dict of tensors."""
        self.stack.pop()

    def load_reduce(self) -> None:
        arguments = self.stack.pop()
        make = self.stack[-1]
        if make is dict and arguments != ():
            raise WrongForm("it holds a dict that is none")
        self.stack[-1] = make(*arguments)

    dispatch = PlainUnpickler.dispatch | {
        pickle.GLOBAL[0]: _PythonsOwn.dispatch[pickle.GLOBAL[0]],
        pickle.BINPERSID[0]: _PythonsOwn.dispatch[pickle.BINPERSID[0]],
        pickle.REDUCE[0]: load_reduce,
        pickle.BUILD[0]: load_build,
    }


def _tensor(store: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    """The part of a store that is a tensor, if its numbers lie there one after the other and each once."""
    numbers = (offset, *shape, *strides)
    if not isinstance(store, Tensor) or any(type(number) is not int or number < 0 for number in numbers):
        raise WrongForm("a tensor has a shape that is none")
    size, expected = math.prod(shape), 1
    if offset + size > len(store):
        raise WrongForm("a tensor is larger than the numbers that it is made of")
    for length, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size and length > 1 and stride != expected:
            raise WrongForm("a tensor takes numbers several times or not in their order")
        expected *= length
    return store[offset : offset + size].view(shape)
