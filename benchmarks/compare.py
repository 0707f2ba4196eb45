"""This project's model beside other implementations of BERT4Rec and beside baselines: same split, metric and threads.

    python benchmarks/setup_peers.py                      # once
    python benchmarks/compare.py --data ml-100k
    python benchmarks/compare.py --data ml-1m --hidden 256 --heads 4 --max-len 200 --max-train-seconds 3600
    python benchmarks/compare.py --data ml-1m --device cuda --peers rectools --baselines
    python benchmarks/compare.py --data ml-100k --hidden 256 --peers rectools replay --peer-precision bf16-mixed
    python benchmarks/compare.py --data my_lists.csv --peers --seeds 1 2 3 --ours= --ours=--no-memory

Leave-one-out in order of time, all items ranked, seen items left out, worst rank in ties. The contenders run one after
the other, each in a process of its own. What is chosen, weights or settings, is chosen on validation; each contender
looks at the test once. The table shows medians over the seeds; everything is in the JSON under benchmarks/results.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import contender
import interactions
import report
from full_grids import NAMES as BASELINES
from peer_environments import REQUIREMENTS, is_set_up, python_of

from anime_bert4rec.command_line.script import script
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.whole_files import write_json

PEERS = {"rectools": "RecTools", "recbole": "RecBole", "replay": "RePlay"}


@dataclass(frozen=True)
class Contender:
    name: str
    command: list[str]
    """Interpreter, script and flags; the split, the seed and the flags that all share follow."""
    has_seeds: bool = True


@script
def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    contenders = list(chosen_contenders(args))
    path = interactions.find(args.data, args.data_dir)
    data = interactions.keep_users(interactions.read(path))
    split = interactions.LeaveOneOut(data.sequences, data.num_items)
    facts = {
        "data": Path(args.data).name,
        "users": len(split.whole),
        "items": split.num_items,
        "interactions": len(split.whole.items),
        "started": datetime.now().isoformat(timespec="seconds"),
        "machine": report.machine(),
        "flags": {name: getattr(args, name) for name in SHARED},
    }
    print("{users:,} users, {items:,} items, {interactions:,} interactions".format(**facts), file=sys.stderr)

    stem = "-".join([Path(args.data).name.split(".")[0], f"h{args.hidden}", f"l{args.layers}", f"len{args.max_len}"])
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        split.save(Path(folder) / "split.npz")
        for each in contenders:
            for seed in args.seeds if each.has_seeds else args.seeds[:1]:
                print(f"---- {each.name}, seed {seed}", file=sys.stderr, flush=True)
                results.append(run(each, Path(folder) / "split.npz", seed, args))
                # After each, so that a run that is interrupted leaves what it has.
                write_json(args.output / f"{stem}.json", {**facts, "results": results})

    title = f"{facts['data']}: {facts['users']:,} users, {facts['items']:,} items"
    threads = "one thread" if args.threads == 1 else f"{args.threads} threads"
    caption = f"{facts['machine']}, {threads}; the epoch is chosen on validation, the test is in the table"
    report.plot(results, args.output / f"{stem}.png", title, caption)
    print(report.table(results))
    return 1 if any("error" in result for result in results) else 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", default="ml-100k", help="ml-100k, ml-1m, or a CSV user_id,item_id,timestamp, or a user a line"
    )
    parser.add_argument(
        "--data-dir", type=Path, default=interactions.DATA_DIR, help="where ml-*.csv.gz are; or BENCHMARK_DATA"
    )
    parser.add_argument(
        "--peers", nargs="*", choices=list(PEERS), default=list(PEERS), help="which peers; none: --peers alone"
    )
    parser.add_argument(
        "--baselines", nargs="*", choices=BASELINES, default=list(BASELINES), help="the same for baselines"
    )
    parser.add_argument(
        "--ours",
        action="append",
        metavar="FLAGS",
        help="flags for this project's model alone, after a =; again for one more variant",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--output", type=Path, default=HERE / "results")
    contender.add_flags(parser)
    return parser


def _names_of_shared_flags() -> list[str]:
    only_shared = argparse.ArgumentParser()
    contender.add_flags(only_shared)
    return list(vars(only_shared.parse_args([])))


SHARED = _names_of_shared_flags()


def chosen_contenders(args: argparse.Namespace) -> Iterator[Contender]:
    for baseline in args.baselines:
        command = [sys.executable, str(HERE / "run_baselines.py"), "--baseline", baseline]
        yield Contender(baseline, command, has_seeds=False)
    for variant in args.ours or [""]:
        yield Contender(f"ours {variant}".strip(), [sys.executable, str(HERE / "ours.py"), *shlex.split(variant)])
    for peer in args.peers:
        if args.device != "cpu" and peer != "rectools":
            raise UserError(f"{peer} is measured on a CPU only: --device cuda --peers rectools")
        if args.peer_precision != "32-true" and peer == "recbole":
            raise UserError("recbole trains in fp32 on a CPU: --peer-precision is for --peers rectools replay")
        if not is_set_up(peer):
            raise UserError(
                f"{peer} is not installed; python benchmarks/setup_peers.py {peer} does it, --peers alone goes without"
            )
        version = REQUIREMENTS[peer][0].split("==")[1]
        name = f"{PEERS[peer]} {version}" + ("" if args.peer_precision == "32-true" else f" {args.peer_precision}")
        yield Contender(name, [str(python_of(peer)), str(HERE / "peers" / f"run_{peer}.py")])


def run(each: Contender, split: Path, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """Start the contender and wait for its line of JSON; its progress goes to stderr."""
    shared = [f"--{name.replace('_', '-')}={getattr(args, name)}" for name in SHARED]
    interpreter, file, *own = each.command  # its own flags last, so that they win
    process = subprocess.run(
        [interpreter, file, "--split", str(split), "--seed", str(seed), *shared, *own],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(args.threads),
        cwd=split.parent,  # RecBole leaves files where it is started
        check=False,
    )
    result: dict[str, Any] = {"name": each.name, "seed": seed}
    lines = process.stdout.strip().splitlines()
    if process.returncode or not lines:
        print(f"{each.name} failed with exit code {process.returncode}", file=sys.stderr)
        return {**result, "error": process.returncode}
    return {**result, **json.loads(lines[-1])}


def environment(threads: int) -> dict[str, str]:
    """The same threads for all, which wait without spinning: that costs 5 to 10 times as soon as a core is shared."""
    of_threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    modules = os.pathsep.join((str(HERE.parent), str(HERE)))
    return {**os.environ, **of_threads, "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": modules}


if __name__ == "__main__":
    sys.exit(main())
