"""The pages in a real browser, where there is one: what they ask for, show and do; `CHROMIUM` names another."""

from __future__ import annotations

import dataclasses
import time

import pytest
from small_pages import HOSTILE, a_person, a_report, some_anime, some_map, some_rows

from anime_bert4rec.pages.person_page import person_page
from anime_bert4rec.recommending.rows import ForPerson

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    for name, html in {
        "person": a_person(),
        "one": a_person(1, 12),
        "many": a_person(200, 300),
        "covers": a_person(4, 12, covers=True),
        "friends": of_friends(),
        "like": like_a_title(),
        "report": a_report(),
        "large": a_report(20_000),
    }.items():
        (folder / f"{name}.html").write_bytes(html.encode())
    return folder


def like_a_title():
    catalogue = some_anime(12)
    rows = [dataclasses.replace(row, predicted_score=None, score_scale=None) for row in some_rows(catalogue, 3)]
    return person_page(rows, catalogue, [], [7], "2026-01-02", [7], some_map(12), similar=True)


def of_friends():
    catalogue = some_anime(12)
    each = (ForPerson(HOSTILE[0], 7.1, 10, True), ForPerson("Bob", None, None, False))
    rows = [dataclasses.replace(row, for_each=each) for row in some_rows(catalogue, 3)]
    return person_page(rows, catalogue, [HOSTILE[0], "Bob"], [7], "2026-01-02")


def texts(browser, selector):
    return browser.run(f"[...document.querySelectorAll({selector!r})].map((each) => each.textContent)")


def press_button(browser, label):
    found = browser.run(
        f"(() => {{ const each = [...document.querySelectorAll('button')].find((b) => b.textContent === {label!r});"
        " if (each) each.click(); return Boolean(each); })()"
    )
    assert found, label
    browser.wait()


def shown_ids(browser):
    return browser.run("[...document.querySelectorAll('.card')].map((each) => Number(each.dataset.id))")


@pytest.mark.parametrize("name", ["person", "one", "many", "report", "large"])
def test_it_opens_without_a_request_or_a_complaint(browser, pages, name):
    browser.open(pages / f"{name}.html")
    assert browser.requests() == [] and browser.complaints() == []
    assert browser.run("document.querySelectorAll('img').length") == 0
    assert browser.run("document.querySelectorAll('main section').length") >= 1


def test_hostile_titles_are_text(browser, pages):
    browser.open(pages / "person.html")
    assert f"Recommendations for {HOSTILE[0]}" == texts(browser, "h1")[0] == browser.run("document.title")
    titles = texts(browser, ".card h3 bdi")
    assert titles[0] == HOSTILE[0] and titles[1] == HOSTILE[1] and titles[3] == HOSTILE[3]
    assert browser.run("document.querySelectorAll('script').length") == 3
    assert "<b>genre</b>" in texts(browser, ".controls button")


def test_of_several_people_each_card_has_everybodys_score(browser, pages):
    browser.open(pages / "friends.html")
    assert texts(browser, "h1") == [f"Recommendations for {HOSTILE[0]}, Bob, Title 7 no Monogatari"]
    scores = browser.run("[...document.querySelector('.scores').children].map((each) => each.textContent)")
    assert scores == [
        "Predicted, mean9.0 of 10",
        f"{HOSTILE[0]}7.1 of 10 (planned)",
        "Bob–",
        "Mean on AniList4.1 of 10",
    ]
    assert browser.complaints() == []


def test_one_title_is_not_several(browser, pages):
    for page, count in (("one", "1 of 1 title"), ("covers", "4 of 4 titles")):
        browser.open(pages / f"{page}.html")
        assert texts(browser, "[role=status]")[0] == count


def test_what_is_like_a_title_is_for_nobody(browser, pages):
    browser.open(pages / "like.html")
    assert texts(browser, "h1") == ["Titles like Title 7 no Monogatari"]
    assert "The map of anime" in texts(browser, "h2") and not any("you" in text for text in texts(browser, "p.note"))
    assert all(text.endswith(" of 10") for text in texts(browser, ".scores dd")), "as in the terminal"
    assert browser.complaints() == []


