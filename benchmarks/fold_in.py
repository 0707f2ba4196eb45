"""How well lists that were never trained on are completed, by the number of users that there are to train on.

    python benchmarks/fold_in.py --data anime_lists.csv.gz --user-prefix m --items 3000
    python benchmarks/fold_in.py --data ml-100k --users 60 200 --seeds 1 2 3 --next-item

Of each held-out user, 20 % of the list, or its last item, is hidden and all items that aren't on the rest are ranked.
What is tuned is tuned on 100 other users in the same way, whom training sees no more than these. The next N users are
for training, so that the smaller sets are part of the larger ones.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import interactions
import numpy as np
import ours
import report
from full_grids import NAMES, choose, choose_named

from anime_bert4rec.command_line.script import script
from anime_bert4rec.evaluation.baselines import EASE, Baseline, ItemKNN, Popularity
from anime_bert4rec.evaluation.ranking import Scorer, mean_and_error, ranks_by
from anime_bert4rec.evaluation.tuning import Chosen
from anime_bert4rec.lists.sequences import Sequences
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.whole_files import write_json

HELD_OUT, TUNING, HIDDEN = 250, 100, 0.2
METRICS = ("ndcg@10", "ndcg@100", "recall@20")

# Where the order of the lists is not used, there is no weighting to choose.
FOLD_IN_GRIDS: dict[str, list[Baseline]] = {
    "popularity": [Popularity()],
    "item-kNN": [
        ItemKNN(neighbours=k, shrink=shrink) for k in (20, 50, 100, 200, 500, 10_000) for shrink in (0, 10, 50)
    ],
    "EASE": [EASE(l2=l2) for l2 in (10, 30, 100, 200, 300, 500, 1000, 3000)],
}


@dataclass(frozen=True)
class FoldIn:
    """What is known of each list, and what is hidden."""

    known: list[np.ndarray]
    hidden: list[np.ndarray]


@script
def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    data = chosen_lists(args)
    catalogue = read_catalogue(args.catalogue) if args.catalogue else None

    facts = {
        "data": Path(args.data).name,
        "users": len(data.sequences),
        "items": data.num_items,
        **report.when_and_where(),
    }
    results: list[dict[str, Any]] = []
    task = "next-item" if args.next_item else "fold-in"
    path = args.output / f"{task}-{Path(args.data).name.split('.')[0]}.json"
    for seed in args.seeds:
        held_out, tuning, pool = split(data.sequences, np.random.default_rng(seed), args.held_out, args.next_item)
        for users in sorted({min(users, len(pool)) for users in args.users}):
            training = data.sequences.select(pool[:users])
            for name in (*(NAMES if args.next_item else FOLD_IN_GRIDS), "ours"):
                clock = time.perf_counter()
                if name == "ours":
                    settings, scorer = "", fit_ours(training, data, tuning, catalogue, seed, args)
                else:
                    chosen = choose_baseline(name, training, data.num_items, tuning, args.next_item)
                    settings, scorer = repr(chosen.baseline), chosen.scorer
                result = {"name": name, "users": users, "seed": seed, "settings": settings}
                result |= {"seconds": round(time.perf_counter() - clock, 2), **metrics(scorer, held_out)}
                print("{users} users: {name} {ndcg@10:.4f}".format(**result), file=sys.stderr, flush=True)
                results.append(result)
                write_json(path, {**facts, "results": results})
    print(table(results))
    return 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="ml-100k", help="ml-100k, ml-1m, or a file, as for compare.py")
    parser.add_argument("--users", nargs="+", type=int, default=[34, 50, 200, 1000, 2500], help="to train on")
    parser.add_argument("--held-out", type=int, default=HELD_OUT, metavar="USERS", help="to be asked about")
    parser.add_argument("--next-item", action="store_true", help="hide the last item of each list, not 20 %% of it")
    parser.add_argument("--catalogue", type=Path, help="JSON lines (or gz) with id, genres, tags, …: for ours")
    add_flags(parser)
    return parser


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags for which lists are read, and for how the model is trained."""
    parser.add_argument("--data-dir", type=Path, default=interactions.DATA_DIR)
    parser.add_argument("--items", type=int, help="how many items, those on the most lists (default: all)")
    parser.add_argument("--user-prefix", default="", help="only users whose names start so")
    parser.add_argument("--epochs", type=int, default=200, help="of this project's model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--output", type=Path, default=HERE / "results")


