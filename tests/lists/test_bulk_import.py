"""Imported lists in place of earlier ones: who is taken for the same people. What load_users.py makes of it is in
test_import_lists.py."""

from __future__ import annotations

import pytest

from anime_bert4rec.lists.bulk_import import OtherPeople
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.records import Anime, CataloguePage, ImportedEntry

OF_A_SOURCE, OF_NONE = "csv:lists:0000000000000005", "csv:0000000000000005"
"""What the person 5 is known by, and what in versions that named no source."""


@pytest.fixture
def database(tmp_path):
    with Database.open(tmp_path / "bert.db", create=True) as database:
        fetch = database.resume_or_start_catalogue_fetch("ID", 100)
        database.save_catalogue_page(fetch.fetch_id, CataloguePage(tuple(map(Anime, range(1, 31))), None))
        yield database


def store(database, source, anime_ids, sure=False):
    entries = [ImportedEntry(5, None, anime_id, n, "COMPLETED") for n, anime_id in enumerate(anime_ids)]
    return database.import_lists(source, entries, min_anime=1, sure=sure)


def lists(database):
    names = {user.user_id: key for key, user in database.users().items()}
    found = {name: [] for name in names.values()}
    for user_id, anime_id, *_ in database.iter_watched():
        found[names[user_id]].append(anime_id)
    return found


def test_who_has_seven_of_ten_is_the_same_person(database):
    store(database, "csv:lists", range(1, 11))
    with pytest.raises(OtherPeople) as caught:
        store(database, "csv:lists", [*range(1, 7), *range(21, 25)])
    assert (caught.value.known, caught.value.kept, caught.value.stored) == (1, 6, 10)
    assert lists(database) == {OF_A_SOURCE: list(range(1, 11))}
    store(database, "csv:lists", range(1, 8))
    assert lists(database) == {OF_A_SOURCE: list(range(1, 8))}


@pytest.mark.parametrize(("kept", "adopted"), [(7, True), (6, False)])
def test_so_is_somebody_of_a_version_that_named_no_source(database, kept, adopted):
    store(database, "csv", range(1, 11))
    store(database, "csv:lists", range(1, 1 + kept))
    expected = {OF_A_SOURCE: list(range(1, 1 + kept))}
    assert lists(database) == (expected if adopted else {OF_NONE: list(range(1, 11)), **expected})


def test_where_somebody_is_stored_with_a_source_the_list_without_one_stays_as_it_is(database):
    store(database, "csv", range(1, 11))
    store(database, "csv:lists", range(21, 31))
    store(database, "csv:lists", range(1, 12), sure=True)
    assert lists(database) == {OF_NONE: list(range(1, 11)), OF_A_SOURCE: list(range(1, 12))}
