"""How AniList is opened: at which address, as what the program says it is, and what it keeps to itself."""

from __future__ import annotations

import pytest
from loopback_anilist import LoopbackAniList

from anilist_client import AniListClient, open_source
from anime_bert4rec.lists.records import Anime
from anime_bert4rec.support.errors import SettingError
from config import AniListSettings

POPULARITY = "POPULARITY_DESC"


@pytest.fixture
def server():
    with LoopbackAniList([Anime(1, popularity=10)]) as server:
        yield server


def ids(pages):
    return [anime.anime_id for page in pages for anime in page.anime]


def test_the_source_is_anilist_or_the_sandbox(server):
    source = open_source(AniListSettings(api_url=server.url, requests_per_minute=0), sandbox=False)
    assert ids(source.top_anime(1, POPULARITY)) == [1]
    source.close()
    sandbox = open_source(AniListSettings(api_url="http://127.0.0.1:9"), sandbox=True)
    assert len(ids(sandbox.top_anime(5, POPULARITY))) == 5


def first_id(settings):
    with AniListClient(settings) as client:
        return ids(client.top_anime(1, POPULARITY))


def test_it_says_what_it_is_and_nothing_secret(server, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    first_id(AniListSettings(api_url=server.url))
    first_id(AniListSettings(api_url=server.url, referer="https://example.org/me"))
    without, with_referer = (request.headers for request in server.requests)
    assert without["User-Agent"] == (
        "anime-bert4rec/1.0 (BERT4Rec toolkit; unofficial AniList client; python-requests)"
    )
    assert "Referer" not in without
    assert with_referer["Referer"] == "https://example.org/me"
    assert not {"Authorization", "Cookie"} & {*without, *with_referer}


def test_the_setting_comes_before_the_environment_and_that_before_anilist(server, monkeypatch):
    monkeypatch.setenv("ANILIST_API_URL", server.url)
    assert first_id(AniListSettings()) == [1]
    monkeypatch.setenv("ANILIST_API_URL", "nonsense")
    assert first_id(AniListSettings(api_url=server.url)) == [1]
    with pytest.raises(SettingError, match="ANILIST_API_URL"):
        AniListClient(AniListSettings())
