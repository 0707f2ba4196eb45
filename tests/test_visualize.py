"""The four plots: what they show, that nothing in them overlaps, and what bad metrics are answered with."""

from __future__ import annotations

import copy
import itertools
import json
import math
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

import config
import plot_style
import visualize
from curves import PLOTS, loss_curve
from errors import UserError
from run_metrics import TOP_K, read_metrics
from visualize import plot_all

NAN = float("nan")
SIZES = {
    "loss_curve.png": (1600, 1000),
    "accuracy_curve.png": (1600, 1360),
    "combined_metrics.png": (1600, 1840),
    "learning_curve.png": (1600, 1540),
}


def run(epochs: int, **changes: Any) -> dict[str, Any]:
    """The metrics of a run that learns: losses fall and accuracies rise towards a level, validation behind training."""
    done = [i / max(epochs, 1) for i in range(epochs)]
    losses = {"train": [4 + 4 * math.exp(-5 * x) for x in done], "val": [5 + 3 * math.exp(-6 * x) for x in done]}
    metrics: dict[str, Any] = {
        "train_losses": losses["train"],
        "val_losses": losses["val"],
        "learning_rates": [0.001 * (1 - x) for x in done],
        "epoch_seconds": [2.0] * epochs,
        "summary": {
            "best_epoch": epochs or None,
            "epochs_done": epochs,
            "epochs_planned": 200,
            "users_train": 2230,
            "users_val": 248,
            "num_items": 3000,
            "baselines": {"popularity": {"1": 0.012, "5": 0.052, "10": 0.094, "20": 0.161}},
        },
    }
    for split in losses:
        metrics[f"{split}_accuracies"] = {
            str(k): [0.03 * math.sqrt(k) * (9 - loss) / 2 for loss in losses[split]] for k in TOP_K
        }
    return metrics | changes


def broken(epochs: int) -> dict[str, Any]:
    """A run with gaps: two lone epochs unknown near the start, and nothing but NaN from epoch 20 on."""
    metrics = run(epochs)
    for values in [metrics["train_losses"], metrics["val_losses"], *metrics["val_accuracies"].values()]:
        values[3], values[5] = NAN, None
        values[19:] = [NAN] * (epochs - 19)
    return metrics


def flat(epochs: int, loss: float, accuracy: float) -> dict[str, Any]:
    accuracies = {str(k): [accuracy] * epochs for k in TOP_K}
    return run(
        epochs,
        train_losses=[loss] * epochs,
        val_losses=[loss] * epochs,
        train_accuracies=accuracies,
        val_accuracies=accuracies,
    )


def best_at(epoch: int, epochs: int) -> dict[str, Any]:
    metrics = run(epochs)
    metrics["summary"]["best_epoch"] = epoch
    return metrics


def diverged() -> dict[str, Any]:
    return run(12, val_losses=[7.0, 6.0, 5.0] + [10.0**i for i in range(1, 10)])


RUNS = {
    "no epoch": run(0),
    "1 epoch": run(1),
    "3 epochs": run(3),
    "30 epochs": run(30),
    "2,000 epochs": run(2000),
    "best first": best_at(1, 200),
    "best left of the middle": best_at(99, 200),
    "best in the middle": best_at(101, 200),
    "all equal": flat(30, 5.0, 0.2),
    "all zero": flat(30, 0.0, 0.0) | {"summary": {}},
    "all right": flat(1, 0.0, 1.0),
    "gaps": broken(30),
    "nothing but gaps": run(4, train_losses=[NAN] * 4, val_losses=[None] * 4),
    "diverged": diverged(),
    "no extras": {key: value for key, value in run(30).items() if key not in ("summary", "learning_rates")},
}


def draw(name: str, metrics: dict[str, Any]) -> Figure:
    return PLOTS[name](read_metrics(metrics))


def line(ax: Axes, name: str) -> Line2D:
    (found,) = [each for each in ax.lines if each.get_label() == name]
    return found


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def shown_texts(figure: Figure) -> list[Text]:
    """Every text that one sees: not the empty ones, and not the tick labels beyond the ends of an axis."""
    figure.draw_without_rendering()
    beyond = set()
    for axis in itertools.chain.from_iterable((ax.xaxis, ax.yaxis) for ax in figure.axes):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if not low <= tick.get_loc() <= high:
                beyond |= {tick.label1, tick.label2}
    every = figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_visible() and artist.get_text())
    return [text for text in every if text not in beyond]


