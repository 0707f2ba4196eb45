"""What people see of the scripts: within 80 columns, in colour where it is wanted, and on any console."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from loopback_anilist import LoopbackAniList
from small_runs import make_database

import load_users
import prepare_dataset
from anime_bert4rec.command_line import script as script_module
from anime_bert4rec.command_line.flags import Verbosity
from anime_bert4rec.command_line.script import GREEN, coloured, logging_to, on_screen, script
from anime_bert4rec.lists.records import Anime
from anime_bert4rec.support.progress import progress
from anime_bert4rec.training.epoch_metrics import EpochMetrics, Result
from anime_bert4rec.training.run_report import summarise, where_everything_is
from config import PROJECT_DIR, PathSettings

log = logging.getLogger("anime_bert4rec.a_module")

EVERY_SCRIPT = """
import importlib, sys
db, out, left_out = ["--sandbox", "--db", sys.argv[1]], ["--output-dir", "out"], sys.argv[2:]
small = ["--epochs", "1", "--hidden-size", "16", "--max-seq-len", "20", "--val-ratio", "0.5", "--no-evaluate"]
for script, flags, code in (
    ("prepare_dataset", ["--sandbox", "--db", "new.db", "--count", "50"], 0),
    ("load_users", [*db, "--file", "names.txt"], 0),
    ("train_model", [*db, *out, *small], 0),
    ("evaluate", [*db, *out], 0),
    ("visualize", out, 0),
    ("recommend", [*db, *out, "--user", "sandbox0001", "--top-k", "2"], 0),
    ("recommend", [*db, *out, "--title", "進撃の巨人 é →"], 1),
):
    if script not in left_out:
        assert importlib.import_module(script).main(flags) == code, (script, flags)
