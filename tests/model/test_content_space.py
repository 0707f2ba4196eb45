"""What items are about, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import small_models
from one_memory import fit_memory, fit_unordered_memory
from small_lists import ITEMS, sequences_of, some_lists

from anime_bert4rec.lists.common_traits import CONTENT
from anime_bert4rec.lists.sequences import Sequences
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.content_space import ContentSpace
from anime_bert4rec.model.ranking_leaning import TitleLikeness


def test_what_few_items_have_counts_for_more() -> None:
    """Of six items the first three are of one genre, the second and third of a tag, the fourth of a genre alone."""
    space = ContentSpace.of_groups(np.array([0, 1, 1, 2, 2, 3]), np.array([0, 0, 1, 0, 1, 4]), 6)
    genre, tag = math.log(6 / 3), math.log(6 / 2)
    both = genre / math.hypot(genre, tag)
    assert space.cosines(np.array([1])) == pytest.approx([1, both, both, 0, 0, 0])
    assert space.cosines(np.array([2])) == pytest.approx([both, 1, 1, 0, 0, 0])
    # (1, 0) and (both, √(1 - both²)): half the angle to either.
    half = math.cos(math.acos(both) / 2)
    assert space.cosines(np.array([1, 3])) == pytest.approx([half, half, half, 0, 0, 0])
    assert space.cosines(np.array([1, 1, 3]))[0] > half, "what is named twice counts twice"
    assert space.cosines(np.array([4, 6])) == pytest.approx([0, 0, 0, 1, 0, 0])
    assert space.cosines(np.array([5, 6])) == pytest.approx(np.zeros(6)), "nothing is known of them"


def test_what_all_items_have_says_nothing() -> None:
    space = ContentSpace.of_groups(np.array([0, 1, 2]), np.array([0, 0, 0]), 3)
    assert space.cosines(np.array([1])) == pytest.approx(np.zeros(3))


def test_a_models_is_that_of_its_memory_of_sets() -> None:
    alike = sequences_of([1, 2, 5], [3, 4], [4, 5])
    alike = Sequences(alike.items, alike.blocks, alike.offsets, np.array([0, CONTENT, CONTENT]))
    memory = fit_unordered_memory(some_lists(unordered=True), ITEMS, seed=0, alike=alike)
    model = BERT4Rec(ModelConfig(ITEMS, 4, num_heads=2, ordered=False, memory=memory.config), memory)
    space = ContentSpace.of(model)
    assert space is not None
    assert space.cosines(np.array([3])).nonzero()[0].tolist() == [2, 3], "1 and 2 are of one studio"
    by_hand = ContentSpace.of_groups(np.array([2, 3, 3, 4]), np.array([0, 0, 1, 1]), ITEMS)
    assert space.cosines(np.array([4])) == pytest.approx(by_hand.cosines(np.array([4])))
    what_follows = fit_memory(some_lists(), ITEMS, max_seq_len=20, seed=0, alike=alike)
    in_order = ModelConfig(ITEMS, 4, num_heads=2, memory=what_follows.config, unordered_memory=memory.config)
    likeness = TitleLikeness.of(BERT4Rec(in_order, what_follows, memory))
    assert likeness.by_content is not None and np.array_equal(likeness.by_content.values, space.values)
    assert ContentSpace.of(small_models.knowing_recommender(False)._score.model) is None, "without a catalogue"
    assert ContentSpace.of(BERT4Rec(ModelConfig(6, 4, num_heads=2))) is None
