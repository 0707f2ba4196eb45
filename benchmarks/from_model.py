"""What beginning with an earlier model saves: a training from nothing beside one with --from-model, on the same lists.

    python benchmarks/from_model.py
    python benchmarks/from_model.py --people 7000 --epochs 15 --more-epochs 3 --hidden-size 32 --max-seq-len 50

The lists are the sandbox's. The earlier model has seen nine tenths of them, and not the newest anime that somebody has
listed; the same people are held out, but for one or two where lists are too short without those. The two curves go to
plots/comparison.png, and the numbers to from_model.json, in --output.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import report

from anime_bert4rec.anilist.sandbox import Sandbox, user_names
from anime_bert4rec.command_line.script import script
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.sequences import split_users
from anime_bert4rec.lists.user_names import name_key
from anime_bert4rec.support.whole_files import read_json, write_json
from config import TrainingSettings, UserListSettings

SHARE_OF_NEW = 10
"""One list in so many is new to the earlier model."""


@script
def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    full, earlier = args.output / "full.db", args.output / "earlier.db"
    if not earlier.exists():
        make(full, args.people, args.anime, set(), set())
        people, anime = new_in(full, args.seed, args.new_anime)
        make(earlier, args.people, args.anime, people, anime)
    sizes = [f"--hidden-size={args.hidden_size}", f"--max-seq-len={args.max_seq_len}", f"--seed={args.seed}"]
    runs = {
        "earlier": (earlier, [f"--epochs={args.epochs}"]),
        "nothing": (full, [f"--epochs={args.epochs}"]),
        "more": (full, [f"--epochs={args.more_epochs}", f"--from-model={args.output / 'earlier'}"]),
    }
    losses, seconds = {}, {}
    for name, (database, flags) in runs.items():
        seconds[name] = train(database, args.output / name, [*sizes, *flags])
        losses[name] = read_json(args.output / name / "plots" / "training_metrics.json")["val_losses"]
    compared = [str(args.output / name) for name in ("nothing", "more")]
    run("visualize.py", "--compare", *compared, "--output-dir", args.output)
    result = said(losses["nothing"], losses["more"])
    print(f"{result}; CPU time of the two trainings {seconds['nothing']:.0f} and {seconds['more']:.0f} s")
    write_json(
        args.output / "from_model.json",
        {
            "machine": report.machine(),
            "settings": vars(args) | {"output": str(args.output)},
            "losses": losses,
            "seconds": seconds,
        },
    )
    return 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--people", type=int, default=1150, help="of the sandbox (default: 1150, of 1,000 lists and more)"
    )
    parser.add_argument("--anime", type=int, default=3000, help="how many anime (default: 3000)")
    parser.add_argument("--new-anime", type=int, default=100, help="so many of them are new (default: 100)")
    parser.add_argument("--epochs", type=int, default=30, help="of the earlier run, and from nothing (default: 30)")
    parser.add_argument("--more-epochs", type=int, default=6, help="of the run from the model (default: 6)")
    parser.add_argument("--hidden-size", type=int, default=64, help="width of the model (default: 64)")
    parser.add_argument("--max-seq-len", type=int, default=100, help="longest list (default: 100)")
    parser.add_argument("--seed", type=int, default=42, help="(default: 42)")
    parser.add_argument(
        "--output", type=Path, default=Path("output/from_model"), help="a folder (default: output/from_model)"
    )
    return parser


def make(path: Path, people: int, anime: int, without_people: Collection[str], without_anime: Collection[int]) -> None:
    """A database of the sandbox, without some people, by their keys, and some anime; there when it is complete."""
    sandbox, part = Sandbox(), path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with Database.open(part, create=True) as database:
        fetch = database.resume_or_start_catalogue_fetch("POPULARITY_DESC", anime)
        for page in sandbox.top_anime(anime, "POPULARITY_DESC"):
            known = tuple(each for each in page.anime if each.anime_id not in without_anime)
            database.save_catalogue_page(fetch.fetch_id, dataclasses.replace(page, anime=known))
        for name in user_names(people):
            if name_key(name) not in without_people:
                database.save_user_list(sandbox.user_list(name), name, int(time.time()), UserListSettings().min_anime)
    part.replace(path)


def new_in(path: Path, seed: int, count: int) -> tuple[set[str], set[int]]:
    """Whom and which anime the earlier model is not to know: a tenth of the people, and the newest anime on lists.

    Of those who are held out so many are new that all others are held out again.
    """
    with Database.open(path, create=False) as database:
        keys = [key for _, key in database.user_keys()]
        catalogue = database.anime(sorted({anime_id for _, anime_id, *_ in database.iter_watched()}))
    ratio, people = TrainingSettings().val_ratio, len(keys)
    training, held_out = split_users(keys, ratio, seed)
    for new in range(people // SHARE_OF_NEW, people):
        new_held_out = len(held_out) - round((people - new) * ratio)
        if new_held_out == max(round(new * ratio), 1):
            break
    chosen = [*training[: new - new_held_out].tolist(), *held_out[:new_held_out].tolist()]
    by_date = sorted(catalogue, key=lambda each: (each.start_date or 0, each.anime_id))
    return {keys[each] for each in chosen}, {each.anime_id for each in by_date[len(by_date) - count :]}


def train(database: Path, output: Path, flags: Sequence[str]) -> float:
    """Returns the seconds of CPU time."""
    before = os.times()
    run("train_model.py", "--sandbox", "--db", database, "--output-dir", output, "--quiet", *flags)
    return sum(os.times()[2:4]) - sum(before[2:4])


def run(script: str, *flags: Any) -> None:
    subprocess.run([sys.executable, str(HERE.parent / script), *map(str, flags)], check=True, stdout=sys.stderr)


def said(nothing: Sequence[float], more: Sequence[float]) -> str:
    """In which epoch the run from the model reaches what the other ends with at its best."""
    best = min(nothing)
    reached = next((epoch for epoch, loss in enumerate(more, 1) if loss <= best), None)
    at = "not reached" if reached is None else f"reached in epoch {reached} of {len(more)}"
    return f"{best:.4f} after {len(nothing)} epochs from nothing ({nothing[0]:.4f} after one), {at} from the model"


if __name__ == "__main__":
    raise SystemExit(main())
