"""What benchmarks/fuzz.py would catch: a hang, a traceback, an escape sequence, a file written elsewhere."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from config import PROJECT_DIR

CODE = """
import os, signal, sqlite3, sys
sys.path.insert(0, "benchmarks")
import fuzz
from pathlib import Path

folder = Path(sys.argv[1])
watch = fuzz.Watch([folder / "data"])
(folder / "data").mkdir()
watch.on = True
(folder / "data" / "x").write_text("allowed")
(folder / "data" / "x").read_text()
sqlite3.connect(folder / "data" / "y.db").close()
assert watch.seen == [], watch.seen
(folder / "x").write_text("")
(folder / "data" / "x").rename(folder / "y")
os.mkdir(folder / "data" / ".." / "z")
sqlite3.connect(folder / "w.db").close()
print([each.replace(str(folder), "") for each in watch.seen])
"""


def test_a_write_elsewhere_is_seen(tmp_path):
    done = subprocess.run([sys.executable, "-c", CODE, str(tmp_path)], cwd=PROJECT_DIR, capture_output=True, text=True)
    assert done.stdout == "['open /x', 'os.rename /y', 'os.mkdir /z', 'sqlite3.connect /w.db']\n", done.stderr


@pytest.fixture
def fuzz(monkeypatch):
    monkeypatch.syspath_prepend(PROJECT_DIR / "benchmarks")
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)
    import fuzz

    return fuzz


@pytest.mark.parametrize(
    ("text", "code", "found"),
    [
        ("fine", 0, None),
        ("error: no", 1, None),
        ("oops", 1, "exit code 1"),
        ("fine", 3, "exit code 3"),
        ("Traceback (most recent call last):", 0, "Traceback"),
        ("error: \x1b[31m", 1, "would obey"),
    ],
)
def test_how_a_run_may_end(fuzz, text, code, found):
    def main(flags):
        print(text, file=sys.stderr)
        return code

    wrong, returned = fuzz.run(main, [])
    assert returned == code
    assert wrong is None if found is None else found in wrong


def test_a_bug_is_seen(fuzz):
    assert "ZeroDivisionError" in fuzz.run(lambda flags: 1 // 0, [])[0]


def test_chance_is_the_same_each_time_and_makes_good_answers_too(fuzz):
    answers = [fuzz.fuzz_answers.answer(random.Random(seed)) for seed in range(300)]
    assert answers == [fuzz.fuzz_answers.answer(random.Random(seed)) for seed in range(300)]
    assert len(set(answers)) > 250
    assert any(answer.startswith(b"HTTP/1.1 200 ") and b'"hasNextPage": true' in answer for answer in answers)
