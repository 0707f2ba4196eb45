"""What a model learns from and is checked on: the database's lists as sequences, split by user."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

import numpy as np

from config import PathSettings, TrainingSettings
from database import Database
from errors import UserError
from features import groups_in_common
from memory_fitting import has_order
from sequences import Sequences, Vocabulary, build_sequences, split_users


@dataclass(frozen=True)
class Data:
    """What is learnt from, and what it is checked on."""

    vocabulary: Vocabulary
    training: Sequences
    validation: Sequences
    alike: Sequences | None = None
    """What items have in common by the catalogue (features.py)."""

    @functools.cached_property
    def ordered(self) -> bool:
        return has_order(self.training)

    def popularity(self) -> np.ndarray:
        """On how many training lists each item is: float32 [N]."""
        return np.bincount(self.training.items, minlength=self.vocabulary.num_items + 1)[1:].astype(np.float32)

    def fingerprint(self) -> str:
        """Tells whether two runs saw the same lists in the same split, and the same in common between anime."""
        digest = hashlib.sha256(self.vocabulary.anime_ids.tobytes())
        for sequences in (self.training, self.validation, *([self.alike] if self.alike is not None else [])):
            digest.update(sequences.items.tobytes() + sequences.blocks.tobytes() + sequences.offsets.tobytes())
        return digest.hexdigest()[:16]


def load_data(paths: PathSettings, settings: TrainingSettings) -> Data:
    """The users in the training set of the database, in order of time, split by user. Raises UserError."""
    with Database.open(paths.database_file, create=False) as database, database.snapshot():
        database.require_training_data()
        vocabulary = Vocabulary.of(database.anime_ids())
        sequences = build_sequences(database.iter_watched(), vocabulary)
        alike = groups_in_common(database.anime(vocabulary.anime_ids.tolist()), vocabulary) if settings.memory else None
        key_of_user = dict(database.user_keys())
    if len(sequences) < 2:
        raise UserError("one user is not enough, since some are kept for validation; load more with load_users.py")
    keys = [key_of_user[user] for user in sequences.user_ids.tolist()]
    training, validation = split_users(keys, settings.val_ratio, settings.seed)
    return Data(vocabulary, sequences.select(training), sequences.select(validation), alike)
