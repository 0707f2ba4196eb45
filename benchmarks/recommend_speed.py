"""How fast recommendations come: people a second from the module, and where the seconds of the script go.

    python benchmarks/recommend_speed.py
    python benchmarks/recommend_speed.py --hidden-size 64 --users 1000
    python benchmarks/recommend_speed.py --stored 5000

The model has the default sizes but random weights, and an item memory of random tables, as speed does not depend on
them; the catalogue is the sandbox's, and the lists are drawn from it. With --stored, what it costs to know what others
start now, of a database of so many lists: before a training, and when somebody asks.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

from anime_bert4rec.anilist.sandbox import Sandbox
from anime_bert4rec.command_line.script import script
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.dates import day_of
from anime_bert4rec.lists.recent_starts import RecentStarts
from anime_bert4rec.lists.records import Anime, ListEntry, UserList
from anime_bert4rec.lists.sequences import Sequences, Vocabulary
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.item_memory import ItemMemory
from anime_bert4rec.model.memory_config import MemoryConfig
from anime_bert4rec.model.memory_fitting import fit_memories, fit_unordered_memories
from anime_bert4rec.model.model_files import save_item_mappings, save_model
from anime_bert4rec.model.predicted_scores import FACTORS, PredictedScores
from anime_bert4rec.model.recent_strengths import Lately, fit_recent
from anime_bert4rec.model.score_weight import USUAL_WEIGHT
from anime_bert4rec.model.training_data import load_data
from anime_bert4rec.recommender import Recommender
from anime_bert4rec.recommending.moment import Moment
from anime_bert4rec.recommending.person import Person
from anime_bert4rec.recommending.shortlist import Shortlists
from anime_bert4rec.recommending.wishes import Wishes
from config import TrainingSettings

RUNS = 3
TODAY = 20261004


@script
def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden-size", type=int, nargs="+", default=[256, 64], help="widths of the model")
    parser.add_argument("--items", type=int, default=3000, help="how many anime (default: 3000)")
    parser.add_argument("--users", type=int, default=1000, help="how many people (default: 1000)")
    parser.add_argument("--length", type=int, default=200, help="how long their lists are (default: 200)")
    parser.add_argument("--unordered", action="store_true", help="lists without an order, as most on AniList are")
    parser.add_argument("--threads", type=int, default=2, help="of the processor (default: 2)")
    parser.add_argument("--stored", type=int, metavar="LISTS", help="measure what recent starts cost, of so many lists")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        if args.stored:
            measure_recent_starts(Path(folder) / "bert.db", args)
            return 0
        for hidden_size in args.hidden_size:
            measure(Path(folder) / str(hidden_size), hidden_size, args)
    return 0


def measure(folder: Path, hidden_size: int, args: argparse.Namespace) -> None:
    database_file = folder / "bert.db"
    with Database.open(database_file, create=True) as database:
        store_catalogue(database, args.items)
        vocabulary = Vocabulary.of(database.anime_ids())
        random = np.random.default_rng(0)
        lists = [random.choice(vocabulary.anime_ids, args.length, False).tolist() for _ in range(args.users)]
        entries = [ListEntry(k, each, "COMPLETED", completed=20100101 + k) for k, each in enumerate(lists[0])]
        database.save_user_list(UserList(1, "somebody", tuple(entries)), "somebody", int(time.time()), 1)
    save_item_mappings(folder / "models" / "item_mappings.pkl", vocabulary)
    save_model(
        folder / "models" / "best_model.pth",
        random_model(vocabulary, hidden_size, not args.unordered),
        epoch=1,
        val_loss=0.0,
    )

    recommender = Recommender.load(folder)
    size = f"hidden size {hidden_size}, {vocabulary.num_items:,} anime, lists of {args.length}"
    print(f"{size}, {'no order' if args.unordered else 'in order'}:")
    times = measured(lambda: list(recommender.recommend_many(lists)))
    print(
        f"  {len(lists) / times.wall:,.0f} people/s, each {1000 * times.cpu / len(lists):.2f} ms of CPU: recommend_many"
    )
    scores = [dict.fromkeys(each[::2], 70.0) | dict.fromkeys(each[::4], 90.0) for each in lists]
    times = measured(lambda: list(recommender.recommend_many(lists, scores=scores)))
    print(f"    each {1000 * times.cpu / len(lists):.2f} ms of CPU where every second title has a score")
    some = lists[:100]
    times = measured(lambda: [recommender.recommend(each) for each in some])
    print(f"  {len(some) / times.wall:,.0f} people/s, each {1000 * times.cpu / len(some):.2f} ms of CPU: recommend")
    ranked = [each.anime_id for each in recommender.recommend(lists[0], vocabulary.num_items)]
    print(f"  {measured(lambda: recommender.because(lists[0], ranked[:10]))}: reasons for ten titles")

    command = [sys.executable, str(HERE.parent / "recommend.py"), "--user", "somebody", "--db", str(database_file)]
    command += ["--output-dir", str(folder)]
    print(
        f"  {measured(lambda: run(command))}: recommend.py --user from the shell, reasons for twenty titles; of these"
    )
    imports = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(HERE.parent)!r}); import recommend, torch"]
    print(f"    {measured(lambda: run(imports))}: Python and imports, torch the longest")

    def read() -> list[Anime]:
        with Database.open(database_file, create=False) as database:
            return database.anime(database.anime_ids())

    catalogue, person = read(), Person.of_ids(lists[0])
    print(f"    {measured(read)}: the catalogue")
    print(f"    {measured(lambda: Recommender.load(folder))}: loading the model")
    print(f"    {measured(lambda: list(Shortlists(catalogue).of(ranked, [person], Wishes())))}: the sequel rule")


def store_catalogue(database: Database, items: int) -> None:
    fetch = database.resume_or_start_catalogue_fetch("POPULARITY_DESC", items)
    for page in Sandbox().top_anime(items, "POPULARITY_DESC"):
        database.save_catalogue_page(fetch.fetch_id, page)


def measure_recent_starts(database_file: Path, args: argparse.Namespace) -> None:
    """Of lists whose titles were started on any days of the ten years before TODAY."""
    random = np.random.default_rng(0)
    with Database.open(database_file, create=True) as database:
        store_catalogue(database, args.items)
        catalogue = database.anime(database.anime_ids())
        ids = np.array([each.anime_id for each in catalogue])
        for number in range(1, args.stored + 1):
            days = np.datetime64(day_of(TODAY), "D") - random.integers(1, 3650, args.length)
            dates = [int(str(day).replace("-", "")) for day in days]
            watched = zip(random.choice(ids, args.length, False).tolist(), dates, strict=True)
            entries = [ListEntry(k, each, "COMPLETED", started=day) for k, (each, day) in enumerate(watched)]
            database.save_user_list(UserList(number, f"user{number}", tuple(entries)), f"user{number}", 0, 1)

    settings, size = TrainingSettings(use_gpu=False), len(ids)
    data = load_data(database_file, settings)
    counted, alike, recent = data.training.select(data.counted), data.alike, data.recent
    assert recent is not None
    print(f"{args.stored:,} lists of {args.length}, {size:,} anime; before a training:")

    def starts() -> RecentStarts:
        with Database.open_to_read(database_file) as database:
            return RecentStarts.of(database, catalogue, data.vocabulary, counted.user_ids)

    def lately() -> Lately:
        return Lately(recent, counted, settings.seed)

    def memories(*lists: Sequences) -> None:
        fitted[:] = fit_memories(lists, size, max_seq_len=settings.max_seq_len, seed=settings.seed, alike=alike)

    def sets(*lists: Sequences) -> None:
        as_sets[:] = fit_unordered_memories(lists, size, seed=settings.seed, alike=alike)

    asked, fitted, as_sets = lately(), list[ItemMemory](), list[ItemMemory]()
    print(f"  {measured(starts)}: all starts are read")
    print(f"  {measured(lately)}: what was known before {len(asked.asked):,} of them")
    print(f"  {measured(lambda: memories(counted), 1)}: the memory, which there is in any case")
    print(f"  {measured(lambda: memories(counted, asked.lists_before), 1)}: with that of the lists before these starts")
    print(f"  {measured(lambda: sets(counted), 1)}: the memory without their order, which there is in any case, too")
    print(f"  {measured(lambda: sets(counted, asked.lists_before), 1)}: with that of the lists before these starts")
    print(f"  {measured(lambda: fit_recent(asked, fitted[1], settings.max_seq_len, as_sets[1]))}: the strengths")

    def moment() -> Moment:
        with Database.open_to_read(database_file) as database:
            return Moment(database, catalogue, data.vocabulary, TODAY)

    def person(user: int) -> Person:
        items, days = recent.starts.of_user_before(user, day_of(TODAY))
        seen = data.vocabulary.anime_ids[items - 1].tolist()
        return Person(
            tuple(seen), frozenset(seen), frozenset(seen), started=dict(zip(seen, days.tolist(), strict=True))
        )

    of_day, people = moment(), [person(user) for user in counted.user_ids[:100].tolist()]
    print("when somebody asks:")
    print(f"  {measured(moment)}: the starts of the last year are read")
    times = measured(lambda: [of_day.of_person(each) for each in people])
    print(f"  {1000 * times.cpu / len(people):.2f} ms of CPU a person: what is known of the day")


class Times(NamedTuple):
    """Seconds by the clock, and seconds of computing in this process and those that it has waited for."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:.2f} s, {self.cpu:.2f} s of CPU"


