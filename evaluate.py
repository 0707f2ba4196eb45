"""Say how well the trained model ranks, on the validation users, whose lists were not trained on, and beside baselines.

    python evaluate.py
    python evaluate.py --output-dir elsewhere

train_model.py does it at its end (`evaluate_the_best`); run this script to do it again.
"""

from __future__ import annotations

from anime_bert4rec.support import stopping

stopping.while_importing(__name__)

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch starts its threads, as in train_model.py

from anime_bert4rec.command_line.flags import ScriptSettings, group
from anime_bert4rec.command_line.script import EXIT_ERROR, logging_to, parse, script
from anime_bert4rec.evaluation import in_time, liked
from anime_bert4rec.evaluation.measuring import Answers, measure_all
from anime_bert4rec.evaluation.questions import ask
from anime_bert4rec.evaluation.report import as_json, short_lines, tables
from anime_bert4rec.evaluation.trained_run import TrainedRun, load_run
from anime_bert4rec.evaluation.tuning import tune
from anime_bert4rec.model.next_item_scorer import ModelScorer, scorer_of_sets
from anime_bert4rec.model.run_folder import RANKING_COMPARISON
from anime_bert4rec.plots.ranking_comparison import ranking_comparison
from anime_bert4rec.plots.style import save
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.stopping import EXIT_INTERRUPTED
from anime_bert4rec.support.whole_files import write_aside, write_json
from config import EvaluationSettings, PathSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Settings(ScriptSettings):
    asked: EvaluationSettings = group("whom")
    paths: PathSettings = group("files")


@script
def main(argv: Sequence[str] | None = None) -> int:
    settings = parse(argv, Settings, "Say how well the trained model ranks, on users whose lists were not trained on.")
    paths = settings.paths
    with logging_to():
        report = evaluate_run(paths, settings.asked.newcomers)
        plot = paths.plots / RANKING_COMPARISON
        print(f"{report.whole}\n\nThe numbers: {paths.evaluation_file}\nThe plot:    {plot}")
        if paths.report_page.exists():
            print(f"The page:    {paths.report_page}, once visualize.py has written it anew")
    return 0


@dataclass(frozen=True)
class Report:
    """What is said of an evaluation."""

    lines: list[str]
    """A line for each task, of at most 80 characters."""
    whole: str
    """All tables, and what they mean; the content of evaluation.txt."""


def evaluate_run(paths: PathSettings, newcomers: bool = False) -> Report:
    """Evaluate best_model.pth in the output folder; writes evaluation.json, evaluation.txt, ranking_comparison.png.

    The database is that of the training unless `paths.db` names one. It may have changed: those who were held out are
    asked, and, if so wished, newcomers. Raises UserError, one line.
    """
    run = load_run(paths.models, paths.db, newcomers)
    answers, model, scorer = answers_of(run), run.model, ModelScorer(run.model)
    sets = None if model.unordered_memory is None else scorer_of_sets(model)
    asked = run.data.validation.user_ids
    moments = in_time.measure_in_time(scorer, sets, model.recent_strengths, run.recent, asked, run.seed)
    likes = liked.measure_liked(scorer, model.predicted_scores, run.data.scores, run.data.scored)
    whole = "\n\n".join([tables(answers, run.since), *in_time.paragraphs(moments), *liked.paragraphs(likes)])
    report = Report([*short_lines(answers), *liked.short_lines(likes)], whole)
    numbers = {"in_time": in_time.as_json(moments), "liked": liked.as_json(likes)}
    write_json(paths.evaluation_file, as_json(run, answers) | numbers)
    with write_aside(paths.evaluation_text) as file:
        file.write(f"{report.whole}\n".encode())
    facts = f"{len(run.data.training):,} training users · {run.data.vocabulary.num_items:,} anime"
    save(ranking_comparison(answers, facts), paths.plots / RANKING_COMPARISON)
    return report


def answers_of(run: TrainedRun) -> Answers:
    """What the model and the baselines answer when they are asked about the validation users. Raises UserError."""
    training, num_items = run.data.training, run.data.vocabulary.num_items
    tasks = ask(run.data.validation, run.seed)
    if not tasks:
        raise UserError("no validation user has two entries: there is nothing to ask; load more with load_users.py")
    settings = tune(training, num_items, tasks, run.seed)
    of_lists, of_sets = ModelScorer(run.model), scorer_of_sets(run.model)
    return measure_all(of_lists, of_sets, settings, tasks, run.franchise, training, num_items, run.seed)


def evaluate_the_best(paths: PathSettings, whole: bool) -> int:
    """`evaluate_run` at the end of a training, which is done and saved whatever happens here. Returns the exit code.

    A line for each task on stdout and where the tables are, or all tables if they are wanted.
    """
    try:
        report = evaluate_run(paths)
    except KeyboardInterrupt:
        log.info("Stopped in the evaluation. The training is complete and saved; evaluate.py does the rest.")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        own = isinstance(error, UserError | OSError)
        log.error("The evaluation failed: %s", error if own else repr(error), exc_info=not own)
        log.error("The training is complete and saved; run evaluate.py to try the evaluation again.")
        return EXIT_ERROR
    print("\n" + report.whole if whole else "\n".join(report.lines))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
