"""Answers and files that are nearly right, wrong or hostile, for fuzz.py. All of it comes from one generator of chance.

`Server` speaks HTTP without a library, so that it can break every rule of it.
"""

from __future__ import annotations

import contextlib
import copy
import gzip
import json
import random
import socket
import struct
import threading
import time
import zlib
from typing import Any

ESCAPE = "\x1b[2J\x1b]0;owned\x07\x9b31m\x08\u202eEvil"
MEDIA = {
    "id": 1,
    "idMal": 1,
    "title": {"romaji": "Title", "english": None, "native": "進撃"},
    "format": "TV",
    "status": "FINISHED",
    "episodes": 12,
    "seasonYear": 2001,
    "startDate": {"year": 2001, "month": 4, "day": None},
    "averageScore": 80,
    "popularity": 100,
    "isAdult": False,
    "coverImage": {"large": "https://example.org/1.jpg"},
    "siteUrl": "https://example.org/1",
    "genres": ["Drama", None],
    "tags": [{"name": "Tag", "rank": 50, "category": "Theme"}, None],
    "studios": {"edges": [{"isMain": True, "node": {"id": 1, "name": "Studio"}}]},
    "relations": {"edges": [{"relationType": "SEQUEL", "node": {"id": 2, "type": "ANIME"}}]},
}
ENTRY = {
    "id": 5,
    "mediaId": 1,
    "status": "COMPLETED",
    "score": 85.0,
    "progress": 12,
    "repeat": 0,
    "startedAt": {"year": 2020, "month": 5, "day": None},
    "completedAt": {"year": 2020, "month": 6, "day": 30},
    "updatedAt": 1_600_000_000,
    "createdAt": 0,
}
PAGE = {"media": [{**MEDIA, "id": number} for number in range(1, 4)], "pageInfo": {"hasNextPage": True}}
LIST = {
    "hasNextChunk": False,
    "user": {"id": 1, "name": "ann"},
    "lists": [{"entries": [{**ENTRY, "id": number, "mediaId": number} for number in range(1, 4)]}, None],
}
GOOD = {"data": {"Page": PAGE, "MediaListCollection": LIST}}
HOSTILE: list[Any] = [
    None, True, [], {}, "", "12", 0, -1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**300, 0.5, 1e308,
    float("nan"), float("inf"), "\0", "a\0b", "\ud800", "\udfff\ud800", ESCAPE, "x" * 70_000, [[]], [None], {"id": {}},
    "'; DROP TABLE anime; --",
]  # fmt: skip
WORDS = ["Not Found.", "Private User", "Too Many Requests.", "Internal Server Error", "validation", ESCAPE, "\0", ""]
BOMB = gzip.compress(bytes(70 * 2**20), 1)
XML = """<?xml version="1.0" encoding="UTF-8" ?>
<myanimelist><myinfo><user_name>Ann</user_name></myinfo>
<anime><series_animedb_id>1</series_animedb_id><series_title><![CDATA[T]]></series_title>
<my_watched_episodes>26</my_watched_episodes><my_start_date>2015-04-00</my_start_date>
<my_finish_date>2015-05-31</my_finish_date><my_score>9</my_score><my_status>Completed</my_status></anime>
</myanimelist>
"""
CSV = "user,anime_id,date,score,status\nann,1,2020-05-01,8,completed\nbob,2,,0,\nann,3,1600000000,10,watching\n"
NAMES = "# people\nsandbox0001\nBob # hi\n\nsandbox0002\nann\nSandbox0001\n"
PIECES = [
    "&a;", "<!DOCTYPE a [<!ENTITY a 'b'>]>", "<![CDATA[", "]]>", '"', ",", "\n", "\r", "\0", "\x1b[31m", "<a>" * 50,
    "\u202e", "&#0;", "&#xd800;", "#", "9" * 5000, "-", "\ufeff", "é", ESCAPE,
]  # fmt: skip


def changed(draw: random.Random, value: Any, chance: float = 0.06) -> Any:
    """`value` with something hostile in a few places, or with a key or an item too few or too many."""
    if draw.random() < chance:
        return copy.deepcopy(draw.choice(HOSTILE))
    if isinstance(value, dict):
        kept = {key: changed(draw, inner, chance) for key, inner in value.items() if draw.random() > chance / 4}
        return kept | ({draw.choice(["errors", "data", "\0", ESCAPE]): 1} if draw.random() < chance / 8 else {})
    if isinstance(value, list):
        return [changed(draw, inner, chance) for inner in value] * draw.choice([1] * 20 + [0, 2])
    return value


