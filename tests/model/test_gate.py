"""What memory and network count for: read off between the knots, and fitted on other people's lists."""

import pytest
import torch
from small_lists import ITEMS, MASK, asked_of_others, cut_at, masked_at, untrained_model

from anime_bert4rec.model.gate import CUTS, MASKS, MEMORY, NETWORK, Gate, knot_shares
from anime_bert4rec.model.model_files import GATE, load_model, save_model
from anime_bert4rec.model.visible_items import count_visible


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
    torch.testing.assert_close(knot_shares(counts), torch.tensor(expected, dtype=torch.float32))


def test_masks_and_cuts_have_weights_of_their_own():
    gate = Gate(0.5)
    gate.values[MASKS, MEMORY, 0], gate.values[CUTS, NETWORK, 0] = 3, 7
    items = torch.tensor([[1, MASK]])
    assert gate(masked_at(items, torch.tensor([1])), ITEMS).tolist() == [[3, 1]]
    one = torch.tensor([0])
    assert gate(cut_at(items, torch.tensor([1]), one, one), ITEMS).tolist() == [[0.5, 7]]
    gate.silence()
    assert gate(masked_at(items, torch.tensor([1])), ITEMS).tolist() == [[1, 0]]


@pytest.fixture(scope="module")
def model():
    return untrained_model()


def test_of_a_silent_network_nothing_is_heard(model):
    model.silence_network()
    for batch in asked_of_others():
        torch.testing.assert_close(model(batch), model.memory(batch), atol=0, rtol=0)


def test_the_logits_are_both_opinions_weighed_and_in_training_the_gate_has_no_part(model):
    model.gate.values[MASKS] = torch.tensor([[0.5, 0.6, 0.7, 0.8, 0.9], [0.1, 0.2, 0.3, 0.4, 0.5]])
    for batch in asked_of_others():
        weights = knot_shares(count_visible(batch, ITEMS)) @ model.gate.values[MASKS].t()
        with torch.no_grad():
            memory, network = model.memory(batch), model.opinion(batch)
            torch.testing.assert_close(model(batch), weights[:, :1] * memory + weights[:, 1:] * network)
            model.train()
            torch.testing.assert_close(model(batch), memory + network)
            model.eval()


def test_a_model_of_an_earlier_version_says_what_it_said(model, tmp_path):
    save_model(tmp_path / "new.pth", model, epoch=1, val_loss=1.0)
    saved = torch.load(tmp_path / "new.pth")
    del saved["model_state_dict"][GATE]
    torch.save(saved, tmp_path / "old.pth")
    old, _ = load_model(tmp_path / "old.pth")
    for batch in asked_of_others():
        with torch.no_grad():
            torch.testing.assert_close(old(batch), model.memory(batch) + model.opinion(batch))
