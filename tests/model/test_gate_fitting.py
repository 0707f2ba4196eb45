"""The gate's weights, fitted on lists that neither memory nor network was made of."""

import math

import numpy as np
import pytest
import torch
from small_lists import ITEMS, asked_of_others, untrained_model

from anime_bert4rec.model import gate_fitting
from anime_bert4rec.model.batches import Batch
from anime_bert4rec.model.gate import CUTS, GATE_KNOTS, MASKS, MEMORY, NETWORK, knot_shares
from anime_bert4rec.model.gate_fitting import (
    GateExamples,
    GateFitting,
    _seen,
    as_far_as_it_ranks_well,
    likeliest,
    ndcg,
)
from anime_bert4rec.model.visible_items import count_visible

AT_KNOTS = 4 ** torch.arange(GATE_KNOTS)
"""The numbers of visible items at which the weights are known."""


def made_up(weights: torch.Tensor, each: int = 4000) -> GateExamples:
    """Positions with these numbers of items visible, at which items come as often as the weights have it."""
    random = torch.Generator().manual_seed(1)
    counts = AT_KNOTS.repeat(each)
    said = torch.randn(len(counts), 2, ITEMS, generator=random)
    logits = torch.einsum("mk,tk,mtn->mn", knot_shares(counts), weights, said)
    targets = torch.multinomial(logits.softmax(1), 2, replacement=True, generator=random)
    targets[::2, 1] = -1
    return asked(said, counts, targets)


def asked(said: torch.Tensor, counts: torch.Tensor, targets: torch.Tensor) -> GateExamples:
    """Each position is a list of its own, of which nothing that could be named is visible."""
    ones = torch.ones(len(counts), dtype=torch.double)
    seen = torch.zeros(len(said), said.shape[2], dtype=torch.bool)
    return GateExamples(said, counts, targets, ones, seen, ones / len(ones))


def test_the_weights_that_have_made_the_data_are_found():
    true = torch.tensor([[0.4, 0.6, 1.0, 1.2, 1.5], [1.0, 0.8, 0.5, 0.2, 0.0]])
    found = likeliest(made_up(true))
    torch.testing.assert_close(found, true, atol=0.08, rtol=0)
    assert (found[NETWORK] >= 0).all()


def test_the_optimum_is_one_by_the_plain_formula():
    """No other weights near it have a lower sum of loss and cost, computed as it is written down."""
    made = made_up(torch.tensor([[0.5] * 5, [0.7] * 5]), each=8)
    found = likeliest(made).double()

    def cost(weights: torch.Tensor) -> float:
        total = 0.0
        for said, shares, targets in zip(made.said.double(), made.shares, made.targets, strict=True):
            logs = ((weights @ shares) @ said).log_softmax(0)
            wanted = [int(t) for t in targets if t >= 0]
            total -= sum(float(logs[t]) for t in wanted) / len(wanted)
        off = weights - torch.tensor([[1.0], [0.0]])
        return total + 0.05 * float((off**2).sum()) + 0.05 * float((weights.diff(dim=1) ** 2).sum())

    least, random = cost(found), torch.Generator().manual_seed(0)
    for size in (0.3, 0.05):
        for _ in range(20):
            other = found + size * torch.randn(2, GATE_KNOTS, generator=random, dtype=torch.double)
            assert cost(other) > least - 1e-4


def test_where_nothing_was_asked_a_weight_leans_to_its_neighbour():
    """With one item visible, both are worth more than the memory alone; nothing is known of other numbers. As distance
    and roughness cost the same, each change from there is a third of the sum of its neighbours; the last, half of its
    only one: 1, 2, 5, 13, 34 from behind."""
    assert gate_fitting.DISTANCE == gate_fitting.GATE_ROUGHNESS
    made = made_up(torch.tensor([[1.5] * 5, [1.0] * 5]), each=100)
    changes = likeliest(made._replace(counts=torch.ones_like(made.counts))) - torch.tensor([[1.0], [0.0]])
    assert (changes > 0).all()
    expected = changes[:, :1] * torch.tensor([34, 13, 5, 2, 1]) / 34
    torch.testing.assert_close(changes, expected, rtol=1e-3, atol=1e-5)


def test_a_network_that_only_harms_has_no_say():
    true = torch.tensor([[1.0] * 5, [-1.0] * 5])
    found = likeliest(made_up(true, each=100))
    assert found[NETWORK].tolist() == [0] * GATE_KNOTS


def test_a_memory_that_misleads_counts_for_less_than_nothing():
    true = torch.tensor([[-3.0] * 5, [1.0] * 5])
    torch.testing.assert_close(likeliest(made_up(true)), true, atol=0.15, rtol=0)


