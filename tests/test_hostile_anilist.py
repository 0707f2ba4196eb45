"""A server that answers in AniList's form without end, beyond measure, or for somebody else: bounded, and said."""

from __future__ import annotations

import gzip
import itertools
import tracemalloc

import pytest
from loopback_anilist import Clock, LoopbackAniList, Reply

import anilist_client
from anilist_client import AniListClient
from anime_bert4rec.anilist.connection import BadAnswer, Refused
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.records import Anime, CataloguePage, ListEntry, UserList
from config import AniListSettings
from load_users import main as load_users
from prepare_dataset import main as prepare_dataset

POPULARITY = "POPULARITY_DESC"


class Hostile(LoopbackAniList):
    """Answers each request by a function of its variables."""

    def __init__(self, answer_to):
        super().__init__(clock=Clock())
        self._answer_to = answer_to

    def answer(self, request):
        answered = self._answer_to(request.variables)
        return answered if isinstance(answered, Reply) else Reply(200, {"data": answered})


@pytest.fixture
def serve(no_waiting):
    """Starts a server that answers by the function, and a client that waits without taking time."""
    opened = []

    def serve(answer_to):
        server, clock = Hostile(answer_to), Clock()
        client = AniListClient(AniListSettings(api_url=server.url), sleep=clock.sleep, clock=clock)
        opened.extend((client, server))
        return server, client

    yield serve
    for each in opened:
        each.close()


def page(media):
    return {"Page": {"media": media, "pageInfo": {"hasNextPage": True}}}


def numbered(first, popularity=None):
    return [{"id": first + n, "popularity": popularity} for n in range(50)]


def chunk(*entry_ids, name="ann", user_id=1, more=True):
    entries = [{"id": each, "mediaId": each, "status": "COMPLETED"} for each in entry_ids]
    return {
        "MediaListCollection": {
            "user": {"id": user_id, "name": name},
            "lists": [{"entries": entries}],
            "hasNextChunk": more,
        }
    }


# --- without end

ENDLESS_PAGES = {
    "the same page": lambda asked: page(numbered(1, 7)),
    "the same without popularity": lambda asked: page(numbered(1)),
    "the same, ever less popular": lambda asked: page(numbered(1, (asked.get("popularityBelow") or 10_000) - 2)),
    "tied, whatever is asked": lambda asked: page(numbered(1, (asked.get("popularityBelow") or 10_000) - 1)),
    "two in turn": lambda asked: page(numbered(1 + 50 * (asked["page"] % 2), 7)),
    "nothing that can be used": lambda asked: page([None]),
}


@pytest.mark.parametrize("answer_to", ENDLESS_PAGES.values(), ids=ENDLESS_PAGES)
def test_pages_without_anything_new_have_an_end(serve, answer_to, caplog):
    server, client = serve(answer_to)
    found = [anime.anime_id for each in client.top_anime(3000, POPULARITY) for anime in each.anime]
    assert found in ([], list(range(1, 51)), [*range(51, 101), *range(1, 51)])
    assert len(server.requests) <= 6
    assert "without anything new" in caplog.text


def test_windows_of_one_popularity_have_an_end_though_they_may_be_long(serve, caplog, monkeypatch):
    """What is as popular as the last of 5,000 comes again, and more of the same popularity may be behind it."""
    monkeypatch.setattr(anilist_client, "MAX_DEPTH", 200)

    def answer_to(asked):
        below = asked.get("popularityBelow")
        return page(numbered(50 * asked["page"] - 49, 7 if below is None else below - 1))

    server, client = serve(answer_to)
    assert sum(len(each.anime) for each in client.top_anime(3000, POPULARITY)) == 200
    assert len(server.requests) == 4 + 4 + 1
    assert "without anything new" in caplog.text


def test_what_is_new_on_every_page_is_fetched_up_to_the_count(serve):
    server, client = serve(lambda asked: page(numbered(50 * asked["page"] - 49, 7)))
    assert sum(len(each.anime) for each in client.top_anime(1000, "ID")) == 1000
    assert len(server.requests) == 20


CHUNKS = {"the same entries": lambda number: [5, 6], "none": lambda number: [], "few": lambda number: [5 + number % 2]}