def measured(work: Callable[[], object], runs: int = RUNS) -> Times:
    """The median of several runs by the clock, and the least computing of any: others may use the cores too."""
    walls, computing = [], []
    for _ in range(runs):
        clock, before = time.perf_counter(), os.times()
        work()
        walls.append(time.perf_counter() - clock)
        computing.append(sum(os.times()[:4]) - sum(before[:4]))
    return Times(statistics.median(walls), min(computing))


def random_model(vocabulary: Vocabulary, hidden_size: int, ordered: bool = True) -> BERT4Rec:
    settings = TrainingSettings(hidden_size=hidden_size)
    size = vocabulary.num_items
    if ordered:
        memory = ItemMemory(MemoryConfig(size, size, ordered=True, recency=0.95))
    else:
        without_order: dict[str, Any] = {"knots": 10, "list_weight": 256.0, "completeness": True}
        memory = ItemMemory(MemoryConfig(size, size, ordered=False, recency=1.0, **without_order))
    memory.kept.copy_(torch.arange(size))
    memory.column[1:-1] = torch.arange(size)
    random = np.random.default_rng(1)
    table = random.random((size, size), np.float32)
    if memory.transitions is not None:
        memory.transitions.fill(table, table.sum(0))
    memory.ease.inverse = torch.from_numpy(table - 0.5).fill_diagonal_(1)
    config = ModelConfig(
        size,
        hidden_size,
        settings.num_layers,
        settings.num_heads,
        settings.max_seq_len,
        settings.dropout,
        ordered=ordered,
        memory=memory.config,
    )
    model = BERT4Rec(config, memory)
    mean, factors = random.normal(0, 0.3, size), random.normal(0, 0.04, (size, FACTORS))
    typical = np.array([70, 15], np.float32)
    model.predicted_scores = PredictedScores(mean.astype(np.float32), factors.astype(np.float32), typical)
    model.predicted_scores = model.predicted_scores.with_weight(USUAL_WEIGHT)
    return model


def run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    raise SystemExit(main())
