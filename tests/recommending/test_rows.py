"""What is shown of a title: in which language, which addresses, strangers' text made harmless."""

from __future__ import annotations

import pytest

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.recommending.rows import RecommendedAnime, title_of


@pytest.mark.parametrize(
    ("language", "titles"), [("romaji", ["R", "E", "N"]), ("english", ["E", "E", "N"]), ("native", ["N", "E", "N"])]
)
def test_the_title_is_in_the_language_or_in_one_that_there_is(language, titles):
    anime = [Anime(1, title_romaji="R", title_english="E", title_native="N")]
    anime += [Anime(2, title_english="E"), Anime(3, title_native="N")]
    assert [title_of(each, language) for each in anime] == titles
    assert title_of(Anime(4), language) == "anime 4"


def test_only_safe_addresses_are_taken_over():
    row = RecommendedAnime.of(1, Anime(7, site_url="javascript:x", cover_url="http://x/y.png"), 0.1, [], planned=False)
    assert (row.url, row.cover_url) == ("https://anilist.co/anime/7", None)


def test_without_a_mean_the_average_is_shown():
    rows = [Anime(1, mean_score=71, average_score=70), Anime(2, average_score=70), Anime(3)]
    assert [RecommendedAnime.of(1, each, 0.1, [], planned=False).mean_score for each in rows] == [71, 70, None]


def test_nothing_of_a_title_reaches_the_terminal_as_a_command():
    row = RecommendedAnime.of(1, Anime(1, title_romaji="\x1b[2J\x1b]0;x\x07Evil\nrank\u202e"), 0.1, [], planned=False)
    assert row.title == "Evil rank"
    assert RecommendedAnime.of(1, Anime(1, title_romaji="\x1b[2J"), 0.1, [], planned=False).title == "anime 1"
    row = RecommendedAnime.of(1, Anime(1, title_english="\x1b[2JE", title_native="\u202eN"), 0.1, [], planned=False)
    assert (row.title_romaji, row.title_english, row.title_native) == (None, "E", "N")
