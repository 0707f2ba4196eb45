"""On a GPU training comes to what it comes to on a CPU. Skipped where there is none (test_pretended_gpu.py is not): the
other tests never use one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from small_runs import draw_nothing, training_flags

import train_model
from config import PROJECT_DIR


def run_on_gpu(script, *flags):
    """What a script says on stdout and stderr."""
    done = subprocess.run(
        [sys.executable, script, *flags],
        cwd=PROJECT_DIR,
        env={name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    if "No CUDA GPU was found" in done.stderr:
        pytest.skip("torch finds no GPU")
    return done.stdout


@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("precision", [[], ["--fp16"]], ids=["fp32", "fp16"])
@pytest.mark.parametrize("memory", ["--memory", "--no-memory"])
def test_a_gpu_comes_to_what_a_cpu_comes_to(db, tmp_path, monkeypatch, memory, precision):
    """In three epochs, and in two more that go on from the checkpoint; on either, titles are recommended by what it has
    come to, and the other one's run can be gone on with."""
    cpu, gpu = (training_flags(db, tmp_path / name, "--dropout", "0.1", memory) for name in ("cpu", "gpu"))
    draw_nothing(monkeypatch)
    for more in (["--epochs", "3"], ["--epochs", "5", "--resume"]):
        assert train_model.main([*cpu, *more]) == 0
        run_on_gpu("train_model.py", *gpu, *precision, *more)
    on_cpu, on_gpu = (
        json.loads((tmp_path / name / "plots" / "training_metrics.json").read_text()) for name in ("cpu", "gpu")
    )
    tolerance = 0.01 if precision else 0.001
    assert on_gpu["val_losses"] == pytest.approx(on_cpu["val_losses"], abs=tolerance)
    asked = ["--sandbox", "--db", str(db), "--output-dir", str(tmp_path / "gpu"), "--user", "sandbox0001"]
    assert len(json.loads(run_on_gpu("recommend.py", *asked, "--format", "json"))) > 0
    assert train_model.main([*gpu, "--epochs", "6", "--resume"]) == 0
    run_on_gpu("train_model.py", *cpu, *precision, "--epochs", "6", "--resume")
