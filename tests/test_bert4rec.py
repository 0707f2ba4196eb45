"""The model: what it may see, what it must not, and that it learns."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from bert4rec import BERT4Rec, ModelConfig
from metrics import ranks, top_k_hits
from sequences import PAD

ITEMS = 50
MASK = ITEMS + 1


def make_model(**changes):
    torch.manual_seed(0)
    settings = {"num_items": ITEMS, "hidden_size": 32, "num_heads": 2, "max_seq_len": 12, "dropout": 0.0} | changes
    return BERT4Rec(ModelConfig(**settings))


def masked_lists(count, length=8):
    """Lists that go up by one: what is behind a mask follows from its neighbours."""
    starts = torch.randint(1, ITEMS - length, (count, 1))
    items = starts + torch.arange(length)
    at = torch.randint(0, length, (count,))
    slots = torch.arange(count) * length + at
    targets = items.view(-1)[slots].clone()
    items.view(-1)[slots] = MASK
    return items, slots, targets


def test_logits_are_of_the_items_at_the_slots():
    model = make_model().eval()
    items, slots, _ = masked_lists(5)
    logits = model(items, slots)
    assert logits.shape == (5, ITEMS)
    hidden = model.project(model.encode(items))[torch.arange(5), slots - 8 * torch.arange(5)]
    by_hand = hidden @ model.item_embedding.weight[1 : ITEMS + 1].T + model.item_bias
    assert torch.allclose(logits, by_hand, atol=1e-5)


def test_padding_changes_nothing():
    model = make_model().eval()
    items, slots, _ = masked_lists(3)
    padded = F.pad(items, (4, 0), value=PAD)
    shifted = slots + 4 * (slots // 8 + 1)
    assert torch.allclose(model(items, slots), model(padded, shifted), atol=1e-5)


def test_other_rows_of_the_batch_change_nothing():
    model = make_model().eval()
    items, slots, _ = masked_lists(6)
    alone = model(items[2:3], slots[2:3] - 16)
    assert torch.allclose(model(items, slots)[2:3], alone, atol=1e-5)


def test_attention_goes_both_ways():
    model = make_model().eval()
    items = torch.tensor([[1, 2, MASK, 4, 5]])
    before, after = items.clone(), items.clone()
    before[0, 0], after[0, 4] = 9, 9
    slot = torch.tensor([2])
    assert not torch.allclose(model(items, slot), model(before, slot), atol=1e-4)
    assert not torch.allclose(model(items, slot), model(after, slot), atol=1e-4)


def test_the_padding_is_never_learnt():
    model = make_model()
    items, slots, targets = masked_lists(4)
    items = F.pad(items, (2, 0), value=PAD)
    F.cross_entropy(model(items, slots + 2 * (slots // 8 + 1)), targets - 1).backward()
    assert model.item_embedding.weight.grad[PAD].abs().sum() == 0
    assert model.item_embedding.weight.grad[MASK].abs().sum() > 0


def test_it_can_start_from_popularity():
    model = make_model()
    popularity = 100 * torch.arange(1.0, ITEMS + 1)
    model.start_from_popularity(popularity)
    items, slots, _ = masked_lists(50)
    guess = model(items, slots).softmax(1).mean(0)
    assert torch.allclose(guess, popularity / popularity.sum(), rtol=0.3)


def test_it_starts_close_to_a_guess():
    model = make_model()
    items, slots, targets = masked_lists(200)
    assert F.cross_entropy(model(items, slots), targets - 1).item() == pytest.approx(math.log(ITEMS), abs=0.3)


def test_it_learns_what_follows_from_the_neighbours():
    model = make_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(400):
        items, slots, targets = masked_lists(64)
        loss = F.cross_entropy(model(items, slots), targets - 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    items, slots, targets = masked_lists(500)
    top_1 = top_k_hits(ranks(model.eval()(items, slots), targets - 1))[0].item() / 500
    assert top_1 > 0.5  # by chance: 0.02


def test_a_model_that_copies_its_input_scores_nothing():
    """At a masked position the input is the mask; whoever copies what is visible there has no item to offer.

    Counted over every position, the same copying would look like 7 of 8 right.
    """
    items, slots, targets = masked_lists(500)
    copied = F.one_hot(items, ITEMS + 2)[:, :, 1:-1].float()
    at_masks = copied.flatten(0, 1)[slots]
    assert top_k_hits(ranks(at_masks, targets - 1))[0].item() == 0

    everywhere = ranks(copied.flatten(0, 1), (items.flatten().clamp(max=ITEMS)) - 1)
    assert top_k_hits(everywhere)[0].item() / items.numel() == pytest.approx(7 / 8)
