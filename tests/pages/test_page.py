"""A page holds all that it needs, runs nothing but its own script, and says everything in both languages."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tomllib
from html.parser import HTMLParser

import pytest
from small_pages import HOSTILE, a_person, a_report

from anime_bert4rec.pages.page import FOLDER, SCRIPTS, json_in_html, page
from config import PROJECT_DIR

TEXTS = json.loads((FOLDER / "texts.json").read_text(encoding="utf-8"))
CODE = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.js")}


class Elements(HTMLParser):
    """The elements of a page, in order: the tag, its attributes, and the text directly in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self.inside = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs), ""))
        self.inside = True

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            tag, attributes, text = self.found[-1]
            self.found[-1] = tag, attributes, text + data

    def of(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [(attributes, text) for name, attributes, text in self.found if name == tag]


def policy_of(html: str) -> dict[str, str]:
    (policy,) = (each["content"] for each, _ in Elements(html).of("meta") if "http-equiv" in each)
    return dict(rule.split(" ", 1) for rule in policy.split("; "))


def hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@pytest.mark.parametrize("html", [a_person(), a_report(), a_person(covers=True)], ids=["person", "report", "covers"])
def test_only_its_own_script_and_style_may_be_used(html):
    elements = Elements(html)
    data = [each for each in elements.of("script") if each[0].get("type") == "application/json"]
    (script,) = [each for each in elements.of("script") if each not in data]
    assert [each[0]["id"] for each in data] == ["texts", "data"]
    policy = policy_of(html)
    images = policy.pop("img-src", None)
    assert policy == {
        "default-src": "'none'",
        "script-src": hashed(script[1]),
        "style-src": hashed(elements.of("style")[0][1]),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert images == ("https://s4.anilist.co" if "bx1-Az_9" in html else None)
    order = [tag for tag, attributes, _ in elements.found if tag in ("style", "script") or "http-equiv" in attributes]
    assert order[0] == "meta"  # a policy counts for what comes after it


@pytest.mark.parametrize("html", [a_person(), a_report()], ids=["person", "report"])
def test_nothing_is_loaded_from_anywhere(html):
    elements = Elements(html)
    assert {tag for tag, _, _ in elements.found} == {
        *("html", "head", "meta", "title", "style", "body", "noscript", "div", "script")
    }
    assert not [attributes for _, attributes, _ in elements.found if {"src", "href", "style"} & attributes.keys()]
    style = elements.of("style")[0][1]
    assert not re.search(r"url\(|@import|@font-face", style)


def test_strangers_texts_are_data_and_nothing_else():
    html = page("person", HOSTILE[0], {HOSTILE[0]: HOSTILE})
    elements = Elements(html)
    assert len(elements.of("script")) == 3 and not elements.of("img")
    (text,) = [text for attributes, text in elements.of("script") if attributes.get("id") == "data"]
    assert not set(text) & set("<>&\u2028\u2029")
    assert json.loads(text) == {HOSTILE[0]: list(HOSTILE)}
    assert elements.of("title")[0][1] == HOSTILE[0]


def test_json_in_html_by_hand():
    assert json_in_html({"a": "</script>&\u2028é"}) == r'{"a":"\u003c/script\u003e\u0026\u2028é"}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_in_html([float("nan")])


def test_no_script_makes_markup_of_text():
    for code in CODE.values():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function|fetch\(", code)
        assert not re.search(r"XMLHttpRequest|import\(|WebSocket|sendBeacon|localStorage|</script|<!--", code)
    assert sorted(CODE) == sorted({*SCRIPTS["person"], *SCRIPTS["report"]})


def test_pages_are_small():
    files = [path for path in FOLDER.iterdir() if path.is_file() and path.suffix != ".py"]
    assert sum(path.stat().st_size for path in files) < 60_000
    assert len(a_report(3_000).encode()) < 1_000_000
    assert len(a_person(200, 3_000).encode()) < 1_000_000


def test_every_text_is_in_both_languages():
    assert TEXTS.keys() == {"en", "zh"}
    assert TEXTS["en"].keys() == TEXTS["zh"].keys()
    for key, text in TEXTS["en"].items():
        chinese = TEXTS["zh"][key]
        assert text and chinese
        assert sorted(re.findall(r"\{\w+", text)) == sorted(re.findall(r"\{\w+", chinese)), key
        assert re.search(r"[\u4e00-\u9fff]", chinese) or key in ("of", "comma", "epoch", "format.OVA", "format.ONA"), (
            key
        )


def test_every_text_that_a_script_names_is_there_and_none_is_left_over():
    used = set()
    for code in CODE.values():
        used |= set(re.findall(r"""\bt\("([\w.]+)\"""", code))
    named = {f"{key}.{each}" for key in ("sort", "planned") for each in CHOICES[key]}
    by_word = {key for key in TEXTS["en"] if key.split(".")[0] in ("genre", "format", "release", "task", "contender")}
    later = {"romaji", "english", "native", "predicted", "predicted_mean", "own_date", "bulk", "undated"}
    later |= {"curves", "ranking", "lists", "map", "zoom_in", "zoom_out", "zoom_all"}
    assert used - TEXTS["en"].keys() == set()
    assert TEXTS["en"].keys() == used | named | by_word | later


CHOICES = {"sort": ("rank", "predicted", "mean", "year", "title"), "planned": ("all", "only", "without")}
"""The choices that person.js names by putting a text's key together."""


def test_an_installed_package_has_the_files_too():
    settings = tomllib.loads((PROJECT_DIR / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["anime_bert4rec"]
    carried = {path for pattern in patterns for path in FOLDER.parent.glob(pattern)}
    assert {path for path in FOLDER.iterdir() if path.is_file() and path.suffix != ".py"} <= carried
