"""The files beside the database are checked before they are used, and made anew if they are damaged."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest

from anime_bert4rec.lists.sequence_store import MARK, state_of, stored
from anime_bert4rec.lists.sequences import Sequences

NUM_ITEMS = 300
LISTS = {
    "training": Sequences(
        np.arange(1, 201, dtype=np.int32),
        np.concatenate([np.arange(150, dtype=np.int32), np.arange(50, dtype=np.int32)]),
        np.array([0, 150, 200]),
        np.array([3, 9]),
    ),
    "validation": Sequences(
        np.array([300, 1], np.int32), np.arange(2, dtype=np.int32), np.array([0, 2]), np.array([4])
    ),
}
ARRAYS = ("items", "blocks", "offsets.npy", "user_ids.npy")
FILES = sorted(["about.json", *(f"{name}.{array}" for name in LISTS for array in ARRAYS)])


def never():
    raise AssertionError("made again")


def read(db, purpose="test", make=None):
    parts = iter([LISTS])  # which can be gone through once, as the rows of a database can
    make = make or (lambda: parts)
    found = stored(db, state_of(db), purpose, NUM_ITEMS, make)
    for name, lists in LISTS.items():
        for array in ("items", "blocks", "offsets", "user_ids"):
            assert np.array_equal(getattr(found[name], array), getattr(lists, array))
    return found


def kept_in(folder):
    return sorted(path for path in folder.iterdir() if path.name != MARK)


def rewrite(kept, name, value):
    """Numbers that are not ours, with the checksums that they need to be believed."""
    if isinstance(value, bytes):
        (kept / name).write_bytes(value)
    elif name.endswith(".npy"):
        np.save(kept / name, value)
    else:
        (kept / name).write_bytes(value.tobytes())
    about = json.loads((kept / "about.json").read_text())
    about["files"][name] = [(kept / name).stat().st_size, zlib.crc32((kept / name).read_bytes())]
    about.pop("checksum")
    about["checksum"] = zlib.crc32(json.dumps(about, sort_keys=True).encode())
    (kept / "about.json").write_text(json.dumps(about))


def change_about(**fields):
    def damage(kept):
        about = json.loads((kept / "about.json").read_text())
        (kept / "about.json").write_text(json.dumps({**about, **fields}))

    return damage


def with_content(change):
    def damage(path):
        path.write_bytes(change(path.read_bytes()))

    return damage


def flipped(content):
    changed = bytearray(content)
    changed[-1] ^= 1
    return bytes(changed)


OF_ANY_FILE = {
    "cut": with_content(lambda content: content[: len(content) // 2]),
    "empty": with_content(lambda content: b""),
    "zeros": with_content(lambda content: bytes(len(content))),
    "7f": with_content(lambda content: b"\x7f" * len(content)),
    "longer": with_content(lambda content: content + b"\0\0\0\0"),
    "a bit": with_content(flipped),
    "missing": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a link": lambda path: (path.rename(path.parent.parent.parent / "mine"), path.symlink_to("../../mine")),
}
HEADER = b"{'descr': '<i8', 'fortran_order': False, 'shape': (10000000000000,), }"
HUGE = b"\x93NUMPY\x01\x00v\x00" + HEADER.ljust(117) + b"\n"
DAMAGES = {
    **{
        f"{file} {kind}": lambda kept, file=file, change=change: change(kept / file)
        for file in FILES
        for kind, change in OF_ANY_FILE.items()
    },
    "all files missing": lambda kept: [path.unlink() for path in kept.iterdir()],
    "about nothing": lambda kept: (kept / "about.json").write_text("null"),
    "about a list": lambda kept: (kept / "about.json").write_text("[]"),
    "about too much": lambda kept: (kept / "about.json").write_text("[" * 100_000),
    "about of earlier versions": lambda kept: (kept / "about.json").write_text(
        '{"names": ["training", "validation"], "num_items": 300}'
    ),
    "a number without end": lambda kept: (kept / "about.json").write_text('{"num_items": ' + "9" * 10_000 + "}"),
    "more items": change_about(num_items=10**18),
    "other names": change_about(names=["../../a", "validation"]),
    "fewer names": change_about(names=["training"]),
    "huge files": change_about(files={name: [2**62, 0] for name in FILES[1:]}),
    "item 0": lambda kept: rewrite(kept, "training.items", np.arange(200, dtype=np.int32)),
    "item N + 1": lambda kept: rewrite(kept, "training.items", np.arange(102, 302, dtype=np.int32)),
    "blocks": lambda kept: rewrite(kept, "training.blocks", np.full(200, 150, np.uint16)),
    "too many items": lambda kept: rewrite(kept, "training.items", np.arange(1, 202, dtype=np.int32)),
    "too few blocks": lambda kept: rewrite(kept, "training.blocks", np.arange(199, dtype=np.uint16)),
    "half an item": lambda kept: rewrite(kept, "training.items", np.zeros(801, np.uint8)),
    "offsets down": lambda kept: rewrite(kept, "training.offsets.npy", np.array([0, 210, 200])),
    "offsets from 1": lambda kept: rewrite(kept, "training.offsets.npy", np.array([1, 150, 200])),
    "offsets float": lambda kept: rewrite(kept, "training.offsets.npy", np.array([0.0, 150.0, 200.0])),
    "offsets square": lambda kept: rewrite(kept, "training.offsets.npy", np.zeros((2, 2), np.int64)),
    "no offsets": lambda kept: rewrite(kept, "training.offsets.npy", np.zeros(0, np.int64)),
    "huge offsets": lambda kept: rewrite(kept, "training.offsets.npy", HUGE),
    "a zip": lambda kept: rewrite(kept, "training.offsets.npy", b"PK\x03\x04"),
    "a user more": lambda kept: rewrite(kept, "training.user_ids.npy", np.array([3, 9, 10])),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_damaged_is_made_anew_and_said(db, folder, caplog, damage):
    read(db)
    (kept,) = kept_in(folder)
    damage(kept)
    made = []
    read(db, make=lambda: made.append(1) or [LISTS])
    assert made
    (line,) = caplog.messages
    assert line.startswith(f"{kept} cannot be used (") and line.endswith(
        "): the lists are read from the database again."
    )
    if all(path.is_file() and not path.is_symlink() for path in kept.iterdir()):
        read(db, make=never)
        assert kept_in(folder) == [kept]


def test_lists_without_entries_are_kept_too(db):
    nothing = Sequences(np.zeros(0, np.int32), np.zeros(0, np.int32), np.array([0]), np.zeros(0, np.int64))
    for make in (lambda: [{"training": nothing}], never):
        found = stored(db, state_of(db), "test", NUM_ITEMS, make)["training"]
        assert (len(found), len(found.items), found.offsets.tolist()) == (0, 0, [0])
