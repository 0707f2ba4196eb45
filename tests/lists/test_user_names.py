"""The names file takes what people write, and says by line number what it cannot take."""

from __future__ import annotations

import re
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anime_bert4rec.lists import user_names
from anime_bert4rec.lists.user_names import UserName, anilist_name, read_user_names, user_hash
from anime_bert4rec.support.errors import UserError
from config import PROJECT_DIR

SHORTEST, LONGEST = "ab", "a" * 20


@pytest.fixture
def read(tmp_path):
    def read(content):
        path = tmp_path / "names.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_user_names(path)

    return read


def test_the_hash_of_a_name_is_always_the_same():
    """A database of years ago has to know its people again."""
    assert user_hash("1") == -649571662916077706 and user_hash("María X") == -6340924365080552999


def test_names_comments_and_blank_lines(read):
    names, problems = read(
        "# friends\n\nAnn\n  bob_2\t\n   # nobody\nC-c # met at school #1\nDee#x\n＃ 先不要：Alice、Bob\n"
    )
    assert names == [
        UserName("Ann", "names.txt:3"),
        UserName("bob_2", "names.txt:4"),
        UserName("C-c", "names.txt:6"),
        UserName("Dee", "names.txt:7"),
    ]
    assert problems == []
    assert [name.key for name in names] == ["ann", "bob_2", "c-c", "dee"]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_any_line_ending_with_or_without_byte_order_mark(read, ending, bom):
    names, problems = read(bom + f"Ann{ending}{ending}Bob".encode())
    assert [(name.name, name.where) for name in names] == [("Ann", "names.txt:1"), ("Bob", "names.txt:3")]
    assert problems == []


@pytest.mark.parametrize(
    "text",
    [
        "https://anilist.co/user/Ann",
        "https://anilist.co/user/Ann/animelist?tab=1#top",
        "http://www.anilist.co/user/Ann/",
        "AniList.co/user/Ann/stats/anime/overview",
        "[my list](https://anilist.co/user/Ann/)",
        "<https://anilist.co/user/A%6En>",
        "@Ann",
        "\uff20\uff21\uff4e\uff4e",
        "Ann/animelist",
        "/user/Ann/",
        '"Ann"',
        "\u201cAnn\u201d",
        "\u200bAnn\ufeff",
        "- Ann",
        "1. @Ann",
        "(Ann)",
    ],
)
def test_a_name_as_people_paste_it(read, text):
    assert anilist_name(text) == "Ann"
    assert read(text)[0] == [UserName("Ann", "names.txt:1")]
    assert read(f"Bob\n{text}".encode("utf-16"))[0][1] == UserName("Ann", "names.txt:2")


def test_several_names_in_a_line(read):
    names, problems = read("Ann, @Bob; C-c\uff0cDee\u3001Eve\tann # friends, too\nhttps://anilist.co/user/Fay @Gus\n")
    assert [name.name for name in names] == ["Ann", "Bob", "C-c", "Dee", "Eve", "Fay", "Gus"]
    assert problems == ['names.txt:1: "ann" is already given at names.txt:1, skipped']
    with pytest.raises(UserError, match="cannot be"):
        anilist_name("Ann, Bob")


def test_a_file_of_names_has_a_limit(read, monkeypatch):
    monkeypatch.setattr(user_names, "MAX_BYTES", 2**20)
    with pytest.raises(UserError, match="more than 1 MiB of text"):
        read("Ann\n" * 300_000)


def test_duplicates_are_reported_with_both_lines_whatever_their_case(read):
    names, problems = read("Ann\nBob\naNN\n")
    assert [name.name for name in names] == ["Ann", "Bob"]
    assert problems == ['names.txt:3: "aNN" is already given at names.txt:1, skipped']


@pytest.mark.parametrize("name", [SHORTEST, LONGEST, "A_b-9", "--", "007"])
def test_possible_names(read, name):
    assert [each.name for each in read(name)[0]] == [name]


@pytest.mark.parametrize(
    "name",
    [
        "a",
        LONGEST + "a",
        "a b",
        "a.b",
        "caf\u00e9",
        "A\u0663",
        "\U0001f600\U0001f600",
        "O'Neil",
        "a\0b",
        "a\u2028b",
        "a/b",
        "https://myanimelist.net/profile/Ann",
        "https://anilist.co/anime/1/Cowboy-Bebop",
        "notanilist.co/user/Ann",
        "https://anilist.co/user/a",
    ],
)
def test_impossible_names_are_reported_and_the_rest_goes_on(read, name):
    names, problems = read(f"Ann\n{name}\nBob\n")
    assert [each.name for each in names] == ["Ann", "Bob"]
    (problem,) = problems
    assert problem.startswith("names.txt:2: ")
    assert "cannot be an AniList name" in problem or "but not of somebody on AniList" in problem


def test_a_name_of_10000_characters_is_not_repeated_in_full(read):
    _, (problem,) = read("Ann\n" + "x" * 10_000)
    assert len(problem) < 150