def test_cards_are_filtered_and_sorted(browser, pages):
    browser.open(pages / "person.html")
    assert shown_ids(browser) == list(range(1, 21))
    press_button(browser, "Drama")
    dramas = shown_ids(browser)
    assert 0 < len(dramas) < 20 and texts(browser, "[role=status]")[0] == f"{len(dramas)} of 20 titles"
    press_button(browser, "TV")
    assert shown_ids(browser) == [each for each in dramas if each % 3 == 0]
    press_button(browser, "TV")
    press_button(browser, "Drama")
    press_button(browser, "only planned")
    assert shown_ids(browser) == [4, 8, 12, 16, 20]
    press_button(browser, "mean score")
    assert shown_ids(browser) == [20, 16, 12, 8, 4]
    press_button(browser, "all")
    assert shown_ids(browser) == list(range(20, 0, -1))
    browser.run("document.querySelector('input[type=search]').focus()")
    browser.call("Input.insertText", text="第7話")
    browser.wait()
    assert shown_ids(browser) == [7]


def test_the_language_is_the_browsers_and_can_be_changed(browser, pages):
    browser.open(pages / "person.html", language="zh-TW")
    assert browser.run("document.documentElement.lang") == "zh-Hant"
    assert "排序" in texts(browser, ".name") and texts(browser, "[role=status]")[0] == "20 部中的 20 部"
    press_button(browser, "劇情")
    dramas = shown_ids(browser)
    press_button(browser, "English")
    assert "Sort by" in texts(browser, ".name") and shown_ids(browser) == dramas
    press_button(browser, "中文")
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    browser.wait()
    browser.call("Emulation.setEmulatedMedia", features=[])
    assert browser.complaints() == [], "of the maps that are not shown any more"
    browser.open(pages / "person.html", language="fr")
    assert browser.run("document.documentElement.lang") == "en"


def test_titles_are_in_the_spelling_that_is_chosen(browser, pages):
    browser.open(pages / "person.html")
    browser.run("(() => { const each = document.getElementById('spelling'); each.value = 'native';"
                " each.dispatchEvent(new Event('change')); })()")  # fmt: skip
    assert texts(browser, ".card h3 bdi")[:2] == ["第1話ものがたり", "第2話ものがたり"]
    assert browser.run("document.querySelector('.card h3 bdi').lang") == "ja"
    assert browser.run("document.activeElement.id") == "spelling"


@pytest.mark.parametrize("name", ["person", "report"])
@pytest.mark.parametrize("width", [390, 800, 1600])
def test_nothing_sticks_out(browser, pages, name, width):
    browser.open(pages / f"{name}.html", width=width, dark=width == 800)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.complaints() == []
    colors = browser.run("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")
    light, dark = (sum(map(int, each[4:-1].split(", "))) for each in colors)
    assert (light < dark) == (width == 800)
    browser.look(width, 900, media="print")
    browser.wait()
    buttons = "[...document.querySelectorAll('button:not(.legend *)')]"  # the map's colours are explained on paper, too
    assert not any(browser.run(f"{buttons}.map((each) => each.offsetHeight > 0)"))


def test_every_control_has_a_name_and_can_be_reached(browser, pages):
    browser.open(pages / "report.html")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    controls = [
        node
        for node in nodes
        if node["role"]["value"] in ("button", "searchbox", "combobox", "link", "img", "application")
    ]
    assert len(controls) >= 20
    assert [node for node in controls if not node["name"]["value"].strip()] == []
    reached = set()
    for _ in range(60):
        browser.press("Tab", code=9)
        reached.add(browser.run("document.activeElement.tagName + (document.activeElement.id || '')"))
        assert browser.run(
            "document.activeElement.matches(':focus-visible') || document.activeElement === document.body"
        )
    assert {"BUTTONlanguage", "SELECTspelling", "CANVAS", "INPUT", "A", "BUTTON", "SUMMARY"} <= reached


def canvas_of(browser):
    """Where the canvas is, after it was brought into view."""
    browser.run("document.querySelector('canvas').scrollIntoView({block: 'center'})")
    browser.wait()
    return browser.run("(() => { const box = document.querySelector('canvas').getBoundingClientRect();"
                       " return [box.x, box.y, box.width, box.height]; })()")  # fmt: skip


def seen(browser):
    return browser.run("JSON.stringify(view)")


