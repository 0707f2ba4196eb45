"""CSV lists: which columns are found, and that every row is accounted for with its reason."""

from __future__ import annotations

import csv
import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anime_bert4rec.lists import csv_lists, list_file
from anime_bert4rec.lists.csv_lists import CsvLists
from anime_bert4rec.lists.list_values import RowReport
from anime_bert4rec.lists.user_names import user_hash
from anime_bert4rec.support.errors import SettingError, UserError

KNOWN = {1: 1, 5: 5, 20: 20}


def read(path, columns="", known=KNOWN, keep_names=True):
    """The entries as (name, anime_id, entry_id, status, score, completed, updated), and what was left out."""
    report = RowReport()
    lists = CsvLists(path, columns)
    lists.survey(known, known)
    entries = list(lists.entries(known, keep_names, report))
    assert len(entries) + report.total_left_out == report.rows
    assert all(user == user_hash(name) for user, name, *_ in entries if name)
    return [(*entry[1:6], *entry[8:]) for entry in entries], report.left_out


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
        "user,anime_id,mal_id\nAnn,1,1\nBob,5,20000\n",
        "user|anime_id|note\nAnn|1|a, b; c, d\nBob|5|\n",
        "sep=;\r\nuser;anime_id\r\nAnn;1\r\nBob;5\r\n",
        '"sep=\t"\nuser\tanime_id\nAnn\t1\nBob\t5\n',
        "user,anime_id\rAnn,1\rBob,5\r",
        "\n\nuser,anime_id\nAnn,1\n\nBob,5\n",
        'user, anime_id\n"Ann", "1"\nBob, 5.0\n',
        "user,anime_id,a,b\nAnn,1\nBob,5\n",
        "user,anime_id\nAnn,1,\nBob,5,,\n",
        "user,anime_id\nAnn,1\nBob,5\n".encode("utf-16"),
        "user,anime_id\nAnn,1\nBob,5\n".encode("utf-16-be"),
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


def test_of_columns_that_mean_the_same_the_surest_counts_wherever_it_is(write):
    entries, _ = read(write("user,anime_id,anime,score,rating,username\nAnn,1,5,7,9,Bob\n"))
    assert entries == [("Ann", 1, 1, "COMPLETED", 7, None, None)]
    other = "username,anime,anime_id,score,my_score,status,my_status\nAnn,Gintama,1,62.5,7,Finished Airing,Dropped\n"
    assert read(write(other))[0] == [("Ann", 1, 1, "DROPPED", 7, None, None)]


def test_each_reason_is_counted_with_its_first_line(write):
    rows = [
        "user,anime_id,date,score,status",
        "Ann,1,2015-04-30,8,Completed",
        "Ann",  # 3
        "",
        " ,1,,,",  # 5
        "Ann,one,,,",
        "Ann,99,,,",  # 7
        "Ann,1,,,,",  # fine
        'A"nn,1,,good,',  # 9
        "Ann,1,,,liked",
        "Ann,98,,,",  # 11
        "A\udcffn,1,,,",
        "Ann,5,,,,or so",  # 13
        "Ann,5,,,PLANNING",
    ]
    path = write("\n".join(rows).encode(errors="surrogateescape"))
    entries, left_out = read(path)
    assert [entry[:4] for entry in entries] == [
        ("Ann", 1, 1, "COMPLETED"),
        ("Ann", 1, 6, "COMPLETED"),
        ("Ann", 5, 12, "PLANNING"),
    ]
    assert left_out == {
        "fewer columns than the header": (1, 3),
        "no user": (1, 5),
        "the id of the anime is not a number": (1, 6),
        "anime that the catalogue does not have": (2, 7),
        "a stray quote in the user's name": (1, 9),
        "unknown status": (1, 10),
        "the user's name is not UTF-8 text, which the file can be saved as": (1, 12),
        "more columns than the header, which --columns can name": (1, 13),
    }


def test_thousands_with_a_sign_are_neither_ids_nor_names_of_others(write):
    text = 'user,anime_id\n"1,000","1,000"\n1,"5,000"\n1,1.00\n1,5.0000\n1.000,5\n2000.000,1535.000\n'
    entries, left_out = read(write(text), known={1: 1, 5: 5, 1535: 1535})
    assert [entry[:2] for entry in entries] == [("1", 1), ("1", 5), ("1.000", 5), ("2000", 1535)]
    assert left_out == {"the id of the anime is not a number": (2, 2)}


def test_what_programs_write_for_no_name_is_nobody(write):
    entries, left_out = read(write("user,anime_id\n\\N,1\n<NA>,1\n#N/A,1\nNone,1\nnan,5\n"))
    assert [entry[0] for entry in entries] == ["None", "nan"] and left_out == {"no user": (3, 2)}


def test_days_of_start_are_read_beside_others(write):
    text = "A,1,2015-04-30,2015-06-01\nB,1,13/4/2015,\nC,1,2/4/2015,\nD,1,then,\n"
    lists, report = CsvLists(write(f"user,anime_id,my_start_date,my_finish_date\n{text}")), RowReport()
    lists.survey(KNOWN, KNOWN)
    days = [(entry[7], entry[8]) for entry in lists.entries(KNOWN, True, report)]
    assert days == [(20150430, 20150601), (20150413, None), (20150402, None), (None, None)]
    assert report.unclear == {"its start date": (1, 5)}


@pytest.mark.parametrize(("below", "kept"), [(1, True), (10, False)])
def test_scores_of_a_scale_below_0_are_none(write, below, kept):
    """One slip costs one score; where many are below 0, none of them is what somebody gave."""
    scores = [-0.4] * below + [1.8] * (40 - below)
    rows = "".join(f"Ann{n},1,{score}\n" for n, score in enumerate(scores))
    found = [entry[3 + 1] for entry in read(write(f"user,anime_id,score\n{rows}"))[0]]
    assert sum(score is not None for score in found) == (39 if kept else 0)


