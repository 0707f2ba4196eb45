"""The script: the files that it writes, its flags, and what bad files are answered with."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest
from made_up_runs import broken, draw, run
from small_pages import data_of, some_map

import config
import visualize
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.people import People, Persons
from anime_bert4rec.lists.records import Anime, CataloguePage, ListEntry, UserList
from anime_bert4rec.lists.sequences import Vocabulary, build_sequences
from anime_bert4rec.pages.kept_map import read_map
from anime_bert4rec.plots import style as plot_style
from anime_bert4rec.plots.anime_map import MapPoints
from anime_bert4rec.plots.training_curves import loss_curve
from config import PathSettings
from visualize import plot_all

SIZES = {
    "loss_curve.png": (1600, 1000),
    "accuracy_curve.png": (1600, 1360),
    "combined_metrics.png": (1600, 1840),
    "learning_curve.png": (1600, 1540),
}


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


def test_without_a_database_the_log_says_what_is_not_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "training_metrics.json").write_text(json.dumps(run(2)), encoding="utf-8")
    assert visualize.main(["--output-dir", str(tmp_path), "--db", str(tmp_path / "missing.db")]) == 0
    page = str(tmp_path / "report.html")
    assert capsys.readouterr().out.splitlines() == [*(str(tmp_path / "plots" / name) for name in SIZES), page]
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("data_overview.png and anime_map.png were not drawn: the database")


def test_a_run_whose_database_has_gone_says_how_to_name_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """To begin with a new one is the last thing to do: the run would be lost."""
    of_run = {"seed": 1, "val_ratio": 0.1, "database": "moved.db", "data_fingerprint": ""}
    for name, text in (("plots/training_metrics.json", run(2)), ("models/training_config.json", of_run)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(json.dumps(text), encoding="utf-8")
    said = "moved.db, which this model was trained on, is not there: say where it is with --db PATH"
    assert visualize.main(["--output-dir", str(tmp_path)]) == 0
    assert caplog.messages == [f"data_overview.png and anime_map.png were not drawn: {said}"]
    assert visualize.main(["--output-dir", str(tmp_path), "--user", "Ann"]) == 1
    assert f"error: {said}\n" in capsys.readouterr().err


def test_without_a_model_the_overview_is_drawn_all_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Database.open(tmp_path / "small.db", create=True) as database:
        fetch = database.resume_or_start_catalogue_fetch("ID", 3)
        database.save_catalogue_page(fetch.fetch_id, CataloguePage(tuple(Anime(k) for k in (1, 2, 3)), None))
        entries = tuple(ListEntry(k, k, "COMPLETED", completed=20200101 + k) for k in (1, 2))
        database.save_user_list(UserList(7, "someone", entries), "someone", 0, 1)
    (tmp_path / "plots").mkdir()
    drawn, shown = visualize.plot_data(PathSettings(db=tmp_path / "small.db", output_dir=tmp_path))
    assert shown.overview and shown.on_map is None
    assert drawn == [tmp_path / "plots" / "data_overview.png"]
    assert [path.name for path in drawn[0].parent.iterdir()] == ["data_overview.png"]
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("anime_map.png was not drawn: ") and "item_mappings.pkl does not exist" in line


# ---- the page


def data_of_page(path: Path) -> dict:
    return data_of((path / "report.html").read_text(encoding="utf-8"))


@pytest.fixture
def with_lists(tmp_path: Path) -> Path:
    """An output folder with metrics, and a database beside it in which Ann has watched 1 and 2, and plans 3."""
    with Database.open(tmp_path / "small.db", create=True) as database:
        fetch = database.resume_or_start_catalogue_fetch("ID", 3)
        database.save_catalogue_page(fetch.fetch_id, CataloguePage(tuple(Anime(k) for k in (1, 2, 3)), None))
        entries = (*(ListEntry(k, k, "COMPLETED", completed=20200101 + k) for k in (1, 2)), ListEntry(3, 3, "PLANNING"))
        database.save_user_list(UserList(7, "Ann", entries), "Ann", 0, 1)
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "training_metrics.json").write_text(json.dumps(run(2)), encoding="utf-8")
    return tmp_path


def draw_all(folder: Path, *flags: str) -> int:
    return visualize.main(["--output-dir", str(folder), "--db", str(folder / "small.db"), *flags])


def test_the_page_has_what_there_is(with_lists: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert draw_all(with_lists) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(with_lists / "report.html")
    data = data_of_page(with_lists)
    assert data["run"]["val_losses"] == [round(each, 9) for each in run(2)["val_losses"]]
    assert (data["lists"]["users"], data["lists"]["entries"]) == (1, 2)
    assert (data["tasks"], data["map"], data["lit"]) == ([], None, None)


def test_lists_that_came_after_the_training_are_not_counted(with_lists: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = PathSettings(db=with_lists / "small.db", output_dir=with_lists)
    with Database.open(with_lists / "small.db", create=False) as database:
        vocabulary = Vocabulary.of([1, 2, 3])
        of_ann = build_sequences(database.iter_watched(), vocabulary)
        People.of([(of_ann, False)], vocabulary, Persons.of(database)).save(paths.people_file)
        later = UserList(8, "Bob", tuple(ListEntry(k, k, "COMPLETED") for k in (1, 2, 3)))
        database.save_user_list(later, "Bob", 0, 1)
    overview = visualize.plot_data(paths)[1].overview
    assert overview is not None
    assert overview.lengths.tolist() == [2] and overview.popularity.tolist() == [1, 1, 0]

    with Database.open(with_lists / "small.db", create=False) as database:
        database.remove(["Ann"])
    assert visualize.plot_data(paths)[1].overview is None
    assert "has nobody any more whom this model was trained on" in caplog.text


def test_an_evaluation_that_is_none_is_left_out(with_lists: Path, caplog: pytest.LogCaptureFixture) -> None:
    (with_lists / "evaluation.json").write_text("{}")
    assert draw_all(with_lists) == 0
    assert data_of_page(with_lists)["tasks"] == []
    assert any("The report is without the evaluation: " in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(("epoch", "more_loss", "shown"), [(2, 0.0, True), (1, 0.0, False), (2, 1e-9, False)])
def test_the_evaluation_of_another_model_is_left_out(
    with_lists: Path, caplog: pytest.LogCaptureFixture, epoch: int, more_loss: float, shown: bool
) -> None:
    """Such as of the model that was the best when evaluate.py ran beside the training."""
    metrics = run(2)
    assert metrics["summary"]["best_epoch"] == 2
    task = {"users": 30, "contenders": {"model": {"ndcg@10": {"mean": 0.5, "error": 0.1}}}}
    model = {"epoch": epoch, "val_loss": metrics["val_losses"][1] + more_loss}
    (with_lists / "evaluation.json").write_text(json.dumps({"model": model, "tasks": {"next item": task}}))
    assert draw_all(with_lists) == 0
    assert [each["name"] for each in data_of_page(with_lists)["tasks"]] == ["next item"] * shown
    said = "evaluation.json is of another model than the best of the run: evaluate.py asks that one"
    assert any(said in record.getMessage() for record in caplog.records) != shown


def test_a_list_is_lit_up_on_the_map(with_lists: Path) -> None:
    paths = PathSettings(db=with_lists / "small.db", output_dir=with_lists)
    assert visualize.list_of("ANN", paths) == ("Ann", [1, 2])
    shown = visualize.ReportData([Anime(k) for k in (1, 2, 3)], None, some_map(3))
    visualize.write_report(paths, shown, *visualize.list_of("Ann", paths))
    data = data_of_page(with_lists)
    assert (data["who"], data["lit"]) == ("Ann", [0, 1])


def test_titles_are_in_the_language_that_is_asked_for(
    with_lists: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def drawn(*args: object) -> mpl.figure.Figure:
        asked.append(str(args[-1]))
        return plot_style.new_figure(2, "", "", "")[0]

    monkeypatch.setattr(visualize, "load_map_points", lambda *_: known(np.eye(3)))
    monkeypatch.setattr(visualize, "anime_map", drawn)
    assert [draw_all(with_lists), data_of_page(with_lists)["spelling"], asked] == [0, "romaji", ["english"]]
    assert draw_all(with_lists, "--language", "native") == 0
    assert [data_of_page(with_lists)["spelling"], asked[1:]] == ["native", ["native"]]
    capsys.readouterr()
    assert draw_all(with_lists, "--language", "latin") == 2
    assert capsys.readouterr().err == "error: --language must be one of romaji, english, native, not 'latin'\n"


def test_an_unknown_name_is_one_line(with_lists: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert draw_all(with_lists, "--user", "nobody") == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", 'error: the database has no list of "nobody": load_users.py fetches it\n')
    with Database.open(with_lists / "small.db", create=False) as database:
        database.save_unavailable_user("Hidden", "private", 0)
    assert draw_all(with_lists, "--user", "Hidden") == 1
    assert capsys.readouterr().err == 'error: the database has no list of "Hidden": load_users.py fetches it\n'
    for of_map in (("--user", "Ann"), ("--language", "native")):
        for flag in ("--metrics", "--compare"):
            assert draw_all(with_lists, *of_map, flag, "x.json") == 2
            refused = f"error: {of_map[0]} is about the map of the output folder: not with --metrics or --compare\n"
            assert capsys.readouterr().err == refused


def known(points: np.ndarray) -> MapPoints:
    return MapPoints(np.arange(1, len(points) + 1), points, "Made up.")


def test_the_map_is_kept_while_its_points_are_the_same_and_stays_near_when_they_change() -> None:
    random = np.random.default_rng(0)
    points = np.repeat(np.eye(8), 10, axis=0) + random.normal(0, 0.1, (80, 8))
    lists = {anime_id: 100 - anime_id for anime_id in range(1, 81)}
    first = visualize.lay_out_map(known(points), lists, None)
    again = visualize.lay_out_map(known(points), lists, replace(first, layout=first.layout + 1))
    assert (again.layout == first.layout + 1).all()  # nothing is laid out anew
    changed = points + random.normal(0, 0.01, points.shape)
    near, far = (visualize.lay_out_map(known(changed), lists, before) for before in (first, None))
    moved = [np.median(np.linalg.norm(each.place - first.place, axis=1)) for each in (near, far)]
    assert moved[0] < 0.1 < moved[1]


def test_drawn_again_the_map_of_the_same_model_is_the_same_to_the_last_digit(tmp_path: Path) -> None:
    points = np.random.default_rng(1).normal(0, 1, (80, 8))
    lists = {anime_id: 100 - anime_id for anime_id in range(1, 81)}
    first = visualize.lay_out_map(known(points), lists, None)
    first.save(tmp_path / "first.json")
    again = visualize.lay_out_map(known(points), lists, read_map(tmp_path / "first.json"))
    assert (again.place == first.place).all()
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "first.json").read_bytes()


def test_the_most_popular_is_first_on_the_map_and_what_is_gone_is_not_on_it() -> None:
    laid = visualize.lay_out_map(known(np.eye(5)), {1: 3, 2: 9, 4: 5, 5: 9}, None)
    assert laid.anime_ids.tolist() == [2, 5, 4, 1] and laid.popularity.tolist() == [9, 9, 5, 3]
    assert laid.near.shape == (4, 3) and not (laid.near == np.arange(4)[:, None]).any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no metrics at FILE: train first (python train_model.py --output-dir "),
        (b"", "FILE is not JSON"),
        (b"PK\x03\x04\xff\xfe", "FILE is not JSON"),
        (b'{"train_losses": [1.0, 2', "FILE is not JSON"),
        (b"[" * 100_000, "FILE is not JSON"),
        (b'{"train_losses": [' + b"9" * 5000 + b"]}", "FILE is not JSON"),
        (b"[]", "FILE: the file is not a table of names and values"),
        (b"null", "FILE: the file is not a table of names and values"),
        (b"{}", "FILE: the file's train_accuracies is missing"),
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


def test_of_a_run_to_compare_that_is_not_there_no_flag_is_advised_that_is_refused_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert visualize.main(["--compare", str(tmp_path / "nope"), "--output-dir", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: no metrics at ") and said.endswith("), or name another file\n")


def test_a_folder_is_not_a_metrics_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert visualize.main(["--metrics", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"error: cannot read the metrics: Is a directory: {tmp_path}\n"
