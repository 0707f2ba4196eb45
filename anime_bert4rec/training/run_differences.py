"""Says in words in what the run of a checkpoint differs from the one that is to go on from it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anime_bert4rec.command_line.flags import flag_of
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.people import load_people, people_of
from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.model.model_files import load_item_mappings, mark_of
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.text import plain
from config import TrainingSettings

MAY_CHANGE = ("epochs", "lr", "use_gpu", "use_fp16", "num_workers", "patience", "evaluate")
"""Settings that a resumed run may have otherwise than the run before it."""

_FLAGS = {field.name: flag_of(field) for field in dataclasses.fields(TrainingSettings) if field.metadata["help"]}
_OF_DATABASE = ("vocabulary", "data", "catalogue")


def differences(
    before: Mapping[str, Any], now: Mapping[str, Any], models: Path, database_file: Path, vocabulary: Vocabulary
) -> list[str]:
    """`--hidden-size was 256, is 128 now` or `3 lists more than then`; nothing where one run can go on as the other.

    before, now: `resume.identity_of` both. models: where the run before has its people and its anime. vocabulary: that
    of now.
    """
    unlike = [name for name in {**before, **now} if before.get(name) != now.get(name) and name not in MAY_CHANGE]
    said = [_setting(name, before, now) for name in unlike if name not in (*_OF_DATABASE, "network")]
    if any(name in unlike for name in _OF_DATABASE):
        said += _of_database(before, now, models, database_file, vocabulary)
    if "data" in unlike and not said:
        said.append(
            "the lists are the same, but in another order, or not the same ones are held out: somebody has another"
            " name, or was taken out and came back"
        )
    if "network" in unlike and not said:
        said.append("the network is that of another version of this program")
    return said


def _setting(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    def shown(value: Any) -> str:
        words = {None: "not known", True: "on", False: "off"}
        return words[value] if value is None or isinstance(value, bool) else plain(str(value), 40)

    return f"{_FLAGS.get(name, plain(name, 40))} was {shown(before.get(name))}, is {shown(now.get(name))} now"


def _of_database(
    before: Mapping[str, Any], now: Mapping[str, Any], models: Path, database_file: Path, vocabulary: Vocabulary
) -> list[str]:
    """Counted where the run before has left what is needed for it (people.npz, item_mappings.pkl)."""
    said = []
    old, people = vocabulary, None
    same_anime, same_lists = (before.get(name) == now.get(name) for name in ("vocabulary", "data"))
    with contextlib.suppress(UserError, OSError):
        people = load_people(models / "people.npz")
        if not same_anime:
            old = load_item_mappings(models / "item_mappings.pkl")
    known = mark_of(old) == before.get("vocabulary")
    if not same_anime and known:
        counts = {
            "more in the catalogue": (old.encode(vocabulary.anime_ids) == 0).sum(),
            "gone from the catalogue": (vocabulary.encode(old.anime_ids) == 0).sum(),
        }
        said.append(", ".join(f"{count:,} anime {words}" for words, count in counts.items() if count))
    elif not same_anime:
        then = plain(str(before.get("vocabulary")).partition(",")[0], 40)
        said.append(f"the catalogue had {then}, and has {vocabulary.num_items} now, not all of them the same")
    if not same_lists and people is not None and known and people.data_fingerprint == before.get("data"):
        with Database.open_to_read(database_file) as database, database.snapshot():
            changes = people.changes(people_of(database, old, people.salt))
        said += [str(changes)] if any(changes) else []
    elif not same_lists and same_anime and all(before.get(name) == now.get(name) for name in ("seed", "val_ratio")):
        said.append("the lists in the database have changed since")
    if same_anime and before.get("catalogue") != now.get("catalogue") and before.get("memory") == now.get("memory"):
        said.append("what the catalogue says of the anime has changed (genres, tags, studios, relations or titles)")
    return said
