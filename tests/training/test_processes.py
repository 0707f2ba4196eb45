"""Training by real processes that torchrun starts: the same numbers as one, and what happens when one of them dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import draw_nothing, make_database

import train_model
from anime_bert4rec.lists.sequences import Sequences
from anime_bert4rec.model import training_data
from anime_bert4rec.model.batches import Batch, MaskedBatches, WholeLists, share_of
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.hidden_positions import BatchSettings
from anime_bert4rec.model.masked_metrics import masked_cross_entropy
from anime_bert4rec.model.run_folder import LATEST_CHECKPOINT
from anime_bert4rec.training.checkpoints import load_checkpoint
from anime_bert4rec.training.processes import ProcessLost, naming_a_lost_process
from config import PROJECT_DIR

SMALL = [
    "--val-ratio=0.3",
    "--hidden-size=16",
    "--num-heads=2",
    "--max-seq-len=30",
    "--batch-size=7",
    "--dropout=0",
    "--lr=0.01",
    "--patience=0",
]
EPOCHS = "20"


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_database(tmp_path_factory.mktemp("data"), anime=200)


def flags(db: Path, output: Path, *more: str) -> list[str]:
    return ["--sandbox", "--db", str(db), "--output-dir", str(output), *SMALL, *more]


ALONE_TOO = (
    "import train_model; from anime_bert4rec.model import training_data as t; t.LISTS_TO_ANSWER_ALONE = 0; "
    "train_model.plot_all = lambda *_: None; raise SystemExit(train_model.main())"
)
"""Training without pictures in which some weights have no part in some steps, as with many lists."""


def torchrun(processes: int, script: Path, arguments: list[str]) -> subprocess.Popen[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = f"-m torch.distributed.run --master-addr 127.0.0.1 --master-port {port} --nproc-per-node {processes}"
    return subprocess.Popen(
        [sys.executable, *launch.split(), script, *arguments],
        cwd=PROJECT_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT_DIR)},
    )


def metrics_of(output: Path) -> dict:
    return json.loads((output / "plots" / "training_metrics.json").read_text())


def test_a_process_dies_and_one_alone_goes_on_to_the_numbers_of_one_process(
    db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a run that begins with an earlier model, of fewer people and anime: some weights are its, others are new."""
    draw_nothing(monkeypatch)
    monkeypatch.setattr(training_data, "LISTS_TO_ANSWER_ALONE", 0)
    earlier = tmp_path / "earlier"
    assert train_model.main(flags(make_database(tmp_path, 40, 180), earlier, "--epochs", "1")) == 0
    more = ["--epochs", EPOCHS, "--from-model", str(earlier)]
    (tmp_path / "alone_too.py").write_text(ALONE_TOO)
    run = torchrun(2, tmp_path / "alone_too.py", flags(db, tmp_path / "several", *more))
    until = time.monotonic() + 60
    while not (tmp_path / "several" / "plots" / "training_metrics.json").exists():
        assert run.poll() is None and time.monotonic() < until, run.communicate()
        time.sleep(0.001)
    os.kill(process_of_rank(1, run.pid), signal.SIGKILL)
    out, err = run.communicate(timeout=60)
    assert run.returncode != 0
    assert "To go on: the same command with --resume." in err
    assert err.count("2 processes, each with its share") == out.count("Best of") == 1, "process 0 alone speaks"
    assert 'train_model.py", line' not in err, "no traceback of ours"
    config = json.loads((tmp_path / "several" / "models" / "training_config.json").read_text())
    assert config["processes"] == 2 and config["model"]["answers_alone"]
    done = metrics_of(tmp_path / "several")["summary"]["epochs_done"]
    assert 0 < done < int(EPOCHS)

    assert train_model.main(flags(db, tmp_path / "one", *more)) == 0
    assert train_model.main(flags(db, tmp_path / "several", *more, "--resume")) == 0
    one, several = metrics_of(tmp_path / "one"), metrics_of(tmp_path / "several")
    assert len(several["val_losses"]) == int(EPOCHS)
    for name in ("train_losses", "val_losses"):
        assert several[name] == pytest.approx(one[name], rel=1e-4)
        assert several[name][:done] == pytest.approx(one[name][:done], rel=1e-5)
    moved = max(one["val_losses"]) - min(one["val_losses"])
    assert moved > 10 * 1e-4 * one["val_losses"][0], "nothing was learnt that could differ by more than it may"
    for k in ("1", "5", "10", "20"):  # a count more or less where the scores of two anime are all but the same
        assert several["val_accuracies"][k] == pytest.approx(one["val_accuracies"][k], abs=0.02)


