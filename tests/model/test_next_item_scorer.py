"""Scores of whoever the memory was made of are those of one that was made without them, in parts of any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anime_bert4rec.evaluation import ranking
from anime_bert4rec.evaluation.ranking import ranks_by
from anime_bert4rec.lists.sequences import Sequences
from anime_bert4rec.model import bert4rec
from anime_bert4rec.model.batches import Batch
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.memory_tables import Tables
from anime_bert4rec.model.next_item_scorer import ModelScorer
from config import PROJECT_DIR

ITEMS = 12


@pytest.fixture(autouse=True)
def same_ridge_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that leaving a list out is exact."""
    monkeypatch.setattr("anime_bert4rec.model.memory_tables.UNORDERED_POPULARITY_RIDGE", 0.0)


def made_up_lists(count: int) -> Sequences:
    random = np.random.default_rng(0)
    lists = [random.choice(ITEMS, random.integers(3, 9), replace=False) + 1 for _ in range(count)]
    offsets = np.cumsum([0, *map(len, lists)])
    return Sequences(np.concatenate(lists).astype(np.int32), np.zeros(offsets[-1], np.int32), offsets, np.arange(count))


def model_of(lists: Sequences) -> BERT4Rec:
    nothing = torch.zeros(0, dtype=torch.long)
    batch = Batch(torch.ones(1, 3, dtype=torch.long), nothing, nothing, nothing)
    memory = Tables(lists, ITEMS, ITEMS, False, None, batch).memory(1.0, 5.0, 0.0)
    memory.strength[:, memory.config.terms.index("direction")] = 0  # of which the half without a list is left, no more
    config = ModelConfig(ITEMS, hidden_size=8, num_layers=1, num_heads=1, ordered=False, memory=memory.config)
    torch.manual_seed(0)
    return BERT4Rec(config, memory)


@pytest.mark.parametrize("newer", [0, 1])
def test_a_list_of_the_memory_is_scored_as_though_it_had_not_been_counted(newer, monkeypatch):
    monkeypatch.syspath_prepend(str(PROJECT_DIR / "benchmarks"))
    from ours import CountedScorer  # which compare.py asks

    lists = made_up_lists(20)
    histories = [lists.of_user(user) for user in range(len(lists))]
    unseen = [np.setdiff1d(np.arange(1, ITEMS + 1), history) for history in histories]
    if newer:
        histories = [np.append(history, rest[0]) for history, rest in zip(histories, unseen, strict=True)]
    got = CountedScorer(model_of(lists), newer)(histories)
    counted = ModelScorer(model_of(lists))(histories)
    for user, history in enumerate(histories):
        others = lists.select(np.delete(np.arange(len(lists)), user))
        expected = ModelScorer(model_of(others))([history])[0]
        columns = unseen[user][newer:] - 1
        assert got[user, columns] == pytest.approx(expected[columns], abs=1e-4)
        assert np.abs(counted[user, columns] - expected[columns]).max() > 0.01


def test_in_parts_nobody_is_taken_for_another(monkeypatch):
    lists = made_up_lists(30)
    targets = np.array([np.setdiff1d(np.arange(1, ITEMS + 1), lists.of_user(user))[-1] for user in range(len(lists))])
    scorer = ModelScorer(model_of(lists))
    whole = ranks_by(scorer, lists, targets)
    monkeypatch.setattr(ranking, "USERS_AT_ONCE", 7)
    assert ranks_by(scorer, lists, targets).ranks.tolist() == whole.ranks.tolist()


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize(
    ("layers", "max_seq_len", "sure"), [(1, 15, 0), (2, 15, 0), (2, 8, 0), (3, 15, 0), (2, 15, 60)]
)
def test_without_each_of_some_entries_is_as_one_by_one(ordered, layers, max_seq_len, sure, monkeypatch):
    """In several parts; also where the window is shorter than the history, and where a position looks at one item
    alone (`sure`)."""
    monkeypatch.setattr(bert4rec, "LEFT_OUT_AT_ONCE", 3)
    torch.manual_seed(0)
    config = ModelConfig(ITEMS, 8, num_layers=layers, num_heads=2, max_seq_len=max_seq_len, ordered=ordered)
    model = BERT4Rec(config)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    if sure:
        model.layers[0].key.weight.data.mul_(sure)
    scorer, history = ModelScorer(model), np.array([3, 9, 1, 12, 7, 5, 2, 11, 8, 10, 6])
    places = np.arange(max(0, len(history) - max_seq_len), len(history))
    got = scorer.without_each(history, places)
    expected = np.concatenate([scorer([np.delete(history, place)]) for place in places])
    assert got == pytest.approx(expected, abs=1e-4, rel=1e-4)
    shown = model.leaving_out(torch.from_numpy(history[-max_seq_len - ordered :]), model.known())
    assert (shown is not None) == (layers == 2 and not sure), "else it is the plain way"
