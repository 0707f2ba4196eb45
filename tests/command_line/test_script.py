"""Exit codes, one-line errors, and the log."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import dataclass

import pytest

from anime_bert4rec.command_line.flags import ScriptSettings, group
from anime_bert4rec.command_line.script import logging_to, parse, script
from anime_bert4rec.support.errors import SettingError, UserError
from config import PROJECT_DIR, PathSettings


@pytest.mark.parametrize(
    ("raised", "code", "line"),
    [
        (UserError("no such user"), 1, "error: no such user\n"),
        (SettingError("--epochs must be at least 1, not 0"), 2, "error: --epochs must be at least 1, not 0\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (OSError(28, "No space left on device", "a/b"), 1, "error: No space left on device: a/b\n"),
        (MemoryError(), 1, "error: out of memory: close other programs, and run this again\n"),
    ],
)
def test_errors_become_a_line_and_an_exit_code(raised, code, line, capsys):
    @script
    def main(argv=None):
        raise raised

    assert main() == code
    assert capsys.readouterr().err == line


def test_commands_that_are_named_use_the_same_files(capsys):
    @dataclass(frozen=True, kw_only=True)
    class Settings(ScriptSettings):
        paths: PathSettings = group("files")

    @script
    def main(argv=None):
        parse(argv, Settings, "")
        with logging_to():
            logging.getLogger("test").warning("Next: python recommend.py --user NAME, or python evaluate.py.")
        raise UserError("first python load_users.py, then (python train_model.py); load_users.py alone stays")

    assert main(["--db", "a b.db", "--output-dir", "out"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "Next: python recommend.py --user NAME, or python evaluate.py --db 'a b.db' --output-dir out.",
        "error: first python load_users.py --db 'a b.db', then (python train_model.py --db 'a b.db' --output-dir out);"
        " load_users.py alone stays",
    ]
    assert main([]) == 1
    assert "first python load_users.py, then (python train_model.py);" in capsys.readouterr().err


def test_a_bug_stays_a_traceback():
    @script
    def main(argv=None):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        main([])


def test_the_log_is_appended_and_cleaned(tmp_path):
    path = tmp_path / "logs" / "run.log"
    for text in ("first", "second \x1b[2Jcleared"):
        with logging_to(path):
            logging.getLogger("test").info(text)
    first, second = path.read_text().splitlines()
    assert first.endswith("INFO first") and second.endswith("INFO second cleared")


@pytest.mark.parametrize(
    ("encoding", "shown"), [("cp1252", "????? é ->"), ("cp950", "進?の巨人 ? →"), ("ascii", "????? ? ->")]
)
def test_a_console_that_lacks_characters_does_not_end_the_script(encoding, shown):
    code = """
from anime_bert4rec.command_line.script import script
@script
def main(argv=None):
    print('進撃の巨人 é →')
    return 0
raise SystemExit(main())
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_DIR, env={"PYTHONIOENCODING": encoding}, capture_output=True
    )
    assert (run.returncode, run.stderr, run.stdout.decode(encoding)) == (0, b"", f"{shown}\n")


def test_nothing_is_written_to_stdout_by_the_log(capsys):
    with logging_to():
        logging.getLogger("test").warning("careful")
    assert capsys.readouterr() == ("", "careful\n")
