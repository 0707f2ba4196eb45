"""What a file holds beside the form that is declared for it, each fault with its place."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import NotRequired, TypedDict

import pytest

from anime_bert4rec.support.forms import WrongForm, check


class Saved(TypedDict):
    seed: int
    share: NotRequired[float | None]


@dataclass
class Sizes:
    width: int
    names: dict[str, list[int]]
    depth: int = 2


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ({"seed": 1}, Saved),
        ({"seed": 1, "share": None, "more": "x"}, Saved),
        ({"seed": 1, "share": 2}, Saved),
        ({"width": 1, "names": {"a": [1, 2]}}, Sizes),
        (1, float),
        (None, int | None),
        ([1, float("nan"), float("inf"), None], list[Real | None]),
    ],
)
def test_what_has_the_form_passes(value: object, hint: object) -> None:
    check(value, hint, "it")


@pytest.mark.parametrize(
    ("value", "hint", "fault"),
    [
        ({}, Saved, "it.seed is missing"),
        ({"seed": True}, Saved, "it.seed is not a whole number"),
        ({"seed": 1, "share": "x"}, Saved, "it.share is not a number"),
        ({"width": 1}, Sizes, "it.names is missing"),
        ({"width": 1, "names": {}, "height": 3}, Sizes, "it has more than width, names, depth"),
        ({"width": 1, "names": {"a": [1, None]}}, Sizes, "it.names.a is not a whole number"),
        (float("nan"), float, "it is not a finite number"),
        ([True], list[Real | None], "it is not a number"),
        ([1], Sizes, "it is not a table of names and values"),
    ],
)
def test_what_has_not_is_told_by_its_place(value: object, hint: object, fault: str) -> None:
    with pytest.raises(WrongForm) as told:
        check(value, hint, "it")
    assert str(told.value) == fault


def test_a_place_reads_as_english() -> None:
    for value, fault in (
        ({"width": 1}, "the file's names is missing"),
        ({"width": 1, "names": {"a": 2}}, "the file's names.a is not a list"),
    ):
        with pytest.raises(WrongForm) as told:
            check(value, Sizes, "the file")
        assert str(told.value) == fault


def test_of_a_file_nothing_long_or_harmful_is_quoted() -> None:
    for name, shown in (("EVIL" * 1000, "it.names." + "EVIL" * 9 + "EVI…"), ("\x1b]0;owned\x07\nmore", "it.names")):
        with pytest.raises(WrongForm) as caught:
            check({"width": 1, "names": {name: 1}}, Sizes, "it")
        assert str(caught.value) == f"{shown} is not a list"
