"""The documents name what exists: files, functions, settings, commands of the Makefile."""

from __future__ import annotations

import ast
import re

import pytest

from config import PROJECT_DIR

HOW_IT_WORKS = (PROJECT_DIR / "docs/how-it-works.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(\w+\.py): ([\w.]+)`", HOW_IT_WORKS)))
DOCUMENTS = ("docs/how-it-works.md", "CONTRIBUTING.md", "CHANGELOG.md")


def names_in(file: str) -> set[str]:
    """`function`, `Class`, `CONSTANT`, `Class.method` and `Class.field` of a module."""
    found: set[str] = set()

    def collect(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                collect(node.body, node.name + ".")
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            found.update(prefix + target.id for target in targets if isinstance(target, ast.Name))

    collect(ast.parse((PROJECT_DIR / file).read_text(encoding="utf-8")).body, "")
    return found


def test_many_lines_are_named() -> None:
    assert len(NAMED) > 30


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_what_is_named_exists(file: str, name: str) -> None:
    assert name in names_in(file)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_that_are_named_exist(document: str) -> None:
    text = (PROJECT_DIR / document).read_text(encoding="utf-8")
    files = set(re.findall(r"\b(?:(?:docs|tests|benchmarks)/)?[\w.-]+\.(?:py|md|toml|txt)\b", text))
    assert files
    for file in files:
        assert (PROJECT_DIR / file).exists(), file


def test_commands_of_make_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (PROJECT_DIR / "Makefile").read_text(encoding="utf-8"), re.M)
    for document in ("CONTRIBUTING.md", "README.md", "README.zh-TW.md"):
        for command in re.findall(r"\bmake ([a-z]+)\b`", (PROJECT_DIR / document).read_text(encoding="utf-8")):
            assert command in targets, (document, command)
