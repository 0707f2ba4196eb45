"""What the scripts keep in the SQLite file: records in, rows out, one transaction a page or a user; no HTTP.

`with Database.open(path, create=True) as database:` is the way in. The tables are in lists/database_schema.py.
"""

from __future__ import annotations

from anime_bert4rec.lists.catalogue_tables import CatalogueFetch, CatalogueTables
from anime_bert4rec.lists.database_file import DatabaseError
from anime_bert4rec.lists.list_tables import ListTables, StoredUser

__all__ = ["CatalogueFetch", "Database", "DatabaseError", "StoredUser"]


class Database(CatalogueTables, ListTables):
    """The catalogue and the lists. `Database.open` makes one, or `Database.open_to_read` if nothing is to change."""

    def require_training_data(self) -> None:
        """Raises DatabaseError, naming the commands to run, when there is no anime or nobody to train on."""
        self.require_catalogue()
        if self.user_keys():
            return
        if any(self.people_with_lists()):
            raise DatabaseError(
                f"{self.path} has nobody to train on, as all lists in it are shorter than --min-anime allows: load them"
                " again with a lower one, or more of them (`python load_users.py`)"
            )
        raise DatabaseError(
            f"{self.path} has nobody to train on: put AniList names into datas_user.txt, then run"
            " `python load_users.py` and `python train_model.py`"
        )
