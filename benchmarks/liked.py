"""How well the scores are predicted that people give, by the number of users that there are to learn from.

    python benchmarks/liked.py --data anime_scores.csv.gz --user-prefix m --items 3000 --catalogue anime.jsonl.gz

The data are a CSV with the columns user, anime_id and score (of 100, empty for none). Of each of 250 held-out users
with 20 scores or more, a fifth of the scores are hidden and predicted from the rest. 90 users more are left aside, for
choosing settings on. The next N users are learnt from, so that the smaller sets are part of the larger ones. Errors are
in standard deviations of all scores of a person; seconds are those of learning.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from anime_bert4rec.evaluation.score_errors import errors, rank_correlation
from anime_bert4rec.lists.common_traits import groups_in_common
from anime_bert4rec.lists.scores import Scores
from anime_bert4rec.lists.sequences import Sequences, Vocabulary
from anime_bert4rec.model.predicted_scores import fit_scores, standard
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.whole_files import write_json

HELD_OUT, TUNING, FEWEST_SCORES = 250, 90, 20
METRICS = ("correlation", "off")
Predictor = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From the items 1 … N and the scores of a person to the scores of all items [N]."""


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
    alike = groups_in_common(ours.anime_of(catalogue, names), vocabulary)
    mean_score = [catalogue.get(name, {}).get("averageScore") for name in names]
    of_catalogue = np.array([score or np.nan for score in mean_score], np.float32)
    facts = {"data": Path(args.data).name, "users": len(people), "items": len(names)}
    facts |= {"started": datetime.now().isoformat(timespec="seconds"), "machine": report.machine()}
    results: list[dict[str, Any]] = []
    for seed in args.seeds:
        random = np.random.default_rng(seed)
        order = random.permutation(len(people))
        if len(order) <= args.held_out + TUNING:
            raise UserError(f"{len(order)} users are too few: {args.held_out} are held out and {TUNING} left aside")
        asked, _, pool = np.split(order, [args.held_out, args.held_out + TUNING])
        questions = [hide(people[user], random) for user in asked]
        for users in sorted({min(users, len(pool)) for users in args.users}):
            training = scores_of([people[user] for user in pool[:users]], of_catalogue)
            for name, fit in METHODS.items():
                clock = time.perf_counter()
                predictor = fit(training, alike)
                seconds = round(time.perf_counter() - clock, 2)
                result = {"name": name, "users": users, "seed": seed, "seconds": seconds}
                results.append(result | measured(predictor, questions))
        write_json(args.output / f"liked-{facts['data'].split('.')[0]}.json", {**facts, "results": results})
    print(table(results))
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


def hide(person: Scored, random: np.random.Generator) -> tuple[Scored, Scored]:
    """What stays known of a person, and a random fifth that is hidden."""
    hidden = np.zeros(len(person.items), bool)
    hidden[random.permutation(len(hidden))[: max(1, round(HIDDEN * len(hidden)))]] = True
    known = Scored(person.items[~hidden], person.scores[~hidden])
    return known, Scored(person.items[hidden], person.scores[hidden])


def scores_of(people: Sequence[Scored], of_catalogue: np.ndarray) -> Scores:
    items, values = (np.concatenate([getattr(each, name) for each in people]) for name in ("items", "scores"))
    person = np.repeat(np.arange(len(people)), [len(each.items) for each in people])
    return Scores(items, values, person, of_catalogue)


def measured(predictor: Predictor, questions: Sequence[tuple[Scored, Scored]]) -> dict[str, float]:
    """The mean rank correlation of the people, the mean error of all hidden scores, and the standard errors of both
    over people."""
    correlations, of_person = [], []
    for known, hidden in questions:
        spread = float(np.concatenate([known.scores, hidden.scores]).std())
        if not spread:
            continue
        predicted = predictor(known.items, known.scores)[hidden.items - 1]
        correlations.append(rank_correlation(predicted, hidden.scores))
        of_person.append(errors(predicted, hidden.scores, spread))
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


def by_catalogue(training: Scores, alike: Sequences) -> Predictor:
    """AniList's mean score, brought to standard deviations by the line that fits the training users best."""
    known = np.isfinite(training.of_catalogue)
    score = np.where(known, training.of_catalogue, training.of_catalogue[known].mean())
    slope, start = np.polyfit(score[training.items - 1], _standardised(training), 1)
    return _of_means(start + slope * score)


def by_training_users(training: Scores, alike: Sequences) -> Predictor:
    """The mean of the training users' standardised scores; 0, their own means, for what none of them has scored."""
    count = np.bincount(training.items - 1, minlength=training.num_items)
    total = np.bincount(training.items - 1, _standardised(training), training.num_items)
    return _of_means(total / np.maximum(count, 1))


def by_ours(training: Scores, alike: Sequences) -> Predictor:
    found = fit_scores(training, alike)
    assert found is not None
    return found.predict


METHODS: dict[str, Callable[[Scores, Sequences], Predictor]] = {
    "AniList's mean score": by_catalogue,
    "mean of the training users": by_training_users,
    "ours": by_ours,
}


def _standardised(training: Scores) -> np.ndarray:
    mean, spread = standard(training.values.astype(np.float64), training.person, training.people)
    return (training.values - mean[training.person]) / np.maximum(spread[training.person], 1e-6)


def _of_means(means: np.ndarray) -> Predictor:
    return lambda items, scores: scores.mean() + scores.std() * means


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: medians over the seeds, a line for each number of users and method."""
    rows = [["users", "", "rank correlation", "error", "error, mean of people", "seconds"]]
    for users in sorted({result["users"] for result in results}):
        for name, runs in report.by_name([result for result in results if result["users"] == users]).items():
            quality = [f"{report.median(runs, m):.3f} ± {report.median(runs, f'{m}_error'):.3f}" for m in METRICS]
            of_people = f"{report.median(runs, 'off_of_people'):.3f}"
            rows.append([f"{users:,}", name, *quality, of_people, f"{report.median(runs, 'seconds'):.1f}"])
    return report.markdown(rows)


if __name__ == "__main__":
    sys.exit(main())
