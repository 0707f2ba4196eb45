"""Pace, retries and named errors, against a real HTTP server and a clock that only waiting moves."""

from __future__ import annotations

import gzip
import itertools
import socket
import time

import pytest
from loopback_anilist import Clock, CutBody, Drip, Hang, LoopbackAniList, Reply, Reset, errors

from anime_bert4rec.anilist import connection as anilist_connection
from anime_bert4rec.anilist.answers import TOP_ANIME
from anime_bert4rec.anilist.connection import BadAnswer, Connection, NotFound, RateLimited, Refused, Unreachable
from anime_bert4rec.lists.records import Anime
from anime_bert4rec.support.errors import SettingError

PAGE = {"page": 1, "sort": ["ID"]}


def connection_to(url, *, sleep, clock, requests_per_minute=0, timeout=30.0, referer=""):
    """A connection without a pace, if none is given."""
    return Connection(
        url,
        requests_per_minute=requests_per_minute,
        timeout=timeout,
        user_agent="tests",
        referer=referer,
        sleep=sleep,
        clock=clock,
    )


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server(clock):
    with LoopbackAniList([Anime(1), Anime(2)], clock=clock) as server:
        yield server


@pytest.fixture
def connect(server, clock):
    """Makes connections to the server, or to another address."""
    made = []

    def connect(url=None, **settings):
        made.append(connection_to(url or server.url, sleep=clock.sleep, clock=clock, **settings))
        return made[-1]

    yield connect
    for each in made:
        each.close()


def ask(connection):
    return [each["id"] for each in connection.ask(TOP_ANIME, PAGE, "Page", dict)["media"] if each]


def gaps(server):
    times = [request.at for request in server.requests]
    return [round(later - earlier, 3) for earlier, later in itertools.pairwise(times)]


# --- pace


def test_requests_are_spread_evenly(server, connect, clock):
    connection = connect(requests_per_minute=30)
    for _ in range(4):
        ask(connection)
    assert gaps(server) == [2.033, 2.033, 2.033]  # 61 s / 30
    clock.now += 1.5  # time that passes otherwise counts
    ask(connection)
    assert clock.sleeps[-1] == pytest.approx(61 / 30 - 1.5)
    clock.now += 100
    waits = len(clock.sleeps)
    ask(connection)
    assert len(clock.sleeps) == waits


@pytest.mark.parametrize(("ours", "theirs", "gap"), [(30, 10, 6.1), (5, 90, 12.2), (30, 30, 2.033)])
def test_anilists_limit_lowers_the_pace_and_never_raises_it(server, connect, ours, theirs, gap):
    server.limit = theirs
    connection = connect(requests_per_minute=ours)
    for _ in range(3):
        ask(connection)
    assert gaps(server) == [gap, gap]


@pytest.mark.parametrize("limit", ["0", "-1", "many", "", "1e2"])
def test_a_nonsense_limit_is_ignored(server, connect, limit):
    server.fail_next(Reply(200, {"data": {"Page": {"media": []}}}, {"X-RateLimit-Limit": limit}))
    connection = connect(requests_per_minute=30)
    ask(connection)
    ask(connection)
    assert gaps(server) == [2.033]


def test_no_pace_at_0(connect, clock):
    connection = connect(requests_per_minute=0)
    for _ in range(10):
        ask(connection)
    assert clock.sleeps == []


@pytest.mark.parametrize("limit", [30, 90])
def test_at_anilists_own_limit_no_request_is_lost(server, connect, limit):
    server.limit = limit
    connection = connect(requests_per_minute=limit)
    for _ in range(3 * limit):
        ask(connection)
    assert [request.status for request in server.requests] == [200] * 3 * limit


def test_without_a_pace_bursts_meet_429_and_all_is_answered(server, connect, clock):
    server.limit = 5
    connection = connect(requests_per_minute=0)
    assert [ask(connection) for _ in range(12)] == [[1, 2]] * 12
    assert clock.sleeps == [61.0, 61.0]
    assert [request.status for request in server.requests].count(429) == 2


# --- 429


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", 8.0),
        ("0", 1.0),
        ("60", 61.0),
        (None, 60.0),
        ("", 60.0),
        ("soon", 60.0),
        ("-5", 60.0),
        ("1.5", 60.0),
        ("99999999999999999999", 60.0),
        ("86400", 601.0),
    ],
)
def test_after_429_it_waits_as_told_and_says_so(server, connect, clock, caplog, header, wait):
    headers = {} if header is None else {"Retry-After": header}
    server.fail_next(Reply(429, errors("Too Many Requests.", 429), headers))
    assert ask(connect()) == [1, 2]
    assert clock.sleeps == [wait]
    assert f"trying again in {wait:g} s" in caplog.text


