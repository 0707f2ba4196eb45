"""What is stored comes back, one transaction at a time. Files that are not ours: see test_database_file.py."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest
from full_anime import FULL_ANIME
from hypothesis import given, settings
from hypothesis import strategies as st

from anime_bert4rec.lists.database import Database, DatabaseError
from anime_bert4rec.lists.records import (
    Anime,
    CatalogueCursor,
    CataloguePage,
    ListEntry,
    Relation,
    Tag,
    UserList,
)


@pytest.fixture
def database(tmp_path):
    with Database.open(tmp_path / "bert.db", create=True) as database:
        yield database


def add_catalogue(database, *anime_ids):
    fetch = database.resume_or_start_catalogue_fetch("POPULARITY_DESC", 10_000)
    return database.save_catalogue_page(fetch.fetch_id, CataloguePage(tuple(map(Anime, anime_ids)), None))


def watched_list(user_id, name, *anime_ids):
    entries = (ListEntry(1000 * user_id + anime_id, anime_id, "COMPLETED") for anime_id in anime_ids)
    return UserList(user_id, name, tuple(entries))


def save(database, user_list, requested=None, at=1_000, min_anime=1):
    return database.save_user_list(user_list, requested or user_list.name, at, min_anime)


class TestCatalogue:
    def test_an_anime_comes_back_as_it_was_saved(self, database):
        fetch = database.resume_or_start_catalogue_fetch("ID", 10)
        bare = Anime(3)
        assert database.save_catalogue_page(fetch.fetch_id, CataloguePage((FULL_ANIME, bare), None)) == (2, 0)
        assert database.anime([3, 5, 7]) == [bare, FULL_ANIME]
        assert database.anime_ids() == [3, 7]

    def test_no_episodes_and_a_mean_of_zero_which_older_databases_have_are_unknown(self, database):
        fetch = database.resume_or_start_catalogue_fetch("ID", 10)
        stored = Anime(3, episodes=0, duration=0, average_score=0, mean_score=0, popularity=0, favourites=0)
        database.save_catalogue_page(fetch.fetch_id, CataloguePage((stored,), None))
        assert database.anime([3]) == [Anime(3, popularity=0, favourites=0)]

    def test_of_two_anime_with_one_id_of_myanimelist_the_first_is_meant(self, database):
        fetch = database.resume_or_start_catalogue_fetch("ID", 10)
        anime = Anime(5, mal_id=70), Anime(9, mal_id=70), Anime(4), Anime(8, mal_id=6)
        database.save_catalogue_page(fetch.fetch_id, CataloguePage(anime, None))
        assert database.anime_by_mal_id() == {70: 5, 6: 8}

    def test_when_an_anime_was_fetched_is_known_once_the_fetch_is_finished(self, database, monkeypatch):
        monkeypatch.setattr(time, "time", lambda: 1_000.5)
        add_catalogue(database, 7, 8)
        fetch = database.resume_or_start_catalogue_fetch("ID", 10)
        database.save_catalogue_page(fetch.fetch_id, CataloguePage((Anime(8), Anime(9)), CatalogueCursor(2)))
        assert database.anime_fetched_at() == {7: 1_000}
        monkeypatch.setattr(time, "time", lambda: 2_000)
        database.finish_catalogue_fetch(fetch.fetch_id)
        assert database.anime_fetched_at() == {7: 1_000, 8: 2_000, 9: 2_000}

    def test_an_update_replaces_what_belongs_to_the_anime_and_keeps_the_lists(self, database):
        add_catalogue(database, 7)
        save(database, watched_list(1, "Ann", 7))
        fetch = database.resume_or_start_catalogue_fetch("ID", 10)
        database.save_catalogue_page(fetch.fetch_id, CataloguePage((FULL_ANIME,), CatalogueCursor(2)))
        changed = Anime(7, title_romaji="Nana!", genres=("Music",))
        page = CataloguePage((changed, Anime(8)), None)
        assert database.save_catalogue_page(fetch.fetch_id, page) == (1, 1)
        assert database.anime([7]) == [changed]
        assert [row[:2] for row in database.iter_watched()] == [(1, 7)]

    def test_repeated_genres_tags_studios_and_relations_are_stored_once(self, database):
        twice = Anime(1, genres=("A", "A"), tags=(Tag("T", 1), Tag("T", 2)), relations=(Relation(2, "X"),) * 2)
        fetch = database.resume_or_start_catalogue_fetch("ID", 10)
        database.save_catalogue_page(fetch.fetch_id, CataloguePage((twice,), None))
        assert database.anime([1]) == [Anime(1, genres=("A",), tags=(Tag("T", 1),), relations=(Relation(2, "X"),))]

    def test_an_interrupted_fetch_goes_on_after_its_last_page_even_with_another_count(self, tmp_path):
        path = tmp_path / "bert.db"
        with Database.open(path, create=True) as database:
            add_catalogue(database, 1)
            fetch = database.resume_or_start_catalogue_fetch("POPULARITY_DESC", 100)
            assert (fetch.cursor, fetch.seen) == (CatalogueCursor(1, None), frozenset())
            page = CataloguePage((Anime(5), Anime(6)), CatalogueCursor(2, 900))
            database.save_catalogue_page(fetch.fetch_id, page)
        with Database.open(path, create=True) as database:
            resumed = database.resume_or_start_catalogue_fetch("POPULARITY_DESC", 200)
        assert resumed.fetch_id == fetch.fetch_id
        assert (resumed.cursor, resumed.seen) == (CatalogueCursor(2, 900), {5, 6})

    def test_an_empty_page_moves_on_too(self, database):
        fetch = database.resume_or_start_catalogue_fetch("ID", 100)
        assert database.save_catalogue_page(fetch.fetch_id, CataloguePage((), CatalogueCursor(2))) == (0, 0)
        assert database.resume_or_start_catalogue_fetch("ID", 100).cursor == CatalogueCursor(2)

    @pytest.mark.parametrize("how", ["last page", "count reached", "told so", "another sort"])
    def test_a_fetch_that_is_over_is_not_resumed(self, database, how):
        fetch = database.resume_or_start_catalogue_fetch("ID", 2)
        anime = (Anime(1), Anime(2)) if how == "count reached" else (Anime(1),)
        database.save_catalogue_page(
            fetch.fetch_id, CataloguePage(anime, None if how == "last page" else CatalogueCursor(2))
        )
        if how == "told so":
            database.finish_catalogue_fetch(fetch.fetch_id)
        if how == "another sort":
            other = database.resume_or_start_catalogue_fetch("SCORE_DESC", 2)
            assert (other.cursor, other.seen) == (CatalogueCursor(1), frozenset())
        again = database.resume_or_start_catalogue_fetch("ID", 3)
        assert again.fetch_id != fetch.fetch_id
        assert (again.cursor, again.seen) == (CatalogueCursor(1), frozenset())

    def test_a_page_is_saved_whole_or_not_at_all(self, database):
        fetch = database.resume_or_start_catalogue_fetch("ID", 100)
        database.save_catalogue_page(fetch.fetch_id, CataloguePage((Anime(1),), CatalogueCursor(2)))
        unstorable = Anime(3, title_romaji=object())
        with pytest.raises(Exception, match="type 'object' is not supported"):
            database.save_catalogue_page(fetch.fetch_id, CataloguePage((Anime(2), unstorable), CatalogueCursor(3)))
        resumed = database.resume_or_start_catalogue_fetch("ID", 100)
        assert (resumed.cursor, resumed.seen) == (CatalogueCursor(2), {1})
        assert database.anime_ids() == [1]


class TestUsers:
    def test_all_of_an_entry_that_training_needs_comes_back_in_order(self, database):
        add_catalogue(database, 10, 20)
        late = ListEntry(4, 20, "CURRENT", 90, 3, 1, started=20200101, completed=None, updated=500, created=400)
        early = ListEntry(5, 10, "COMPLETED", None, 12, 0, started=None, completed=20190000, updated=None, created=None)
        first = save(database, UserList(71, "Zoe", (late, early)))
        second = save(database, watched_list(70, "Ann", 10))
        assert list(database.iter_watched()) == [
            (first.user_id, 10, 5, 20190000, None, None, None),
            (first.user_id, 20, 4, None, 20200101, 500, 400),
            (second.user_id, 10, 70_010, None, None, None, None),
        ]
        assert database.user_keys() == [(first.user_id, "zoe"), (second.user_id, "ann")]

    @pytest.mark.parametrize(
        ("entry", "counts"),
        [
            (ListEntry(1, 10, "PLANNING", progress=1), False),
            (ListEntry(1, 10, "DROPPED"), True),
            (ListEntry(1, 10, "A_STATUS_OF_TOMORROW"), True),
            (ListEntry(1, 10, None), False),
            (ListEntry(1, 10, None, progress=1), True),
            (ListEntry(1, 10, None, completed=20200101), True),
            (ListEntry(1, 99, "COMPLETED"), False),  # not in the catalogue
        ],
    )
    def test_what_counts_as_known_and_watched(self, database, entry, counts):
        add_catalogue(database, 10)
        user = save(database, UserList(1, "Ann", (entry,)), min_anime=1)
        assert (user.watched, user.left_out) == ((1, None) if counts else (0, "short"))
        assert len(list(database.iter_watched())) == counts

    def test_a_list_replaces_the_one_before(self, database):
        add_catalogue(database, 10, 20, 30)
        save(database, watched_list(1, "Ann", 10, 20), at=1_000)
        user = save(database, watched_list(1, "ANN", 20, 30), at=2_000)
        assert database.users() == {"ann": user}
        assert (user.name, user.fetched_at, user.watched) == ("ANN", 2_000, 2)
        assert [row[1] for row in database.iter_watched()] == [20, 30]

    def test_scores_are_of_what_was_watched(self, database):
        add_catalogue(database, 10, 20, 30)
        for number, name in enumerate(("Ann", "Bob", "Cleo"), 1):
            entries = (
                ListEntry(5, 30, "COMPLETED", score=80),
                ListEntry(6, 20, "PLANNING", score=90),
                ListEntry(7, 10, "DROPPED", score=10 * number),
                ListEntry(8, 40, "COMPLETED", score=0),  # which no version has written, and stands for none
            )
            save(database, UserList(number, name, entries))
        ids = [user.user_id for user in database.users().values()]
        assert list(database.scores([ids[2], ids[0]])) == [
            (ids[2], 10, 30),
            (ids[2], 30, 80),
            (ids[0], 10, 10),
            (ids[0], 30, 80),
        ]

    def test_a_list_is_saved_whole_or_not_at_all(self, database):
        add_catalogue(database, 10, 20)
        before = save(database, watched_list(1, "Ann", 10))
        bad = UserList(1, "Ann", (ListEntry(5, 20, "COMPLETED"), ListEntry(6, object(), "COMPLETED")))
        with pytest.raises(Exception, match="type 'object' is not supported"):
            save(database, bad, at=2_000)
        assert database.users() == {"ann": before}
        assert [row[1] for row in database.iter_watched()] == [10]

    def test_an_anime_that_is_twice_in_a_list_is_stored_once(self, database):
        add_catalogue(database, 10)
        entries = (ListEntry(5, 10, "COMPLETED"), ListEntry(6, 10, "DROPPED"))
        assert save(database, UserList(1, "Ann", entries)).watched == 1
        assert [row[2] for row in database.iter_watched()] == [5]

    def test_the_first_start_of_an_anime_is_the_earliest_whole_day(self, database):
        def started(user_id, *days):
            entries = (ListEntry(user_id * 10 + k, k, "CURRENT", started=day) for k, day in enumerate(days, 1))
            save(database, UserList(user_id, f"person {user_id}", tuple(entries)))

        started(1, 20200110, 20200100, None)
        started(2, 20200109, 20210301, 20190000)
        assert database.first_starts() == {1: 20200109, 2: 20210301}

    def test_starts_are_of_whole_days_from_the_first_to_the_last(self, database):
        """Days 100 and 101 since 1970 are 11 and 12 April."""
        created = (100 * 86_400 - 1, 100 * 86_400, 102 * 86_400 - 1, 102 * 86_400)
        started = (19700410, 19700411, 19700412, 19700413)
        entries = [ListEntry(k, k, "COMPLETED", created=second) for k, second in enumerate(created, 1)]
        entries += [ListEntry(k, k, "COMPLETED", started=date) for k, date in enumerate(started, 5)]
        save(database, UserList(1, "Ann", tuple(entries)), min_anime=0)
        assert sorted(anime_id for _, anime_id, *_ in database.starts((100, 101))) == [2, 3, 6, 7]
        assert sorted(anime_id for _, anime_id, *_ in database.starts()) == [*range(1, 9)]

    def test_short_lists_are_out_until_the_limit_falls_or_the_catalogue_grows(self, database):
        add_catalogue(database, 1, 2)
        assert save(database, watched_list(1, "Ann", 1, 2, 3), min_anime=3).left_out == "short"
        assert database.user_keys() == [] and list(database.iter_watched()) == []
        database.mark_short_users(2)
        assert (database.users()["ann"].left_out, database.min_anime()) == (None, 2)
        database.mark_short_users(3)
        assert (database.users()["ann"].left_out, database.min_anime()) == ("short", 3)
        add_catalogue(database, 3)
        database.mark_short_users(3)
        assert database.users()["ann"].left_out is None
        assert len(list(database.iter_watched())) == 3

    def test_saving_one_list_judges_no_other_and_leaves_the_limit_for_all(self, database):
        add_catalogue(database, 1)
        database.mark_short_users(7)
        save(database, watched_list(1, "Ann", 1), min_anime=1)
        for other in ("Bea", "Cy"):
            save(database, watched_list(ord(other[0]), other, 1), min_anime=2)
        save(database, watched_list(ord("B"), "Bea", 1), min_anime=1)
        assert {key: user.left_out for key, user in database.users().items()} == {
            "ann": None,
            "bea": None,
            "cy": "short",
        }
        assert database.min_anime() == 7

    def test_who_goes_private_or_vanishes_loses_the_stored_list_and_can_come_back(self, database):
        add_catalogue(database, 1)
        save(database, watched_list(1, "Ann", 1))
        user = database.save_unavailable_user("ANN", "private", 2_000)
        assert (user.left_out, user.fetched_at, user.watched) == ("private", 2_000, 0)
        database.mark_short_users(1)
        assert database.users()["ann"].left_out == "private"
        assert list(database.iter_watched()) == []
        assert save(database, watched_list(1, "Ann", 1)).left_out is None
        assert len(database.users()) == 1

    def test_a_name_that_was_unknown_becomes_a_user(self, database):
        add_catalogue(database, 1)
        assert database.save_unavailable_user("Ann", "unknown", 1_000).left_out == "unknown"
        assert save(database, watched_list(1, "Ann", 1)).watched == 1
        assert list(database.users()) == ["ann"]

    def test_a_renamed_user_is_the_same_user(self, database):
        add_catalogue(database, 1)
        before = save(database, watched_list(1, "Ann", 1))
        after = save(database, watched_list(1, "Bea", 1), at=2_000)
        assert after.user_id == before.user_id
        assert list(database.users()) == ["bea"]
        assert len(list(database.iter_watched())) == 1

    def test_a_name_that_changed_hands_belongs_to_the_new_one(self, database):
        add_catalogue(database, 1, 2)
        save(database, watched_list(1, "Ann", 1))
        bea = save(database, watched_list(2, "Bea", 2))
        taken = save(database, watched_list(2, "Ann", 2))
        assert taken.user_id == bea.user_id
        assert list(database.users()) == ["ann"]
        assert [row[1] for row in database.iter_watched()] == [2]

    def test_a_user_is_kept_under_the_name_that_was_asked_for(self, database):
        add_catalogue(database, 1)
        assert save(database, watched_list(1, "New-Name", 1), requested="OldName").name == "New-Name"
        assert list(database.users()) == ["oldname"]

    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(
            st.tuples(st.sampled_from("aAbc"), st.integers(0, 3), st.sets(st.integers(1, 3)))  # person 0: unavailable
        )
    )
    def test_whoever_answers_to_whichever_name_the_last_answer_counts(self, answers):
        expected = {}  # key → (person, anime)
        with tempfile.TemporaryDirectory() as folder, Database.open(Path(folder) / "db", create=True) as database:
            add_catalogue(database, 1, 2, 3)
            for name, person, anime_ids in answers:
                if person:
                    expected = {key: value for key, value in expected.items() if value[0] != person}
                    expected[name.lower()] = (person, anime_ids)
                    save(database, watched_list(person, name, *anime_ids))
                else:
                    who = expected[name.lower()][0] if name.lower() in expected else None
                    expected[name.lower()] = (who, set())
                    database.save_unavailable_user(name, "unknown", 1_000)
            users = database.users()
            assert {key: user.watched for key, user in users.items()} == {k: len(v[1]) for k, v in expected.items()}
            keys = dict(database.user_keys())
            rows = {(keys[row[0]], row[1]) for row in database.iter_watched()}
            assert rows == {(key, anime_id) for key, (_, ids) in expected.items() for anime_id in ids}


class TestRequirements:
    COMMANDS = r"prepare_dataset.py`.*load_users.py`.*train_model.py`"

    def test_a_missing_file_names_the_commands_and_is_not_made(self, tmp_path):
        path = tmp_path / "folder" / "bert.db"
        with pytest.raises(DatabaseError, match=self.COMMANDS):
            Database.open(path, create=False)
        assert list(tmp_path.iterdir()) == []

    def test_an_empty_catalogue_names_the_commands(self, database):
        with pytest.raises(DatabaseError, match=self.COMMANDS):
            database.require_catalogue()
        with pytest.raises(DatabaseError, match=self.COMMANDS):
            database.require_training_data()

    def test_training_needs_a_user_too(self, database):
        add_catalogue(database, 1)
        database.require_catalogue()
        with pytest.raises(DatabaseError, match=r"nobody to train on: put AniList names.*`python load_users.py`"):
            database.require_training_data()
        save(database, watched_list(1, "Ann", 1), min_anime=2)
        with pytest.raises(DatabaseError, match=r"all lists in it are shorter than .*python load_users\.py"):
            database.require_training_data()
        save(database, watched_list(1, "Ann", 1), min_anime=1)
        database.require_training_data()
