"""What the contenders of compare.py share: flags, clocks, the choice on validation, and one line of JSON at the end.

    run = Run(flags, "RecTools", version)
    while not run.finished():
        with run.epoch():
            …
        if run.due():
            run.validated(ranks, copy_weights)
    run.report(test_ranks, top_10_seconds, weights)

Needs NumPy only, for it runs in the peers' virtual environments too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from interactions import LeaveOneOut

from anime_bert4rec.evaluation.ranking import (
    NEVER,
    USERS_AT_ONCE,
    Ranks,
    Scorer,
    best_of,
    mean_and_error,
    ranks_of,
)
from anime_bert4rec.lists.sequences import ItemLists, Sequences, part_of


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The settings that are the same for every contender of one run."""
    sizes = parser.add_argument_group("model")
    sizes.add_argument("--hidden", type=int, default=64)
    sizes.add_argument("--layers", type=int, default=2)
    sizes.add_argument("--heads", type=int, default=2)
    sizes.add_argument("--max-len", type=int, default=100)
    sizes.add_argument("--dropout", type=float, default=0.2)
    sizes.add_argument("--mask-prob", type=float, default=0.2)
    training = parser.add_argument_group("training")
    training.add_argument("--batch", type=int, default=64)
    training.add_argument("--lr", type=float, default=1e-3)
    training.add_argument("--epochs", type=int, default=100)
    training.add_argument("--max-train-seconds", type=float, default=float("inf"), help="of training, validation aside")
    training.add_argument("--eval-every", type=int, default=10, help="epochs between two looks at validation")
    training.add_argument("--patience", type=int, default=0, help="stop after N looks without a gain; 0: never")
    training.add_argument("--threads", type=int, default=2)
    training.add_argument(
        "--peer-precision",
        choices=["32-true", "bf16-mixed", "16-mixed"],
        default="32-true",
        help="Lightning's name of the numbers that RecTools and RePlay train in; RecBole has fp32 alone on a CPU",
    )
    training.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="cuda: of the peers, RecTools only")


def parse(parser: argparse.ArgumentParser | None = None) -> tuple[argparse.Namespace, LeaveOneOut]:
    """The flags that compare.py starts a contender with, and the split."""
    parser = parser or argparse.ArgumentParser()
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    add_flags(parser)
    args = parser.parse_args()
    return args, LeaveOneOut.load(args.split)


class Run:
    """The clocks of one contender, its looks at validation, and the weights that did best there."""

    def __init__(self, args: argparse.Namespace, split: LeaveOneOut, version: str, parameters: int = 0) -> None:
        self.args, self.split, self.version, self.parameters = args, split, version, parameters
        self.tokens_per_epoch = int(np.minimum(split.training.lengths, args.max_len).sum())
        self.preparation = 0.0
        self.seconds: list[float] = []
        self.others: list[float] = []
        self.curve: list[dict[str, float]] = []
        self.best: dict[str, float] = {"ndcg@10": -1.0, "epoch": 0, "seconds": 0.0}
        self.best_weights: Any = None

    @contextlib.contextmanager
    def preparing(self) -> Iterator[None]:
        """In the block, what a model learns before its first epoch counts as training, but as no epoch."""
        clock = time.perf_counter()
        yield
        self.preparation += time.perf_counter() - clock

    @property
    def train_seconds(self) -> float:
        return self.preparation + sum(self.seconds)

    @contextlib.contextmanager
    def epoch(self) -> Iterator[None]:
        self.epoch_starts()
        yield
        self.epoch_ends()

    def epoch_starts(self) -> None:
        self._clock, self._busy, self._own = time.perf_counter(), busy_seconds(), time.process_time()

    def epoch_ends(self) -> None:
        wall, own = time.perf_counter() - self._clock, time.process_time() - self._own
        self.seconds.append(wall)
        self.others.append(max(0.0, busy_seconds() - self._busy - own) / wall)

    def due(self) -> bool:
        """Is it time for a look at validation?"""
        return len(self.seconds) % self.args.eval_every == 0 or self._spent()

    def validated(self, ranks: Ranks, copy_weights: Callable[[], Any]) -> None:
        look = {
            "epoch": len(self.seconds),
            "seconds": round(self.train_seconds, 2),
            "ndcg@10": round(float(ranks.ndcg(10).mean()), 5),
        }
        self.curve.append(look)
        print("epoch {epoch}: {seconds} s, validation NDCG@10 {ndcg@10}".format(**look), file=sys.stderr, flush=True)
        if look["ndcg@10"] > self.best["ndcg@10"]:
            self.best, self.best_weights = look, copy_weights()

    def finished(self) -> bool:
        patience = self.args.patience * self.args.eval_every
        return self._spent() or bool(patience and len(self.seconds) - self.best["epoch"] >= patience)

    def _spent(self) -> bool:
        return len(self.seconds) >= self.args.epochs or self.train_seconds >= self.args.max_train_seconds

    def report(self, ranks: Ranks, top_10_seconds: float, peak_mb: float, **more: Any) -> None:
        """Print the line that compare.py reads; `ranks` are those of the test items by the best weights."""
        later = self.seconds[1:] or self.seconds  # the first epoch warms up
        quiet = [s for s, others in list(zip(self.seconds, self.others, strict=True))[1:] if others < 0.15]
        seconds_per_epoch = statistics.median(quiet or later)
        emit(
            ranks,
            version=self.version,
            parameters=self.parameters,
            tokens_per_second=round(self.tokens_per_epoch / seconds_per_epoch),
            seconds_per_epoch=round(seconds_per_epoch, 4),
            quiet_epochs=len(quiet),
            others_cores=round(statistics.mean(self.others), 2),
            epochs=len(self.seconds),
            preparation_seconds=round(self.preparation, 2),
            train_seconds=round(self.train_seconds, 2),
            best_epoch=self.best["epoch"],
            seconds_to_best=self.best["seconds"],
            peak_mb=round(peak_mb),
            top_10_seconds=round(top_10_seconds, 3),
            validation_ndcg=self.best["ndcg@10"],
            curve=self.curve,
            **more,
        )


