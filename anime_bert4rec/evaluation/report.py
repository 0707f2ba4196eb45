"""What is said of an evaluation: tables that fit a terminal, the sentence that sums them up, and evaluation.json."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

from anime_bert4rec.evaluation.measuring import CUTOFFS, MODEL, Answers, RankingMetrics, TaskResult
from anime_bert4rec.evaluation.questions import EVERYTHING, title
from anime_bert4rec.evaluation.ranking import mean_and_error
from anime_bert4rec.evaluation.trained_run import SinceTraining, TrainedRun
from anime_bert4rec.lists.people import ENOUGH_PEOPLE, Changes
from anime_bert4rec.support.text import count_of, count_people, decimal

WIDTH = 80
CHANCE = 2.0
"""A difference of fewer standard errors than this may be chance."""
NOTES = (
    "± is the standard error of NDCG@10 over users. Cover: the share of the catalogue that is in anybody's first 10;"
    " pop.: on how many of 100 training lists these are, in the mean. New ground: titles of a franchise of which"
    " something was watched before are neither asked for nor suggested. The epoch, and what memory and network count"
    " for, were chosen on these same users, which favours the model a little; no baseline was fitted or tuned on them."
    " Next item looks into others'"
    " future: what they listed after that entry is in the training."
)


@dataclass(frozen=True)
class Verdict:
    """The model beside the best baseline of a task, by NDCG@10."""

    task: str
    users: int
    model: float
    baseline: str
    of_baseline: float
    difference: float
    error: float
    """The standard error of the difference: of paired differences over users."""

    @property
    def standard_errors(self) -> float | None:
        """How many the difference is; None where it is the same for everybody."""
        return self.difference / self.error if self.error else None

    @property
    def may_be_chance(self) -> bool:
        return self.standard_errors is not None and abs(self.standard_errors) < CHANCE


def verdict(task: str, result: TaskResult) -> Verdict:
    """The model and the best baseline, compared user by user."""
    best = result.best_baseline()
    model, baseline = (result.contenders[name].values["ndcg@10"] for name in (MODEL, best))
    difference, error = mean_and_error(model - baseline)
    return Verdict(task, result.users, float(model.mean()), best, float(baseline.mean()), difference, error)


def sentence(answers: Answers) -> str:
    """Whether the model beats the best baseline at each task, and by how many standard errors."""
    return "; ".join(map(_clause, _verdicts(answers))) + "."


def short_lines(answers: Answers) -> list[str]:
    """The same in a line of at most 80 characters for each task."""
    return [_capitalised(_short(each)) for each in _verdicts(answers)]


def _verdicts(answers: Answers) -> list[Verdict]:
    return [verdict(name, results[EVERYTHING]) for name, results in answers.in_full.items()]


def _clause(it: Verdict) -> str:
    if it.users < ENOUGH_PEOPLE:
        return _too_few(it.task, it.users)
    baseline = f"the {it.baseline}" if it.baseline == "Markov chain" else it.baseline
    text = f"{it.task}: on {it.users:,} validation users the model's NDCG@10 ({_number(it.model)}) "
    if it.difference == 0:
        return text + f"equals that of the best baseline, {baseline}"
    outcome = "beats" if it.difference > 0 else "loses to"
    text += f"{outcome} the best baseline, {baseline} ({_number(it.of_baseline)})"
    if it.standard_errors is None:
        return text + ", by the same for everybody"
    chance = "may be chance" if it.may_be_chance else "is hardly chance"
    return text + f", by {abs(it.standard_errors):.1f} standard errors: that {chance}"


def _short(it: Verdict) -> str:
    if it.users < ENOUGH_PEOPLE:
        return _too_few(it.task, it.users)
    chance = "may be chance" if it.may_be_chance else "hardly chance"
    return (
        f"{it.task}: NDCG@10 {_number(it.model)}, the best baseline ({it.baseline}) {_number(it.of_baseline)}:"
        f" {chance if it.difference else 'the same'}"
    )


def _too_few(task: str, users: int) -> str:
    return f"{task}: with {count_people(users)} to ask, nothing can be told"


def who_is_asked(since: SinceTraining) -> list[str]:
    """Sentences: who they are, and what has changed since the training."""
    says = [
        f"Asked: the {count_people(since.held_out - since.of_held_out.gone)} who were held out of the training,"
        f" which had {since.trained_on:,} others."
    ]
    if since.newcomers:
        count = f"{since.newcomers_asked:,}" if since.newcomers_asked else "none"
        says[0] = says[0][:-1] + f", and {count} of the {since.newcomers:,} who came later."
    changes = [str(since.lists)] if any(since.lists) else []
    if since.anime_new:
        changes.append(f"{since.anime_new:,} anime more in the catalogue, which the model does not know")
    if since.anime_gone:
        changes.append(f"{since.anime_gone:,} gone from the catalogue")
    if changes:
        gone, changed = since.of_held_out.gone, since.of_held_out.changed
        says.append(
            f"The database has changed since: {'; '.join(changes)}. Of the {since.held_out:,} who were held out: gone"
            f" or left out now {gone:,}, with another list {changed:,}. The baselines are fitted to the"
            f" {since.trained_on - since.of_trained_on.gone:,} of {since.trained_on:,} who were trained on and still"
            " are there."
        )
    return says


def tables(answers: Answers, since: SinceTraining) -> str:
    """All numbers, within 80 columns; then who was asked, what they mean, the shuffle gap and the sentence."""
    blocks = [
        table(title(name, variant), result)
        for name, results in answers.in_full.items()
        for variant, result in results.items()
        if result.users >= ENOUGH_PEOPLE
    ]
    if sum(result.users >= ENOUGH_PEOPLE for result in answers.by_length.values()) > 1:
        blocks.append(length_table(answers))
    says = [_capitalised(f"{name} was left out: {why}.") for name, why in answers.skipped.items()]
    for name, results in answers.in_full.items():
        if results[EVERYTHING].users >= ENOUGH_PEOPLE:
            lost, error = answers.shuffle_gap[name]
            gap = f"{decimal(lost, '+.4f')} ± {decimal(error, '.4f')}"
            says.append(f"Shuffle gap, {name}: {gap} of NDCG@10 is lost when histories are shuffled.")
        says += [
            _capitalised(_too_few(title(name, variant), result.users)) + "."
            for variant, result in results.items()
            if result.users < ENOUGH_PEOPLE and variant != EVERYTHING
        ]
    notes = [NOTES] if blocks else []
    says = [*who_is_asked(since), *notes, *says, _capitalised(sentence(answers))]
    return "\n\n".join([*blocks, *map(wrapped, says)])


def table(name: str, result: TaskResult) -> str:
    """The numbers of a task, a row for each contender."""
    asked = f"{count_of(result.users, 'user')}, {count_of(result.targets, 'target')}"
    columns = "".join(f"{head:>5}" for head in ("5", "10", "20", "5", "10", "±", "20", "5", "10", "20"))
    lines = [
        f"{_capitalised(name)} ({asked})",
        f"{'':14}{'HR@':>5}{'':10}{'NDCG@':>5}{'':15}{'Recall@':>8}",
        f"{'':14}{columns}  MRR cover pop.",
    ]
    return "\n".join([*lines, *(_row(contender, each) for contender, each in result.contenders.items())])


def length_table(answers: Answers) -> str:
    """The NDCG@10 by how much of a list is given, of those who are enough."""
    lines = [f"{'NDCG@10, by what is given of a list':37}{MODEL:>12}{'popularity':>12}  best baseline"]
    for given, result in answers.by_length.items():
        if result.users >= ENOUGH_PEOPLE:
            best = result.best_baseline()
            model, popularity, baseline = (
                _number(result.contenders[name].mean("ndcg@10")) for name in (MODEL, "popularity", best)
            )
            asked = f"{given} ({count_of(result.users, 'user')})"
            lines.append(f"{asked:37}{model:>12}{popularity:>12}  {baseline} {best}")
    return "\n".join(lines)


def _row(contender: str, result: RankingMetrics) -> str:
    cells = [_number(result.mean(f"hr@{k}")) for k in CUTOFFS]
    for k in CUTOFFS:
        cells.append(_number(result.mean(f"ndcg@{k}")))
        if k == 10:
            cells.append(_number(result.error("ndcg@10")))
    cells += [_number(result.mean(f"recall@{k}")) for k in CUTOFFS]
    cells.append(_number(result.mean("mrr")))
    cells += [f"{100 * share:.0f}%" for share in (result.coverage, result.mean("popularity"))]
    return f"{contender:14}" + "".join(f"{cell:>5}" for cell in cells)


def _number(value: float) -> str:
    """`.412`, and `1.00`: four characters."""
    return decimal(value)[:4]


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def wrapped(text: str) -> str:
    """The text in lines of at most 80 columns."""
    return textwrap.fill(text, WIDTH, break_on_hyphens=False)


def as_json(run: TrainedRun, answers: Answers) -> dict[str, Any]:
    """The content of evaluation.json: every number with its standard error where it is a mean over users."""
    return {
        "sentence": _capitalised(sentence(answers)),
        "asked": {
            "held_out": _group(run.since.held_out, run.since.of_held_out),
            "trained_on": _group(run.since.trained_on, run.since.of_trained_on),
            "came_later": {"now": run.since.newcomers, "asked": run.since.newcomers_asked},
            "anime": {"new": run.since.anime_new, "gone": run.since.anime_gone},
        },
        "users_train": len(run.data.training),
        "users_val": len(run.data.validation),
        "num_items": run.data.vocabulary.num_items,
        "seed": run.seed,
        "model": run.model_facts,
        "tasks": {
            title(name, variant): {
                "users": result.users,
                "targets": result.targets,
                "contenders": {contender: _values(each) for contender, each in result.contenders.items()},
                "verdict": _verdict(verdict(name, result)),
            }
            for name, results in answers.tasks.items()
            for variant, result in results.items()
        },
        "shuffle_gap": {name: {"mean": lost, "error": error} for name, (lost, error) in answers.shuffle_gap.items()},
        "baseline_settings": {
            name: {baseline: repr(each) for baseline, each in settings.items()}
            for name, settings in answers.settings.items()
        },
        "skipped": answers.skipped,
    }


def _group(then: int, changes: Changes) -> dict[str, int]:
    return {"then": then, "now": then - changes.gone, "changed": changes.changed, "gone": changes.gone}


def _values(result: RankingMetrics) -> dict[str, Any]:
    means = {metric: {"mean": result.mean(metric), "error": result.error(metric)} for metric in result.values}
    return {**means, "coverage": result.coverage}


def _verdict(it: Verdict) -> dict[str, Any]:
    return {
        "best_baseline": it.baseline,
        "difference": it.difference,
        "error": it.error,
        "standard_errors": it.standard_errors,
    }
