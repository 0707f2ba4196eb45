"""What is on the page of a run: its curves, the evaluation as evaluate.py wrote it, and the lists."""

from __future__ import annotations

import json

import numpy as np
import pytest
from small_pages import data_of, some_anime, some_map, some_metrics, some_tasks

from anime_bert4rec.lists.overview import Overview
from anime_bert4rec.lists.people import ENOUGH_PEOPLE
from anime_bert4rec.pages.report_page import ReportData, read_tasks, report_page
from anime_bert4rec.support.errors import UserError

MEAN = {"mean": 0.25, "error": 0.0123456}


def of_best(**tasks):
    """What evaluate.py says of the best model of the run."""
    metrics = some_metrics(12)
    return {
        "model": {"epoch": metrics.best_epoch, "val_loss": metrics.val_losses[metrics.best_epoch - 1]},
        "tasks": tasks,
    }


def test_curves_have_gaps_where_there_is_no_number():
    data = data_of(report_page(some_metrics(4), [], ReportData(), "2026-01-02"))
    assert data["run"]["val_losses"] == [6.0, 5.333333333, None, 4.0]
    assert data["run"]["val_accuracies"]["10"] == [1.0, 7.333333333, 13.666666667, 20.0]
    assert (data["run"]["baseline"], data["run"]["baseline_levels"]) == ("EASE", {"10": 9.0})
    assert (data["map"], data["lists"], data["tasks"], data["lit"]) == (None, None, [], None)


def test_lists_by_hand():
    overview = Overview(np.array([1, 1, 2, 4]), np.array([0, 3, 1, 4]), 5, 2, 1, {1970: 1, 2019: 600, 2020: 900})
    shown = ReportData(some_anime(4), overview, some_map(4))
    data = data_of(report_page(some_metrics(), some_tasks(), shown, "2026-01-02", "Ann", [2, 3, 50]))
    assert data["lists"] == {
        **{"users": 4, "entries": 8, "own_date": 5, "bulk": 2, "undated": 1},
        "lengths": [[1, 2], [2, 1], [3, 1]],
        "tail": [[1, 4], [2, 3], [3, 1]],
        "years": [[2019, 600], [2020, 900]],
    }
    assert (data["who"], data["lit"]) == ("Ann", [1, 2])


def test_nobody_with_a_list_is_no_part_of_the_page():
    nobody = Overview(np.array([], np.int64), np.zeros(4, np.int64), 0, 0, 0, {})
    data = data_of(report_page(some_metrics(), [], ReportData(some_anime(4), nobody), "2026-01-02"))
    assert data["lists"] is None


def test_the_evaluation_is_read_as_it_was_written(tmp_path):
    file = tmp_path / "evaluation.json"
    assert read_tasks(file, some_metrics(12)) == []
    values = {"ndcg@10": MEAN, "hr@5": MEAN, "coverage": 0.3}
    file.write_text(json.dumps(of_best(**{"fold-in": {"users": 30, "contenders": {"this model": values, "EASE": {}}}})))
    assert read_tasks(file, some_metrics(12)) == [
        {
            "name": "fold-in",
            "users": 30,
            "contenders": [
                {"name": "this model", "model": True, "values": {"ndcg@10": [0.25, 0.0123456]}},
                {"name": "EASE", "model": False, "values": {}},
            ],
        }
    ]


@pytest.mark.parametrize(("people", "shown"), [(ENOUGH_PEOPLE - 1, 0), (ENOUGH_PEOPLE, 1)])
def test_of_few_people_nothing_is_said(tmp_path, people, shown):
    task = {"users": people, "contenders": {"this model": {"ndcg@10": MEAN}}}
    (tmp_path / "evaluation.json").write_text(json.dumps(of_best(task=task)))
    (task,) = read_tasks(tmp_path / "evaluation.json", some_metrics(12))
    assert (task["users"], len(task["contenders"])) == (people, shown)


MODEL = json.dumps(of_best())[: -len('"tasks": {}}')]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        MODEL + '"tasks": []}',
        MODEL + '"tasks": {"x": {"users": "many", "contenders": {}}}}',
        MODEL + '"tasks": {"x": {"users": 1, "contenders": {"EASE": {"mrr": {"mean": NaN, "error": 0}}}}}}',
        MODEL + '"tasks": {"x": {"users": 1, "contenders": {"EASE": {"mrr": 1}}}}}',
    ],
)
def test_another_file_is_one_line(tmp_path, content):
    file = tmp_path / "evaluation.json"
    file.write_text(content)
    with pytest.raises(UserError, match=r"is not what evaluate\.py writes") as refused:
        read_tasks(file, some_metrics(12))
    assert "\n" not in str(refused.value)
