"""How well lists of any length are completed: a few titles are given, and the rest is to be found.

    BENCHMARK_DATA=FOLDER python benchmarks/list_lengths.py
    python benchmarks/list_lengths.py --users 50 200 1000 2500 --seeds 0 1 2
    python benchmarks/list_lengths.py --quick

Of each of the people who are asked, and whom training never sees, some titles of the list are given, drawn at random,
or 80 % of it. All else on the list is to be ranked above what isn't on it: among all titles; among those that are not
the 200 on the most lists; and on new ground, where no title is of a franchise of which one is given. Each baseline is
tuned for each of these cases on other people. Seed 0 takes people as they come in the file, others in random order.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import fold_in
import interactions
import numpy as np
import ours
import report
from tuned_baselines import EASE_IN_BLEND, Answers, Contenders, best_shares, blended, logs_of

from anime_bert4rec.command_line.script import script
from anime_bert4rec.evaluation.ranking import Scorer, mean_and_error, ranks_of
from anime_bert4rec.lists.common_traits import franchises
from anime_bert4rec.lists.sequences import Sequences
from anime_bert4rec.model.bert4rec import BERT4Rec
from anime_bert4rec.model.histories import History
from anime_bert4rec.model.next_item_scorer import ModelScorer
from anime_bert4rec.model.ranking_leaning import ExpectedPopularity, Leaning, TitleLikeness
from anime_bert4rec.recommending.asked_people import usual_leaning
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.whole_files import write_json

GIVEN: tuple[float, ...] = (1, 2, 3, 5, 10, 30, 100, 0.8)
"""How many titles are given; below 1, which share of the list."""
ASKED, FEWEST_LEFT, SHORTEST_LIST, MOST_LISTED = 250, 10, 20, 200
"""Whoever has fewer than ten titles left to be found is not asked, unless a share is given."""
FIRST_TRAINED = 380
"""How many of the MyAnimeList users come before those who are asked; the rest is trained on where more are wanted."""
WAYS = ("all titles", "without the 200 most listed", "new ground")
BLEND = "blend"
OURS, MEMORY = "ours", "our memory, untrained"
NAMED = "ours, as for titles that are named"
"""Ranked as recommend.py ranks for --title: less by popularity, more by what is alike."""
ON_ANILIST = "popularity on AniList"
"""What ours knows, too, and the other contenders don't."""


@dataclass(frozen=True)
class Questions:
    """What is given of each list, and what is left to be found."""

    given: list[np.ndarray]
    left: list[np.ndarray]


@dataclass(frozen=True)
class Ground:
    """Which titles may be named: all that are not `out` or in a franchise of which one is given."""

    out: np.ndarray
    franchise: np.ndarray | None = None
    """[N + 1] the franchise of each item."""

    def limited(self, questions: Questions) -> tuple[Questions, list[np.ndarray], np.ndarray]:
        """The questions that are left, what is not ranked in each of them, and which of `questions` they are."""
        given, left, unranked, whose = [], [], [], []
        for user, (seen, hidden) in enumerate(zip(questions.given, questions.left, strict=True)):
            out = np.concatenate([seen, self.out])
            if self.franchise is not None:
                out = np.union1d(out, np.flatnonzero(np.isin(self.franchise, self.franchise[seen])))
            wanted = np.setdiff1d(hidden, out)
            if len(wanted):
                given.append(seen)
                left.append(wanted)
                unranked.append(out[out > 0])
                whose.append(user)
        return Questions(given, left), unranked, np.array(whose, int)


@script
def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    if args.quick:
        args.users, args.asked, args.epochs, args.seeds = args.users[:1], 40, 2, args.seeds[:1]
    catalogue = fold_in.read_catalogue(args.catalogue)
    lists, item_names, kinds = read_lists(args.data, catalogue, args.items, args.scores)
    anime = ours.anime_of(catalogue, item_names)
    franchise = np.concatenate([[0], franchises(anime)])
    on_anilist = np.array([each.popularity or 0 for each in anime], float)
    facts = {
        "lists": len(lists),
        "items": len(item_names),
        "started": datetime.now().isoformat(timespec="seconds"),
        "machine": report.machine(),
    }
    results: list[dict[str, Any]] = []
    for seed in args.seeds:
        asked, tuned_on, pool = people(kinds, args.asked, seed)
        by_length = {
            given: tuple(ask(lists, users, given, seed) for users in (tuned_on, asked)) for given in args.given
        }
        mixed = joined([by_length[given][0] for given in args.given])
        for users in sorted({min(users, len(pool)) for users in args.users}):
            training = lists.select(pool[:users])
            clock = time.perf_counter()
            memory, trained = fitted(training, mixed, item_names, catalogue, seed, args)
            print(f"{users} lists, seed {seed}: {time.perf_counter() - clock:.0f} s", file=sys.stderr, flush=True)
            contenders = Contenders(training, len(item_names))
            popularity = np.bincount(training.items, minlength=len(item_names) + 1)[1:]
            often = np.argsort(-popularity, kind="stable")[:MOST_LISTED] + 1
            grounds = (Ground(np.array([], int)), Ground(often), Ground(np.array([], int), franchise))
            for given, (tuning, questions) in by_length.items():
                answers = contenders.of(tuning.given), contenders.of(questions.given)
                own = {
                    ON_ANILIST: np.tile(on_anilist, (len(questions.given), 1)),
                    MEMORY: memory(questions.given),
                    OURS: (scores := trained(questions.given)),
                    NAMED: scores - lowered_for_named(trained.model, questions.given),
                }
                for way, ground in zip(WAYS, grounds, strict=True):
                    values, settings = measure(ground, (tuning, questions), answers, own)
                    row = {"users": users, "seed": seed, "given": given, "way": way}
                    results.append(row | summary(values, settings))
                    write_json(args.output / "list_lengths.json", {**facts, "results": results})
    print(tables(results))
    return 0


