"""Kills the scripts at random instants, hundreds of times, and compares what they end with to an undisturbed job.

    python benchmarks/kills.py
    python benchmarks/kills.py --load 20 --train 20 --seed 1

A job is started again after each kill, as a user would do it (training with --resume), until it is done; then the
next one begins in an empty folder. The database's rows and every weight, state and metric have to be equal.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from small_runs import training_flags, unlike

USERS = 400


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load", type=int, default=100, help="kills over prepare_dataset.py and load_users.py")
    parser.add_argument("--train", type=int, default=100, help="kills over train_model.py")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    draw, failures = random.Random(args.seed), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, kills, jobs in (("load", args.load, loading), ("train", args.train, training)):
            began = time.perf_counter()
            failures += campaign(kind, kills, jobs(folder), draw)
            print(f"  {time.perf_counter() - began:.0f} s", flush=True)
    return 1 if failures else 0


class Job:
    """What is done step by step, in a folder of its own."""

    def __init__(self, folder: Path, db: Path | None = None) -> None:
        folder.mkdir()
        self.folder, self.db = folder, db or folder / "killed.db"

    def commands(self) -> list[list[str]]:
        raise NotImplementedError

    def unlike(self, other: Job) -> list[str]:
        raise NotImplementedError


class Loading(Job):
    def commands(self) -> list[list[str]]:
        names = self.folder / "names.txt"
        names.write_text("\n".join(f"sandbox{k:04}" for k in range(1, USERS + 1)))
        return [
            ["prepare_dataset.py", "--sandbox", "--db", str(self.db), "--count", "1000"],
            ["load_users.py", "--sandbox", "--db", str(self.db), "--file", str(names)],
        ]

    def unlike(self, other: Job) -> list[str]:
        ours, theirs = content(self.db), content(other.db)
        return [table for table in theirs if ours.get(table) != theirs[table]]


class Training(Job):
    def commands(self) -> list[list[str]]:
        assert self.db
        any_checkpoint = list((self.folder / "checkpoints").glob("checkpoint_*.pth"))
        resume = ["--resume"] if any_checkpoint else []
        flags = training_flags(self.db, self.folder, "--epochs", 25, "--patience", 0, "--lr", 0.001, *resume)
        return [["train_model.py", *flags]]

    def unlike(self, other: Job) -> list[str]:
        return unlike(self.folder, other.folder)


def loading(folder: Path) -> Iterator[Job]:
    for number in range(10_000):
        yield Loading(folder / f"load{number}")


def training(folder: Path) -> Iterator[Job]:
    first = Loading(folder / "data")
    for command in first.commands():
        run(command, None)
    for number in range(10_000):
        yield Training(folder / f"train{number}", first.db)


def campaign(kind: str, kills: int, jobs: Iterator[Job], draw: random.Random) -> int:
    """Returns how many jobs ended otherwise than the undisturbed one."""
    undisturbed, seconds = next(jobs), []
    for step in range(len(undisturbed.commands())):
        began = time.perf_counter()
        run(undisturbed.commands()[step], None)
        seconds.append(time.perf_counter() - began)
    killed, done, wrong, codes = 0, 0, 0, Counter[int]()
    while killed < kills:
        job = next(jobs)
        for step, longest in enumerate(seconds):
            while True:
                code = run(job.commands()[step], draw.uniform(0, longest) if killed < kills else None)
                codes[code] += 1
                if code == 0:
                    break
                killed += 1
        found = job.unlike(undisturbed)
        done += 1
        wrong += bool(found)
        if found:
            print(f"  job {done}: not equal: {found[:5]}")
    print(f"{kind}: {killed} kills in {done} jobs, {wrong} of which ended otherwise; {sum(codes.values())} starts")
    return wrong


def run(command: list[str], kill_after: float | None) -> int:
    """0, or -9 when it was killed. Any other end is an error here."""
    script, *flags = command
    process = subprocess.Popen(
        [sys.executable, str(ROOT / script), *flags],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
    )
    try:
        _, err = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        process.kill()
        _, err = process.communicate()
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(f"{script} ended with {process.returncode}:\n{err}")
    return process.returncode


def content(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, without the times and numbers of the fetches: prepare_dataset.py, killed after its last
    page and before its exit, fetches a second time when it is started again."""
    connection = sqlite3.connect(path)
    assert not connection.execute("SELECT 1 FROM catalogue_fetch WHERE finished_at IS NULL").fetchall()
    found = {}
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        if table == "catalogue_fetch":
            continue
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        columns = [column for column in columns if column not in ("fetched_at", "fetch_id")]
        found[table] = sorted(connection.execute(f"SELECT {', '.join(columns)} FROM {table}"), key=repr)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    return found


if __name__ == "__main__":
    sys.exit(main())
