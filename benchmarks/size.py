"""What training costs as the catalogue grows: seconds to build the memory, tokens a second, peak memory.

    python benchmarks/size.py
    python benchmarks/size.py --case catalogue-3000 catalogue-20000 --steps 50

Each case trains the script's default model, item memory and all, for a few steps in a process of its own. The lists of
`catalogue-…` are those of the sandbox's people; those of `items-…` are short and made up.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
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
from torch.utils.data import DataLoader, Subset

from anime_bert4rec.anilist import sandbox as anilist_sandbox
from anime_bert4rec.command_line.script import script
from anime_bert4rec.lists.common_traits import groups_in_common, popularity_of
from anime_bert4rec.lists.records import Anime
from anime_bert4rec.lists.sequences import PAD, Sequences, Vocabulary, WatchedRow, build_sequences
from anime_bert4rec.model.batches import Batch
from anime_bert4rec.model.bert4rec import BERT4Rec
from anime_bert4rec.model.fast_parts import TiedEmbedding
from anime_bert4rec.model.masked_metrics import masked_cross_entropy, ranks, top_k_hits
from anime_bert4rec.model.products import multiply_in
from anime_bert4rec.model.two_threads import in_halves
from anime_bert4rec.support.whole_files import write_json
from anime_bert4rec.training.precision import choose_numbers
from anime_bert4rec.training.weights import AveragedWeights, make_optimizer
from config import TrainingSettings, UserListSettings

WARM_UP_STEPS = 3
VALIDATION_USERS = 500
LENGTH = 9  # of a made-up list
CLUSTER = 100  # made-up items that go together, and share a genre
Case = tuple[Callable[[int, int], train_model.Data], int, int]  # makes the data; the numbers of items and users


@script
def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    started = datetime.now().isoformat(timespec="seconds")
    facts = {"started": started, "machine": report.machine(), "threads": args.threads}
    results: list[dict[str, Any]] = []
    for name in args.case:
        print(f"---- {name}", file=sys.stderr, flush=True)
        results.append({"name": name, **measure_apart(CASES[name], args.steps, args.seconds, args.threads)})
        write_json(args.output / "size.json", {**facts, "results": results})
    print(table(results))
    return 1 if any("error" in result for result in results) else 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", choices=list(CASES), default=list(CASES), help="which sizes; default: all")
    parser.add_argument("--steps", type=int, default=20, help="training steps of a round, after a few to warm up")
    parser.add_argument("--seconds", type=float, default=30, help="rounds are repeated for this many seconds")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=HERE / "results")
    return parser


def measure_apart(case: Case, steps: int, seconds: float, threads: int) -> dict[str, Any]:
    """`measure` in a new process, so that its peak memory is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(measure, case, steps, seconds, threads).result()
        except (RuntimeError, MemoryError) as error:  # killed by the system, or an allocation that failed
            print(f"failed: {error}", file=sys.stderr)
            return {"error": str(error)}


