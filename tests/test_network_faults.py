"""Every fault of a network, once, for good and at random, done to prepare_dataset.py and load_users.py.

Whatever came, the same commands and an AniList that behaves end with the database of undisturbed runs.
"""

from __future__ import annotations

import gzip
import random
import sqlite3

import pytest
import script_process
from loopback_anilist import CutBody, Drip, Hang, LoopbackAniList, Raw, Reply, Reset, errors

import load_users
import prepare_dataset
from anilist_client import AniListClient
from anime_bert4rec.anilist import connection as anilist_connection
from anime_bert4rec.lists.records import Anime, ListEntry, Tag

COUNT = 60
NAMES = ["ann", "bob", "private1", "nobody", "eve"]
BUSY = errors("Too Many Requests.", 429)
HTML = b"<html><h1>\x1b[31mSorry</h1></html>"


def page(media, more=False):
    return Reply(200, {"data": {"Page": {"media": media, "pageInfo": {"hasNextPage": more}}}})


def listed(lists, user=None):
    return Reply(200, {"data": {"MediaListCollection": {"user": user or {"id": 1, "name": "ann"}, "lists": lists}}})


elsewhere = LoopbackAniList([Anime(666)])

FAULTS = {
    "429 with Retry-After": Reply(429, BUSY, {"Retry-After": "60"}),
    "429 without": Reply(429, BUSY),
    "500 in HTML": Reply(500, HTML),
    "502 in HTML": Reply(502, HTML),
    "503 in HTML": Reply(503, HTML, {"Retry-After": "5"}),
    "200 with errors": Reply(200, errors("Internal Server Error", 500)),
    "200 with errors and data": Reply(200, errors("Oops", None, {"Page": {"media": []}, "MediaListCollection": {}})),
    "200 with HTML": Reply(200, HTML),
    "200 with nothing": Reply(200),
    "200 with too many requests": Reply(200, BUSY),
    "400": Reply(400, errors("Max query complexity should be 500 but got 525.", 400)),
    "401": Reply(401, errors("Unauthorized.", 401)),
    "403": Reply(403, errors("The AniList API has been temporarily disabled due to severe stability issues.", 403)),
    "403 in plain text": Reply(403, b"error code: 1010"),
    "404 in HTML": Reply(404, HTML),
    "cut": CutBody(),
    "cut, chunked": CutBody(chunked=True),
    "reset": Reset(),
    "hang": Hang(0.4),
    "drip": Drip(0.01),
    "a head that drips": Raw(b"HTTP/1.1 200 OK\r\nX: ", b"y"),
    "gzip bomb": Reply(200, gzip.compress(bytes(65 * 2**20), 1), {"Content-Encoding": "gzip"}),
    "redirect to another host": Reply(307, headers={"Location": elsewhere.url}),
    "deeply nested": Reply(200, b'{"data":{"Page":' + b'{"media":[' * 50_000 + b"]}" * 50_000 + b"}}"),
    "an endless number": Reply(200, b'{"data":{"Page":{"media":[{"id":' + b"9" * 5000 + b"}]}}}"),
    "no UTF-8": Reply(200, b'{"data":{"Page":{"media":[{"id":1,"title":{"romaji":"\xff"}}]}}}'),
    "noise": Raw(bytes(range(256)) * 40),
    "a page of string ids": page([{"id": str(number)} for number in range(1, 51)], more=True),
    "a list of string ids": listed([{"entries": [{"id": "5", "mediaId": "1"}]}]),
    "numbers beyond 64 bit": Reply(
        200,
        {
            "data": {
                "Page": {"media": [{"id": 2**64}, {"id": -(10**300)}, {"id": 1e308}]},
                "MediaListCollection": {"user": {"id": 2**63}, "lists": [{"entries": [{"id": 2**64, "mediaId": 1}]}]},
            }
        },
    ),
}


@pytest.fixture(scope="module")
def anilist():
    anime = [
        Anime(n, title_romaji=f"Title {n}", popularity=9_000 - n, genres=("Drama",), tags=(Tag(f"Tag {n % 9}", 50),))
        for n in range(1, COUNT + 1)
    ]
    users = {
        name: [ListEntry(number * 100 + n, n, "COMPLETED", completed=20200101) for n in range(1, 25 + number)]
        for number, name in enumerate(("ann", "bob", "eve"), 1)
    }
    with LoopbackAniList(anime, users, private=["private1"]) as anilist, elsewhere:
        yield anilist
        assert elsewhere.requests == [], "a redirect was followed"


@pytest.fixture
def at_once(monkeypatch):
    """Waiting takes no time; a request is tried twice, and its answer may take one time-out in all."""
    monkeypatch.setattr(anilist_connection, "RETRY_WAITS", (1.0,))
    monkeypatch.setattr(anilist_connection, "TRICKLE", 1)
    monkeypatch.setitem(AniListClient.__init__.__kwdefaults__, "sleep", lambda seconds: None)


