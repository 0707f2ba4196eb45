"""The two READMEs say the same as each other and as the code: flags, commands, file names, links."""

from __future__ import annotations

import re

import pytest
from script_process import finish, start

from config import PROJECT_DIR

SCRIPTS = tuple(
    f"{name}.py" for name in ("prepare_dataset", "load_users", "train_model", "evaluate", "visualize", "recommend")
)
README = {name: (PROJECT_DIR / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-TW.md")}
BENCHMARKS = tuple(
    f"benchmarks/{name}.py" for name in ("compare", "ours", "fold_in", "cold_titles", "import_speed", "recommend_speed")
)
ENGLISH, CHINESE = README.values()

each_readme = pytest.mark.parametrize("text", README.values(), ids=README)


def fences(text: str) -> list[tuple[str, str]]:
    """The language and the content of each code block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)


def commands(text: str) -> list[tuple[str, list[str]]]:
    """The code blocks without comments, which follow two spaces, and without the last, which is the tree."""
    return [(language, [line.split("  ")[0] for line in code.splitlines()]) for language, code in fences(text)[:-1]]


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


def flags(text: str) -> set[str]:
    return set(re.findall(r"--[a-z][a-z0-9-]*", text))


def tree(text: str) -> list[str]:
    """The Python files that the annotated tree names."""
    return re.findall(r"^(\w+\.py) ", fences(text)[-1][1], re.M)


def test_headings_are_the_same_in_both() -> None:
    levels = [re.findall(r"^#+(?= )", prose(text), re.M) for text in README.values()]
    assert levels[0] == levels[1]
    assert "##" in levels[0]


def test_code_is_the_same_in_both() -> None:
    assert len(fences(ENGLISH)) > 1
    assert commands(ENGLISH) == commands(CHINESE)
    assert tree(ENGLISH) == tree(CHINESE)


def test_names_in_backticks_are_the_same_in_both() -> None:
    names = [sorted(re.findall(r"`([^`\n]+)`", prose(text))) for text in README.values()]
    assert "output/models/best_model.pth" in names[0]
    assert names[0] == names[1]


def test_tables_have_the_same_rows_in_both() -> None:
    rows = [re.findall(r"^\| `([^`]*)`", text, re.M) for text in README.values()]
    assert "--epochs N" in rows[0]
    assert rows[0] == rows[1]


def test_flags_are_those_of_the_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")  # otherwise a flag can be broken at a hyphen
    of_scripts, of_benchmarks = (set().union(*map(flags_of, each)) for each in (SCRIPTS, BENCHMARKS))
    for text in (ENGLISH, CHINESE):
        assert of_scripts <= flags(text) <= of_scripts | of_benchmarks


def flags_of(script: str) -> set[str]:
    code, out, err = finish(start(script, "--help"))
    assert (code, err) == (0, "")
    return flags(out)


@each_readme
def test_the_tree_names_every_module(text: str) -> None:
    assert sorted(tree(text)) == sorted(path.name for path in PROJECT_DIR.glob("*.py"))


@each_readme
def test_links_lead_somewhere(text: str) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", text)
    assert links
    for link in links:
        assert (PROJECT_DIR / link).exists(), link


def test_the_table_of_faults_names_tests_that_exist() -> None:
    table = (PROJECT_DIR / "docs/RELIABILITY.md").read_text(encoding="utf-8")
    tests = "".join(path.read_text(encoding="utf-8") for path in (PROJECT_DIR / "tests").glob("test_*.py"))
    named = set(re.findall(r"\btest_\w+(?!\w*\.py)\b", table))
    assert len(named) > 10
    for name in named:
        assert (PROJECT_DIR / "tests" / f"{name}.py").exists() or f"def {name}(" in tests, name
