"""Flags made from dataclasses: a field declared with `setting(default, help, …)` becomes a flag of the same name.

`batch_size` becomes `--batch-size`; a field without help text stays a setting that only code changes. Values are
checked on construction, whoever makes it.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import types
import typing
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
    alone: Any = None,
    several: bool = False,
) -> Any:
    """A dataclass field with its help text, its limits and, where it isn't the field's own name, its flag.

    alone: the value of a flag that is given without one. several: whether texts may follow each other after one flag,
    as numbers always may.
    """
    limits = {"at_least": at_least, "at_most": at_most, "above": above, "below": below, "choices": choices}
    texts = {"help": help, "metavar": metavar, "flag": flag}
    return field(default=default, metadata={**texts, "alone": alone, "several": several, **limits})


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
    rules = (
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

    quiet: bool = setting(False, "only warnings, errors and results")
    verbose: bool = setting(False, "also what helps to find a fault, such as every request to AniList")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.quiet and self.verbose:
            raise SettingError("--quiet and --verbose exclude each other")


Settings = typing.TypeVar("Settings", bound=Checked)


class Parser(argparse.ArgumentParser):
    """A wrong flag is the same one line as a value out of range, without the usage above it."""

    def error(self, message: str) -> typing.NoReturn:
        raise SettingError(f"{message.removeprefix('argument ')} (--help shows all flags)")


def add_flags(parser: Parser, settings: type[Checked], title: str) -> None:
    """A flag for every field of `settings` that has help text."""
    group = parser.add_argument_group(title)
    hints = typing.get_type_hints(settings)
    for f in dataclasses.fields(settings):  # type: ignore[arg-type]
        text = f.metadata["help"]
        if text is None:
            continue
        kind = _plain_type(hints[f.name])
        if kind is bool:
            action = argparse.BooleanOptionalAction if f.default else "store_true"
            group.add_argument(flag_of(f), dest=f.name, action=action, default=f.default, help=text)
            continue
        if typing.get_origin(kind) is tuple:
            _add_repeated(group, f, typing.get_args(kind)[0], text)
            continue
        if f.default not in (None, "") and not isinstance(f.default, Path):
            text += f" (default: {f.default})"
        alone = {} if f.metadata["alone"] is None else {"nargs": "?", "const": f.metadata["alone"]}
        group.add_argument(
            flag_of(f), dest=f.name, type=kind, default=f.default, help=text, metavar=f.metadata["metavar"], **alone
        )


def _add_repeated(group: argparse._ArgumentGroup, f: dataclasses.Field[Any], kind: Any, text: str) -> None:
    """Numbers may follow each other (`--anime 1 5 20`); each text needs the flag before it, unless it has `several`."""
    several = kind is int or f.metadata["several"]
    many: dict[str, Any] = {"nargs": "+", "action": "extend"} if several else {"action": "append"}
    group.add_argument(flag_of(f), dest=f.name, type=kind, default=[], help=text, metavar=f.metadata["metavar"], **many)


def pick(args: argparse.Namespace, settings: type[Settings]) -> Settings:
    """The dataclass `settings` filled from parsed arguments. Raises SettingError, naming the flag."""
    names = [f.name for f in dataclasses.fields(settings) if f.metadata["help"] is not None]  # type: ignore[arg-type]
    values = {name: getattr(args, name) for name in names}
    return settings(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def _plain_type(hint: Any) -> Any:
    """`Path` for `Path | None`, and every other type unchanged."""
    if isinstance(hint, types.UnionType):
        return next(part for part in typing.get_args(hint) if part is not type(None))
    return hint
