"""Questions to AniList over HTTP: paced, and tried again where that may help.

It knows AniList's manners (rate limit, error bodies) and nothing of anime. The exceptions are told apart by what the
caller does next: try again, try again later, give up on this one person, or give up.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3

from anime_bert4rec.anilist.http_session import Session, TooSlow, root_of
from anime_bert4rec.support.errors import SettingError, UserError
from anime_bert4rec.support.text import plain

DEFAULT_URL = "https://graphql.anilist.co"

MINUTE = 61.0
"""Seconds: one more than AniList's minute, so that an uneven network doesn't squeeze a request too many into it."""

RETRY_WAITS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each further try."""

PAUSE = 60.0
"""Seconds to wait after a status 429 that doesn't say how long."""

LONGEST_PAUSE = 600
"""The most seconds that a status 429 can make us wait."""

MAX_PAUSES = 30
"""The most pauses for one request."""

TRICKLE = 4
"""A whole answer may take this many time-outs, however steadily its pieces come."""

MAX_BODY = 64 * 2**20
"""The most bytes of an answer, decompressed."""

PIECE = 64 * 2**10
"""Bytes that are read at a time."""

MOST_OBJECTS = 500_000
"""The most objects and arrays of one answer; the longest list has some 100,000."""

MOST_VALUES = 4_000_000
"""The most values of one answer: each takes some hundred bytes in memory."""

Record = TypeVar("Record")

log = logging.getLogger(__name__)


class AniListError(UserError):
    """AniList could not be used. The message is one line, safe for a terminal."""

    def __init__(self, message: str) -> None:
        super().__init__(plain(message))


class Unreachable(AniListError):
    """There was no connection, or it broke before an answer came. The next try may succeed."""


class BadAnswer(AniListError):
    """The answer was late, cut, useless or an excuse (a status of 500 or more). The next try, or asking for less, may
    succeed."""


class RateLimited(AniListError):
    """There were too many requests (status 429). The next try may succeed after `wait` seconds."""

    def __init__(self, message: str, wait: float) -> None:
        super().__init__(message)
        self.wait = wait


class NotFound(AniListError):
    """There is no such person, or their list is private (status 404 in AniList's own words). Others may be found."""


class Refused(AniListError):
    """AniList rejects such requests, or whoever answers isn't AniList. No further request is of use."""