def steps(anilist, folder):
    names = folder / "names.txt"
    names.write_text("\n".join(NAMES))
    common = ["--db", str(folder / "bert.db"), "--api-url", anilist.url, "--requests-per-minute", "0"]
    return (
        (prepare_dataset.main, [*common, "--count", str(COUNT)]),
        (load_users.main, [*common, "--file", str(names)]),
    )


@pytest.fixture(scope="module")
def undisturbed(anilist, tmp_path_factory):
    folder = tmp_path_factory.mktemp("network") / "undisturbed"
    folder.mkdir()
    for main, flags in steps(anilist, folder):
        assert main(flags) == 0
    return rows(folder / "bert.db")


def rows(path):
    """Every row of every table, without the times and numbers of fetches; each fetch is finished."""
    connection = sqlite3.connect(path)
    assert not connection.execute("SELECT 1 FROM catalogue_fetch WHERE finished_at IS NULL").fetchall()
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    found = {}
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        if table != "catalogue_fetch":
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            kept = ", ".join(column for column in columns if column not in ("fetched_at", "fetch_id"))
            found[table] = sorted(connection.execute(f"SELECT {kept} FROM {table}"), key=repr)
    connection.close()
    return found


def run(main, flags, capsys):
    """The exit code of a run that ends well or with one clear line."""
    code = main(flags)
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    assert "\x1b" not in out + err
    if code:
        assert code == 1
        assert err.splitlines()[-1].startswith("error: ")
    return code


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.usefixtures("at_once")
def test_each_fault_for_good_is_one_line_and_then_all_is_well(anilist, undisturbed, tmp_path, capsys, fault):
    for main, flags in steps(anilist, tmp_path):
        anilist.fail_next(None, *[fault] * 40)
        assert run(main, [*flags, "--timeout", "0.2"], capsys) == 1
        anilist.behave()
        assert run(main, flags, capsys) == 0
    assert rows(tmp_path / "bert.db") == undisturbed


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.usefixtures("at_once")
def test_faults_at_random(anilist, undisturbed, tmp_path, capsys, seed):
    draw, starts = random.Random(seed), 0
    for main, flags in steps(anilist, tmp_path):
        code = 1
        while code:
            anilist.behave()
            for _ in range(40):
                anilist.fail_next(None if draw.random() < 0.5 else draw.choice(list(FAULTS.values())))
            code, starts = run(main, [*flags, "--timeout", "0.3"], capsys), starts + 1
            assert starts < 100
    anilist.behave()
    assert rows(tmp_path / "bert.db") == undisturbed


def test_real_processes_get_over_it(anilist, undisturbed, tmp_path):
    faults = [Reply(429, BUSY, {"Retry-After": "0"}), Reset()], [CutBody()]
    for (main, flags), failures in zip(steps(anilist, tmp_path), faults, strict=True):
        anilist.fail_next(*failures)
        script = main.__module__ + ".py"
        code, _, err = script_process.finish(script_process.start(script, *flags))
        assert code == 0, err
        assert err.count("trying again in") == len(failures)
    assert rows(tmp_path / "bert.db") == undisturbed


ODD_TITLES = {"romaji": "Ti\0tle\0", "english": "\ud83d lone \udc00", "native": 5}
BEYOND = {"popularity": 2**64, "episodes": 10**400, "averageScore": -(2**63), "idMal": 1e300, "seasonYear": "2001"}


@pytest.mark.usefixtures("at_once")
def test_what_cannot_be_stored_is_left_away_and_the_rest_is_kept(anilist, undisturbed, tmp_path, capsys):
    """NULs, lone surrogates, numbers beyond 64 bit and string ids, each beside what is good."""
    anilist.behave()
    (prepare, catalogue_flags), (load, list_flags) = steps(anilist, tmp_path)
    odd = [{"id": 1, "title": ODD_TITLES}, {"id": 2, **BEYOND}, {"id": "3"}, {"id": 2**64}, {"id": 4, "genres": ["\0"]}]
    anilist.fail_next(page(odd))
    assert run(prepare, catalogue_flags, capsys) == 0
    found = rows(tmp_path / "bert.db")
    assert [row[0] for row in found["anime"]] == [1, 2, 4]
    assert found["anime"][0][2:4] == ("Title", " lone ") and found["anime_genre"] == []
    entries = [{"id": 1, "mediaId": 1, "progress": 2**70, "status": "\0"}, {"id": "2", "mediaId": 2}, {"id": 3}]
    anilist.fail_next(listed([{"entries": entries}], {"id": 1, "name": "a\0n\ud800n"}))
    assert run(load, [*list_flags, "--min-anime", "1"], capsys) == 0
    found = rows(tmp_path / "bert.db")
    assert "ann" in [row[2] for row in found["user"]]
    assert [row[1:4] for row in found["list_entry"] if row[2] == 1 and row[1] == 1] == [(1, 1, None)]
    assert run(prepare, catalogue_flags, capsys) == run(load, [*list_flags, "--refresh"], capsys) == 0
    assert rows(tmp_path / "bert.db") == undisturbed
