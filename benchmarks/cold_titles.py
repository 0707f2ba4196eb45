"""How well anime are ranked that are on no training list at all, known only from the catalogue.

    python benchmarks/cold_titles.py --data anime_lists.csv.gz --user-prefix m --items 3000 --catalogue anime.jsonl.gz

Some anime, drawn from those on 20 lists or more, are taken off all lists that are trained or tuned on; they stay in the
vocabulary and the catalogue. Of 250 held-out users, those who have any of them are asked: given the rest of the list,
where are they among all items that aren't on it, and where among the cold titles only? Putting all cold titles first
would win that, so a random fifth of their whole lists, cold or not, is ranked too. Worst rank in ties.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import fold_in
import interactions
import numpy as np
import ours
import report

from anime_bert4rec.command_line.script import script
from anime_bert4rec.evaluation.baselines import Popularity
from anime_bert4rec.evaluation.ranking import Ranks, Scorer, ranks_of
from anime_bert4rec.lists.sequences import Sequences
from anime_bert4rec.model.ndcg import ideal
from anime_bert4rec.model.next_item_scorer import ModelScorer
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.whole_files import write_json

FEWEST_LISTS = 20
AMONG_COLD, WHOLE_LIST = "ndcg@10_among_cold", "ndcg@10_whole_list"


@script
def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    data = fold_in.chosen_lists(args)
    catalogue = fold_in.read_catalogue(args.catalogue)
    facts = {"data": Path(args.data).name, "users": len(data.sequences), "items": data.num_items, "cold": args.cold}
    facts |= report.when_and_where()
    results: list[dict[str, Any]] = []
    for seed in args.seeds:
        results += run(data, catalogue, seed, args)
        write_json(args.output / f"cold-titles-{facts['data'].split('.')[0]}.json", {**facts, "results": results})
    print(table(results))
    return 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="lists of anime by their AniList ids: a file, as for compare.py")
    parser.add_argument("--catalogue", type=Path, required=True, help="JSON lines (or gz) with id, genres, tags, …")
    parser.add_argument("--cold", type=int, default=150, help="how many items are left out of training")
    parser.add_argument("--users", type=int, help="to train on; default: all that are not held out")
    fold_in.add_flags(parser)
    return parser


def run(
    data: interactions.Interactions, catalogue: ours.Catalogue, seed: int, args: argparse.Namespace
) -> list[dict[str, Any]]:
    """One choice of cold titles and of users: a result for each way of ranking."""
    random = np.random.default_rng(seed)
    cold = choose_cold(data, args.cold, random)
    is_cold = np.isin(data.sequences.items, cold)
    warm = data.sequences.keep(~is_cold)
    long_enough = random.permutation(np.flatnonzero(warm.lengths >= interactions.MIN_LENGTH))
    if len(long_enough) <= fold_in.HELD_OUT + fold_in.TUNING:
        raise UserError(f"{len(long_enough)} users are too few: {fold_in.HELD_OUT + fold_in.TUNING} are not trained on")
    held_out, tuning, pool = np.split(long_enough, [fold_in.HELD_OUT, fold_in.HELD_OUT + fold_in.TUNING])
    training = warm.select(pool[: args.users])
    tuned_on = fold_in.hide(warm, tuning, random)
    hidden = data.sequences.keep(is_cold)
    asked = held_out[hidden.lengths[held_out] > 0]
    known, hidden = warm.select(asked), hidden.select(asked)

    model = fold_in.fit_ours(training, data, tuned_on, catalogue, seed, args)
    fame = np.array([(catalogue.get(name) or {}).get("popularity") or 0 for name in data.item_names], float)
    scorers: dict[str, Scorer] = {
        "ours": model,
        "ours, untrained": untrained(model),
        "ours without the catalogue": fold_in.fit_ours(training, data, tuned_on, None, seed, args),
        "popularity": Popularity().fit(training, data.num_items),
        "AniList popularity": lambda histories: np.tile(fame, (len(histories), 1)),
    }
    whole = fold_in.hide(data.sequences, asked, random)
    shown = [items[~np.isin(items, cold)] for items in whole.known]
    values = {}
    for name, scorer in scorers.items():
        values[name] = metrics_of(scorer(known), known, hidden, cold)
        values[name][WHOLE_LIST] = ranks_of(scorer(shown), whole.known, whole.hidden).ndcg(10)
    values["random"] = chance(hidden.lengths, data.num_items - known.lengths, len(cold))
    lengths = np.array([[len(items) for items in part] for part in (whole.hidden, whole.known)])
    values["random"][WHOLE_LIST] = expected_ndcg(lengths[0], data.num_items - lengths[1], 10)
    shared = {"seed": seed, "asked": len(asked), "hidden": len(hidden.items)}
    return [
        {"name": name, **shared, **{metric: round(float(each.mean()), 5) for metric, each in of_users.items()}}
        for name, of_users in values.items()
    ]


def choose_cold(data: interactions.Interactions, count: int, random: np.random.Generator) -> np.ndarray:
    """Items, ascending, out of those on at least FEWEST_LISTS lists. Raises UserError if there are too few."""
    lists = np.bincount(data.sequences.items, minlength=data.num_items + 1)
    possible = np.flatnonzero(lists >= FEWEST_LISTS)
    if len(possible) <= count:
        raise UserError(f"{len(possible)} items are on {FEWEST_LISTS} lists or more; --cold {count} needs more of them")
    return np.sort(random.permutation(possible)[:count])


def untrained(scorer: Scorer) -> Scorer:
    """Our model as it was before training: the item memory without a network."""
    assert isinstance(scorer, ModelScorer)
    model = copy.deepcopy(scorer.model)
    for weights in (model.project.weight, model.item_bias):
        weights.detach().zero_()
    return ModelScorer(model)


def metrics_of(scores: np.ndarray, known: Sequences, hidden: Sequences, cold: np.ndarray) -> dict[str, np.ndarray]:
    """The metrics of each user [U], of `hidden` among all items not `known`, and of these among the cold items only."""
    ranks = ranks_of(scores, known, hidden)
    of_user = np.split(np.searchsorted(cold, hidden.items) + 1, hidden.offsets[1:-1])
    among_cold = ranks_of(scores[:, cold - 1], [np.zeros(0, np.int64)] * len(scores), of_user)
    return {
        "ndcg@10": ranks.ndcg(10),
        "ndcg@100": ranks.ndcg(100),
        "mrr": ranks.reciprocal_rank(),
        "percentile": percentile(ranks, scores.shape[1] - known.lengths),
        AMONG_COLD: among_cold.ndcg(10),
    }


def percentile(ranks: Ranks, candidates: np.ndarray) -> np.ndarray:
    """The mean place of each user's targets among the candidates, in %: 0 is first, 100 is last."""
    place = (np.minimum(ranks.ranks, candidates[ranks.users]) - 1) / (candidates[ranks.users] - 1)
    return 100 * np.bincount(ranks.users, place, ranks.num_users) / ranks.num_targets


