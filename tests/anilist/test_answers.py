"""Any JSON becomes records that can be stored, field by field; and the queries are ones that AniList takes."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest
from full_anime import FULL_ANIME
from graphql import build_schema, parse, validate
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback_graphql import SCHEMA, complexity, media_of

from anime_bert4rec.anilist.answers import QUERIES, one_for_each_anime, read_list, read_page
from anime_bert4rec.anilist.connection import BadAnswer
from anime_bert4rec.lists.records import Anime, Relation, Studio, Tag
from config import PROJECT_DIR

ENTRY = {
    "id": 10,
    "mediaId": 1,
    "status": "COMPLETED",
    "score": 85.0,
    "progress": 12,
    "repeat": 1,
    "startedAt": {"year": 2020, "month": 5, "day": None},
    "completedAt": {"year": 2020, "month": 6, "day": 30},
    "updatedAt": 1_600_000_000,
    "createdAt": 0,
}


def anime(**changes):
    (found,) = read_page({"media": [media_of(FULL_ANIME) | changes]}).anime
    return found


def entries(*items):
    return one_for_each_anime(read_list({"lists": [{"entries": list(items)}]}).entries)


def entry(**changes):
    (found,) = entries(ENTRY | changes)
    return found


# --- anime


def test_a_full_anime_and_an_empty_one():
    assert anime() == FULL_ANIME
    assert read_page({"media": [{"id": 5}]}).anime == [Anime(5)]


@pytest.mark.parametrize("wrong", [None, "12", [], {}, True, -1, 0.5, float("nan"), float("inf"), 2**63, 10**400])
def test_a_wrong_number_is_unknown_and_the_rest_stays(wrong):
    assert anime(episodes=wrong, popularity=wrong) == dataclasses.replace(FULL_ANIME, episodes=None, popularity=None)


def test_numbers_at_their_limits():
    assert anime(episodes=1, duration=24.0, averageScore=100, popularity=2**53) == dataclasses.replace(
        FULL_ANIME, episodes=1, duration=24, average_score=100, popularity=2**53
    )
    assert anime(favourites=2**63 - 1, popularity=2**53 + 1) == dataclasses.replace(
        FULL_ANIME, favourites=2**63 - 1, popularity=None
    )
    assert anime(averageScore=101, meanScore=-1, idMal=0) == dataclasses.replace(
        FULL_ANIME, average_score=None, mean_score=None, mal_id=None
    )


def test_no_episodes_and_a_mean_of_zero_are_unknown():
    unknown = dataclasses.replace(FULL_ANIME, episodes=None, duration=None, average_score=None, mean_score=None)
    assert anime(episodes=0, duration=0, averageScore=0, meanScore=0) == unknown


def test_text_loses_only_what_cannot_be_stored():
    title = {"romaji": "\x1b[1mA\0\ud800B\nC 😀", "english": "\0", "native": ""}
    found = anime(title=title)
    assert (found.title_romaji, found.title_english, found.title_native) == ("\x1b[1mAB\nC 😀", None, None)
    assert anime(title="Naruto", siteUrl=["x"]) == dataclasses.replace(
        FULL_ANIME, title_romaji=None, title_english=None, title_native=None, site_url=None
    )


def test_values_that_anilist_has_yet_to_invent_stay_text():
    found = anime(
        format="HOLOGRAM",
        status="LOST",
        relations={"edges": [{"relationType": "DREAM", "node": {"id": 9, "type": "ANIME"}}]},
    )
    assert (found.format, found.status, found.relations) == ("HOLOGRAM", "LOST", (Relation(9, "DREAM"),))


def test_lists_lose_nulls_repeats_and_nonsense():
    found = anime(
        genres=["Action", None, 3, "Action", "Drama"],
        synonyms=["AoT", None, ["SnK"], "AoT", "", "SnK"],
        tags=[None, {"name": "Gore", "rank": 101}, {"name": "Gore", "rank": 50}, {"rank": 5}, "Gore"],
        studios={
            "edges": [{"node": {"id": 8, "name": "B"}}, {"isMain": True, "node": {"id": 8, "name": "B"}}, {"node": 1}]
        },
        relations={
            "edges": [
                {"relationType": "SEQUEL", "node": {"id": 3, "type": "ANIME"}},
                {"relationType": "SEQUEL", "node": {"id": 3, "type": "ANIME"}},
                {"relationType": "SOURCE", "node": {"id": 4, "type": "MANGA"}},
                {"relationType": None, "node": {"id": 5, "type": "ANIME"}},
                {"relationType": "OTHER", "node": None},
            ]
        },
    )
    assert found.genres == ("Action", "Drama")
    assert found.synonyms == ("AoT", "SnK")
    assert found.tags == (Tag("Gore"),)
    assert found.studios == (Studio(8, "B", is_main=True),)
    assert found.relations == (Relation(3, "SEQUEL"),)


@pytest.mark.parametrize("bad", [None, 0, -1, "1", True, 2**63, 1.5])
def test_an_anime_without_a_usable_id_is_skipped(bad):
    assert read_page({"media": [{"id": bad}, None, "x", {"id": 2}, {"id": 2}]}).anime == [Anime(2)]


@pytest.mark.parametrize("media", [{}, "x", 3])
def test_no_list_of_anime(media):
    assert read_page({"media": None}).anime == []
    with pytest.raises(BadAnswer):
        read_page({"media": media})


def more(page):
    return read_page(page).more


def test_only_a_true_has_next_page_goes_on():
    assert more({"pageInfo": {"hasNextPage": True}, "media": [None]})
    assert not more({"pageInfo": {"hasNextPage": True}, "media": []})
    for wrong in (False, None, "true", 1):
        assert not more({"pageInfo": {"hasNextPage": wrong, "total": 5000, "lastPage": 100}})
    assert not more({"pageInfo": None})


# --- lists


def test_a_full_entry_and_an_empty_one():
    found = entry()
    assert (found.entry_id, found.anime_id, found.status, found.score) == (10, 1, "COMPLETED", 85)
    assert (found.progress, found.repeats, found.started, found.completed) == (12, 1, 20200500, 20200630)
    assert (found.updated, found.created) == (1_600_000_000, None)
    (empty,) = entries({"id": 3, "mediaId": 4})
    assert dataclasses.astuple(empty) == (3, 4, None, None, 0, 0, None, None, None, None)


@pytest.mark.parametrize(
    ("score", "kept"),
    [(0, None), (0.0, None), (1, 1), (85.6, 86), (100.0, 100), (100.4, None), (101, None), (-5, None), ("85", None)],
)
def test_scores_are_1_to_100(score, kept):
    assert entry(score=score).score == kept


@pytest.mark.parametrize(
    ("date", "kept"),
    [
        ((2020, 2, 29), 20200229),
        ((2020, 12, None), 20201200),
        ((2020, None, None), 20200000),
        ((2020, None, 5), 20200000),
        ((2020, 0, 0), 20200000),
        ((None, 5, 5), None),
        ((0, 5, 5), None),
        ((20, 5, 5), None),
        ((2021, 2, 29), None),
        ((2020, 13, 1), None),
        ((2020, 1, 32), None),
        ((10**30, 1, 1), None),
        ((2**62, 1, 1), None),
        (("2020", 1, 1), None),
        ((2020, "1", 1), 20200000),
    ],
)
def test_dates(date, kept):
    assert entry(completedAt=dict(zip(("year", "month", "day"), date, strict=True))).completed == kept


@pytest.mark.parametrize("date", [None, 20200101, "2020-01-01", [2020, 1, 1]])
def test_dates_of_another_shape_are_unknown(date):
    assert entry(completedAt=date).completed is None


@pytest.mark.parametrize("when", [0, None, -1, "1600000000", 10**15])
def test_times_that_are_none(when):
    assert entry(updatedAt=when).updated is None


def test_each_entry_once_and_one_for_each_anime():
    plain, same = ENTRY | {"status": None}, ENTRY | {"status": "PAUSED"}
    assert [each.status for each in entries(plain, same, plain)] == ["PAUSED"]
    older, newer = ENTRY | {"id": 11, "updatedAt": 5, "status": "DROPPED"}, ENTRY | {"id": 12, "updatedAt": 6}
    hidden = ENTRY | {"id": 13, "status": None, "updatedAt": 7}
    assert [each.entry_id for each in entries(older, hidden, newer)] == [12]
    other = ENTRY | {"id": 2, "mediaId": 99}
    assert [each.entry_id for each in entries(older, other)] == [2, 11]


def test_null_lists_and_entries():
    lists = [None, {"entries": None}, {"entries": [None, {"id": None, "mediaId": 1}, {"id": 1}, ENTRY]}, "x"]
    assert [each.entry_id for each in read_list({"lists": lists}).entries] == [10]
    assert read_list({"lists": None}).entries == read_list({}).entries == []


def test_whose_list():
    for user, whose in (
        ({"id": 5, "name": "Ann"}, (5, "Ann")),
        ({"id": 5, "name": "\0"}, (5, None)),
        (None, (None, None)),
        ({"id": "5"}, (None, None)),
    ):
        assert read_list({"user": user})[:2] == whose


# --- anything at all

KEYS = st.sampled_from(
    "media id idMal title romaji pageInfo hasNextPage genres tags name rank studios edges node isMain relations type "  # noqa: SIM905
    "relationType startDate year month day episodes lists entries mediaId status score updatedAt user".split()
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-2, 120)
    | st.floats()
    | st.sampled_from([2**63 - 1, 2**63, -(2**63), 10**400, "ANIME", "\0", "\ud83d"])
    | st.text(st.characters(exclude_categories=()), max_size=5)
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6))
GOOD = [{"media": [media_of(FULL_ANIME)], "pageInfo": {"hasNextPage": True}}]
GOOD.append({"lists": [{"entries": [ENTRY]}], "user": {"id": 1, "name": "x"}})


def changed(draw, value):
    """`value` with something else in a few random places."""
    if draw(st.integers(0, 9)) == 0:
        return draw(JSON)
    if isinstance(value, dict):
        return {key: changed(draw, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [changed(draw, inner) for inner in value]
    return value


@st.composite
def nearly_right(draw):
    return changed(draw, draw(st.sampled_from(GOOD)))


def storable(value):
    if isinstance(value, str):
        value.encode()
        return "\0" not in value
    if isinstance(value, tuple):
        return all(map(storable, value))
    return value is None or (isinstance(value, int) and -(2**63) <= value < 2**63)


@settings(max_examples=200, deadline=None)
@given(JSON | nearly_right())
def test_any_json_becomes_storable_records(answer):
    answer = answer if isinstance(answer, dict) else {"media": answer, "lists": answer}
    with contextlib.suppress(BadAnswer):
        page = read_page(answer)
        assert all(storable(dataclasses.astuple(each)) for each in page.anime)
        assert page.more in (True, False)
    with contextlib.suppress(BadAnswer):
        part = read_list(answer)
        found = [*part.entries, *one_for_each_anime(part.entries)]
        assert all(storable(dataclasses.astuple(each)) for each in found)
        assert storable((part.user_id, part.name))
        assert part.more in (True, False)


# --- queries


@pytest.mark.parametrize("query", QUERIES)
def test_the_queries_are_valid_and_cheap(query):
    document = parse(query)
    assert validate(SCHEMA, document) == []
    assert 20 < complexity(document) < 500


@pytest.mark.parametrize("query", QUERIES)
def test_the_queries_are_valid_in_anilists_own_schema(query):
    schema = PROJECT_DIR.parent / "shared" / "anilist" / "schema.graphql"
    if not schema.exists():
        pytest.skip("AniList's schema is not there")
    assert validate(build_schema(schema.read_text(encoding="utf-8")), parse(query)) == []


def test_the_schema_of_the_tests_knows_a_wrong_query():
    assert validate(SCHEMA, parse("{ Page { media(id_greater: 1) { id } } }"))