def test_control_characters_do_not_reach_the_terminal(read):
    _, problems = read("Ann\n\x1b[31mred m\x1b]0;title\x07\u202e\n")
    assert len(problems) == 1 and not set("\x1b\x07\u202e") & set("".join(problems))


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n \r\n", b"# only a comment\n"])
def test_a_file_without_names_says_what_to_add(read, content):
    with pytest.raises(UserError, match=r"names.txt has no names yet: add AniList user names to it, one a line"):
        read(content)


def test_a_file_with_nothing_but_impossible_names(read):
    with pytest.raises(UserError, match=r"no usable name: names.txt:2: \"a b\" cannot be"):
        read("\na b\nc d\n")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"Ann\r\nBob # caf\xe9\r\n", 2),  # Latin-1
        ("Ann # 朋友\n".encode("cp950"), 1),
        (b"Ann\rBob\r\n\n# \xed\xa0\x80\n", 4),  # half a surrogate pair
    ],
)
def test_text_that_is_not_utf8_is_one_error_with_the_line(read, content, line):
    with pytest.raises(UserError, match=rf"^names.txt:{line}: this is not UTF-8"):
        read(content)


def test_a_missing_file_and_a_directory(tmp_path):
    with pytest.raises(UserError, match=r"there is no file .*missing.txt"):
        read_user_names(tmp_path / "missing.txt")
    with pytest.raises(UserError, match=r"is a directory"):
        read_user_names(tmp_path)


def test_the_shipped_file_explains_itself_and_names_nobody():
    path = PROJECT_DIR / "datas_user.txt"
    assert "AniList" in path.read_text(encoding="utf-8")
    if all(line.startswith("#") for line in path.read_text(encoding="utf-8").splitlines()):  # unless it is in use
        with pytest.raises(UserError, match="no names yet"):
            read_user_names(path)


good = st.from_regex(r"[A-Za-z0-9_-]{2,20}", fullmatch=True)
padding = st.text(" \t", max_size=2)
comment = st.one_of(
    st.just(""), st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])).map("#{}".format)
)
impossible = st.text(
    st.characters(exclude_characters="\r\n\0#,;|\t\u3001\uff0c\uff1b\uff5c", exclude_categories=["Cs"]), min_size=1
).filter(
    lambda text: (
        not re.search(r"[A-Za-z0-9_-]{2}", unicodedata.normalize("NFKC", text)) and re.search(r"[\u00c0-\u00ff]", text)
    )
)
line = st.tuples(
    st.one_of(good, st.sampled_from(["Ann", "ANN", "bob"]), impossible, st.just("")), padding, padding, comment
)


@given(lines=st.lists(line, max_size=8), ending=st.sampled_from(["\n", "\r\n", "\r"]), bom=st.booleans())
def test_every_line_is_a_name_a_problem_or_nothing(lines, ending, bom):
    expected, problems, seen = [], [], set()
    for number, (word, _, _, _) in enumerate(lines, start=1):
        if re.fullmatch(r"[A-Za-z0-9_-]{2,20}", word) and word.lower() not in seen:
            seen.add(word.lower())
            expected.append(UserName(word, f"names.txt:{number}"))
        elif word:
            problems.append(f"names.txt:{number}: ")
    text = ending.join(before + word + after + rest for word, before, after, rest in lines)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "names.txt"
        path.write_bytes(text.encode("utf-8-sig" if bom else "utf-8"))
        if not expected:
            with pytest.raises(UserError):
                read_user_names(path)
        else:
            names, said = read_user_names(path)
            assert names == expected
            assert len(said) == len(problems) and all(map(str.startswith, said, problems))


@given(st.binary())
def test_any_bytes_are_names_or_a_clear_line(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "names.txt"
        path.write_bytes(content)
        try:
            names, problems = read_user_names(path)
        except UserError as error:
            assert "\n" not in str(error)
        else:
            assert all(re.fullmatch(r"[A-Za-z0-9_-]{2,20}", name.name) for name in names)
            assert len({name.key for name in names}) == len(names) > 0
            assert not any("\n" in problem for problem in problems)


def test_names_with_numbers_are_no_table(read):
    names, problems = read("Ann, 2001\nBob, Cee\nDee\n")
    assert [name.name for name in names] == ["Ann", "2001", "Bob", "Cee", "Dee"] and not problems
    assert [name.name for name in read("Ann,2001\n")[0]] == ["Ann", "2001"]
    assert [name.name for name in read("12\n34\n56\n")[0]] == ["12", "34", "56"]
    assert [name.name for name in read("\t12\n\t34\n\t56\n")[0]] == ["12", "34", "56"]
    commented = "# my friends, 2024\nAnn # joined, 2019\nBob # joined, 2020\nCee # joined, 2021\n# Dee, 12\n"
    assert [name.name for name in read(commented)[0]] == ["Ann", "Bob", "Cee"]
    assert [name.name for name in read("Ann, 2001\nBob, 1998\nCee, 1987\n")[0]][::2] == ["Ann", "Bob", "Cee"]
    assert "Cee" in [name.name for name in read("1, Ann\n2, Bob\n3, Cee\n4, Dee\n")[0]]
