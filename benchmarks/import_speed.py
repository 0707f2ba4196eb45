"""How fast load_users.py --csv imports made-up lists, how much memory it takes, and how fast they are then read.

    python benchmarks/import_speed.py --catalogue CATALOGUE.jsonl.gz
    python benchmarks/import_speed.py --rows 1000000 --folder /somewhere/large

Each row is about a random user, so that the lists are scattered over the whole file, and about an anime drawn by Zipf's
law; time and score are random. The import runs in a process of its own and into a new database, both as a user would;
2 GB for 10 million rows are needed in --folder, and 1 GB in SQLite's temporary folder.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import numpy as np

from anime_bert4rec.command_line.script import script
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.records import Anime, CataloguePage
from anime_bert4rec.model.training_data import load_data
from anime_bert4rec.support.errors import UserError
from config import PROJECT_DIR, TrainingSettings

CHUNK = 100_000


@script
def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure load_users.py --csv on made-up lists.")
    parser.add_argument(
        "--rows", type=int, default=10_000_000, metavar="N", help="rows of the file (default: 10 million)"
    )
    parser.add_argument("--users", type=int, default=100_000, metavar="N", help="people (default: 100,000)")
    parser.add_argument("--catalogue", type=Path, metavar="FILE", help="JSON lines (or gz) with ids (default: made up)")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="for the temporary files (default: the system's)")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        ids = read_ids(args.catalogue) if args.catalogue else np.arange(1, 8_001)
        store_catalogue(folder / "bert.db", ids)
        write_csv(folder / "lists.csv", ids, args.rows, args.users, args.seed)
        command = ["load_users.py", "--csv", str(folder / "lists.csv"), "--db", str(folder / "bert.db")]
        # A process takes over the peak memory of the one that started it: this one stays small.
        before = time.perf_counter()
        process = subprocess.Popen([sys.executable, str(PROJECT_DIR / command[0]), *command[1:]])
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - before
        if status:
            raise UserError("the import failed, see above")
        opened = time.perf_counter()
        with Database.open(folder / "bert.db", create=False):
            opened = time.perf_counter() - opened
        size = (folder / "bert.db").stat().st_size
        read = time.process_time()
        data = load_data(folder / "bert.db", TrainingSettings())
        read, entries = time.process_time() - read, len(data.training.items) + len(data.validation.items)
    print(
        f"{args.rows:,} rows in {seconds:.1f} s: {args.rows / seconds:,.0f} rows/s, peak memory"
        f" {used.ru_maxrss / 1024:,.0f} MiB, {used.ru_utime + used.ru_stime:.1f} s of processor time;"
        f" database {size / 2**20:,.0f} MiB, opened in {opened:.2f} s; {entries:,} different entries, read into"
        f" sequences in {read:.1f} s of processor time"
    )
    return 0


def read_ids(path: Path) -> np.ndarray:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        return np.array([json.loads(line)["id"] for line in file])


def store_catalogue(path: Path, ids: np.ndarray) -> None:
    with Database.open(path, create=True) as database:
        fetch = database.resume_or_start_catalogue_fetch("ID", len(ids))
        database.save_catalogue_page(fetch.fetch_id, CataloguePage(tuple(map(Anime, ids.tolist())), None))


def write_csv(path: Path, ids: np.ndarray, rows: int, users: int, seed: int) -> None:
    """Write the file in chunks, with at most a few MB in memory."""
    draw = np.random.default_rng(seed)
    chances = 1 / np.arange(1, len(ids) + 1)
    chances /= chances.sum()
    ids = draw.permutation(ids)
    with path.open("w") as file:
        file.write("user,anime_id,timestamp,score\n")
        for done in range(0, rows, CHUNK):
            n = min(CHUNK, rows - done)
            columns = [
                draw.integers(users, size=n),
                draw.choice(ids, size=n, p=chances),
                draw.integers(1_300_000_000, 1_700_000_000, size=n),
                draw.integers(0, 11, size=n),
            ]
            file.writelines(f"user{a},{b},{c},{d}\n" for a, b, c, d in np.stack(columns, axis=1).tolist())


if __name__ == "__main__":
    raise SystemExit(main())