def fitted(
    training: Sequences,
    tuning: Questions,
    item_names: Sequence[str],
    catalogue: ours.Catalogue,
    seed: int,
    args: argparse.Namespace,
) -> tuple[Scorer, ModelScorer]:
    """The memory of these lists by itself, and the trained model, whose epoch is the one that answers `tuning` best."""
    how = {"seed": seed, "threads": args.threads, "epochs": args.epochs, "item_names": item_names}
    return ours.fit_with_memory(training, tuning.given, tuning.left, catalogue=catalogue, **how)


def data_parser(description: str | None) -> argparse.ArgumentParser:
    """The flags that say which lists and titles there are, and how many of the lists are learnt from."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    folder = interactions.DATA_DIR
    parser.add_argument("--data", type=Path, default=folder / "anime_lists.csv.gz", help="user, anime_id")
    parser.add_argument("--catalogue", type=Path, default=folder / "anilist_catalogue.jsonl.gz", help="JSON lines")
    parser.add_argument("--scores", type=Path, default=folder / "anime_scores.csv.gz", help="user, anime_id, status")
    parser.add_argument("--items", type=int, default=3000, help="the most popular ones of the catalogue")
    parser.add_argument("--users", nargs="+", type=int, default=[430], help="lists to learn from")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    return parser


def parser() -> argparse.ArgumentParser:
    parser = data_parser(__doc__)
    parser.add_argument("--asked", type=int, default=ASKED, help="people to be asked about, and as many to tune on")
    parser.add_argument("--given", nargs="+", type=float, default=list(GIVEN), help="titles; below 1, a share")
    parser.add_argument("--epochs", type=int, default=40, help="of this project's model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--quick", action="store_true", help="fewer people and epochs: whether it works")
    return parser


def read_lists(
    path: Path, catalogue: ours.Catalogue, most: int, scores: Path
) -> tuple[Sequences, list[str], tuple[np.ndarray, np.ndarray]]:
    """The lists as they come in the file, those of less than SHORTEST_LIST titles empty; the ids of the items; and the
    positions of the other lists, those of AniList's users (which are all trained on) and those of MyAnimeList's.

    The items are the most popular ones of the catalogue, as prepare_dataset.py takes them. What somebody plans to watch
    is left out, and so is the order: most lists have none.
    """
    suitable = [(name, anime) for name, anime in catalogue.items() if "Hentai" not in anime.get("genres", [])]
    suitable.sort(key=lambda entry: -(entry[1].get("popularity") or 0))
    names = sorted((name for name, _ in suitable[:most]), key=lambda name: (len(name), name))
    number = {name: item for item, name in enumerate(names, 1)}
    planned = {(row["user"], row["anime_id"]) for row in interactions.rows_of(scores) if row["status"] == "PLANNING"}
    lists: dict[str, list[int]] = {}
    for row in interactions.rows_of(path):
        items = lists.setdefault(row["user"], [])
        if row["anime_id"] in number and (row["user"], row["anime_id"]) not in planned:
            items.append(number[row["anime_id"]])
    # Of whom too little is left, nothing: but everybody keeps the place in the file.
    arrays = [np.unique(items) if len(set(items)) >= SHORTEST_LIST else np.array([], int) for items in lists.values()]
    offsets = np.cumsum([0, *map(len, arrays)])
    flat = np.concatenate(arrays).astype(np.int32)
    sequences = Sequences(flat, np.zeros(len(flat), np.int32), offsets, np.arange(len(lists)))
    of_mal, long_enough = np.array([name.startswith("m") for name in lists]), sequences.lengths > 0
    return sequences, names, (np.flatnonzero(~of_mal & long_enough), np.flatnonzero(of_mal & long_enough))


def people(kinds: tuple[np.ndarray, np.ndarray], asked: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of the lists to ask, to tune on and to train on, each in its order; kinds: as in read_lists."""
    of_anilist, order = kinds
    if seed:
        order = np.random.default_rng(seed).permutation(order)
    first = min(FIRST_TRAINED, len(order) - 2 * asked)
    if first < 1:
        raise UserError(f"{len(order)} people are too few: {asked} are asked, and as many tuned on")
    trained, tested, tuned_on, more = np.split(order, [first, first + asked, first + 2 * asked])
    pool = np.concatenate([of_anilist, trained, more])
    return tested, tuned_on, np.random.default_rng((seed, 1)).permutation(pool) if seed else pool


