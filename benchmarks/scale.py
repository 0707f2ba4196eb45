"""What training needs as the interactions grow a hundredfold: time to the first batch and for a token, and memory.

    python benchmarks/scale.py
    python benchmarks/scale.py --users 5000 --steps 100 --folder /somewhere/large

Made-up lists of 200 out of 3,000 anime are written into the sequence store (lists/sequence_store.py) that
train_model.py keeps beside its database; there is no SQLite file behind them. A process of its own for each size then
does what train_model.py does up to the first steps of an epoch. 100 million interactions need 600 MB in --folder.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import train_model  # before torch, for it tells the threads not to spin

# isort: split
import numpy as np
import report
import torch
from contender import peak_memory_mb

from anime_bert4rec.command_line.script import script
from anime_bert4rec.evaluation.masked_baselines import baseline_accuracies
from anime_bert4rec.lists.sequence_store import stored
from anime_bert4rec.lists.sequences import PAD, Sequences, Vocabulary
from anime_bert4rec.model.batches import MaskedBatches
from anime_bert4rec.model.products import multiply_in
from anime_bert4rec.support.whole_files import write_json
from anime_bert4rec.training.precision import choose_numbers
from anime_bert4rec.training.weights import make_optimizer
from config import TrainingSettings

ITEMS, LENGTH = 3_000, 200
USERS_AT_ONCE = 2_000
WARM_UP_STEPS = 5


@script
def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    results: list[dict[str, Any]] = []
    for users in args.users:
        print(f"---- {users:,} users", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            made = apart(make, Path(folder), users)
            sizes = args.hidden_size, args.steps, args.threads
            results.append({**made, **apart(measure, Path(folder), users, *sizes)})
        write_json(args.output / "scale.json", {"machine": report.machine(), "results": results})
    print(table(results))
    return 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, nargs="+", default=[5_000, 500_000], help="sizes to measure")
    parser.add_argument(
        "--steps", type=int, default=1_000, help="steps of the epoch to measure, after a few to warm up"
    )
    parser.add_argument("--hidden-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="for the temporary files (default: the system's)")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    return parser


def apart(function: Any, *arguments: Any) -> dict[str, Any]:
    """What the function gives, called in a new process, so that its peak memory is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        result: dict[str, Any] = pool.submit(function, *arguments).result()
        return result


def lists_of(folder: Path, users: int) -> dict[str, Sequences]:
    """Made-up lists of `users` users, as the sequence store keeps them; made first if it has none."""
    return stored(folder / "bert.db", [], users, ITEMS, lambda: made_up(users))


def made_up(users: int) -> Iterator[dict[str, Sequences]]:
    """Lists without repeats, popular anime more often than others (Zipf); one in ten is for validation."""
    chances = np.random.default_rng(0).permutation(np.log(1 / np.arange(1, ITEMS + 1))).astype(np.float32)
    for start in range(0, users, USERS_AT_ONCE):
        random, count = np.random.default_rng((1, start)), min(USERS_AT_ONCE, users - start)
        # The smallest of such sums are a draw without replacement, one after the other (Gumbel).
        noise = random.standard_exponential((count, ITEMS), np.float32) + np.float32(1e-30)
        order = np.log(noise) - chances
        drawn = random.permuted(np.argpartition(order, LENGTH, axis=1)[:, :LENGTH], axis=1).astype(np.int32) + 1
        part = count - count // 10
        yield {"training": rows(drawn[:part], start), "validation": rows(drawn[part:], start + part)}


def rows(lists: np.ndarray, first_user: int) -> Sequences:
    blocks = np.tile(np.arange(LENGTH, dtype=np.int32), len(lists))
    offsets = np.arange(len(lists) + 1) * LENGTH
    return Sequences(lists.ravel(), blocks, offsets, first_user + np.arange(len(lists)))


def make(folder: Path, users: int) -> dict[str, Any]:
    clock = Clock()
    lists_of(folder, users)
    return {
        "users": users,
        "interactions": users * LENGTH,
        "making_seconds": clock.lap(),
        "making_mb": peak_memory_mb(),
    }


