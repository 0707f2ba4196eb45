"""What a model learns from and is checked on: the database's lists as sequences, split by user, and batches of them."""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from anime_bert4rec.lists.common_traits import groups_in_common, popularity_of
from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.doubles import are_doubles
from anime_bert4rec.lists.people import People, Persons
from anime_bert4rec.lists.recent_starts import RecentStarts
from anime_bert4rec.lists.records import Anime
from anime_bert4rec.lists.scored_lists import ScoredList, ask_about_scores
from anime_bert4rec.lists.scores import Scores
from anime_bert4rec.lists.sequence_store import as_of_one_moment, stored
from anime_bert4rec.lists.sequences import Sequences, Vocabulary, WatchedRow, build_in_parts, has_order, split_users
from anime_bert4rec.model.batches import Batch, MaskedBatches, Shares
from anime_bert4rec.model.earlier_model import EarlierModel
from anime_bert4rec.model.hidden_positions import (
    CUT_RATIO_WITHOUT_MEMORY,
    GIVEN_IN_VALIDATION,
    SHORT_SHARE,
    WIDE_CUT_RATIO_WITHOUT_MEMORY,
    BatchSettings,
)
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.progress import progress
from anime_bert4rec.support.stopping import stop_if_asked, work_for_another

log = logging.getLogger(__name__)

MOST_ENTRIES = 5_000_000
"""The item memory is made of lists with this many entries in all: more would cost minutes and tell it nothing new."""

MOST_SCORED_LISTS = 1_000
"""The scores of this many validation users are enough to measure by."""

LISTS_SAMPLED = 4_000
"""The batches of about this many validation users are enough to fit the gate on and to measure baselines by."""

ENTRIES_FOR_A_WIDE_NETWORK = 500_000
"""From this many entries on, a wider network learns more: of 100,000 it does not, of a million it does
(benchmarks/LOG.md)."""
LISTS_TO_ANSWER_ALONE = 600
"""From this many lists in order on, the network also learns to answer without the memory: what it finds by itself is
worth more than what it can add to the memory. Of fewer, it has learned too little when it is time to stop
(benchmarks/LOG.md)."""
MEMORY_EVERY = 4
"""From LISTS_TO_ANSWER_ALONE on, one batch in this many is answered by network and memory together, the others by the
network."""