@pytest.mark.parametrize("entries_of", CHUNKS.values(), ids=CHUNKS)
def test_chunks_without_anything_new_have_an_end(serve, entries_of, caplog):
    server, client = serve(
        lambda asked: chunk(*entries_of(asked["chunk"])) if "chunk" in asked else Reply(500, b"too much")
    )
    assert {entry.entry_id for entry in client.user_list("ann").entries} <= {5, 6}
    assert len(server.requests) <= 1 + 2 + anilist_client.MOST_STALE
    assert "do not end" in caplog.text


def test_chunks_with_something_new_have_an_end_too(serve, caplog):
    _, client = serve(lambda asked: chunk(asked["chunk"]) if "chunk" in asked else Reply(500))
    assert len(client.user_list("ann").entries) == anilist_client.MAX_CHUNKS
    assert "50 were taken" in caplog.text


# --- beyond measure


def many(piece, count):
    return b'{"data":{"Page":{"media":[' + b",".join([piece] * count) + b"]}}}"


def longest_list():
    entries = b",".join(b'{"id":%d,"mediaId":%d}' % (n, n) for n in range(1, 250_000))
    return b'{"data":{"MediaListCollection":{"lists":[{"entries":[' + entries + b"]}]}}}"


HUGE = {
    "objects": lambda: many(b'{"id":1}', 4_000_000),
    "empty objects": lambda: many(b"{}", 4_000_000),
    "lists": lambda: many(b"[]", 4_000_000),
    "numbers": lambda: many(b"1.5", 15_000_000),
    "anime": lambda: many(b'{"id":1}', 10_000),
    "nested lists": lambda: b"[" * 60_000_000,
    "entries": longest_list,
}


@pytest.mark.parametrize("kind", HUGE)
def test_an_answer_of_more_than_anilist_ever_sends_is_refused_before_it_takes_memory(serve, kind):
    packed = gzip.compress(HUGE[kind](), 1)
    server, client = serve(lambda asked: Reply(200, packed, {"Content-Encoding": "gzip"}))
    tracemalloc.start()
    with pytest.raises(Refused, match=r"in one page|a list of|values in one answer"):
        client.user_list("ann") if kind == "entries" else list(client.top_anime(100, POPULARITY))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(server.requests) == 1  # asked again, it would send the same
    assert peak < 300 * 2**20


def test_a_gigabyte_of_newlines_ends_at_the_limit(serve):
    packed = gzip.compress(b"\n" * 2**20) * 1000
    server, client = serve(lambda asked: Reply(200, packed, {"Content-Encoding": "gzip"}))
    with pytest.raises(Refused, match="64 MiB"):
        list(client.top_anime(100, POPULARITY))
    assert len(server.requests) == 1


def test_what_one_anime_has_is_bounded(serve):
    media = {
        "id": 1,
        "title": {"romaji": "x" * 20_000, "english": "Fine"},
        "synonyms": [f"name {n}" for n in range(20_000)],
        "tags": [{"name": f"tag {n}"} for n in range(20_000)],
        "relations": {"edges": [{"relationType": "OTHER", "node": {"id": n, "type": "ANIME"}} for n in range(20_000)]},
    }
    _, client = serve(lambda asked: page([media]))
    (anime,) = next(client.top_anime(1, POPULARITY)).anime
    assert (anime.title_romaji, anime.title_english) == (None, "Fine")
    assert max(len(anime.synonyms), len(anime.tags), len(anime.relations)) == 1000


# --- for somebody else


@pytest.mark.parametrize("name", ["bob", "", "ann2", None, "ann\u200b"])
def test_the_list_of_somebody_else_is_not_taken(serve, name):
    _, client = serve(lambda asked: chunk(5, name=name, more=False))
    with pytest.raises(BadAnswer, match="ann"):
        client.user_list("ann")


def test_names_are_compared_without_case(serve):
    _, client = serve(lambda asked: chunk(5, name="ANN", more=False))
    assert client.user_list("ann") == UserList(1, "ANN", (ListEntry(5, 5, "COMPLETED"),))


def test_pieces_of_several_peoples_lists_are_not_put_together(serve):
    numbers = itertools.count(1)
    _, client = serve(lambda asked: chunk(5, user_id=next(numbers)) if asked.get("chunk", 0) else Reply(500))
    with pytest.raises(BadAnswer, match="several people"):
        client.user_list("ann")


