"""What strangers wrote, wherever it comes in, cannot command the terminal: no escape sequence leaves a script.

test_recommend.py and test_evaluate.py do it to recommend.py and evaluate.py, which need a model.
"""

from __future__ import annotations

import unicodedata

import pytest
from loopback_anilist import LoopbackAniList, Raw, Reply, errors
from loopback_graphql import media_of

import load_users
import prepare_dataset
from anilist_client import AniListClient
from anime_bert4rec.anilist import connection as anilist_connection
from anime_bert4rec.lists.records import Anime, Studio, Tag

HOSTILE = "\x1b[2J\x1b]0;owned\x07\x1bP1$r\x1b\\\x9b31m\x08\x7f\r\n\u202eEvil"


def harmless(text):
    """Whether a terminal would obey nothing in it."""
    allowed = text.replace("\n", "")
    return not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in "\u202e\u2066" for c in allowed)


def test_the_hostile_text_is_seen_to_be_so():
    assert not harmless(HOSTILE) and harmless("title\n進撃の巨人\n")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(anilist_connection, "RETRY_WAITS", (1.0,))
    monkeypatch.setitem(AniListClient.__init__.__kwdefaults__, "sleep", lambda seconds: None)


ANIME = Anime(
    1,
    title_romaji=HOSTILE,
    title_english=HOSTILE,
    title_native=HOSTILE,
    format=HOSTILE,
    genres=(HOSTILE,),
    tags=(Tag(HOSTILE, 1, HOSTILE),),
    studios=(Studio(1, HOSTILE),),
    site_url=HOSTILE,
    popularity=1,
)
PAGE = Reply(200, {"data": {"Page": {"media": [media_of(ANIME)], "pageInfo": {"hasNextPage": False}}}})


@pytest.fixture
def anilist():
    with LoopbackAniList(private=["hidden"]) as anilist:
        yield anilist


@pytest.fixture
def run(anilist, tmp_path, capsys):
    def run(script, *flags):
        """Exit code, and what was said: that it is harmless is checked."""
        common = ["--db", str(tmp_path / "bert.db"), "--api-url", anilist.url, "--requests-per-minute", "0"]
        code = script.main([*common, *map(str, flags)])
        said = "".join(capsys.readouterr())
        assert harmless(said), repr(said)
        return code, said

    return run


REPLIES = {
    "403": Reply(403, errors(HOSTILE, 403)),
    "400": Reply(400, errors(HOSTILE, 400)),
    "500": Reply(500, errors(HOSTILE, 500)),
    "404": Reply(404, errors(f"Not found {HOSTILE}", 404)),
    "HTML": Reply(200, HOSTILE.encode()),
    "redirect": Raw(b"HTTP/1.1 302 Found\r\nLocation: http://\x1b[31mred\x9b1m\x07\r\nContent-Length: 0\r\n\r\n"),
    "status line": Raw(b"\x1b]0;owned\x07\r\n"),
    "chunk": Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\x1b[31m\x07\r\n"),
    "encoding": Raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip,\x1b[31m\r\n\r\n\x1b[31m"),
}


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
def test_errors_of_the_server(anilist, run, tmp_path, reply):
    anilist.fail_next(*[reply] * 10)
    assert run(prepare_dataset, "--count", 1)[0] == 1
    anilist.behave()
    anilist.fail_next(PAGE)
    assert run(prepare_dataset, "--count", 1)[0] == 0
    (tmp_path / "names.txt").write_text("ann\n")
    anilist.fail_next(*[reply] * 10)
    assert run(load_users, "--file", tmp_path / "names.txt")[0] == 1


def test_titles_names_and_files(anilist, run, tmp_path):
    anilist.fail_next(PAGE)
    assert run(prepare_dataset, "--count", 1)[0] == 0
    names = tmp_path / "names.txt"
    names.write_text(f"ann\nhidden\nnobody\n{HOSTILE}\n{HOSTILE[:9]}\n\u202eann\n", newline="")

    def list_of(name):
        entries = [{"id": 1, "mediaId": 1, "status": HOSTILE}]
        user = {"id": 1, "name": name}
        return Reply(200, {"data": {"MediaListCollection": {"user": user, "lists": [{"entries": entries}]}}})

    anilist.fail_next(list_of(HOSTILE))
    code, said = run(load_users, "--file", names, "--min-anime", 1)
    assert code == 1 and "Evil" in said, "somebody else's list"
    anilist.fail_next(list_of("Ann"))
    code, said = run(load_users, "--file", names, "--min-anime", 1)
    assert code == 0
    assert "1 new" in said and "Evil" in said
    assert run(load_users, "--file", names, "--min-anime", 5)[0] == 1

    lists = tmp_path / "lists.csv"
    name = HOSTILE.replace("\r\n", "")
    lists.write_text(f'user,anime_id\n"{name}",1\n"{HOSTILE}","{HOSTILE}"\n', encoding="utf-8")
    assert run(load_users, "--csv", lists, "--keep-names", "--min-anime", 1)[0] == 0
    lists.write_text(f'"{HOSTILE}",{HOSTILE}\n1,2\n', encoding="utf-8")
    assert run(load_users, "--csv", lists)[0] == 1
    export = tmp_path / "export.xml"
    for text in (f"<x{HOSTILE}>", "<\u009b31m\u202e/>", "<!DOCTYPE \u202e><a/>", "<myanimelist>\u009b</x\u202e>"):
        export.write_text(text, encoding="utf-8")
        assert run(load_users, "--mal-xml", export)[0] == 1
