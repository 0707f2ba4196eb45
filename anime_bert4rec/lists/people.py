"""Who was trained on and who was held out: hashes of who they are, and of each one's list, kept with the run.

A database changes, and with it who would be held out of a training. From this file evaluate.py knows whom it may ask,
and what has changed since. There are no names in it; but who has the file and a name can find out whether it is in it.
"""

from __future__ import annotations

import hashlib
import secrets
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.sequences import Sequences, Vocabulary, WatchedRow, build_in_parts
from anime_bert4rec.lists.user_names import user_hash
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.whole_files import write_aside

ENOUGH_PEOPLE = 10
"""With fewer held-out people, an evaluation says nothing about how good a model is."""


class Persons(NamedTuple):
    """Who is behind the rows of a database: a hash of what tells a person from all others, names aside."""

    user_ids: np.ndarray
    """int64 [U], ascending."""
    hashes: np.ndarray
    """int64 [U]."""

    @classmethod
    def of(cls, database: Database) -> Persons:
        """Everybody in the training set."""
        found = [(user_id, user_hash(identity)) for user_id, identity in database.identities()]
        return cls(*np.array(found, np.int64).reshape(-1, 2).T)

    def behind(self, user_ids: np.ndarray) -> np.ndarray:
        """The hashes of these users, who all are among them."""
        return self.hashes[np.searchsorted(self.user_ids, user_ids)]


class Changes(NamedTuple):
    """How many lists are new, changed and gone since these people were saved."""

    new: int
    changed: int
    gone: int

    def __str__(self) -> str:
        """`3 lists more than then, 1 changed, 2 gone`; empty where nothing has changed."""
        words = ("more than then", "changed", "gone")
        counts = [(count, word) for count, word in zip(self, words, strict=True) if count]
        return ", ".join(
            f"{count:,} {word}" if place else f"{count:,} list{'s' if count > 1 else ''} {word}"
            for place, (count, word) in enumerate(counts)
        )