class Connection:
    """Asks AniList at the address `url`. All requests of one connection keep to one pace; it is meant for one thread.

    `requests_per_minute` is the fastest pace, 0 for none; `timeout` is in seconds; an empty `referer` sends none.
    `sleep` and `clock` (both in seconds) are its only sources of time, but for the time-outs of a single answer.
    Raises SettingError for an impossible address.
    """

    def __init__(
        self,
        url: str,
        *,
        requests_per_minute: int,
        timeout: float,
        user_agent: str,
        referer: str,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        self._url = url
        self._host = _host_of(url, "--api-url (or ANILIST_API_URL)")
        self._timeout = timeout
        self._per_minute = requests_per_minute
        self._allowed: int | None = None  # requests a minute, as AniList says
        self._last_request: float | None = None
        self._sleep = sleep
        self._clock = clock
        self._session = Session(TRICKLE)
        self._session.headers.update({"User-Agent": user_agent, "Accept": "application/json"})
        self._session.headers["Content-Type"] = "application/json"
        if referer:
            _host_of(referer, "--referer")
            self._session.headers["Referer"] = referer

    def close(self) -> None:
        self._session.close()

    def ask(
        self, query: str, variables: dict[str, Any], field: str, read: Callable[[dict[str, Any]], Record]
    ) -> Record:
        """What `read` makes of the object at the root field `field` of the answer.

        When `read` raises BadAnswer, AniList is asked again. Raises AniListError when nothing helped.
        """
        request = json.dumps({"query": query, "variables": variables}).encode()
        waits, pauses = iter(RETRY_WAITS), 0
        while True:
            try:
                return self._post(request, field, read)
            except RateLimited as error:
                pauses += 1
                if pauses > MAX_PAUSES:
                    raise
                reason, wait = str(error), error.wait
            except (Unreachable, BadAnswer) as error:
                reason, wait = str(error), next(waits, 0.0)
                if not wait:
                    raise
            log.warning("%s; trying again in %g s", reason, wait)
            self._sleep(wait)

    def _post(self, request: bytes, field: str, read: Callable[[dict[str, Any]], Record]) -> Record:
        """Ask once: connection, status, JSON, GraphQL errors, data, in this order."""
        self._pace()
        begun = self._clock()
        log.debug("to %s: %s", self._host, json.loads(request)["variables"])
        status, headers, body = self._exchange(request)
        left, limit = headers.get("X-RateLimit-Remaining"), headers.get("X-RateLimit-Limit")
        log.debug(
            "%d, %s bytes after %.1f s; %s of %s requests left", status, len(body), self._clock() - begun, left, limit
        )
        self._allowed = _whole_number(headers.get("X-RateLimit-Limit")) or self._allowed
        if 300 <= status < 400:
            raise Refused(
                f"{self._host} redirects to {headers.get('Location')}: if that is right, use that as --api-url"
            )
        self._refuse_too_many(body)
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):  # RecursionError: nested too deeply
            answer = None
        said = _error_in(answer)
        if status >= 400 or said:
            raise self._failure(status, headers, said, body)
        data = answer.get("data") if isinstance(answer, dict) else None
        found = data.get(field) if isinstance(data, dict) else None
        if not isinstance(found, dict):
            raise BadAnswer(f"{self._host} sent no AniList data but {_visible(body) or 'nothing'}")
        return read(found)

    def _refuse_too_many(self, body: bytes) -> None:
        """Counted before they are read: a few bytes of text take hundreds in memory."""
        for marks, limit in (((b"{", b"["), MOST_OBJECTS), ((b",",), MOST_VALUES)):
            count = sum(map(body.count, marks))
            if count > limit:
                raise Refused(f"{self._host} sent {count:,} values in one answer, more than AniList ever does")

    def _failure(
        self, status: int, headers: Mapping[str, str], said: tuple[str, int] | None, body: bytes
    ) -> AniListError:
        message, code = said or (_visible(body), status)
        if status < 400:  # AniList reports errors with status 200, too
            status = code
        if status == 429:
            wait = _whole_number(headers.get("Retry-After"))
            return RateLimited(
                f"{self._host} asks for a pause: too many requests (fewer with --requests-per-minute)",
                PAUSE if wait is None else min(wait, LONGEST_PAUSE) + 1.0,
            )
        if status == 403:
            return Refused(f"{self._host} refuses requests (403): {message}")
        if status >= 500:
            return BadAnswer(f"{self._host} has a problem ({status}): {message}")
        if said is None:
            return Refused(f"{self._host} is not AniList, or not at this address ({status}): {message}")
        if status == 404:
            return NotFound(f"{self._host} did not find it (404): {message}")
        return Refused(f"{self._host} rejects the request ({status}): {message}")

    def _exchange(self, request: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and the decompressed body of one answer."""
        try:
            response = self._session.post(
                self._url, data=request, timeout=self._timeout, stream=True, allow_redirects=False
            )
        except requests.ReadTimeout as error:
            raise self._late(error, "did not answer within") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, UnicodeError) as error:
            raise Unreachable(
                f"{self._host} could not be reached: {_cause(error)}; are network and address right?"
            ) from error
        body = bytearray()
        with response:
            try:
                for piece in response.iter_content(PIECE):
                    body += piece
                    if len(body) > MAX_BODY:
                        raise Refused(f"{self._host} sent more than {MAX_BODY // 2**20} MiB in one answer")
            except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
                # ValueError: a chunk of a negative size
                if isinstance(root_of(error), TimeoutError):
                    raise self._late(error, "stopped in the middle for") from error
                raise BadAnswer(f"the answer of {self._host} was cut: {_cause(error)}") from error
        return response.status_code, response.headers, bytes(body)

    def _late(self, error: Exception, what: str) -> BadAnswer:
        if isinstance(root_of(error), TooSlow):
            return BadAnswer(f"{self._host} sent no whole answer within {TRICKLE * self._timeout:g} s")
        return BadAnswer(f"{self._host} {what} {self._timeout:g} s")

    def _pace(self) -> None:
        """Wait for this request's turn: they are spread evenly over the minute."""
        if not self._per_minute:
            return
        if self._last_request is not None:
            per_minute = min(self._per_minute, self._allowed or self._per_minute)
            wait = self._last_request + MINUTE / per_minute - self._clock()
            if wait > 0:
                self._sleep(wait)
        self._last_request = self._clock()


def _host_of(address: str, setting: str) -> str:
    """The host, and the port if one is given, for messages. Raises SettingError, naming `setting`."""
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:  # an impossible port or IPv6 address
        usable = False
    if not usable or not re.fullmatch(r"[!-~]+", address):
        raise SettingError(plain(f"{setting} must be a web address such as {DEFAULT_URL}, not {address!r}"))
    return parts.netloc.rpartition("@")[2]


def _error_in(answer: Any) -> tuple[str, int] | None:
    """Message and status of the first GraphQL error of an answer."""
    errors = answer.get("errors") if isinstance(answer, dict) else None
    if not errors:
        return None
    first = errors[0] if isinstance(errors, list) else errors
    details = first if isinstance(first, dict) else {"message": first}
    message, status = details.get("message"), details.get("status")
    if not isinstance(message, str) or not message:
        message = "no reason given"
    if isinstance(status, int) and 400 <= status < 600:
        return message, status
    lower = message.lower()
    return message, next((status for words, status in _STATUS_OF_WORDS if words in lower), 500)


_STATUS_OF_WORDS = (
    ("too many requests", 429),
    ("temporarily disabled", 403),
    ("private user", 404),
    ("not found", 404),
    ("unauthorized", 401),
    ("invalid token", 401),
    ("validation", 400),
    ("cannot query", 400),
    ("syntax error", 400),
    ("complexity", 400),
    ("page depth", 400),
)


def _visible(body: bytes) -> str:
    """What a person would see of a body that isn't AniList's JSON, such as an HTML page: its beginning."""
    return plain(re.sub(r"<[^>]*>", " ", body[:2000].decode("utf-8", "replace")), limit=200)


def _whole_number(header: str | None) -> int | None:
    return int(header) if header and re.fullmatch(r"[0-9]{1,9}", header) else None


def _cause(error: BaseException) -> str:
    """The operating system's own words, which requests and urllib3 wrap in theirs."""
    error = root_of(error)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
