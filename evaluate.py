"""Say how well the trained model ranks, on the validation users, whom training never saw, and beside baselines.

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

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch starts its threads, as in train_model.py

from anime_bert4rec.command_line.flags import Parser, add_flags, pick
from anime_bert4rec.command_line.script import EXIT_ERROR, logging_to, parse, script
from anime_bert4rec.evaluation.beside_baselines import evaluate_model
from anime_bert4rec.evaluation.report import as_json, tables
from anime_bert4rec.evaluation.trained_run import load_run
from anime_bert4rec.plots.ranking_comparison import ranking_comparison
from anime_bert4rec.plots.style import save
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.stopping import EXIT_INTERRUPTED
from anime_bert4rec.support.whole_files import write_json
from config import EvaluationSettings, PathSettings

log = logging.getLogger(__name__)


@script
def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description="Say how well the trained model ranks, on users whom training never saw.")
    add_flags(parser, EvaluationSettings, "whom")
    add_flags(parser, PathSettings, "files")
    args = parse(parser, argv)
    with logging_to():
        evaluate_run(pick(args, PathSettings), pick(args, EvaluationSettings).newcomers)
    return 0


def evaluate_run(paths: PathSettings, newcomers: bool = False) -> None:
    """Evaluate best_model.pth in the output folder: tables on stdout, evaluation.json, ranking_comparison.png.

    The database is that of the training unless `paths.db` names one. It may have changed: those who were held out are
    asked, and, if so wished, newcomers. Raises UserError, one line.
    """
    run = load_run(paths, newcomers)
    answers = evaluate_model(run)
    write_json(paths.evaluation_file, as_json(run, answers))
    facts = f"{len(run.data.training):,} training users · {run.data.vocabulary.num_items:,} anime"
    plot = paths.plots / "ranking_comparison.png"
    save(ranking_comparison(answers, facts), plot)
    print(f"{tables(answers, run.asked)}\n\nThe numbers: {paths.evaluation_file}\nThe plot:    {plot}")


def evaluate_the_best(paths: PathSettings) -> int:
    """`evaluate_run` at the end of a training, which is done and saved whatever happens here. Returns the exit code."""
    print(flush=True)
    try:
        evaluate_run(paths)
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
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
