"""What baselines score at masked positions, worked out anew, one position at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anime_bert4rec.evaluation import masked_baselines
from anime_bert4rec.evaluation.baselines import EASE, ItemKNN, MarkovChain
from anime_bert4rec.evaluation.masked_baselines import baseline_accuracies
from anime_bert4rec.lists.sequences import PAD, Sequences, Vocabulary
from anime_bert4rec.model.batches import Batch, MaskedBatches
from anime_bert4rec.model.hidden_positions import BatchSettings
from anime_bert4rec.model.training_data import Data

ITEMS = 30


def some_lists(count: int, seed: int, ordered: bool) -> Sequences:
    random = np.random.default_rng(seed)
    lists = [np.sort(random.permutation(ITEMS)[: random.integers(4, 13)]) + 1 for _ in range(count)]
    lengths = np.array([len(items) for items in lists])
    blocks = np.concatenate([np.arange(length) if ordered else np.zeros(length) for length in lengths])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return Sequences(np.concatenate(lists).astype(np.int32), blocks.astype(np.int32), offsets, np.arange(count))


def data_and_batches(ordered: bool) -> tuple[Data, list[Batch]]:
    data = Data(Vocabulary(np.arange(1, ITEMS + 1)), some_lists(60, 0, ordered), some_lists(40, 1, ordered))
    settings = BatchSettings(ITEMS, batch_size=4, max_seq_len=8, mask_prob=0.3, seed=0, whole_lists=not ordered)
    batches = MaskedBatches(data.validation, settings, None)
    return data, [batches[number] for number in range(len(batches))]


@pytest.mark.parametrize("ordered", [True, False])
def test_baselines_see_what_the_model_sees_and_nothing_else(ordered: bool) -> None:
    data, batches = data_and_batches(ordered)
    assert data.ordered == ordered
    found = baseline_accuracies(data, batches)
    assert set(found) == {"popularity", "item-kNN", "EASE"} | ({"Markov chain"} if ordered else set())
    for name, baseline in (("item-kNN", ItemKNN()), ("EASE", EASE()), ("Markov chain", MarkovChain())):
        if name not in found:
            continue
        scorer = baseline.fit(data.training, ITEMS)
        right = []
        for batch in batches:
            for row, column, target in zip(*(part.tolist() for part in batch[1:4]), strict=True):
                shown = batch.items[row].numpy() if batch.visible is None else batch.visible[row].numpy()
                seen = shown[(shown != PAD) & (shown != ITEMS + 1)]
                before = batch.items[row, :column].numpy()
                history = before[(before != PAD) & (before != ITEMS + 1)] if name == "Markov chain" else seen
                assert target not in seen
                scores = scorer([history])[0]
                scores[seen - 1] = -np.inf
                right.append(np.sum(scores >= scores[target - 1]) <= 5)
        assert found[name]["5"] == pytest.approx(np.mean(right))
        assert 0 < np.mean(right) < 1


def test_the_chain_is_left_out_where_it_would_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masked_baselines, "MOST_POSITIONS", 5)
    assert "Markov chain" not in baseline_accuracies(*data_and_batches(True))


def test_positions_are_asked_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = baseline_accuracies(*data_and_batches(True))
    monkeypatch.setattr(masked_baselines, "POSITIONS_AT_ONCE", 2)
    assert baseline_accuracies(*data_and_batches(True)) == whole


def test_popularity_by_hand() -> None:
    # Items 1, 2, 3 are on 3, 2 and 1 lists; asked for are 1, 3 and 3.
    lists = Sequences(
        np.array([1, 2, 3, 1, 2, 1], np.int32), np.zeros(6, np.int32), np.array([0, 3, 5, 6]), np.arange(3)
    )
    data = Data(Vocabulary(np.arange(1, 4)), lists, lists)
    batch = Batch(torch.tensor([[4, 4, 4]]), torch.zeros(3).long(), torch.arange(3), torch.tensor([1, 3, 3]))
    assert baseline_accuracies(data, [batch])["popularity"] == {"1": 1 / 3, "5": 1, "10": 1, "20": 1}
    shown = batch._replace(items=torch.tensor([[1, 4, 4]]), columns=torch.tensor([1, 2]), targets=torch.tensor([2, 3]))
    shown = shown._replace(rows=torch.zeros(2).long())
    assert baseline_accuracies(data, [shown])["popularity"] == {"1": 1 / 2, "5": 1, "10": 1, "20": 1}
