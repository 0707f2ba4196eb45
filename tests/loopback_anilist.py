"""A small AniList on this machine, for tests: real HTTP, real GraphQL, AniList's habits, and failures on request.

    with LoopbackAniList(anime=[Anime(1, popularity=9)], users={"ann": [ListEntry(10, anime_id=1)]}) as anilist:
        anilist.fail_next(Reply(502, b"<html>"), None, Reset())    # the second request is answered as usual
        subprocess.run([...], env={**os.environ, "ANILIST_API_URL": anilist.url})
        assert len(anilist.requests) == 4

The habits of its answers are in loopback_graphql.py, and always on; rate limit, delay and depth are arguments.
"""

from __future__ import annotations

import collections
import contextlib
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from loopback_graphql import World, errors

from anime_bert4rec.lists.records import Anime, ListEntry, UserList

__all__ = ["Clock", "CutBody", "Drip", "Hang", "LoopbackAniList", "Raw", "Reply", "Request", "Reset", "errors"]


@dataclass(frozen=True)
class Reply:
    """This instead of the answer. A dict as body becomes JSON."""

    status: int = 200
    body: bytes | dict[str, Any] = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CutBody:
    """The true answer, but the connection ends after half of it."""

    chunked: bool = False


@dataclass(frozen=True)
class Hang:
    """No answer for `seconds`; then the connection ends."""

    seconds: float


@dataclass(frozen=True)
class Drip:
    """An answer that never ends: a byte each `interval` seconds."""

    interval: float


@dataclass(frozen=True)
class Reset:
    """The connection is reset instead of answered."""


@dataclass(frozen=True)
class Raw:
    """These bytes, whatever they are; then `more` each `interval` seconds, for ever, or the connection ends."""

    data: bytes
    more: bytes = b""
    interval: float = 0.01


Failure = Reply | CutBody | Hang | Drip | Reset | Raw


class Clock:
    """A clock that only `sleep` moves, for a client that waits without taking time; `sleeps` is how long, each time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


@dataclass
class Request:
    """One request that came in, and with which status it was answered (None where no whole answer went out)."""

    at: float
    headers: dict[str, str]
    query: str
    variables: dict[str, Any]
    status: int | None = None


class LoopbackAniList:
    """Serves from construction to `close()`.

    `anime` and the users' entries are records, or dicts in AniList's own shape (Media, MediaList), which may say more.
    `users` maps names to UserLists or to entries; those in `private` exist, but nobody may see their lists.
    `limit` is in requests a minute, by `clock`; `retry_after` is what a 429 says (None: nothing); `depth` is how many
    anime pages reach; `delay` is how many seconds each answer takes.
    """

    def __init__(
        self,
        anime: Iterable[Anime | dict[str, Any]] = (),
        users: Mapping[str, UserList | Iterable[ListEntry | dict[str, Any]]] | None = None,
        private: Collection[str] = (),
        *,
        limit: int = 100_000,
        retry_after: int | None = 60,
        depth: int = 5000,
        delay: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.world = World(anime, users or {}, private, depth)
        self.limit, self.retry_after, self.delay = limit, retry_after, delay
        self.requests: list[Request] = []
        self._clock = clock
        self._failures: collections.deque[Failure | None] = collections.deque()
        self._window: collections.deque[float] = collections.deque()
        self._lock = threading.Lock()
        self.closing = threading.Event()
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def __enter__(self) -> LoopbackAniList:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fail_next(self, *failures: Failure | None) -> None:
        """What the next requests get, one each, in this order; None is the usual answer."""
        self._failures.extend(failures)

    def behave(self) -> None:
        """The failures that are left are forgotten."""
        self._failures.clear()

    def take_in(self, headers: dict[str, str], raw: bytes) -> tuple[Request, Failure | None]:
        """Log a request and decide whether it fails, as scripted or for coming too soon."""
        asked = json.loads(raw)
        with self._lock:
            now = self._clock()
            request = Request(now, headers, asked["query"], asked.get("variables") or {})
            self.requests.append(request)
            if self._failures and (failure := self._failures.popleft()) is not None:
                return request, failure
            while self._window and now - self._window[0] >= 60:
                self._window.popleft()
            if len(self._window) >= self.limit:
                wait = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
                return request, Reply(429, errors("Too Many Requests.", 429), wait)
            self._window.append(now)
            return request, None

    def answer(self, request: Request) -> Reply:
        """The true answer to a query."""
        left = max(0, self.limit - len(self._window))
        headers = {"X-RateLimit-Limit": str(self.limit), "X-RateLimit-Remaining": str(left)}
        status, body = self.world.execute(request.query, request.variables)
        return Reply(status, body, headers)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, anilist: LoopbackAniList) -> None:
        self.anilist = anilist
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # clients that leave in the middle are no news
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # otherwise head and body are 40 ms apart
    server: _Server

    def log_message(self, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        anilist = self.server.anilist
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        request, failure = anilist.take_in(dict(self.headers), raw)
        anilist.closing.wait(anilist.delay)
        match failure:
            case None:
                self._send(request, anilist.answer(request))
            case Reply():
                self._send(request, failure)
            case CutBody():
                self._cut(anilist.answer(request), failure.chunked)
            case Drip():
                self._raw(Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", b" ", failure.interval))
            case Raw():
                self._raw(failure)
            case Hang():
                anilist.closing.wait(failure.seconds)
                self.close_connection = True
            case Reset():
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True

    def _send(self, request: Request, reply: Reply) -> None:
        request.status = reply.status  # before sending, so that whoever has the answer finds it
        body = json.dumps(reply.body).encode() if isinstance(reply.body, dict) else reply.body
        self._head(reply.status, {"Content-Length": str(len(body)), **reply.headers})
        self.wfile.write(body)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _cut(self, reply: Reply, chunked: bool) -> None:
        body = json.dumps(reply.body).encode()
        half = body[: len(body) // 2]
        if chunked:
            self._head(reply.status, {"Transfer-Encoding": "chunked"})
            self.wfile.write(b"%x\r\n%b\r\n" % (len(half), half))
        else:
            self._head(reply.status, {"Content-Length": str(len(body))})
            self.wfile.write(half)
        self.close_connection = True

    def _raw(self, raw: Raw) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.write(raw.data)
            while raw.more and not self.server.anilist.closing.wait(raw.interval):
                self.wfile.write(raw.more)