# ---- the files


def test_four_pngs_are_written_and_nothing_else(tmp_path: Path) -> None:
    paths = plot_all(run(30), tmp_path / "new" / "plots")
    assert paths == [tmp_path / "new" / "plots" / name for name in SIZES]
    assert sorted((tmp_path / "new" / "plots").iterdir()) == sorted(paths)
    for path in paths:
        assert struct.unpack(">II", path.read_bytes()[16:24]) == SIZES[path.name]
        pixels = matplotlib.image.imread(path)[:, :, :3]
        assert 0.02 < (pixels < 0.95).any(axis=2).mean() < 0.3  # ink on a white ground


def test_a_file_gives_the_same_pictures_as_its_content(tmp_path: Path) -> None:
    file = tmp_path / "training_metrics.json"
    file.write_text(json.dumps(broken(30)), encoding="utf-8")
    from_file, from_content = plot_all(file, tmp_path / "a"), plot_all(broken(30), tmp_path / "b")
    assert [path.read_bytes() for path in from_file] == [path.read_bytes() for path in from_content]


def saved(path: Path) -> bytes:
    plot_style.save(draw("loss_curve.png", run(3)), path)
    return path.read_bytes()


def test_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        pictures = list(pool.map(saved, [tmp_path / str(i) for i in range(8)]))
    assert set(pictures) == {saved(tmp_path / "alone")}


def test_the_users_own_matplotlib_settings_do_not_change_the_size(tmp_path: Path) -> None:
    with mpl.rc_context({"savefig.bbox": "tight", "savefig.dpi": 50, "axes.grid": True, "font.family": "cursive"}):
        assert saved(tmp_path / "theirs.png") == saved(tmp_path / "ours.png")
    assert struct.unpack(">II", (tmp_path / "theirs.png").read_bytes()[16:24]) == SIZES["loss_curve.png"]


