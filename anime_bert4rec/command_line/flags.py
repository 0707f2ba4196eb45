"""Flags made from dataclasses: a field declared with `setting(default, help, …)` becomes a flag of the same name.

A script has one dataclass of its own, whose fields are the groups of its flags; `read_flags` fills it.

`batch_size` becomes `--batch-size`; a field without help text stays a setting that only code changes. Values are
checked on construction, whoever makes it.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import math
import re
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anime_bert4rec.support.errors import SettingError


def setting(
    default: Any,
    help: str | None = None,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] | None = None,
    metavar: str | None = None,
    flag: str | None = None,
    short: str | None = None,
    without_value: Any = None,
    several: bool = False,
    exclusive: str | None = None,
    once: bool = False,
) -> Any:
    """A dataclass field with its help text, its limits and, where it isn't the field's own name, its flag.

    short: another name of the flag, of one letter. without_value: what a flag stands for that is given without a value.
    several: whether texts may follow each other after one flag, as numbers always may. exclusive: a name that those
    flags have in common of which one may be given. once: whether a second value is refused; else it replaces the first.
    """
    limits = {"at_least": at_least, "at_most": at_most, "above": above, "below": below, "choices": choices}
    texts = {"help": help, "metavar": metavar, "flag": flag, "short": short}
    forms = {"without_value": without_value, "several": several, "exclusive": exclusive, "once": once}
    return field(default=default, metadata={**texts, **forms, **limits})


def flag_of(f: dataclasses.Field[Any]) -> str:
    """`--batch-size` for the field `batch_size`."""
    return f.metadata["flag"] or "--" + f.name.replace("_", "-")


class Checked:
    """Checks the limits of every field on construction."""

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            for each in value if isinstance(value, tuple) else (value,):
                if each is not None:
                    _check(flag_of(f), each, f.metadata)


def _check(flag: str, value: Any, limits: typing.Mapping[str, Any]) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingError(f"{flag} must be a finite number, not {value}")
    if isinstance(value, str) and not _is_text(value):
        raise SettingError(f"{flag} must be text in this terminal's encoding, not {value}")
    rules: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
        ("at_least", "at least", lambda limit: value >= limit),
        ("at_most", "at most", lambda limit: value <= limit),
        ("above", "above", lambda limit: value > limit),
        ("below", "below", lambda limit: value < limit),
    )
    for rule, words, holds in rules:
        limit = limits.get(rule)
        if limit is not None and not holds(limit):
            raise SettingError(f"{flag} must be {words} {limit}, not {value}")
    if limits.get("choices") and value not in limits["choices"]:
        raise SettingError(f"{flag} must be one of {', '.join(limits['choices'])}, not {value!r}")


def _is_text(value: str) -> bool:
    """Python has surrogates for bytes of a command line that are no text. A path may have them; nothing else can."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


@dataclass(frozen=True, kw_only=True)
class Verbosity(Checked):
    """How much a script says on stderr. Every script has these flags."""

    quiet: bool = setting(False, "only warnings, errors and results", exclusive="verbosity")
    verbose: bool = setting(
        False,
        "also what helps to find a fault, such as every request to AniList, and all tables at the end of a training",
        exclusive="verbosity",
    )


def group(title: str) -> Any:
    """A field of a script's settings, whose flags stand together under this title in --help."""
    return field(metadata={"title": title})


@dataclass(frozen=True, kw_only=True)
class ScriptSettings:
    """All settings of a script: a field for each group of flags, of which every script has this one, as its last."""

    verbosity: Verbosity = group("what is said")


Settings = typing.TypeVar("Settings", bound=ScriptSettings)
Group = typing.TypeVar("Group", bound=Checked)


def read_flags(
    argv: Sequence[str] | None, settings: type[Settings], description: str = "", epilog: str | None = None
) -> Settings:
    """The settings that a command line gives. Raises SettingError."""
    parser = _Parser(description=description, epilog=epilog, allow_abbrev=False)
    kinds, (inherited, *own) = typing.get_type_hints(settings), dataclasses.fields(settings)
    for f in [*own, inherited]:
        _add_flags(parser.add_argument_group(f.metadata["title"]), kinds[f.name])
    args = parser.parse_args(argv)
    return settings(**{f.name: _pick(args, kinds[f.name]) for f in [*own, inherited]})


