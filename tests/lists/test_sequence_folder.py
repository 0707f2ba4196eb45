"""The folder beside the database is ours alone: what others put there stays, and processes share what is in it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys

import numpy as np
import pytest
from test_sequence_files import FILES, LISTS, kept_in, never, read

from anime_bert4rec.lists import sequence_store
from anime_bert4rec.lists.sequence_store import ABANDONED, KEPT, MARK, forget
from config import PROJECT_DIR


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


def a_copy_under_another_name(folder):
    earlier_version(folder).rename(folder / "my copy")


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
    *(a_copy_under_another_name, a_link, a_link_to_nowhere, a_link_in_it),
)


@pytest.mark.parametrize("make", SOMEBODY_ELSES)
def test_in_memory_where_the_folder_is_somebody_elses(db, folder, tmp_path, caplog, make):
    make(folder)
    before = sorted(tmp_path.rglob("*")), content(tmp_path)
    for purpose in range(KEPT + 1):
        read(db, purpose)
    assert (sorted(tmp_path.rglob("*")), content(tmp_path)) == before
    assert caplog.messages == [f"{folder} was not made by this program: the lists are read into memory instead."]


@pytest.mark.parametrize("make", SOMEBODY_ELSES)
def test_where_the_folder_is_somebody_elses_nothing_is_forgotten(db, folder, tmp_path, make):
    make(folder)
    before = sorted(tmp_path.rglob("*")), content(tmp_path)
    forget(db)
    assert (sorted(tmp_path.rglob("*")), content(tmp_path)) == before


def test_what_another_process_is_making_is_not_forgotten_under_its_hands(db, folder):
    read(db)
    (folder / ".0123abcd.part").mkdir()
    assert not forget(db), "it may have read the lists that are to be forgotten"
    assert [path.name for path in kept_in(folder)] == [".0123abcd.part"]


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
    others.append(folder / "5123456789abcdef")
    others[-1].write_bytes(b"a file")
    os.utime(others[-1], (2**33, 2**33))  # it is the newest, and keeps none of ours from being kept
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
