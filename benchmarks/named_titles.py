"""How well titles that somebody names are answered by a model of lists in order: what else is on such a list?

    BENCHMARK_DATA=FOLDER python benchmarks/named_titles.py --data ml-100k
    BENCHMARK_DATA=FOLDER python benchmarks/named_titles.py --data ml-1m --users 1500 --seeds 1 2 3

Of each of 250 people who are asked, and of whom nothing is learnt, some titles of the list are named, drawn at random,
and all others, earlier and later ones, are to be ranked above what isn't on it. Each baseline is tuned for each number
of titles on other people. "As though in order" is the memory that tells what comes next, given the titles as they come
in the list. The network is not trained: it has no part in these answers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import interactions
import list_lengths
import numpy as np
import ours
import report
import torch
from tuned_baselines import Contenders

from anime_bert4rec.command_line.script import script
from anime_bert4rec.evaluation.ranking import Scorer, mean_and_error
from anime_bert4rec.lists.sequences import Sequences, has_order
from anime_bert4rec.model.bert4rec import ModelConfig
from anime_bert4rec.model.memory_fitting import fit_memories, fit_unordered_memories
from anime_bert4rec.model.next_item_scorer import ModelScorer, SetScorer
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.whole_files import write_json

GIVEN = (1, 3, 10, 30)
MAX_SEQ_LEN = 200
OURS, AS_IN_ORDER = "ours", "as though in order"
EVERYTHING = list_lengths.Ground(np.array([], int))


@script
def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    torch.set_num_threads(args.threads)
    data = interactions.read(interactions.find(args.data))
    if not has_order(data.sequences):
        raise UserError(f"{args.data}: these lists have no order, so one memory answers for all; see list_lengths.py")
    results: list[dict[str, Any]] = []
    for seed in args.seeds:
        order = np.random.default_rng(seed).permutation(len(data.sequences))
        asked, tuned_on, trained_on = np.split(order, [args.asked, 2 * args.asked])
        training = data.sequences.select(trained_on[: args.users])
        if len(training) < args.asked:
            raise UserError(f"{len(data.sequences)} people are too few: {args.asked} are asked, and as many tuned on")
        contenders, own = Contenders(training, data.num_items), memories(training, data.num_items, seed)
        for given in GIVEN:
            questions = [
                in_their_order(data.sequences, list_lengths.ask(data.sequences, people, given, seed))
                for people in (tuned_on, asked)
            ]
            if not all(each.given for each in questions):
                continue  # nobody has so many titles
            answers = contenders.of(questions[0].given), contenders.of(questions[1].given)
            said = {name: scorer(questions[1].given) for name, scorer in own.items()}
            values, _ = list_lengths.measure(EVERYTHING, (questions[0], questions[1]), answers, said)
            for name, of_people in values.items():
                mean, error = mean_and_error(of_people)
                less, of_less = mean_and_error(values[OURS] - of_people)
                row = {"ndcg": mean, "error": error, "ours_less": less, "ours_less_error": of_less}
                results.append({"seed": seed, "given": given, "name": name, "people": len(of_people)} | row)
    facts = {"data": Path(args.data).name, "users": len(training), "items": data.num_items}
    write_json(args.output / f"named-titles-{facts['data'].split('.')[0]}.json", {**facts, "results": results})
    print(table(results))
    return 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="ml-100k", help="ml-100k, ml-1m, or a CSV of lists in order")
    parser.add_argument("--users", type=int, default=1500, help="to learn from, if there are as many")
    parser.add_argument("--asked", type=int, default=250, help="people to ask, and as many to tune the baselines on")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=HERE / "results")
    return parser


def memories(training: Sequences, num_items: int, seed: int) -> dict[str, Scorer]:
    """Both memories of a model, each as a scorer."""
    (in_order,) = fit_memories([training], num_items, max_seq_len=MAX_SEQ_LEN, seed=seed)
    config = ModelConfig(num_items, 8, num_heads=1, max_seq_len=MAX_SEQ_LEN, memory=in_order.config)
    return {
        OURS: SetScorer(fit_unordered_memories([training], num_items, seed=seed)[0]),
        AS_IN_ORDER: ModelScorer(ours.MemoryOnly(config, in_order)),
    }


def in_their_order(lists: Sequences, asked: list_lengths.Questions) -> list_lengths.Questions:
    """The same with what is given as it comes in the list, which the memory of lists in order reads."""
    known = {frozenset(lists.of_user(user).tolist()): lists.of_user(user) for user in range(len(lists))}
    given = []
    for some, left in zip(asked.given, asked.left, strict=True):
        whole = known[frozenset([*some.tolist(), *left.tolist()])]
        given.append(whole[np.isin(whole, some)])
    return list_lengths.Questions(given, asked.left)


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: NDCG@10 by what is given, medians over the seeds, and how much ours is better, person by person."""
    asked = dict.fromkeys(run["given"] for run in results)
    rows = [["given titles", *map(str, asked)]]

    def row(title: str, name: str, form: str, *keys: str) -> None:
        of = [[run for run in results if (run["name"], run["given"]) == (name, given)] for given in asked]
        rows.append([title, *(form.format(*(np.median([run[key] for run in runs]) for key in keys)) for runs in of)])

    for name in dict.fromkeys(run["name"] for run in results):
        row(name, name, "{:.3f}", "ndcg")
    for name in (AS_IN_ORDER, list_lengths.BLEND):
        row(f"ours − {name}", name, "{:+.3f} ± {:.3f}", "ours_less", "ours_less_error")
    return report.markdown(rows)


if __name__ == "__main__":
    sys.exit(main())
