"""Answers that would take all time or all memory, or are hardly HTTP, from a real server."""

from __future__ import annotations

import gzip
import time
import tracemalloc
import zlib

import pytest
from loopback_anilist import LoopbackAniList, Raw, Reply

from anime_bert4rec.anilist import connection as anilist_connection
from anime_bert4rec.anilist.answers import TOP_ANIME
from anime_bert4rec.anilist.connection import AniListError, BadAnswer, Connection, Refused, Unreachable
from anime_bert4rec.command_line.script import logging_to
from anime_bert4rec.lists.records import Anime

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def server():
    with LoopbackAniList([Anime(1)]) as server:
        yield server


@pytest.fixture
def ask(server, monkeypatch, no_waiting):
    """Asks once. An answer may take one time-out in all."""
    monkeypatch.setattr(anilist_connection, "TRICKLE", 1)

    def ask(timeout=30.0):
        connection = Connection(
            server.url,
            requests_per_minute=0,
            timeout=timeout,
            user_agent="tests",
            referer="",
            sleep=time.sleep,
            clock=time.monotonic,
        )
        try:
            return connection.ask(TOP_ANIME, {"page": 1, "sort": ["ID"]}, "Page", dict)
        finally:
            connection.close()

    return ask


# Each piece comes in time, so that a time-out for pieces alone would never end.
TRICKLES = {
    "status line": Raw(b"HTTP/1.1 200 ", b"O"),
    "head": Raw(OK + b"X: ", b"y"),
    "heads that only promise one": Raw(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": Raw(OK + b"Content-Length: 99999\r\n\r\n", b" "),
    "size of a chunk": Raw(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "trailer": Raw(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
    "what precedes the text in gzip": Raw(OK + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\3", b"name"),
    "gzip of nothing": Raw(OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"")),
    "redirect": Raw(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", b"."),
}


@pytest.mark.parametrize("trickle", TRICKLES.values(), ids=TRICKLES)
def test_whatever_trickles_has_an_end(server, ask, trickle):
    server.fail_next(trickle)
    with pytest.raises(BadAnswer, match=r"0\.2 s"):  # on a busy machine perhaps before its first byte
        ask(timeout=0.2)
    assert ask()["media"][0]["id"] == 1


ZEROS = gzip.compress(bytes(65 * 2**20), compresslevel=1)
BOMBS = {
    "of 1 GiB": ("gzip", ZEROS * 16),
    "packed twice": ("gzip, gzip", gzip.compress(ZEROS * 16)),
    "deflate": ("deflate", zlib.compress(bytes(65 * 2**20), 1)),
}


@pytest.mark.parametrize(("encoding", "bomb"), BOMBS.values(), ids=BOMBS)
def test_a_bomb_takes_no_more_memory_than_the_limit(server, ask, encoding, bomb):
    server.fail_next(Reply(200, bomb, {"Content-Encoding": encoding}))
    tracemalloc.start()
    try:
        with pytest.raises(Refused, match="64 MiB"):
            ask()
        assert tracemalloc.get_traced_memory()[1] < 160 * 2**20  # what was read, and a copy while it grows
    finally:
        tracemalloc.stop()


HARDLY_HTTP = {
    "nothing": (b"", Unreachable),
    "noise": (b"\0\xff" * 50_000, Unreachable),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n", Unreachable),
    "an endless status": (b"HTTP/1.1 " + b"2" * 100_000, Unreachable),
    "an impossible status": (b"HTTP/1.1 99999 OK\r\n\r\n", Unreachable),
    "a head of 101 fields": (OK + b"X: y\r\n" * 101 + b"\r\n", Unreachable),
    "a field without end": (OK + b"X: " + b"y" * 100_000, Unreachable),
    "a field without a name": (OK + b"no colon here\r\nContent-Length: 2\r\n\r\n{}", BadAnswer),
    "two lengths": (OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", AniListError),
    "a length that is no number": (OK + b"Content-Length: many\r\n\r\n{}", AniListError),
    "an endless length": (OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}", AniListError),
    "a chunk of no size": (OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", BadAnswer),
    "a negative chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n", BadAnswer),
    "packed in an unknown way": (OK + b"Content-Encoding: zip\r\n\r\n\1\2\3", BadAnswer),
    "packed ten times": (OK + b"Content-Encoding: " + b"gzip, " * 10 + b"gzip\r\n\r\nx", BadAnswer),
    "a strange cookie": (OK + b"Set-Cookie: \xff=\x00;;expires=9999999999\r\nContent-Length: 2\r\n\r\n{}", BadAnswer),
    "a strange type": (OK + b"Content-Type: \xff; charset=\r\n\r\n{}", BadAnswer),
}


@pytest.mark.parametrize(("answer", "exception"), HARDLY_HTTP.values(), ids=HARDLY_HTTP)
def test_what_is_hardly_http_is_one_clear_line(server, ask, capsys, answer, exception):
    server.fail_next(Raw(answer))
    with logging_to(), pytest.raises(exception) as caught:
        ask()
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().err == ""
    assert ask()["media"][0]["id"] == 1