def test_where_torchrun_is_killed_its_processes_end_and_save(db: Path, tmp_path: Path) -> None:
    run = torchrun(2, PROJECT_DIR / "train_model.py", flags(db, tmp_path, "--epochs", "100000"))
    until = time.monotonic() + 60
    while not (tmp_path / "plots" / "training_metrics.json").exists():
        assert run.poll() is None and time.monotonic() < until, run.communicate()
        time.sleep(0.001)
    run.kill()
    _, err = run.communicate(timeout=60)  # which ends when the last of the processes has closed what it writes to
    assert "To go on: the same command with --resume." in err and "Traceback" not in err
    done = metrics_of(tmp_path)["summary"]["epochs_done"]
    assert load_checkpoint(tmp_path / "checkpoints" / LATEST_CHECKPOINT)["epoch"] == done < 100_000
    assert (tmp_path / "models" / "final_model.pth").exists()


@pytest.mark.parametrize(("processes", "named"), [("2", ProcessLost), ("1", RuntimeError), (None, RuntimeError)])
def test_only_of_several_processes_one_is_lost(
    monkeypatch: pytest.MonkeyPatch, processes: str | None, named: type[Exception]
) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    if processes:
        monkeypatch.setenv("RANK", "0")
        monkeypatch.setenv("WORLD_SIZE", processes)
    with pytest.raises((ProcessLost, RuntimeError)) as caught, naming_a_lost_process():
        raise RuntimeError("Connection closed by peer")
    assert caught.type is named


def process_of_rank(rank: int, parent: int) -> int:
    """By the environment that torchrun gives its processes."""
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if f"RANK={rank}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            return int(pid)
    raise AssertionError("no such process")


MASKS = Batch(
    items=torch.tensor([[0, 9, 2], [3, 4, 9], [9, 9, 5]]),
    rows=torch.tensor([0, 1, 2, 2]),
    columns=torch.tensor([1, 2, 0, 1]),
    targets=torch.tensor([1, 6, 7, 8]),
    entries=torch.tensor([[-1, 0, 1], [5, 6, 7], [-1, -1, -1]]),
    lists=WholeLists(torch.tensor([1, 2, 3, 4, 6]), torch.tensor([0, 2, 5])),
)


def positions(batch: Batch) -> list[tuple[int, int, int]]:
    """Row, column and target of each item that is asked for."""
    return list(zip(batch.rows.tolist(), batch.columns.tolist(), batch.targets.tolist(), strict=True))


def test_a_share_is_some_rows_which_are_counted_anew() -> None:
    first, second = (share_of(MASKS, rank, 2) for rank in range(2))
    assert first.items.tolist() == [[0, 9, 2]] and second.items.tolist() == [[3, 4, 9], [9, 9, 5]]
    assert positions(first) == [(0, 1, 1)]
    assert positions(second) == [(0, 2, 6), (1, 0, 7), (1, 1, 8)]
    assert second.entries.tolist() == [[5, 6, 7], [-1, -1, -1]]
    assert (first.lists.items.tolist(), first.lists.starts.tolist()) == ([1, 2], [0])
    assert (second.lists.items.tolist(), second.lists.starts.tolist()) == ([3, 4, 6], [0, 3])
    assert (first.weight, second.weight) == (0.5, 1.5)  # 2 processes × 1 or 3 of 4 targets


