"""Starts that are asked on their day: places by hand, who is asked, and what is said of it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anime_bert4rec.evaluation.in_time import (
    NOT_TOLD,
    OTHERS,
    TOLD,
    InTime,
    as_json,
    measure_in_time,
    paragraphs,
    places,
    told_the_day,
)
from anime_bert4rec.lists.recent_starts import FEATURES, NEWEST, AskedStart, Calendar, RecentStarts, Starts
from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.model.recent_strengths import TERMS, RecentStrengths

ONLY_OTHERS = RecentStrengths(np.tile(np.array([term == "others' starts" for term in TERMS], np.float32), (2, 1)))


def asked(item, not_ranked):
    return AskedStart(1, item, 0, np.array([1]), np.zeros((4, 6), np.float32), np.array(not_ranked))


def test_places_by_hand():
    scores = np.array([[4.0, 3.0, 2.0, 1.0], [4.0, 3.0, 3.0, 1.0], [np.inf, 0.0, -1.0, -np.inf]])
    found = places(scores, [asked(3, [1]), asked(2, [4]), asked(4, [1])])
    assert found.tolist() == [2, 3, 3]  # what was seen is no candidate; a tie is the worse place


def two_weeks_behind(people=30):
    """Person after person starts titles 1, 2, …, a week each: everybody starts what others started days before."""
    rows = [
        (person, title, None, None, 86_400 * (18_262 + 7 * title + person % 5))
        for person in range(people)
        for title in range(1, 40)
    ]
    vocabulary = Vocabulary.of(range(1, 41))
    return RecentStarts(Starts.of(rows, vocabulary), Calendar.of([], vocabulary))


def no_idea(histories):
    return np.zeros((len(histories), 40), np.float32)


def test_being_told_the_day_helps():
    recent = two_weeks_behind()
    found = measure_in_time(no_idea, None, ONLY_OTHERS, recent, np.arange(12), seed=0)
    assert found is not None and found.people == 12
    assert found.starts == math.ceil(12 * 39 / 5)  # the newest fifth
    assert np.array_equal(found.places[TOLD], found.places[OTHERS])
    first = np.array([each % 5 == 0 for each in range(12)]).mean()  # who is the first to start a title is not told
    assert (found.places[TOLD] == 1).mean() == pytest.approx(1 - first, abs=0.1)
    assert found.places[NOT_TOLD].min() > 1  # all titles are tied


def test_who_cannot_be_asked():
    recent = two_weeks_behind()
    assert measure_in_time(no_idea, None, ONLY_OTHERS, recent, np.arange(9), seed=0) is None
    assert measure_in_time(no_idea, None, None, recent, np.arange(12), seed=0) is None
    assert measure_in_time(no_idea, None, ONLY_OTHERS, None, np.arange(12), seed=0) is None
    assert measure_in_time(no_idea, None, ONLY_OTHERS, recent, np.array([], int), seed=0) is None
    assert paragraphs(None) == [] and as_json(None) is None


def test_what_is_said():
    found = InTime(
        np.array([7, 8, 8]),
        {TOLD: np.array([1, 3, 11]), NOT_TOLD: np.array([1, 11, 11]), OTHERS: np.array([10, 10, 10])},
    )
    table, note = paragraphs(found)
    assert table.splitlines() == [
        "In time (3 starts of 2 people)                       HR@10  NDCG@10      ±",
        "this model, told the day                              .667     .500   .333",
        "the same, not told                                    .333     .333   .444",
        "others' recent starts                                1.000     .289   .000",
    ]
    assert max(map(len, [*table.splitlines(), *note.splitlines()])) <= 80
    found_json = as_json(found)
    assert found_json["gain_of_being_told"]["mean"] == pytest.approx(1 / 6)
    assert found_json["contenders"][OTHERS]["hr@10"] == {"mean": 1.0, "error": 0.0}
    assert found_json["contenders"][TOLD]["ndcg@10"]["mean"] == pytest.approx(1 / 2)


def test_the_model_is_asked_about_whole_histories_and_about_the_newest_titles_alone():
    histories = []
    one = AskedStart(1, 5, 0, np.arange(1, NEWEST + 4), np.zeros((9, len(FEATURES)), np.float32), np.array([1]))
    strengths = RecentStrengths(np.array([[10, 1, *[0] * (len(TERMS) - 2)]] * 2, np.float32))

    def length_of(some):
        histories.extend(some)
        return np.full((1, 9), len(some[0]), np.float32)

    whole, told = told_the_day(length_of, None, strengths, [one])
    assert (whole == NEWEST + 3).all() and (told == 10 * (NEWEST + 3) + NEWEST).all()
    assert [each.tolist() for each in histories] == [[*range(1, NEWEST + 4)], [*range(4, NEWEST + 4)]]