def test_a_picture_that_cannot_be_written_leaves_no_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "plots" / "training_metrics.json"
    (tmp_path / "plots" / "loss_curve.png").mkdir(parents=True)
    file.write_text(json.dumps(run(3)), encoding="utf-8")
    assert visualize.main(["--output-dir", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: Is a directory: ")
    assert {path.name for path in file.parent.iterdir()} == {"training_metrics.json", "loss_curve.png"}


def test_neither_pyplot_nor_torch_is_needed() -> None:
    code = "import sys, visualize; sys.exit('matplotlib.pyplot' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=config.PROJECT_DIR).returncode == 0


# ---- what they show


def test_loss_curve() -> None:
    (ax,) = draw("loss_curve.png", run(4, train_losses=[8, 6, 5, 4], val_losses=[7, 6, 5.5, 5.75])).axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Epoch", "Cross-entropy (nats)")
    assert line(ax, "Training").get_xydata().tolist() == [[1, 8], [2, 6], [3, 5], [4, 4]]
    assert line(ax, "Validation").get_xydata().tolist() == [[1, 7], [2, 6], [3, 5.5], [4, 5.75]]
    assert {"Training 4.000", "Validation 5.750"} <= set(texts(ax))
    assert [ax.xaxis.get_major_formatter()(tick) for tick in ax.get_xticks()] == ["1", "2", "3", "4"]


def test_training_and_validation_differ_in_colour_and_in_grey() -> None:
    (ax,) = draw("loss_curve.png", run(30)).axes
    training, validation = line(ax, "Training"), line(ax, "Validation")
    assert training.get_color() != validation.get_color()
    assert (training.get_linestyle(), validation.get_linestyle()) == ("--", "-")
    assert "dropout on" in ax.figure.texts[2].get_text()


@pytest.mark.parametrize("name", PLOTS)
def test_the_best_epoch_is_marked(name: str) -> None:
    metrics = best_at(17, 30)
    for ax in draw(name, metrics).axes:
        pole = line(ax, "best epoch").get_transform().transform([line(ax, "best epoch").get_xydata()[0]])[0]
        assert ax.transData.inverted().transform(pole)[0] == pytest.approx(17)
    ax = draw(name, metrics).axes[-1 if name == "accuracy_curve.png" else 0]
    values = metrics["val_accuracies"]["20"] if name == "accuracy_curve.png" else metrics["val_losses"]
    scale, text = (100, "best epoch 17: {:.1f} %") if name == "accuracy_curve.png" else (1, "validation loss {:.3f}")
    assert line(ax, "best value").get_xydata().tolist() == [[17, scale * values[16]]]
    assert any(text.format(scale * values[16]) in each for each in texts(ax))


@pytest.mark.parametrize("summary", [{}, {"best_epoch": None}, {"best_epoch": 0}, {"best_epoch": 5}])
def test_without_a_usable_best_epoch_it_is_the_lowest_validation_loss(summary: dict[str, Any]) -> None:
    losses = [7, NAN, 5, 6]
    assert read_metrics(run(4, val_losses=losses, summary=summary)).best_epoch == 3
    assert read_metrics(run(4, val_losses=[None] * 4, summary=summary)).best_epoch is None


def test_accuracy_curve_is_in_per_cent_with_one_scale_for_all_panels() -> None:
    metrics = run(3)
    metrics["val_accuracies"]["5"] = [0.1, None, 0.25]
    axes = draw("accuracy_curve.png", metrics).axes
    assert [ax.get_title(loc="left") for ax in axes] == ["Top-1", "Top-5", "Top-10", "Top-20"]
    assert [ax.get_ylabel() for ax in axes] == ["Accuracy (%)", "", "Accuracy (%)", ""]
    np.testing.assert_allclose(line(axes[1], "Validation").get_ydata(), [10, NAN, 25])
    np.testing.assert_allclose(
        line(axes[3], "Training").get_ydata(), np.multiply(metrics["train_accuracies"]["20"], 100)
    )
    np.testing.assert_allclose(line(axes[2], "Popularity").get_ydata(), [9.4, 9.4])
    assert {"Validation 25.0 %", "Popularity 5.2 %"} <= set(texts(axes[1]))
    assert len({ax.get_ylim() for ax in axes}) == 1
    assert axes[0].get_ylim()[0] == 0


def test_reference_lines_are_optional() -> None:
    metrics = run(3)
    metrics["summary"]["baselines"]["popularity"] = {"10": 0.094, "20": None}
    drawn = [
        any(each.get_label() == "Popularity" for each in ax.lines) for ax in draw("accuracy_curve.png", metrics).axes
    ]
    assert drawn == [False, False, True, False]
    assert "Dotted" in draw("accuracy_curve.png", metrics).texts[2].get_text()
    del metrics["summary"]["baselines"]
    assert "Dotted" not in draw("accuracy_curve.png", metrics).texts[2].get_text()


def test_combined_metrics() -> None:
    metrics = run(3, learning_rates=[0.001, 0.0005, 0.00025])
    loss, accuracy, rate = draw("combined_metrics.png", metrics).axes
    assert (loss.get_ylabel(), accuracy.get_ylabel(), rate.get_xlabel()) == (
        "Cross-entropy (nats)",
        "Accuracy (%)",
        "Epoch",
    )
    for k in TOP_K:
        np.testing.assert_allclose(
            line(accuracy, f"Top-{k}").get_ydata(), np.multiply(metrics["val_accuracies"][str(k)], 100)
        )
    np.testing.assert_allclose(line(accuracy, "Popularity, Top-20").get_ydata(), [16.1, 16.1])
    assert line(rate, "Learning rate").get_ydata().tolist() == [0.001, 0.0005, 0.00025]
    assert texts(rate) == ["0.00025"]


@pytest.mark.parametrize("rates", [[], None, [None, None, None]])
def test_combined_metrics_without_learning_rates(rates: list[float] | None) -> None:
    assert len(draw("combined_metrics.png", run(3, learning_rates=rates)).axes) == 2


def test_learning_curve_shows_the_trend_over_the_epochs_themselves() -> None:
    losses = [5 + 0.1 * (-1) ** i for i in range(40)]
    figure = draw("learning_curve.png", run(40, val_losses=losses))
    loss, accuracy = figure.axes
    assert line(loss, "Validation, each epoch").get_ydata().tolist() == losses
    assert np.ptp(line(loss, "Validation").get_ydata()[5:-3]) < 0.1 * np.ptp(losses)
    assert line(accuracy, "Popularity").get_ydata()[0] == pytest.approx(9.4)
    assert "Learning curve, smoothed" in figure.texts[0].get_text()


def test_a_run_too_short_to_be_smoothed_says_so() -> None:
    figure = draw("learning_curve.png", run(4))
    assert figure.texts[0].get_text() == "Learning curve"
    assert "trend" not in figure.texts[2].get_text()
    assert line(figure.axes[0], "Validation").get_ydata().tolist() == run(4)["val_losses"]


def test_facts_that_are_known_are_told() -> None:
    figure = draw("loss_curve.png", run(30))
    assert figure.texts[1].get_text() == "2,230 training and 248 validation users · 3,000 anime · 30 of 200 epochs"
    figure = draw("loss_curve.png", run(30, summary={"num_items": 50}))
    assert figure.texts[1].get_text() == "50 anime"


def test_unknown_epochs_are_gaps_and_lone_ones_are_dots() -> None:
    losses = [7, None, 6, NAN, 5, 4, 1e300, 3, 3, 3, 3, 3, 3]
    (ax,) = draw("loss_curve.png", run(13, val_losses=losses)).axes
    drawn = line(ax, "Validation")
    np.testing.assert_array_equal(drawn.get_ydata(), [7, NAN, 6, NAN, 5, 4, NAN, 3, 3, 3, 3, 3, 3])
    assert list(drawn.get_markevery()) == [0, 2]
    assert ax.get_ylim()[1] < 10


def test_lists_of_different_length() -> None:
    metrics = run(5, val_losses=[6.0, 5.0], summary={})
    metrics["train_accuracies"]["10"] = []
    assert read_metrics(metrics).epochs == 5
    (ax,) = draw("loss_curve.png", metrics).axes
    assert line(ax, "Validation").get_xydata().tolist() == [[1, 6], [2, 5]]
    assert ax.get_xlim() == (1, 5)
    assert not any(text.startswith("Training") for text in texts(draw("learning_curve.png", metrics).axes[1]))


def test_a_run_that_diverged_is_on_a_log_scale() -> None:
    (ax,) = draw("loss_curve.png", diverged()).axes
    assert ax.get_yscale() == "log"
    (ax,) = draw("loss_curve.png", run(30)).axes
    assert ax.get_yscale() == "linear"


@pytest.mark.parametrize("name", PLOTS)
def test_before_the_first_epoch_the_plot_says_so(name: str) -> None:
    axes = draw(name, run(0)).axes
    assert [texts(ax) for ax in axes] == [["nothing measured yet"]] * len(axes)


# ---- nothing covers anything


@pytest.mark.parametrize("name", PLOTS)
@pytest.mark.parametrize("case", RUNS)
def test_no_text_covers_anything_or_leaves_the_picture(name: str, case: str) -> None:
    figure = draw(name, RUNS[case])
    boxes = [(text, text.get_window_extent()) for text in shown_texts(figure)]
    assert len(boxes) > 5
    for text, box in boxes:
        assert min(box.x0, box.y0) >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height, text
    for (text, box), (other, another) in itertools.combinations(boxes, 2):
        assert not box.overlaps(another), (text, other)

    ring = 5 / 72 * plot_style.DPI  # a curve that ends at the right border reaches this far beyond it
    for (text, box), ax in itertools.product(boxes, figure.axes):
        area = ax.get_window_extent()
        outside = box.x0 > area.x1 + ring or box.x1 < area.x0 or box.y0 > area.y1 or box.y1 < area.y0
        assert outside or text.get_text() == "nothing measured yet", text


@pytest.mark.parametrize("name", PLOTS)
def test_every_text_is_in_the_font_that_comes_with_matplotlib(name: str) -> None:
    assert {text.get_fontname() for text in shown_texts(draw(name, run(30)))} == {"DejaVu Sans"}


@pytest.mark.parametrize(
    ("wanted", "gap", "expected"),
    [
        ([0.1, 0.9], 0.2, [0.1, 0.9]),
        ([0.5, 0.5], 0.2, [0.4, 0.6]),
        ([0.5, 0.5, 0.5], 0.2, [0.3, 0.5, 0.7]),
        ([0.0, 0.0], 0.2, [0.0, 0.2]),
        ([0.9, 1.0], 0.2, [0.8, 1.0]),
        ([0.2, 0.3, 0.9], 0.2, [0.15, 0.35, 0.9]),
        ([], 0.2, []),
    ],
)
def test_spread(wanted: list[float], gap: float, expected: list[float]) -> None:
    assert plot_style.spread(wanted, gap) == pytest.approx(expected)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6).map(sorted), st.floats(0.01, 0.2))
