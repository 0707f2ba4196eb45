"""On a GPU training comes to what it comes to on a CPU. Skipped where there is none: the other tests never use one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from small_runs import training_flags

import train_model
from config import PROJECT_DIR


@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("precision", [[], ["--fp16"]], ids=["fp32", "fp16"])
@pytest.mark.parametrize("memory", ["--memory", "--no-memory"])
def test_a_gpu_comes_to_what_a_cpu_comes_to(db, tmp_path, memory, precision):
    flags = ["--epochs", "5", "--dropout", "0.1", memory]
    assert train_model.main(training_flags(db, tmp_path / "cpu", *flags)) == 0
    done = subprocess.run(
        [sys.executable, "train_model.py", *training_flags(db, tmp_path / "gpu", *flags, *precision)],
        cwd=PROJECT_DIR,
        env={name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    if "No CUDA GPU was found" in done.stderr:
        pytest.skip("torch finds no GPU")
    cpu, gpu = (
        json.loads((tmp_path / name / "plots" / "training_metrics.json").read_text()) for name in ("cpu", "gpu")
    )
    tolerance = 0.01 if precision else 0.001
    assert gpu["val_losses"] == pytest.approx(cpu["val_losses"], abs=tolerance)
