"""How well one title is answered that somebody names: what do people who have it on their lists have more than others?

    BENCHMARK_DATA=FOLDER python benchmarks/one_title.py
    python benchmarks/one_title.py --users 50 430 1000 --seeds 11 12 13

Most of what is on any list is what everybody has, so that popularity is the best answer if a whole list is to be found
(list_lengths.py). Here a title is worth as much as it is typical: the binary logarithm of how many times as many of the
lists with the named title have it as lists of their lengths would by chance (0 if fewer), times the root of the share
of them that do. By these gains there is the NDCG@10 of what is suggested for each of 250 titles, drawn from the 600 on
the most lists, with no title of the same franchise. The lists that tell are those that nothing is learnt from. Beside
it, which share of them have the ten suggested titles, and how many times as many as by chance.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
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
import torch
from tuned_baselines import Contenders

import train_model
from anime_bert4rec.command_line.script import script
from anime_bert4rec.evaluation.baselines import co_occurrences
from anime_bert4rec.evaluation.ranking import mean_and_error
from anime_bert4rec.lists.common_traits import franchises, groups_in_common, popularity_of
from anime_bert4rec.lists.sequences import Sequences, Vocabulary
from anime_bert4rec.model.ndcg import discounts
from anime_bert4rec.model.next_item_scorer import ModelScorer
from anime_bert4rec.model.training_data import Data
from anime_bert4rec.support.whole_files import write_json
from config import TrainingSettings

MOST_LISTED, SHOWN = 600, 10
FEW = 10
"""So many lists are added to both numbers of a quotient, for a few may have a title by chance."""
OURS, PLAIN = "ours, as for --title", "ours, without leaning"


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
    torch.set_num_threads(args.threads)
    catalogue = fold_in.read_catalogue(args.catalogue)
    lists, names, kinds = list_lengths.read_lists(args.data, catalogue, args.items, args.scores)
    anime, vocabulary = ours.anime_of(catalogue, names), Vocabulary.of(range(1, len(names) + 1))
    franchise = np.array(franchises(anime))
    results: list[dict[str, Any]] = []
    for seed in args.seeds:
        *_, pool = list_lengths.people(kinds, args.asked, seed)
        for users in args.users:
            training = lists.select(pool[:users])
            others = lists.select(np.setdiff1d(np.concatenate(kinds), pool[:users]))
            popular = np.argsort(-others.popularity(len(names)), kind="stable")[:MOST_LISTED] + 1
            titles = np.sort(np.random.default_rng(seed).permutation(popular)[: args.asked])
            typical = Typical.of(others, len(names), titles)
            known = groups_in_common(anime, vocabulary), popularity_of(anime, vocabulary)
            data = Data(vocabulary, training, training, *known)
            out = franchise == franchise[titles - 1][:, None]
            for name, grid in answers(data, TrainingSettings(seed=seed, use_gpu=False), titles).items():
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
    parser.add_argument("--asked", type=int, default=250, help="titles")
    parser.add_argument("--seeds", nargs="+", type=int, default=[11])
    parser.add_argument("--threads", type=int, default=2)
    return parser


def answers(data: Data, settings: TrainingSettings, titles: np.ndarray) -> Mapping[str, list[np.ndarray]]:
    """What each contender says of each title [T, N], baselines with all their settings: the best of these is judged,
    which favours them. The network is not trained: for one title it hardly counts."""
    num_items, given = data.vocabulary.num_items, [np.array([title]) for title in titles]
    baselines = Contenders(data.training, num_items).of(given)
    model = train_model.build_model(data, settings)
    assert model.memory is not None
    plain = ModelScorer(ours.MemoryOnly(model.config, model.memory))(given)
    popularity = data.training.popularity(num_items)
    return {
        **{name: list(of_settings.values()) for name, of_settings in baselines.items()},
        PLAIN: [plain],
        OURS: [plain - list_lengths.lowered_for_named(model, popularity, given)],
    }


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
