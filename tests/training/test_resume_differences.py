"""What may differ between a run and the command that goes on with it, and what is said of the rest."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.training.resume import differences
from config import TrainingSettings


@pytest.mark.parametrize("setting", dataclasses.fields(TrainingSettings), ids=lambda setting: setting.name)
def test_what_batches_and_weights_depend_on_may_not_change(setting):
    """Otherwise the rest of the run would not be the rest of the same run."""
    may_change = {"epochs", "lr", "use_gpu", "use_fp16", "precision", "num_workers", "patience", "evaluate"}
    before = {**dataclasses.asdict(TrainingSettings()), "data": "the same"}
    now = {**before, setting.name: 7}
    said = differences(before, now, Path(), Path(), Vocabulary.of([1]))
    assert len(said) == (setting.name not in may_change) and all("is 7 now" in each for each in said)


def test_a_split_seed_that_holds_out_other_people_is_said():
    def said(before, now):
        settings = dataclasses.asdict(TrainingSettings())
        return differences({**settings, **before}, {**settings, **now}, Path(), Path(), Vocabulary.of([1]))

    assert said({"split_seed": None}, {"split_seed": 7}) == ["--split-seed was 42, is 7 now"]
    assert said({"split_seed": None}, {"split_seed": 42}) == []
    assert said({"seed": 1, "split_seed": 7}, {"seed": 1, "split_seed": 7}) == []
    assert said({"seed": 1, "split_seed": 7}, {"seed": 2, "split_seed": 7}) == ["--seed was 1, is 2 now"]