def test_the_map_is_moved_zoomed_and_asked(browser, pages):
    browser.open(pages / "report.html")
    left, top, width, height = canvas_of(browser)
    whole = seen(browser)
    middle = left + width / 2, top + height / 2
    browser.mouse("mouseWheel", *middle, deltaX=0, deltaY=-600)
    browser.wait()
    assert browser.run("view.zoom") > 2
    zoomed = seen(browser)
    browser.mouse("mousePressed", *middle, button="left", buttons=1, clickCount=1)
    browser.mouse("mouseMoved", middle[0] + 80, middle[1] + 40, button="left", buttons=1)
    browser.mouse("mouseReleased", middle[0] + 80, middle[1] + 40, button="left", clickCount=1)
    assert seen(browser) != zoomed
    browser.run("document.querySelector('canvas').focus()")
    browser.press("0", "0")
    assert seen(browser) == whole
    for key, code in (("ArrowRight", 39), ("+", 187), ("ArrowUp", 38)):
        before = seen(browser)
        browser.press(key, "+" if key == "+" else None, code)
        assert seen(browser) != before
    browser.press("0", "0")
    # The title that is clicked says what goes with it; a neighbour can be chosen.
    across, down = browser.run("[DATA.map.x[0] / 9999, DATA.map.y[0] / 9999]")
    at = across * (width - 42) + 21, down * (height - 42) + 21
    browser.click(left + at[0], top + at[1])
    assert texts(browser, ".details h3") == [HOSTILE[0]]
    neighbours = texts(browser, ".details li")
    assert len(neighbours) == 8
    browser.run("document.querySelector('.details li button').click()")
    assert texts(browser, ".details h3") == neighbours[:1]
    assert browser.run("document.activeElement.textContent") == neighbours[0], "for who has no mouse"
    assert browser.complaints() == []


@pytest.mark.parametrize(
    ("typed", "found"), [("話ものがたり", 300), ("第123話", 1), ("TITLE 250 no", 1), ("第77個故事", 1), ("zzz", 0)]
)
def test_titles_are_found_in_any_script(browser, pages, typed, found):
    browser.open(pages / "report.html")
    browser.run("document.querySelector('.map input').focus()")
    browser.call("Input.insertText", text=typed)
    browser.wait()
    assert texts(browser, ".map [role=status]") == [f"{found} found"]
    assert len(texts(browser, ".found li")) == min(found, 12)
    browser.press("Enter", "\r", 13)
    assert len(texts(browser, ".details h3")) == min(found, 1)


def test_two_fingers_zoom_and_one_moves(browser, pages):
    browser.open(pages / "report.html")
    left, top, width, height = canvas_of(browser)
    x, y = left + width / 2, top + height / 2

    def touch(kind, *points):
        at = [{"x": across, "y": down, "id": number} for number, (across, down) in enumerate(points)]
        browser.call("Input.dispatchTouchEvent", type=kind, touchPoints=at)

    touch("touchStart", (x - 50, y), (x + 50, y))
    touch("touchMove", (x - 100, y), (x + 100, y))
    touch("touchEnd")
    browser.wait()
    zoomed = browser.run("view.zoom")
    assert zoomed == pytest.approx(2)  # twice as far apart
    before = browser.run("view.x")
    touch("touchStart", (x, y))
    touch("touchMove", (x - 90, y))
    touch("touchEnd")
    assert browser.run("view.zoom") == zoomed and browser.run("view.x") > before


def test_a_genre_is_picked_out(browser, pages):
    browser.open(pages / "report.html")
    genre = texts(browser, ".map .tools .group button")[0]
    before = browser.run("document.querySelector('canvas').toDataURL()")
    press_button(browser, genre)
    assert browser.run("document.querySelector('canvas').toDataURL()") != before
    assert texts(browser, ".map [aria-pressed=true]") == [genre]
    press_button(browser, genre)
    browser.wait()
    assert texts(browser, ".map [aria-pressed=true]") == []


def test_the_metric_is_chosen(browser, pages):
    browser.open(pages / "report.html")
    rows = texts(browser, "#ranking td.number")
    assert rows == ["0.200 ± 0.010"] * 6
    press_button(browser, "Recall@10")  # which this evaluation has not
    assert texts(browser, "#ranking td.number") == []
    press_button(browser, "MRR")
    assert texts(browser, "#ranking td.number") == rows


def test_covers_come_from_anilists_host_alone(browser, pages):
    browser.open(pages / "covers.html")
    time.sleep(0.2)
    asked = browser.requests()
    assert len(asked) == 2 and all(each.startswith("https://s4.anilist.co/") for each in asked)
    assert "s4.anilist.co" in texts(browser, ".note")[0] and "AniList can see" in texts(browser, ".note")[0]


def test_a_page_refuses_what_is_not_its_own(browser, pages):
    browser.open(pages / "report.html")
    browser.run(
        "(() => { const script = document.createElement('script'), image = document.createElement('img');"
        " script.textContent = 'window.harm = 1'; image.src = 'https://evil.example/x.png';"
        " image.setAttribute('onerror', 'window.harm = 2'); document.body.append(script, image); })()"
    )
    time.sleep(0.2)
    assert browser.run("window.harm") is None
    assert any("Content Security Policy" in each for each in browser.complaints())
