"""The package in a program of its own folder, whose modules have the names that everybody uses."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

import anime_bert4rec
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.records import Anime, CataloguePage, Relation
from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.model_files import save_item_mappings, save_model
from config import PROJECT_DIR

DOCUMENT = (PROJECT_DIR / "docs/embedding.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", DOCUMENT, re.M | re.S)
THEIR_MODULES = ("config", "errors", "files", "metrics", "history", "ranking", "utils", "records", "flags", "person")
PROGRAM = """
import sys
sys.path.append({project!r})
import config, errors, files, metrics, history, ranking, utils, records, flags, person
before = set(sys.modules)
{code}
def of_project(name):
    file = getattr(sys.modules[name], "__file__", None) or ""
    return file.startswith({project!r}) and "site-packages" not in file
print("added:", {{name.partition(".")[0] for name in set(sys.modules) - before if of_project(name)}})
print("torch:", "torch" in sys.modules)
for module in (config, errors, files, metrics, history, ranking, utils, records, flags, person):
    assert module.__file__.startswith({folder!r}), module
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A program's folder with modules of its own, and a trained model of 40 titles in output/."""
    for name in THEIR_MODULES:
        (tmp_path / f"{name}.py").write_text("", encoding="utf-8")
    torch.manual_seed(0)
    model = BERT4Rec(ModelConfig(40, 8, num_heads=2, max_seq_len=8))
    save_item_mappings(tmp_path / "output/models/item_mappings.pkl", Vocabulary.of(range(1, 41)))
    save_model(tmp_path / "output/models/best_model.pth", model, epoch=1, val_loss=1.0)
    sequel = {2: (Relation(1, "PREQUEL"),), 7: (Relation(6, "PREQUEL"),), 1: (Relation(9, "SUMMARY"),)}
    anime = [Anime(k, title_romaji=f"Title {k}", is_adult=k == 8, relations=sequel.get(k, ())) for k in range(1, 41)]
    with Database.open(tmp_path / "data/bert.db", create=True) as database:
        fetch = database.resume_or_start_catalogue_fetch("ID", 40)
        database.save_catalogue_page(fetch.fetch_id, CataloguePage(tuple(anime), None))
    return tmp_path


def run(folder: Path, code: str) -> list[str]:
    program = PROGRAM.format(project=str(PROJECT_DIR), folder=str(folder), code=code)
    (folder / "program.py").write_text(program, encoding="utf-8")
    done = subprocess.run([sys.executable, "program.py"], cwd=folder, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_the_first_example_of_the_document_runs_beside_modules_of_the_same_names(folder: Path) -> None:
    *printed, added, with_torch = run(folder, EXAMPLES[0])
    assert (added, with_torch) == ("added: {'anime_bert4rec'}", "torch: True")
    assert len(printed) == 10
    ids = [int(re.fullmatch(r"(\d+) \d\d?\.\d%", line)[1]) for line in printed]
    assert len(set(ids) - {1, 5, 20, 30}) == 10


def test_the_other_examples_of_the_document_run_too(folder: Path) -> None:
    assert len(EXAMPLES) == 4
    *titles, _, _ = run(folder, EXAMPLES[1])
    assert len(titles) == 10 and all(re.fullmatch(r"Title \d+ None \(\) \d\.\d%", line) for line in titles)
    many, *_ = run(folder, EXAMPLES[2])
    assert re.fullmatch(r"0 \[\d+, \d+, \d+\]", many)
    *scores, unknown, similar, _, _ = run(folder, EXAMPLES[3])
    assert unknown == "9999999 unknown" and re.fullmatch(r"\d+ True", similar)
    assert all(re.fullmatch(r"[78] \d\.\d%", line) for line in scores) and len(scores) == 2


def test_titles_come_in_turn_and_only_those_that_are_allowed(folder: Path) -> None:
    recommender = anime_bert4rec.Recommender.load(folder / "output")
    catalogue = anime_bert4rec.Catalogue.load(folder / "data/bert.db")
    assert catalogue.anime[2].title_romaji == "Title 2"
    scores = {each.anime_id: each.score for each in recommender.recommend([1, 5, 20], 40)}
    found = recommender.recommend_titles([1, 5, 20], catalogue, 99, lambda anime: not anime.is_adult)
    # 2 continues 1, which was watched; 7 waits for 6; 8 is adult; 9 tells 1 again.
    in_turn = [anime_id for anime_id in scores if anime_id not in (7, 8, 9)]
    assert [(anime.anime_id, score) for anime, score in found] == [(each, scores[each]) for each in in_turn]
    assert 2 in in_turn and len(recommender.recommend_titles([1], catalogue, 3)) == 3
    leaning = [each.anime_id for each in recommender.recommend({1, 20}, 40, alike=9.0)]
    found = recommender.recommend_titles({1, 20}, catalogue, 99, alike=9.0)
    in_turn = [anime_id for anime_id in leaning if anime_id not in (7, 9)]
    assert [anime.anime_id for anime, _ in found] == in_turn
    with pytest.raises(anime_bert4rec.UserError, match="doesn't know how popular"):  # this model has no memory
        recommender.recommend_titles({1, 20}, catalogue, 99, niche=0.3)
    assert leaning != [each.anime_id for each in recommender.recommend({1, 20}, 40)]
    # What was watched neither comes again nor stands for its franchise.
    assert [anime.anime_id for anime in catalogue.in_turn([1, 2, 5, 20, 6], [1, 5, 20])] == [2, 6]
    with pytest.raises(anime_bert4rec.UserError, match="has no anime yet"):
        anime_bert4rec.Catalogue.load(folder / "missing.db")


def test_importing_costs_no_torch(folder: Path) -> None:
    names = ", ".join(anime_bert4rec.__all__)
    assert run(folder, f"from anime_bert4rec import {names}") == ["added: {'anime_bert4rec'}", "torch: False"]


def test_public_names_are_told_and_others_are_errors() -> None:
    assert set(anime_bert4rec.__all__) <= set(dir(anime_bert4rec))
    assert all(getattr(anime_bert4rec, name) for name in anime_bert4rec.__all__)
    with pytest.raises(AttributeError, match="'anime_bert4rec' has no attribute 'recommend'"):
        _ = anime_bert4rec.recommend


def test_all_that_the_document_names_is_public_and_nothing_else() -> None:
    named = set(re.findall(r"`([A-Z]\w*[a-z])\b", DOCUMENT)) - {"None"}
    assert named == set(anime_bert4rec.__all__) - {"__version__"}
    records = {"Catalogue", "Recommendation", "Recommender", "Similar"}
    errors = [getattr(anime_bert4rec, name) for name in named - records]
    assert all(issubclass(error, anime_bert4rec.UserError) for error in errors)


def test_what_is_installed_is_the_package_with_its_requirements() -> None:
    settings = tomllib.loads((PROJECT_DIR / "pyproject.toml").read_text(encoding="utf-8"))
    tool = settings["tool"]["setuptools"]
    assert tool["packages"]["find"]["include"] == ["anime_bert4rec*"]
    assert tool["dynamic"]["dependencies"] == {"file": "requirements.txt"}
    assert tool["dynamic"]["version"] == {"attr": "anime_bert4rec.__version__"}
    folders = {path.parent for path in (PROJECT_DIR / "anime_bert4rec").rglob("*.py")}
    assert all((each / "__init__.py").exists() for each in folders)