def chosen_lists(args: argparse.Namespace) -> interactions.Interactions:
    """The lists of `--data` that the flags leave."""
    data = interactions.read(interactions.find(args.data, args.data_dir))
    data = interactions.keep_users(data, 1, args.user_prefix)
    if args.items:
        data = interactions.keep_items(data, args.items)
    return interactions.keep_users(data)


def split(
    sequences: Sequences, random: np.random.Generator, asked: int, next_item: bool
) -> tuple[FoldIn, FoldIn, np.ndarray]:
    """Held-out users, users to tune on, and the rest (positions in `sequences`), in random order."""
    users = random.permutation(len(sequences))
    if len(users) <= asked + TUNING:
        raise UserError(f"{len(users)} users are too few: {asked} are held out and {TUNING} tuned on")
    held_out, tuning, pool = np.split(users, [asked, asked + TUNING])
    hidden = None if next_item else random
    return hide(sequences, held_out, hidden), hide(sequences, tuning, hidden), pool


def hide(sequences: Sequences, users: np.ndarray, random: np.random.Generator | None) -> FoldIn:
    """Hide a random fifth of each list, at least one item, or else the last item; the rest stays in its order."""
    known, hidden = [], []
    for user in users:
        items = sequences.of_user(user)
        items = items[np.sort(np.unique(items, return_index=True)[1])]  # once each
        chosen = np.zeros(len(items), bool)
        if random is None:
            chosen[-1] = True
        else:
            chosen[random.permutation(len(items))[: max(1, round(HIDDEN * len(items)))]] = True
        known.append(items[~chosen])
        hidden.append(items[chosen])
    return FoldIn(known, hidden)


def choose_baseline(name: str, training: Sequences, num_items: int, tuning: FoldIn, next_item: bool) -> Chosen:
    if next_item:
        return choose_named(name, training, num_items, tuning.known, tuning.hidden)
    return choose(FOLD_IN_GRIDS[name], training, num_items, tuning.known, tuning.hidden)


def fit_ours(
    training: Sequences,
    data: interactions.Interactions,
    tuning: FoldIn,
    catalogue: ours.Catalogue | None,
    seed: int,
    args: argparse.Namespace,
) -> Scorer:
    _, model = ours.fit_with_memory(
        training,
        tuning.known,
        tuning.hidden,
        item_names=data.item_names,
        catalogue=catalogue,
        seed=seed,
        threads=args.threads,
        epochs=args.epochs,
    )
    return model


def metrics(scorer: Scorer, held_out: FoldIn) -> dict[str, float]:
    ranks = ranks_by(scorer, held_out.known, held_out.hidden)
    values = dict(zip(METRICS, (ranks.ndcg(10), ranks.ndcg(100), ranks.recall(20)), strict=True))
    means = {name: mean_and_error(each) for name, each in values.items()}
    return {name: round(mean, 5) for name, (mean, _) in means.items()} | {
        f"{name}_error": round(error, 5) for name, (_, error) in means.items()
    }


def read_catalogue(path: Path) -> ours.Catalogue:
    """Anime by id, as the lists name them. Raises UserError for a line that is no JSON object with an id."""
    catalogue = {}
    with interactions.open_text(path) as file:
        for number, line in enumerate(file, 1):
            try:
                anime = json.loads(line)
                catalogue[str(anime["id"])] = anime
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{path}:{number}: not a JSON object with an id") from error
    return catalogue


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: medians over the seeds, a line for each number of users and method."""
    rows = [["users", "", "NDCG@10", "NDCG@100", "Recall@20", "seconds"]]
    for users in sorted({result["users"] for result in results}):
        of_users = [result for result in results if result["users"] == users]
        for name, runs in report.by_name(of_users).items():
            quality = [f"{report.median(runs, metric):.4f}" for metric in METRICS]
            rows.append([f"{users:,}", name, *quality, f"{report.median(runs, 'seconds'):.1f}"])
    return report.markdown(rows)


if __name__ == "__main__":
    sys.exit(main())
