"""Whose ids a list holds, AniList's or MyAnimeList's: by hand, and of CSV files."""

from __future__ import annotations

from pathlib import Path

import pytest

from anime_bert4rec.lists import list_file
from anime_bert4rec.lists.csv_lists import CsvLists
from anime_bert4rec.lists.list_values import RowReport
from anime_bert4rec.lists.records import ImportedEntry
from anime_bert4rec.lists.whose_ids import anime_of_export, fit_of
from anime_bert4rec.support.errors import UserError


@pytest.mark.parametrize(
    ("only_anilist", "only_mal", "same", "differing", "whose", "harmless"),
    [
        (2, 0, 0, 0, None, True),
        (3, 0, 0, 9, "anilist", True),
        (6, 2, 0, 0, "anilist", False),
        (5, 2, 0, 0, None, False),
        (1, 3, 9, 9, "mal", False),
        (1, 2, 0, 0, None, False),
        (3, 3, 0, 0, None, False),
        (0, 1, 5, 0, None, False),
        (0, 0, 5, 0, None, True),
        (0, 0, 5, 1, None, False),
        (1, 0, 5, 1, None, True),
    ],
)
def test_whose_ids_are_clear_and_where_it_does_not_matter(only_anilist, only_mal, same, differing, whose, harmless):
    """Ids that only one has, ids of the same anime in both, and ids that mean another anime to each."""
    ours, theirs, equal, other = (
        range(100 * k, 100 * k + count) for k, count in enumerate((only_anilist, only_mal, same, differing))
    )
    by_mal_id = {n: n for n in (*theirs, *equal)} | {n: n + 1000 for n in other}
    fit = fit_of({*ours, *theirs, *equal, *other}, {*ours, *equal, *other}, by_mal_id)
    assert (fit.better, fit.harmless) == (whose, harmless)


ANILIST = {n if n < 100 else 1000 + n for n in range(1, 301)}
BY_MAL_ID = {n: n if n < 100 else 1000 + n for n in range(1, 301)}
"""As in reality: the old ones have the same id, the others do not."""


def whose(write, ids, column="anime_id", names="", user="u"):
    text = f"user,{column}\n" + "".join(f"{user}{n},{each}\n" for n, each in enumerate(ids))
    return CsvLists(write(text), names).survey(ANILIST, BY_MAL_ID).whose


@pytest.mark.parametrize("column", ["anime_id", "mal_id", "anilist_id"])
@pytest.mark.parametrize("unknown", [0, 5000])
def test_whose_ids_these_are_is_seen_by_which_catalogue_has_them(write, column, unknown):
    others = range(50_000, 50_000 + unknown)
    assert whose(write, [*range(90, 110), *others], column) == "mal"
    assert whose(write, [*range(90, 100), *range(1100, 1110), *others], column) == "anilist"


def test_ten_rows_are_enough_and_one_busy_id_is_not(write):
    assert whose(write, [1, 2, 3, 4, 5, 6, 7, 200, 201, 202]) == "mal"
    with pytest.raises(UserError, match=r"unclear whose ids .* --columns=user,mal_id .* --columns=user,anilist_id "):
        whose(write, [1, 2, *[200] * 500])
    with pytest.raises(UserError, match="unclear"):
        whose(write, [*range(200, 220), *range(1200, 1219)])


def test_ids_that_mean_the_same_to_both_need_no_decision(write):
    assert whose(write, range(1, 50)) == "anilist"
    assert whose(write, range(1, 50), "mal_id") == "mal"
    assert whose(write, [1, 2, 1200]) == "anilist"


def test_what_the_user_says_counts_whatever_fits(write):
    assert whose(write, range(200, 220), names="user,anime_id") == "mal", "that is what either calls it"
    assert whose(write, range(1200, 1220), names="user,mal_id") == "mal"
    assert whose(write, range(200, 220), names="user,anilist_id") == "anilist"


@pytest.mark.parametrize(
    ("own", "whose"),
    [
        (lambda mal_id: BY_MAL_ID[mal_id], "anilist"),
        (lambda mal_id: BY_MAL_ID[mal_id] if mal_id % 3 else 999, "anilist"),
        (lambda mal_id: mal_id, "mal"),
        (lambda mal_id: 1 + list(BY_MAL_ID).index(mal_id), "mal"),
    ],
    ids=["AniList's", "mostly AniList's", "MyAnimeList's twice", "the file's own"],
)
def test_beside_mal_id_an_anime_id_has_to_agree_with_it(write, own, whose):
    """Some dumps number their anime from 1, which would be other anime."""
    differing = [mal_id for mal_id, anime_id in BY_MAL_ID.items() if mal_id != anime_id][:20]
    text = "user,anime_id,mal_id\n" + "".join(f"u,{own(mal_id)},{mal_id}\n" for mal_id in differing)
    assert CsvLists(write(text)).survey(ANILIST, BY_MAL_ID).whose == whose


def test_all_of_the_first_blocks_of_a_file_tells(write, monkeypatch):
    """Some 800 rows with a few bytes each, of which the last ones alone say whose they are."""
    monkeypatch.setattr(list_file, "BLOCK", 4096)
    ids = [*range(1, 40)] * 20
    assert whose(write, ids) == "anilist"
    assert whose(write, [*ids, *range(200, 220)]) == "mal"


def test_rows_from_all_parts_of_a_large_file_tell(write, monkeypatch):
    monkeypatch.setattr(list_file, "BLOCK", 4096)
    assert whose(write, [*range(1, 40)] * 2000 + [*range(100, 300)] * 200) == "mal"


@pytest.mark.parametrize(("first", "meant"), [(200, "PAUSED"), (1200, "DROPPED")])
def test_a_few_numbers_that_nobody_knows_do_not_make_statuses_anilists(write, first, meant):
    """3 is paused to MyAnimeList and dropped to AniList; 0 is a status of AniList's alone."""
    rows = [f"u{n},{first + n % 20},{0 if n < 2 else 3}" for n in range(300)]
    lists = CsvLists(write("user,anime_id,status\n" + "\n".join(rows)))
    known = BY_MAL_ID if lists.survey(ANILIST, BY_MAL_ID).whose == "mal" else {each: each for each in ANILIST}
    statuses = [entry.status for entry in map(ImportedEntry._make, lists.entries(known, False, RowReport()))]
    assert statuses.count(meant) == 298


def test_many_of_anilists_numbers_tell_though_the_ids_are_myanimelists(write):
    rows = [f"u{n},{200 + n % 20},{0 if n < 30 else 3}" for n in range(300)]
    lists = CsvLists(write("user,mal_id,status\n" + "\n".join(rows)))
    lists.survey(ANILIST, BY_MAL_ID)
    assert [entry[4] for entry in lists.entries(BY_MAL_ID, False, RowReport())].count("DROPPED") == 270


def test_an_export_may_have_anilists_ids(caplog):
    path = Path("list.xml")
    assert anime_of_export(path, range(190, 220), ANILIST, BY_MAL_ID) == BY_MAL_ID
    assert anime_of_export(path, [1, 5], ANILIST, BY_MAL_ID) == BY_MAL_ID and not caplog.messages
    assert anime_of_export(path, range(1190, 1220), ANILIST, BY_MAL_ID) == {each: each for each in ANILIST}
    assert caplog.messages[0].startswith("list.xml: ids are taken for AniList's: 30 different ids")
