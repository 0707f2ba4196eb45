"""How much recent starts count for: the sum by hand, what is fitted to people who follow each other, and bad files."""

from __future__ import annotations

import math
from datetime import date, timedelta

import numpy as np
import pytest
import torch
from one_memory import fit_memory

from anime_bert4rec.lists.recent_starts import FEATURES, OF_SEASONS, Calendar, RecentStarts, Starts
from anime_bert4rec.lists.records import Anime
from anime_bert4rec.lists.sequences import Sequences, Vocabulary
from anime_bert4rec.model import recent_strengths
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.memory_fitting import fit_memories, fit_unordered_memories
from anime_bert4rec.model.memory_strengths import likeliest_strengths
from anime_bert4rec.model.model_files import ModelFileError, load_model, save_model
from anime_bert4rec.model.next_item_scorer import ModelScorer, SetScorer
from anime_bert4rec.model.recent_strengths import TERMS, Lately, RecentStrengths, fit_recent
from anime_bert4rec.support.forms import WrongForm

WEEKS, PEOPLE = 60, 30
ITEMS = Vocabulary.of(range(1, WEEKS + 1))


def by_fashion(people=PEOPLE, weeks=WEEKS, seed=0):
    """Each week has its title, which everybody starts on some day of it; the lists have no order."""
    random = np.random.default_rng(seed)
    days = [18_262 + 7 * week + random.integers(7, size=people) for week in range(weeks)]
    users = np.tile(np.arange(people), weeks)
    items, flat = np.repeat(np.arange(1, weeks + 1), people), np.concatenate(days)
    order = np.lexsort((users, flat))
    starts = Starts(users[order], items[order], flat[order], np.ones(len(flat), bool), WEEKS)
    lists = np.stack([random.permutation(weeks) + 1 for _ in range(people)]).astype(np.int32)
    training = Sequences(
        lists.ravel(), np.zeros(lists.size, np.int32), np.arange(0, lists.size + 1, weeks), np.arange(people)
    )
    return RecentStarts(starts, Calendar.of([], ITEMS)), training


def fitted(recent, training):
    lately = Lately(recent, training, seed=0)
    assert lately.enough
    memory, earlier = fit_memories([training, lately.lists_before], WEEKS, max_seq_len=WEEKS, seed=0)
    return lately, memory, earlier, fit_recent(lately, earlier, WEEKS)


@pytest.fixture(scope="module")
def fashion():
    return fitted(*by_fashion())


def test_the_sum_by_hand():
    of_seasons = [2, 0.5, 1, 3, 0, 0, 0, 10, 4, 7, 0.25], [1, 1, 1, 9, 0, 0, 0, 0, 0, 0, 2]
    strengths = RecentStrengths(np.array(of_seasons, np.float32))
    whole, newest = np.array([-1.0, -2.0], np.float32), np.array([4.0, 8.0], np.float32)
    features = np.array([[1, 1, 1, 1, 1, 0.1, 0], [-2, 0, 0, 0, 0, 0, 0.5]], np.float32)
    assert len(TERMS) == 2 + len(FEATURES) + 2 == strengths.values.shape[1]
    assert strengths.logits(whole, newest, features).tolist() == [-2 + 2 + 1 + 3 + 1, -4 + 4 - 2 + 2]
    as_sets = np.array([1.0, 2.0], np.float32), np.array([-4.0, 8.0], np.float32)
    assert strengths.logits(whole, newest, features, *as_sets).tolist() == [5 + 7 - 1, 0 + 14 + 2]
    features[:, OF_SEASONS] = 0  # on a day of which the catalogue knows no season, others count
    assert strengths.logits(whole, newest, features).tolist() == [-1 + 4 + 1, -2 + 8 - 2]
    assert strengths.logits(whole, newest, features, *as_sets).tolist() == [4 - 8, 4 + 16]


def test_people_who_follow_each_other(fashion):
    lately, _, _, strengths = fashion
    assert lately.people == PEOPLE and 200 <= len(lately.asked) <= PEOPLE * WEEKS / 5
    assert strengths.values.shape == (2, len(TERMS))
    assert strengths.values[0, TERMS.index("others' starts")] > 0.3
    of_seasons = [TERMS.index(term) for term in ("this season", "last season", "follower, this season")]
    assert not strengths.values[1, of_seasons].any() and np.allclose(*strengths.values)  # no title has a season
    ranks = [
        int((np.delete(each.features[:, 0], each.not_ranked - 1) >= each.features[each.item - 1, 0]).sum())
        for each in lately.asked
    ]
    assert np.median(ranks) == 1