def seconds_of(work: Callable[[], Any]) -> float:
    """The median of a few calls: a single one may be half as long again on a machine with other things to do."""
    seconds = []
    for _ in range(5):
        clock = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - clock)
    return statistics.median(seconds)


def top_10(scorer: Scorer, histories: ItemLists) -> None:
    """Find the ten best items that each user has not seen, some users at a time so that memory stays small."""
    for start in range(0, len(histories), USERS_AT_ONCE):
        some = part_of(histories, start, start + USERS_AT_ONCE)
        best_of(scorer(some), some, 10)


def emit(ranks: Ranks, **facts: Any) -> None:
    """One line of JSON on stdout: the test metrics and whatever else there is to say."""
    for name, values in (("hr@10", ranks.hit_rate(10)), ("ndcg@10", ranks.ndcg(10))):
        mean, error = mean_and_error(values)
        facts |= {name: round(mean, 5), f"{name}_error": round(error, 5)}
    print(json.dumps(facts), flush=True)


Batches = Iterable[tuple[np.ndarray, np.ndarray]]
"""Users (rows of the split) and their scores [B, N], column 0 of which belongs to item 1; all users, in any order."""


def rank_batches(batches: Batches, known: Sequences, targets: np.ndarray) -> Ranks:
    """The same as `ranking.ranks_by`, for a library that goes through the users by itself."""
    ranks = np.empty(len(targets), np.int64)
    for users, scores in batches:
        ranks[users] = ranks_of(scores, known.select(users), targets[users]).ranks
    return Ranks(ranks, np.arange(len(targets)), len(targets))


def rank_lists(items: np.ndarray, scores: np.ndarray, targets: np.ndarray) -> Ranks:
    """Ranks out of the best few items of each user [U, k] (0: none), for a library that gives no more than these.

    Worst rank in ties. Exact up to k - 1: the last may tie with items beyond the list.
    """
    ranks = np.full(len(targets), NEVER)
    user, place = np.nonzero(items == targets[:, None])
    ranks[user] = (scores[user] >= scores[user, place][:, None]).sum(1)
    return Ranks(ranks, np.arange(len(targets)), len(targets))


def busy_seconds() -> float:
    """CPU seconds that the whole machine has used since it started; 0 where the system doesn't tell."""
    try:
        user, nice, system, _, _, irq, soft, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    except OSError:
        return 0.0
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


def peak_memory_mb() -> float:
    """The most memory that this process has held, in MiB.

    On Linux, getrusage gives a new process the peak of the one that started it; the kernel's own file doesn't.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 2**20 if sys.platform == "darwin" else peak / 1024
