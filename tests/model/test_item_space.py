"""The vectors of items: with a memory by its table, without one by the network's embeddings."""

from __future__ import annotations

import numpy as np
import pytest
import small_models
import torch

from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.item_memory import ItemMemory
from anime_bert4rec.model.item_space import ItemSpace, placed_columns, spectral, vectors_of
from anime_bert4rec.model.memory_config import MemoryConfig
from anime_bert4rec.support.errors import UserError


def test_spectral_is_what_eigenvectors_give() -> None:
    random = np.random.default_rng(0)
    basis = np.linalg.qr(random.normal(size=(20, 20)))[0]
    table = basis @ np.diag([50.0, 30.0, 20.0] + [0.1] * 17) @ basis.T
    found = spectral(table, 3)
    assert found @ found.T == pytest.approx(table, abs=0.3)


def test_the_vectors_of_some_columns_are_made_of_their_part_of_the_table() -> None:
    memory = ItemMemory(MemoryConfig(num_items=6, table_size=4, ordered=False, recency=1.0))
    memory.kept.copy_(torch.tensor([0, 2, 3, 5]))
    inverse = torch.eye(4)
    inverse[1, 3] = inverse[3, 1] = -0.5  # with P the table, the weight between i and j is -P_ij / P_jj
    memory.ease.inverse = inverse
    model = BERT4Rec(ModelConfig(6, 4, num_heads=2, memory=memory.config), memory)
    assert placed_columns(model).tolist() == [0, 2, 3, 5]
    found = vectors_of(model, np.array([2, 5]))
    assert found.dtype == np.float32
    # The table [[0, .5], [.5, 0]] has the eigenvalue .5 of (1, 1) / √2, and -.5, which is left at zero.
    assert found @ found.T == pytest.approx(np.full((2, 2), 0.25), abs=1e-6)
    assert vectors_of(model, np.array([0, 2])) == pytest.approx(np.zeros((2, 2)))


def test_cosines_are_of_directions_and_0_without_one() -> None:
    vectors = np.array([[3, 0], [0, 4], [0, 0]], np.float32)
    space = ItemSpace(np.array([0, 2, 4]), vectors, num_items=5)  # items 1, 3 and 5 have a vector, the last of length 0
    assert space.cosines(np.array([1])) == pytest.approx([1, 0, 0, 0, 0])
    assert space.cosines(np.array([1, 3])) == pytest.approx([0.5**0.5, 0, 0.5**0.5, 0, 0])
    assert space.cosines(np.array([1, 2, 5, 3, 3])) == pytest.approx([0.2**0.5, 0, 0.8**0.5, 0, 0])
    assert space.cosines(np.array([2, 5])) == pytest.approx(np.zeros(5))
    assert space.cosines(np.array([], int)) == pytest.approx(np.zeros(5))


@pytest.mark.parametrize("ordered", [True, False])
def test_the_vectors_of_lists_are_those_that_are_there(ordered: bool) -> None:
    model = small_models.knowing_recommender(ordered)._score.model
    memory = model.unordered_memory if ordered else model.memory
    assert memory is not None and memory.direction is not None
    space, direction = ItemSpace.of_lists(model), memory.direction
    assert np.shares_memory(space.vectors, direction.vectors[0].numpy()), "nothing is computed"
    # The memory weighs the cosine with two titles by half, for they are few.
    of_memory = direction(torch.tensor([[4, 9]]), None)[0]
    assert space.cosines(np.array([4, 9])) / 2 == pytest.approx(of_memory.numpy(), abs=1e-6)
    of_map = ItemSpace.of(model)
    assert np.corrcoef(of_map.cosines(np.array([4])), space.cosines(np.array([4])))[0, 1] > 0.9


def test_without_vectors_of_as_many_items_they_are_computed() -> None:
    model = small_models.knowing_recommender(False)._score.model
    assert model.memory is not None and model.memory.direction is not None
    of_map = ItemSpace.of(model).vectors
    model.memory.direction.columns = model.memory.direction.columns[:20]
    assert np.array_equal(ItemSpace.of_lists(model).vectors, of_map)
    model.memory.direction = None
    assert np.array_equal(ItemSpace.of_lists(model).vectors, of_map)


def test_without_a_memory_they_are_the_embeddings() -> None:
    model = BERT4Rec(ModelConfig(6, 4, num_heads=2))
    assert placed_columns(model).tolist() == list(range(6))
    assert np.array_equal(vectors_of(model, np.array([1, 4])), model.item_embedding.weight[[2, 5]].detach().numpy())


def test_weights_beyond_all_measure_are_refused() -> None:
    model = BERT4Rec(ModelConfig(6, 4, num_heads=2))
    torch.nn.init.constant_(model.item_embedding.weight, 2e6)
    with pytest.raises(UserError, match="such as no training leaves"):
        vectors_of(model, np.array([1, 4]))
    known = small_models.knowing_recommender(False)._score.model
    assert known.memory is not None and known.memory.direction is not None
    known.memory.direction.vectors *= 1e20
    with pytest.raises(UserError, match="such as no training leaves"):
        ItemSpace.of_lists(known)
