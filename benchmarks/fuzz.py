"""Feeds thousands of wrong and hostile answers and files to the scripts that fetch and import.

    python benchmarks/fuzz.py
    python benchmarks/fuzz.py --cases 500 --seed 7

A case is one run of a script's `main` in this process, over real HTTP on this machine where it fetches. It has to end
by itself, within the time limit, with 0 or with one clear line, and to print nothing that a terminal obeys. Whatever is
opened for writing, made, renamed or removed outside the given data/ and output/ is a failure, and so is a file there.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
sys.dont_write_bytecode = True

import fuzz_answers
from fuzz_answers import Server, spoilt

import load_users
import prepare_dataset
from anilist_client import AniListClient
from anime_bert4rec.support.stopping import EXIT_INTERRUPTED

SHARES = {"catalogue": 30, "lists": 30, "names": 10, "csv": 15, "xml": 10, "database": 5}
LIMIT = 10
"""Seconds a case; answers that drip take 0.8 s of them."""


class Hang(BaseException):
    """Not an Exception, so that no script takes it for its own."""


class Watch:
    """Notes what is written, from an audit hook, which sees every file that Python and SQLite open."""

    def __init__(self, allowed: list[Path]) -> None:
        self.allowed = [str(path) + os.sep for path in allowed]
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self.hook)

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open":
            path, _, flags = args
            if not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND):
                return
            paths = [path]
        elif event in ("os.rename", "os.link", "os.symlink"):
            paths = list(args[:2])
        elif event in ("os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "sqlite3.connect"):
            paths = [args[0]]
        elif event in ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn"):
            self.seen.append(event)
            return
        else:
            return
        for path in paths:
            if isinstance(path, int):
                continue
            where = os.path.realpath(os.fsdecode(path).removeprefix("file:").partition("?")[0])
            if not (where + os.sep).startswith(tuple(self.allowed)):
                self.seen.append(f"{event} {where}")


def files_below(*folders: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of each file, but for what git and Python keep for themselves."""
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for folder in folders
        for path in folder.rglob("*")
        if not {".git", "__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache", ".hypothesis"} & set(path.parts)
    }


