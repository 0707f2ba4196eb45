"""Text that no terminal would obey, numbers of things, and durations."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anime_bert4rec.support.text import (
    as_argument,
    as_flag,
    count_of,
    count_people,
    decimal,
    duration,
    half_width,
    plain,
)


def test_control_sequences_do_not_reach_the_terminal():
    assert plain("\x1b[31mred\x1b[0m \x1b]0;title\x07text\x00\r\nline\u202e") == "red text line"
    assert plain("lone \ud800 surrogate") == "lone surrogate"
    assert plain("x" * 10_000, limit=10) == "x" * 9 + "…"
    assert plain("進撃の巨人 é") == "進撃の巨人 é"


@given(st.text(st.characters(exclude_categories=())))
def test_plain_text_is_one_printable_line(text):
    shown = plain(text)
    shown.encode()
    assert not any(ord(c) < 32 or ord(c) == 127 or 128 <= ord(c) < 160 for c in shown)


@pytest.mark.parametrize(
    ("system", "quoted"), [("linux", "'my lists.db'"), ("darwin", "'my lists.db'"), ("win32", '"my lists.db"')]
)
def test_a_path_with_a_space_is_one_argument_of_a_command(monkeypatch, system, quoted):
    monkeypatch.setattr(sys, "platform", system)
    assert as_argument(Path("lists.db")) == "lists.db"
    assert as_argument(Path("my lists.db")) == quoted
    assert as_flag("--db", Path("my lists.db")) == f" --db {quoted}"
    assert as_flag("--db", Path("-x.db")) == " --db=-x.db", "for it would be a flag"


def test_one_and_more():
    assert [count_of(number, "user") for number in (0, 1, 1204)] == ["0 users", "1 user", "1,204 users"]
    assert [count_people(number) for number in (0, 1, 1204)] == ["0 people", "one person", "1,204 people"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (99.9, "99.9 s"),
        (100, "2 min"),
        (120, "2 min"),
        (5940, "99 min"),
        (11_100, "3 h 05 min"),
        (432_000, "5 days"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_numbers_have_one_form():
    values = (0.4123, "+.3f", "+.412"), (-0.0116, ".3f", "-.012"), (0.99961, ".3f", "1.000"), (1.2, ".2f", "1.20")
    for value, form, shown in values:
        assert decimal(value, form) == shown


def test_wide_digits_and_signs_are_the_usual_ones():
    assert half_width("２０２０－０１－０１") == "2020-01-01" and half_width("鋼の錬金術師 1") == "鋼の錬金術師 1"
