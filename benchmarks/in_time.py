"""How well the next start is foretold at its moment, with what was known the day before.

    BENCHMARK_DATA=FOLDER python benchmarks/in_time.py
    python benchmarks/in_time.py --from 2021-01-01

All that is learnt is learnt from what people had on their lists before a day, --from; asked are starts that AniList
users typed in after it, until the next of these days, each with what others had started until the day before. Without
--from, these days are the first ones of each year since 2016. Candidates are the titles that were out and that the
person had not listed. Lists without dates, MyAnimeList's, count with their titles of earlier seasons. What each
baseline counts for beside recent starts is tuned on starts of the year before the day, with what was learnt from the
years before that. "Ours" is the item memory with the strengths of recent starts; the network is not trained.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import fold_in
import interactions
import numpy as np
import ours
import report
import torch

from anime_bert4rec.command_line.script import script
from anime_bert4rec.evaluation.baselines import EASE, ItemKNN, MarkovChain, Weighting
from anime_bert4rec.evaluation.in_time import places, told_the_day
from anime_bert4rec.evaluation.ranking import Scorer, mean_and_error
from anime_bert4rec.lists.common_traits import groups_in_common
from anime_bert4rec.lists.recent_starts import NEWEST, AskedStart, Calendar, RecentStarts, StartRow, Starts, season_of
from anime_bert4rec.lists.records import Anime
from anime_bert4rec.lists.sequences import Sequences, Vocabulary
from anime_bert4rec.model.bert4rec import ModelConfig
from anime_bert4rec.model.memory_fitting import fit_memories, fit_unordered_memories
from anime_bert4rec.model.ndcg import gains
from anime_bert4rec.model.next_item_scorer import ModelScorer, SetScorer
from anime_bert4rec.model.recent_strengths import Lately, RecentStrengths, fit_recent
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.whole_files import write_json

FEWEST_TYPED = 50
"""Whoever typed in fewer starts is not asked."""
SPANS = (30, 90, 365)
"""In how many days starts are counted, as baselines."""
MOST_ITEMS = 3_000
"""How many titles are in the tables of the baselines, those on the most lists."""
MAX_SEQ_LEN = 200
WHOLE, NEWEST_ONLY = Weighting(), Weighting(last=NEWEST)
BASELINES = {
    "Markov chain": [MarkovChain()],
    "item-kNN": [ItemKNN(weighting=WHOLE), ItemKNN(weighting=NEWEST_ONLY)],
    "EASE": [EASE(l2=l2, weighting=weighting) for l2 in (100, 300) for weighting in (WHOLE, NEWEST_ONLY)],
}
SHARES = (0.0, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5)
"""What the logarithm of a baseline may count for beside that of recent starts."""
OURS, WITHOUT, RECENT = "ours", "our memory alone", "recent starts"

Results = dict[str, dict[str, tuple[float, float]]]
"""By contender and metric: the mean and its standard error."""


@dataclass(frozen=True)
class World:
    """All lists, whatever the day."""

    vocabulary: Vocabulary
    anime: list[Anime]
    recent: RecentStarts
    typed: np.ndarray
    """bool [S]: which of the starts were typed in, by somebody with FEWEST_TYPED of them."""
    undated: list[np.ndarray]
    """The items of lists without dates."""

    def lists_before(self, day: int) -> Sequences:
        """The lists as they were known before the day, those with dates first, in the order of user ids."""
        starts = self.recent.starts
        known = slice(0, int(np.searchsorted(starts.days, day)))
        users, items = starts.users[known], starts.items[known]
        order = np.argsort(users, kind="stable")
        user_ids, first = np.unique(users[order], return_index=True)
        season = np.concatenate([[0], self.recent.calendar.season])
        earlier = [each[season[each] < season_of(day)] for each in self.undated]
        dated = np.split(items[order], first[1:])
        lists = [*dated, *(each for each in earlier if len(each))]
        offsets = np.cumsum([0, *map(len, lists)])
        blocks = [
            np.arange(len(each)) if number < len(dated) else np.zeros(len(each)) for number, each in enumerate(lists)
        ]
        ids = np.concatenate([user_ids, np.arange(len(lists) - len(dated)) + user_ids[-1] + 1])
        return Sequences(np.concatenate(lists).astype(np.int32), np.concatenate(blocks).astype(np.int32), offsets, ids)

    def typed_between(self, since: int, until: int) -> int:
        """How many starts were typed in from one day to before another."""
        days = self.recent.starts.days
        return int((self.typed & (days >= since) & (days < until)).sum())

    def questions(self, since: int, until: int, most: int) -> list[AskedStart]:
        """Up to `most` of the typed starts from one day to before another, drawn by chance."""
        days = self.recent.starts.days
        positions = np.flatnonzero(self.typed & (days >= since) & (days < until))
        drawn = np.sort(np.random.default_rng(0).permutation(positions)[:most])
        return [asked for asked in map(self.recent.asked, drawn.tolist()) if asked is not None]


@dataclass(frozen=True)
class Learnt:
    """What is learnt before a day."""

    baselines: dict[str, list[Scorer]]
    ours: tuple[ModelScorer, SetScorer | None, RecentStrengths] | None


@script
def main(argv: Sequence[str] | None = None) -> int:
    flags = parser().parse_args(argv)
    torch.set_num_threads(flags.threads)
    world = read(flags.data, flags.items, flags.undated)
    days = [_day(each) for each in flags.since or [f"{year}-01-01" for year in range(2016, 2026)]]
    ends = [*days[1:], int(world.recent.starts.days[-1]) + 1]
    number = sum(map(world.typed_between, days, ends))
    learn = functools.partial(learnt, world)
    answers: dict[str, list[np.ndarray]] = {}
    users: list[int] = []
    for day, end in zip(days, ends, strict=True):
        clock = time.perf_counter()
        tuned_on = world.questions(day - 365, day, flags.tuned_on)
        asked = world.questions(day, end, round(flags.asked * world.typed_between(day, end) / number))
        shares = tune(blends(world, learn(day - 365, ours_too=False), tuned_on), tuned_on)
        for name, scores in contenders(world, learn(day, ours_too=True), asked, shares).items():
            answers.setdefault(name, []).append(places(scores, asked))
        users += [each.user for each in asked]
        took = f"{time.perf_counter() - clock:.0f} s"
        print(f"{np.datetime64(day, 'D')}: {len(asked)} starts, {took}, {shares}", file=sys.stderr, flush=True)
    found = summary({name: np.concatenate(each) for name, each in answers.items()}, users)
    settings = {name: str(value) for name, value in vars(flags).items()}
    write_json(flags.output / "in_time.json", {"machine": report.machine(), "settings": settings, "results": found})
    print(table(found))
    return 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=interactions.DATA_DIR, help="folder of the lists and the catalogue"
    )
    parser.add_argument("--from", nargs="+", dest="since", metavar="DAY", help="days such as 2021-01-01")
    parser.add_argument("--items", type=int, default=10_000, help="the most popular ones of the catalogue")
    parser.add_argument("--undated", type=int, default=400, help="lists without dates that count")
    parser.add_argument("--asked", type=int, default=1500, help="starts in all")
    parser.add_argument("--tuned-on", type=int, default=400, help="starts of the year before each day")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=HERE / "results")
    return parser


def _day(text: str) -> int:
    try:
        return int(np.datetime64(text, "D").astype(int))
    except ValueError:
        raise UserError(f"--from: {text!r} is not a day such as 2021-01-01") from None


def read(folder: Path, most: int, undated: int) -> World:
    """The lists with dates of anime_scores.csv.gz, of users `a…`, and some of anime_lists.csv.gz without."""
    catalogue = fold_in.read_catalogue(folder / "anilist_catalogue.jsonl.gz")
    names = sorted(catalogue, key=lambda name: -(catalogue[name].get("popularity") or 0))[:most]
    anime = [
        dataclasses.replace(each, season=catalogue[name].get("season"), popularity=catalogue[name].get("popularity"))
        for name, each in zip(names, ours.anime_of(catalogue, names), strict=True)
    ]
    number, vocabulary = {name: item for item, name in enumerate(names, 1)}, Vocabulary.of(range(1, len(names) + 1))
    rows: list[StartRow] = []
    typed_by_user: Counter[int] = Counter()
    users: dict[str, int] = {}
    for row in interactions.rows_of(folder / "anime_scores.csv.gz"):
        if row["user"].startswith("a") and row["anime_id"] in number and row["status"] != "PLANNING":
            started, created = (row[name].replace("-", "") for name in ("started", "created"))
            user = users.setdefault(row["user"], len(users) + 1)
            typed_by_user[user] += bool(started)
            seconds = int(np.datetime64(row["created"], "s").astype(int)) if created else None
            rows.append((user, number[row["anime_id"]], int(started) if started else None, None, seconds))
    lists: dict[str, list[int]] = {}
    for row in interactions.rows_of(folder / "anime_lists.csv.gz"):
        if row["user"].startswith("m") and (row["user"] in lists or len(lists) < undated) and row["anime_id"] in number:
            lists.setdefault(row["user"], []).append(number[row["anime_id"]])
    starts = Starts.of(rows, vocabulary)
    asked = {(user, item) for user, item, started, *_ in rows if started and typed_by_user[user] >= FEWEST_TYPED}
    typed = np.array([each in asked for each in zip(starts.users.tolist(), starts.items.tolist(), strict=True)])
    recent = RecentStarts(starts, Calendar.of(anime, vocabulary))
    return World(vocabulary, anime, recent, typed, [np.unique(each) for each in lists.values()])


def starts_until(day: int, starts: Starts) -> Starts:
    """Those before the day."""
    stop = np.searchsorted(starts.days, day)
    columns = (each[:stop] for each in (starts.users, starts.items, starts.days, starts.counted))
    return Starts(*columns, starts.num_items)


def learnt(world: World, day: int, ours_too: bool) -> Learnt:
    """What is learnt of the lists before the day."""
    training, size = world.lists_before(day), world.vocabulary.num_items
    scorers = {name: [each.fit(training, size, MOST_ITEMS) for each in grid] for name, grid in BASELINES.items()}
    if not ours_too:
        return Learnt(scorers, None)
    alike = groups_in_common(world.anime, world.vocabulary)
    lately = Lately(RecentStarts(starts_until(day, world.recent.starts), world.recent.calendar), training, seed=0)
    lists = [training, lately.lists_before]
    memory, earlier = fit_memories(lists, size, max_seq_len=MAX_SEQ_LEN, seed=0, alike=alike)
    config = ModelConfig(size, 2, 1, 1, MAX_SEQ_LEN, ordered=memory.config.ordered, memory=memory.config)
    sets = fit_unordered_memories(lists, size, seed=0, alike=alike) if memory.config.ordered else [None, None]
    strengths = fit_recent(lately, earlier, MAX_SEQ_LEN, sets[1])
    scorer = ModelScorer(ours.MemoryOnly(config, memory))
    return Learnt(scorers, (scorer, None if sets[0] is None else SetScorer(sets[0]), strengths))


def blends(world: World, learnt: Learnt, asked: Sequence[AskedStart]) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """By baseline, for each of its settings, the logarithms of the recent starts and of the baseline [Q, N]."""
    recent = np.stack([each.features[:, 0] for each in asked])
    histories = [each.history for each in asked]
    return {
        name: [(recent, _logs(scorer(histories), name)) for scorer in scorers]
        for name, scorers in learnt.baselines.items()
    }


def _logs(scores: np.ndarray, name: str) -> np.ndarray:
    if name == "EASE":
        return np.log(np.logaddexp(0, scores.clip(-0.6) / 0.03))
    return np.log(scores / np.maximum(scores.max(1, keepdims=True), 1e-9) + 0.001)


def tune(
    parts: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]], asked: Sequence[AskedStart]
) -> dict[str, tuple[int, float]]:
    """By baseline, the setting and the share of the baseline with which its blend ranks these starts best."""

    def quality(name: str, setting: int, share: float) -> float:
        recent, logs = parts[name][setting]
        return float(gains(places(recent + share * logs, asked), 10).mean())

    return {
        name: max(itertools.product(range(len(grid)), SHARES), key=lambda chosen: quality(name, *chosen))
        for name, grid in parts.items()
    }


def contenders(
    world: World, learnt: Learnt, asked: Sequence[AskedStart], shares: Mapping[str, tuple[int, float]]
) -> dict[str, np.ndarray]:
    """The scores of every contender [Q, N]."""
    assert learnt.ours is not None
    starts = world.recent.starts
    others = [starts.before(each.day, each.user) for each in asked]
    found = {"popularity on AniList": np.tile([each.popularity or 0 for each in world.anime], (len(asked), 1))}
    for span in SPANS:
        found[f"others' starts in {span} days"] = np.stack(
            [
                np.bincount(some.items[some.days >= each.day - span] - 1, minlength=len(world.anime))
                for some, each in zip(others, asked, strict=True)
            ]
        )
    found[RECENT] = np.stack([each.features[:, 0] for each in asked])
    parts = blends(world, learnt, asked)
    found |= {name: parts[name][setting][1] for name, (setting, _) in shares.items()}
    for name, (setting, share) in shares.items():
        recent, logs = parts[name][setting]
        found[f"{RECENT} × {name}"] = recent + share * logs
    found[WITHOUT], found[OURS] = told_the_day(*learnt.ours, asked)
    return found


def summary(found: Mapping[str, np.ndarray], users: Sequence[int]) -> Results:
    """HR@10 and NDCG@10 of each contender, and by how much ours is better, with the standard errors over people."""
    results: Results = {}
    for name, each in found.items():
        hits, gain = each <= 10, gains(each, 10)
        difference = gains(found[OURS], 10) - gain
        measured = {"hr@10": hits, "ndcg@10": gain, "ours_less": difference}
        results[name] = {key: mean_and_error(values, users) for key, values in measured.items()}
    return results


def table(results: Results) -> str:
    """Markdown."""
    rows = [["", "HR@10", "NDCG@10", "±", "ours − it", "± of that"]]
    for name, each in results.items():
        numbers = (each["hr@10"][0], *each["ndcg@10"], *each["ours_less"])
        rows.append([name, *(f"{number:.4f}" for number in numbers)])
    return report.markdown(rows)


if __name__ == "__main__":
    sys.exit(main())
