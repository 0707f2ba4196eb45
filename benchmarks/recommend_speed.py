"""How fast recommendations come: people a second from the module, and where the seconds of the script go.

    python benchmarks/recommend_speed.py
    python benchmarks/recommend_speed.py --hidden-size 64 --users 1000

The model has the default sizes but random weights, and an item memory of random tables, as speed does not depend on
them; the catalogue is the sandbox's, and the lists are drawn from it. One number per line, of the median run.
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

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

from anime_bert4rec.anilist.sandbox import Sandbox
from anime_bert4rec.command_line.script import script
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.records import ListEntry, UserList
from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.item_memory import ItemMemory, MemoryConfig
from anime_bert4rec.model.model_files import save_item_mappings, save_model
from anime_bert4rec.recommender import Recommender
from anime_bert4rec.recommending.person import Person
from anime_bert4rec.recommending.shortlist import Shortlists
from anime_bert4rec.recommending.wishes import Wishes
from config import TrainingSettings

RUNS = 3


@script
def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden-size", type=int, nargs="+", default=[256, 64], help="widths of the model")
    parser.add_argument("--items", type=int, default=3000, help="how many anime (default: 3000)")
    parser.add_argument("--users", type=int, default=1000, help="how many people (default: 1000)")
    parser.add_argument("--length", type=int, default=200, help="how long their lists are (default: 200)")
    parser.add_argument("--threads", type=int, default=2, help="of the processor (default: 2)")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        for hidden_size in args.hidden_size:
            measure(Path(folder) / str(hidden_size), hidden_size, args)
    return 0


def measure(folder: Path, hidden_size: int, args: argparse.Namespace) -> None:
    database_file = folder / "bert.db"
    with Database.open(database_file, create=True) as database:
        fetch = database.resume_or_start_catalogue_fetch("POPULARITY_DESC", args.items)
        for page in Sandbox().top_anime(args.items, "POPULARITY_DESC"):
            database.save_catalogue_page(fetch.fetch_id, page)
        vocabulary = Vocabulary.of(database.anime_ids())
        random = np.random.default_rng(0)
        lists = [random.choice(vocabulary.anime_ids, args.length, False).tolist() for _ in range(args.users)]
        entries = [ListEntry(k, each, "COMPLETED", completed=20100101 + k) for k, each in enumerate(lists[0])]
        database.save_user_list(UserList(1, "somebody", tuple(entries)), "somebody", int(time.time()), 1)
    save_item_mappings(folder / "models" / "item_mappings.pkl", vocabulary)
    save_model(folder / "models" / "best_model.pth", random_model(vocabulary, hidden_size), epoch=1, val_loss=0.0)

    recommender = Recommender.load(folder)
    size = f"hidden size {hidden_size}, {vocabulary.num_items:,} anime, lists of {args.length}"
    seconds = median_time(lambda: list(recommender.recommend_many(lists)))
    print(f"{size}: {len(lists) / seconds:,.0f} users/s from recommend_many, {len(lists):,} users")
    some = lists[:100]
    seconds = median_time(lambda: [recommender.recommend(each) for each in some])
    print(f"{size}: {len(some) / seconds:,.0f} users/s from recommend, one after the other")

    command = [sys.executable, str(HERE.parent / "recommend.py"), "--user", "somebody", "--db", str(database_file)]
    command += ["--output-dir", str(folder)]
    print(f"{size}: {median_time(lambda: run(command)):.2f} s for recommend.py --user, reasons included; of these")
    imports = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(HERE.parent)!r}); import recommend"]
    print(f"  {median_time(lambda: run(imports)):.2f} s Python and imports")

    def read() -> None:
        with Database.open(database_file, create=False) as database:
            database.anime(database.anime_ids())

    print(f"  {median_time(read):.2f} s the catalogue")
    print(f"  {median_time(lambda: Recommender.load(folder)):.2f} s loading the model")
    print(f"  {median_time(lambda: recommender.recommend(lists[0], vocabulary.num_items)):.2f} s scoring")
    with Database.open(database_file, create=False) as database:
        catalogue = database.anime(database.anime_ids())
    ranked = [each.anime_id for each in recommender.recommend(lists[0], vocabulary.num_items)]
    person = Person.of_ids(lists[0])
    seconds = median_time(lambda: list(Shortlists(catalogue).of(ranked, [person], Wishes())))
    print(f"  {seconds:.2f} s the sequel rule")
    print(f"  {median_time(lambda: recommender.because(lists[0], ranked[:20])):.2f} s the reasons")


def random_model(vocabulary: Vocabulary, hidden_size: int) -> BERT4Rec:
    settings = TrainingSettings(hidden_size=hidden_size)
    size = vocabulary.num_items
    memory = ItemMemory(MemoryConfig(size, size, ordered=True, recency=0.95))
    memory.kept.copy_(torch.arange(size))
    memory.column[1:-1] = torch.arange(size)
    assert memory.transitions is not None
    random = np.random.default_rng(1)
    table = random.random((size, size), np.float32)
    memory.transitions.fill(table, table.sum(0))
    memory.ease.inverse = torch.from_numpy(table - 0.5).fill_diagonal_(1)
    config = ModelConfig(
        size,
        hidden_size,
        settings.num_layers,
        settings.num_heads,
        settings.max_seq_len,
        settings.dropout,
        ordered=True,
        memory=memory.config,
    )
    return BERT4Rec(config, memory)


def run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


def median_time(work: Callable[[], object]) -> float:
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    raise SystemExit(main())