def test_429_in_other_forms(server, connect, clock):
    server.fail_next(
        Reply(429, b"<html>slow down</html>", {"Retry-After": "3"}),
        Reply(200, errors("Too Many Requests.", 429), {"Retry-After": "4"}),
        Reply(200, errors("Too Many Requests.")),
    )
    assert ask(connect()) == [1, 2]
    assert clock.sleeps == [4.0, 5.0, 60.0]


def test_many_429_do_not_use_up_the_retries_but_not_endlessly_many(server, connect, clock):
    busy = Reply(429, headers={"Retry-After": "60"})
    server.fail_next(*[busy] * 25, *[Reply(500)] * 5, *[busy] * 5)
    assert ask(connect()) == [1, 2]
    server.fail_next(*[busy] * 31)
    with pytest.raises(RateLimited, match="requests-per-minute"):
        ask(connect())
    assert len(server.requests) == 36 + 31


# --- what is tried again

DEEP = b'{"data":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
CUT_GZIP = gzip.compress(b'{"data": {"Page": {}}}')[:20]
PROBLEM, NO_DATA, CUT = "has a problem (", "sent no AniList data", "was cut: "
UNREACHABLE = "could not be reached: "
TEMPORARY = {
    "500": (Reply(500, b"<html><h1>Oops</h1></html>"), BadAnswer, PROBLEM),
    "502": (Reply(502, b"<html>"), BadAnswer, PROBLEM),
    "503 with JSON": (Reply(503, errors("Maintenance", 503)), BadAnswer, PROBLEM),
    "520": (Reply(520), BadAnswer, PROBLEM),
    "200 with a server error": (Reply(200, errors("Internal Server Error", 500)), BadAnswer, PROBLEM),
    "200 with an error of no status": (Reply(200, errors("Something went wrong")), BadAnswer, PROBLEM),
    "200 with errors and data": (Reply(200, errors("Oops", data={"Page": {"media": []}})), BadAnswer, PROBLEM),
    "200 with odd errors": (Reply(200, {"errors": "Oops"}), BadAnswer, PROBLEM),
    "200 with an odd status": (Reply(200, {"errors": [{"message": None, "status": 10**30}]}), BadAnswer, PROBLEM),
    "200 with HTML": (Reply(200, b"<html>Just a moment</html>"), BadAnswer, NO_DATA),
    "empty": (Reply(200, b""), BadAnswer, NO_DATA),
    "204": (Reply(204), BadAnswer, NO_DATA),
    "a JSON list": (Reply(200, b"[1]"), BadAnswer, NO_DATA),
    "null": (Reply(200, b"null"), BadAnswer, NO_DATA),
    "no data": (Reply(200, {"data": None}), BadAnswer, NO_DATA),
    "no page": (Reply(200, {"data": {"Page": None}}), BadAnswer, NO_DATA),
    "no UTF-8": (Reply(200, b'{"data": "\xff\xfe"}'), BadAnswer, NO_DATA),
    "an endless number": (Reply(200, b"1" * 10_000), BadAnswer, NO_DATA),
    "nested too deeply": (Reply(200, DEEP), BadAnswer, NO_DATA),
    "broken gzip": (Reply(200, b"not gzip at all", {"Content-Encoding": "gzip"}), BadAnswer, CUT),
    "cut": (CutBody(), BadAnswer, CUT),
    "cut, chunked": (CutBody(chunked=True), BadAnswer, CUT),
    "cut gzip": (Reply(200, CUT_GZIP, {"Content-Encoding": "gzip"}), BadAnswer, NO_DATA),
    "reset": (Reset(), Unreachable, UNREACHABLE),
    "no answer": (Hang(0), Unreachable, UNREACHABLE),
}


@pytest.mark.parametrize("failure", [each for each, *_ in TEMPORARY.values()], ids=TEMPORARY)
def test_temporary_failures_are_tried_again(server, connect, clock, failure, caplog):
    server.fail_next(failure, failure)
    assert ask(connect()) == [1, 2]
    assert clock.sleeps == [1.0, 2.0]
    assert caplog.text.count("trying again in") == 2


@pytest.mark.parametrize(("failure", "exception", "words"), TEMPORARY.values(), ids=TEMPORARY)
def test_five_retries_with_growing_waits_then_a_named_error(server, connect, clock, failure, exception, words):
    server.fail_next(*[failure] * 6)
    with pytest.raises(exception) as caught:
        ask(connect())
    assert clock.sleeps == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert len(server.requests) == 6
    assert server.url.removeprefix("http://") in str(caught.value)
    assert words in str(caught.value)
    assert "<" not in str(caught.value)