class Cases:
    """Prepares the files of a case and says with which `main` and flags it is run."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder, self.server = folder, server
        self.db = folder / "data" / "bert.db"
        self.good = b""

    def flags(self, *more: object) -> list[str]:
        common = ["--db", self.db, "--api-url", self.server.url, "--requests-per-minute", 0, "--timeout", 0.2]
        return [str(each) for each in (*common, *more)]

    def fresh(self) -> None:
        for path in self.db.parent.iterdir():
            path.unlink()
        if self.good:
            self.db.write_bytes(self.good)
            return
        from anime_bert4rec.lists.database import Database
        from anime_bert4rec.lists.records import Anime, CataloguePage

        run(prepare_dataset.main, self.flags("--sandbox", "--count", 50))
        with Database.open(self.db, create=False) as database:
            fetch = database.resume_or_start_catalogue_fetch("POPULARITY_DESC", 3)
            page = CataloguePage(tuple(Anime(n, mal_id=n, title_romaji="T") for n in (1, 2, 3)), None)
            database.save_catalogue_page(fetch.fetch_id, page)
        self.good = self.db.read_bytes()

    def write(self, name: str, content: bytes) -> Path:
        path = self.folder / "in" / name
        path.write_bytes(content)
        return path

    def make(self, kind: str, draw: random.Random) -> tuple[Callable[[list[str]], int], list[str]]:
        self.server.begin(draw.randrange(2**32), draw.choice([1, 2, 6, 14]))
        match kind:
            case "catalogue":
                return prepare_dataset.main, self.flags("--count", draw.choice([1, 3, 100]))
            case "lists":
                names = self.write("names.txt", draw.choice([b"ann\n", b"ann\nbob\n"]))
                return load_users.main, self.flags("--file", names, "--refresh", "--min-anime", 1)
            case "names":
                names = self.write("names.txt", spoilt(draw, fuzz_answers.NAMES.encode()))
                return load_users.main, self.flags("--sandbox", "--file", names, "--min-anime", 1)
            case "csv":
                path = self.write("lists.csv", packed(draw, spoilt(draw, fuzz_answers.CSV.encode())))
                columns = ["--columns", draw.choice(["user,anime_id", "mal_id,user,-"])] if draw.random() < 0.2 else []
                return load_users.main, self.flags("--csv", path, "--min-anime", 1, "--keep-names", *columns)
            case "xml":
                path = self.write("list.xml", packed(draw, spoilt(draw, fuzz_answers.XML.encode())))
                return load_users.main, self.flags("--mal-xml", path, "--min-anime", 1, "--keep-names")
            case _:
                self.db.write_bytes(damaged(draw, self.good))
                main = draw.choice([prepare_dataset.main, load_users.main])
                names = ["--file", self.write("names.txt", b"ann\n")] if main is load_users.main else []
                return main, self.flags(*names)


def packed(draw: random.Random, content: bytes) -> bytes:
    return spoilt(draw, gzip.compress(content, mtime=0)) if draw.random() < 0.2 else content


def damaged(draw: random.Random, content: bytes) -> bytes:
    """A database of the same size with some bytes changed, or cut."""
    found = bytearray(content)
    for _ in range(draw.choice([1, 3, 100])):
        at = draw.randrange(draw.choice([100, len(found)]))
        found[at : at + 1] = draw.randbytes(1)
    return bytes(found[: draw.choice([len(found)] * 4 + [draw.randrange(len(found))])])


def run(main: Callable[[list[str]], int], flags: list[str]) -> tuple[str | None, int]:
    """What is wrong with how the run ended (None: nothing), and its exit code."""
    out, err = io.StringIO(), io.StringIO()
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    code = -1
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(flags)
    except Hang:
        return f"longer than {LIMIT} s", code
    except BaseException:
        return traceback.format_exc(limit=-4), code
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if code == EXIT_INTERRUPTED:  # Ctrl-C, which the scripts take for their own
        raise KeyboardInterrupt
    said = out.getvalue() + err.getvalue()
    if "Traceback" in said:
        return said[-2000:], code
    if any(unicodedata.category(c) in ("Cc", "Cs") or c == "\u202e" for c in said.replace("\n", "")):
        return f"a terminal would obey {said!r}", code
    last = (err.getvalue().splitlines() or [""])[-1]
    if code not in (0, 1, 2) or (code and not last.startswith("error: ")):
        return f"exit code {code} with {last!r}", code
    return None, code


def kinds(cases: int) -> Iterator[str]:
    for kind, share in SHARES.items():
        yield from [kind] * (cases * share // 100)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    def too_long(*_: object) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, too_long)
    defaults = AniListClient.__init__.__kwdefaults__
    assert defaults
    defaults["sleep"] = lambda seconds: None  # as ever, but the waits between tries take no time
    server, failures, codes, longest = Server(), 0, Counter[tuple[str, int]](), 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        for each in ("in", "data", "output", "cwd", "home", "tmp"):
            (folder / each).mkdir()
        os.environ["HOME"], tempfile.tempdir = str(folder / "home"), str(folder / "tmp")
        os.chdir(folder / "cwd")
        watch, jobs = Watch([folder / "data", folder / "output"]), Cases(folder, server)
        jobs.fresh()
        run(
            load_users.main, jobs.flags("--sandbox", "--file", jobs.write("names.txt", b"sandbox0001\n"))
        )  # all imports
        before, began = files_below(ROOT), time.perf_counter()
        for number, kind in enumerate(kinds(args.cases)):
            draw = random.Random(f"{args.seed} {number}")
            if number % 50 == 0 or kind == "database":
                jobs.fresh()
            script, flags = jobs.make(kind, draw)
            start = time.perf_counter()
            watch.on = True
            wrong, code = run(script, flags)
            watch.on = False
            longest = max(longest, time.perf_counter() - start)
            codes[kind, code] += 1
            if kind != "database" and number % 50 == 49:
                connection = sqlite3.connect(jobs.db)
                if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                    wrong = "the database is damaged"
                connection.close()
            if wrong or watch.seen:
                failures += 1
                print(f"case {number} ({kind}): {wrong or ''} {' '.join(watch.seen)}", flush=True)
                watch.seen.clear()
        seconds = time.perf_counter() - began
        strangers = [path for each in ("cwd", "home", "tmp", "output") for path in files_below(folder / each)]
        strangers += [path for path in files_below(folder / "data") if not path.startswith(str(jobs.db))]
        strangers += [path for path, facts in files_below(ROOT).items() if before.get(path) != facts]
    for kind in SHARES:
        ends = ", ".join(f"{count:,} × {code}" for (of, code), count in sorted(codes.items()) if of == kind)
        print(f"{kind:10} exit codes: {ends}")
    print(f"{sum(codes.values()):,} cases in {seconds:.0f} s, the longest {longest:.1f} s; {failures} failures;"
          f" files elsewhere: {strangers or 'none'}")  # fmt: skip
    return 1 if failures or strangers else 0


if __name__ == "__main__":
    sys.exit(main())