def spoilt(draw: random.Random, content: bytes) -> bytes:
    """Some bytes cut out, put in, repeated or changed; often nothing."""
    spoilt = bytearray(content)
    for _ in range(draw.choice([0, 0, 1, 1, 2, 5, 20])):
        at, length = draw.randrange(len(spoilt) + 1), draw.choice([1, 2, 8, 100])
        match draw.randrange(5):
            case 0:
                del spoilt[at : at + length]
            case 1:
                spoilt[at:at] = draw.randbytes(length)
            case 2:
                spoilt[at:at] = spoilt[at : at + length] * draw.choice([1, 3, 50])
            case 3:
                spoilt[at:at] = draw.choice(PIECES).encode("utf-8", "surrogatepass")
            case 4:
                del spoilt[at:]
    return bytes(spoilt)


def body(draw: random.Random) -> bytes:
    match draw.randrange(12):
        case 0:
            return draw.randbytes(draw.randrange(200))
        case 1:
            return b"<html><title>" + ESCAPE.encode() + b"</title>" + b"<p>" * draw.randrange(50)
        case 2:
            depth = draw.choice([10, 500, 990, 1000, 5000, 100_000])
            key = draw.choice([b'{"data":', b"[", b'{"data":{"Page":{"media":[', b'{"errors":['])
            return key * depth + draw.choice([b"", b"1"])
        case 3:
            return b'{"data":{"Page":{"media":[{"id":' + b"9" * draw.choice([20, 400, 5000]) + b"}]}}}"
        case 4 | 5:
            first = {"message": draw.choice([*WORDS, *HOSTILE]), "status": draw.choice([404, 429, 500, 400, *HOSTILE])}
            errors = draw.choice([[first], [first, first], first, [draw.choice(HOSTILE)], draw.choice(HOSTILE)])
            return json.dumps({"errors": errors, "data": draw.choice([None, GOOD["data"]])}).encode()
        case 6:
            return spoilt(draw, json.dumps(GOOD).encode())
        case _:
            return json.dumps(changed(draw, GOOD), ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")


def answer(draw: random.Random) -> bytes:
    """A whole answer, head and body."""
    content, status = body(draw), 200
    if draw.random() < 0.25:
        status = draw.choice([100, 204, 206, 301, 302, 307, 400, 401, 403, 404, 418, 429, 500, 502, 503, 520, 999])
    fields = [b"Content-Type: " + draw.choice([b"application/json", b"text/html", b"\xff", b""])]
    encoding = draw.random()
    if encoding < 0.1:
        once = gzip.compress(content, mtime=0)
        packed = draw.choice([once, zlib.compress(content), gzip.compress(once, mtime=0)])
        name = draw.choice([b"gzip", b"deflate", b"gzip, gzip", b"br", b"zstd", b"x", b"gzip," * 9])
        content, fields = spoilt(draw, packed), [*fields, b"Content-Encoding: " + name]
    elif encoding < 0.105:
        content, fields = BOMB, [*fields, b"Content-Encoding: gzip"]
    if draw.random() < 0.3:
        limit = draw.choice([b"30", b"0", b"-1", b"9" * 50, b"\x1b[31m", b"1e9", b"\xff"])
        fields.append(
            draw.choice([b"Retry-After: ", b"X-RateLimit-Limit: ", b"Set-Cookie: ", b"Location: http://"]) + limit
        )
    framing = draw.random()
    if framing < 0.6:
        fields.append(b"Content-Length: %d" % (len(content) + draw.choice([0] * 8 + [-1, 5])))
    elif framing < 0.8:
        sizes = draw.choice([b"%x", b"%x;ext=1", b"%x ", b"-%x", b"%xz", b"0%x"])
        content = sizes % len(content) + b"\r\n" + content + b"\r\n0\r\n" + draw.choice([b"\r\n", b"X: y\r\n\r\n", b""])
        fields.append(b"Transfer-Encoding: chunked")
    elif framing < 0.85:
        fields.append(b"Content-Length: " + draw.choice([b"many", b"-1", b"9" * 30, b"1, 2", b""]))
    head = b"HTTP/1.1 %d %b\r\n" % (status, draw.choice([b"OK", b"", b"\x1b[31m"])) + b"\r\n".join(fields) + b"\r\n\r\n"
    if draw.random() < 0.1:
        head = spoilt(draw, head)
    return head + content


class Server:
    """Answers each request with something of chance; resets the connection one time in 50, drips one time in 500."""

    def __init__(self) -> None:
        self.draw = random.Random(0)
        self.left = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def begin(self, seed: int, answers: int) -> None:
        """One case: `answers` random answers, then refusals, which end it."""
        self.draw, self.left = random.Random(seed), answers

    def _serve(self) -> None:
        while True:
            client, _ = self.socket.accept()
            with client, contextlib.suppress(OSError):
                client.settimeout(5)
                self._answer(client)

    def _answer(self, client: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += client.recv(65_536)
        head, _, rest = request.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(rest) < length:
            rest += client.recv(65_536)
        self.left -= 1
        if self.left < 0:
            client.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        kind = self.draw.random()
        if kind < 0.02:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif kind < 0.022:
            client.sendall(self.draw.choice([b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n", b""]))
            for _ in range(200):
                time.sleep(0.02)
                client.sendall(b" ")
        else:
            client.sendall(answer(self.draw))
