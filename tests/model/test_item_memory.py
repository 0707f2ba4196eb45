"""The tables: counted right, and exact when a list is to be scored as though it had not been counted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from one_memory import fit_memory
from small_lists import COLUMN, ITEMS, batches_of, sequences_of, some_lists, with_bulk_days, without
from tqdm import tqdm

from anime_bert4rec.lists.sequences import has_order
from anime_bert4rec.model import memory_fitting
from anime_bert4rec.model.batches import Batch
from anime_bert4rec.model.hidden_positions import shuffled_lists
from anime_bert4rec.model.item_memory import ItemMemory
from anime_bert4rec.model.memory_config import MemoryConfig
from anime_bert4rec.model.memory_ease import (
    POPULARITY_RIDGE,
    UNORDERED_POPULARITY_RIDGE,
    EaseTable,
    gram_matrix,
)
from anime_bert4rec.model.memory_fitting import best_share
from anime_bert4rec.model.memory_strengths import KNOTS
from anime_bert4rec.model.memory_tables import Tables
from anime_bert4rec.model.memory_transitions import nearest_before
from anime_bert4rec.support.errors import UserError


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """The last of which is narrower than the others."""
    monkeypatch.setattr("anime_bert4rec.model.memory_ease.COLUMNS_AT_ONCE", 5)


def test_nearest_before():
    visible = torch.tensor([[False, True, True, False, True], [True, True, False, False, False]])
    at = torch.tensor([0, 0, 1, 1]), torch.tensor([3, 5, 0, 4])
    assert nearest_before(visible, *at, 2).tolist() == [[2, 1], [4, 2], [5, 5], [1, 0]]


def ease_of(sequences, ridge=5.0, alike=None, popularity_ridge=POPULARITY_RIDGE):
    ease = EaseTable(ITEMS)
    ease.fill(gram_matrix(sequences, COLUMN, ITEMS), ridge, alike, 1.0, popularity_ridge)
    return ease


def test_ease_is_the_ridge_regression_of_each_item_on_the_others():
    sequences = some_lists()
    lists = np.zeros((len(sequences), ITEMS))
    for user in range(len(sequences)):
        lists[user, sequences.of_user(user) - 1] = 1
    visible = torch.tensor([[0, 4, 7, ITEMS]])
    scores = ease_of(sequences)(visible, None)[0, 0]
    ridge = 5.0 + POPULARITY_RIDGE * lists.sum(0)
    for item in range(ITEMS):
        others = np.delete(np.arange(ITEMS), item)
        x = lists[:, others]
        weights = np.linalg.solve(x.T @ x + np.diag(ridge[others]), x.T @ lists[:, item])
        of_others = dict(zip(others, weights, strict=True))
        if item not in (0, 4, 7):
            assert scores[item].item() == pytest.approx(sum(of_others[k] for k in (0, 4, 7)), abs=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
def test_ease_scores_a_training_list_as_though_it_had_not_been_counted(weighted):
    sequences = some_lists()
    users = np.array([3, 11])
    flat = shuffled_lists(sequences, users, None)
    own = (torch.from_numpy(COLUMN[sequences.items[flat.entries]]), torch.from_numpy(flat.starts))
    items = torch.full((2, 3), ITEMS)
    for row, user in enumerate(users):
        items[row, :2] = torch.from_numpy(COLUMN[sequences.of_user(user)[:2]])
    weights = torch.tensor([[[0.9, 0.5, 1.0], [0.1, 1.0, 1.0]]]) if weighted else None
    got = ease_of(sequences)(items, None if weights is None else weights.expand(2, -1, -1), own)
    for row, user in enumerate(users):
        expected = ease_of(without(sequences, user))(items[row : row + 1], weights)[0]
        unseen = torch.from_numpy(np.setdiff1d(np.arange(ITEMS), COLUMN[sequences.of_user(user)[:2]]))
        # The popularity part of the ridge keeps the list, which moves scores by little.
        assert torch.allclose(got[row][:, unseen], expected[:, unseen], atol=0.02)


def test_with_much_ridge_of_popularity_leaving_out_is_off_by_little_and_gives_nothing_away():
    """The ridge keeps the list, which lowers all scores a little: those of what is hidden as much as all others."""
    sequences = some_lists()
    ease, errors = ease_of(sequences, popularity_ridge=UNORDERED_POPULARITY_RIDGE), {True: [], False: []}
    for user in range(len(sequences)):
        own = torch.from_numpy(COLUMN[sequences.of_user(user)])
        visible = own[None, :2]
        got = ease(visible, None, (own, torch.tensor([0])))[0, 0]
        anew = ease_of(without(sequences, user), popularity_ridge=UNORDERED_POPULARITY_RIDGE)
        error = got - anew(visible, None)[0, 0]
        for item in set(range(ITEMS)) - set(visible[0].tolist()):
            errors[item in own.tolist()].append(error[item].item())
    assert max(map(abs, errors[True] + errors[False])) < 0.015
    assert np.mean(errors[True]) == pytest.approx(np.mean(errors[False]), abs=0.001)


@pytest.mark.parametrize("cuts", [[6], [1], [2, 3, 6], [1, 2, 3, 4, 5, 6]])
@pytest.mark.parametrize("training", [False, True])
def test_sums_handed_on_from_cut_to_cut_are_those_of_every_item_before_a_cut(cuts, training):
    sequences, recency, users = some_lists(), 0.7, np.arange(11)  # more than are scored at once
    flat = shuffled_lists(sequences, users, None)
    own = (torch.from_numpy(COLUMN[sequences.items[flat.entries]]), torch.from_numpy(flat.starts)) if training else None
    items = torch.full((len(users), 6), ITEMS)
    for row, user in enumerate(users):
        visible = COLUMN[sequences.of_user(user)[-6:]]
        items[row, 6 - len(visible) :] = torch.from_numpy(visible)
    weights = torch.zeros(len(users), len(cuts), 6)
    for place, cut in enumerate(cuts):
        weights[:, place, :cut] = torch.tensor([recency ** (cut - 1 - column) for column in range(cut)])
    ease = ease_of(sequences)
    got = ease.before_cuts(items[:, : cuts[-1]], torch.tensor(cuts), recency, own)
    torch.testing.assert_close(got, ease(items, weights, own), rtol=1e-4, atol=1e-5)


def test_without_the_ridge_of_popularity_leaving_out_is_exact():
    sequences = some_lists()
    flat = shuffled_lists(sequences, np.array([5]), None)
    own = (torch.from_numpy(COLUMN[sequences.items[flat.entries]]), torch.from_numpy(flat.starts))
    items = own[0][None, :2]
    got = ease_of(sequences, popularity_ridge=0.0)(items, None, own)
    expected = ease_of(without(sequences, 5), popularity_ridge=0.0)(items, None)
    assert torch.allclose(got, expected, atol=1e-5)


def test_items_that_are_alike_are_recommended_without_any_list():
    sequences = sequences_of([1, 2], [1, 2], [3, 4])
    alike = torch.zeros(ITEMS, ITEMS)
    alike[[0, 11], [11, 0]] = 3.0
    alike.diagonal().fill_(3.0)
    scores = ease_of(sequences, alike=alike)(torch.tensor([[0]]), None)[0, 0]
    assert scores[11] > scores[5]
    assert abs(scores[5]) < 1e-6


def test_lists_without_an_order_are_told_from_those_with_one():
    assert has_order(some_lists())
    assert not has_order(some_lists(unordered=True))


@pytest.mark.parametrize("unordered", [False, True])
def test_the_fitted_memory_beats_popularity_on_lists_with_a_pattern(unordered):
    random = np.random.default_rng(0)
    lists = [(np.arange(6) + random.integers(0, 2) * 6) % ITEMS + 1 for _ in range(60)]
    blocks = [np.zeros(6, int) for _ in lists] if unordered else None
    sequences = sequences_of(*lists, blocks=blocks)
    memory = fit_memory(sequences, ITEMS, max_seq_len=20, seed=0)
    assert (memory.transitions is None) == unordered
    batch = batches_of(sequences, cut_share=0.0 if unordered else 1.0, whole_lists=unordered)[0]
    likelihood = memory(batch).log_softmax(1).gather(1, batch.targets[:, None] - 1).mean().item()
    assert likelihood > np.log(1 / ITEMS) + 0.5


@pytest.mark.parametrize("unordered", [False, True])
@pytest.mark.parametrize("alike", [None, [[1, 2, 5], [3, 5]]])
def test_the_bar_ends_at_its_end(unordered, alike, monkeypatch):
    bars = []
    monkeypatch.setattr(memory_fitting, "progress", lambda *args, **kwargs: bars.append(tqdm(total=args[1])) or bars[0])
    fit_memory(some_lists(unordered=unordered), ITEMS, max_seq_len=20, seed=0, alike=alike and sequences_of(*alike))
    assert bars[0].n == bars[0].total


def test_in_what_order_bulk_days_are_stored_changes_nothing():
    """Neither the settings, nor the tables, nor what is said of a list."""
    fitted = [fit_memory(lists, ITEMS, max_seq_len=6, seed=0) for lists in with_bulk_days(9)]
    one, other = (memory.state_dict() for memory in fitted)
    assert fitted[0].config == fitted[1].config and fitted[0].config.ordered
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-4, atol=1e-5, msg=name)
    for share in (0.0, 1.0):
        said = [
            memory(batches_of(lists, cut_share=share)[0])
            for memory, lists in zip(fitted, with_bulk_days(9), strict=True)
        ]
        torch.testing.assert_close(*said, rtol=1e-4, atol=1e-4)


def test_a_table_of_the_most_popular_items_only():
    sequences = sequences_of(*[[1, 2, 3, 4]] * 5, [9, 8, 1])
    batch = batches_of(sequences, cut_share=1.0)[0]
    memory = Tables(sequences, ITEMS, 4, True, None, batch).memory(0.9, 1.0, 0.0)
    assert memory.kept.tolist() == [0, 1, 2, 3]
    prior = memory(batch)
    assert prior.shape == (len(batch.rows), ITEMS)
    assert prior.isfinite().all()


def test_tables_of_fewer_items_are_as_though_counted_for_these(monkeypatch):
    monkeypatch.setattr("anime_bert4rec.model.memory_tables.MOST_FOLLOWERS", 0)
    sequences, alike = some_lists(count=40), sequences_of([1, 2, 5], [3, 5])
    batch = batches_of(sequences, cut_share=1.0)[0]
    taken, counted = (Tables(sequences, ITEMS, most, True, alike, batch) for most in (ITEMS, 6))
    taken = taken.of_most_popular(6)
    one, other = (tables.memory(0.9, 10.0, 0.5).state_dict() for tables in (taken, counted))
    assert len(taken.kept) == 6 < ITEMS
    for name, value in one.items():
        assert torch.allclose(value, other[name]), name


def test_masks_and_cuts_have_strengths_of_their_own_for_each_number_of_visible_items():
    sequences = some_lists()
    memory = fit_memory(sequences, ITEMS, max_seq_len=20, seed=0)
    assert memory.config.terms == ("EASE", "transitions", "popularity", "lateness")
    assert not torch.allclose(*memory.strength)
    for kind, share in enumerate((0.0, 1.0)):
        batch = batches_of(sequences, cut_share=share)[0]
        for position in range(len(batch.rows)):
            only = batch.only(torch.tensor([position]))
            items = only.items[only.rows][0]
            visible = int(((items > 0) & (items <= ITEMS))[: only.columns[0] if kind else None].sum())
            below, above = (int(np.floor(np.log2(max(visible, 1)))) + step for step in (0, 1))
            share_above = np.log2(max(visible, 1)) - below
            strength = (
                memory.strength[kind][:, below] * (1 - share_above) + memory.strength[kind][:, above] * share_above
            )
            parts = [memory.by_ease(only), memory.by_transitions(only), memory.by_popularity(only)]
            parts.append(memory.lateness(only, memory.popularity, memory.pairs))
            expected = sum(part * each for part, each in zip(parts, strength, strict=True))
            torch.testing.assert_close(memory(batch)[position], expected[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("unordered", [False, True])
def test_popularity_is_that_on_other_lists(unordered):
    sequences = some_lists(unordered=unordered)
    batches = batches_of(sequences, whole_lists=unordered)
    memory = fit_memory(sequences, ITEMS, max_seq_len=20, seed=0)
    for number in range(len(batches)):
        batch, users = batches[number], batches.users_of_batch[number]
        got = memory.by_popularity(batch)
        for row, user in enumerate(users if unordered else users[batch.rows.numpy()]):
            expected = np.log(without(sequences, user).popularity(ITEMS) + 0.5)
            assert got[row].tolist() == pytest.approx(expected.tolist(), abs=1e-5)


@pytest.mark.parametrize("ordered", [False, True])
def test_a_model_of_an_earlier_version_has_two_strengths_and_says_what_it_said(ordered):
    sequences = some_lists(unordered=not ordered)
    batch = batches_of(sequences, whole_lists=not ordered)[0]
    now = Tables(sequences, ITEMS, ITEMS, ordered, None, batch).memory(0.9, 10.0, 0.0)
    saved = dataclasses.asdict(now.config)
    for name in ("knots", "list_weight", "likeness", "directions"):
        del saved[name]
    memory = ItemMemory(MemoryConfig.from_dict(saved))
    new = ("popularity", "strength", "colisting.table", "lateness.places", "direction.vectors", "direction.columns")
    new = (*new, "completeness.weights")
    weights = {name: weight for name, weight in now.state_dict().items() if name not in new}
    memory.load_state_dict({**weights, "strength": torch.tensor([[0.7, 0.4], [0.2, 0.9]])})
    memory.pairs = now.pairs
    expected = 0.7 * now.by_ease(batch)
    if ordered:
        expected += 0.4 * now.by_transitions(batch)
    torch.testing.assert_close(memory(batch), expected)


def test_own_counts_need_the_training_lists_only_in_training():
    sequences = some_lists()
    batch = batches_of(sequences)[0]
    memory = Tables(sequences, ITEMS, ITEMS, True, None, batch).memory(0.9, 10.0, 0.0)
    memory.pairs = None
    seen_anew = Batch(batch.items, batch.rows, batch.columns)
    assert memory(seen_anew).isfinite().all()
    assert dataclasses.asdict(memory.config) == {
        "num_items": ITEMS,
        "table_size": ITEMS,
        "ordered": True,
        "recency": 0.9,
        "unlisted": {"items": 0, "groups": 0, "members": 0, "memberships": 0},
        "prior": memory.transitions.prior,
        "reliance": memory.transitions.reliance,
        "followers": None,
        "knots": KNOTS,
        "list_weight": 0.0,
        "likeness": {"groups": 0, "memberships": 0, "contents": 0},
        "popularity_prior": False,
        "directions": 0,
    }


@pytest.mark.parametrize(("unordered", "cut_share"), [(False, 0.0), (False, 1.0), (True, 0.0)])
def test_a_batch_may_have_no_list_that_was_counted(unordered, cut_share):
    sequences, counted = some_lists(unordered=unordered), np.arange(0, 30, 2)
    memory = fit_memory(sequences.select(counted), ITEMS, max_seq_len=20, seed=0)
    made = batches_of(sequences, cut_share=cut_share, whole_lists=unordered, counted=counted)
    made.users_of_batch = [np.arange(1, 13, 2)]
    assert torch.allclose(memory(made[0]), memory(made[0]._replace(entries=None, lists=None)))


@pytest.mark.parametrize("unordered", [False, True])
def test_lists_that_were_not_counted_have_nothing_to_be_taken_out(unordered):
    sequences = some_lists(unordered=unordered)
    counted = np.arange(0, len(sequences), 2)
    some = sequences.select(counted)
    memory = Tables(some, ITEMS, ITEMS, not unordered, None, batches_of(some)[0]).memory(0.9, 10.0, 0.0)
    flags = {"cut_share": 0.0 if unordered else 1.0, "whole_lists": unordered}
    made = batches_of(sequences, **flags, counted=counted)
    all_counted = batches_of(sequences, **flags)
    seen = set()
    for number in range(len(made)):
        batch, users = made[number], made.users_of_batch[number]
        prior = memory(batch)
        rows = batch.rows.numpy()
        strange = ~np.isin(users, counted)[rows]
        anew = memory(batch._replace(entries=None, lists=None))
        assert torch.allclose(prior[strange], anew[strange], atol=1e-5)
        # The same with what the memory has counted as all there is: entries are then numbered as in `some`.
        whole = all_counted[number]
        at = torch.from_numpy(np.searchsorted(counted, users))
        shift = torch.from_numpy(some.offsets[:-1])[at.clamp(max=len(some) - 1)] - torch.from_numpy(
            sequences.offsets[:-1][users]
        )
        by_hand = memory(whole._replace(entries=(whole.entries + shift[:, None]).clamp(0, len(some.items) - 1)))
        assert torch.allclose(prior[~strange], by_hand[~strange], atol=1e-5)
        if (~strange).any():
            assert not torch.allclose(prior[~strange], anew[~strange], atol=1e-3)
        seen |= set(strange.tolist())
    assert seen == {True, False}


def test_the_share_is_that_which_ranks_best_what_is_not_listed_yet():
    """Item 3 is wanted behind items 1 and 2, which both parts put first; each part alone puts another one before it."""
    batch = Batch(
        torch.tensor([[1, 2, 3]]), torch.tensor([0]), torch.tensor([2]), torch.tensor([3]), cuts=torch.tensor([2])
    )
    ease = torch.tensor([[9.0, 9.0, 2.0, 2.5, 0.0]])
    transitions = torch.tensor([[9.0, 9.0, 3.0, 0.0, 4.0]])
    quality, share = best_share(ease, transitions, batch)
    # 2 s + 3 (1 - s) exceeds 2.5 s for s < 6/7, and 4 (1 - s) for s > 1/3.
    assert (quality, share) == (1.0, 0.4)
    worst = best_share(torch.full((1, 5), 1.0), torch.full((1, 5), 1.0), batch)
    assert worst[0] == pytest.approx(1 / np.log2(1 + 3)), "of ties the worst rank, among items 3, 4 and 5"


def test_lists_of_one_item_each_are_one_line():
    with pytest.raises(UserError, match="no list to train on has two anime"):
        fit_memory(sequences_of([1], [2], [1]), ITEMS, max_seq_len=20, seed=0)
