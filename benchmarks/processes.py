"""Training by one process and by several: whether the losses are the same, and how long an epoch takes.

    python benchmarks/processes.py
    python benchmarks/processes.py --processes 2 4 8 --flags=--hidden-size=256

On lists of the sandbox's people, without dropout, which several processes draw otherwise than one. Processes have one
thread each, as torchrun has it; one process is measured with one thread and with as many as torch takes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import report

from anime_bert4rec.command_line.script import script
from anime_bert4rec.support.errors import UserError
from config import PROJECT_DIR

PEOPLE, ANIME = 500, 1_000


@script
def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, nargs="+", default=[2, 3], help="beside one (default: 2 3)")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--flags", default="--hidden-size=64", help="more flags of train_model.py, in one argument")
    parser.add_argument("--folder", type=Path, help="for the temporary files (default: the system's)")
    args = parser.parse_args(argv)
    training = ["--epochs", str(args.epochs), "--dropout", "0", "--no-evaluate", "--no-gpu", *args.flags.split()]
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        make_database(folder)
        cases = {
            "1 process": (1, None),
            "1 process, 1 thread": (1, 1),
            **{f"{n} processes": (n, 1) for n in args.processes},
        }
        results = {case: train(folder, *how, training) for case, how in cases.items()}
    print(table(results))
    return 0


def make_database(folder: Path) -> None:
    (folder / "names.txt").write_text("\n".join(f"sandbox{k:04}" for k in range(1, PEOPLE + 1)))
    common = ["--sandbox", "--db", str(folder / "bert.db")]
    run([str(PROJECT_DIR / "prepare_dataset.py"), *common, "--count", str(ANIME)])
    run([str(PROJECT_DIR / "load_users.py"), *common, "--file", str(folder / "names.txt")])


def train(folder: Path, processes: int, threads: int | None, flags: Sequence[str]) -> dict[str, Any]:
    """The content of training_metrics.json."""
    output = folder / f"{processes}_{threads}"
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    where = ["--sandbox", "--db", str(folder / "bert.db"), "--output-dir", str(output)]
    command = [*(torchrun if processes > 1 else []), str(PROJECT_DIR / "train_model.py"), *where, *flags]
    run(command, {} if threads is None else {"OMP_NUM_THREADS": str(threads)})
    metrics: dict[str, Any] = json.loads((output / "plots" / "training_metrics.json").read_text())
    return metrics


def run(arguments: Sequence[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, env={**os.environ, **(environment or {})}, check=False
    )
    if done.returncode:
        raise UserError(f"failed, see above: {' '.join(arguments)}")


def table(results: dict[str, dict[str, Any]]) -> str:
    """Markdown. The difference is the largest of all epochs, of either loss, relative to the first case."""
    first = next(iter(results.values()))
    rows = [["", "training loss", "validation loss", "largest difference", "s/epoch", "speed-up"]]
    for name, metrics in results.items():
        pairs = [
            pair for loss in ("train_losses", "val_losses") for pair in zip(metrics[loss], first[loss], strict=True)
        ]
        difference = max(abs(a - b) / b for a, b in pairs)
        seconds = [statistics.median(each["epoch_seconds"]) for each in (metrics, first)]
        losses = [f"{metrics[loss][-1]:.6f}" for loss in ("train_losses", "val_losses")]
        rows.append([name, *losses, f"{difference:.1e}", f"{seconds[0]:.2f}", f"{seconds[1] / seconds[0]:.2f}"])
    return report.markdown(rows)


if __name__ == "__main__":
    sys.exit(main())
