"""All scripts as a user runs them: in a terminal, against an AniList over HTTP."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from datetime import datetime

import pytest
from loopback_anilist import LoopbackAniList

from anime_bert4rec.lists.records import Anime, ListEntry
from anime_bert4rec.model.run_folder import RunFolder
from anime_bert4rec.training.output_folder import move_earlier_run_aside
from config import PROJECT_DIR

pytestmark = pytest.mark.usefixtures("two_threads")


@pytest.fixture(scope="module")
def anilist():
    chance = random.Random(0)
    anime = [Anime(k, title_romaji=f"Title {k}", popularity=10_000 - 50 * k) for k in range(1, 161)]
    users = {
        f"user{u}": [
            ListEntry(1000 * u + k, anime_id, "COMPLETED", completed=20200101 + k % 28)
            for k, anime_id in enumerate(sorted(chance.sample(range(1, 161), chance.randint(25, 60))))
        ]
        for u in range(1, 31)
    }
    users["hermit"] = users["user1"]
    users["newcomer"] = users["user1"][:5]
    with LoopbackAniList(anime=anime, users=users, private={"hermit"}) as server:
        yield server


def test_three_scripts_from_an_empty_folder_to_the_plots(anilist, tmp_path):
    names = [*(f"user{u}" for u in range(1, 31)), "hermit", "newcomer", "nobody"]
    (tmp_path / "names.txt").write_text("# friends\n" + "\n".join(names) + "\n")
    files = ["--db", "bert.db"]

    def run(script, *flags):
        done = subprocess.run(
            [sys.executable, PROJECT_DIR / script, *flags],
            cwd=tmp_path,
            env={**os.environ, "ANILIST_API_URL": anilist.url},
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        return done

    run("prepare_dataset.py", "--count", "150", "--requests-per-minute", "0", *files)
    assert len(anilist.requests) == 3

    loaded = run("load_users.py", "--file", "names.txt", "--requests-per-minute", "0", *files)
    assert len(anilist.requests) == 3 + len(names)
    for complaint in ('names.txt:32: "hermit"', 'names.txt:33: "newcomer"', 'names.txt:34: "nobody"'):
        assert complaint in loaded.stderr

    flags = ["--epochs", "3", "--hidden-size", "16", "--max-seq-len", "40", "--output-dir", "out"]
    trained = run("train_model.py", *flags, *files)
    assert "Best of 3 epochs" in trained.stdout and "nothing can be told" in trained.stdout
    summary = json.loads((tmp_path / "out/plots/training_metrics.json").read_text())["summary"]
    assert (summary["users_train"], summary["users_val"], summary["num_items"]) == (27, 3, 150)

    assert (tmp_path / "out/evaluation.json").exists()
    (tmp_path / "out/plots/ranking_comparison.png").unlink()
    evaluated = run("evaluate.py", "--output-dir", "out")
    assert evaluated.stdout.startswith((tmp_path / "out/evaluation.txt").read_text(encoding="utf-8"))
    (tmp_path / "out/plots/ranking_comparison.png").unlink()

    plots = sorted((tmp_path / "out/plots").glob("*.png"))
    assert [plot.stem for plot in plots] == [
        "accuracy_curve",
        "anime_map",
        "combined_metrics",
        "data_overview",
        "learning_curve",
        "loss_curve",
    ]
    for plot in plots:
        plot.unlink()
    drawn = run("visualize.py", "--output-dir", "out")
    assert all(plot.exists() and plot.name in drawn.stdout for plot in plots)
    assert not list(tmp_path.rglob("*.part"))

    # The next run moves all of it aside: every file that a run makes is known by its name.
    assert move_earlier_run_aside(RunFolder(tmp_path / "out"), datetime(2026, 1, 2)) is not None
    left = [path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {str(path) for path in left if path.parts[0] not in ("old", "logs")} == {".lock", "training.log"}
