"""The four curves: what they show, and that nothing in them overlaps."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_runs import NAN, RUNS, best_at, diverged, draw, line, run, shown_texts, texts
from matplotlib.backends.backend_agg import FigureCanvasAgg

from anime_bert4rec.model.run_folder import TOP_K
from anime_bert4rec.plots import style as plot_style
from anime_bert4rec.plots.training_curves import PLOTS
from anime_bert4rec.plots.training_metrics import read_metrics

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
    np.testing.assert_allclose(line(accuracy, "Popularity").get_ydata(), [9.4, 9.4])
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


def test_a_validation_loss_over_several_lengths_says_so() -> None:
    lengths = {"whole": [4.0] * 3, "1": [6.0] * 3}
    for by_length, said in (({}, False), ({"whole": [4.0] * 3}, False), (lengths, True)):
        figure = draw("loss_curve.png", run(3, val_losses_by_length=by_length))
        notes = " ".join(text.get_text() for text in shown_texts(figure))
        assert ("mean over lists that are shown whole" in notes) is said
        assert "training mostly asks what comes next" in notes, "which is why its curves go up and down"


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


def with_more(epochs: int) -> dict[str, Any]:
    metrics = run(epochs)
    metrics["val_accuracy_errors"] = {str(k): [0.01] * (epochs - 1) + [None] for k in TOP_K}
    metrics["summary"]["baselines"] |= {
        "item-kNN": {"1": 0.02, "5": 0.08, "10": 0.14, "20": 0.21},
        "EASE": {"1": 0.02, "5": 0.07, "10": 0.15, "20": 0.2},
    }
    return metrics


def test_the_best_baseline_by_top_10_is_a_reference_line() -> None:
    figure = draw("accuracy_curve.png", with_more(5))
    assert [line(ax, "Baseline").get_ydata()[0] for ax in figure.axes] == pytest.approx([2, 7, 15, 20])
    assert "Baseline 15.0 %" in texts(figure.axes[2])
    assert "Dash-dotted: EASE, the best baseline." in figure.texts[2].get_text()
    accuracy = draw("combined_metrics.png", with_more(5)).axes[1]
    assert line(accuracy, "Baseline").get_ydata()[0] == pytest.approx(15)
    assert "Dash-dotted" not in draw("accuracy_curve.png", run(5)).texts[2].get_text()


def test_bands_are_a_standard_error_to_either_side() -> None:
    figure = draw("accuracy_curve.png", with_more(5))
    (band,) = figure.axes[2].collections
    heights = band.get_paths()[0].vertices
    first = heights[heights[:, 0] == 1][:, 1]
    value = 100 * run(5)["val_accuracies"]["10"][0]
    assert (first.min(), first.max()) == pytest.approx((value - 1, value + 1))
    assert heights[:, 0].max() == 4  # nothing is known of the last epoch
    assert "Band: one standard error" in figure.texts[2].get_text()
    assert "Band" not in draw("accuracy_curve.png", run(5)).texts[2].get_text()