def test_the_strengths_without_seasons_are_fitted_without_them(monkeypatch):
    """Each title comes out in the week in which all start it, so that the seasons tell much of what is started."""
    recent, training = by_fashion()
    first = [date(2020, 1, 1) + timedelta(weeks=week) for week in range(WEEKS)]
    seasons = ("WINTER", "SPRING", "SUMMER", "FALL")
    anime = [
        Anime(item, start_date=int(f"{day:%Y%m%d}"), season=seasons[(day.month - 1) // 3], year=day.year)
        for item, day in enumerate(first, 1)
    ]
    fitted_on = []
    monkeypatch.setattr(
        recent_strengths,
        "likeliest_strengths",
        lambda said: fitted_on.append(said.terms.clone()) or likeliest_strengths(said),
    )
    strengths = fitted(RecentStarts(recent.starts, Calendar.of(anime, ITEMS)), training)[3]
    columns = [2 + feature for feature in OF_SEASONS]
    assert [bool(terms[:, columns].any()) for terms in fitted_on] == [True, False]
    others = [column for column in range(fitted_on[0].shape[1]) if column not in columns]
    assert torch.equal(fitted_on[0][:, others], fitted_on[1][:, others])
    assert not np.allclose(*strengths.values)


def test_the_memory_of_earlier_lists_knows_nothing_of_later_starts(fashion):
    lately, memory, earlier, _ = fashion
    asked = {each.item for each in lately.asked}
    assert not earlier.popularity[max(asked) - 1] and memory.popularity[max(asked) - 1] == PEOPLE
    assert earlier.popularity[: min(asked) - 1].tolist() == [PEOPLE] * (min(asked) - 1)


def test_the_other_memory_has_the_settings_of_the_first(fashion):
    _, memory, earlier, _ = fashion
    assert earlier.config == memory.config or earlier.config.unlisted != memory.config.unlisted
    assert torch.equal(earlier.strength, memory.strength)
    alone = fit_memory(by_fashion()[1], WEEKS, max_seq_len=WEEKS, seed=0)
    assert all(torch.equal(one, other) for one, other in zip(alone.buffers(), memory.buffers(), strict=True))


def test_where_lists_have_an_order_what_they_say_as_sets_counts_too():
    """Titles 1 … 30 and 31 … 60 are two kinds, and each person starts one kind in any order: only that tells."""
    random = np.random.default_rng(0)
    kinds = [random.permutation(30) + 1 + 30 * (person % 2) for person in range(PEOPLE)]
    users = np.repeat(np.arange(PEOPLE), 30)
    days = np.concatenate([np.sort(random.choice(400, 30, replace=False)) for _ in kinds]) + 18_262
    order = np.lexsort((users, days))
    items = np.concatenate(kinds)
    starts = Starts(users[order], items[order], days[order], np.ones(len(days), bool), WEEKS)
    recent = RecentStarts(starts, Calendar.of([], ITEMS))
    training = Sequences(
        items.astype(np.int32), np.tile(np.arange(30, dtype=np.int32), PEOPLE), np.arange(0, 901, 30), np.arange(PEOPLE)
    )
    lately = Lately(recent, training, seed=0)
    lists = [training, lately.lists_before]
    _, earlier = fit_memories(lists, WEEKS, max_seq_len=WEEKS, seed=0)
    _, earlier_sets = fit_unordered_memories(lists, WEEKS, seed=0)
    assert earlier.config.ordered and not earlier_sets.config.ordered
    assert earlier_sets.popularity.tolist() == earlier.popularity.tolist()
    told, not_told = fit_recent(lately, earlier, WEEKS, earlier_sets), fit_recent(lately, earlier, WEEKS)
    assert np.abs(told.values[:, -2:]).sum(1).min() > 0.1 and not not_told.values[:, -2:].any()
    whole, newest = ([each.history[-most:] for each in lately.asked] for most in (WEEKS, recent_strengths.NEWEST))
    config = ModelConfig(WEEKS, 8, num_heads=2, max_seq_len=WEEKS, ordered=True, memory=earlier.config)
    model, sets = ModelScorer(BERT4Rec(config, earlier)), SetScorer(earlier_sets)
    model.model.silence_network()

    def loss(strengths, *scorers):
        said = [scorer(each) for scorer in scorers for each in (whole, newest)]
        losses = []
        for each, *of_one in zip(lately.asked, *said, strict=True):
            logits = strengths.logits(of_one[0], of_one[1], each.features, *of_one[2:]).astype(float)
            logits[each.not_ranked - 1] = -np.inf
            losses.append(np.logaddexp.reduce(logits) - logits[each.item - 1])
        return np.mean(losses)

    assert loss(told, model, sets) < loss(not_told, model)


def test_the_memory_is_asked_about_whole_histories_and_about_the_twenty_newest_titles_alone(fashion, monkeypatch):
    lately, _, earlier, _ = fashion
    real, asked = recent_strengths.ask_what_comes_next, []
    monkeypatch.setattr(recent_strengths, "ask_what_comes_next", lambda *args: asked.append(args[0]) or real(*args))
    recent_strengths._said(lately.asked[:3], earlier, WEEKS, None)
    histories = [each.history.tolist() for each in lately.asked[:3]]
    assert min(map(len, histories)) > 20
    assert [each.tolist() for each in asked[0]] == histories
    assert [each.tolist() for each in asked[1]] == [history[-20:] for history in histories]


def test_it_is_the_same_every_time_and_draws_from_no_common_generator(fashion):
    lately, _, earlier, strengths = fashion
    state = torch.get_rng_state()
    assert np.array_equal(fit_recent(lately, earlier, WEEKS).values, strengths.values)
    assert torch.equal(state, torch.get_rng_state())


def test_no_strength_is_fitted_that_a_file_may_not_have(fashion, monkeypatch):
    lately, _, earlier, strengths = fashion
    monkeypatch.setattr(recent_strengths, "MOST_LIKELY", 0.25)
    assert np.array_equal(fit_recent(lately, earlier, WEEKS).values, strengths.values.clip(-0.25, 0.25))
    assert np.abs(strengths.values).max() > 0.25


def test_no_more_starts_are_asked_than_there_is_time_and_memory_for(monkeypatch):
    for limit, most in (("MOST_STARTS", 70), ("MOST_NUMBERS", 70 * WEEKS)):
        with monkeypatch.context() as patch:
            patch.setattr(recent_strengths, limit, most)
            assert 60 < len(Lately(*by_fashion(), seed=0).asked) <= 70


def test_too_few_starts_or_people_tell_nothing():
    assert not Lately(*by_fashion(weeks=30), seed=0).enough  # 180 starts
    assert not Lately(*by_fashion(people=4, weeks=WEEKS), seed=0).enough
    recent, training = by_fashion()
    assert not Lately(RecentStarts(Starts.of([], ITEMS), recent.calendar), training, seed=0).enough
    assert not Lately(recent, training.select(np.arange(4)), seed=0).enough


def model_with(values):
    model = BERT4Rec(ModelConfig(6, 8, num_heads=2, max_seq_len=5))
    model.recent_strengths = None if values is None else RecentStrengths(np.array([values, values], np.float32))
    return model


@pytest.mark.parametrize("values", [None, list(range(len(TERMS)))])
def test_they_are_kept_with_the_model(tmp_path, values):
    save_model(tmp_path / "m.pth", model_with(values), epoch=3, val_loss=1.5)
    found = load_model(tmp_path / "m.pth")[0].recent_strengths
    assert (found is None) == (values is None)
    assert found is None or found.values.tolist() == [values, values]


@pytest.mark.parametrize("unknown", [2, 3])
def test_a_model_of_before_there_were_the_last_terms_scores_as_it_did(tmp_path, unknown):
    known = len(TERMS) - unknown
    path, earlier = tmp_path / "m.pth", torch.arange(2.0 * known).view(2, known)
    save_model(path, model_with(range(len(TERMS))), epoch=3, val_loss=1.5)
    torch.save({**torch.load(path, weights_only=True), "recent_strengths": {"values": earlier}}, path)
    found = load_model(path)[0].recent_strengths
    assert found.values.tolist() == [[*row, *[0] * unknown] for row in earlier.tolist()]
    features = np.random.default_rng(0).random((6, len(FEATURES)), np.float32)
    as_it_did = (
        np.array([1, 2], np.float32) @ earlier[0, :2].numpy() + features[:, : known - 2] @ earlier[0, 2:].numpy()
    )
    assert found.logits(np.float32(1), np.float32(2), features) == pytest.approx(as_it_did)
    assert found.logits(np.float32(1), np.float32(2), features, 5, 6) == pytest.approx(as_it_did)


@pytest.mark.parametrize(
    "saved",
    [
        {},
        {"other": torch.zeros(2, len(TERMS))},
        {"values": torch.zeros(2, len(TERMS)), "more": torch.zeros(1)},
        {"values": torch.zeros(2, len(TERMS) - 1)},
        {"values": torch.zeros(2, len(TERMS) - 4)},
        {"values": torch.zeros(2, len(TERMS) + 1)},
        {"values": torch.zeros(2, len(TERMS), 1)},
        {"values": torch.zeros(2, len(TERMS), dtype=torch.double)},
        {"values": torch.zeros(len(TERMS))},
        {"values": torch.full((2, len(TERMS)), math.nan)},
        {"values": torch.full((2, len(TERMS)), -math.inf)},
        {"values": torch.full((2, len(TERMS)), 101.0)},
    ],
)
def test_other_strengths_are_refused(saved, tmp_path):
    with pytest.raises(WrongForm):
        RecentStrengths.of_tensors(saved)
    path = tmp_path / "m.pth"
    save_model(path, model_with(range(len(TERMS))), epoch=3, val_loss=1.5)
    torch.save({**torch.load(path, weights_only=True), "recent_strengths": saved}, path)
    with pytest.raises(ModelFileError):
        load_model(path)
