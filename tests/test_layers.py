"""The order of the package: who imports whom, who imports torch, and tests in folders like the package's."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "anime_bert4rec"
FLOORS = (
    {"support"},
    {"lists"},
    {"anilist", "model", "recommending"},
    {"training", "evaluation", "recommender"},
    {"plots"},
    {"pages"},
)
"""A folder imports those of lower floors only; those of one floor don't import each other."""
FLOOR = {folder: number for number, floor in enumerate(FLOORS) for folder in floor}
WITH_TORCH = {"model", "training", "evaluation", "recommender"}
SCRIPTS = {"prepare_dataset", "load_users", "train_model", "evaluate", "visualize", "recommend"}
SCRIPTS_OF_SCRIPTS = {("train_model", "visualize"), ("train_model", "evaluate")}
LONGEST = 350

TESTED_BY = {
    "command_line.flags": "test_config.py",
    "command_line.recommendation_settings": "test_recommend_wishes.py",
    "evaluation.trained_run": "test_evaluate.py",
    "lists.catalogue_tables": "lists/test_database.py",
    "lists.database_removal": "test_removal.py",
    "lists.database_schema": "lists/test_database_file.py",
    "lists.list_import": "test_import_lists.py",
    "lists.list_tables": "lists/test_database.py",
    "model.leaving_out": "model/test_next_item_scorer.py",
    "model.memory_answers": "model/test_item_memory.py",
    "model.memory_config": "model/test_item_memory.py",
    "model.memory_ease": "test_memory_by_hand.py",
    "model.memory_groups": "model/test_memory_likeness.py",
    "model.memory_fitting": "model/test_item_memory.py",
    "model.memory_tables": "model/test_item_memory.py",
    "plots.ranking_comparison": "evaluation/test_report.py",
    "recommender": "test_recommender.py",
    "recommending.catalogue": "test_embedding.py",
    "recommending.everybody": "test_recommend_all.py",
    "lists.people": "test_changed_database.py",
    "recommending.printing": "test_recommend.py",
    "recommending.titles_to_show": "test_recommend_upcoming.py",
    "recommending.title_seasons": "recommending/test_title_search.py",
    "support.errors": "command_line/test_script.py",
    "support.locks": "training/test_output_folder.py",
    "support.progress": "test_terminal.py",
    "training.failures": "test_faults.py",
    "training.training_run": "training/test_resume.py",
}
"""Modules without a test file of their own, and the file that tests them."""
MORE_TESTS = {
    "training/test_resume_differences.py": "training.resume",
    "training/test_resume_moved_aside.py": "training.resume",
    "pages/test_in_browser.py": "pages.page",
    "pages/test_for_everybody.py": "pages.page",
    "anilist/test_anilist_client.py": "anilist_client",
    "anilist/test_open_source.py": "anilist_client",
    "lists/test_read_only_database.py": "lists.database_file",
    "lists/test_sequence_folder.py": "lists.sequence_store",
}
"""Test files beside the one that is named like their module."""


@cache
def modules() -> dict[str, Path]:
    """Every module by its full name, the top level's too."""
    paths = [*ROOT.glob("*.py"), *(ROOT / PACKAGE).rglob("*.py")]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


@cache
def imports_of(module: str, at_once: bool = False) -> frozenset[str]:
    """What a module imports, also inside functions unless `at_once`; not what only the type checker sees."""

    def found(parent: ast.AST) -> Iterator[str]:
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.module and not node.level, f"{module}: a relative import"
                names = (f"{node.module}.{alias.name}" for alias in node.names)
                yield from (name if name in modules() else node.module for name in names)
            elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                continue
            elif not (at_once and isinstance(node, ast.FunctionDef)):
                yield from found(node)

    return frozenset(found(ast.parse(modules()[module].read_text(encoding="utf-8"))))


def short(module: str) -> str:
    return module.removeprefix(PACKAGE + ".")


def folder_of(module: str) -> str:
    """`lists` for anime_bert4rec.lists.records, and the name itself for what is in no folder."""
    return short(module).split(".")[0]


def inner() -> list[str]:
    """The modules of the package."""
    return [name for name in modules() if name.startswith(PACKAGE + ".")]


def test_a_folder_imports_only_those_below_it() -> None:
    against = {
        (short(module), short(name))
        for module in inner()
        if folder_of(module) in FLOOR
        for name in imports_of(module) & modules().keys() - {PACKAGE}
        if folder_of(name) != folder_of(module)
        if FLOOR.get(folder_of(name), len(FLOORS)) >= FLOOR[folder_of(module)]
    }
    assert not against
    assert {folder_of(module) for module in inner()} == {*FLOOR, "command_line"}


def test_the_command_line_uses_nothing_but_support() -> None:
    for module in inner():
        if folder_of(module) == "command_line":
            used = {folder_of(name) for name in imports_of(module) & modules().keys()}
            assert used <= {"command_line", "support"}, module


def test_scripts_meet_only_in_files() -> None:
    used = {(script, name) for script in SCRIPTS for name in imports_of(script) & SCRIPTS}
    assert used == SCRIPTS_OF_SCRIPTS
    assert not (imports_of("config") | imports_of("anilist_client")) & SCRIPTS


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {name: imports_of(name) & modules().keys() - {PACKAGE} for name in modules() if name != PACKAGE}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_only_what_learns_brings_torch_along() -> None:
    bringing = {"torch"}
    while more := {name for name in modules() if needed_at_once(name) & bringing} - bringing:
        bringing |= more
    elsewhere = {short(name) for name in bringing & {*inner()} if folder_of(name) not in WITH_TORCH}
    assert len(bringing) > 20 and not elsewhere
    assert bringing & SCRIPTS == {"train_model", "evaluate"}


def needed_at_once(module: str) -> set[str]:
    """What a module imports as soon as it is imported itself; of packages that are not ours, their first name."""
    return {name if name in modules() else name.split(".")[0] for name in imports_of(module, at_once=True)}


def test_files_are_short() -> None:
    files = [*modules().values(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines()) for path in files}
    assert not {name for name, length in lengths.items() if length > LONGEST}


def test_tests_are_where_their_modules_are() -> None:
    tests = {path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    modules_of_tests = {short(name) for name in inner() if modules()[name].name != "__init__.py"}
    own = {name: "/".join([*name.split(".")[:-1], f"test_{name.split('.')[-1]}.py"]) for name in modules_of_tests}
    untested = {name for name, test in own.items() if test not in tests or "." not in name}
    assert untested == TESTED_BY.keys()
    assert {*TESTED_BY.values()} <= tests
    assert {test for test in tests if "/" in test} - {*own.values()} == MORE_TESTS.keys()
    assert {*MORE_TESTS.values()} <= {short(name) for name in modules()}


def test_docstrings_can_be_read_alone() -> None:
    benchmarks = [*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "benchmarks" / "peers").glob("*.py")]
    paths = [*modules().values(), *(ROOT / "tests").rglob("*.py"), *benchmarks]
    texts = {
        f"{path.relative_to(ROOT)}:{node.lineno}": node.value.value
        for path in paths
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }
    assert len(texts) > 1000
    assert not [place for place, text in texts.items() if text.lstrip().startswith(("…", "..."))]


@pytest.mark.parametrize("folder", sorted({*FLOOR, "command_line"} - {"recommender"}))
def test_each_folder_says_what_it_is(folder: str) -> None:
    assert ast.get_docstring(ast.parse((ROOT / PACKAGE / folder / "__init__.py").read_text(encoding="utf-8")))