@dataclass(frozen=True)
class People:
    """Some people with their lists."""

    persons: np.ndarray
    """uint64 [U], ascending: a salted hash of each."""
    lists: np.ndarray
    """uint64 [U]: a salted hash of the list of each, as the model sees it."""
    held_out: np.ndarray
    """bool [U]: whether each was held out."""
    salt: bytes
    data_fingerprint: str = ""
    """The fingerprint of the data of the run that they belong to (`training_data.Data.fingerprint`)."""
    away: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    """uint64 [A], ascending: hashes of others, who were trained on or held out when the model was begun, and are not
    there now."""
    away_held_out: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    """bool [A]: whether each of these was held out then."""

    @classmethod
    def of(
        cls,
        parts: Iterable[tuple[Sequences, bool]],
        vocabulary: Vocabulary,
        persons: Persons,
        salt: bytes = b"",
        data_fingerprint: str = "",
        earlier: People | None = None,
    ) -> People:
        """The people whose lists these are, each part with whether it is held out; a salt is drawn if none is given.

        earlier: those of the run whose model the training began with; who isn't there any more is away.
        """
        salt = salt or (earlier.salt if earlier else secrets.token_bytes(16))
        hashes: list[np.ndarray] = [np.zeros(0, np.uint64)]
        lists, held_out = hashes.copy(), [np.zeros(0, bool)]
        for sequences, is_held_out in parts:
            hashes.append(salted(persons.behind(sequences.user_ids), salt))
            lists.append(hashes_of_lists(sequences, vocabulary, salt))
            held_out.append(np.full(len(sequences), is_held_out))
        order = np.argsort(np.concatenate(hashes))
        in_order = [np.concatenate(each)[order] for each in (hashes, lists, held_out)]
        people = cls(in_order[0], in_order[1], in_order[2], salt, data_fingerprint)
        if earlier is None:
            return people
        everybody, were_held_out = earlier.of_all_runs()
        gone = ~people.where(everybody)[0]
        return replace(people, away=everybody[gone], away_held_out=were_held_out[gone])

    def and_learnt_from(self, hashes: np.ndarray) -> People:
        """The same people, with some more away who were learnt from. hashes: of these, int64, not salted."""
        more = salted(hashes, self.salt)
        others = ~np.isin(self.away, more)
        away = np.concatenate([self.away[others], more])
        held_out = np.concatenate([self.away_held_out[others], np.zeros(len(more), bool)])
        order = np.argsort(away)
        return replace(self, away=away[order], away_held_out=held_out[order])

    def of_all_runs(self) -> tuple[np.ndarray, np.ndarray]:
        """The hashes of these people and of those who are away, ascending, and whether each was held out."""
        everybody = np.concatenate([self.persons, self.away])
        order = np.argsort(everybody)
        return everybody[order], np.concatenate([self.held_out, self.away_held_out])[order]

    def only(self, *, held_out: bool) -> People:
        """The people who were held out, or the others."""
        kept = self.held_out == held_out
        return People(self.persons[kept], self.lists[kept], self.held_out[kept], self.salt, self.data_fingerprint)

    def where(self, persons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of `persons` (uint64 [P], salted) are among these people, and the places of those who are."""
        if not len(self.persons):
            return np.zeros(len(persons), bool), np.zeros(0, np.int64)
        at = np.minimum(np.searchsorted(self.persons, persons), len(self.persons) - 1)
        known = self.persons[at] == persons
        return known, at[known]

    def changes(self, now: People) -> Changes:
        """What has changed from these people to those of `now`, which have the same salt."""
        known, at = self.where(now.persons)
        changed = int((self.lists[at] != now.lists[known]).sum())
        return Changes(int((~known).sum()), changed, len(self.persons) - len(at))

    def save(self, path: Path) -> None:
        with write_aside(path) as file:
            np.savez(
                file,
                persons=self.persons,
                lists=self.lists,
                held_out=self.held_out,
                salt=np.frombuffer(self.salt, np.uint8),
                data_fingerprint=np.array(self.data_fingerprint),
                away=self.away,
                away_held_out=self.away_held_out,
            )


def load_people(path: Path) -> People | None:
    """The people in a file, or None if it is missing. Raises UserError for a damaged one, of which nothing is run."""
    try:
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("it is compressed")
        with np.load(path, allow_pickle=False) as saved:
            people = People(
                saved["persons"],
                saved["lists"],
                saved["held_out"],
                saved["salt"].tobytes(),
                str(saved["data_fingerprint"]),
                *([saved["away"], saved["away_held_out"]] if "away" in saved else []),  # of earlier versions not
            )
        arrays = (people.persons, np.uint64), (people.lists, np.uint64), (people.held_out, np.bool_)
        away = (people.away, np.uint64), (people.away_held_out, np.bool_)
        if any(
            array.dtype != kind or array.shape != some[0][0].shape for some in (arrays, away) for array, kind in some
        ):
            raise ValueError("its arrays are not as they were written")
        in_order = all(each.ndim == 1 and (each[1:] >= each[:-1]).all() for each in (people.persons, people.away))
        if not in_order or not 1 <= len(people.salt) <= hashlib.blake2b.MAX_KEY_SIZE:
            raise ValueError("it was not written by this program")
    except FileNotFoundError:
        return None
    except OSError:
        raise
    except Exception as error:  # whatever a damaged or hostile file makes the readers say
        raise UserError(f"{path} is damaged ({type(error).__name__}): train again (python train_model.py)") from error
    return people


def people_in(database: Database, vocabulary: Vocabulary, salt: bytes) -> People:
    """The people of the database now, with the lists that a model of this vocabulary sees.

    The catalogue need not have the anime any more. The lists are streamed, since they may not fit into memory."""
    parts = build_in_parts(database.iter_watched(of_catalogue=False), vocabulary)
    return People.of(((part, False) for part in parts), vocabulary, Persons.of(database), salt)


def watched_by(people: People, database: Database) -> Iterator[WatchedRow]:
    """What these people have watched by the database now, as `Database.iter_watched` gives it."""
    now = Persons.of(database)
    known, _ = people.where(salted(now.hashes, people.salt))
    theirs = set(now.user_ids[known].tolist())
    return (row for row in database.iter_watched() if row[0] in theirs)


def salted(hashes: np.ndarray, salt: bytes) -> np.ndarray:
    """The salted hashes, uint64 [U], of plain ones, int64 [U]."""
    return _digests((each.tobytes() for each in hashes.astype("<i8")), salt)


def hashes_of_lists(sequences: Sequences, vocabulary: Vocabulary, salt: bytes) -> np.ndarray:
    """A salted hash of each list, uint64 [U]. The stored order of entries that have no order does not matter."""

    def content(user: int) -> bytes:
        anime = vocabulary.decode(sequences.of_user(user)).astype("<i8")
        blocks = sequences.blocks_of_user(user).astype("<i4")
        return anime[np.lexsort((anime, blocks))].tobytes() + blocks.tobytes()

    return _digests(map(content, range(len(sequences))), salt)


def _digests(contents: Iterable[bytes], salt: bytes) -> np.ndarray:
    whole = b"".join(hashlib.blake2b(content, digest_size=8, key=salt).digest() for content in contents)
    return np.frombuffer(whole, "<u8").astype(np.uint64)