def test_times_in_smaller_units_than_seconds(write):
    text = "user,anime_id,time\nAnn,1,1430438399\nAnn,5,1430438399123\nAnn,20,1430438399123456\n"
    assert [entry[6] for entry in read(write(text))[0]] == [1430438399] * 3


def test_dates_and_times_of_one_row(write):
    text = "user,anime_id,time,date\nAnn,1,1430438399,2015-04-30\nAnn,5,,2015-04-30\nAnn,20,1430438399,\n"
    assert [entry[5:] for entry in read(write(text))[0]] == [
        (20150430, 1430438399),
        (20150430, None),
        (None, 1430438399),
    ]


def test_when_a_row_was_finished_counts_more_than_when_it_was_changed(write):
    rows = ["Ann,1,2016-01-01,2015-04-30", "Ann,5,1451606400,2015-04-30T23:59:59Z", "Ann,20,2016-01-01,"]
    text = "\n".join(["user,anime_id,time,date", *rows])
    assert [entry[5:] for entry in read(write(text))[0]] == [(20150430, None), (None, 1430438399), (20160101, None)]


def test_what_is_not_understood_costs_the_value_and_not_the_row(write):
    path = write("user,anime_id,score,date,time\nAnn,1,good,2015-02-31,soon\nAnn,5,8,2015-02-28,\nAnn,20,7,,\n")
    report = RowReport()
    entries = list(CsvLists(path).entries(KNOWN, False, report))
    assert [(entry[5], *entry[8:]) for entry in entries] == [(None, None, None), (8, 20150228, None), (7, None, None)]
    assert report.unclear == {"its time": (1, 2), "its date": (1, 2), "its score": (1, 2)}
    assert next(iter(report.lines())) == "1 kept without its time, which was not understood (the first: line 2)"


def test_the_other_dates_tell_which_number_is_the_day(write):
    """05/06/2015 is the 5th of June where there is a 31/12, the 6th of May where there is a 12/31, else in 2015."""
    for other, day in (("31/12/2014", 20150605), ("12/31/2014", 20150506), ("2014-12-31", 20150000)):
        entries, _ = read(write(f"user,anime_id,date\nAnn,1,05/06/2015\nAnn,5,{other}\nAnn,20,05/06/2015 10:11\n"))
        assert [entry[5] for entry in entries] == [day, 20141231, day]


@pytest.mark.parametrize(
    ("statuses", "meant"),
    [
        ("1 2 3 4 6", ["CURRENT", "COMPLETED", "PAUSED", "DROPPED", "PLANNING"]),
        ("1.0 2.0 6.0", ["CURRENT", "COMPLETED", "PLANNING"]),
        ("0 1 2 3 4 5", ["CURRENT", "PLANNING", "COMPLETED", "DROPPED", "PAUSED", "REPEATING"]),
        ("plan_to_watch On-Hold WATCHING", ["PLANNING", "PAUSED", "CURRENT"]),
    ],
)
def test_statuses_are_words_or_numbers_of_either_catalogue(write, statuses, meant):
    rows = "".join(f"u{n},1,{status}\n" for n, status in enumerate(statuses.split()))
    entries, left_out = read(write("user,anime_id,status\n" + rows))
    assert [entry[3] for entry in entries] == meant and not left_out


def test_numbers_as_names_are_the_same_with_decimals(write):
    (first, second), _ = read(write("user,anime_id\n1,1\n1.0,5\n")), None
    assert [entry[0] for entry in first] == ["1", "1"] and second == {}


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        ("", "", "is empty"),
        ("Ann,1\n", "", "name them with --columns"),
        ("user,title\nAnn,Bebop\n", "", "needs a column user .* but has user, title"),
        ("user,title\n", "user,score", "needs a column user"),
        (b"user,anime_id\n" + bytes(range(256)) * 2 + bytes(900), "", "not a text file"),
        (gzip.compress(b"user,anime_id\nAnn,1\n" * 1000, mtime=0)[:-12], "", "damaged packed file"),
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
    assert next(CsvLists(path).entries(KNOWN, True, RowReport()))[1] == "Ann"


def test_blocks_do_not_matter(write, monkeypatch):
    text = "user,anime_id\n\n" + "".join(f"Änn{n},{(1, 5, 99)[n % 3]}\n" for n in range(50)) + "Bob,1"
    expected = read(write(text))
    assert len(expected[0]) == 35 and expected[1] == {csv_lists.UNKNOWN_ANIME: (16, 5)}
    for size in (15, 16, 17, 64):
        monkeypatch.setattr(list_file, "BLOCK", size)
        assert read(write(text)) == expected


@given(
    st.lists(
        st.tuples(
            st.text(
                st.characters(exclude_characters='\0\r\n"', exclude_categories=["Cs"]), min_size=1, max_size=100
            ).filter(lambda name: name.strip() and name.strip() not in csv_lists.NO_NAMES),
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
    report = RowReport()
    entries = CsvLists(path).entries(KNOWN, False, report)
    assert [(e[0], e[2]) for e in entries] == [
        (user_hash(csv_lists.name_in_table(name)), anime_id) for name, anime_id in rows
    ]
    assert report.total_left_out == 0


@given(st.binary(max_size=300), st.booleans())
def test_any_file_is_read_or_refused(tmp_path_factory, content, header):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes((b"user,anime_id,date,score,status\n" if header else b"") + content)
    try:
        list(CsvLists(path).entries(KNOWN, True, RowReport()))
    except UserError as error:
        assert "\n" not in str(error)