class _Parser(argparse.ArgumentParser):
    """A wrong flag is the same one line as a value out of range, without the usage above it."""

    def error(self, message: str) -> typing.NoReturn:
        if both := re.fullmatch(r"argument (\S+): not allowed with argument (\S+)", message):
            raise SettingError(f"{both[2]} and {both[1]} cannot be used together")
        if unknown := re.match(r"unrecognized arguments: (--[^\s=]+)", message):
            known = re.findall(r"--[\w-]+", self.format_usage())
            if meant := difflib.get_close_matches(unknown[1], known, n=1):
                message = f"there is no flag {unknown[1]}: is {meant[0]} meant?"
        elif stray := re.match(r"unrecognized arguments: ([^\s-]\S*)", message):
            message = f"{stray[1]} belongs to no flag: several words that are one value need double quotes"
        elif lacks := re.fullmatch(r"argument (?:\S+/)?(--\S+): (expected (?:one|at least one) argument)", message):
            message = f"{lacks[1]}: {lacks[2]}; one that begins with - is given as {lacks[1]}=VALUE"
        raise SettingError(f"{message.removeprefix('argument ')} (--help shows all flags)")


class _Once(argparse.Action):
    """Refuses a flag that is given a second time."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, flag: str | None = None
    ) -> None:
        if getattr(namespace, self.dest) is not None:
            parser.error(f"{flag} takes one {self.metavar}, and is given twice")
        setattr(namespace, self.dest, values)


def _add_flags(group: argparse._ArgumentGroup, settings: type[Checked]) -> None:
    """A flag for every field that has help text."""
    hints = typing.get_type_hints(settings)
    exclusive: dict[str, argparse._MutuallyExclusiveGroup] = {}
    for f in dataclasses.fields(settings):  # type: ignore[arg-type]
        text, name = f.metadata["help"], f.metadata["exclusive"]
        if text is None:
            continue
        if name and name not in exclusive:
            exclusive[name] = group.add_mutually_exclusive_group()
        there = exclusive[name] if name else group
        if hints[f.name] is bool:
            action = argparse.BooleanOptionalAction if f.default else "store_true"
            there.add_argument(flag_of(f), dest=f.name, action=action, default=f.default, help=text)
        else:
            if not isinstance(f.default, Path | tuple) and f.default not in (None, ""):
                text += f" (default: {f.default})"
            names = [*filter(None, [f.metadata["short"]]), flag_of(f)]
            there.add_argument(*names, dest=f.name, help=text, **_with_value(f, _plain_type(hints[f.name])))


def _with_value(f: dataclasses.Field[Any], kind: Any) -> dict[str, Any]:
    """How argparse reads the value of a flag.

    Numbers may follow each other (`--anime 1 5 20`); each text needs the flag before it, unless it has `several`.
    """
    form: dict[str, Any]
    if typing.get_origin(kind) is tuple:
        kind = _plain_type(typing.get_args(kind)[0])
        form = {"nargs": "+", "action": "extend"} if kind is int or f.metadata["several"] else {"action": "append"}
        return {"type": kind, "default": [], "metavar": f.metadata["metavar"], **form}
    form = {"action": _Once} if f.metadata["once"] else {}
    if f.metadata["without_value"] is not None:
        form |= {"nargs": "?", "const": f.metadata["without_value"]}
    default = None if f.default == "" else f.default  # argparse would take it for a text that is given
    return {"type": kind, "default": default, "metavar": f.metadata["metavar"], **form}


def _pick(args: argparse.Namespace, settings: type[Group]) -> Group:
    """The dataclass `settings` filled from parsed arguments. Raises SettingError, naming the flag."""
    fields = [f for f in dataclasses.fields(settings) if f.metadata["help"] is not None]  # type: ignore[arg-type]
    values = {f.name: getattr(args, f.name) for f in fields}
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return settings(**{name: value for name, value in given.items() if value is not None})


def _plain_type(hint: Any) -> Any:
    """The type in the place of `… | None`, and every other one unchanged, but of texts and paths the check."""
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    return {str: _text, Path: _path}.get(hint, hint)


def _text(text: str) -> str:
    """An empty one, such as that of a variable that isn't set, would be as none, or match anything."""
    if not text.strip():
        raise argparse.ArgumentTypeError("a value is needed, and it is empty")
    return text


def _path(text: str) -> Path:
    if text == "-":
        raise argparse.ArgumentTypeError("a file is needed, and - is none (one of that name is ./-)")
    return Path(_text(text))
