"""Runs over each other: what is drawn, how they are named, and which cannot be compared."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from made_up_runs import best_at, line, run, shown_texts, texts

import visualize
from anime_bert4rec.plots.run_comparison import comparison, run_names
from anime_bert4rec.support.errors import UserError


def saved(folder: Path, metrics: dict) -> Path:
    (folder / "plots").mkdir(parents=True)
    (folder / "plots" / "training_metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    return folder


def test_two_runs(tmp_path: Path) -> None:
    short, long = saved(tmp_path / "small", run(10)), saved(tmp_path / "large", best_at(17, 30))
    figure = comparison([short, long / "plots" / "training_metrics.json"])
    loss, accuracy = figure.axes
    assert line(loss, "small").get_ydata().tolist() == run(10)["val_losses"]
    assert line(accuracy, "large").get_ydata() == pytest.approx([100 * x for x in run(30)["val_accuracies"]["10"]])
    assert loss.get_xlim() == (1, 30)
    assert f"large {run(30)['val_losses'][16]:.3f}" in texts(loss)  # of the best epoch
    assert line(loss, "small").get_color() != line(loss, "large").get_color()
    assert "Not comparable" not in figure.texts[2].get_text()


def test_runs_on_other_lists_are_said_to_be_so(tmp_path: Path) -> None:
    other = run(10)
    other["summary"]["num_items"] = 50
    figure = comparison([saved(tmp_path / "a", run(10)), saved(tmp_path / "b", other)])
    assert "Not comparable" in figure.texts[2].get_text()


@pytest.mark.parametrize(
    ("people", "said"),
    [(("a", "b"), True), (("a", "a"), False), (("a", None), False), ((None, None), False), (("a", None, "b"), True)],
)
def test_runs_that_were_validated_on_different_people_are_said_to_be_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, people: tuple[str | None, ...], said: bool
) -> None:
    """Runs of earlier versions don't say on whom."""
    runs = []
    for number, validated_on in enumerate(people):
        metrics = run(10)
        if validated_on:
            metrics["summary"]["validated_on"] = validated_on
        runs.append(saved(tmp_path / f"{number}", metrics))
    assert ("validated on different people" in comparison(runs).texts[2].get_text()) == said
    assert ("--split-seed" in caplog.text) == said


@pytest.mark.parametrize("count", [1, 2, 8])
def test_nothing_overlaps(tmp_path: Path, count: int) -> None:
    figure = comparison([saved(tmp_path / f"a-run-with-a-long-name-{k}", run(3 * k + 1)) for k in range(count)])
    boxes = [(text, text.get_window_extent()) for text in shown_texts(figure)]
    for text, box in boxes:
        assert min(box.x0, box.y0) >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height, text
    for (text, box), (other, another) in itertools.combinations(boxes, 2):
        assert not box.overlaps(another), (text, other)


def test_names() -> None:
    assert run_names([Path("/a/x/plots/training_metrics.json"), Path("/a/y")]) == ["x", "y"]
    assert run_names([Path("/a/out"), Path("/b/out")]) == ["a", "b"]
    assert run_names([Path("/a"), Path("/a")]) == ["run 1", "run 2"]
    assert run_names([Path("/a/output-of-monday"), Path("/b")]) == ["…t-of-monday", "b"]
    assert run_names([Path("/a/模型"), Path("/b/輸出")]) == ["a", "b"]  # both would be two boxes
    assert run_names([Path("/模型"), Path("/輸出")]) == ["run 1", "run 2"]


def test_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = (str(saved(tmp_path / name, run(3))) for name in "ab")
    assert visualize.main(["--compare", one, two, "--output-dir", str(tmp_path / "c")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'c' / 'plots' / 'comparison.png'}\n"
    assert [path.name for path in (tmp_path / "c" / "plots").iterdir()] == ["comparison.png"]
    assert visualize.main(["--compare", one, str(tmp_path / "c")]) == 1
    assert capsys.readouterr().err.startswith("error: no training_metrics.json in ")


def test_nine_runs_are_too_many(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at most 8 runs"):
        comparison([tmp_path] * 9)
