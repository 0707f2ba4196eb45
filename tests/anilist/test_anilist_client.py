"""Which pages and chunks are asked for, and what comes of them, against a loopback AniList with AniList's habits."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback_anilist import Clock, CutBody, LoopbackAniList, Reply, errors
from test_answers import JSON, nearly_right

import anilist_client
from anilist_client import QUERIES, AniListClient, AniListError
from anime_bert4rec.anilist.connection import BadAnswer, Connection, Refused
from anime_bert4rec.lists.records import Anime, CatalogueCursor, CataloguePage, ListEntry, ListUnavailable, UserList
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.text import plain
from config import AniListSettings

POPULARITY = "POPULARITY_DESC"


@pytest.fixture
def serve():
    """Starts loopback servers, each with a client that waits without taking time."""
    opened = []

    def serve(*args, **kwargs):
        clock = Clock()
        server = LoopbackAniList(*args, clock=clock, **kwargs)
        client = AniListClient(AniListSettings(api_url=server.url), sleep=clock.sleep, clock=clock)
        opened.extend((client, server))
        return server, client

    yield serve
    for each in opened:
        each.close()


@pytest.fixture
def depth_200(monkeypatch):
    """Pages end at 200 anime instead of 5,000, for client and server alike: `serve(…, depth=200)`."""
    monkeypatch.setattr(anilist_client, "MAX_DEPTH", 200)


def catalogue(count, tied=1):
    """Anime 1, 2, … of falling popularity, the same for every `tied` of them; the server gets them back to front."""
    return [Anime(number, popularity=10 * (count - (number - 1) // tied)) for number in range(count, 0, -1)]


def ids(pages):
    return [anime.anime_id for page in pages for anime in page.anime]


def asked(server):
    return [request.variables for request in server.requests]


# --- the catalogue


@pytest.mark.parametrize("tied", [1, 7, 120])
def test_all_anime_once_in_order_whatever_is_tied(serve, tied):
    server, client = serve(catalogue(120, tied))
    pages = list(client.top_anime(1000, POPULARITY))
    assert ids(pages) == list(range(1, 121))
    assert [len(page.anime) for page in pages] == [50, 50, 20]
    assert [page.next for page in pages] == [CatalogueCursor(2), CatalogueCursor(3), None]
    assert asked(server) == [{"page": page, "sort": [POPULARITY, "ID"]} for page in (1, 2, 3)]


@pytest.mark.parametrize(("sort", "first"), [("ID", 1), ("ID_DESC", 120)])
def test_sorted_by_id_the_key_is_not_given_twice(serve, sort, first):
    server, client = serve(catalogue(120))
    assert ids(client.top_anime(50, sort))[0] == first
    assert asked(server) == [{"page": 1, "sort": [sort]}]


def test_3000_anime_are_60_requests(serve):
    server, client = serve(catalogue(3100, tied=4))
    assert ids(client.top_anime(3000, POPULARITY)) == list(range(1, 3001))
    assert len(server.requests) == 60


def test_it_stops_at_the_count_and_the_rest_of_the_page_is_not_lost(serve):
    server, client = serve(catalogue(120))
    pages = list(client.top_anime(70, POPULARITY))
    assert ids(pages) == list(range(1, 71))
    assert pages[-1].next == CatalogueCursor(2)
    more = client.top_anime(90, POPULARITY, pages[-1].next, range(1, 71))
    assert ids(more) == list(range(71, 91))
    assert [each["page"] for each in asked(server)] == [1, 2, 2]


def test_what_was_seen_counts_and_is_not_given_again(serve):
    server, client = serve(catalogue(120))
    assert ids(client.top_anime(60, POPULARITY, seen=[1, 3, 999])) == [2, *range(4, 60)]  # 3 + 57
    assert list(client.top_anime(3, POPULARITY, seen=[1, 3, 999])) == []
    assert len(server.requests) == 2


def test_anime_that_move_to_the_next_page_while_paging_are_made_up_for(serve):
    server, client = serve(catalogue(200))
    pages = client.top_anime(100, POPULARITY)
    found = ids([next(pages)])
    server.world.media += [{"id": number, "popularity": 9999} for number in (501, 502, 503)]
    found += ids(pages)
    assert found == list(range(1, 101))  # 48 to 50 came again on page 2, so a page 3 was asked for
    assert len(server.requests) == 3


def test_beyond_the_depth_it_goes_on_below_the_last_popularity(serve, depth_200):
    server, client = serve(catalogue(700, tied=3), depth=200)
    pages = list(client.top_anime(600, POPULARITY))
    assert ids(pages) == list(range(1, 601))
    # Anime 199 to 201 are tied. The second window begins with 199 and ends with 398 of the tied 397 to 399.
    assert pages[3].next == CatalogueCursor(1, 10 * (700 - 66) + 1)
    assert [each.get("popularityBelow") for each in asked(server)] == [None] * 4 + [6341] * 4 + [5681] * 4 + [5021]
    assert all(each["page"] <= 4 for each in asked(server))


@pytest.mark.parametrize("stop", [1, 3, 4, 5, 8, 12])
def test_an_interrupted_run_goes_on_exactly(serve, depth_200, stop):
    server, client = serve(catalogue(700, tied=3), depth=200)
    pages = client.top_anime(600, POPULARITY)
    before = [next(pages) for _ in range(stop)]
    after = client.top_anime(600, POPULARITY, before[-1].next, ids(before))
    assert ids(before) + ids(after) == list(range(1, 601))
    assert len(server.requests) == 13


def test_a_tie_longer_than_the_depth_is_left_behind(serve, depth_200, caplog):
    tied = [Anime(number, popularity=50) for number in range(1, 301)]
    server, client = serve([*tied, Anime(400, popularity=40), Anime(401, popularity=60)], depth=200)
    assert ids(client.top_anime(1000, POPULARITY)) == [401, *range(1, 201), 400]
    assert "a popularity of 50" in caplog.text
    assert len(server.requests) == 4 + 4 + 1


@pytest.mark.parametrize("popularity", [30, None])
def test_a_server_that_ignores_the_popularity_does_not_keep_us_for_ever(serve, depth_200, popularity):
    server, client = serve()
    same = {"media": [{"id": number, "popularity": popularity} for number in range(1, 51)]}
    server.fail_next(*[Reply(200, {"data": {"Page": same | {"pageInfo": {"hasNextPage": True}}}})] * 100)
    assert ids(client.top_anime(1000, POPULARITY)) == list(range(1, 51))
    assert len(server.requests) <= 12


@pytest.mark.parametrize("sort", ["SCORE_DESC", "POPULARITY", "ID"])
def test_no_other_sort_goes_beyond_the_depth(serve, sort):
    server, client = serve(catalogue(10))
    with pytest.raises(UserError, match="5,000"):
        client.top_anime(5001, sort)
    assert server.requests == []
    assert len(ids(client.top_anime(5000, sort))) == 10


def test_repeats_at_the_depth_of_another_sort_end_it(serve, depth_200, caplog):
    _, client = serve(catalogue(250), depth=200)
    assert ids(client.top_anime(200, "ID", CatalogueCursor(4), range(1000, 1100))) == list(range(151, 201))
    assert "no more than 200" in caplog.text
    assert list(client.top_anime(200, "ID", CatalogueCursor(5))) == []


def test_empty_pages_and_pages_of_nulls(serve):
    server, client = serve()
    assert list(client.top_anime(10, POPULARITY)) == [CataloguePage((), None)]
    server.fail_next(Reply(200, {"data": {"Page": {"media": [None], "pageInfo": {"hasNextPage": True}}}}))
    assert list(client.top_anime(10, POPULARITY)) == [
        CataloguePage((), CatalogueCursor(2)),
        CataloguePage((), None),
    ]


# --- lists


def entries(count):
    return [
        ListEntry(entry_id=1000 + number, anime_id=number, status="COMPLETED" if number % 2 else "PLANNING", score=80)
        for number in range(1, count + 1)
    ]


def test_a_whole_list_in_one_request_with_what_is_hidden(serve):
    listed = UserList(42, "Ann", tuple(entries(1200)), "POINT_10_DECIMAL")
    server, client = serve(users={"Ann": listed})
    assert client.user_list("aNN") == listed
    assert asked(server) == [{"name": "aNN"}]


def test_an_empty_list(serve):
    _, client = serve(users={"ann": []})
    assert client.user_list("ann") == UserList(1, "ann", ())


@pytest.mark.parametrize(
    ("count", "failure"),
    [(499, Reply(500)), (500, Reply(200, b"<html>")), (501, CutBody()), (1200, Reply(200, errors("Oops")))],
)
def test_in_chunks_when_the_whole_list_fails(serve, count, failure):
    server, client = serve(users={"ann": entries(count)})
    server.fail_next(*[failure] * 6)
    assert client.user_list("ann").entries == tuple(entries(count))
    chunks = -(-count // 500)
    assert asked(server)[6:] == [{"name": "ann", "chunk": n, "perChunk": 500} for n in range(1, chunks + 1)]


def test_chunks_that_fail_too(serve):
    server, client = serve(users={"ann": entries(10)})
    server.fail_next(*[Reply(500)] * 12)
    with pytest.raises(BadAnswer, match=r"has a problem \(500\)"):
        client.user_list("ann")
    assert len(server.requests) == 12


def test_chunks_that_never_end(serve, monkeypatch):
    monkeypatch.setattr(anilist_client, "MAX_CHUNKS", 3)
    server, client = serve()
    chunk = {"user": {"id": 1, "name": "ann"}, "lists": [{"entries": [{"id": 5, "mediaId": 6}]}], "hasNextChunk": True}
    server.fail_next(*[Reply(500)] * 6, *[Reply(200, {"data": {"MediaListCollection": chunk}})] * 9)
    assert client.user_list("ann") == UserList(1, "ann", (ListEntry(5, 6),))
    assert len(server.requests) == 9


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(400, errors("validation", 400)), r"rejects the request \(400\)"),
        (Reply(401, errors("Unauthorized.", 401)), r"rejects the request \(401\)"),
        (Reply(403, errors("Disabled", 403)), r"refuses requests \(403\)"),
    ],
)
def test_no_chunks_after_a_refusal(serve, reply, words):
    server, client = serve(users={"ann": entries(10)})
    server.fail_next(reply)
    with pytest.raises(Refused, match=words):
        client.user_list("ann")
    assert len(server.requests) == 1


@pytest.mark.parametrize("name", ["nobody", "🍥", 'a"b\\', "x" * 10_000, "\ud800", ""])
def test_unknown_people(serve, name):
    server, client = serve(users={"ann": []})
    with pytest.raises(ListUnavailable) as caught:
        client.user_list(name)
    assert (caught.value.name, caught.value.reason) == (name, "unknown")
    assert len(server.requests) == 1


def test_private_lists(serve):
    server, client = serve(users={"ann": []}, private={"Bob"})
    server.fail_next(
        None,
        Reply(200, errors("Private User")),
        Reply(200, errors("User not found", 404)),
        Reply(404, errors("This list is PRIVATE", 404)),
    )
    for reason in ("private", "private", "unknown", "private"):
        with pytest.raises(ListUnavailable) as caught:
            client.user_list("bob")
        assert caught.value.reason == reason
    assert len(server.requests) == 4


def test_a_web_page_that_is_missing_makes_nobody_unknown(serve):
    server, client = serve(users={"ann": []})
    server.fail_next(Reply(404, b"<html>nginx</html>"))
    with pytest.raises(AniListError):
        client.user_list("ann")


def test_a_list_that_is_nobodys(serve):
    server, client = serve()
    server.fail_next(Reply(200, {"data": {"MediaListCollection": {"user": None, "lists": []}}}))
    with pytest.raises(BadAnswer, match="ann"):
        client.user_list("ann")


ENTRY = {"id": 5, "mediaId": 6}
USELESS = {
    "ids that are strings": [{"entries": [{"id": "5", "mediaId": "6"}]}],
    "ids beyond 64 bit": [{"entries": [{"id": 2**64, "mediaId": 6}]}],
    "no ids": [{"entries": [{"status": "COMPLETED"}]}],
    "entries that are no list": [{"entries": {"0": ENTRY}}],
    "lists that are no list": {"entries": [ENTRY]},
}


@pytest.mark.parametrize("lists", USELESS.values(), ids=USELESS)
def test_a_list_of_which_nothing_can_be_used_is_asked_for_again_and_not_taken_for_an_empty_one(serve, lists):
    server, client = serve(users={"ann": entries(3)})
    useless = {"data": {"MediaListCollection": {"user": {"id": 1, "name": "ann"}, "lists": lists}}}
    server.fail_next(Reply(200, useless), Reply(200, useless))
    assert client.user_list("ann").entries == tuple(entries(3))
    assert len(server.requests) == 3
    server.fail_next(*[Reply(200, useless)] * 12)
    with pytest.raises(BadAnswer):
        client.user_list("ann")


@pytest.mark.parametrize("media", [[{"id": "1"}], [{"id": 2**70}, {"id": -1}], {"1": {"id": 1}}, "none", 0])
def test_a_page_of_which_nothing_can_be_used_is_asked_for_again(serve, media):
    server, client = serve(catalogue(3))
    useless = {"data": {"Page": {"media": media, "pageInfo": {"hasNextPage": True}}}}
    server.fail_next(Reply(200, useless))
    assert ids(client.top_anime(10, POPULARITY)) == [1, 2, 3]
    assert len(server.requests) == 2


# --- the rest


def test_only_published_queries_are_sent(serve):
    server, client = serve(catalogue(1), users={"ann": []})
    list(client.top_anime(1, POPULARITY))
    client.user_list("ann")
    assert {request.query for request in server.requests} == set(QUERIES)


def in_an_answer(value):
    return json.dumps({"data": {"Page": value, "MediaListCollection": value}}).encode()


BODIES = st.binary(max_size=30) | JSON.map(lambda value: json.dumps(value).encode()) | nearly_right().map(in_an_answer)


@settings(max_examples=200, deadline=None)
@given(BODIES, st.sampled_from([200, 200, 200, 404, 500]))
def test_whatever_comes_it_is_records_or_an_anilist_error(body, status):
    clock = Clock()
    client = AniListClient(AniListSettings(api_url="http://127.0.0.1:9"), sleep=clock.sleep, clock=clock)
    with pytest.MonkeyPatch.context() as patch, client:
        patch.setattr(Connection, "_exchange", lambda self, request: (status, {}, body))
        patch.setattr(anilist_client, "MAX_DEPTH", 200)
        for use in (lambda: list(client.top_anime(1000, POPULARITY)), lambda: client.user_list("ann")):
            try:
                use()
            except (AniListError, ListUnavailable) as error:
                assert plain(str(error)) == str(error)