def chance(targets: np.ndarray, candidates: np.ndarray, num_cold: int) -> dict[str, np.ndarray]:
    """What `metrics_of` gives in the mean for a random order, in closed form. targets, candidates: of each user [U]."""
    return {
        "ndcg@10": expected_ndcg(targets, candidates, 10),
        "ndcg@100": expected_ndcg(targets, candidates, 100),
        "mrr": np.array([expected_reciprocal_rank(*each) for each in zip(targets, candidates, strict=True)]),
        "percentile": np.full(len(targets), 50.0),
        AMONG_COLD: expected_ndcg(targets, np.full(len(targets), num_cold), 10),
    }


def expected_ndcg(targets: np.ndarray, candidates: np.ndarray, k: int) -> np.ndarray:
    """A target is at each place with the same probability, so each discount comes in with that."""
    return targets / candidates * ideal(k)[np.minimum(candidates, k)] / ideal(k)[np.minimum(targets, k)]


def expected_reciprocal_rank(targets: int, candidates: int) -> float:
    """The first target is at place 1 with p = targets / candidates, and at r + 1 if no target is among the first r."""
    place = np.arange(1, candidates - targets + 1)
    ratio = (candidates - targets - place + 1) / (candidates - place)
    probability = targets / candidates * np.cumprod(np.concatenate([[1.0], ratio]))
    return float(np.sum(probability / np.arange(1, len(probability) + 1)))


COLUMNS = {
    "NDCG@10": "ndcg@10",
    "NDCG@100": "ndcg@100",
    "MRR": "mrr",
    "place, %": "percentile",
    "among cold": AMONG_COLD,
    "whole list": WHOLE_LIST,
}


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: medians over the seeds, and what is best when high also as a multiple of that of a random order."""
    groups = report.by_name(results)
    rows = [["", *COLUMNS]]
    for name, runs in groups.items():
        cells = []
        for metric in COLUMNS.values():
            value, random = report.median(runs, metric), report.median(groups["random"], metric)
            cells.append(f"{value:.1f}" if metric == "percentile" else f"{value:.4f} ({value / random:.1f} ×)")
        rows.append([name, *cells])
    return report.markdown(rows)


if __name__ == "__main__":
    sys.exit(main())