def ask(lists: Sequences, users: np.ndarray, given: float, seed: int) -> Questions:
    """Some titles of each list, and the others; who has too few others is not asked."""
    known, left = [], []
    for user in users:
        items = np.random.default_rng((seed, user)).permutation(lists.of_user(user))
        count = int(given) if given >= 1 else round(given * len(items))
        if len(items) - count >= (FEWEST_LEFT if given >= 1 else 1):
            known.append(items[:count])
            left.append(items[count:])
    return Questions(known, left)


def lowered_for_named(model: BERT4Rec, given: Sequence[np.ndarray]) -> np.ndarray:
    """What recommend.py takes off the logits of who names titles [U, N]."""
    likeness, popularity = TitleLikeness.of(model), ExpectedPopularity.of(model)
    sets = [History(items, in_order=False) for items in given]
    return np.array(
        [Leaning.of(*usual_leaning(len(each.items)), popularity, lambda: likeness).lowered(each) for each in sets]
    )


def joined(all_questions: Sequence[Questions]) -> Questions:
    chain = itertools.chain.from_iterable
    return Questions(list(chain(q.given for q in all_questions)), list(chain(q.left for q in all_questions)))


def measure(
    ground: Ground, questions: tuple[Questions, Questions], answers: tuple[Answers, Answers], own: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """NDCG@10 of each person who is asked, by contender, and with which settings: those best for the tuning people."""
    (tuning, unranked, which), (asked, asked_unranked, asked_which) = map(ground.limited, questions)

    def tuned(scores: np.ndarray) -> float:
        return float(ndcg(scores[which], unranked, tuning.left).mean())

    def tested(scores: np.ndarray) -> np.ndarray:
        return ndcg(scores[asked_which], asked_unranked, asked.left)

    chosen = {
        name: max(grid, key=lambda settings: tuned(grid[settings])) if len(grid) > 1 else next(iter(grid))
        for name, grid in answers[0].items()
    }
    values = {name: tested(answers[1][name][settings]) for name, settings in chosen.items()}
    blends = []
    for ease in {chosen["EASE"]: 1, EASE_IN_BLEND: 1}:
        logs, asked_logs = (logs_of(part, ease) for part in answers)
        quality = functools.cache(lambda shares, logs=logs: tuned(blended(logs, shares)))
        shares = best_shares(quality)
        blends.append((quality(shares), f"{ease} {shares}", blended(asked_logs, shares)))
    _, chosen[BLEND], scores = max(blends, key=lambda blend: blend[0])
    values[BLEND] = tested(scores)
    return values | {name: tested(scores) for name, scores in own.items()}, chosen


def ndcg(scores: np.ndarray, unranked: Sequence[np.ndarray], left: Sequence[np.ndarray]) -> np.ndarray:
    return ranks_of(scores, unranked, left).ndcg(10)


def summary(values: Mapping[str, np.ndarray], settings: Mapping[str, str]) -> dict[str, Any]:
    """Means with their standard errors, and by how many of these ours differs from its memory and from the blend."""
    contenders = {}
    for name, of_people in values.items():
        mean, error = mean_and_error(of_people)
        contenders[name] = {"ndcg@10": round(mean, 5), "error": round(error, 5), "settings": settings.get(name, "")}
    against = {}
    for other in (MEMORY, BLEND):
        difference, error = mean_and_error(values[OURS] - values[other])
        against[other] = {"difference": round(difference, 5), "errors": round(difference / error, 2) if error else 0.0}
    return {"people": len(values[OURS]), "contenders": contenders, "ours_less": against}


def tables(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: for each number of lists and each way of asking, medians over the seeds."""
    blocks = []
    for users, way in itertools.product(sorted({result["users"] for result in results}), WAYS):
        cases = [result for result in results if (result["users"], result["way"]) == (users, way)]
        given = list(dict.fromkeys(result["given"] for result in cases))
        by_given = [[result for result in cases if result["given"] == each] for each in given]
        rows = [["given titles", *(f"{each:g}" if each >= 1 else f"{each:.0%}" for each in given)]]

        def row(title: str, form: str, *keys: str) -> None:
            rows.append([title, *(format(_median(runs, keys), form) for runs in by_given)])  # noqa: B023

        for name in cases[0]["contenders"]:
            row(name, ".3f", "contenders", name, "ndcg@10")
        row("± of ours", ".3f", "contenders", OURS, "error")
        for other in (MEMORY, BLEND):
            row(f"ours − {other}, in standard errors", "+.1f", "ours_less", other, "errors")
        blocks.append(f"{users:,} lists, {way}\n\n{report.markdown(rows)}")
    return "\n\n".join(blocks)


def _median(runs: Sequence[dict[str, Any]], keys: Sequence[str]) -> float:
    """The median over all runs of the value under these keys, one inside the other."""
    return float(np.median([functools.reduce(lambda part, key: part[key], keys, run) for run in runs]))


if __name__ == "__main__":
    sys.exit(main())
