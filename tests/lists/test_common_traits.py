"""What anime have in common, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from anime_bert4rec.lists import common_traits as features
from anime_bert4rec.lists.common_traits import CONTENT, FRANCHISE, franchises, groups_in_common, groups_of, prequels
from anime_bert4rec.lists.records import Anime, Relation, Studio, Tag
from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.model.memory_ease import gram_matrix


def alike_matrix(catalogue, vocabulary):
    groups = groups_in_common(catalogue, vocabulary)
    column = np.concatenate([[vocabulary.num_items], np.arange(vocabulary.num_items), [vocabulary.num_items]])
    return gram_matrix(groups, column, vocabulary.num_items, 1 / groups.lengths).numpy()


def test_items_that_share_groups_are_alike_by_the_size_of_the_groups():
    catalogue = [
        Anime(10, title_romaji="Aru: Natsu", genres=("Drama", "Mecha"), tags=(Tag("War"),)),
        Anime(20, title_romaji="Bel", genres=("Drama",), tags=(Tag("War"),), studios=(Studio(7, "S"),)),
        Anime(30, title_romaji="aru Fuyu", genres=("Drama",), studios=(Studio(7, "S"),)),
    ]
    alike = alike_matrix(catalogue, Vocabulary.of([10, 20, 30]))
    half = 1 / 2
    assert alike[0, 1] == pytest.approx(1 / 3 + half)  # drama, war
    assert alike[0, 2] == pytest.approx(1 / 3 + half)  # drama, the first word
    assert alike[1, 2] == pytest.approx(1 / 3 + half)  # drama, the studio
    assert alike[0, 0] == pytest.approx(1 / 3 + half + half)
    assert (alike == alike.T).all()


@pytest.mark.parametrize(
    ("one", "other", "in_common"),
    [
        ("Naruto", "NARUTO: Shippuuden", {"naruto"}),
        ("Shingeki no Kyojin", "Shingeki no Kyojin Season 2", {"shingeki no kyojin"}),
        ("Kaguya-sama wa Kokurasetai?: Tensai-tachi", "Kaguya-sama wa Kokurasetai", {"kaguya-sama wa kokurasetai"}),
        ("Isekai Quartet", "Isekai Quartet!! 2", {"isekai", "isekai quartet"}),
        ("The iDOLM@STER", "THE iDOLM@STER! 2", {"the idolm@ster"}),
        ("Aru: Natsu no Hi", "aru natsu, part two", {"aru"}),
        ("Ao no Hako", "Ao no Exorcist", set()),
        ("Tsuki ga Kirei", "Tsuki to Laika to Nosferatu", set()),
        ("~", "!", set()),
        (None, "", set()),
    ],
)
def test_titles_begin_alike_by_more_than_a_word_and_a_particle(one, other, in_common):
    def beginnings(title):
        return {words for kind, words in groups_of(Anime(1, title_romaji=title)) if kind.startswith("first word")}

    assert beginnings(one) & beginnings(other) == in_common


def test_what_everything_has_in_common_says_nothing(monkeypatch):
    monkeypatch.setattr(features, "LARGEST_GROUP", 2)
    catalogue = [Anime(k, genres=("Comedy",)) for k in (1, 2, 3)]
    assert alike_matrix(catalogue, Vocabulary.of([1, 2, 3])).sum() == 0


def test_a_franchise_is_all_that_relations_lead_to():
    catalogue = [
        Anime(1, relations=(Relation(2, "SEQUEL"),)),
        Anime(2, relations=(Relation(9, "SEQUEL"),)),  # 9 is not in the catalogue
        Anime(3, relations=(Relation(2, "PREQUEL"), Relation(4, "CHARACTER"))),
        Anime(4),
        Anime(5, relations=(Relation(4, "SIDE_STORY"),)),
    ]
    assert franchises(catalogue) == [1, 1, 1, 4, 4]


def test_a_crossover_joins_only_what_begins_alike_if_it_is_told_from_a_franchise():
    others = tuple(Relation(k, "OTHER") for k in (2, 3, 4))
    catalogue = [
        Anime(1, title_romaji="Gintama", relations=others),
        Anime(2, title_romaji="Gin", title_english="GINTAMA. 2"),
        Anime(3, title_romaji="Bleach Gintama"),
        Anime(4),
    ]
    assert franchises(catalogue) == [1, 1, 1, 1]
    assert franchises(catalogue, by_crossovers=False) == [1, 1, 3, 4]


def test_either_side_says_what_continues_what():
    catalogue = [
        Anime(1, relations=(Relation(2, "SEQUEL"), Relation(9, "SEQUEL"), Relation(3, "SIDE_STORY"))),
        Anime(2),
        Anime(3, relations=(Relation(2, "PREQUEL"), Relation(3, "PREQUEL"), Relation(9, "PREQUEL"))),
    ]
    assert prequels(catalogue) == {2: {1}, 3: {2}}


def test_genres_and_tags_are_told_from_studios_and_franchises():
    traits = {
        "genres": ("A",),
        "tags": (Tag("B"),),
        "studios": (Studio(7, "S"),),
        "relations": (Relation(1, "SEQUEL"),),
    }
    catalogue = [Anime(1), *(Anime(k, **traits) for k in (2, 3))]
    groups = groups_in_common(catalogue, Vocabulary.of([1, 2, 3]))
    of_kind = {kind: [groups.of_user(k).tolist() for k in np.flatnonzero(groups.user_ids == kind)] for kind in (-1, -2)}
    assert of_kind == {FRANCHISE: [[1, 2, 3]], CONTENT: [[2, 3], [2, 3]]}
    assert len(groups) == 4, "and the studio"


def test_a_group_has_two_at_least_and_as_many_as_may_be_at_most(monkeypatch):
    monkeypatch.setattr(features, "LARGEST_GROUP", 3)
    genres = {"A": [1], "B": [1, 2], "C": [1, 2, 3], "D": [1, 2, 3, 4]}
    catalogue = [Anime(k, genres=tuple(name for name in genres if k in genres[name])) for k in (1, 2, 3, 4)]
    groups = groups_in_common(catalogue, Vocabulary.of([1, 2, 3, 4]))
    assert sorted(groups.of_user(k).tolist() for k in range(len(groups))) == [[1, 2], [1, 2, 3]]
