"""MyAnimeList's exports: what is read from them, and that hostile files are one clear line."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anime_bert4rec.lists import mal_export
from anime_bert4rec.lists.mal_export import MalEntry, read_export
from anime_bert4rec.support.errors import UserError

EXPORT = """<?xml version="1.0" encoding="UTF-8" ?>
<!-- Created by XML Export feature at MyAnimeList.net -->
<myanimelist>
  <myinfo><user_id>9</user_id><user_name>Ann</user_name><user_export_type>1</user_export_type></myinfo>
  <anime>
    <series_animedb_id>1</series_animedb_id>
    <series_title><![CDATA[Cowboy <Bebop>]]></series_title>
    <my_watched_episodes>26</my_watched_episodes>
    <my_start_date>2015-04-00</my_start_date>
    <my_finish_date>2015-05-31</my_finish_date>
    <my_score>9</my_score>
    <my_status>Completed</my_status>
  </anime>
  <anime>
    <series_animedb_id>5</series_animedb_id>
    <my_watched_episodes>0</my_watched_episodes>
    <my_start_date>0000-00-00</my_start_date>
    <my_finish_date>0000-00-00</my_finish_date>
    <my_score>0</my_score>
    <my_status>Plan to Watch</my_status>
  </anime>
</myanimelist>
"""
ENTRIES = [
    MalEntry(1, "COMPLETED", 90, 20150400, 20150531, 26),
    MalEntry(5, "PLANNING", None, None, None, 0),
]


@pytest.fixture
def write(write):
    return lambda content, name="animelist.xml": write(content, name)


def entries(path):
    return [entry for _, entry in read_export(path).entries]


def one_anime(fields):
    return f"<myanimelist><anime><series_animedb_id>1</series_animedb_id>{fields}</anime></myanimelist>"


@pytest.mark.parametrize(("user_id", "name"), [("9", "9"), ("0", None), ("", None)])
def test_who_has_no_name_is_known_by_a_number_if_it_is_one(write, user_id, name):
    """Taiga writes 0 for everybody."""
    about = f"<myinfo><user_id>{user_id}</user_id><user_name></user_name></myinfo>"
    assert read_export(write(one_anime("").replace("<anime>", about + "<anime>", 1))).name == name


def test_an_export_is_read_packed_or_not(write):
    assert read_export(write(EXPORT)).name == "Ann" and entries(write(EXPORT)) == ENTRIES
    assert entries(write(gzip.compress(EXPORT.encode()), "list.xml.gz")) == ENTRIES


BOM = "\ufeff"
TITLE = "<![CDATA[Cowboy <Bebop>]]>"


@pytest.mark.parametrize(
    "title",
    [
        *[
            "Tom & Jerry",
            "&nbsp;&eacute;&#0;",
            "a < b",
            "</b>",
            "<b>bold",
            "\x00\x08\x1b",
            "<![CDATA[never closed",
            "]]>",
        ],
        *["<![CDATA[<anime></anime>]]>", "<anime>", "<my_score>1</my_score>", "<!DOCTYPE x>", "<!-- ", "\ufffe", ""],
    ],
)
def test_nothing_in_a_title_matters(write, title):
    text = EXPORT.replace(TITLE, title)
    assert entries(write(text)) == entries(write(text.encode("latin-1", "replace"))) == ENTRIES
    assert entries(write(text.replace("series_title>", "my_tags>"))) == ENTRIES


@pytest.mark.parametrize(
    "text",
    [
        "\n" + EXPORT,
        BOM + EXPORT,
        EXPORT.replace("UTF-8", "utf-16"),
        EXPORT.replace("UTF-8", "x-none"),
        EXPORT.replace("myanimelist>", "MyAnimeList>")
        .replace("<anime>", '<ANIME id="1">')
        .replace("</anime>", "</ANIME>"),
        EXPORT.replace("<my_score>9", "<my_score> 9.0 "),
        EXPORT.replace("Completed", "<![CDATA[Completed]]>"),
        EXPORT.replace("<my_score>0</my_score>", "<my_score/>"),
        EXPORT.replace("\n", "\r"),
        EXPORT.replace("<!--", "<!-- <anime></anime> "),
        EXPORT.replace("2015-04-00", "2015-04").replace("2015-05-31", "31/05/2015"),
    ],
)
def test_the_same_export_written_otherwise(write, text):
    assert entries(write(text)) == ENTRIES
    assert entries(write(text.encode("utf-16"))) == ENTRIES


@pytest.mark.parametrize("number", ["", "5,000"])
def test_an_anime_without_an_id_is_left_out_and_counted(write, number):
    text = EXPORT.replace("<series_animedb_id>5", f"<series_animedb_id>{number}")
    export = read_export(write(text))
    assert [number for number, _ in export.entries] == [1]
    assert export.report.left_out == {"an anime without a usable <series_animedb_id>": (1, 2)}
    unclosed = read_export(write(EXPORT.replace("</anime>", "")))
    assert [entry for _, entry in unclosed.entries] == ENTRIES


def test_scores_of_100_and_such_as_are_none(write):
    anime = "<anime><series_animedb_id>{}</series_animedb_id><my_score>{}</my_score></anime>"
    for scores, expected in (("85 8 100", [85, 8, 100]), ("8.5 8,5 1", [85, 85, 10]), ("3 x 5", [30, None, 50])):
        text = "".join(anime.format(n, score) for n, score in enumerate(scores.split(), 1))
        export = read_export(write(f"<myanimelist>{text}</myanimelist>"))
        assert [entry.score for _, entry in export.entries] == expected
        assert export.report.unclear == ({"its score": (1, 2)} if "x" in scores else {})


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Watching", "CURRENT"),
        ("Completed", "COMPLETED"),
        ("On-Hold", "PAUSED"),
        ("Dropped", "DROPPED"),
        ("Plan to Watch", "PLANNING"),
        ("1", "CURRENT"),
        ("2", "COMPLETED"),
        ("3", "PAUSED"),
        ("4", "DROPPED"),
        ("6", "PLANNING"),
        ("", "COMPLETED"),
    ],
)
def test_status(write, text, status):
    assert entries(write(one_anime(f"<my_status>{text}</my_status>")))[0].status == status


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2015-00-00", 20150000),
        ("2015-00-07", 20150000),
        ("2015-12-31", 20151231),
        ("2015-13-01", None),
        ("2015-01-32", None),
        ("0000-01-01", None),
        ("2015", 20150000),
        ("2015-02-31", None),
        ("0001-01-01", None),
        ("", None),
    ],
)
def test_dates(write, text, date):
    assert entries(write(one_anime(f"<my_finish_date>{text}</my_finish_date>")))[0].completed == date


BILLION_LAUGHS = (
    '<!DOCTYPE myanimelist [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True))
    + "]><myanimelist><anime><series_animedb_id>&j;</series_animedb_id></anime></myanimelist>"
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BILLION_LAUGHS, "animelist.xml .*DTD"),
        ('<!DOCTYPE myanimelist SYSTEM "file:///etc/passwd"><myanimelist/>', "DTD"),
        ("<myanimelist>&a;</myanimelist>", "the export has no anime"),
        ("<myanimelist/>", "the export has no anime"),
        ("<rss></rss>", "starts with <rss>"),
        ("<html></html>", "is a web page"),
        ("<myanimelist>" + "<a>" * 9, "is cut off"),
        (EXPORT[:-20], "is cut off"),
        ("", "is empty"),
        ("nothing", "there is no <myanimelist>"),
        (b"\xff\xfe\x00", "there is no <myanimelist>"),
        ("<myanimelist><manga><manga_mangadb_id>1</manga_mangadb_id></manga></myanimelist>", "manga list"),
        (gzip.compress(EXPORT.encode(), mtime=0)[:-20], "damaged"),
        (b"\x1f\x8bnothing", "damaged"),
    ],
)
def test_what_is_no_export_is_one_clear_line(write, content, message):
    with pytest.raises(UserError, match=message) as caught:
        read_export(write(content))
    assert "\n" not in str(caught.value) and "animelist.xml" in str(caught.value)


def test_an_external_entity_is_not_read(write, tmp_path):
    secret = write("SECRET", "secret.txt")
    text = f'<!DOCTYPE x [<!ENTITY s SYSTEM "{secret.as_uri()}">]>' + one_anime("<my_status>&s;</my_status>")
    with pytest.raises(UserError, match="DTD") as caught:
        read_export(write(text))
    assert "SECRET" not in str(caught.value)


def test_a_gzip_bomb_is_refused_before_it_is_unpacked(write, monkeypatch):
    monkeypatch.setattr(mal_export, "MAX_BYTES", 2**20)
    bomb = write(gzip.compress(b"<myanimelist>" + b" " * (64 * 2**20)), "bomb.xml.gz")
    assert bomb.stat().st_size < 2**17
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="more than 1 MiB"):
            read_export(bomb)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_too_many_entries_are_refused(write, monkeypatch):
    monkeypatch.setattr(mal_export, "MAX_ENTRIES", 2)
    anime = "".join(f"<anime><series_animedb_id>{n}</series_animedb_id></anime>" for n in (1, 2, 3))
    with pytest.raises(UserError, match="more than 2 anime"):
        read_export(write(f"<myanimelist>{anime}</myanimelist>"))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        read_export(tmp_path / "none.xml")
    with pytest.raises(UserError, match="directory"):
        read_export(tmp_path)


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda t: one_anime(t).encode("utf-8", "replace"))))
def test_any_file_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.xml"
    path.write_bytes(content)
    try:
        read = entries(path)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert all(isinstance(entry, MalEntry) and entry.mal_id > 0 for entry in read)


@given(st.integers(0, len(EXPORT) - 1), st.characters(codec="utf-8"))
def test_one_changed_character_is_read_or_refused(tmp_path_factory, at, character):
    path = tmp_path_factory.getbasetemp() / "changed.xml"
    path.write_text(EXPORT[:at] + character + EXPORT[at + 1 :], encoding="utf-8", newline="")
    try:
        export = read_export(path)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert len(export.entries) + export.report.total_left_out == export.report.rows <= 3
