"""How well one title is answered that somebody names: what do people who have it on their lists have more than others?

    BENCHMARK_DATA=FOLDER python benchmarks/one_title.py
    python benchmarks/one_title.py --users 50 430 1000 --seeds 11 12 13

Most of what is on any list is what everybody has, so that popularity is the best answer if a whole list is to be found
(list_lengths.py). Here a title is worth as much as it is typical: the binary logarithm of how many times as many of the
lists with the named title have it as lists of their lengths would by chance (0 if fewer), times the root of the share
of them that do. By these gains there is the NDCG@10 of what is suggested for each of 250 titles, drawn from the 600 on
the most lists, with no title of the same franchise. The lists that tell are those that nothing is learnt from and no
epoch is chosen by. Beside it, which share of them have the ten suggested titles, and how many times as many as by
chance.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import fold_in
import list_lengths
import numpy as np
import ours
import report
from tuned_baselines import Contenders

from anime_bert4rec.command_line.script import script
from anime_bert4rec.evaluation.baselines import co_occurrences
from anime_bert4rec.evaluation.ranking import mean_and_error
from anime_bert4rec.lists.common_traits import franchises
from anime_bert4rec.lists.sequences import Sequences
from anime_bert4rec.model.ndcg import discounts
from anime_bert4rec.support.whole_files import write_json

MOST_LISTED, SHOWN = 600, 10
FEW = 10
"""So many lists are added to both numbers of a quotient, for a few may have a title by chance."""
OURS, PLAIN, MEMORY = "ours, as for --title", "ours, without leaning", "our memory, as for --title"


@dataclass(frozen=True)
class Typical:
    """What lists with each of some titles have."""

    shares: np.ndarray
    """[T, N] the share of them that have each title."""
    times: np.ndarray
    """[T, N] how many times as many as by chance."""

    @classmethod
    def of(cls, lists: Sequences, num_items: int, titles: np.ndarray) -> Typical:
        """A list that is twice as long has any title twice as often by chance, but at most nearly always."""
        together = co_occurrences(lists, num_items)[titles - 1]
        with_title = together[np.arange(len(titles)), titles - 1][:, None]
        of_all = lists.popularity(num_items) / len(lists)
        lengths = np.repeat(lists.lengths, lists.lengths)
        whole = np.bincount(lists.items, lengths, minlength=num_items + 1)[titles][:, None]
        by_chance = np.minimum(of_all * whole / lists.lengths.mean(), 0.98 * with_title)
        return cls(together / np.maximum(with_title, 1), (together + FEW) / (by_chance + FEW))

    @property
    def gains(self) -> np.ndarray:
        return np.maximum(np.log2(self.times), 0) * np.sqrt(self.shares)

    def judged(self, scores: np.ndarray, out: np.ndarray) -> dict[str, np.ndarray]:
        """scores [T, N]: of each title's suggestions; out: bool [T, N], what is not to be suggested. By measure [T]."""
        best = np.argsort(np.where(out, np.inf, -scores), axis=1, kind="stable")[:, :SHOWN]
        worth = np.where(out, 0, self.gains)
        ideal = -np.sort(-worth, axis=1)[:, :SHOWN] @ discounts(SHOWN)
        found = np.take_along_axis(worth, best, 1) @ discounts(SHOWN)
        return {
            "ndcg@10": found / np.maximum(ideal, 1e-9),
            "share": np.take_along_axis(self.shares, best, 1).mean(1),
            "log_times": np.log2(np.take_along_axis(self.times, best, 1)).mean(1),
        }


@script
def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    catalogue = fold_in.read_catalogue(args.catalogue)
    lists, names, kinds = list_lengths.read_lists(args.data, catalogue, args.items, args.scores)
    franchise = np.array(franchises(ours.anime_of(catalogue, names)))
    results: list[dict[str, Any]] = []
    for seed in args.seeds:
        _, tuned_on, pool = list_lengths.people(kinds, args.asked, seed)
        mixed = list_lengths.joined([list_lengths.ask(lists, tuned_on, given, seed) for given in list_lengths.GIVEN])
        for users in sorted({min(users, len(pool)) for users in args.users}):
            training = lists.select(pool[:users])
            memory, trained = list_lengths.fitted(training, mixed, names, catalogue, seed, args)
            others = lists.select(np.setdiff1d(np.concatenate(kinds), [*pool[:users], *tuned_on]))
            popular = np.argsort(-others.popularity(len(names)), kind="stable")[:MOST_LISTED] + 1
            titles = np.sort(np.random.default_rng(seed).permutation(popular)[: args.asked])
            given = [np.array([title]) for title in titles]
            lowered = list_lengths.lowered_for_named(trained.model, given)
            grids = {name: list(grid.values()) for name, grid in Contenders(training, len(names)).of(given).items()}
            grids |= {PLAIN: [trained(given)], OURS: [trained(given) - lowered], MEMORY: [memory(given) - lowered]}
            typical = Typical.of(others, len(names), titles)
            out = franchise == franchise[titles - 1][:, None]
            for name, grid in grids.items():
                judged = max((typical.judged(scores, out) for scores in grid), key=lambda of: of["ndcg@10"].mean())
                row = {"users": users, "seed": seed, "name": name}
                for measure, values in judged.items():
                    row[measure], row[f"{measure}_error"] = mean_and_error(values)
                results.append(row)
    write_json(args.output / "one-title.json", {"items": len(names), "results": results})
    print(table(results))
    return 0


def parser() -> argparse.ArgumentParser:
    parser = list_lengths.data_parser(__doc__)
    parser.add_argument("--asked", type=int, default=250, help="titles, and as many people to choose the epoch by")
    parser.add_argument("--epochs", type=int, default=30, help="of this project's model")
    parser.add_argument("--seeds", nargs="+", type=int, default=[11])
    parser.add_argument("--threads", type=int, default=2)
    return parser


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: medians over the seeds."""
    numbers = sorted({row["users"] for row in results})
    rows = [["lists", *(f"{users:,}" for users in numbers)]]
    for name in dict.fromkeys(row["name"] for row in results):
        cells = []
        for users in numbers:
            runs = [row for row in results if (row["name"], row["users"]) == (name, users)]
            ndcg, error, share, times = (
                float(np.median([run[key] for run in runs]))
                for key in ("ndcg@10", "ndcg@10_error", "share", "log_times")
            )
            cells.append(f"{ndcg:.3f} ± {error:.3f}; {share:.0%}, × {2**times:.2f}")
        rows.append([name, *cells])
    return report.markdown(rows)


if __name__ == "__main__":
    sys.exit(main())
