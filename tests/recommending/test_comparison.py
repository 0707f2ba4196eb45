"""Two people beside each other, by hand."""

from __future__ import annotations

import json

import pytest

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.recommending.comparison import Comparison, SharedAnime, compare, comparison_as_json
from anime_bert4rec.recommending.comparison import comparison_as_text as as_text
from anime_bert4rec.recommending.person import Person
from anime_bert4rec.recommending.rows import RecommendedAnime

CATALOGUE = [Anime(k, title_romaji=f"Title {k}", popularity=100 - k) for k in range(1, 13)]
TITLES = {anime.anime_id: f"Title {anime.anime_id}" for anime in CATALOGUE}


def person(name, scores, unscored=(), disliked=()):
    """Somebody who has scored titles, of 100, likes others without a score, and dislikes some."""
    liked = {*scores, *unscored} - {*disliked}
    return Person((), frozenset(liked), frozenset({*scores, *unscored, *disliked}), scores=scores, name=name)


ANN = person("Ann", {1: 90, 2: 80, 3: 70, 4: 60, 5: 50, 6: 100}, unscored=(7, 8))  # mean 75
BEN = person("Ben", {1: 60, 2: 70, 3: 80, 4: 90, 5: 100, 10: 80}, unscored=(7,), disliked=(11,))  # mean 80


def compared(one=ANN, other=BEN, best=((9, 10), (10, 12)), most=9, catalogue=CATALOGUE):
    """best_for gives the rows in the order of ids, as if small ones suited best."""

    def best_for(which, anime_ids):
        asked.append((which, sorted(anime_ids)))
        return [
            RecommendedAnime.of(rank, Anime(each, title_romaji=TITLES[each]), 0.1, [], planned=False, predicted=84.0)
            for rank, each in enumerate(sorted(anime_ids), 1)
        ]

    asked = []
    return compare((one, other), best, best_for, TITLES, catalogue, most), asked


def test_how_near_two_people_are():
    """Both have scored 1 to 5: 90, 80, 70, 60, 50 and 60, 70, 80, 90, 100, which is the opposite."""
    found, _ = compared()
    assert (found.names, found.watched, found.watched_by_both) == (("Ann", "Ben"), (8, 8), 6)
    assert (found.scored_by_both, found.agreement) == (5, -1.0)
    assert (found.recommended_to_both, found.looked_at) == (1, 2)
    many = list(range(20, 150))
    found, _ = compared(best=(many, many[50:]))
    assert (found.recommended_to_both, found.looked_at) == (30, 80), "of 20 to 99, 70 to 99 are among 70 to 149"
    assert "They share 30 of the first 80 titles" in as_text(found, None)
    assert compared(best=(many, many[20:]))[0].looked_at == 100
    assert "They share none of the first title" in as_text(compared(best=([9], [10, 12]))[0], None)
    assert "They share" not in as_text(compared(best=([9], []))[0], None)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({1: 90, 2: 80, 3: 70, 4: 60}, {1: 90, 2: 80, 3: 70, 4: 60}),
        (dict.fromkeys(range(1, 9), 70), {k: 50 + k for k in range(1, 9)}),
        ({}, {}),
    ],
)
def test_of_few_scores_or_all_the_same_it_is_not_said_whether_they_agree(one, other):
    found, _ = compared(person("a", one, unscored=(9,)), person("b", other, unscored=(9,)))
    assert found.agreement is None and "correlation" not in as_text(found, None)


def test_what_both_like_comes_by_how_far_above_their_means_it_is():
    """Favourites of Ann are 1, 2, 6, 7, 8 and of Ben 3, 4, 5, 7, 10: of what both have, only 7 is."""
    found, _ = compared()
    assert found.both_like == (SharedAnime(7, "Title 7", (None, None)),)
    one, other = (
        person("a", {1: 80, 2: 90, 3: 40}, unscored=(5, 6)),
        person("b", {1: 90, 2: 70, 3: 20}, unscored=(6, 5)),
    )
    found, _ = compared(one, other)  # means 70 and 60: 1 is 10 + 30 above, 2 is 20 + 10; 5 is better known than 6
    assert [(each.anime_id, each.scores) for each in found.both_like] == [
        (1, (8.0, 9.0)),
        (2, (9.0, 7.0)),
        (6, (None, None)),
        (5, (None, None)),
    ]
    assert [each.anime_id for each in compared(one, other, most=1)[0].both_like] == [1]
    without_first = [anime for anime in CATALOGUE if anime.anime_id != 1]
    assert [each.anime_id for each in compared(one, other, catalogue=without_first)[0].both_like] == [2, 6, 5]


def test_what_either_could_show_the_other():
    found, asked = compared()
    assert asked == [(1, [6, 8]), (0, [10])]  # for Ben what Ann likes, and for Ann what Ben likes and not 11
    assert [[row.anime_id for row in rows] for rows in found.to_show] == [[6, 8], [10]]
    assert [len(rows) for rows in compared(most=1)[0].to_show] == [1, 1]


def test_the_text_of_a_comparison():
    found, _ = compared()
    assert (
        as_text(found, None)
        == """\
Ann has watched 8 titles, Ben 8; both have watched 6 of the 10 that either has.
They share 1 of the first 2 titles that each would like next.
On the 5 titles that both have scored, their scores have a correlation of -1.00 (1: the same, 0: nothing in common).

Both like:
1  Title 7

Ann could show Ben:
1  Title 6  Ben: 8.4
   https://anilist.co/anime/6
2  Title 8  Ben: 8.4
   https://anilist.co/anime/8

Ben could show Ann:
1  Title 10  Ann: 8.4
   https://anilist.co/anime/10
"""
    )
    one, other = person("a", {1: 80, 2: 84}), person("b", {1: 90})
    assert "Both like:\n1  Title 2" not in as_text(compared(one, other)[0], 80)
    text = as_text(compared(person("a", {1: 81, 2: 80}), person("b", {1: 90}))[0], 80)
    assert "Both like:\n1  Title 1  a: 81  b: 9\n" in text
    assert as_text(found, 80).splitlines()[:5] == [
        "Ann has watched 8 titles, Ben 8; both have watched 6 of the 10 that either has.",
        "They share 1 of the first 2 titles that each would like next.",
        "On the 5 titles that both have scored, their scores have a correlation of -1.00",
        "(1: the same, 0: nothing in common).",
        "",
    ]
    nothing = Comparison(("a", "b"), (1, 1), 0, 0, None, 0, 2, (), ((), ()))
    assert as_text(nothing, 80).splitlines()[:2] == [
        "a has watched 1 title, b 1; both have watched 0 of the 2 that either has.",
        "They share none of the first 2 titles that each would like next.",
    ]
    assert as_text(nothing, 80).splitlines()[-5:] == [
        "Both like nothing that both have watched and that may be shown.",
        "",
        "a could show b nothing.",
        "",
        "b could show a nothing.",
    ]


def test_the_json_of_a_comparison():
    found, _ = compared()
    read = json.loads(comparison_as_json(found, ascii_only=True))
    assert read["watched_by_both"] == 6 and read["both_like"][0]["title"] == "Title 7"
    assert [[row["anime_id"] for row in rows] for rows in read["to_show"]] == [[6, 8], [10]]
    assert list(read) == [
        "names",
        "watched",
        "watched_by_both",
        "scored_by_both",
        "agreement",
        "recommended_to_both",
        "looked_at",
        "both_like",
        "to_show",
    ]
