"""What is written in two languages says the same in both and as the code: flags, commands, file names, words."""

from __future__ import annotations

import functools
import gc
import io
import re
import runpy
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout

import pytest

from config import PROJECT_DIR

SCRIPTS = tuple(
    f"{name}.py" for name in ("prepare_dataset", "load_users", "train_model", "evaluate", "visualize", "recommend")
)
BENCHMARKS = tuple(
    f"benchmarks/{name}.py"
    for name in (
        "compare",
        "ours",
        "fold_in",
        "list_lengths",
        "cold_titles",
        "import_speed",
        "in_time",
        "liked",
        "recommend_speed",
        "from_model",
    )
)
NAMES = ("README", "docs/reference", "docs/questions", "docs/measured", "docs/how-it-works")
MOST_BYTES_OF_A_README = 12_288


def read(name: str) -> str:
    return (PROJECT_DIR / name).read_text(encoding="utf-8")


def english(name: str) -> str:
    """The English text, of how it works without the formulas, which there are in English alone."""
    return read(f"{name}.md").split("\n## In formulas\n")[0]


ENGLISH = {name: english(name) for name in NAMES}
CHINESE = {name: read(f"{name}.zh-TW.md") for name in NAMES}
ALL = {f"{name} {language}": texts[name] for name in NAMES for language, texts in (("en", ENGLISH), ("zh", CHINESE))}

each_pair = pytest.mark.parametrize(("one", "other"), [(ENGLISH[name], CHINESE[name]) for name in NAMES], ids=NAMES)
each_language = pytest.mark.parametrize("texts", [ENGLISH, CHINESE], ids=["en", "zh"])


def fences(text: str) -> list[tuple[str, str]]:
    """The language and the content of each code block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)


def commands(text: str) -> list[tuple[str, list[str]]]:
    """The code blocks without comments, which follow two spaces."""
    return [(language, [line.split("  ")[0] for line in code.splitlines()]) for language, code in fences(text)]


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


def flags(text: str) -> set[str]:
    return set(re.findall(r"--[a-z][a-z0-9-]*", text))


def backticked(text: str) -> list[str]:
    return sorted(re.findall(r"`([^`\n]+)`", prose(text)))


def first_cells(text: str) -> list[str]:
    return re.findall(r"^\| `([^`]*)`", text, re.M)


@each_pair
def test_headings_are_the_same_in_both(one: str, other: str) -> None:
    levels = [re.findall(r"^#+(?= )", prose(text), re.M) for text in (one, other)]
    assert levels[0] == levels[1]
    assert "##" in levels[0]


@each_pair
def test_code_is_the_same_in_both(one: str, other: str) -> None:
    assert commands(one) == commands(other)


@each_pair
def test_names_in_backticks_are_the_same_in_both(one: str, other: str) -> None:
    assert backticked(one)
    assert backticked(one) == backticked(other)


@each_pair
def test_tables_have_the_same_rows_in_both(one: str, other: str) -> None:
    assert first_cells(one) == first_cells(other)
    shapes = [[line.count("|") for line in text.splitlines() if line.startswith("|")] for text in (one, other)]
    assert shapes[0] == shapes[1]


@each_pair
def test_pictures_are_the_same_in_both(one: str, other: str) -> None:
    pictures = [re.findall(r"!\[[^]]+\]\(([^)]+)\)", text) for text in (one, other)]
    assert pictures[0] == pictures[1]


def test_what_is_compared_is_there() -> None:
    assert len(fences(ENGLISH["README"])) > 1
    assert len(fences(ENGLISH["docs/measured"])) > 1
    assert "output/models/best_model.pth" in backticked(ENGLISH["docs/reference"])
    assert "--epochs N" in first_cells(ENGLISH["docs/reference"])


@pytest.fixture(scope="module")
def flags_of() -> Iterator[Callable[[str], set[str]]]:
    """The flags that `--help` names, of a script that is run as it is from a shell, in this process."""

    @functools.cache
    def flags_of(script: str) -> set[str]:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setenv("COLUMNS", "1000")  # otherwise a flag can be broken at a hyphen
            patch.syspath_prepend(str((PROJECT_DIR / script).parent))
            patch.setattr(sys, "argv", [script, "--help"])
            with pytest.raises(SystemExit) as exit:
                runpy.run_path(str(PROJECT_DIR / script), run_name="__main__")
        assert (exit.value.code or 0, err.getvalue()) == (0, "")
        return flags(out.getvalue())

    before, threshold = signal.getsignal(signal.SIGINT), gc.get_threshold()
    yield flags_of
    signal.signal(signal.SIGINT, before)  # a script that is run handles it
    gc.set_threshold(*threshold)


@each_language
def test_flags_are_those_of_the_scripts(flags_of: Callable[[str], set[str]], texts: dict[str, str]) -> None:
    of_scripts, of_benchmarks = (set().union(*map(flags_of, each)) for each in (SCRIPTS, BENCHMARKS))
    assert of_scripts <= flags(texts["docs/reference"])
    for text in texts.values():
        assert flags(text) <= of_scripts | of_benchmarks


@pytest.mark.parametrize("name", ["README.md", "README.zh-TW.md"])
def test_a_readme_is_short(name: str) -> None:
    assert len((PROJECT_DIR / name).read_bytes()) <= MOST_BYTES_OF_A_README


@pytest.mark.parametrize("name", NAMES)
def test_one_thing_has_one_name_in_chinese(name: str) -> None:
    text = CHINESE[name]
    for other_name in ("基準線", "選項", "遮蔽", "隱藏維度", "受測者"):
        assert other_name not in text, other_name
    unclear = re.findall(r".{0,3}(?<!神經)網路(?!斷線|；|：)", text)
    assert not unclear, unclear  # alone it is the internet
