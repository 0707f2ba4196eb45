"""Whether what a file holds has the form that type hints declare: numbers, texts, lists, dicts and records."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from numbers import Real
from typing import Any

from anime_bert4rec.support.text import plain

NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "nothing"}


class WrongForm(ValueError):
    """A value does not have the declared form. The message is safe to show: it quotes nothing of the file but names."""


def check(value: Any, hint: Any, at: str) -> None:
    """Raises WrongForm, naming the place `at` or one below it, unless `value` is what `hint` declares.

    Whole numbers are numbers too, but true and false are not; a float is finite, and a Real need not be. A dataclass
    stands for the dict of its fields, of which those with a default may be missing; a TypedDict for a dict that may
    have more keys, and lack those that are NotRequired.
    """
    if hint is Any or type(value) is hint is not float:
        return
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        kinds = [part for part in parts if part is not type(None)]
        if value is None and len(kinds) < len(parts):
            return
        if len(kinds) == 1:
            return check(value, kinds[0], at)
        if not any(_fits(value, kind) for kind in kinds):
            raise WrongForm(f"{at} is not {' or '.join(map(_named, kinds))}")
    elif origin is list:
        _require(type(value) is list, at, "a list")
        for each in value:
            check(each, parts[0], at)
    elif origin is dict:
        _require(type(value) is dict, at, "a table of names and values")
        for key, each in value.items():
            check(key, parts[0], f"a name in {at}")
            named = isinstance(key, int) or key.isidentifier()
            check(each, parts[1], _below(at, plain(str(key), 40)) if named else at)
    elif dataclasses.is_dataclass(hint) or typing.is_typeddict(hint):
        _check_record(value, hint, at)
    elif hint in (float, Real):
        _require(type(value) in (int, float), at, NAMES[float])
        _require(hint is Real or abs(value) < math.inf, at, "a finite number")
    else:
        _require(type(value) is hint if hint in NAMES else isinstance(value, hint), at, _named(hint))


def _check_record(value: Any, hint: Any, at: str) -> None:
    _require(type(value) is dict, at, "a table of names and values")
    hints, needed = _fields(hint)
    for name in needed:
        if name not in value:
            raise WrongForm(f"{_below(at, name)} is missing")
    if dataclasses.is_dataclass(hint) and not set(value) <= set(hints):
        raise WrongForm(f"{at} has more than {', '.join(hints)}")
    for name, kind in hints.items():
        if name in value:
            check(value[name], kind, _below(at, name))


@functools.cache
def _fields(hint: Any) -> tuple[dict[str, Any], list[str]]:
    """The hints of a record's fields, and the names of those that must be there."""
    hints = typing.get_type_hints(hint)
    if typing.is_typeddict(hint):  # its own __required_keys__ are wrong where annotations are kept as text
        marked = typing.get_type_hints(hint, include_extras=True)
        return hints, sorted(name for name in hints if typing.get_origin(marked[name]) is not typing.NotRequired)
    missing = dataclasses.MISSING
    fields = dataclasses.fields(hint)
    return hints, [f.name for f in fields if f.default is missing and f.default_factory is missing]


def _fits(value: Any, hint: Any) -> bool:
    try:
        check(value, hint, "")
    except WrongForm:
        return False
    return True


def _below(at: str, name: str) -> str:
    """`the file's summary`, and `the file's summary.epochs` below that."""
    return f"{at}'s {name}" if " " in at and "'s " not in at else f"{at}.{name}"


def _require(holds: bool, at: str, what: str) -> None:
    if not holds:
        raise WrongForm(f"{at} is not {what}")


def _named(hint: Any) -> str:
    return NAMES.get(hint) or f"a {getattr(hint, '__name__', 'value').lower()}"
