"""CSV lists: which columns are found, what each value means, and that every bad row is counted with its reason."""

from __future__ import annotations

import csv
import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

import csv_lists
from csv_lists import BadRow, CsvLists, LeftOut, parse_score, parse_status, parse_when
from errors import SettingError, UserError
from user_names import user_hash

KNOWN = {1: 1, 5: 5, 20: 20}


@pytest.fixture
def write(tmp_path):
    def write(content, name="lists.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def read(path, columns="", known=KNOWN, keep_names=True):
    """The entries as (name, anime_id, entry_id, status, score, completed, updated), and what was left out."""
    left_out = LeftOut()
    entries = list(CsvLists(path, columns).entries(known, keep_names, left_out))
    assert all(user == user_hash(name) for user, name, *_ in entries if name)
    return [(*entry[1:6], *entry[8:]) for entry in entries], left_out.rows


PLAIN = [("Ann", 1, 1, "COMPLETED", None, None, None), ("Bob", 5, 2, "COMPLETED", None, None, None)]


@pytest.mark.parametrize(
    "content",
    [
        "user,anime_id\nAnn,1\nBob,5\n",
        "user,anime_id\r\nAnn,1\r\nBob,5",
        "\ufeffuser;anime_id\nAnn;1\nBob;5\n",
        'user\tanime_id\n"Ann"\t1\nBob\t5\n',
        "animeId,userName\n1,Ann\n5,Bob\n",
        "Item ID,other,USER_ID\n1,x,Ann\n5,x,Bob\n",
        gzip.compress(b"user,anilist_id\nAnn,1\nBob,5\n", mtime=0),
        "user,anime_id,mal_id\nAnn,1,20\nBob,5,20\n",
    ],
)
def test_the_header_says_what_the_columns_are(write, content):
    assert read(write(content)) == (PLAIN, {})


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("Ann,1\nBob,5\n", "user,anime_id"),
        ("1;x;Ann\n5;x;Bob\n", "anime_id,-,user"),
        ("person,number\nAnn,1\nBob,5\n", "user,anime_id"),
        ("user,anime_id\nAnn,1\nBob,5\n", "user, anime_id"),
    ],
)
def test_columns_can_be_given(write, content, columns):
    entries, left_out = read(write(content), columns)
    assert [(entry[0], entry[1]) for entry in entries] == [("Ann", 1), ("Bob", 5)]
    assert sum(count for count, _ in left_out.values()) == content.startswith("person")


def test_dumps_of_myanimelist_are_known_by_their_columns(write):
    text = "user_id,anime_id,rating,watching_status\n7,100,9,2\n7,200,0,6\n7,1,-1,4\n"
    path = write(text)
    assert CsvLists(path).ids == "mal_id"
    entries, left_out = read(path, known={100: 1, 200: 5})
    assert entries == [("7", 1, 1, "COMPLETED", 9.0, None, None), ("7", 5, 2, "PLANNING", None, None, None)]
    assert left_out == {csv_lists.UNKNOWN_ANIME: (1, 4)}
    assert CsvLists(path, "user,anime_id,score,status").ids == "anime_id"
    assert CsvLists(write("user_id,anime_id,rating\n1,1,1\n")).ids == "anime_id"


def test_each_reason_is_counted_with_its_first_line(write):
    rows = [
        "user,anime_id,date,score,status",
        "Ann,1,2015-04-30,8,Completed",
        "Ann",  # 3
        "",
        " ,1,,,",  # 5
        "Ann,one,,,",
        "Ann,99,,,",  # 7
        "Ann,1,yesterday,,",
        "Ann,1,,good,",  # 9
        "Ann,1,,,liked",
        "Ann,98,,,",  # 11
        "A\udcffn,1,,,",
        "Ann,5\r0,,,",  # 13
        "Ann,5,,,PLANNING",
    ]
    path = write("\n".join(rows).encode(errors="surrogateescape"))
    entries, left_out = read(path)
    assert [entry[:4] for entry in entries] == [("Ann", 1, 1, "COMPLETED"), ("Ann", 5, 11, "PLANNING")]
    assert left_out == {
        "fewer columns than the header": (1, 3),
        "no user": (1, 5),
        "the id of the anime is not a number": (1, 6),
        "anime that the catalogue does not have": (2, 7),
        "the date is neither a day nor a time": (1, 8),
        "the score is not a number from 0 to 100": (1, 9),
        "unknown status": (1, 10),
        "the user's name is not UTF-8 text": (1, 12),
        "not a line of CSV": (1, 13),
    }


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2015-04-30", (20150430, None)),
        ("2015/04/30", (20150430, None)),
        ("20150430", (20150430, None)),
        ("2015-04-00", (20150400, None)),
        ("1430438399", (None, 1430438399)),
        ("1430438399.5", (None, 1430438399)),
        ("1430438399123", (None, 1430438399)),
        ("2015-04-30T23:59:59Z", (None, 1430438399)),
        ("2015-04-30 23:59:59", (None, 1430438399)),
        ("2015-05-01T01:59:59+02:00", (None, 1430438399)),
        ("", (None, None)),
        ("0", (None, None)),
        ("NaN", (None, None)),
        ("0000-00-00", (None, None)),
    ],
)
def test_dates_and_times(text, when):
    assert parse_when(text) == when


