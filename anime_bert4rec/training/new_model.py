"""The model that a training begins with: its form, and what can be known of the lists without training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from anime_bert4rec.model.bert4rec import EMBEDDING_SPREAD, BERT4Rec, ModelConfig
from anime_bert4rec.model.item_memory import ItemMemory
from anime_bert4rec.model.item_space import ItemSpace
from anime_bert4rec.model.memory_fitting import fit_memories, fit_unordered_memories
from anime_bert4rec.model.memory_pairs import Pairs
from anime_bert4rec.model.predicted_scores import fit_scores
from anime_bert4rec.model.recent_strengths import Lately, RecentStrengths, fit_recent
from anime_bert4rec.model.score_weight import fit_weight
from anime_bert4rec.model.training_data import Data, RunSettings
from anime_bert4rec.model.two_threads import one_thread

ALIKE_AT_FIRST = 0.8
"""This share of the variance of the embeddings that training starts from is what items that go together share."""


def network_for(data: Data, settings: RunSettings) -> ModelConfig:
    """The form of the network, which needs nothing to be fitted.

    Raises UserError if the training is to begin with an earlier model that has another form.
    """
    config = ModelConfig(
        num_items=data.vocabulary.num_items,
        hidden_size=settings.hidden_size,
        num_layers=settings.num_layers,
        num_heads=settings.num_heads,
        max_seq_len=settings.max_seq_len,
        dropout=settings.dropout,
        feed_forward_ratio=2 if data.enough_for_a_wide_network else 1,
        ordered=data.ordered,
        answers_alone=data.answers_alone(settings.memory),
    )
    if data.earlier is not None:
        data.earlier.check_form(config, settings.memory)
    return config


def build_model(data: Data, settings: RunSettings, fitted: BERT4Rec | None = None) -> BERT4Rec:
    """A model that already knows what can be known of the training lists without training, or by an earlier training.

    fitted: another model of the same run, so that nothing is fitted again.
    """
    torch.manual_seed(settings.seed)
    config = network_for(data, settings)
    memory, unordered_memory, recent_strengths = fit_memory_and_starts(data, settings, fitted)
    if memory is not None:
        sizes_of_sets = None if unordered_memory is None else unordered_memory.config
        config = replace(config, memory=memory.config, unordered_memory=sizes_of_sets)
    model = BERT4Rec(config, memory, unordered_memory)
    if memory is not None:
        begin_alike(model)
    if memory is None or config.answers_alone:
        model.start_from_popularity(torch.from_numpy(data.popularity()))
    if data.earlier is not None:
        data.earlier.give_to(model, data.vocabulary, data.alike)
    if fitted is not None:
        model.predicted_scores = fitted.predicted_scores
    elif data.scores is not None:
        predicted = fit_scores(data.scores, data.alike)
        model.predicted_scores = None if predicted is None else fit_weight(model, predicted, data.scored)
    model.recent_strengths = recent_strengths
    return model


def fit_memory_and_starts(
    data: Data, settings: RunSettings, fitted: BERT4Rec | None
) -> tuple[ItemMemory | None, ItemMemory | None, RecentStrengths | None]:
    """The memory, where lists have an order that for titles without one, and what recent starts count for.

    All three are None without a memory. The last is fitted beside memories of the lists as they were before the starts.
    """
    if not settings.memory:
        return None, None, None
    counted, num_items, seed = data.training.select(data.counted), data.vocabulary.num_items, settings.seed
    if fitted is not None and fitted.memory is not None:
        fitted.memory.pairs = Pairs.of(counted) if data.ordered else None
        return fitted.memory, fitted.unordered_memory, fitted.recent_strengths
    lately = None if data.recent is None else Lately(data.recent, counted, seed)
    if lately and not lately.enough:
        lately = None
    lists = [counted, lately.lists_before] if lately else [counted]
    memories = fit_memories(lists, num_items, settings.max_seq_len, seed, data.alike, data.in_catalogue)
    sets: Sequence[ItemMemory | None] = [None] * len(lists)
    if data.ordered:
        sets = fit_unordered_memories(lists, num_items, seed=seed, alike=data.alike, in_catalogue=data.in_catalogue)
    recent_strengths = fit_recent(lately, memories[1], settings.max_seq_len, sets[1]) if lately else None
    return memories[0], sets[0], recent_strengths


@torch.no_grad()
@one_thread()
def begin_alike(model: BERT4Rec) -> None:
    """Let the embeddings of items that go together, by the memory, begin near each other.

    They stay noise of the same spread, but most of each is a random projection, which keeps angles, of the item's
    direction among the others. So the network need not learn from few lists what the memory knows of them.
    """
    directions = torch.from_numpy(ItemSpace.of_lists(model).directions)
    embeddings = model.item_embedding.weight[1:-1]
    shared = EMBEDDING_SPREAD * directions @ torch.randn(directions.shape[1], embeddings.shape[1])
    has_direction = directions.any(1, keepdim=True)
    share = ALIKE_AT_FIRST * has_direction
    embeddings.copy_(share**0.5 * shared + (1 - share) ** 0.5 * embeddings)