def test_a_share_of_cuts_has_all_cuts_and_its_rows_of_what_is_masked() -> None:
    where = torch.tensor([0, 2, 3]), torch.tensor([8, 8, 8])
    cuts = Batch(torch.ones(4, 9, dtype=torch.long), *where, torch.tensor([11, 15, 17]))
    masked = torch.rand(4, 8) < 0.5
    cuts = cuts._replace(cuts=torch.tensor([4, 8]), masked=masked)
    first, second = (share_of(cuts, rank, 2) for rank in range(2))
    assert (positions(first), first.weight) == ([(0, 8, 11)], pytest.approx(2 / 3))
    assert (positions(second), second.weight) == ([(0, 8, 15), (1, 8, 17)], pytest.approx(4 / 3))
    assert first.places.tolist() == [1] and second.places.tolist() == [1, 1]
    assert second.cuts.tolist() == [4, 8]
    assert torch.equal(torch.cat([first.masked, second.masked]), masked) and len(first.masked) == len(first.items)


@pytest.mark.parametrize("cut_share", [0.0, 1.0])
@pytest.mark.parametrize("world", [2, 3, 8])
def test_the_gradients_of_the_shares_have_the_mean_of_the_whole_batch(world: int, cut_share: float) -> None:
    torch.manual_seed(0)
    model = BERT4Rec(ModelConfig(num_items=49, hidden_size=8, num_heads=2, max_seq_len=10, dropout=0.0))
    torch.nn.init.normal_(model.project.weight)

    def gradients(batch: Batch) -> torch.Tensor:
        model.zero_grad()
        (masked_cross_entropy(model(batch), batch.targets - 1) * batch.weight).backward()
        return torch.cat([weight.grad.flatten() for weight in model.parameters()])

    batch = some_batches(cut_share)[1]
    shares = [share_of(batch, rank, world) for rank in range(world)]
    assert len({share.weight for share in shares}) > 1
    mean = torch.stack([gradients(share) for share in shares]).mean(0)
    torch.testing.assert_close(mean, gradients(batch), rtol=1e-4, atol=1e-6)


def some_batches(cut_share: float) -> MaskedBatches:
    random = np.random.default_rng(4)
    lengths = random.integers(2, 15, 23)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    blocks = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    return MaskedBatches(
        Sequences(random.integers(1, 50, offsets[-1]), blocks, offsets, np.arange(23)),
        BatchSettings(49, 6, max_seq_len=10, mask_prob=0.3, seed=1, cut_share=cut_share, whole_lists=True),
        epoch=1,
    )


def test_a_process_without_a_target_takes_a_step_that_counts_for_nothing() -> None:
    one_row = Batch(torch.tensor([[3, 9]]), torch.tensor([0]), torch.tensor([1]), torch.tensor([4]))
    idle, busy = (share_of(one_row, rank, 2) for rank in range(2))
    assert (idle.weight, busy.weight) == (0.0, 2.0)
    assert positions(idle) == positions(busy) == [(0, 1, 4)] and idle.items.tolist() == [[3, 9]]


@pytest.mark.parametrize("world", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("cut_share", [0.0, 1.0])
def test_the_shares_together_have_every_target_once(world: int, cut_share: float) -> None:
    batches = some_batches(cut_share)
    for batch in (batches[k] for k in range(len(batches))):
        shares = [share_of(batch, rank, world) for rank in range(world)]
        counted = [share for share in shares if share.weight]
        assert torch.cat([share.targets for share in counted]).equal(batch.targets)
        assert sum(share.weight for share in shares) == pytest.approx(world)
        for name in ("items", "visible", "entries"):
            rows = torch.cat([getattr(share, name) for share in counted])
            assert len(rows) <= len(batch.items) and {*map(tuple, rows.tolist())} <= {
                *map(tuple, getattr(batch, name).tolist())
            }
        for share in counted:
            inputs = share.items[share.rows, share.columns]
            assert (inputs == 50).all() if share.cuts is None else inputs.equal(share.targets)
            assert len(share.lists.starts) == len(share.items)