def test_dates_and_times_of_one_row(write):
    text = "user,anime_id,time,date\nAnn,1,1430438399,2015-04-30\nAnn,5,,2015-04-30\nAnn,20,1430438399,\n"
    assert [entry[5:] for entry in read(write(text))[0]] == [
        (20150430, 1430438399),
        (20150430, None),
        (None, 1430438399),
    ]


def test_scores_and_statuses():
    assert [parse_score(text) for text in ("7", " 7.5 ", "100", "0", "-1", "0.0", "")] == [7, 7.5, 100, *4 * [None]]
    words = {
        "": "COMPLETED",
        "repeating": "REPEATING",
        "Plan to Watch": "PLANNING",
        "On-Hold": "PAUSED",
        "1": "CURRENT",
    }
    assert {text: parse_status(text) for text in words} == words
    for parse, text in ((parse_score, "101"), (parse_score, "-2"), (parse_score, "inf"), (parse_status, "5")):
        with pytest.raises(BadRow):
            parse(text)


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        ("", "", "is empty"),
        ("Ann,1\n", "", "name them with --columns"),
        ("user,title\nAnn,Bebop\n", "", "needs a column user .* but has user, title"),
        ("user,title\n", "user,score", "needs a column user"),
        ("user,anime_id\nAnn,1\n".encode("utf-16"), "", "not a text file in UTF-8"),
        (gzip.compress(b"user,anime_id\nAnn,1\n" * 1000, mtime=0)[:-12], "", "damaged .gz"),
        (b"\x1f\x8bnothing", "", "damaged .gz"),
        ("user,anime_id\n" + "x" * (3 * 2**20), "", "has a line longer than"),
    ],
)
def test_what_is_no_list_is_one_clear_line(write, content, columns, message):
    with pytest.raises(UserError, match=message) as caught:
        read(write(content), columns)
    assert "lists.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_cannot_be_read_and_columns_that_mean_nothing(tmp_path, write):
    with pytest.raises(UserError, match="there is no file"):
        CsvLists(tmp_path / "none.csv")
    with pytest.raises(UserError, match="directory"):
        CsvLists(tmp_path)
    with pytest.raises(SettingError, match="'anmie'"):
        CsvLists(write("Ann,1\n"), "user,anmie")


def test_names_are_not_kept_unless_asked_for_and_then_plain(write):
    path = write("user,anime_id\nA\x1b[31mnn,1\n")
    (entry,), _ = read(path, keep_names=False)
    assert entry[0] is None
    assert next(CsvLists(path).entries(KNOWN, True, LeftOut()))[1] == "Ann"


def test_blocks_do_not_matter(write, monkeypatch):
    text = "user,anime_id\n\n" + "".join(f"Änn{n},{(1, 5, 99)[n % 3]}\n" for n in range(50)) + "Bob,1"
    expected = read(write(text))
    assert len(expected[0]) == 35 and expected[1] == {csv_lists.UNKNOWN_ANIME: (16, 5)}
    for size in (15, 16, 17, 64):
        monkeypatch.setattr(csv_lists, "MAX_LINE", size)
        assert read(write(text)) == expected


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), min_size=1).filter(
                str.strip
            ),
            st.sampled_from(sorted(KNOWN)),
        ),
        min_size=1,
    ),
    st.sampled_from(",;\t"),
)
def test_what_is_written_is_read(tmp_path_factory, rows, delimiter):
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter).writerows([("user", "anime_id"), *rows])
    path = tmp_path_factory.getbasetemp() / "written.csv"
    path.write_bytes(file.getvalue().encode())
    left_out = LeftOut()
    entries = CsvLists(path).entries(KNOWN, False, left_out)
    assert [(e[0], e[2]) for e in entries] == [(user_hash(name.strip()), anime_id) for name, anime_id in rows]
    assert left_out.total == 0


@given(st.binary(max_size=300), st.booleans())
def test_any_file_is_read_or_refused(tmp_path_factory, content, header):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes((b"user,anime_id,date,score,status\n" if header else b"") + content)
    try:
        list(CsvLists(path).entries(KNOWN, True, LeftOut()))
    except UserError as error:
        assert "\n" not in str(error)
