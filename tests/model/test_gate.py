"""What memory and network count for: read off between the knots, and fitted on other people's lists."""

import math

import numpy as np
import pytest
import torch
from small_lists import ITEMS, MASK, batches_of, cut_at, masked_at, some_lists

from anime_bert4rec.model import gate_fitting
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.gate import CUTS, KNOTS, MASKS, MEMORY, NETWORK, Gate, count_visible, hats
from anime_bert4rec.model.gate_fitting import Asked, GateFitting, likeliest
from anime_bert4rec.model.memory_fitting import fit_memory
from anime_bert4rec.model.model_files import GATE, load_model, save_model


def test_between_the_knots_weights_change_with_the_logarithm_and_beyond_them_not_at_all():
    counts = torch.tensor([0, 1, 2, 4, 8, 64, 128, 256, 5000])
    expected = [
        [1, 0, 0, 0, 0],
        [1, 0, 0, 0, 0],
        [1 / 2, 1 / 2, 0, 0, 0],
        [0, 1, 0, 0, 0],
        [0, 1 / 2, 1 / 2, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 1 / 2, 1 / 2],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 0, 1],
    ]
    torch.testing.assert_close(hats(counts), torch.tensor(expected, dtype=torch.float32))


def test_visible_is_what_is_shown_of_a_list_and_before_a_cut_what_is_before_it():
    items = torch.tensor([[0, 1, 2, MASK, 3], [4, MASK, 5, MASK, 6]])
    batch = masked_at(items, torch.tensor([3, 6, 8]))
    assert count_visible(batch, ITEMS).tolist() == [3, 3, 3]
    whole = batch._replace(visible=torch.tensor([[1, 2, 3, 7, 8], [4, 5, 6, 0, 0]]))
    assert count_visible(whole, ITEMS).tolist() == [5, 3, 3]
    cut = cut_at(torch.tensor([[0, 1, 2, 3], [4, 5, 6, 7]]), torch.tensor([2, 4]), torch.tensor([0, 0, 1, 1]),
                 torch.tensor([0, 1, 0, 1]))  # fmt: skip
    assert count_visible(cut, ITEMS).tolist() == [1, 3, 2, 4]


def test_masks_and_cuts_have_weights_of_their_own():
    gate = Gate(0.5)
    gate.values[MASKS, MEMORY, 0], gate.values[CUTS, NETWORK, 0] = 3, 7
    items = torch.tensor([[1, MASK]])
    assert gate(masked_at(items, torch.tensor([1])), ITEMS).tolist() == [[3, 1]]
    one = torch.tensor([0])
    assert gate(cut_at(items, torch.tensor([1]), one, one), ITEMS).tolist() == [[0.5, 7]]
    gate.silence()
    assert gate(masked_at(items, torch.tensor([1])), ITEMS).tolist() == [[1, 0]]


def made_up(weights: torch.Tensor, each: int = 4000) -> Asked:
    """Positions with these numbers of items visible, at which items come as often as the weights have it."""
    random = torch.Generator().manual_seed(1)
    shares = torch.eye(KNOTS, dtype=torch.double).repeat(each, 1)
    said = torch.randn(len(shares), 2, ITEMS, generator=random)
    logits = torch.einsum("mk,tk,mtn->mn", shares.float(), weights, said)
    targets = torch.multinomial(logits.softmax(1), 2, replacement=True, generator=random)
    targets[::2, 1] = -1
    return Asked(said, shares, targets, torch.ones(len(shares), dtype=torch.double))


def test_the_weights_that_have_made_the_data_are_found():
    true = torch.tensor([[0.4, 0.6, 1.0, 1.2, 1.5], [1.0, 0.8, 0.5, 0.2, 0.0]])
    found = likeliest(made_up(true))
    torch.testing.assert_close(found, true, atol=0.08, rtol=0)
    assert (found[NETWORK] >= 0).all()


def test_the_optimum_is_one_by_the_plain_formula():
    """No other weights near it have a lower sum of loss and cost, computed as it is written down."""
    asked = made_up(torch.tensor([[0.5] * 5, [0.7] * 5]), each=8)
    found = likeliest(asked).double()

    def cost(weights: torch.Tensor) -> float:
        total = 0.0
        for said, shares, targets in zip(asked.said.double(), asked.shares, asked.targets, strict=True):
            logs = ((weights @ shares) @ said).log_softmax(0)
            wanted = [int(t) for t in targets if t >= 0]
            total -= sum(float(logs[t]) for t in wanted) / len(wanted)
        off = weights - torch.tensor([[1.0], [0.0]])
        return total + 0.05 * float((off**2).sum()) + 0.05 * float((weights.diff(dim=1) ** 2).sum())

    least, random = cost(found), torch.Generator().manual_seed(0)
    for size in (0.3, 0.05):
        for _ in range(20):
            other = found + size * torch.randn(2, KNOTS, generator=random, dtype=torch.double)
            assert cost(other) > least - 1e-4