class RunSettings(Protocol):
    """What of a run's settings decides its data, its batches, its model, and how it computes."""

    @property
    def val_ratio(self) -> float: ...
    @property
    def seed(self) -> int: ...
    @property
    def split_seed(self) -> int | None: ...
    @property
    def memory(self) -> bool: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def max_seq_len(self) -> int: ...
    @property
    def mask_prob(self) -> float: ...
    @property
    def cut_share(self) -> float: ...
    @property
    def num_workers(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def num_layers(self) -> int: ...
    @property
    def num_heads(self) -> int: ...
    @property
    def dropout(self) -> float: ...
    @property
    def precision(self) -> str: ...
    @property
    def use_fp16(self) -> bool: ...
    @property
    def use_gpu(self) -> bool: ...


@dataclass(frozen=True)
class Data:
    """What is learnt from, and what it is checked on."""

    vocabulary: Vocabulary
    training: Sequences
    validation: Sequences
    alike: Sequences | None = None
    """What items have in common by the catalogue (lists/common_traits.py)."""
    in_catalogue: np.ndarray | None = None
    """How popular each item is there [N]."""
    persons: Persons | None = None
    """Who the users are."""
    scores: Scores | None = None
    """What the training users scored (those of them whose lists the item memory is made of)."""
    earlier: EarlierModel | None = None
    """The model that the training begins with, if it is not a new one."""
    recent: RecentStarts | None = None
    """What the same users started when."""
    doubles: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    """The user_ids of those who were drawn for validation, and are trained on under another name: none of these is
    asked about, unless all are."""
    scored: Sequence[ScoredList] = ()
    """What some validation users scored, a part of it hidden."""

    @functools.cached_property
    def ordered(self) -> bool:
        return has_order(self.training.select(self.counted))

    @functools.cached_property
    def counted(self) -> np.ndarray:
        """Positions of the training lists that the item memory is made of, ascending: all, or a random part."""
        drawn = np.random.default_rng(0).permutation(len(self.training))
        enough = np.cumsum(self.training.lengths[drawn]) <= MOST_ENTRIES
        return np.sort(drawn[enough])

    @property
    def one_in(self) -> int:
        """One batch of validation in so many is enough, for LISTS_SAMPLED lists in all; neighbours have like
        lengths."""
        return max(1, round(len(self.validation) / LISTS_SAMPLED))

    @property
    def enough_for_a_wide_network(self) -> bool:
        return len(self.training.items) >= ENTRIES_FOR_A_WIDE_NETWORK

    def answers_alone(self, memory: bool) -> bool:
        """Whether a network that also answers without the memory has enough to learn from to be of use beside it.

        memory: whether there is one.
        """
        return memory and self.ordered and len(self.training) >= LISTS_TO_ANSWER_ALONE

    def popularity(self) -> np.ndarray:
        """How many training lists each item is on: float32 [N]."""
        return self.training.popularity(self.vocabulary.num_items)

    def people(self) -> People:
        """Who is trained on and who is held out, to be kept with the run."""
        assert self.persons is not None
        parts = ((self.training, False), (self.validation, True))
        earlier = None if self.earlier is None else self.earlier.people
        people = People.of(parts, self.vocabulary, self.persons, data_fingerprint=self.fingerprint(), earlier=earlier)
        left_out = np.setdiff1d(self.doubles, self.validation.user_ids)
        return people.and_learnt_from(self.persons.behind(left_out)) if len(left_out) else people

    def fingerprint(self) -> str:
        """Tells whether two runs saw the same lists in the same split."""
        return _digest(self.vocabulary.anime_ids, self.training, self.validation)

    def held_out_people(self) -> str | None:
        """Tells whether two runs are validated on the same people, whatever their lists are; None where not known."""
        if self.persons is None:
            return None
        hashes = np.sort(self.persons.behind(self.validation.user_ids)).astype("<i8")
        return hashlib.sha256(hashes.tobytes()).hexdigest()[:16]

    def catalogue_fingerprint(self) -> str:
        """Tells whether two runs saw the same of the catalogue."""
        if self.alike is None:
            return ""
        return _digest(self.vocabulary.anime_ids, self.alike, also=self.in_catalogue)


def _digest(ids: np.ndarray, *all_sequences: Sequences, also: np.ndarray | None = None) -> str:
    digest = hashlib.sha256(ids.tobytes())
    if also is not None:
        digest.update(also.tobytes())
    for sequences in all_sequences:
        for array in (sequences.items, sequences.blocks, sequences.offsets):
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def load_data(database_file: Path, settings: RunSettings, from_model: Path | None = None) -> Data:
    """The users in the training set of the database, in order of time, split by user. Raises UserError.

    from_model: the output folder of the run whose model the training begins with, and who was held out of which stays
    held out.
    """
    split_seed = settings.seed if settings.split_seed is None else settings.split_seed
    earlier = None if from_model is None else EarlierModel.load(from_model)
    with as_of_one_moment(database_file) as (database, state):
        catalogue = database.anime(database.anime_ids())
        for_memory = catalogue if settings.memory else None
        data = read_data(database, state, settings.val_ratio, split_seed, catalogue=for_memory, earlier=earlier)
        if np.isin(data.doubles, data.validation.user_ids).any():
            log.warning("All held-out lists are trained on, too, under other names: validation tells nothing.")
        elif len(data.doubles):
            count = len(data.doubles)
            log.warning("Not validated on: %d who seem to be trained on, too, under another name.", count)
        counted = data.training.user_ids[data.counted]
        recent = RecentStarts.of(database, catalogue, data.vocabulary, counted)
        return replace(with_scores(data, database, catalogue, settings.seed), recent=recent)


def with_scores(data: Data, database: Database, catalogue: Sequence[Anime], seed: int) -> Data:
    """The same with the scores that people gave. catalogue: all anime of the vocabulary that there are. seed: for what
    chance decides of which scores are hidden."""
    rows = database.scores(data.training.user_ids[data.counted].tolist())
    some = data.validation.select(np.arange(min(len(data.validation), MOST_SCORED_LISTS)))
    scored = ask_about_scores(some, database.scores(some.user_ids.tolist()), data.vocabulary, seed)
    return replace(data, scores=Scores.of(rows, catalogue, data.vocabulary), scored=scored)


def read_data(
    database: Database,
    state: list[int],
    val_ratio: float,
    split_seed: int,
    *,
    catalogue: Sequence[Anime] | None = None,
    earlier: EarlierModel | None = None,
) -> Data:
    """As `load_data`, of an open database in the `state` that `as_of_one_moment` gave.

    split_seed: of the draw of who is held out. catalogue: all anime, if what they have in common is asked for.
    """
    database.require_training_data()
    vocabulary = Vocabulary.of(database.anime_ids())
    users = database.user_keys()
    if len(users) < 2:
        raise UserError("one user is not enough, since some are kept for validation; load more with load_users.py")
    in_common = in_catalogue = None
    if catalogue is not None:
        in_common = groups_in_common(catalogue, vocabulary)
        in_catalogue = popularity_of(catalogue, vocabulary)
    keys, persons = [key for _, key in users], Persons.of(database)
    if earlier is None:
        split = split_users(keys, val_ratio, split_seed)
    else:
        split = earlier.split(keys, persons, val_ratio, split_seed)
    ids = np.array([user_id for user_id, _ in users])
    groups = dict(zip(("training", "validation"), (ids[part] for part in split), strict=True))
    lists = read_lists(database.iter_watched(), database.path, state, vocabulary, groups)
    if not all(len(part) for part in lists.values()):
        raise UserError(
            f"{database.path} has too few lists with anime of its catalogue, since some are kept for validation: load"
            " more with load_users.py"
        )
    trained, held_out = lists["training"], lists["validation"]
    twice = are_doubles(held_out, trained, vocabulary.num_items)
    asked = held_out if twice.all() else held_out.select(np.flatnonzero(~twice))
    doubles = held_out.user_ids[twice]
    return Data(vocabulary, trained, asked, in_common, in_catalogue, persons, earlier=earlier, doubles=doubles)


def read_lists(
    rows: Iterable[WatchedRow],
    database_file: Path,
    state: list[int],
    vocabulary: Vocabulary,
    groups: Mapping[str, np.ndarray],
) -> dict[str, Sequences]:
    """The lists of each group of user_ids, from the files beside the database where those of the same groups are."""

    def parts() -> Iterator[dict[str, Sequences]]:
        with progress("reading lists", sum(map(len, groups.values())), "user", leave=False) as bar:
            for part in build_in_parts(rows, vocabulary):
                yield {
                    name: part.select(np.flatnonzero(np.isin(part.user_ids, user_ids)))
                    for name, user_ids in groups.items()
                }
                bar.update(len(part))

    of_groups = {name: _digest(user_ids) for name, user_ids in groups.items()}
    purpose = [_digest(vocabulary.anime_ids), of_groups]
    return stored(database_file, state, purpose, vocabulary.num_items, parts)


def batches_for_gate(data: Data, settings: RunSettings) -> Iterator[Batch]:
    """What the gate is fitted on (model/gate_fitting.py): validation's questions and, where lists have an order, cuts
    of the same lists too."""
    for cuts in (False, True) if data.ordered else (False,):
        yield from in_this_process(batches(data.validation, data, settings, None, cuts=cuts), data.one_in)


def in_this_process(loader: DataLoader[Batch], one_in: int) -> Iterator[Batch]:
    """The batches of a loader, or one in so many, for which it is not worth starting other processes."""
    for number in range(0, len(loader), one_in):
        stop_if_asked()
        yield loader.dataset[number]


def batches(
    sequences: Sequences,
    data: Data,
    settings: RunSettings,
    epoch: int | None,
    process: int = 0,
    processes: int = 1,
    *,
    cuts: bool = False,
) -> DataLoader[Batch]:
    """The batches of one training epoch or, without an epoch, of validation; of several processes, the own shares.

    Validation asks at masks and, beside a memory, also where a few entries are shown: first at the former, then at
    each of GIVEN_IN_VALIDATION.
    cuts: in validation, ask at cuts instead.
    """
    wide = data.enough_for_a_wide_network
    chosen = BatchSettings(
        data.vocabulary.num_items,
        batch_size=settings.batch_size,
        max_seq_len=settings.max_seq_len,
        mask_prob=settings.mask_prob,
        seed=settings.seed,
        cut_share=settings.cut_share if data.ordered else 0.0,
        whole_lists=not data.ordered,
        memory_every=MEMORY_EVERY if data.answers_alone(settings.memory) else 1,
        has_memory=settings.memory,
        cut_ratio_without_memory=WIDE_CUT_RATIO_WITHOUT_MEMORY if wide else CUT_RATIO_WITHOUT_MEMORY,
        short_share=SHORT_SHARE if settings.memory and not data.ordered else 0.0,
    )
    whole: Dataset[Batch]
    if epoch is None:
        lengths = [given for given in GIVEN_IN_VALIDATION if settings.memory and given < settings.max_seq_len]
        chosen = chosen.in_validation()
        if cuts:
            chosen, lengths = replace(chosen, cut_share=1.0), []
        whole = ConcatDataset([MaskedBatches(sequences, chosen, epoch, given=given) for given in (0, *lengths)])
    else:
        whole = MaskedBatches(sequences, chosen, epoch, data.counted)
    dataset = whole if processes == 1 else Shares(whole, process, processes)
    return DataLoader(
        dataset,
        batch_size=None,
        num_workers=settings.num_workers,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=work_for_another,
    )
