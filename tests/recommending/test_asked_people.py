"""Somebody whose list was imported is known by name, though the database may hold but a hash of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.list_import import import_export
from anime_bert4rec.lists.records import Anime, CataloguePage, ImportedEntry, ListEntry, UserList
from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.lists.user_names import user_hash
from anime_bert4rec.recommending.asked_people import people_of_exports, stored_or_fetched
from anime_bert4rec.support.errors import UserError


def fetched(name: str) -> UserList:
    return UserList(9, name, (ListEntry(1, 3, "COMPLETED"),))


@pytest.mark.parametrize("shown", [None, "Zoe"])
def test_a_list_that_was_imported_is_taken_and_nobody_is_asked(tmp_path: Path, shown: str | None) -> None:
    with Database.open(tmp_path / "bert.db", create=True) as database:
        fetch = database.resume_or_start_catalogue_fetch("ID", 3)
        database.save_catalogue_page(fetch.fetch_id, CataloguePage((Anime(1), Anime(2), Anime(3)), None))

        def ask(name: str, refresh: bool = False) -> list[int]:
            found = stored_or_fetched(name, database, fetched, 10**9, refresh=refresh, store=None)
            assert found.name == name
            return [each.anime_id for each in found.entries]

        def import_from(source: str, anime_id: int) -> None:
            entry = ImportedEntry(user_hash("Zoe"), shown, anime_id, 1, "COMPLETED", 80, 0, None, None, None)
            database.import_lists(source, [entry], min_anime=1)

        import_from("csv:ratings", 1)
        database.save_unavailable_user("Zoe", "unknown", 10**9)
        assert ask("Zoe") == [1], "AniList has nobody of this name"
        assert (ask("zoe"), ask("Zoe", refresh=True), ask("Yan")) == ([3], [3], [3]), "AniList's"
        import_from("mal", 2)
        both = 'give "csv:ratings:Zoe" or "mal:Zoe"'
        with pytest.raises(UserError, match=f'"Zoe" is somebody in each of several imports: {both}'):
            ask("Zoe")
        assert (ask("csv:ratings:Zoe"), ask("mal:Zoe")) == ([1], [2])
        database.save_user_list(fetched("Zoe"), "Zoe", 10**9, 1)
        assert ask("Zoe") == [3], "who is of AniList and of an import is of AniList"


def test_people_of_exports_are_told_apart(tmp_path: Path) -> None:
    """Named in the file, or by the file's name, with the folder where that is not theirs alone."""
    paths = []
    named = {"A/list.xml": "", "B/list.xml": "", "B/mine.xml": "", "C/list.xml": "Ben", "C/old.xml": "ann"}
    for place, name in named.items():
        paths.append(tmp_path / place)
        paths[-1].parent.mkdir(exist_ok=True)
        who = f"<myinfo><user_name>{name}</user_name></myinfo>" if name else ""
        anime = "<anime><series_animedb_id>7</series_animedb_id><my_status>Completed</my_status></anime>"
        paths[-1].write_text(f"<myanimelist>{who}{anime}</myanimelist>", encoding="utf-8")
    with Database.open(tmp_path / "bert.db", create=True) as database:
        fetch = database.resume_or_start_catalogue_fetch("ID", 1)
        database.save_catalogue_page(fetch.fetch_id, CataloguePage((Anime(1, mal_id=7),), None))
        people = people_of_exports(paths, database, Vocabulary.of([1]), others=["Ann", None])
    assert [each.name for each in people] == ["A/list.xml", "B/list.xml", "mine.xml", "Ben", "C/old.xml"]
    assert all(each.history == (1,) for each in people)


def test_an_export_with_anilists_ids_is_read_by_both_scripts(tmp_path: Path) -> None:
    """As a program writes it that keeps a list on AniList, such as Taiga."""
    anime = "".join(
        f"<anime><series_animedb_id>{n}</series_animedb_id><my_status>Completed</my_status></anime>"
        for n in range(11, 21)
    )
    path = tmp_path / "mine.xml"
    path.write_text(f"<myanimelist><myinfo><user_id>0</user_id></myinfo>{anime}</myanimelist>", encoding="utf-8")
    with Database.open(tmp_path / "bert.db", create=True) as database:
        fetch = database.resume_or_start_catalogue_fetch("ID", 20)
        catalogue = tuple(Anime(n, mal_id=n + 100) for n in range(1, 21))
        database.save_catalogue_page(fetch.fetch_id, CataloguePage(catalogue, None))
        (person,) = people_of_exports([path], database, Vocabulary.of(range(1, 21)))
        assert person.seen == set(range(11, 21))
        import_export(path, False, database, min_anime=1)
        stored = database.listed("mine", imported=True)
        assert stored is not None
        assert {each.anime_id for each in database.entries(stored.user_id)} == set(range(11, 21))
