"""One of the project's baselines, its settings chosen on validation. Started by compare.py."""

from __future__ import annotations

import argparse
import time

from contender import emit, parse, peak_memory_mb, seconds_of, top_10
from full_grids import NAMES, choose_named

from anime_bert4rec.evaluation.ranking import ranks_by


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--baseline", choices=NAMES, required=True)
    args, split = parse(parser)
    chosen = choose_named(args.baseline, split.training, split.num_items, split.training, split.validation_items)
    clock = time.perf_counter()
    chosen.baseline.fit(split.training, split.num_items)
    fit_seconds = time.perf_counter() - clock
    peak = peak_memory_mb()

    top_10_seconds = seconds_of(lambda: top_10(chosen.scorer, split.known))
    emit(
        ranks_by(chosen.scorer, split.known, split.test_items),
        settings=repr(chosen.baseline),
        train_seconds=round(fit_seconds, 3),
        top_10_seconds=round(top_10_seconds, 3),
        peak_mb=round(peak),
        validation_ndcg=round(chosen.ndcg, 5),
    )


if __name__ == "__main__":
    main()
