"""HTTP for an address that may be anybody's: no redirect followed, no password sent, no answer read for ever."""

from __future__ import annotations

import functools
import http.client
import io
import socket
import time
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter


class TooSlow(TimeoutError):
    """An answer keeps coming, but not fast enough to be whole before the deadline."""


class Session(requests.Session):
    """Follows no redirect, sends no password from a .netrc file, and reads an answer for `patience` time-outs at most.

    That is a deadline for the whole of an answer, while the time-out of requests is for each piece of it: a head, or
    what precedes the text in gzip, could trickle for ever. TooSlow is then the root of the exception.
    """

    def __init__(self, patience: float) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(patience))
        self.auth = lambda request: request

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None  # even with allow_redirects=False, requests reads the whole body of a redirect, however long


def root_of(error: BaseException) -> BaseException:
    """Return the exception that was first, which requests and urllib3 wrap in theirs."""
    while error.__context__ is not None:
        error = error.__context__
    return error


class _Adapter(HTTPAdapter):
    def __init__(self, patience: float) -> None:
        self._answer = functools.partial(_Answer, patience)
        super().__init__()

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        # Nothing here may refer to the adapter: in a circle, sockets would be left open until Python finds it.
        pool.ConnectionCls = functools.partial(_connection, type(pool).ConnectionCls, self._answer)
        return pool


def _connection(kind: type[urllib3.connection.HTTPConnection], answer: Any, *args: Any, **kwargs: Any) -> Any:
    connection = kind(*args, **kwargs)
    connection.response_class = answer
    return connection


class _Answer(http.client.HTTPResponse):
    def __init__(self, patience: float, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        timeout = sock.gettimeout()
        if timeout is not None:
            self.fp = io.BufferedReader(_Source(self.fp.detach(), patience * timeout))


class _Source(io.RawIOBase):
    """The bytes that come from a socket until the deadline."""

    def __init__(self, raw: io.RawIOBase, seconds: float) -> None:
        self._raw, self._deadline = raw, time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._deadline:
            raise TooSlow
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
