"""Scripts whose stdout or stderr is closed, full or of another encoding; paths that are no text."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from anime_bert4rec.command_line.script import logging_to
from anime_bert4rec.support.text import plain
from anime_bert4rec.support.whole_files import write_json
from config import PROJECT_DIR

CODE = """
import sys
from anime_bert4rec.command_line.script import script, logging_to
from anime_bert4rec.support.errors import UserError
@script
def main(argv=None):
    with logging_to():
        import logging
        logging.getLogger().warning("careful")
    if sys.argv[1:] == ["fail"]:
        raise UserError("no such user")
    print("result", *sys.argv[1:])
    return 0
raise SystemExit(main())
"""


def run(redirect: str, *flags: str, **environment: str) -> tuple[int, bytes, bytes]:
    """Exit code, stdout and stderr of a script with streams as the shell redirects them."""
    command = ["sh", "-c", f'exec "$@" {redirect}', "sh", sys.executable, "-c", CODE, *flags]
    done = subprocess.run(command, cwd=PROJECT_DIR, capture_output=True, env={**os.environ, **environment})
    return done.returncode, done.stdout, done.stderr


needs_a_shell = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell and its devices")


@needs_a_shell
@pytest.mark.parametrize(
    ("redirect", "flags", "expected"),
    [
        (">&-", (), (0, b"", b"careful\n")),
        ("2>&-", (), (0, b"result\n", b"")),
        ("2>&-", ("fail",), (1, b"", b"")),
        (">&- 2>&- <&-", (), (0, b"", b"")),
        ("2>/dev/full", (), (0, b"result\n", b"")),
        ("2>/dev/full", ("fail",), (1, b"", b"")),
        (">/dev/full", (), (1, b"", b"careful\nerror: No space left on device: standard output\n")),
    ],
)
def test_streams_that_are_closed_or_full(
    redirect: str, flags: tuple[str, ...], expected: tuple[int, bytes, bytes]
) -> None:
    assert run(redirect, *flags, PYTHONUNBUFFERED="") == expected


@needs_a_shell
def test_a_full_disk_is_named_where_nothing_is_buffered() -> None:
    code, _, err = run(">/dev/full", PYTHONUNBUFFERED="1")
    assert (code, err) == (1, b"careful\nerror: No space left on device: standard output\n")


@needs_a_shell
def test_help_on_a_full_disk_is_one_line() -> None:
    command = ["sh", "-c", 'exec "$@" >/dev/full', "sh", sys.executable, "prepare_dataset.py", "--help"]
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    done = subprocess.run(command, cwd=PROJECT_DIR, capture_output=True, env=environment)
    assert (done.returncode, done.stderr) == (1, b"error: No space left on device: standard output\n")


@needs_a_shell
@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "cp950"},
    ],
    ids=str,
)
def test_a_path_that_is_no_text_can_be_read_and_the_rest_is_text(environment: dict[str, str]) -> None:
    code, out, err = run("", "caf\udce9", **environment)
    assert (code, out, err) == (0, b"result caf\\xe9\n", b"careful\n")


@needs_a_shell
def test_a_working_directory_that_was_deleted_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    command = ["sh", "-c", 'cd "$0" && rmdir "$0" && exec "$@"', str(tmp_path / "gone"), sys.executable]
    done = subprocess.run([*command, str(PROJECT_DIR / "prepare_dataset.py")], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: the working directory is gone: change to another one, and run this again\n"


def test_in_messages_it_can_be_read() -> None:
    assert plain("caf\udce9/\udc9b31m.db") == r"caf\xe9/\x9b31m.db"


def test_json_with_such_a_path_is_utf8_and_gives_the_path_back(tmp_path: Path) -> None:
    write_json(tmp_path / "about.json", {"database": "caf\udce9/日本", "quoted": '\\udce9 "\u2028'})
    text = (tmp_path / "about.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"database": "caf\udce9/日本", "quoted": '\\udce9 "\u2028'}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_a_log_that_cannot_be_written_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "full.log").symlink_to("/dev/full")
    with logging_to(tmp_path / "full.log", tmp_path / "good.log"):
        for text in ("first", "second"):
            logging.getLogger("test").info(text)
    lines = capsys.readouterr().err.splitlines()
    said = f"{tmp_path / 'full.log'} is no longer written: No space left on device"
    assert lines == ["first", said, "second"]
    assert (tmp_path / "good.log").read_text().count("second") == 1