def test_spread_keeps_the_gap_and_the_borders(wanted: list[float], gap: float) -> None:
    places = plot_style.spread(wanted, gap)
    assert all(above - below >= gap - 1e-9 for below, above in itertools.pairwise(places))
    assert places[0] >= 0 and places[-1] <= 1 + 1e-9


# ---- the trend


def test_trend_by_hand() -> None:
    # Weights at distances 0 and 1 with reach 1: 1 and (1 - (1/2)^3)^3 = 0.6699…; the fit is level by symmetry.
    near = (1 - 0.5**3) ** 3
    result = plot_style.trend(np.array([0.0, 0, 3, 0, 0]), 1)
    assert result[2] == pytest.approx(3 / (1 + 2 * near))


def test_trend_follows_a_straight_line_to_both_ends() -> None:
    values = np.arange(50.0) * 0.3 - 2
    np.testing.assert_allclose(plot_style.trend(values, 7), values, atol=1e-12)


def test_trend_keeps_the_steep_start() -> None:
    assert plot_style.trend(np.array([9.0, 1, 1, 1, 1, 1]), 3)[0] == 9


def test_trend_keeps_gaps_and_lone_values() -> None:
    result = plot_style.trend(np.array([1.0, NAN, NAN, NAN, 5.0, NAN]), 2)
    np.testing.assert_array_equal(result, [1.0, NAN, NAN, NAN, 5.0, NAN])


