"""How well scores are predicted, and how much of what ranks first is liked, by how many users there are to learn from.

    python benchmarks/liked.py --data anime_scores.csv.gz --user-prefix m --items 3000 --catalogue anime.jsonl.gz

The data are a CSV with the columns user, anime_id and score (of 100, empty for none). Of each of 250 held-out users
with 20 scores or more, a fifth of the scores are hidden and predicted from the rest. 90 users more are left aside, for
choosing settings on. The next N users are learnt from, so that the smaller sets are part of the larger ones. Errors are
in standard deviations of all scores of a person; seconds are those of learning.

Then the titles that aren't known are ranked, by what the item memory says is listed and by the predicted scores, which
count for one weight after the other; the one that is chosen on the 90 users is marked. What is liked is above the
person's mean, what is disliked 15 points of 100 below it. The network is not trained, for it would take hours.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import numpy as np
import ours
import report
import torch
from fold_in import HIDDEN, read_catalogue

from anime_bert4rec.command_line.script import script
from anime_bert4rec.evaluation.liked import Predictor, by_catalogue, by_training_users, how_liked
from anime_bert4rec.evaluation.ranking import mean_and_error
from anime_bert4rec.evaluation.score_errors import errors, rank_correlation
from anime_bert4rec.lists.common_traits import groups_in_common, popularity_of
from anime_bert4rec.lists.scored_lists import ScoredList
from anime_bert4rec.lists.scores import Scores, is_liked
from anime_bert4rec.lists.sequences import Sequences, Vocabulary
from anime_bert4rec.model.bert4rec import ModelConfig
from anime_bert4rec.model.memory_fitting import fit_memories
from anime_bert4rec.model.next_item_scorer import ModelScorer
from anime_bert4rec.model.predicted_scores import PredictedScores, fit_scores
from anime_bert4rec.model.score_weight import WEIGHTS, gains_of, nearest_of_the_best
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.whole_files import write_json

HELD_OUT, TUNING, FEWEST_SCORES = 250, 90, 20
METRICS = ("correlation", "off")
WHOLE_LISTS = "by list, disliked titles too"
"""What ranks by all known titles, as though all were liked."""
MORE_WEIGHTS = (1.0, 1.5)
"""Weights that are never chosen."""


@dataclass(frozen=True)
class Scored:
    """What one person scored: items 1 … N, and the scores of 100."""

    items: np.ndarray
    scores: np.ndarray


@script
def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    torch.set_num_threads(args.threads)
    names, people = read(args.data, args.user_prefix, args.items)
    catalogue = read_catalogue(args.catalogue)
    vocabulary = Vocabulary.of(range(1, len(names) + 1))
    anime = ours.anime_of(catalogue, names)
    alike, in_catalogue = groups_in_common(anime, vocabulary), popularity_of(anime, vocabulary)
    mean_score = [catalogue.get(name, {}).get("averageScore") for name in names]
    of_catalogue = np.array([score or np.nan for score in mean_score], np.float32)
    facts = {"data": Path(args.data).name, "users": len(people), "items": len(names)}
    facts |= {"started": datetime.now().isoformat(timespec="seconds"), "machine": report.machine()}
    results: list[dict[str, Any]] = []
    rankings: list[dict[str, Any]] = []
    for seed in args.seeds:
        random = np.random.default_rng(seed)
        order = random.permutation(len(people))
        if len(order) <= args.held_out + TUNING:
            raise UserError(f"{len(order)} users are too few: {args.held_out} are held out and {TUNING} left aside")
        asked, tuned_on, pool = np.split(order, [args.held_out, args.held_out + TUNING])
        questions, tuning = ([hide(people[user], random) for user in users] for users in (asked, tuned_on))
        for users in sorted({min(users, len(pool)) for users in args.users}):
            learnt_from = [people[user] for user in pool[:users]]
            training = scores_of(learnt_from, of_catalogue)
            for name, fit in METHODS.items():
                clock = time.perf_counter()
                predictor = fit(training, alike)
                seconds = round(time.perf_counter() - clock, 2)
                result = {"name": name, "users": users, "seed": seed, "seconds": seconds}
                results.append(result | measured(predictor, questions))
            predicted, memory = fit_scores(training, alike), memory_of(learnt_from, alike, in_catalogue)
            assert predicted is not None
            rankings += [{"users": users, "seed": seed} | row for row in ranked(memory, predicted, tuning, questions)]
            everything = {**facts, "results": results, "rankings": rankings}
            write_json(args.output / f"liked-{facts['data'].split('.')[0]}.json", everything)
    print(table(results) + "\n\n" + ranking_table(rankings))
    return 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a CSV with user, anime_id and score, or gz")
    parser.add_argument("--catalogue", type=Path, required=True, help="JSON lines (or gz) with id, genres, tags, …")
    parser.add_argument("--users", nargs="+", type=int, default=[200, 1000, 1980], help="to learn from")
    parser.add_argument("--held-out", type=int, default=HELD_OUT, metavar="USERS", help="to be asked about")
    parser.add_argument("--items", type=int, default=3000, help="how many titles are kept, those with the most scores")
    parser.add_argument("--user-prefix", default="", help="only users whose names start so")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--output", type=Path, default=HERE / "results")
    return parser


def read(path: Path, prefix: str, most: int) -> tuple[list[str], list[Scored]]:
    """The names of the items, and the people with enough scores. Raises UserError for what has other columns."""
    users: dict[str, dict[str, float]] = {}
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        try:
            for row in csv.DictReader(file):
                if row["user"].startswith(prefix) and row["score"]:
                    users.setdefault(row["user"], {})[row["anime_id"]] = float(row["score"])
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(f"{path} is not a CSV with the columns user, anime_id and score") from error
    names, counts = np.unique([name for scores in users.values() for name in scores], return_counts=True)
    kept = sorted(sorted(zip(-counts, names.tolist(), strict=True))[:most], key=lambda each: (len(each[1]), each[1]))
    number = {name: item for item, (_, name) in enumerate(kept, 1)}
    people = []
    for user in sorted(users):
        scores = {number[name]: score for name, score in users[user].items() if name in number}
        if len(scores) >= FEWEST_SCORES:
            people.append(Scored(np.array(list(scores), np.int32), np.array(list(scores.values()), np.float32)))
    return list(number), people


def hide(person: Scored, random: np.random.Generator) -> ScoredList:
    """What stays known of a person, and a random fifth that is hidden."""
    hidden = np.zeros(len(person.items), bool)
    hidden[random.permutation(len(hidden))[: max(1, round(HIDDEN * len(hidden)))]] = True
    items, scores = person.items[~hidden], person.scores[~hidden]
    history = items[is_liked(scores, scores)]
    return ScoredList(history, items, items, scores, person.items[hidden], person.scores[hidden])


def scores_of(people: Sequence[Scored], of_catalogue: np.ndarray) -> Scores:
    items, values = (np.concatenate([getattr(each, name) for each in people]) for name in ("items", "scores"))
    person = np.repeat(np.arange(len(people)), [len(each.items) for each in people])
    return Scores(items, values, person, of_catalogue)


def measured(predictor: Predictor, questions: Sequence[ScoredList]) -> dict[str, float]:
    """The mean rank correlation of the people, the mean error of all hidden scores, and the standard errors of both
    over people."""
    correlations, of_person = [], []
    for asked in questions:
        spread = float(asked.all_scores.std())
        if not spread:
            continue
        predicted = predictor(asked.items, asked.scores)[asked.hidden - 1]
        correlations.append(rank_correlation(predicted, asked.given))
        of_person.append(errors(predicted, asked.given, spread))
    correlation = np.array(correlations)
    correlation = correlation[np.isfinite(correlation)]
    off = float(np.concatenate(of_person).mean())
    lengths = np.array([len(each) for each in of_person])
    over = (np.array([each.sum() for each in of_person]) - off * lengths) / lengths.mean()
    return {
        "correlation": round(float(correlation.mean()), 5),
        "correlation_error": round(float(correlation.std(ddof=1) / len(correlation) ** 0.5), 5),
        "off": round(off, 5),
        "off_error": round(float(over.std(ddof=1) / len(over) ** 0.5), 5),
        "off_of_people": round(float(np.mean([each.mean() for each in of_person])), 5),
    }


def by_ours(training: Scores, alike: Sequences) -> Predictor:
    found = fit_scores(training, alike)
    assert found is not None
    return found.predict


METHODS: dict[str, Callable[[Scores, Sequences], Predictor]] = {
    "AniList's mean score": lambda training, alike: by_catalogue(training),
    "mean of the training users": lambda training, alike: by_training_users(training),
    "ours": by_ours,
}


def memory_of(people: Sequence[Scored], alike: Sequences, in_catalogue: np.ndarray) -> ModelScorer:
    """What says what is listed: the item memory of these lists, which have no order."""
    lists = [np.sort(person.items) for person in people]
    flat, offsets = np.concatenate(lists), np.cumsum([0, *map(len, lists)])
    sequences = Sequences(flat, np.zeros(len(flat), np.int32), offsets, np.arange(len(lists)))
    num_items = len(in_catalogue)
    (memory,) = fit_memories([sequences], num_items, max_seq_len=200, seed=0, alike=alike, in_catalogue=in_catalogue)
    config = ModelConfig(num_items, 8, num_heads=2, max_seq_len=200, ordered=False, memory=memory.config)
    return ModelScorer(ours.MemoryOnly(config, memory))


def ranked(
    memory: ModelScorer, predicted: PredictedScores, tuning: Sequence[ScoredList], questions: Sequence[ScoredList]
) -> list[dict[str, Any]]:
    """What comes of each weight, with the standard errors of the differences from WHOLE_LISTS, person by person."""
    known = [predicted.given(each.items, each.scores) for each in tuning]
    chosen = nearest_of_the_best(sum(gains_of(memory([each.history for each in tuning]), known, tuning)))
    weights = {f"weight {weight:g}": weight for weight in (*WEIGHTS, *MORE_WEIGHTS)}
    found = how_liked(memory, predicted, weights, questions)
    whole = [replace(each, history=each.items) for each in questions]
    found = how_liked(memory, predicted, {WHOLE_LISTS: 0.0}, whole) | found
    rows = []
    for name, values in found.items():
        row = {"name": name, "chosen": weights.get(name) == chosen}
        for what, of_people in values.items():
            asked = np.isfinite(of_people)
            mean, error = mean_and_error(of_people[asked])
            less, error_of_less = mean_and_error((of_people - found[WHOLE_LISTS][what])[asked])
            row |= {what: mean, f"{what}_error": error, f"{what}_less": less, f"{what}_less_error": error_of_less}
        rows.append(row)
    return rows


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: medians over the seeds, a line for each number of users and method."""
    rows = [["users", "", "rank correlation", "error", "error, mean of people", "seconds"]]
    for users in sorted({result["users"] for result in results}):
        for name, runs in report.by_name([result for result in results if result["users"] == users]).items():
            quality = [f"{report.median(runs, m):.3f} ± {report.median(runs, f'{m}_error'):.3f}" for m in METRICS]
            of_people = f"{report.median(runs, 'off_of_people'):.3f}"
            rows.append([f"{users:,}", name, *quality, of_people, f"{report.median(runs, 'seconds'):.1f}"])
    return report.markdown(rows)


def ranking_table(rankings: Sequence[dict[str, Any]]) -> str:
    """Markdown: medians over the seeds, and how often each weight was chosen."""
    rows = [["users", "", "NDCG@10 of liked", "more, ±", "NDCG@10 of all", "disliked of ten", "chosen"]]
    for users in sorted({row["users"] for row in rankings}):
        for name, runs in report.by_name([row for row in rankings if row["users"] == users]).items():
            liked, more, error, everything, disliked = (
                report.median(runs, what) for what in ("liked", "liked_less", "liked_less_error", "all", "disliked")
            )
            numbers = [f"{liked:.3f}", f"{more:+.3f} ± {error:.3f}", f"{everything:.3f}", f"{disliked:.2f}"]
            rows.append([f"{users:,}", name, *numbers, "×" * sum(row["chosen"] for row in runs)])
    return report.markdown(rows)


if __name__ == "__main__":
    sys.exit(main())
