"""A larger program may have set torch up for its own models: answers stay the same, or what is in the way is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import knowing_recommender

from anime_bert4rec import Recommender
from anime_bert4rec.model.model_files import save_item_mappings, save_model
from anime_bert4rec.model.predicted_scores import PredictedScores
from anime_bert4rec.model.run_folder import BEST_MODEL, ITEM_MAPPINGS
from anime_bert4rec.support.errors import ModelFileError, UserError


@pytest.fixture
def output(tmp_path: Path) -> Path:
    recommender, random = knowing_recommender(ordered=True), np.random.default_rng(0)
    mean, factors = random.normal(size=30).astype(np.float32), random.normal(size=(30, 3)).astype(np.float32)
    scores = PredictedScores(mean, factors, np.array([70, 15], np.float32)).with_weight(0.5)
    recommender._score.model.predicted_scores = scores
    (tmp_path / "models").mkdir()
    save_item_mappings(tmp_path / "models" / ITEM_MAPPINGS, recommender.vocabulary)
    save_model(tmp_path / "models" / BEST_MODEL, recommender._score.model, epoch=1, val_loss=1.0)
    return tmp_path


@pytest.fixture(autouse=True)
def settings_as_before() -> Iterator[None]:
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)


def answers(recommender: Recommender) -> list[object]:
    best = recommender.recommend([1, 2, 3], 5, alike=1.0)
    together = recommender.recommend({1, 2, 3}, 5)
    liked = recommender.recommend([1, 2, 3], 5, scores={1: 90, 2: 50}, by="score")
    predicted = recommender.predicted_scores([1, 2], [90, 50], [3, 4])
    because = recommender.because([1, 2, 3], [best[0].anime_id])
    return [best, together, liked, predicted, because, recommender.similar(1, 3)]


@pytest.mark.parametrize("loaded_before", [True, False])
def test_another_device_or_autocast_changes_nothing(output: Path, loaded_before: bool) -> None:
    expected, before = answers(Recommender.load(output)), Recommender.load(output)
    torch.set_default_device("meta")  # in the place of a GPU: what is made there has no numbers
    assert answers(before if loaded_before else Recommender.load(output)) == expected
    torch.set_default_device(None)
    before = Recommender.load(output)
    with torch.autocast("cpu", torch.bfloat16):
        assert answers(before if loaded_before else Recommender.load(output)) == expected
        assert torch.is_autocast_enabled("cpu")


def test_another_type_of_numbers_is_named_and_not_the_file(output: Path) -> None:
    before = Recommender.load(output)
    torch.set_default_dtype(torch.float64)
    for ask in (lambda: Recommender.load(output), lambda: before.recommend([1])):
        with pytest.raises(UserError, match=r"torch's default is torch\.float64") as found:
            ask()
        assert not isinstance(found.value, ModelFileError)