def test_trend_reach() -> None:
    assert [plot_style.trend_reach(n) for n in (0, 4, 5, 30, 200, 2000)] == [0, 0, 1, 2, 11, 101]


# ---- the script and its errors


def test_script_prints_the_paths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "somewhere.json"
    file.write_text(json.dumps(run(2)), encoding="utf-8")
    assert visualize.main(["--metrics", str(file), "--output-dir", str(tmp_path / "out")]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [str(tmp_path / "out" / "plots" / name) for name in SIZES]
    assert err == ""


@pytest.mark.parametrize(("flags", "folder"), [([], "output"), (["--sandbox"], "output/sandbox")])
def test_script_without_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], folder: str) -> None:
    monkeypatch.setattr(config, "PROJECT_DIR", tmp_path)
    monkeypatch.setattr(visualize, "PLOTS", {"loss_curve.png": loss_curve})
    plots = tmp_path / folder / "plots"
    plots.mkdir(parents=True)
    (plots / "training_metrics.json").write_text(json.dumps(run(2)), encoding="utf-8")
    assert visualize.main(flags) == 0
    assert {path.name for path in plots.iterdir()} == {"training_metrics.json", "loss_curve.png"}


def test_script_has_no_flag_for_the_database(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        visualize.main(["--help"])
    out = capsys.readouterr().out
    assert "--metrics" in out and "--output-dir" in out and "--sandbox" in out and "--db" not in out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no metrics at FILE: train first (python train_model.py) or give --metrics FILE"),
        (b"", "FILE is not JSON"),
        (b"PK\x03\x04\xff\xfe", "FILE is not JSON"),
        (b'{"train_losses": [1.0, 2', "FILE is not JSON"),
        (b"[" * 100_000, "FILE is not JSON"),
        (b'{"train_losses": [' + b"9" * 5000 + b"]}", "FILE is not JSON"),
        (b"[]", 'FILE: "the file" is not an object'),
        (b"null", 'FILE: "the file" is missing'),
        (b"{}", 'FILE: "train_losses" is missing'),
    ],
    ids=["missing", "empty", "binary", "cut", "deep", "huge number", "a list", "null", "no keys"],
)
def test_bad_files(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, message: str) -> None:
    file = tmp_path / "FILE"
    if content is not None:
        file.write_bytes(content)
    assert visualize.main(["--metrics", str(file), "--output-dir", str(tmp_path / "out")]) == 1
    out, err = capsys.readouterr()
    assert err.replace(str(file), "FILE").startswith(f"error: {message}")
    assert err.count("\n") == 1 and out == ""
    assert not (tmp_path / "out").exists()


