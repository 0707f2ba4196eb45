"""How popular items are, by a few lists and by the catalogue."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from one_memory import fit_memory, fit_unordered_memory
from small_lists import sequences_of

from anime_bert4rec.model.batches import WholeLists, ask_what_comes_next
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.memory_fitting import fit_memories
from anime_bert4rec.model.memory_popularity import LEAST, likelihood, log_popularity, popularity_prior, shares
from anime_bert4rec.model.model_files import load_model, save_model
from anime_bert4rec.support.errors import ModelFileError

ITEMS = 6
LISTS = [[1, 2], [2, 1], [3, 1], [1, 3], [1, 2, 3]] * 4
IN_CATALOGUE = np.array([900, 500, 300, 10, 800, 20], np.float32)


def lists_of(ordered):
    return sequences_of(*LISTS, blocks=None if ordered else [[0] * len(one) for one in LISTS])


def test_the_likelihood_is_that_of_drawing_one_after_the_other():
    """What is drawn is put back with one more of it: 1 of 1 + 3, then 2 of 5, then 3 of 6."""
    assert likelihood(torch.tensor([2.0, 1.0]).double(), np.array([1.0, 3.0])) == pytest.approx(
        math.log(1 / 4 * 2 / 5 * 3 / 6)
    )


@pytest.mark.parametrize("entries", [16.0, 1024.0, 16384.0])
@pytest.mark.parametrize("power", [0.5, 1.5])
def test_number_and_power_are_found_again(entries, power):
    random = np.random.default_rng(0)
    in_catalogue = np.exp(random.normal(0, 2, 5000))
    chances = random.dirichlet(entries * shares(in_catalogue, power, 0.1))
    counts = random.multinomial(4000, chances)
    found = popularity_prior(counts, in_catalogue)
    assert found.sum() == pytest.approx(entries + LEAST * (found == np.float32(LEAST)).sum(), rel=0.5)
    popular = np.argsort(-in_catalogue)[[50, 500]]
    if (found[popular] > 2 * LEAST).all():
        one, other = np.log(found[popular]), np.log(in_catalogue[popular])
        assert (one[0] - one[1]) / (other[0] - other[1]) == pytest.approx(power, abs=0.35)


def test_where_the_catalogue_says_nothing_of_what_is_listed_all_are_the_same():
    counts = np.tile([50.0, 0.0], 500)
    in_catalogue = np.repeat([1000.0, 1.0], 500)
    found = popularity_prior(counts, in_catalogue)
    assert found.max() / found.min() < 1.05


def test_without_a_popularity_in_the_catalogue_there_is_no_prior():
    counts = np.array([3.0, 1.0])
    assert popularity_prior(counts, None) is None and popularity_prior(counts, np.zeros(2)) is None
    memory = fit_memory(lists_of(False), ITEMS, max_seq_len=4, seed=0)
    assert memory.expected_popularity().tolist() == [each + 30 for each in memory.popularity.tolist()]
    assert memory.popularity_prior is None and not memory.config.popularity_prior


def test_log_popularity_by_hand():
    popularity, prior = torch.tensor([3.0, 1.0, 0.0]), torch.tensor([2.0, 0.25, 4.0])
    assert log_popularity(popularity, None, None).exp()[0].tolist() == pytest.approx([3.5, 1.5, 0.5])
    assert log_popularity(popularity, prior, None).exp()[0].tolist() == pytest.approx([5, 1.25, 4])
    lists = WholeLists(torch.tensor([1, 2, 1]), torch.tensor([0, 2]))  # of one person items 1 and 2, of another item 1
    expected = [[4, 0.25, 4], [4, 1.25, 4]]
    for row, by_hand in zip(log_popularity(popularity, prior, lists).exp(), expected, strict=True):
        assert row.tolist() == pytest.approx(by_hand)


@pytest.mark.parametrize("ordered", [True, False])
def test_it_is_a_part_of_the_memory_of_today_alone(ordered):
    lists = lists_of(ordered)
    now, before = fit_memories([lists, lists], ITEMS, 4, 0, None, IN_CATALOGUE)
    assert now.config.popularity_prior and before.popularity_prior is None
    torch.testing.assert_close(now.popularity_prior.numpy(), popularity_prior(now.popularity.numpy(), IN_CATALOGUE))
    of_sets = fit_unordered_memory(lists, ITEMS, seed=0, in_catalogue=IN_CATALOGUE)
    torch.testing.assert_close(of_sets.popularity_prior, now.popularity_prior)


def test_of_what_is_on_one_list_the_one_that_the_catalogue_says_is_popular_comes_first():
    lists = sequences_of(*LISTS, [4, 5], blocks=[[0] * len(one) for one in [*LISTS, [4, 5]]])
    memory = fit_memory(lists, ITEMS, max_seq_len=4, seed=0, in_catalogue=IN_CATALOGUE)
    logs = memory.by_popularity(ask_what_comes_next([np.array([1, 2])], ITEMS + 1, 4, False))[0]
    assert logs[4] > logs[3]


@pytest.mark.parametrize(("name", "value"), [("popularity", -1), ("popularity_prior", -3), ("popularity_prior", 0)])
def test_a_file_with_numbers_of_lists_that_there_cannot_be_is_refused(tmp_path, name, value):
    """Their logarithm would be no number."""
    memory = fit_memory(lists_of(False), ITEMS, max_seq_len=4, seed=0, in_catalogue=IN_CATALOGUE)
    model = BERT4Rec(ModelConfig(ITEMS, 8, 1, 1, 4, ordered=False, memory=memory.config), memory)
    save_model(tmp_path / "model.pth", model, epoch=1, val_loss=1.0)
    assert torch.equal(load_model(tmp_path / "model.pth")[0].memory.popularity_prior, memory.popularity_prior)
    getattr(memory, name)[-1] = value
    save_model(tmp_path / "model.pth", model, epoch=1, val_loss=1.0)
    with pytest.raises(ModelFileError, match=rf"memory\.{name} is below what can be counted"):
        load_model(tmp_path / "model.pth")
