"""Quotes in a CSV: fields of several lines are whole, and a quote that nothing closes costs its own row alone."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anime_bert4rec.lists import csv_rows, list_file
from anime_bert4rec.lists.csv_lists import CsvLists
from anime_bert4rec.lists.list_values import RowReport

UNCLOSED = "a quote that is not closed"


def read(path):
    """`(user, anime, score)` of each row that is read, and what was left out."""
    report = RowReport()
    lists = CsvLists(path)
    known = {n: n for n in range(1, 10_000)}
    lists.survey(known, known)
    rows = [(entry[1], entry[2], entry[5]) for entry in lists.entries(known, True, report)]
    assert len(rows) + report.total_left_out == report.rows
    return rows, report


@pytest.fixture
def write(tmp_path):
    def write(text):
        (tmp_path / "lists.csv").write_text(text, encoding="utf-8")
        return tmp_path / "lists.csv"

    return write


def table(delimiter, rows):
    return "\n".join(delimiter.join(row) for row in rows) + "\n"


GOOD = [(f"u{n // 40}", str(n % 40 + 1), str(n % 10 + 1), "tag") for n in range(1000)]
EXPECTED = [(user, int(anime), float(score)) for user, anime, score, _ in GOOD]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("column", [0, 1, 2])
@pytest.mark.parametrize("at", [0, 1, -1])
@pytest.mark.parametrize("lines", [[500], [0], [999], [100, 101], [100, 700], [5, 6, 7, 900]])
def test_a_stray_quote_costs_no_other_row(write, delimiter, column, at, lines):
    rows = [list(row) for row in GOOD]
    for line in lines:
        text = rows[line][column]
        rows[line][column] = text + '"' if at < 0 else text[:at] + '"' + text[at:]
    found, report = read(
        write("user" + delimiter + delimiter.join(["anime_id", "score", "tags"]) + "\n" + table(delimiter, rows))
    )
    rest = [row for n, row in enumerate(EXPECTED) if n not in lines]
    assert [row for row in found if row in rest] == rest
    assert report.rows == 1000 and len(found) >= 1000 - len(lines)
    assert all(re.fullmatch(r"u[0-9]+", name) for name, _, _ in found)


def test_a_stray_quote_in_a_column_that_nobody_needs_costs_nothing(write):
    rows = [list(row) for row in GOOD]
    rows[3][3], rows[500][3], rows[501][3], rows[700][3] = '"tag', 't"ag', '"', '"a" and "b"'
    assert read(write("user,anime_id,score,tags\n" + table(",", rows)))[0] == EXPECTED
    rows[3][3] = '"best, of'
    found, report = read(write("user,anime_id,score,tags\n" + table(",", rows)))
    assert found == EXPECTED[:3] + EXPECTED[4:] and report.left_out == {UNCLOSED: (1, 5)}


REVIEW = 'I said: "good",\nand 5, 6, 7.\n\n"Yes", he said\r\nu1,5\nend'


@pytest.mark.parametrize("column", range(4))
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("block", [100, 2**16])
def test_fields_of_several_lines_are_one_row(tmp_path, monkeypatch, column, quoting, block):
    monkeypatch.setattr(list_file, "BLOCK", block)
    path = tmp_path / "lists.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=quoting)
        for row in [("user", "anime_id", "score"), *(row[:3] for row in GOOD[:200])]:
            text = "review" if row[0] == "user" else REVIEW
            writer.writerow([*row[:column], text, *row[column:]])
    found, report = read(path)
    assert found == EXPECTED[:200] and report.left_out == {} and report.rows == 200


def test_a_stray_quote_among_fields_of_several_lines(write):
    rows = [[*row[:3], f'"{row[3]}\nmore, and ""more""\n"'] for row in GOOD]
    rows[500][0] = '"u12'
    rows[501][3] = "plain"
    found, report = read(write("user,anime_id,score,tags\n" + table(",", rows)))
    assert found == EXPECTED[:500] + EXPECTED[501:]
    assert report.rows == 1000 + 2 and report.left_out.keys() <= {UNCLOSED, "fewer columns than the header"}


def test_a_field_that_is_too_long_is_no_field(write, monkeypatch):
    monkeypatch.setattr(csv_rows, "MAX_SPAN", 10)
    text = 'user,anime_id,score,tags\nAnn,1,2,x\nAnn,2,3,"' + "no row\n" * 30 + "Bob,1,5,x\n"
    found, report = read(write(text))
    assert found == [("Ann", 1, 2.0), ("Ann", 2, 3.0), ("Bob", 1, 5.0)]
    assert report.left_out == {"fewer columns than the header": (29, 4)}
    huge = 'user,anime_id,score,tags\nAnn,1,2,"' + ("y" * 1000 + "\n") * 300 + "Bob,1,5,x\n"
    assert read(write(huge))[0] == [("Ann", 1, 2.0), ("Bob", 1, 5.0)]


def test_a_line_that_is_too_long_for_csv_costs_no_other(write):
    found, report = read(write(f"user,anime_id,score,tags\nAnn,1,2,x\nAnn,2,3,{'y' * 200_000}\nBob,1,5,x\n"))
    assert [row for row in found if row[1] == 1] == [("Ann", 1, 2.0), ("Bob", 1, 5.0)]
    assert report.rows == 3


def test_many_stray_quotes_end(write):
    """Lines that leave a quoted field open, and open one again: 2,000 each look at no more than MAX_SPAN others."""
    _, report = read(write("user,anime_id,score,tags\n" + 'a"b,"c\n' * 2000 + "Bob,1,5,x\n"))
    assert report.rows == 2001


# Nothing in which a line could be a row by itself, with a number behind a separator: that is read as two rows.
fields = st.text(st.sampled_from('ab ,"\n;1'), max_size=6).filter(lambda text: not re.search(r'[,;][" ]*1', text))


@given(st.lists(st.tuples(st.integers(1, 9), fields), max_size=12), st.sampled_from([7, 30, 2**16]))
def test_whatever_is_written_as_csv_comes_back(tmp_path_factory, rows, block):
    """A text in the last column, with line breaks, quotes and separators."""
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("user", "anime_id", "note"), *((f"u{n}", n, text) for n, text in rows)])
    path = tmp_path_factory.getbasetemp() / "rows.csv"
    path.write_bytes(file.getvalue().encode())
    original, list_file.BLOCK = list_file.BLOCK, block
    try:
        found, report = read(path)
    finally:
        list_file.BLOCK = original
    assert [row[:2] for row in found] == [(f"u{n}", n) for n, _ in rows] and not report.left_out


@given(
    st.lists(
        st.sampled_from(["good", '"u1,1,5', 'u1,1,5"', '"u1",1,5', 'u"1,1,5', '"u1,1,"5', 'u1,"1",5', '"', "", "a,b"])
    ),
    st.sampled_from([10, 2**16]),
)
def test_every_line_is_accounted_for(tmp_path_factory, lines, block):
    """No field here is meant to go over several lines: as many rows as lines, and none that is good is lost."""
    text = "".join(f"{f'v{n},{n + 1},7' if line == 'good' else line}\n" for n, line in enumerate(lines))
    path = tmp_path_factory.getbasetemp() / "lines.csv"
    path.write_text("user,anime_id,score\n" + text)
    original, list_file.BLOCK = list_file.BLOCK, block
    try:
        found, report = read(path)
    finally:
        list_file.BLOCK = original
    good = [(f"v{n}", n + 1, 7.0) for n, line in enumerate(lines) if line == "good"]
    assert [row for row in found if row[0].startswith("v")] == good
    assert report.rows == sum(line != "" for line in lines)
