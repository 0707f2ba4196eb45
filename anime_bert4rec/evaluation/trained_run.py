"""A training run as it is evaluated: its model, and its people with the lists that the database has of them now.

Only those are asked who were held out of the training, whatever has come to the database or gone from it since: who
they are is kept with the run (lists/people.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anime_bert4rec.lists.common_traits import franchises
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.doubles import are_doubles
from anime_bert4rec.lists.people import Changes, People, Persons, hashes_of_lists, load_people, salted
from anime_bert4rec.lists.recent_starts import RecentStarts
from anime_bert4rec.lists.records import Anime
from anime_bert4rec.lists.sequence_store import as_of_one_moment
from anime_bert4rec.lists.sequences import Vocabulary, joined
from anime_bert4rec.model.bert4rec import BERT4Rec
from anime_bert4rec.model.model_files import load_model_with_items
from anime_bert4rec.model.run_folder import BEST_MODEL, PEOPLE, TRAINING_CONFIG, database_of, read_config
from anime_bert4rec.model.training_data import Data, read_data, read_lists, with_scores
from anime_bert4rec.support.errors import UserError

UNCHANGED = Changes(0, 0, 0)


@dataclass(frozen=True)
class SinceTraining:
    """Who is asked, and what has changed in the database since the training."""

    held_out: int
    """How many people were held out of the training."""
    trained_on: int
    """How many people the training had."""
    of_held_out: Changes = UNCHANGED
    """What has become of their lists: they are never new."""
    of_trained_on: Changes = UNCHANGED
    newcomers: int = 0
    """How many people have come into the database since the training."""
    newcomers_asked: int = 0
    """How many of the newcomers are asked too."""
    anime_new: int = 0
    """How many anime of the catalogue the model does not know."""
    anime_gone: int = 0
    """How many anime of the model the catalogue no longer has."""

    @property
    def lists(self) -> Changes:
        """What has become of all lists together."""
        gone, changed = (
            getattr(self.of_held_out, what) + getattr(self.of_trained_on, what) for what in ("gone", "changed")
        )
        return Changes(self.newcomers, changed, gone)


@dataclass(frozen=True)
class TrainedRun:
    """A training run: its data in its split, and its best model."""

    data: Data
    """Validation: those who are asked. Training: those who were trained on, and still are there. With scores."""
    model: BERT4Rec
    model_facts: dict[str, Any]
    seed: int
    franchise: np.ndarray
    """int64 [N + 1]: the franchise of each item index."""
    since: SinceTraining
    recent: RecentStarts | None = None
    """What everybody started when, as the database has it now; None where the model has not learnt from it."""


def load_run(models: Path, database_file: Path | None = None, newcomers: bool = False) -> TrainedRun:
    """The run whose model is in the folder `models`, with the lists of the database; the one of the run if not given.

    Who came into the database after the training is asked too if `newcomers`. Raises UserError where the run is
    missing, or where it isn't known who was trained on.
    """
    file, model_file = models / TRAINING_CONFIG, models / BEST_MODEL
    config = read_config(models)
    seed, val_ratio, fingerprint = config["seed"], config["val_ratio"], config["data_fingerprint"]
    chosen = config.get("split_seed")
    split_seed = seed if chosen is None else chosen
    if not (0 <= seed < 2**32 and 0 <= split_seed < 2**32 and 0 < val_ratio < 1):
        raise UserError(
            f"{file} is not the training_config.json of a run (its seed is {seed}, its val_ratio {val_ratio}): train"
            " again (python train_model.py)"
        )
    model, saved, vocabulary = load_model_with_items(models)
    if saved.get("data_fingerprint") not in (None, fingerprint):
        raise UserError(
            f"{model_file} is not of the run that {file.name} beside it describes, which was"
            " stopped in its first epoch: train again (python train_model.py)"
        )
    if database_file is None:
        database_file = database_of(config)
    with as_of_one_moment(database_file) as (database, state):
        data = read_data(database, state, val_ratio, split_seed)
        since = SinceTraining(len(data.validation), len(data.training))
        if data.fingerprint() != fingerprint:
            then = load_people(models / PEOPLE)
            if then is None or then.data_fingerprint != fingerprint:
                raise UserError(
                    f"{database_file} has changed since this model was trained, so who was left out of its training is"
                    " no longer known: train again (python train_model.py), then evaluate"
                )
            data, since = _lists_of_then(database, state, then, vocabulary, newcomers)
        if not np.array_equal(vocabulary.anime_ids, data.vocabulary.anime_ids):
            raise UserError(f"{model_file} is of another catalogue: train again (python train_model.py)")
        catalogue = database.anime(vocabulary.anime_ids.tolist())
        franchise = _franchises(catalogue, vocabulary)
        recent = RecentStarts.of(database, catalogue, vocabulary) if model.recent_strengths else None
        data = with_scores(data, database, catalogue, seed)
    facts = {"epoch": saved.get("epoch"), "val_loss": saved.get("val_loss"), "data_fingerprint": fingerprint}
    return TrainedRun(data, model, facts, seed, franchise, since, recent)


def _lists_of_then(
    database: Database, state: list[int], then: People, vocabulary: Vocabulary, newcomers: bool
) -> tuple[Data, SinceTraining]:
    """The lists of a database that has changed, as the model sees them. Raises UserError if nobody is left to ask."""
    persons = Persons.of(database)
    hashes = salted(persons.hashes, then.salt)
    known, at = then.where(hashes)
    held_out = known.copy()
    held_out[known] = then.held_out[at]
    learnt_before = np.isin(hashes, then.away[~then.away_held_out])
    groups = {
        "training": persons.user_ids[known & ~held_out],
        "validation": persons.user_ids[held_out],
        "newcomers": persons.user_ids[~known & ~learnt_before],
    }
    rows = database.iter_watched(of_catalogue=False)
    lists = read_lists(rows, database.path, state, vocabulary, groups)

    def changes(name: str) -> Changes:
        is_held_out = name == "validation"
        now = People.of([(lists[name], is_held_out)], vocabulary, persons, then.salt)
        return then.only(held_out=is_held_out).changes(now)

    # A list that was trained on is not asked for under another name either.
    new = hashes_of_lists(lists["newcomers"], vocabulary, then.salt)
    trained_on = np.isin(new, then.lists[~then.held_out])
    trained_on |= are_doubles(lists["newcomers"], lists["training"], vocabulary.num_items)
    unknown = lists["newcomers"].select(np.flatnonzero(~trained_on))
    now = Vocabulary.of(database.anime_ids())
    since = SinceTraining(
        int(then.held_out.sum()),
        int((~then.held_out).sum()),
        changes("validation"),
        changes("training"),
        len(lists["newcomers"]),
        len(unknown) if newcomers else 0,
        int((vocabulary.encode(now.anime_ids) == 0).sum()),
        int((now.encode(vocabulary.anime_ids) == 0).sum()),
    )
    validation = joined([lists["validation"], unknown]) if newcomers else lists["validation"]
    if not len(validation):
        advice = f", or ask those {len(unknown):,} who came later: --newcomers" if len(unknown) else ""
        raise UserError(
            f"{database.path} has nobody any more who was held out of the training of this model: train again"
            f" (python train_model.py){advice}"
        )
    if not len(lists["training"]):
        raise UserError(
            f"{database.path} has nobody any more whom this model was trained on, so there is nothing to fit the"
            " baselines to: train again (python train_model.py)"
        )
    return Data(vocabulary, lists["training"], validation, persons=persons), since


def _franchises(catalogue: Sequence[Anime], vocabulary: Vocabulary) -> np.ndarray:
    """int64 [N + 1]. What the catalogue does not have any more belongs to none but its own."""
    of_item = np.concatenate([[0], vocabulary.anime_ids])
    of_item[vocabulary.encode(np.array([each.anime_id for each in catalogue], np.int64))] = franchises(catalogue)
    return of_item