def test_a_folder_is_not_a_metrics_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert visualize.main(["--metrics", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"error: cannot read the metrics: Is a directory: {tmp_path}\n"


@pytest.mark.parametrize("key", ["train_losses", "val_losses", "train_accuracies", "val_accuracies"])
def test_a_missing_key_is_named(key: str) -> None:
    metrics = run(3)
    del metrics[key]
    with pytest.raises(UserError, match=f'^metrics: "{key}" is missing; it must be'):
        plot_all(metrics, Path("never-made"))


HOSTILE = [
    (["train_losses"], "abc", '"train_losses" is not a list'),
    (["train_losses"], {"1": 2}, '"train_losses" is not a list'),
    (["val_losses"], [1.0, "\x1b[31m2"], '"val_losses" holds something that is not a number'),
    (["val_losses"], [True], '"val_losses" holds something that is not a number'),
    (["val_losses"], [[1.0]], '"val_losses" holds something that is not a number'),
    (["learning_rates"], "fast", '"learning_rates" is not a list'),
    (["train_accuracies"], [0.5], '"train_accuracies" is not an object'),
    (["val_accuracies", "10"], 0.5, '"val_accuracies.10" is not a list'),
    (["val_accuracies", "20"], [85.0], '"val_accuracies" holds a number that is not between 0 and 1'),
    (["val_accuracies", "1"], [-0.1], '"val_accuracies" holds a number that is not between 0 and 1'),
    (["summary"], "good", '"summary" is not an object'),
    (["summary", "best_epoch"], "17", '"best_epoch" is not a whole number'),
    (["summary", "best_epoch"], 1.5, '"best_epoch" is not a whole number'),
    (["summary", "best_epoch"], True, '"best_epoch" is not a whole number'),
    (["summary", "users_train"], -1, '"users_train" is not a whole number'),
    (["summary", "num_items"], 10**5000, '"num_items" is not a whole number'),
    (["summary", "baselines"], [1], '"baselines" is not an object'),
    (["summary", "baselines", "popularity"], 0.1, '"popularity" is not an object'),
    (["summary", "baselines", "popularity", "10"], 9.4, '"popularity" holds a number that is not between 0 and 1'),
    (["summary", "baselines", "popularity", "10"], [], '"popularity" holds something that is not a number'),
]


@pytest.mark.parametrize(("path", "value", "message"), HOSTILE, ids=[f"{h[0][-1]}-{i}" for i, h in enumerate(HOSTILE)])
def test_wrong_types_are_named(path: list[str], value: Any, message: str) -> None:
    metrics = copy.deepcopy(run(3))
    place = metrics
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(UserError) as caught:
        read_metrics(metrics)
    assert str(caught.value) == f"metrics: {message}; it must be a training_metrics.json of train_model.py"


@pytest.mark.parametrize("key", ["best_epoch", "users_val", "num_items", "epochs_done", "baselines"])
def test_null_is_as_good_as_missing_in_the_summary(key: str) -> None:
    metrics = run(3)
    metrics["summary"][key] = None
    read_metrics(metrics)
    read_metrics(run(3, summary=None))


Number = st.none() | st.floats() | st.integers() | st.floats(0, 20)
Fractions = st.lists(st.none() | st.just(NAN) | st.floats(0, 1), max_size=8)
ByK = st.fixed_dictionaries({str(k): Fractions for k in TOP_K})


@settings(deadline=None, max_examples=20)
@given(
    st.fixed_dictionaries(
        {
            "train_losses": st.lists(Number, max_size=8),
            "val_losses": st.lists(Number, max_size=8),
            "train_accuracies": ByK,
            "val_accuracies": ByK,
            "learning_rates": st.lists(Number, max_size=8),
        }
    ),
    st.sampled_from(list(PLOTS)),
)
def test_any_numbers_can_be_drawn_without_a_warning(metrics: dict[str, Any], name: str) -> None:
    figure = draw(name, metrics)
    figure.set_dpi(40)
    FigureCanvasAgg(figure).draw()