def measure(case: Case, steps: int, at_least: float, threads: int) -> dict[str, Any]:
    """Build the model and train it in rounds of `steps` steps, for at least `at_least` seconds.

    After each round the logits of its batches are measured by themselves, so that other programs slow both alike.
    Peaks, in GiB, are of all that was done until then.
    """
    torch.set_num_threads(threads)
    settings = TrainingSettings(use_gpu=False)
    make, items, users = case
    data = make(items, users)
    peaks = {"peak_gib_data": round(peak_memory_mb() / 1024, 3)}
    clock = time.perf_counter()
    model = train_model.build_model(data, settings)
    memory_seconds = time.perf_counter() - clock
    peaks["peak_gib_memory"] = round(peak_memory_mb() / 1024, 3)

    multiply_in(choose_numbers(settings, torch.device("cpu")), model)
    optimizer = make_optimizer(model, settings.lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    averaged = AveragedWeights(model)
    train_model.train_one_epoch(model, few_batches(data, settings, 1, WARM_UP_STEPS), optimizer, schedule, scaler)

    assert model.memory is not None
    in_memory = stopwatch(model.memory.register_forward_pre_hook, model.memory.register_forward_hook)
    in_optimizer = stopwatch(optimizer.register_step_pre_hook, optimizer.register_step_post_hook)
    parameters = sum(p.numel() for p in model.parameters())
    seconds = logits = 0.0
    count = tokens = positions = at_once = 0
    while seconds + logits < at_least or not count:
        loader = few_batches(data, settings, 2 + count // steps, steps)
        clock = time.perf_counter()
        train_model.train_one_epoch(model, loader, optimizer, schedule, scaler)
        seconds += time.perf_counter() - clock
        batches = list(loader)  # the same ones again
        clock = time.perf_counter()
        for batch in batches:
            model.zero_grad(set_to_none=True)
            at_once = len(in_halves(batch, parameters, lambda part: only_logits(model, part)))
        logits += time.perf_counter() - clock
        count += len(batches)
        tokens += sum(int((batch.items != PAD).sum()) for batch in batches)
        positions += sum(len(batch.rows) for batch in batches)

    averaged.update(model)
    with averaged.used_by(model):  # an epoch ends so, and memory may have its peak then
        train_model.validate(model, few_batches(data, settings, None, 1))
    peaks["peak_gib"] = round(peak_memory_mb() / 1024, 3)
    return {
        "items": data.vocabulary.num_items,
        "users": len(data.training),
        "parameters": parameters,
        "memory_seconds": round(memory_seconds, 2),
        "tokens_per_step": round(tokens / count),
        "positions_per_step": round(positions / count),
        "tokens_per_second": round(tokens / seconds),
        "ms_per_step": round(1000 * seconds / count, 2),
        "logits_share": round(logits / seconds, 4),
        "memory_share": round(sum(in_memory) / at_once / seconds, 4),
        "optimizer_share": round(sum(in_optimizer) / seconds, 4),
        "us_per_token": round(1e6 * (seconds - logits) / tokens, 3),  # logits aside
        **peaks,
    }


def stopwatch(before: Callable[..., object], after: Callable[..., object]) -> list[float]:
    """Numbers whose sum is the seconds between two hooks; before, after: the methods that register them."""
    times: list[float] = []
    before(lambda *_: times.append(-time.perf_counter()))
    after(lambda *_: times.append(time.perf_counter()))
    return times


def few_batches(data: train_model.Data, settings: TrainingSettings, epoch: int | None, count: int) -> DataLoader[Batch]:
    """The first batches of a training epoch or, without an epoch, of validation."""
    loader = train_model.batches(data.training if epoch else data.validation, data, settings, epoch)
    return DataLoader(Subset(loader.dataset, range(min(count, len(loader)))), batch_size=None)


def only_logits(model: BERT4Rec, batch: Batch) -> None:
    """What the step needs from the last hidden states to the loss and back, the item memory aside."""
    assert batch.targets is not None
    embedding = TiedEmbedding(model.item_embedding.weight)
    hidden = torch.randn(len(batch.rows), model.config.hidden_size, requires_grad=True)
    hidden = hidden + embedding.look_up(batch.items[0, -1:])  # so that the gradient is handed on, as in the model
    prior = torch.zeros(len(batch.rows), model.config.num_items)
    logits = embedding.logits(prior, hidden).add_(model.item_bias)
    top_k_hits(ranks(logits.detach(), batch.targets - 1))
    masked_cross_entropy(logits, batch.targets - 1).backward()


def sandbox_data(items: int, users: int) -> train_model.Data:
    """What train_model.py reads from a database with so much of the sandbox's catalogue and people in it."""
    sandbox, fewest = anilist_sandbox.Sandbox(), UserListSettings().min_anime
    pages = sandbox.top_anime(items, "POPULARITY_DESC")
    catalogue = [anime for page in pages for anime in page.anime]
    known = {anime.anime_id for anime in catalogue}

    def rows() -> Iterator[WatchedRow]:
        for name in anilist_sandbox.user_names(users):
            people = sandbox.user_list(name)
            watched = [e for e in people.entries if e.status != "PLANNING" and e.anime_id in known]
            for e in watched if len(watched) >= fewest else ():
                yield people.user_id, e.anime_id, e.entry_id, e.completed, e.started, e.updated, e.created

    return as_data(catalogue, build_sequences(rows(), Vocabulary.of(known)))


def made_up_data(items: int, users: int) -> train_model.Data:
    """Lists in order, most items of each from one cluster, and popular ones more often than others (Zipf)."""
    random = np.random.default_rng(0)
    chances = 1 / np.arange(1, items + 1)
    drawn = random.choice(items, (users, LENGTH), p=chances / chances.sum())
    popular = random.permutation(items)[drawn]
    near = popular[:, :1] // CLUSTER * CLUSTER + random.integers(0, CLUSTER, popular.shape)
    lists = np.where(random.random(popular.shape) < 0.2, popular, np.minimum(near, items - 1)) + 1
    order = np.tile(np.arange(LENGTH, dtype=np.int32), users)
    offsets = np.arange(0, lists.size + 1, LENGTH)
    sequences = Sequences(lists.ravel().astype(np.int32), order, offsets, np.arange(users))
    return as_data([Anime(item, genres=(f"genre {item // CLUSTER}",)) for item in range(1, items + 1)], sequences)


def as_data(catalogue: Sequence[Anime], sequences: Sequences) -> train_model.Data:
    vocabulary = Vocabulary.of(anime.anime_id for anime in catalogue)
    validation = sequences.select(np.arange(min(VALIDATION_USERS, len(sequences))))
    alike, in_catalogue = groups_in_common(catalogue, vocabulary), popularity_of(catalogue, vocabulary)
    return train_model.Data(vocabulary, sequences, validation, alike, in_catalogue)


CASES: dict[str, Case] = {
    "catalogue-3000": (sandbox_data, 3_000, 5_000),
    "catalogue-20000": (sandbox_data, 20_000, 5_000),
    "items-3000": (made_up_data, 3_000, 40_000),
    "items-55000": (made_up_data, 55_000, 40_000),
}
SMALL = [name for name in CASES if name.endswith("-3000")]  # what the others are compared with

COLUMNS = {
    "items": "{items:,}",
    "building, s": "{memory_seconds:.1f}",
    "tokens/s": "{tokens_per_second:,}",
    "ms/step": "{ms_per_step:.0f}",
    "logits": "{logits_share:.0%}",
    "memory": "{memory_share:.0%}",
    "optimizer": "{optimizer_share:.0%}",
    "peak GiB": "{peak_gib:.2f}",
    "µs/token": "{us_per_token:.1f}",
}


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown; the last columns compare the cost of a token, logits aside, with that of the cases of 3,000 items."""
    small = {r["name"]: r["us_per_token"] for r in results if r["name"] in SMALL and "error" not in r}
    rows = [["", *COLUMNS, *(f"× {name}" for name in small)]]
    for result in results:
        if "error" in result:
            rows.append([result["name"], "failed", *[""] * (len(rows[0]) - 2)])
        else:
            times = [f"{result['us_per_token'] / cost:.2f}" for cost in small.values()]
            rows.append([result["name"], *(form.format(**result) for form in COLUMNS.values()), *times])
    return report.markdown(rows)


if __name__ == "__main__":
    sys.exit(main())
