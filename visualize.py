"""Draws the course of a training run from training_metrics.json: four PNGs in the plots folder.

    python visualize.py
    python visualize.py --metrics elsewhere/training_metrics.json --output-dir elsewhere

train_model.py calls `plot_all` itself; run this script to draw again, or to look at a run that was killed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import plot_style as style
from config import OutputSettings, Parser, add_flags, pick
from console import script
from curves import PLOTS
from run_metrics import read_metrics


def plot_all(metrics: Mapping[str, Any] | Path, plots_dir: Path) -> list[Path]:
    """Draw the four plots into `plots_dir` from what training_metrics.json holds, or from that file.

    Returns their paths. Raises UserError, one line, when the metrics are not in the form that train_model.py writes;
    epochs that are missing, NaN or null are gaps.
    """
    checked = read_metrics(metrics)
    paths = []
    for name, draw in PLOTS.items():
        style.save(draw(checked), plots_dir / name)
        paths.append(plots_dir / name)
    return paths


@script
def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description="Draw the course of a training run.")
    parser.add_argument(
        "--metrics",
        type=Path,
        metavar="FILE",
        help="the numbers of the run (default: plots/training_metrics.json under the output folder)",
    )
    add_flags(parser, OutputSettings, "paths")
    args = parser.parse_args(argv)
    paths = pick(args, OutputSettings)
    for path in plot_all(args.metrics or paths.metrics_file, paths.plots):
        print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