def test_a_network_that_only_harms_has_no_say():
    true = torch.tensor([[1.0] * 5, [-1.0] * 5])
    found = likeliest(made_up(true, each=100))
    assert found[NETWORK].tolist() == [0] * KNOTS


def test_what_few_have_said_changes_little():
    true = torch.tensor([[1.0] * 5, [1.0] * 5])
    few = made_up(true, each=200)
    few = few._replace(weights=few.weights / few.weights.sum())  # as of one list
    assert (likeliest(few)[NETWORK] < 0.8).all()
    assert (likeliest(made_up(true, each=200))[NETWORK] > 0.8).all()


@pytest.fixture(scope="module")
def model() -> BERT4Rec:
    lists = some_lists(60, unordered=True)
    memory = fit_memory(lists, ITEMS, max_seq_len=20, seed=0)
    torch.manual_seed(0)
    made = BERT4Rec(ModelConfig(ITEMS, 8, 1, 2, 20, dropout=0, ordered=False, memory=memory.config), memory)
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_(std=0.5)
    return made.eval()


def batches():
    return list(batches_of(some_lists(20, seed=5, unordered=True), whole_lists=True))


def test_of_a_silent_network_nothing_is_heard(model):
    model.silence_network()
    for batch in batches():
        batch = batch._replace(entries=None, lists=None)
        torch.testing.assert_close(model(batch), model.memory(batch), atol=0, rtol=0)


def test_the_logits_are_both_opinions_weighed_and_in_training_the_gate_has_no_part(model):
    model.gate.values[MASKS] = torch.tensor([[0.5, 0.6, 0.7, 0.8, 0.9], [0.1, 0.2, 0.3, 0.4, 0.5]])
    for batch in batches():
        batch = batch._replace(entries=None, lists=None)
        weights = hats(count_visible(batch, ITEMS)) @ model.gate.values[MASKS].t()
        with torch.no_grad():
            memory, network = model.memory(batch), model.opinion(batch)
            torch.testing.assert_close(model(batch), weights[:, :1] * memory + weights[:, 1:] * network)
            model.train()
            torch.testing.assert_close(model(batch), memory + network)
            model.eval()


def test_a_fitted_gate_is_at_least_as_good_as_the_memory_alone(model):
    """The network knows nothing, for nothing has been trained: on the lists that it is fitted on it cannot harm."""
    asked = [batch._replace(entries=None, lists=None) for batch in batches()]

    def loss() -> float:
        with torch.no_grad():
            parts = [torch.nn.functional.cross_entropy(model(b), b.targets - 1, reduction="sum") for b in asked]
        return float(torch.stack(parts).sum())

    model.silence_network()
    alone = loss()
    GateFitting(model, asked, lists=20).fit(model)
    assert loss() <= alone
    first = model.gate.values.clone()
    GateFitting(model, asked, lists=20).fit(model)
    assert torch.equal(model.gate.values, first)
    assert (first[CUTS] == torch.tensor([[1.0], [0.0]])).all(), "nothing was asked at cuts"


def test_positions_are_left_out_where_there_are_too_many(model, monkeypatch):
    asked = [batch._replace(entries=None, lists=None) for batch in batches()]
    monkeypatch.setattr(gate_fitting, "MOST_NUMBERS", 2 * ITEMS * 10)
    fitting = GateFitting(model, asked, lists=20)
    assert 3 <= len(fitting.known[MASKS].said) <= 20
    assert math.isclose(float(fitting.known[MASKS].weights.sum()), 20)
    fitting.fit(model)
    assert np.isfinite(model.gate.values.numpy()).all()


def test_a_model_of_an_earlier_version_says_what_it_said(model, tmp_path):
    save_model(tmp_path / "new.pth", model, epoch=1, val_loss=1.0)
    saved = torch.load(tmp_path / "new.pth")
    del saved["model_state_dict"][GATE]
    torch.save(saved, tmp_path / "old.pth")
    old, _ = load_model(tmp_path / "old.pth")
    for batch in batches():
        batch = batch._replace(entries=None, lists=None)
        with torch.no_grad():
            torch.testing.assert_close(old(batch), model.memory(batch) + model.opinion(batch))
