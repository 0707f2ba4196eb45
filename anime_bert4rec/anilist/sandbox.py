"""A made-up AniList: a catalogue and 50,000 people's lists, offline and the same every time.

    sandbox = Sandbox()
    lists = [sandbox.user_list(name) for name in user_names(300)]

Nothing here is real: titles, studios, people and their opinions are drawn from random numbers. Only the words of the
field (genres, tags, formats, statuses) and rough shapes (how popularity falls with rank, how long lists are) are
AniList's. Numbers reached on it show that the programs work, not how well they do on real lists.

The catalogue is in anilist/sandbox_catalogue.py. A person is a function of `SEED` and the number in the name. They like
a few themes, a style, an era, and more or less what everybody likes. Their watching has phases: in each one a theme is
in fashion with them, taste drifts from one to the next, popular titles come first, some people follow what is airing.
Who has finished a title goes on to its sequel about as likely as its popularity says, at once or much later; what
doesn't fit is dropped sooner and rated lower. Then come the habits that make real lists hard to read: no dates or half
of them, years of watching imported in one day, old accounts without any times, people who never rate.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np

from anime_bert4rec.anilist.sandbox_catalogue import (
    ADULT,
    SEED,
    STYLES,
    THEMES,
    TODAY,
    Row,
    as_record,
    catalogue,
    last_airing,
    members,
    sorted_by,
)
from anime_bert4rec.lists.dates import DAY_SECONDS, date_of
from anime_bert4rec.lists.records import CatalogueCursor, CataloguePage, ListEntry, ListUnavailable, UserList

USERS = 50_000
"""People of the sandbox."""

PAGE_SIZE = 50
"""Anime of one page."""

FIRST_PAGE = CatalogueCursor()


class Sandbox:
    """`records.AniListSource` without AniList."""

    def top_anime(
        self, count: int, sort: str, start: CatalogueCursor = FIRST_PAGE, seen: Collection[int] = ()
    ) -> Iterator[CataloguePage]:
        """Pages from `start` until `count` distinct anime are known, those in `seen` counted. Ties go by id."""
        order, known, below = sorted_by(sort), set(seen), start.popularity_below
        order = [row for row in order if below is None or row.popularity < below]
        for page, at in enumerate(range((start.page - 1) * PAGE_SIZE, len(order), PAGE_SIZE), start.page):
            if len(known) >= count:
                break
            fresh = [row for row in order[at : at + PAGE_SIZE] if row.anime_id not in known][: count - len(known)]
            known.update(row.anime_id for row in fresh)
            after = CatalogueCursor(page + 1, below) if at + PAGE_SIZE < len(order) else None
            yield CataloguePage(tuple(as_record(row) for row in fresh), after)

    def user_list(self, name: str) -> UserList:
        """The list of one made-up person: `sandbox0001` and on. Raises ListUnavailable, for `private0001` too."""
        match = re.fullmatch(r"(sandbox|private)([0-9]{4,5})", name.lower())
        number = int(match[2]) if match else 0
        if match and match[1] == "private":
            raise ListUnavailable(name, "private")
        if not 1 <= number <= USERS or name.lower() != _name(number):
            raise ListUnavailable(name, "unknown", "the made-up AniList")
        return UserList(number, _name(number), _entries(number))


def user_names(n: int = 300) -> list[str]:
    """The first `n` people of the sandbox, at most `USERS`."""
    if not 0 <= n <= USERS:
        raise ValueError(f"the sandbox has {USERS} people, not {n}")
    return [_name(number) for number in range(1, n + 1)]


def _name(number: int) -> str:
    return f"sandbox{number:04d}"


class _Watched(NamedTuple):
    """One anime of a person's list. All times are in days since 1970."""

    row: Row
    status: str
    started: float  # the day of the plan for what is planned
    finished: float
    fit: float  # to the person's taste, around 0


def _wishes(rng: np.random.Generator, dice: random.Random, phases: int) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """What one person wants to watch, in three parts.

    The first are the places in `Catalogue.entry_rows` of the titles that they have heard of; then how much they want
    each of these in each phase [phases, places]; then how well each fits their taste, around 0.
    """
    c = catalogue()
    heard_of = 1 / (1 + np.exp(8.5 - c.entry_traits[-1]))  # half of all people know what has a popularity of some 5,000
    known = np.flatnonzero(rng.random(c.entry_rows.size) < heard_of)
    traits = c.entry_traits[:, known]
    likes = rng.gamma(0.3, size=(2, len(THEMES)))  # early and late in life
    likes[:, ADULT] *= dice.random() < 0.1
    likes /= likes.max(axis=1, keepdims=True)
    drift = np.linspace(0, 0.6, phases)[:, None]
    fashion = np.eye(len(THEMES))[rng.choice(len(THEMES), phases, p=likes[0] / likes[0].sum())]
    themes = 4.5 * ((1 - drift) * likes[0] + drift * likes[1]) + 2.5 * fashion
    style, era, focus = rng.normal(0, 1.3, STYLES), dice.gauss(0.1, 0.5), dice.random()
    steady = np.tile([*style, 2 * era * focus, -focus], (phases, 1))
    conformity = dice.uniform(1.1, 1.5) * np.linspace(1.25, 0.9, phases)[:, None]
    # einsum, as the threads of a matrix product wait for one another when other programs use the cores
    wishes = np.einsum("pt,te->pe", np.hstack([themes, steady, conformity]), traits)
    fits = np.hstack([1.5 * likes[0], 0.5 * style]) @ traits[:-3] - 0.8
    return known, wishes + rng.normal(0, 0.9, wishes.shape), fits.tolist()


