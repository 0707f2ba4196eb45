"""The files beside the database: checked before they are used, shared by processes, and in a folder of our own."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import zlib

import numpy as np
import pytest

from anime_bert4rec.lists import sequence_store
from anime_bert4rec.lists.sequence_store import ABANDONED, KEPT, MARK, state_of, stored
from anime_bert4rec.lists.sequences import Sequences
from config import PROJECT_DIR

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


@pytest.fixture
def db(tmp_path):
    path = tmp_path / "a.db"
    path.write_bytes(b"x")
    return path


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "a.sequences"


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


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def earlier_version(folder, about=b'{"names": ["training", "validation"], "num_items": 300}'):
    """What versions without a mark have left."""
    old = folder / "0123456789abcdef"
    old.mkdir(parents=True)
    for name in FILES:
        (old / name).write_bytes(about if name == "about.json" else b"1234")
    return old


def a_file(folder):
    folder.write_bytes(b"a file")


def a_folder_in_it(folder):
    (folder / "genome").mkdir(parents=True)
    (folder / "genome/precious.txt").write_bytes(b"years of work")


def a_name_like_ours(folder):
    (folder / "0123456789abcdef").mkdir(parents=True)
    (folder / "0123456789abcdef/about.json").write_bytes(b'{"about": "me"}')


def a_file_beside_what_we_made(folder):
    (earlier_version(folder) / "precious.txt").write_bytes(b"years of work")


def a_mark_of_another_program(folder):
    folder.mkdir()
    (folder / MARK).write_bytes(b"of another program")


def a_link(folder):
    elsewhere = folder.with_name("home")
    earlier_version(elsewhere)
    folder.symlink_to(elsewhere)


def a_link_to_nowhere(folder):
    folder.symlink_to(folder.with_name("nowhere"))


def a_link_in_it(folder):
    home = folder.with_name("home")
    earlier_version(home)
    folder.mkdir()
    (folder / "0123456789abcdef").symlink_to(home / "0123456789abcdef")


SOMEBODY_ELSES = (
    *(a_file, a_folder_in_it, a_name_like_ours, a_file_beside_what_we_made, a_mark_of_another_program),
    *(a_link, a_link_to_nowhere, a_link_in_it),
)


@pytest.mark.parametrize("make", SOMEBODY_ELSES)
def test_in_memory_where_the_folder_is_somebody_elses(db, folder, tmp_path, caplog, make):
    make(folder)
    before = sorted(tmp_path.rglob("*")), content(tmp_path)
    for purpose in range(KEPT + 1):
        read(db, purpose)
    assert (sorted(tmp_path.rglob("*")), content(tmp_path)) == before
    assert caplog.messages == [f"{folder} was not made by this program: the lists are read into memory instead."]


def test_in_memory_where_nothing_can_be_written(tmp_path, caplog):
    caplog.set_level("INFO")
    nowhere = tmp_path / "no such folder" / "a.db"
    read(nowhere)
    assert f"nothing can be kept here: No such file or directory: {nowhere.with_suffix('.sequences')}" in caplog.text


@pytest.mark.parametrize("empty", [True, False])
def test_an_empty_folder_and_that_of_an_earlier_version_are_taken_over(db, folder, empty):
    folder.mkdir()
    if not empty:
        earlier_version(folder)
        (folder / ".0123abcd.part").mkdir()
        os.utime(folder / "0123456789abcdef", (1, 1))
    for purpose in range(KEPT + 1):
        read(db, purpose)
        read(db, purpose, never)
    assert len([path for path in kept_in(folder) if not path.name.startswith(".")]) == KEPT
    assert not (folder / "0123456789abcdef").exists()


def test_what_others_put_into_our_folder_stays(db, folder, tmp_path):
    read(db)
    (kept,) = kept_in(folder)
    earlier_version(tmp_path / "home")
    mine = folder / "0123456789abcdef"  # named as ours, with something else in it
    mine.mkdir()
    (mine / "precious.txt").write_bytes(b"years of work")
    (folder / "1123456789abcdef").symlink_to(tmp_path / "home/0123456789abcdef")
    (folder / "2123456789abcdef").write_bytes(b"a file")
    (folder / "3123456789abcdef/about.json").mkdir(parents=True)
    (folder / "4123456789abcdef").mkdir()
    (folder / "4123456789abcdef/about.json").symlink_to(tmp_path / "home/0123456789abcdef/about.json")
    (folder / "notes").mkdir()
    (folder / "notes/about.json").write_bytes(b"my notes")
    (folder / ".0123abcd.part").mkdir()
    (folder / ".0123abcd.part/mine").write_bytes(b"mine")
    others = [path for path in kept_in(folder) if path != kept]
    for path in others:
        os.utime(path, (1, 1), follow_symlinks=False)
    before = content(tmp_path)
    for purpose in range(KEPT + 2):
        read(db, purpose)
    after = content(tmp_path)
    assert all(map(os.path.lexists, others))
    for name in (*(path.relative_to(tmp_path) for path in others), "home"):
        theirs = [each for each in before if each.startswith(str(name))]
        assert [after[each] for each in theirs] == [before[each] for each in theirs]
    assert len(kept_in(folder)) == len(others) + KEPT


def test_a_link_in_the_place_of_ours_is_neither_read_nor_removed(db, folder, tmp_path):
    read(db)
    (kept,) = kept_in(folder)
    kept.rename(tmp_path / "home")
    kept.symlink_to(tmp_path / "home")
    before = content(tmp_path / "home")
    made = []
    read(db, make=lambda: made.append(1) or [LISTS])
    assert made and kept.is_symlink() and content(tmp_path / "home") == before


def test_the_last_ones_are_kept(db, folder):
    for purpose in range(5):
        read(db, purpose)
    assert len(kept_in(folder)) == KEPT
    read(db, 2, never)  # used again, it is the last one
    read(db, 5)
    read(db, 6)
    read(db, 2, never)
    made = []
    read(db, 3, make=lambda: made.append(1) or [LISTS])
    assert made


@pytest.mark.skipif(sys.platform == "win32", reason="Windows itself removes nothing that is open")
def test_what_is_in_use_is_kept_for_as_long(db, folder):
    used = read(db, "used")
    (path,) = kept_in(folder)
    items = used["training"].items
    del used
    for purpose in range(5):
        read(db, purpose)
    assert path.is_dir() and len(kept_in(folder)) == KEPT + 1
    assert np.array_equal(items, LISTS["training"].items)
    del items
    gc.collect()
    read(db, "another")
    assert not path.exists() and len(kept_in(folder)) == KEPT


def test_what_is_half_made_is_removed_when_nobody_makes_it_any_more(db, folder):
    read(db)
    for name, seconds in ((".0123abcd.part", ABANDONED + 60), (".1123abcd.part", 60)):
        (folder / name).mkdir()
        (folder / name / "training.items").write_bytes(b"1234")
        then = (folder / name).stat().st_mtime - seconds
        os.utime(folder / name, (then, then))
    read(db, "another")
    assert [path.name for path in kept_in(folder) if path.name.startswith(".")] == [".1123abcd.part"]


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


PROCESS = """
import sys, pathlib
sys.path[:0] = sys.argv[3:]
from test_sequence_files import read
db, seed = pathlib.Path(sys.argv[1]), int(sys.argv[2])
for number in range(60):
    read(db, seed + number % 4)
"""


def test_processes_never_lose_what_they_read(db, folder):
    paths = [str(PROJECT_DIR / folder) for folder in ("", "tests", "tests/lists")]
    command = [sys.executable, "-c", PROCESS, str(db)]
    processes = [
        subprocess.Popen([*command, str(seed), *paths], stderr=subprocess.PIPE, text=True) for seed in (0, 2, 10)
    ]
    for process in processes:
        assert (process.communicate(timeout=60)[1], process.returncode) == ("", 0)
    assert all(path.name[0] != "." for path in kept_in(folder))
    read(db, "the last")
    assert len(kept_in(folder)) == KEPT


def test_it_is_said_once(folder, caplog):
    for _ in range(2):
        sequence_store._say_once(f"{folder}\x1b[31m is not ours")
    assert caplog.messages == [f"{folder} is not ours"]


def test_lists_without_entries_are_kept_too(db):
    nothing = Sequences(np.zeros(0, np.int32), np.zeros(0, np.int32), np.array([0]), np.zeros(0, np.int64))
    for make in (lambda: [{"training": nothing}], never):
        found = stored(db, state_of(db), "test", NUM_ITEMS, make)["training"]
        assert (len(found), len(found.items), found.offsets.tolist()) == (0, 0, [0])
