"""The model: what it may see, what it must not, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from one_memory import fit_memory
from small_lists import cut_at, masked_at

from anime_bert4rec.lists.sequences import PAD, Sequences
from anime_bert4rec.model.batches import Batch, MaskedBatches, ask_what_comes_next
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.fast_parts import Dropout, TiedEmbedding
from anime_bert4rec.model.hidden_positions import BatchSettings
from anime_bert4rec.model.masked_metrics import masked_cross_entropy, ranks, top_k_hits
from anime_bert4rec.model.memory_config import MemoryConfig

ITEMS = 50
MASK = ITEMS + 1
NO_DROPOUT = Dropout(0.0, 0)


def make_model(**changes):
    torch.manual_seed(0)
    settings = {"num_items": ITEMS, "hidden_size": 32, "num_heads": 2, "max_seq_len": 12, "dropout": 0.0} | changes
    return BERT4Rec(ModelConfig(**settings))


def model_with_an_opinion(**changes):
    """A model starts with hardly one; here every parameter is random."""
    model = make_model(**changes)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
        model.item_embedding.weight[PAD] = 0
    return model.eval()


def masked_lists(count, length=8):
    """Lists that go up by one: what is behind a mask follows from its neighbours."""
    starts = torch.randint(1, ITEMS - length, (count, 1))
    items = starts + torch.arange(length)
    at = torch.arange(count), torch.randint(0, length, (count,))
    targets = items[at].clone()
    items[at] = MASK
    return Batch(items, *at, targets)


def padded(batch, left):
    """The same batch with so much padding on the left."""
    return Batch(F.pad(batch.items, (left, 0), value=PAD), batch.rows, batch.columns + left)


def normed(hidden):
    return (hidden - hidden.mean(-1, keepdim=True)) / (hidden.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()


def attention(layer, hidden, unseen=0.0):
    """Head by head, of every position; unseen: added to the scores [B, 1, L, L]."""
    (length, size), heads = hidden.shape[1:], layer.config.num_heads
    query, key, value = (normed(hidden) @ part.weight.T for part in (layer.query, layer.key, layer.value))
    mixed = []
    for head in range(heads):
        part = slice(size // heads * head, size // heads * (head + 1))
        scores = query[..., part] @ key[..., part].transpose(1, 2) / (size // heads) ** 0.5
        if layer.config.ordered:
            distances = torch.arange(length) - torch.arange(length)[:, None]  # from the query to the key
            scores = scores + layer.distance[head, layer.config.max_seq_len + distances]
        mixed.append((scores + unseen).softmax(-1) @ value[..., part])
    return torch.cat(mixed, -1) @ layer.attention_output.weight.T


def feed_forward(layer, hidden):
    gate, wide = normed(hidden) @ layer.gate.weight.T, normed(hidden) @ layer.feed_forward.weight.T
    return (gate * gate.sigmoid() * wide) @ layer.feed_forward_output.weight.T


def all_states(model, items, causal=False):
    """Hidden states at every position, by the formulas: side by side in each layer but the last."""
    hidden = model.item_embedding(items) * model.config.hidden_size**0.5
    unseen = (items == PAD)[:, None] * -1e9
    if causal:
        unseen = unseen + torch.full((items.shape[1], items.shape[1]), -1e9).triu(1)
    *layers, last = model.layers
    for layer in layers:
        hidden = hidden + attention(layer, hidden, unseen) + feed_forward(layer, hidden)
    hidden = hidden + attention(last, hidden, unseen)
    return hidden + feed_forward(last, hidden)


def plain_logits(model, hidden):
    return model.project(model.norm(hidden)) @ model.item_embedding.weight[1 : ITEMS + 1].T + model.item_bias


@pytest.mark.parametrize("few", [True, False])  # queries: the last layer has a way for each
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("ordered", [True, False])
def test_only_what_is_read_is_computed_and_equals_the_plain_computation(ordered, layers, few, monkeypatch):
    monkeypatch.setattr("anime_bert4rec.model.encoder_layer.are_few", lambda *_: few)
    model = model_with_an_opinion(ordered=ordered, num_layers=layers)
    items = torch.randint(1, ITEMS + 1, (4, 9))
    items[1, :5] = PAD
    items[2, 3] = items[2, 6] = items[0, 8] = items[1, 7] = items[3, 0] = MASK
    rows, columns = (items == MASK).nonzero().T
    plain = plain_logits(model, all_states(model, items)[rows, columns])
    ours = model(Batch(items, rows, columns))
    assert torch.allclose(ours, plain, atol=1e-4)
    learnt = [weight for weight in model.parameters() if weight.requires_grad]
    gradients = (torch.autograd.grad(logits.square().sum(), learnt) for logits in (ours, plain))
    for own, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())


def test_a_layer_is_what_its_formula_says_with_and_without_a_gradient():
    layer, hidden = model_with_an_opinion().layers[0], torch.randn(1, 5, 32)
    expected = hidden + attention(layer, hidden) + feed_forward(layer, hidden)
    torch.testing.assert_close(
        layer.together(layer.apart(hidden, NO_DROPOUT), NO_DROPOUT, layer.distance_bias(5)), expected
    )
    with torch.no_grad():
        torch.testing.assert_close(
            layer.together(layer.apart(hidden, NO_DROPOUT), NO_DROPOUT, layer.distance_bias(5)), expected
        )


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("ordered", [True, False])
def test_what_the_first_layer_makes_of_items_may_be_known_before(ordered, layers, monkeypatch):
    model = model_with_an_opinion(ordered=ordered, num_layers=layers)
    at_once = 8
    monkeypatch.setattr("anime_bert4rec.model.bert4rec.STATES_AT_ONCE", at_once * 8 * model.config.hidden_size)
    lists = [np.random.default_rng(k).permutation(ITEMS)[: 1 + k % 7] + 1 for k in range(2 * at_once + 1)]
    batch = ask_what_comes_next(lists, MASK, 8, ordered)
    known = model.known()
    assert (known is None) == (layers == 1)
    with torch.no_grad():
        torch.testing.assert_close(model(batch, known=known), model(batch))


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("ordered", [True, False])
def test_many_cuts_of_a_row_equal_the_lists_cut_one_by_one(ordered, layers, few, monkeypatch):
    monkeypatch.setattr("anime_bert4rec.model.encoder_layer.are_few", lambda *_: few)
    model = model_with_an_opinion(ordered=ordered, num_layers=layers)
    items = torch.randint(1, ITEMS + 1, (3, 8))
    items[1, :4] = PAD
    cuts = torch.tensor([2, 5, 6, 8])
    rows, places = torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([0, 1, 3, 2, 3, 1])
    together = model(cut_at(items, cuts, rows, places))
    for k, (row, place) in enumerate(zip(rows.tolist(), places.tolist(), strict=True)):
        cut = items[row, : cuts[place]]
        cut = cut[cut != PAD][None]
        plain = plain_logits(model, all_states(model, cut, causal=True)[0, -1])
        assert torch.allclose(together[k], plain, atol=1e-4)


def test_a_cut_sees_nothing_of_what_follows():
    model = model_with_an_opinion()
    items = torch.randint(1, ITEMS + 1, (2, 8))
    batch = cut_at(items, torch.tensor([3, 6]), torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]))
    changed = items.clone()
    changed[:, 3:] = 1
    before, after = model(batch), model(batch._replace(items=changed))
    assert torch.allclose(before[[0, 2]], after[[0, 2]], atol=1e-5)
    assert not torch.allclose(before[[1, 3]], after[[1, 3]], atol=1e-3)


def test_padding_changes_nothing():
    model = model_with_an_opinion()
    batch = masked_lists(3)
    assert torch.allclose(model(batch), model(padded(batch, 4)), atol=1e-5)


def test_other_rows_of_the_batch_change_nothing():
    model = model_with_an_opinion()
    batch = masked_lists(6)
    by_itself = model(Batch(batch.items[2:3], batch.rows[2:3] - 2, batch.columns[2:3]))
    assert torch.allclose(model(batch)[2:3], by_itself, atol=1e-5)


def test_attention_goes_both_ways():
    model = model_with_an_opinion()
    items = torch.tensor([[1, 2, MASK, 4, 5]])
    before, after = items.clone(), items.clone()
    before[0, 0], after[0, 4] = 9, 9
    at = torch.tensor([2])
    assert not torch.allclose(model(masked_at(items, at)), model(masked_at(before, at)), atol=1e-4)
    assert not torch.allclose(model(masked_at(items, at)), model(masked_at(after, at)), atol=1e-4)


def test_distances_count_only_where_lists_have_an_order():
    items = torch.tensor([[1, 2, 3, MASK]])
    turned = torch.tensor([[3, 1, 2, MASK]])
    at = torch.tensor([3])
    for ordered in (True, False):
        model = model_with_an_opinion(ordered=ordered)
        same = torch.allclose(model(masked_at(items, at)), model(masked_at(turned, at)), atol=1e-4)
        assert same == (not ordered)


@pytest.mark.parametrize("length", [7, 8])  # before the cut: two whole blocks, and one more item
def test_without_gradients_it_says_the_same(length, monkeypatch):
    monkeypatch.setattr("anime_bert4rec.model.attention.QUERIES_AT_ONCE", 3)
    model = model_with_an_opinion()
    items = torch.randint(1, ITEMS + 1, (4, length))
    items[1, :2] = PAD
    batch = cut_once(items, length - 1)
    said = model(batch)
    with torch.no_grad():
        torch.testing.assert_close(model(batch), said)


def test_the_padding_is_never_learnt():
    model = model_with_an_opinion().train()
    batch = masked_lists(4)
    F.cross_entropy(model(padded(batch, 2)), batch.targets - 1).backward()
    assert model.item_embedding.weight.grad[PAD].abs().sum() == 0
    assert model.item_embedding.weight.grad[MASK].abs().sum() > 0


def test_it_starts_from_popularity():
    model = without_an_opinion(make_model())
    popularity = 100 * torch.arange(1.0, ITEMS + 1)
    model.start_from_popularity(popularity)
    guess = model(masked_lists(5)).softmax(1)
    assert torch.allclose(guess, (popularity / popularity.sum()).expand(5, -1), rtol=0.01)


def test_it_starts_from_the_guess_that_what_comes_next_is_like_the_last_item():
    model = make_model(hidden_size=64)
    items = torch.randint(1, ITEMS + 1, (9, 8))
    guess = model(cut_once(items, 7)).softmax(1)
    assert (guess.argmax(1) + 1 == items[:, 6]).all()
    assert guess.max() < 0.25  # it is not sure


def test_beside_the_memory_it_starts_with_hardly_an_opinion():
    memory = MemoryConfig(ITEMS, ITEMS, ordered=False, recency=1.0)
    beside, alone = (make_model(memory=memory, answers_alone=each) for each in (False, True))
    batch = cut_once(torch.randint(1, ITEMS + 1, (9, 8)), 7)
    opinions = [model(batch) - weight * model.memory(batch) for model, weight in ((beside, 1.0), (alone, 0.67))]
    assert opinions[0].abs().max() < 0.1
    torch.testing.assert_close(opinions[1], 4.5 * opinions[0], rtol=1e-3, atol=1e-5)


def without_an_opinion(model):
    torch.nn.init.zeros_(model.project.weight)
    return model


def cut_once(items, column):
    rows = torch.arange(len(items))
    return cut_at(items, torch.tensor([column]), rows, torch.zeros_like(rows), items[:, column])


def test_what_is_masked_for_the_network_looks_like_a_mask_to_it():
    model = model_with_an_opinion()
    items = torch.randint(1, ITEMS + 1, (9, 8))
    items[:, 0] = PAD
    at = torch.rand(9, 7) < 0.4
    masked = items.clone()
    masked[:, :7][at & (items[:, :7] != PAD)] = MASK
    got = model(cut_once(items, 7)._replace(masked=at))
    torch.testing.assert_close(got, model(cut_once(masked, 7)))
    assert not torch.allclose(got, model(cut_once(items, 7)))


def test_network_and_memory_together_and_the_network_alone():
    torch.manual_seed(0)
    places = np.tile(np.arange(6, dtype=np.int32), 8)
    lists = Sequences(places + 1, places, np.arange(0, 49, 6), np.arange(8))
    memory = fit_memory(lists, 7, max_seq_len=6, seed=1)  # nobody has item 7
    model, residual = (
        BERT4Rec(ModelConfig(7, 8, 2, 2, 6, dropout=0.0, memory=memory.config, answers_alone=each), memory)
        for each in (True, False)
    )
    batch = MaskedBatches(lists, BatchSettings(7, 4, max_seq_len=6, mask_prob=0.2, seed=1, cut_share=1.0), epoch=1)[0]
    with torch.no_grad():
        model.project.weight.normal_()
        model.item_bias.copy_(torch.arange(7.0))
    model.start_from_popularity(torch.tensor(lists.popularity(7)))
    popular = (torch.tensor([8.0] * 6 + [0.0]) + 0.5).log().log_softmax(0)
    residual.load_state_dict(model.state_dict(), strict=False)

    network = model(batch._replace(without_memory=True)) - popular  # without the memory it starts from what is popular
    together = 0.45 * network + 0.67 * memory(batch) + model.item_bias
    torch.testing.assert_close(model(batch), together)
    torch.testing.assert_close(residual(batch), network + memory(batch) + model.item_bias)
    masked_cross_entropy(model(batch), batch.targets - 1).backward()
    assert model.project.weight.grad.any() and model.alone_bias.grad is None


def test_it_learns_what_follows_from_the_neighbours():
    model = make_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(300):
        batch = masked_lists(64)
        loss = masked_cross_entropy(model(batch), batch.targets - 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    batch = masked_lists(500)
    top_1 = top_k_hits(ranks(model.eval()(batch), batch.targets - 1))[0].item() / 500
    assert top_1 > 0.5  # by chance: 0.02


def test_the_item_embeddings_learn_from_the_lists_and_from_the_logits(monkeypatch):
    model, batch = model_with_an_opinion(), masked_lists(6)
    model(batch).square().sum().backward()
    ours = model.item_embedding.weight.grad
    monkeypatch.setattr(TiedEmbedding, "look_up", lambda _, items: model.item_embedding(items).detach())
    assert not ours.is_sparse
    model.zero_grad()
    model(batch).square().sum().backward()
    by_logits = model.item_embedding.weight.grad
    in_lists = batch.items.unique()
    changed = (ours != by_logits).any(1).nonzero()[:, 0]
    assert torch.equal(changed, in_lists), "padding is in no list here, and the mask learns from lists alone"
    assert (ours[PAD] == 0).all()


def test_what_is_dropped_out_depends_on_the_seed_of_the_batch_alone():
    model, batch = model_with_an_opinion(dropout=0.3), masked_lists(6)
    model.train()
    first = model(batch._replace(seed=1))
    torch.rand(1)
    assert torch.equal(model(batch._replace(seed=1)), first)
    assert not torch.equal(model(batch._replace(seed=2)), first)


def test_a_model_that_copies_its_input_scores_nothing():
    """At a masked position the input is the mask; whoever copies what is visible there has no item to offer.

    Counted over every position, the same copying would look like 7 of 8 right.
    """
    items, rows, columns, targets = masked_lists(500)[:4]
    copied = F.one_hot(items, ITEMS + 2)[:, :, 1:-1].float()
    at_masks = copied[rows, columns]
    assert top_k_hits(ranks(at_masks, targets - 1))[0].item() == 0

    everywhere = ranks(copied.flatten(0, 1), (items.flatten().clamp(max=ITEMS)) - 1)
    assert top_k_hits(everywhere)[0].item() / items.numel() == pytest.approx(7 / 8)