"""
OUR_ENCODING_WARNING = re.compile(
    rf"{re.escape(str(PROJECT_DIR))}/(?:anime_bert4rec/(?:\w+/)?)?\w+\.py:\d+: EncodingWarning"
)
SLOW = ("train_model", "evaluate", "visualize")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch):
    """A terminal that has colours."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    """A sandbox whose titles no Western console can show."""
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        path = make_database(tmp_path_factory.mktemp("data"), people=60)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE anime SET title_romaji = '進撃の巨人 é → ' || anime_id || ' \U0001f98a'")
    return path


def start(folder: Path, encoding: str, *argv: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(PROJECT_DIR), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-X", "warn_default_encoding", *map(str, argv)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding=encoding,
    )


def test_no_script_ends_on_a_console_that_lacks_characters(db, tmp_path):
    """Every script on a console that has ASCII alone; then those that show titles where some of them can be shown."""
    (tmp_path / "all.py").write_text(EVERY_SCRIPT, encoding="utf-8")
    (tmp_path / "names.txt").write_bytes((db.parent / "names.txt").read_bytes())

    def check(encoding: str, shown: str, *left_out: str) -> None:
        (tmp_path / f"{encoding}.db").write_bytes(db.read_bytes())
        # communicate decodes both streams: nothing but what the encoding has was written
        run = start(tmp_path, encoding, "all.py", f"{encoding}.db", *left_out)
        out, err = run.communicate(timeout=100)
        assert run.returncode == 0, err
        assert "Traceback" not in err
        assert not OUR_ENCODING_WARNING.findall(err)
        assert f"1  {shown} " in out
        assert left_out or "+- is the standard error" in out

    check("ascii", "????? ? ->")
    check("cp950", "進?の巨人 ? →", *SLOW)


def test_a_redirected_stdout_holds_results_only(db, tmp_path):
    out, err = start(tmp_path, "utf-8", PROJECT_DIR / "load_users.py", "--sandbox", "--db", db).communicate()
    results = ("300 users", "Left out", "Training set", "The database", "Next")
    assert all(line.startswith(results) for line in out.splitlines())
    assert "left out" in err and "\x1b" not in out + err


def recorded(epochs_planned: int, epochs: int, seconds: float = 0.8, loss: float = 4.5) -> EpochMetrics:
    baselines = {"popularity": dict.fromkeys(("1", "5", "10", "20"), 0.021)}
    metrics = EpochMetrics(epochs_planned, {"baselines": baselines, "users_val": 100_000})
    for epoch in range(epochs):
        result = Result(loss - epoch / 1e5, dict.fromkeys((1, 5, 10, 20), 1.0), dict.fromkeys((1, 5, 10, 20), 0.1))
        metrics.record(result, result, 1e-3, seconds)
    return metrics


def test_the_line_of_an_epoch():
    metrics = recorded(20, 3)
    assert metrics.short_line() == " 3/20 * loss 4.5000  val 4.5000  top-10 100.0 %  0.8 s, 13.6 s left"
    worse = Result(5.0, dict.fromkeys((1, 5, 10, 20), 0.123), dict.fromkeys((1, 5, 10, 20), 0.1))
    metrics.record(worse, worse, 1e-3, 0.8)
    assert metrics.short_line() == " 4/20   loss 5.0000  val 5.0000  top-10 12.3 %  0.8 s, 12.8 s left"


def test_the_summary_has_popularity_and_the_best_baseline():
    metrics = recorded(20, 3)
    weak, strong = ({str(k): value for k in (1, 5, 10, 20)} for value in (0.1, 0.9))
    metrics.facts["baselines"] = {"popularity": weak, "item-kNN": weak, "EASE": strong}
    assert [line.split() for line in summarise(metrics).splitlines()[-3:]] == [
        ["this", "model", *["100.0"] * 4],
        ["popularity", *["10.0"] * 4],
        ["EASE", *["90.0"] * 4],
    ]
    metrics.facts["baselines"] = {"popularity": strong, "item-kNN": weak}
    assert [line.split()[0] for line in summarise(metrics).splitlines()[-2:]] == ["this", "popularity"]


@pytest.mark.parametrize(("people", "lines"), [(1, 2), (9, 2), (10, 4)])
def test_of_fewer_than_ten_people_nothing_is_told(people, lines):
    metrics = recorded(20, 3)
    metrics.facts["users_val"] = people
    said = summarise(metrics)
    assert ("nothing can be told" in said) == (people < 10) and ("popularity" in said) == (people >= 10)
    assert len(said.splitlines()) == lines


@pytest.mark.parametrize("metrics", [recorded(2000, 1, 5900, 199.0), recorded(99_999, 2, 90.0, 12.3)])
def test_what_training_says_fits_80_columns(metrics, tmp_path):
    assert len(metrics.short_line()) <= 80
    assert all(len(line) <= 80 for line in summarise(metrics).splitlines())
    paths = PathSettings(sandbox=True, output_dir=tmp_path)
    for path in (paths.models / "best_model.pth", paths.plots / "ranking_comparison.png", paths.evaluation_file):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    next_command = f"python recommend.py{paths.as_flags} --user sandbox0001"
    block = where_everything_is(paths, paths.training_log, next_command, each_file=True).splitlines()
    assert [line.split()[0] for line in block if line.startswith("  ")] == [
        "models/best_model.pth",
        "plots/ranking_comparison.png",
        "evaluation.json",
    ]
    assert all(len(line) <= 80 for line in block if str(tmp_path) not in line)
    assert block[-1] == f"Next: python recommend.py --sandbox --output-dir {tmp_path} --user sandbox0001"
    paths.evaluation_text.touch()
    short = where_everything_is(paths, paths.training_log, next_command).splitlines()
    assert len(short) == 3 and (short[0], short[-1]) == (block[0], block[-1])
    assert len(short[1]) <= 80 and short[1].endswith("the whole evaluation in evaluation.txt")
    paths.report_page.touch()
    short = where_everything_is(paths, paths.training_log, next_command).splitlines()
    assert short[1] == "  model in models/, a page: report.html, the whole evaluation in evaluation.txt"
    assert len(short[1]) <= 80


def test_the_screen_is_short_and_the_file_is_full(terminal, tmp_path):
    with contextlib.redirect_stderr(terminal), logging_to(tmp_path / "run.log"):
        log.info("all of it", extra=on_screen("  in short", good=True))
        log.error("bad \x1b[5mblink")
        log.info("as ever")
    assert terminal.getvalue() == "\x1b[32m  in short\x1b[0m\n\x1b[31mbad blink\x1b[0m\nas ever\n"
    assert [line.split(" ", 3)[3] for line in (tmp_path / "run.log").read_text().splitlines()] == [
        "all of it",
        "bad blink",
        "as ever",
    ]


@pytest.mark.parametrize(
    ("stream", "variable", "value", "is_coloured"),
    [
        (Terminal(), "NO_COLOR", "", True),
        (Terminal(), "NO_COLOR", "1", False),
        (Terminal(), "TERM", "dumb", False),
        (io.StringIO(), "NO_COLOR", "", False),
    ],
)
def test_colour_is_for_terminals_whose_user_wants_it(stream, variable, value, is_coloured, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv(variable, value)
    assert coloured("best", GREEN, stream) == ("\x1b[32mbest\x1b[0m" if is_coloured else "best")


@pytest.mark.parametrize(
    ("settings", "on_stderr", "in_file", "bar"),
    [
        (Verbosity(), "info\nwarning\n", 2, True),
        (Verbosity(quiet=True), "warning\n", 2, False),
        (Verbosity(verbose=True), "debug\ninfo\nwarning\n", 3, True),
    ],
)
def test_quiet_and_verbose(settings, on_stderr, in_file, bar, terminal, tmp_path, monkeypatch):
    monkeypatch.setattr(script_module, "_screen_level", logging.INFO)
    monkeypatch.setattr("anime_bert4rec.support.progress.quiet", False)
    script_module._begin(settings)
    with contextlib.redirect_stderr(terminal), logging_to(tmp_path / "run.log"):
        log.debug("debug")
        logging.getLogger("matplotlib.font_manager").debug("of no interest")
        log.info("info")
        log.warning("warning")
        assert progress("x", 1, "x").disable == (not bar)
    assert terminal.getvalue() == on_stderr
    assert len((tmp_path / "run.log").read_text().splitlines()) == in_file


@pytest.mark.parametrize(
    ("name", "level", "kept"),
    [
        ("anime_bert4rec.support.whole_files", logging.DEBUG, True),
        ("PIL.Image", logging.DEBUG, False),
        ("PIL.Image", logging.WARNING, True),
        ("anime_bert4rec_of_another", logging.DEBUG, False),
    ],
)
def test_verbose_is_about_the_project_alone(name, level, kept, monkeypatch, capsys):
    monkeypatch.setattr(script_module, "_screen_level", logging.DEBUG)
    with logging_to():
        logging.getLogger(name).log(level, "text")
    assert (capsys.readouterr().err == "text\n") == kept
    assert not logging.getLogger(name).isEnabledFor(logging.DEBUG), "the levels of before are restored"


def test_each_run_starts_with_the_usual_voice(monkeypatch, capsys):
    monkeypatch.setattr(script_module, "_screen_level", logging.ERROR)

    @script
    def main(argv=None):
        with logging_to():
            log.info("heard")
        return 0

    assert main([]) == 0
    assert capsys.readouterr().err == "heard\n"


@pytest.mark.parametrize("main", [prepare_dataset.main, load_users.main])
def test_quiet_and_verbose_exclude_each_other(main, capsys):
    assert main(["--sandbox", "--quiet", "--verbose"]) == 2
    assert capsys.readouterr().err == "error: --quiet and --verbose cannot be used together\n"


def test_verbose_shows_the_requests(tmp_path, capsys):
    with LoopbackAniList(anime=[Anime(k, title_romaji=f"Title {k}", popularity=k) for k in range(1, 8)]) as server:
        flags = ["--db", str(tmp_path / "bert.db"), "--api-url", server.url, "--requests-per-minute", "0"]
        assert prepare_dataset.main([*flags, "--count", "7", "--verbose"]) == 0
    captured = capsys.readouterr()
    assert re.search(r"^to 127\.0\.0\.1:\d+: \{'page': 1", captured.err, re.M)
    assert re.search(r"^200, [\d,]+ bytes after \d", captured.err, re.M)
    assert "bytes" not in captured.out


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such terminals")
def test_a_real_terminal_gets_colour_and_nothing_else(db):
    import pty

    master, slave = pty.openpty()
    argv = [sys.executable, PROJECT_DIR / "load_users.py", "--sandbox", "--db", db, "--file", "missing.txt"]
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"}
    run = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=db.parent)
    os.close(slave)
    said = b""
    with contextlib.suppress(OSError):  # Linux ends a terminal that nobody writes to with an error
        while piece := os.read(master, 4096):
            said += piece
    os.close(master)
    assert run.wait() == 1
    assert re.fullmatch(r"\x1b\[31merror: [^\x1b]+\x1b\[0m\r\n", said.decode())
