"""Somebody whose list was imported is known by name, though the database may hold but a hash of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.records import Anime, CataloguePage, ImportedEntry, ListEntry, UserList
from anime_bert4rec.lists.user_names import user_hash
from anime_bert4rec.recommending.asked_people import stored_or_fetched
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