def test_an_answer_that_takes_too_long(server, connect, clock):
    server.fail_next(Hang(30))
    assert ask(connect(timeout=1)) == [1, 2]
    assert clock.sleeps == [1.0]


def test_an_answer_that_drips_for_ever(server, monkeypatch, caplog):
    monkeypatch.setattr(anilist_connection, "TRICKLE", 1)
    server.fail_next(Drip(0.01))
    connection = connection_to(server.url, sleep=lambda seconds: None, clock=time.monotonic, timeout=1)
    assert ask(connection) == [1, 2]
    assert "sent no whole answer within 1 s" in caplog.text
    connection.close()


def test_nothing_listens_there(connect):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Unreachable, match=rf"^127.0.0.1:{port} could not be reached: Connection refused; are [^<(]*$"):
        ask(connect(f"http://127.0.0.1:{port}"))


def test_a_host_name_that_cannot_be(connect):
    with pytest.raises(Unreachable):
        ask(connect(f"http://{'x' * 70}.example"))


# --- what is not tried again


@pytest.mark.parametrize(
    ("reply", "exception", "words"),
    [
        (Reply(400, errors("Cannot query field", 400)), Refused, "rejects the request (400): Cannot query field"),
        (Reply(200, errors("validation", 400)), Refused, "rejects the request (400): validation"),
        (Reply(200, errors("Syntax Error: Expected Name")), Refused, "rejects the request (400): Syntax Error"),
        (Reply(401, errors("Unauthorized.", 401)), Refused, "rejects the request (401): Unauthorized."),
        (Reply(403, errors("The API is temporarily disabled.", 403)), Refused, "The API is temporarily disabled."),
        (Reply(200, errors("The API is temporarily disabled.")), Refused, "The API is temporarily disabled."),
        (Reply(403, b"error code: 1010"), Refused, "error code: 1010"),
        (Reply(403, b"<html><h1>Go  away</h1></html>"), Refused, "(403): Go away"),
        (Reply(404, errors("Not Found.", 404)), NotFound, "Not Found."),
        (Reply(404, b"<html><h1>nginx</h1></html>"), Refused, "is not AniList, or not at this address (404): nginx"),
        (Reply(405), Refused, "is not AniList, or not at this address (405)"),
    ],
)
def test_refusals_are_final(server, connect, clock, reply, exception, words):
    server.fail_next(reply)
    with pytest.raises(exception) as caught:
        ask(connect())
    assert words in str(caught.value)
    assert (len(server.requests), clock.sleeps) == (1, [])


def test_what_anilist_says_cannot_command_the_terminal(server, connect):
    server.fail_next(Reply(403, errors("\x1b[31mgo\naway\u202e \ud800" + "!" * 9999, 403)))
    with pytest.raises(Refused) as caught:
        ask(connect())
    assert "(403): go away !!!" in str(caught.value)
    assert len(str(caught.value)) <= 500


@pytest.mark.parametrize("location", ["/elsewhere", "http://[::1", "//\udcff"])
def test_redirects_are_not_followed(server, connect, location):
    with LoopbackAniList() as other:
        target = other.url if location == "/elsewhere" else location
        server.fail_next(Reply(302, headers={"Location": target.encode("utf-8", "surrogateescape").decode("latin-1")}))
        with pytest.raises(Refused, match="redirects to"):
            ask(connect())
        assert other.requests == []


BOMB = gzip.compress(bytes(65 * 2**20), compresslevel=1)


@pytest.mark.parametrize("status", [200, 302, 403, 500])
def test_a_gzip_bomb_is_not_swallowed(server, connect, status):
    server.fail_next(Reply(status, BOMB, {"Content-Encoding": "gzip", "Location": server.url}))
    with pytest.raises(Refused, match="64 MiB"):
        ask(connect())
    assert len(server.requests) == 1


# --- where it goes


@pytest.mark.parametrize(
    "address",
    ["anilist.co", "ftp://anilist.co", "http://", "http://[::1", "http://a:99999", "http://a b", "http://é\n"],
)
def test_an_impossible_address_is_named(clock, address):
    with pytest.raises(SettingError, match=r"^--api-url "):
        connection_to(address, sleep=clock.sleep, clock=clock)
    with pytest.raises(SettingError, match=r"^--referer "):
        connection_to("http://127.0.0.1:9", sleep=clock.sleep, clock=clock, referer=address)