def test_a_weight_that_would_fall_below_nothing_stays_there():
    """The network repeats the memory, with noise. At first more of either is better; in the end, less of the noise."""
    random = torch.Generator().manual_seed(1)
    counts = AT_KNOTS.repeat(2000)
    said = torch.randn(len(counts), 2, ITEMS, generator=random)
    said[:, NETWORK] = said[:, MEMORY] + 0.5 * said[:, NETWORK]
    truth = (1.8 * said[:, MEMORY] - 0.3 * said[:, NETWORK]).softmax(1)
    targets = torch.multinomial(truth, 1, generator=random)
    found = likeliest(asked(said, counts, targets))
    assert found[NETWORK].tolist() == [0] * GATE_KNOTS
    torch.testing.assert_close(found[MEMORY], torch.full((GATE_KNOTS,), 1.5), atol=0.15, rtol=0)


def misleading(puts_in_front: int, rows: int = 1000) -> GateExamples:
    """The memory names what is wanted first, but as good as no likelier than all else. At every other position the
    network is sure of it; at the others it puts another item in front, for little."""
    said = torch.zeros(rows, 2, ITEMS)
    said[:, MEMORY, 1] = 0.001
    said[::2, NETWORK, 1], said[1::2, NETWORK, puts_in_front] = 3.0, 0.3
    return asked(said, AT_KNOTS.repeat_interleave(rows // GATE_KNOTS), torch.ones(rows, 1, dtype=torch.long))


def test_a_network_that_lowers_the_loss_and_ranks_worse_has_no_say():
    made = misleading(puts_in_front=0)
    weights = likeliest(made)
    assert (weights[NETWORK] > 0.5).all(), "by likelihood it has a say"
    alone = torch.tensor([[1.0], [0.0]]).expand(2, GATE_KNOTS)
    assert mean_ndcg(made, alone) == pytest.approx(1)
    assert mean_ndcg(made, weights) == pytest.approx((1 + 1 / math.log2(3)) / 2)
    torch.testing.assert_close(as_far_as_it_ranks_well(made, weights), alone)


def mean_ndcg(made: GateExamples, weights: torch.Tensor) -> float:
    return float(ndcg(made, weights).sum())


def test_where_the_order_tells_nothing_half_the_way_is_gone():
    made = misleading(puts_in_front=1)
    weights = likeliest(made)
    half = (torch.tensor([[1.0], [0.0]]) + weights) / 2
    torch.testing.assert_close(as_far_as_it_ranks_well(made, weights), half)


@pytest.mark.parametrize(("better", "worse"), [(6, 4), (4, 6)])
def test_a_point_weighs_by_its_distance_from_the_best_in_standard_errors(monkeypatch, better, worse):
    """The network brings what is wanted from the second place to the first, or the other way round. In one of the ten
    positions this is one unit of the NDCG: the distance is two units, its error the root of ten."""
    monkeypatch.setattr(gate_fitting, "PARTS_OF_THE_WAY", (0.0, 1.0))
    said = torch.zeros(better + worse, 2, ITEMS)
    said[:, MEMORY, :2] = 0.5
    said[:better, MEMORY, 0] = said[better:, MEMORY, 1] = 1.0
    said[:better, NETWORK, 1] = said[better:, NETWORK, 0] = 3.0
    made = asked(said, AT_KNOTS.repeat(2), torch.ones(better + worse, 1, dtype=torch.long))
    chance = math.exp(-((2 / math.sqrt(10)) ** 2) / 2)
    part = (1 if better > worse else chance) / (1 + chance)
    found = as_far_as_it_ranks_well(made, torch.tensor([[2.0], [1.0]]).expand(2, GATE_KNOTS))
    torch.testing.assert_close(found, torch.tensor([[1 + part], [part]]).expand(2, GATE_KNOTS))


def test_ndcg_by_hand():
    """Two wanted: of the first list in the places 1 and 3, as one item is seen; of the second one, in place 2."""
    said = torch.zeros(2, 2, ITEMS)
    said[:, MEMORY] = torch.arange(ITEMS, 0, -1).float()
    made = asked(said, AT_KNOTS[:2], torch.tensor([[1, 3], [1, -1]]))
    made.seen[0, 0] = True
    both = (1 + 1 / 2) / (1 + 1 / math.log2(3))
    alone = torch.tensor([[1.0], [0.0]]).expand(2, GATE_KNOTS)
    assert ndcg(made, alone).tolist() == pytest.approx([both / 2, 1 / math.log2(3) / 2])


def test_what_is_visible_is_not_ranked():
    """At a mask all that is no mask is seen, at a cut what is before it."""
    items = torch.tensor([[2, ITEMS + 1, 5], [0, 3, 1]])
    masks = Batch(items[:1], torch.tensor([0]), torch.tensor([1]))
    assert _seen(masks, ITEMS)[0].nonzero()[:, 0].tolist() == [1, 4]
    cuts = torch.tensor([1, 2])
    at_cuts = Batch(items, torch.tensor([0, 1]), cuts, cuts=cuts)
    assert [row.nonzero()[:, 0].tolist() for row in _seen(at_cuts, ITEMS)] == [[1], [2]]


def test_what_few_have_said_changes_little():
    true = torch.tensor([[1.0] * 5, [1.0] * 5])
    few = made_up(true, each=200)
    few = few._replace(weights=few.weights / few.weights.sum())  # as of one list
    assert (likeliest(few)[NETWORK] < 0.8).all()
    assert (likeliest(made_up(true, each=200))[NETWORK] > 0.8).all()


@pytest.fixture(scope="module")
def model():
    return untrained_model()


def test_a_fitted_gate_is_at_least_as_good_as_the_memory_alone(model):
    """The network knows nothing, for nothing has been trained: on the lists that it is fitted on it cannot harm."""
    batches = asked_of_others()

    def loss() -> float:
        with torch.no_grad():
            parts = [torch.nn.functional.cross_entropy(model(b), b.targets - 1, reduction="sum") for b in batches]
        return float(torch.stack(parts).sum())

    model.silence_network()
    alone = loss()
    GateFitting(model, batches, lists=20).fit(model)
    assert loss() <= alone
    first = model.gate.values.clone()
    with torch.no_grad():
        said = torch.cat([torch.stack([model.memory(batch), model.opinion(batch)], 1) for batch in batches])
    targets = torch.cat([batch.targets for batch in batches])[:, None] - 1
    of_lists = asked(said, torch.cat([count_visible(batch, ITEMS) for batch in batches]), targets)
    of_lists = of_lists._replace(
        weights=torch.full((len(said),), 20 / len(said), dtype=torch.double),
        seen=torch.cat([_seen(batch, ITEMS) for batch in batches]),
    )
    expected = as_far_as_it_ranks_well(of_lists, likeliest(of_lists))
    torch.testing.assert_close(first[MASKS], expected)
    model.gate.values.fill_(1.0)
    GateFitting(model, batches, lists=20).fit(model)
    assert torch.equal(model.gate.values, first), "whatever it was before"
    assert (first[CUTS] == torch.tensor([[1.0], [0.0]])).all(), "nothing was asked at cuts"


def test_each_number_of_titles_given_counts_for_as_much(model):
    few, *more = asked_of_others()
    known = GateFitting(model, [few._replace(given=3), *more], lists=20).examples[MASKS]
    three, others = known.weights[: len(few.rows)], known.weights[len(few.rows) :]
    assert (float(three.sum()), float(others.sum())) == (pytest.approx(10), pytest.approx(10))


def test_each_number_of_titles_given_counts_for_as_much_in_the_order(model):
    """Half of the mean NDCG is of where three are given, however many positions are asked for there."""
    few, *more = asked_of_others()
    shares = GateFitting(model, [few._replace(given=3), *more], lists=20).examples[MASKS].shares_of_ndcg
    positions, others = len(few.rows), sum(len(batch.rows) for batch in more)
    assert positions != others
    assert shares.tolist() == pytest.approx([0.5 / positions] * positions + [0.5 / others] * others)


def test_positions_are_left_out_where_there_are_too_many(model, monkeypatch):
    asked = asked_of_others()
    monkeypatch.setattr(gate_fitting, "MOST_NUMBERS", 2 * ITEMS * 10)
    monkeypatch.setattr(gate_fitting, "ENOUGH_POSITIONS", 5)
    fitting = GateFitting(model, asked, lists=20)
    assert 3 <= len(fitting.examples[MASKS].said) <= 20
    assert math.isclose(float(fitting.examples[MASKS].weights.sum()), 20)
    fitting.fit(model)
    assert np.isfinite(model.gate.values.numpy()).all()


@pytest.mark.parametrize(("items", "positions"), [(3_000, 2_000), (12_000, 1_500), (16_000, 1_500), (48_000, 500)])
def test_of_many_items_there_are_enough_positions_if_they_fit(items, positions):
    assert gate_fitting.most_positions(items) == positions
