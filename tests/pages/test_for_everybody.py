"""The pages for those who cannot see, use keys or a phone, choose their own colours, or read on paper; in a browser."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from small_pages import a_person, a_report, some_anime, some_map, some_metrics, some_rows, some_tasks

from anime_bert4rec.lists.overview import Overview
from anime_bert4rec.lists.scores import FIVE
from anime_bert4rec.pages.person_page import person_page
from anime_bert4rec.pages.report_page import ReportData, _means, report_page
from anime_bert4rec.recommending.rows import ForPerson

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def opened(browser, tmp_path):
    def opened(html, **how):
        (tmp_path / "page.html").write_bytes(html.encode())
        browser.open(tmp_path / "page.html", **how)
        assert browser.complaints() == []
        return browser

    return opened


def texts(browser, selector):
    return browser.run(f"[...document.querySelectorAll({selector!r})].map((each) => each.textContent)")


def press(browser, *labels):
    for label in labels:
        browser.run(f"[...document.querySelectorAll('button')].find((b) => b.textContent === {label!r}).click()")
    browser.wait()


def contrast(browser, of, beside):
    """The ratio of two colours, as WCAG counts it; both are expressions that give rgb(…)."""

    def light(color):
        shares = np.array(re.findall(r"\d+", browser.run(color))[:3], float) / 255
        linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    high, low = sorted((light(of), light(beside)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("html", [a_person(), a_report()], ids=["person", "report"])
def test_headings_go_down_step_by_step(opened, html):
    levels = opened(html).run("[...document.querySelectorAll('h1, h2, h3')].map((each) => Number(each.tagName[1]))")
    assert levels[0] == 1 and max(np.diff(levels)) == 1


@pytest.mark.parametrize("dark", [False, True])
def test_fields_and_what_they_ask_for_can_be_seen(opened, dark):
    browser = opened(a_person(), dark=dark)
    field = "getComputedStyle(document.querySelector('input'){}).{}".format
    paper = "getComputedStyle(document.body).backgroundColor"
    assert contrast(browser, field("", "borderTopColor"), paper) >= 3
    assert contrast(browser, field(", '::placeholder'", "color"), field("", "backgroundColor")) >= 4.5


def test_numbers_that_are_scrolled_can_be_scrolled_by_keys(opened):
    browser = opened(a_report())
    browser.run("document.querySelector('details').open = true")
    browser.run("document.querySelector('summary').focus()")
    browser.press("Tab", code=9)
    assert browser.run("document.activeElement.getAttribute('aria-label')") == "The numbers"


def test_charts_tell_their_values(opened):
    labels = opened(a_report()).run(
        "[...document.querySelectorAll('#lists svg')].map((each) => each.getAttribute('aria-label'))"
    )
    assert labels[0].startswith("How long the lists are. anime on a list, from: 20: ")
    assert labels[1].endswith("anime, the most popular first: 1: 299, 150: 150, 299: 1")
    assert labels[2] == "Entries by year. year of the entry's own date: 2019: 400, 2020: 500"


def test_without_dates_there_is_no_chart_of_years(opened):
    undated = Overview(np.array([2, 3]), np.array([0, 2, 2, 1]), 0, 0, 5, {})
    browser = opened(report_page(some_metrics(), [], ReportData(some_anime(4), undated), "2026-01-02"))
    headings = ["How long the lists are", "The long tail: how many lists have a title", "What is known of the dates"]
    assert texts(browser, "#lists h3") == headings


def test_a_gap_at_the_beginning_or_the_end_is_no_loss_of_zero(opened):
    metrics = some_metrics(5)
    metrics.val_losses[[0, 4]] = np.nan
    html = report_page(dataclasses.replace(metrics, best_epoch=4), [], ReportData(), "2026-01-02")
    label = opened(html).run("document.querySelector('svg').getAttribute('aria-label')")
    assert label == "Validation loss by epoch, from 5.50 to 4.50"


def test_a_number_is_rounded_once(opened):
    metrics = some_metrics(2)
    metrics.train_losses[:] = 6.445247  # 6.44525 would be shown as 6.4453
    (task, *_) = some_tasks()
    task["contenders"] = [
        {"name": "EASE", "model": False, "values": _means({"mrr": {"mean": 0.2344964, "error": 0.0}})}
    ]
    browser = opened(report_page(metrics, [task], ReportData(), "2026-01-02"))
    assert texts(browser, ".scrolled td.number")[0] == "6.4452"
    press(browser, "MRR")
    assert texts(browser, "#ranking td.number") == ["0.234 ± 0.000"]


def test_of_a_run_that_was_killed_nobody_is_counted(opened):
    metrics = dataclasses.replace(some_metrics(5), validated_on=(None, None), best_epoch=None)
    browser = opened(report_page(metrics, [], ReportData(), "2026-01-02"))
    assert texts(browser, "main > p")[0] == "Validated on – people · – anime · 5 epochs, the best: –"


def test_what_is_chosen_is_said_where_the_controls_are_folded(opened):
    browser = opened(a_person(), width=390)
    assert not browser.run("document.querySelector('details').open")
    press(browser, "Drama", "TV", "newest")
    assert texts(browser, "main section > p")[0] == "1 of 20 titles · Drama · TV · Sort by newest"
    browser.run("document.querySelector('details').open = true")
    browser.wait()
    press(browser, "中文")
    assert browser.run("document.querySelector('details').open"), "as it was"
    assert texts(browser, "main section > p")[0] == "20 部中的 1 部 · 劇情 · 電視 · 排序 最新"


def test_on_paper_numbers_have_their_metric_and_dots_their_genre(opened):
    browser = opened(report_page(some_metrics(), some_tasks(), ReportData(some_anime(30), None, some_map(30)), "today"))
    press(browser, "MRR")
    browser.look(800, 900, media="print")
    browser.wait()
    assert texts(browser, "caption")[0] == "Next item · MRR · 30 people"
    shown = browser.run("[...document.querySelectorAll('.legend button')].map((each) => each.offsetHeight > 0)")
    assert len(shown) > 3 and all(shown)
    assert not browser.run("document.querySelector('.details p').offsetHeight"), "how to use a mouse"


def test_with_colours_of_ones_own_what_is_pressed_and_long_differs(opened):
    browser = opened(a_report())
    features = [{"name": "forced-colors", "value": "active"}]
    browser.call("Emulation.setEmulatedMedia", media="screen", features=features)
    browser.wait()
    color = "getComputedStyle(document.querySelector({!r})).backgroundColor".format
    assert browser.run(color("[aria-pressed=true]")) != browser.run(color("[aria-pressed=false]"))
    for bar in ("tr.model td.bar div", "tr:not(.model) td.bar div"):
        assert browser.run(color(bar)) != browser.run(color("body"))
    dots = browser.run("[...document.querySelectorAll('.dot')].map((each) => getComputedStyle(each).backgroundColor)")
    assert len(set(dots)) == len(dots) > 3


def test_a_mean_is_the_same_on_its_card_and_on_the_map(opened):
    browser = opened(a_person())
    browser.run("document.querySelector('.map input').focus()")
    browser.call("Input.insertText", text="第7話")
    browser.press("Enter", "\r", 13)
    (mean,) = [text for text in texts(browser, ".card[data-id='7'] .scores div") if text.startswith("Mean")]
    assert mean == "Mean on AniList4.7 of 10"
    assert any(text.startswith("Mean on AniList 4.7 of 10 ·") for text in texts(browser, ".details p"))


def test_half_of_a_digit_is_rounded_as_in_the_terminal(opened):
    catalogue = [
        dataclasses.replace(each, mean_score=mean) for each, mean in zip(some_anime(3), (65, 75, 85), strict=True)
    ]
    rows = [dataclasses.replace(row, predicted_score=None, score_scale=5) for row in some_rows(catalogue, 3)]
    means = texts(opened(person_page(rows, catalogue, ["x"], [], "2026-01-02")), ".scores dd")
    assert means == [f"{FIVE.show(each.mean_score or 0)} of 5" for each in catalogue]
    assert means == ["3.2 of 5", "3.8 of 5", "4.2 of 5"]


def test_long_names_and_those_from_right_to_left_leave_the_rest_in_place(opened):
    catalogue = some_anime(12)
    names = ["شخص 1", "x" * 100]
    each = tuple(ForPerson(name, 7.1, 10, False) for name in names)
    rows = [dataclasses.replace(row, for_each=each) for row in some_rows(catalogue, 1)]
    browser = opened(person_page(rows, catalogue, names, [9], "2026-01-02", language="native"), width=390)
    heights = browser.run("[...document.querySelectorAll('.scores dd')].map((each) => each.offsetHeight)")
    assert len(heights) == 4 and len(set(heights)) == 1, "each on one line"
    assert texts(browser, "h1 bdi") == [*names, "第9話ものがたり"]
    assert browser.run("document.querySelector('h1 bdi[lang=ja]').textContent") == "第9話ものがたり"
    assert browser.run("document.title") == texts(browser, "h1")[0]
