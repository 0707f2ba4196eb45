"""The documents name what exists: files, functions, settings, each other, commands of the Makefile."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from anime_bert4rec.lists import sequences
from anime_bert4rec.model import (
    bert4rec,
    encoder_layer,
    hidden_positions,
    item_memory,
    memory_colisting,
    memory_fitting,
    memory_likeness,
    memory_pairs,
    memory_popularity,
    memory_ranking,
    memory_samples,
    memory_strengths,
    predicted_scores,
    training_data,
)
from anime_bert4rec.model import memory_ease as ease
from anime_bert4rec.model import memory_transitions as transitions
from anime_bert4rec.model import memory_unlisted as unlisted
from anime_bert4rec.training import new_model, weights
from config import PROJECT_DIR, TrainingSettings

HOW_IT_WORKS = (PROJECT_DIR / "docs/how-it-works.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py): ([\w.]+)`", HOW_IT_WORKS)))
NUMBERS = (
    f"max(1, round({TrainingSettings.mask_prob} *n*))",
    f"{TrainingSettings.cut_share:.0%} are cuts".replace("%", " %"),
    f"round({hidden_positions.CUT_RATIO} *L*)",
    f"*E* starts with a standard deviation of {bert4rec.EMBEDDING_SPREAD:.2f}".replace("0.", ".")
    + f", the matrices of the layers with {encoder_layer.LAYER_SPREAD}".replace("0.", "."),
    f"Beside a memory, {new_model.ALIKE_AT_FIRST:.0%} of its variance".replace("%", " %"),
    "betas 0.9 and 0.98, decay 0.01 on matrices but not on embeddings and distances",
    f"rises over the first {weights.WARM_UP:.0%} of the".replace("%", " %"),
    f"log softplus(ease / {item_memory.SOFTNESS}), log(pop + {memory_popularity.SMOOTHING}), log listed together,"
    f" log(cosine + {memory_likeness.LEAST_COSINE}), franchise, missing",
    f"{memory_colisting.SMOOTHING} / [pop] · popⱼ / Σ pop",
    f"up to {memory_samples.SHOWN_IN_PART:,} times a list, of which a fifth misses {memory_samples.MASKED:.0%}".replace(
        "%", " %"
    ),
    f"among the {memory_strengths.AMONG} items that these have first",
    f"{memory_strengths.ROUGHNESS} Σ (second differences of s)²  +  {memory_strengths.SIZE:.4f} Σ s²",
    f"above and {memory_ranking.RANKING_ROUGHNESS} for {memory_strengths.ROUGHNESS}",
    f"the {memory_fitting.MOST_ITEMS:,} most popular, have the score\n−{-item_memory.LOWEST}",
    "R  =  XᵀX + ¼ diag(XᵀX) + λ I + λ w A",
    f"adds\n{memory_pairs.DECAY}^(g − 1) to C[earlier, later] and {memory_pairs.BACKWARD} times",
    f"πⱼ  =  (popⱼ + {transitions.SMOOTHING}) / Σ (pop + {transitions.SMOOTHING})",
    f"{memory_fitting.TRIAL_ITEMS:,} most popular",
    f"From {training_data.LISTS_TO_ANSWER_ALONE} lists in order on",
    "together            =  {} · net + {} · prior + bias".format(*bert4rec.MIXTURE),
    f"instead of {hidden_positions.CUT_RATIO} (`model/hidden_positions.py: CUT_RATIO_WITHOUT_MEMORY`)",
    f"{hidden_positions.MASKED_BEFORE_CUTS:.0%} look like masks".replace("%", " %"),
    f"{unlisted.WEIGHT} · Σ share of the group",
    f"D = min({weights.DECAY}, (e − 1) / (e + 2))",
    f"(F_K F_Kᵀ + {predicted_scores.NOISE} I)⁻¹ (z − μ_K)",
    f"what diag(F Fᵀ) lacks of {predicted_scores.ITEM_VARIANCE}",
    f"scaled by (*c* + {predicted_scores.FEW_SCORES:g})^(−½)",
)
"""As the code has them."""
DOCUMENTS = sorted(
    path.relative_to(PROJECT_DIR).as_posix()
    for folder in ("", "docs", "benchmarks")
    for path in (PROJECT_DIR / folder).glob("*.md")
)
TREE = "\n## The tree\n"
"""The heading of what ends CONTRIBUTING.md: a test of its own compares the names there."""
NAME_FILES = ("docs/how-it-works.md", "CONTRIBUTING.md", "CHANGELOG.md")


def located(file: str) -> Path:
    """The path of a file that a document names; of modules, documents give the path within the package."""
    inside = PROJECT_DIR / "anime_bert4rec" / file
    return inside if inside.exists() else PROJECT_DIR / file


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

    collect(ast.parse(located(file).read_text(encoding="utf-8")).body, "")
    return found


def test_many_lines_are_named() -> None:
    assert len(NAMED) > 30


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_what_is_named_exists(file: str, name: str) -> None:
    assert name in names_in(file)


@pytest.mark.parametrize("text", NUMBERS)
def test_numbers_are_those_of_the_code(text: str) -> None:
    assert " ".join(text.split()) in " ".join(HOW_IT_WORKS.split())


def test_numbers_in_words_are_those_of_the_code() -> None:
    assert (sequences.BULK_DAY, "Ten or more entries of one day" in HOW_IT_WORKS) == (10, True)
    assert (ease.POPULARITY_RIDGE, "The quarter is more ridge" in HOW_IT_WORKS) == (0.25, True)
    assert (item_memory.NEIGHBOURS, "eight visible items nearest before" in HOW_IT_WORKS) == (8, True)
    assert (memory_pairs.REACH, "*g* apart and at most 10" in HOW_IT_WORKS) == (10, True)
    assert (hidden_positions.FEWEST_CUTS, "at least three" in HOW_IT_WORKS) == (3, True)
    assert (training_data.MEMORY_EVERY, "of four batches three are answered" in HOW_IT_WORKS) == (4, True)
    assert (hidden_positions.CUT_RATIO_WITHOUT_MEMORY, "In the others a quarter of the" in HOW_IT_WORKS) == (0.25, True)
    assert (hidden_positions.WIDE_CUT_RATIO_WITHOUT_MEMORY, "and half from half a million" in HOW_IT_WORKS) == (
        0.5,
        True,
    )
    assert training_data.ENTRIES_FOR_A_WIDE_NETWORK == 500_000
    assert (hidden_positions.FEWEST_CUTS_WITHOUT_MEMORY, "all are, up to sixteen" in HOW_IT_WORKS) == (16, True)
    assert (len(memory_fitting.SHARES_OF_EASE), "from ten (`model/memory_fitting.py" in HOW_IT_WORKS) == (10, True)
    assert (ease.UNORDERED_POPULARITY_RIDGE, "without an order it is 2" in HOW_IT_WORKS) == (2, True)
    assert (memory_fitting.FRANCHISE_BONUS, "the franchise gets 2 more with one" in HOW_IT_WORKS) == (2, True)
    assert (memory_strengths.ROUNDS, "two rounds in which each hidden item" in HOW_IT_WORKS) == (2, True)
    assert (memory_ranking.STEPS, "two more of Newton's steps" in HOW_IT_WORKS) == (2, True)
    assert (memory_ranking.CANDIDATES, "looks at the 50 items that come first" in HOW_IT_WORKS) == (50, True)
    shorter = (memory_ranking.SHORTER, memory_ranking.TRIES)
    assert (shorter, "made a quarter as long, twice at the most" in HOW_IT_WORKS) == ((4, 3), True)
    assert (memory_popularity.SURPRISE, "chance below e⁻³" in HOW_IT_WORKS) == (3, True)
    assert (memory_strengths.LEAST_FACTOR, ".05 at the least" in HOW_IT_WORKS) == (0.05, True)
    near = f"{memory_ranking.DISTANCE} times the square of the distance" in HOW_IT_WORKS
    assert (2**memory_ranking.FEW, near and "nothing from 32 on" in HOW_IT_WORKS) == (32, True)
    assert (2 ** (memory_strengths.KNOTS - 1), "known at 1, 2, 4, … 512 visible items" in HOW_IT_WORKS) == (512, True)


@pytest.mark.parametrize("document", NAME_FILES)
def test_files_that_are_named_exist(document: str) -> None:
    text = (PROJECT_DIR / document).read_text(encoding="utf-8").partition(TREE)[0]
    files = set(re.findall(r"\b(?:\w+/)*[\w.-]+\.(?:py|md|toml|txt)\b", text))
    assert files
    for file in files:
        assert located(file).exists() or (PROJECT_DIR / document).with_name(file).exists(), file


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    here = PROJECT_DIR / document
    for link in links_of(document):
        path, _, heading = link.partition("#")
        there = here.parent / path if path else here
        assert there.exists(), link
        assert not heading or heading in headings_of(there), link


def test_every_document_is_found_from_the_readme_in_its_language() -> None:
    english = {document for document in DOCUMENTS if not document.endswith(".zh-TW.md")}
    in_chinese = {document: document.replace(".md", ".zh-TW.md") for document in english}
    chinese = {there if there in DOCUMENTS else document for document, there in in_chinese.items()}
    for readme, documents in (("README.md", english), ("README.zh-TW.md", chinese)):
        assert documents - {readme} <= {link.partition("#")[0] for link in links_of(readme)}


def links_of(document: str) -> list[str]:
    return re.findall(r"\]\((?!https?://)([^)\s]+)", (PROJECT_DIR / document).read_text(encoding="utf-8"))


def headings_of(path: Path) -> set[str]:
    """What GitHub calls the headings of a document in addresses: small letters, hyphens, no other signs."""
    headings = re.findall(r"^#+ (.+)", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_tree_names_every_module() -> None:
    tree = (PROJECT_DIR / "CONTRIBUTING.md").read_text(encoding="utf-8").partition(TREE)[2]
    named, folders = [], list[str]()
    for indent, name, what in re.findall(r"^( *)(\w+/|\w+\.py)  +(.+)$", tree, re.M):
        folders[len(indent) // 2 :] = [name]
        named.append("".join(folders))
        assert what[0].isalnum(), name
    modules = [path.relative_to(PROJECT_DIR).as_posix() for path in (PROJECT_DIR / "anime_bert4rec").rglob("[!_]*.py")]
    assert sorted(name for name in named if name.endswith(".py")) == sorted(
        [path.name for path in PROJECT_DIR.glob("*.py")] + modules
    )
    folders_of_package = [name.split("/")[1] for name in named if re.fullmatch(r"anime_bert4rec/\w+/", name)]
    assert {*folders_of_package} == {
        path.parent.name for path in (PROJECT_DIR / "anime_bert4rec").glob("*/__init__.py")
    }


def test_the_table_of_faults_names_tests_that_exist() -> None:
    table = (PROJECT_DIR / "docs/RELIABILITY.md").read_text(encoding="utf-8")
    tests = "".join(path.read_text(encoding="utf-8") for path in (PROJECT_DIR / "tests").rglob("test_*.py"))
    named = set(re.findall(r"\btest_\w+(?!\w*\.py)\b", table))
    assert len(named) > 10
    for name in named:
        assert list((PROJECT_DIR / "tests").rglob(f"{name}.py")) or f"def {name}(" in tests, name


def test_commands_of_make_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (PROJECT_DIR / "Makefile").read_text(encoding="utf-8"), re.M)
    for document in DOCUMENTS:
        for command in re.findall(r"\bmake ([a-z]+)\b`", (PROJECT_DIR / document).read_text(encoding="utf-8")):
            assert command in targets, (document, command)


def test_the_demo_ends_with_a_command_that_works_as_it_is_printed() -> None:
    recipe = re.search(r"^demo:.*\n((?:\t.*\n)+)", (PROJECT_DIR / "Makefile").read_text(encoding="utf-8"), re.M)
    assert recipe
    printed = recipe[1].splitlines()[-1]
    assert re.fullmatch(r"\t@echo 'Next: \$\(BIN\)/python (recommend\.py --sandbox --user sandbox\d{4})'", printed)