@pytest.fixture
def path(tmp_path):
    with Database.open(tmp_path / "bert.db", create=True) as database:
        fetch = database.resume_or_start_catalogue_fetch("ID", 10)
        database.save_catalogue_page(fetch.fetch_id, CataloguePage((Anime(5), Anime(6)), None))
    return tmp_path / "bert.db"


def run(path, server, tmp_path, *names, refresh=False):
    file = tmp_path / "names.txt"
    file.write_text("\n".join(names))
    flags = ["--db", path, "--api-url", server.url, "--requests-per-minute", 0, "--file", file, "--min-anime", 1]
    return load_users(list(map(str, flags)) + ["--refresh"] * refresh)


def test_one_id_for_many_names_replaces_nobodys_list(serve, path, tmp_path, capsys):
    server, _ = serve(lambda asked: chunk(5, name=asked["name"], user_id=7, more=False))
    names = [f"name{n}" for n in range(30)]
    assert run(path, server, tmp_path, *names) == 0
    err = capsys.readouterr().err
    assert 'names.txt:2: "name1" has the id of "name0" (names.txt:1) on AniList' in err
    assert err.count("passed over") == 29
    with Database.open(path, create=False) as database:
        assert [user.name for user in database.users().values()] == ["name0"]
    # also when that one is stored already
    assert run(path, server, tmp_path, *reversed(names)) == 0
    with Database.open(path, create=False) as database:
        assert [user.name for user in database.users().values()] == ["name0"]


def test_a_new_name_of_who_is_stored_takes_the_place_and_is_said(serve, path, tmp_path, capsys):
    server, _ = serve(lambda asked: chunk(5, name=asked["name"], user_id=7, more=False))
    assert run(path, server, tmp_path, "before") == 0
    assert run(path, server, tmp_path, "after") == 0
    assert '"after" has the id that "before" had on AniList' in capsys.readouterr().err
    with Database.open(path, create=False) as database:
        assert [user.name for user in database.users().values()] == ["after"]


def test_a_name_that_somebody_else_has_now_is_said(serve, path, tmp_path, capsys):
    """AniList gives a name that was given up to the next who wants it: the person who was meant is gone."""
    numbers = itertools.count(7)
    server, _ = serve(lambda asked: chunk(5, name=asked["name"], user_id=next(numbers), more=False))
    said = '"ann" is somebody else on AniList now, by the id: stored in place of who had the name before'
    for refresh in (False, True):
        assert run(path, server, tmp_path, "ann", refresh=refresh) == 0
        assert (said in capsys.readouterr().err) == refresh


@pytest.mark.parametrize("gone", ["Private User", "User not found"])
def test_beside_an_old_name_that_has_no_list_any_more_the_new_one_is_stored(serve, path, tmp_path, gone):
    names = {"before"}

    def answer(asked):
        if asked["name"] in names:
            return chunk(5, name=asked["name"], user_id=7, more=False)
        return Reply(404, {"data": None, "errors": [{"message": gone, "status": 404}]})

    server, _ = serve(answer)
    assert run(path, server, tmp_path, "before") == 0
    names.clear()
    assert run(path, server, tmp_path, "before", refresh=True) == 1
    names.add("after")
    for _ in range(2):
        assert run(path, server, tmp_path, "before", "after") == 0
        with Database.open(path, create=False) as database:
            assert {name: user.left_out for name, user in database.users().items()}["after"] is None


def test_somebody_elses_list_ends_the_run_and_what_is_stored_stays(serve, path, tmp_path, capsys):
    server, _ = serve(lambda asked: chunk(5, name="ann", more=False))
    assert run(path, server, tmp_path, "ann") == 0
    capsys.readouterr()
    assert run(path, server, tmp_path, "ann", "bob") == 1
    err = capsys.readouterr().err
    assert err.splitlines()[-1] == "error: AniList sent the list of ann for bob: not taken"
    with Database.open(path, create=False) as database:
        assert [user.name for user in database.users().values()] == ["ann"]


def test_prepare_dataset_says_that_pages_bring_nothing_new(serve, tmp_path, capsys):
    server, _ = serve(lambda asked: page(numbered(1, 7)))
    flags = ["--db", tmp_path / "new.db", "--api-url", server.url, "--requests-per-minute", 0]
    assert prepare_dataset(list(map(str, flags))) == 0
    captured = capsys.readouterr()
    assert "without anything new" in captured.err
    assert "Fetched 50 anime" in captured.out and "There are no more" in captured.out
    assert len(server.requests) == 4
