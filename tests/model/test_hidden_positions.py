"""Lists of which a few titles are given: what is shown, what is asked, and that nothing else is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_lists import sequences_of

from anime_bert4rec.lists.sequences import PAD
from anime_bert4rec.model import hidden_positions
from anime_bert4rec.model.batches import MaskedBatches, share_of
from anime_bert4rec.model.hidden_positions import BatchSettings, show_newest, shuffled_lists
from anime_bert4rec.model.memory_ease import EaseTable, gram_matrix

MASK = 1001


def some_lists(count=30, longest=60):
    random = np.random.default_rng(0)
    return [random.choice(1000, random.integers(1, longest), replace=False) + 1 for _ in range(count)]


def given_in_validation(sequences, given, *, ordered):
    settings = BatchSettings(MASK - 1, 4, 20, 0.3, seed=7, whole_lists=not ordered)
    return MaskedBatches(sequences, settings, None, given=given)


def few_of(sequences, epoch=1):
    settings = BatchSettings(MASK - 1, 4, 20, 0.3, seed=7, short_share=0.7, whole_lists=True)
    return MaskedBatches(sequences, settings, epoch)


@pytest.mark.parametrize("epoch", [1, 2, None])
def test_of_what_is_asked_where_a_few_are_given_nothing_else_is_shown(epoch):
    """What is shown and what is asked for are parts of one list, and share nothing; all else is not in the batch."""
    lists = {frozenset(one.tolist()) for one in some_lists()}
    sequences = sequences_of(*some_lists())
    made = few_of(sequences, epoch) if epoch else given_in_validation(sequences, 3, ordered=False)
    few = [batch for batch in made if batch.given]
    assert few and (epoch is None) == (len(few) == len(made))
    for batch in few:
        assert batch.cuts is None and batch.visible is None and batch.masked is None
        assert (batch.items[:, -1] == MASK).all() and (batch.items == MASK).sum() == len(batch.items)
        assert torch.equal(batch.rows, torch.arange(len(batch.items)))
        assert (batch.columns == batch.items.shape[1] - 1).all() and batch.given == batch.items.shape[1] - 1
        for row, wanted in zip(batch.items[:, :-1], batch.targets, strict=True):
            shown, asked = set(row[row != PAD].tolist()), set(wanted[wanted != PAD].tolist())
            assert shown and asked and not shown & asked
            (whole,) = (one for one in lists if shown | asked <= one)
            assert len(asked) == min(hidden_positions.MOST_ASKED, len(whole) - len(shown))
            assert epoch or len(shown) == 3


def test_lists_of_which_few_are_given_are_left_out_of_the_memory_whole():
    lists = some_lists()
    sequences = sequences_of(*lists)
    for batch in few_of(sequences):
        of_rows = batch.lists.padded()
        for row, whole in zip(batch.items, of_rows, strict=True):
            shown = {*row.tolist()} - {PAD, MASK}
            assert sorted(whole[whole != PAD].tolist()) in [sorted(one.tolist()) for one in lists]
            assert shown <= {*whole.tolist()}
        counted = batch.entries >= 0
        assert torch.equal(counted | (batch.items == MASK), batch.items != PAD)
        here = counted & (batch.items != MASK)
        assert torch.equal(batch.items[here], torch.from_numpy(sequences.items)[batch.entries[here]].long())


def test_of_seven_lists_in_ten_a_few_are_given_in_batches_of_their_own():
    lists = sequences_of(*[range(1, n + 1) for n in (*[1] * 10, *range(2, 52))])
    for epoch in (1, 2):
        made = list(few_of(lists, epoch))
        short = [batch for batch in made if batch.given]
        assert sum(len(batch.items) for batch in short) == 35, "seven tenths of the fifty that have two entries"
        assert sum(len(batch.items) for batch in made) == 60
        assert max(batch.given for batch in short) < 20
        padding = sum((batch.items == PAD).sum().item() for batch in short)
        assert padding / sum(batch.items.numel() for batch in short) < 0.2
    assert len(few_of(lists, 1)) == len(few_of(lists, 2)), "an epoch has always as many steps"
    assert [batch.given for batch in few_of(sequences_of([1, 2, 3]))] == [0], "one is shown whole at least"


def test_each_doubling_of_what_is_given_is_as_likely():
    settings = BatchSettings(MASK - 1, 64, 200, 0.15, 1, short_share=1.0)
    given = hidden_positions.draw_given(np.full(70_000, 500), settings, np.random.default_rng(0))
    assert given.min() == 1 and given.max() == hidden_positions.MOST_GIVEN
    by_doubling = np.bincount(np.log2(given).astype(int))[:7] / len(given)
    expected = [np.log2((2 ** (k + 1)) / 2**k) / np.log2(129) for k in range(7)]
    assert by_doubling == pytest.approx(expected, abs=0.01)


def test_which_lists_are_shown_whole_chance_decides_anew():
    settings = BatchSettings(MASK - 1, 64, 200, 0.15, 1, short_share=0.5)
    draws = [
        hidden_positions.draw_given(np.full(10, 20), settings, np.random.default_rng(seed)) > 0 for seed in range(30)
    ]
    assert {draw.sum() for draw in draws} == {5}
    assert np.any(draws, axis=0).all() and not np.all(draws, axis=0).any()


@pytest.mark.parametrize("given", [1, 3])
def test_in_order_the_newest_before_some_entries_are_given(given):
    lists = [list(range(100 * k + 1, 100 * k + 2 + k)) for k in range(1, 9)]
    made = list(given_in_validation(sequences_of(*lists), given, ordered=True))
    rows = 0
    for batch in made:
        assert batch.cuts.tolist() == [given] and (batch.columns == given).all() and batch.items.shape[1] == given
        for row, target in zip(batch.items.tolist(), batch.targets[:, 0].tolist(), strict=True):
            assert [*row, target] == list(range(target - given, target + 1))
            assert any(target in one and row[0] in one for one in lists)
        rows += len(batch.items)
    assert rows == sum(min(4, max(len(one) - given, 0)) for one in lists)


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("ordered", [True, False])
def test_shares_of_batches_with_few_given_have_every_target_once(world, ordered):
    lists = sequences_of(*some_lists())
    made = given_in_validation(lists, 3, ordered=True) if ordered else few_of(lists)
    for batch in made:
        shares = [share_of(batch, rank, world) for rank in range(world)]
        counted = [share for share in shares if share.weight]
        assert torch.cat([share.targets for share in counted]).equal(batch.targets)
        assert torch.cat([share.items for share in counted]).equal(batch.items)
        assert {share.given for share in shares} == {batch.given}
        for share in counted:
            part = (share.targets != PAD).sum().item() / (batch.targets != PAD).sum().item()
            assert share.weight == pytest.approx(world * part)


def test_validation_draws_anew_for_each_number_of_titles_given():
    """Otherwise the one that is given would always be among the three, and what is asked for beside these the same."""
    lists = sequences_of(*[range(10 * k + 1, 10 * k + 11) for k in range(12)])
    one, three = (
        torch.cat([batch.items for batch in given_in_validation(lists, given, ordered=False)]) for given in (1, 3)
    )
    assert torch.equal((one[:, 0] - 1) // 10, (three[:, 0] - 1) // 10), "of the same lists"
    assert not (one[:, :1] == three[:, :3]).any(1).all()


def test_what_is_given_is_the_same_again_and_other_in_another_epoch():
    sequences = sequences_of(*some_lists())
    first, again, second = few_of(sequences, 1), few_of(sequences, 1), few_of(sequences, 2)
    for number in reversed(range(len(first))):  # in any order
        one, same = first[number], again[number]
        assert (one.given, one.seed) == (same.given, same.seed)
        for field in ("items", "rows", "columns", "targets", "entries"):
            assert torch.equal(getattr(one, field), getattr(same, field))
    assert first.given.tolist() == again.given.tolist() != second.given.tolist()


def test_a_list_of_which_few_are_given_is_scored_as_though_the_table_had_not_been_fitted_on_it():
    lists = sequences_of(*[one[:8] % 12 + 1 for one in some_lists() if len({*(one[:8] % 12)}) == 8])
    column = np.concatenate([[12], np.arange(12), [12]])
    regular = torch.diag(0.25 * gram_matrix(lists, column, 12).diagonal() + 5)

    def fitted(some):
        table = EaseTable(12)
        table.inverse = torch.linalg.inv(gram_matrix(some, column, 12) + regular)
        return table

    settings = BatchSettings(12, 4, 9, 0.3, seed=7, short_share=0.7, whole_lists=True)
    made, rows = MaskedBatches(lists, settings, 1), torch.from_numpy(column)
    of_all, checked = fitted(lists), 0
    for number, users in enumerate(made.users_of_batch):
        batch = made[number]
        if batch.given:
            scores = of_all(rows[batch.all_visible], None, (rows[batch.lists.items], batch.lists.starts))
            for row, user in enumerate(users):
                without = fitted(lists.select(np.delete(np.arange(len(lists)), user)))
                alone = without(rows[batch.all_visible[row : row + 1]], None)[0]
                torch.testing.assert_close(scores[row], alone, rtol=1e-4, atol=1e-5)
                checked += 1
    assert checked


def test_what_is_shown_and_the_mask_are_no_more_than_the_model_reads():
    long = sequences_of(*[range(1, 61)] * 400)
    given = [batch for epoch in range(1, 6) for batch in few_of(long, epoch) if batch.given]
    assert max(batch.items.shape[1] for batch in given) == 20


def test_in_order_one_entry_of_each_quarter_is_asked_for_and_chance_says_which():
    whole = shuffled_lists(sequences_of(range(1, 104)), np.array([0]), None)
    asked = np.array([show_newest(whole, 3, np.random.default_rng(seed)).asked[:, 0] - 3 for seed in range(200)])
    assert (asked // 25 == np.arange(4)).all()
    assert (asked.min(0) - 25 * np.arange(4)).max() < 3 and (asked.max(0) - 25 * np.arange(4)).min() > 21