def measure(folder: Path, users: int, hidden_size: int, steps: int, threads: int) -> dict[str, Any]:
    """What train_model.py does after it has read the lists, and the first steps of its first epoch."""
    torch.set_num_threads(threads)
    settings = TrainingSettings(use_gpu=False, hidden_size=hidden_size)
    own_memory, clock = OwnMemory(), Clock()
    with own_memory:
        lists = lists_of(folder, users)
        data = train_model.Data(Vocabulary.of(range(1, ITEMS + 1)), lists["training"], lists["validation"])
        result = {"opening_seconds": clock.lap()}
        data.fingerprint()
        result["fingerprint_seconds"] = clock.lap()
        spent = [time.process_time()]
        model = train_model.build_model(data, settings)
        result["memory_seconds"] = clock.lap()
        spent.append(time.process_time())
        loader = train_model.batches(data.validation, data, settings, None)
        baseline_accuracies(data, train_model.in_this_process(loader, data.one_in))
        result["baseline_seconds"] = clock.lap()
        spent.append(time.process_time())
        loader = train_model.batches(data.training, data, settings, 1)
        first = next(iter(loader))
        assert int((first.items != PAD).sum())
        result["batch_seconds"] = clock.lap()
        result["to_first_batch_seconds"] = sum(result.values())
        result["memory_cpu_seconds"], result["baseline_cpu_seconds"] = np.diff(spent).tolist()

        multiply_in(choose_numbers(settings, torch.device("cpu")), model)
        optimizer = make_optimizer(model, settings.lr)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
        scaler = torch.amp.GradScaler("cpu", enabled=False)
        assert isinstance(loader.dataset, MaskedBatches)
        everything = loader.dataset.users_of_batch
        loader.dataset.users_of_batch = everything[:WARM_UP_STEPS]
        train_model.train_one_epoch(model, loader, optimizer, schedule, scaler)
        loader.dataset.users_of_batch = everything[WARM_UP_STEPS : WARM_UP_STEPS + steps]
        clock.lap()
        busy = time.process_time()
        train_model.train_one_epoch(model, loader, optimizer, schedule, scaler)
        seconds, busy = clock.lap(), time.process_time() - busy
    preparing = time.perf_counter()
    tokens = sum(int((loader.dataset[number].items != PAD).sum()) for number in range(len(loader)))
    preparing = time.perf_counter() - preparing
    return {
        **result,
        "steps": len(loader),
        "steps_in_epoch": len(everything),
        "ms_per_step": 1000 * seconds / len(loader),
        "us_per_token": 1e6 * seconds / tokens,
        "cpu_us_per_token": 1e6 * busy / tokens,
        "batch_us_per_token": 1e6 * preparing / tokens,
        "own_mb": own_memory.peak,
        "peak_mb": peak_memory_mb(),
    }


class Clock:
    def __init__(self) -> None:
        self.since = time.perf_counter()

    def lap(self) -> float:
        """Seconds since the last call."""
        before, self.since = self.since, time.perf_counter()
        return self.since - before


@dataclass
class OwnMemory:
    """The most memory in MiB, files that are mapped left out: those the system takes back as it needs (Linux)."""

    peak: float = 0.0
    done: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> None:
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()

    def _watch(self) -> None:
        status = Path("/proc/self/status")
        while status.exists() and not self.done.wait(0.02):
            self.peak = max(self.peak, int(status.read_text().split("RssAnon:")[1].split()[0]) / 1024)


COLUMNS = {
    "interactions": "{interactions:,}",
    "making the lists, s": "{making_seconds:.1f}",
    "… peak MiB": "{making_mb:,.0f}",
    "to the first batch, s": "{to_first_batch_seconds:.1f}",
    "… opening": "{opening_seconds:.2f}",
    "… fingerprint": "{fingerprint_seconds:.2f}",
    "… memory": "{memory_seconds:.1f}",
    "… … processor time of the memory": "{memory_cpu_seconds:.1f}",
    "… baselines": "{baseline_seconds:.1f}",
    "… … processor time of the baselines": "{baseline_cpu_seconds:.1f}",
    "… batch": "{batch_seconds:.2f}",
    "steps": "{steps:,} of {steps_in_epoch:,}",
    "ms/step": "{ms_per_step:.0f}",
    "µs/token": "{us_per_token:.2f}",
    "µs/token of processor time": "{cpu_us_per_token:.2f}",
    "… of which the batches": "{batch_us_per_token:.2f}",
    "peak MiB": "{peak_mb:,.0f}",
    "… without mapped files": "{own_mb:,.0f}",
}


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row for each measure, a column for each size."""
    return report.markdown([[name, *(form.format(**result) for result in results)] for name, form in COLUMNS.items()])


if __name__ == "__main__":
    sys.exit(main())