def _watch(rng: np.random.Generator, dice: random.Random) -> tuple[list[_Watched], float, float]:
    """Return what one person has watched and plans to watch, and the first and the last day of that."""
    c = catalogue()
    goal = int(np.clip(rng.lognormal(np.log(120), 0.95), 4, 1500))
    end = TODAY - dice.expovariate(1) * (900 if dice.random() < 0.3 else 10)
    begin = end - float(np.clip(goal * rng.lognormal(np.log(12), 0.6), 90, 6500))
    phases = 1 + min(goal // 18, 11)
    known, wishes, fits = _wishes(rng, dice, phases)
    entry_rows, days = c.entry_rows[known].tolist(), c.entry_days[known]
    loyalty, patience, topical = dice.uniform(0.7, 1.0), dice.gauss(2.3, 0.7), max(0.0, dice.gauss(0, 1.5))

    watched: dict[int, _Watched] = {}
    put_off: list[int] = []
    for phase, (first_day, last_day) in enumerate(itertools.pairwise(np.linspace(begin, end, phases + 1).tolist())):
        before, wanted = len(watched), max(0, goal * (phase + 1) // phases - len(watched))
        wish = wishes[phase]
        wish[np.searchsorted(days, first_day - 60) :] += topical
        wish[np.searchsorted(days, last_day) :] = -np.inf
        best = np.argpartition(-wish, wanted)[:wanted]
        best = best[np.argsort(-wish[best])]
        for entry in best.tolist():
            done = len(watched) - before
            if done >= wanted:
                break
            wishes[:, entry] = -np.inf
            at = first_day + (last_day - first_day) * done / wanted
            for row in members(entry_rows[entry]):
                if row.row != row.first:
                    previous = watched.get(row.parent)
                    if not previous or previous.status != "COMPLETED":
                        continue
                    if dice.random() > loyalty * row.follow:
                        put_off += [row.row] * (dice.random() < 0.15)
                        continue
                    at = previous.finished + dice.expovariate(1 / 5 if dice.random() < 0.75 else 1 / 250)
                started = max(at, row.day + dice.expovariate(1 / 15))
                if started > end:
                    put_off.append(row.row)
                    continue
                finished = max(started + dice.uniform(0.1, 0.6) * row.episodes, last_airing(row))
                drop = 1 / (1 + math.exp(patience + fits[entry] + 0.5 * row.quality))
                chance, ready = dice.random(), "CURRENT" if finished > end else "COMPLETED"
                status = "DROPPED" if chance < drop else "PAUSED" if chance < drop + 0.03 else ready
                watched[row.row] = _Watched(row, status, started, min(finished, end), fits[entry])
    put_off += [entry_rows[entry] for entry in np.argsort(-wishes[-1])[:500].tolist()]
    planned = [c.rows[row] for row in dict.fromkeys(put_off) if row not in watched]
    planned = planned[: int(goal * dice.expovariate(4))]
    plan_days = [dice.uniform(max(begin, min(row.day - 200, end)), end) for row in planned]
    plans = [_Watched(row, "PLANNING", day, day, 0.0) for row, day in zip(planned, plan_days, strict=True)]
    return [*watched.values(), *plans], begin, end


def _entries(number: int) -> tuple[ListEntry, ...]:
    """Return the list of the person of this number: what they have watched, noted down with their habits."""
    rng, dice = np.random.default_rng([SEED, number]), random.Random(SEED * USERS + number)
    life, begin, end = _watch(rng, dice)
    dated = dice.choices((0.97, 0.5, 0.0), (65, 20, 15))[0]  # the share of entries with dates
    vague = 0.25 if dated == 0.5 else 0.0  # the share of dates without a day
    import_day = dice.uniform(begin, end) if dice.random() < 0.3 else begin
    import_dates = dice.choice(("kept", "its own", "none"))
    timeless_until = dice.uniform(begin, end) if dice.random() < 0.1 else begin
    rated, generosity, step = 0.9 * (dice.random() < 0.85), dice.gauss(65, 7), dice.choice((1, 1, 5, 10))

    made = [(import_day if each.finished < import_day else each.started) + dice.random() for each in life]
    entries = []
    for at, (created, each) in enumerate(sorted(zip(made, life, strict=True), key=lambda pair: pair[0])):
        row, status, imported = each.row, each.status, each.finished < import_day
        done, judged = status == "COMPLETED", status in ("COMPLETED", "DROPPED")
        repeats = dice.choice((1, 1, 2, 3)) if done and dice.random() < 0.05 else 0
        score = generosity + 7 * each.fit + 8 * row.quality + dice.gauss(0, 7) - 20 * (status == "DROPPED")
        started = completed = None
        precision = dice.choice((100, 10_000)) if dice.random() < vague else 1
        if status != "PLANNING" and dice.random() < dated:
            if not imported or import_dates == "kept":
                started = date_of(int(each.started)) // precision * precision
            if done and not (imported and import_dates == "none"):
                day = import_day if imported and import_dates == "its own" else each.finished
                completed = date_of(int(day)) // precision * precision
        updated = created if imported else max(created, each.finished)
        entries.append(
            ListEntry(
                entry_id=number * 10_000 + at,
                anime_id=row.anime_id,
                status="REPEATING" if repeats and dice.random() < 0.05 else status,
                score=max(step, min(100, round(score / step) * step)) if judged and dice.random() < rated else None,
                progress=row.episodes if done else 0 if status == "PLANNING" else dice.randrange(row.episodes),
                repeats=repeats,
                started=started,
                completed=completed,
                updated=int(DAY_SECONDS * updated) if created >= timeless_until else None,
                created=int(DAY_SECONDS * created) if created >= timeless_until else None,
            )
        )
    return tuple(entries)
