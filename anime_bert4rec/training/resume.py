"""Whether a run can go on from a checkpoint: the rest of a run must be the rest of the same run.

No random state is in a checkpoint: a batch is a function of (seed, epoch, number), and brings the seed of its dropout
with it. The item memory is not in it either: it is in the model file beside it, or is made again from the same lists
and the same catalogue.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.people import People, load_people, people_in
from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.hidden_positions import GIVEN_IN_VALIDATION
from anime_bert4rec.model.model_files import load_item_mappings, load_model, mark_of
from anime_bert4rec.model.run_folder import BEST_MODEL, ITEM_MAPPINGS, LATEST_CHECKPOINT, PEOPLE, RunFolder
from anime_bert4rec.model.training_data import Data
from anime_bert4rec.support.errors import ModelFileError, UserError
from anime_bert4rec.support.forms import WrongForm
from anime_bert4rec.support.text import as_flag, plain
from anime_bert4rec.training.checkpoints import CannotResume, Checkpoint, check_fit, load_checkpoint, newest_good
from anime_bert4rec.training.weights import make_optimizer

log = logging.getLogger(__name__)

MAY_CHANGE = ("epochs", "lr", "use_gpu", "use_fp16", "precision", "num_workers", "patience", "evaluate", "from_model")
"""Settings that may change when a run is resumed."""
_OF_DATABASE = ("vocabulary", "data", "catalogue")


def form_of(config: ModelConfig) -> BERT4Rec:
    """The network without the memories, which are functions of the lists, and without the values of the weights."""
    with torch.random.fork_rng(devices=[]):  # drawing first weights on the meta device would import a compiler
        return BERT4Rec(dataclasses.replace(config, memory=None, unordered_memory=None)).to("meta")


def identity_of(settings: Mapping[str, Any], data: Data, network: BERT4Rec) -> dict[str, Any]:
    """The settings of a run and marks of its data, which must stay the same when it is resumed, but for MAY_CHANGE.

    "run" tells apart any two runs of which one can't go on as the other, but for what only the memory takes from the
    catalogue.
    """
    version = [(name, list(weight.shape)) for name, weight in network.named_parameters()], GIVEN_IN_VALIDATION
    identity = {
        **settings,
        "vocabulary": mark_of(data.vocabulary),
        "network": _mark(version),  # other versions of the program have others
        "data": data.fingerprint(),
        "catalogue": data.catalogue_fingerprint(),
        "from_model": data.earlier is not None,
    }
    decisive = sorted(identity.keys() - {*MAY_CHANGE, "catalogue"})
    return {**identity, "run": _mark([(name, identity[name]) for name in decisive])}


def _mark(of: object) -> str:
    return hashlib.sha256(repr(of).encode()).hexdigest()[:16]


def checkpoint_to_resume(
    chosen: Path | None,
    folder: RunFolder,
    database_file: Path,
    identity: Mapping[str, Any],
    vocabulary: Vocabulary,
    network: BERT4Rec,
    steps_per_epoch: int,
) -> Checkpoint:
    """The checkpoint `chosen`, or the newest good one of the folder, checked so that a run can be restored from it.

    network: its form (`form_of`). Raises CannotResume, before anything is changed but the names of damaged files.
    """
    path, checkpoint = _find(chosen, folder)
    before, models = checkpoint["resume"]["identity"], models_beside(chosen, folder)
    if identity["catalogue"] != before.get("catalogue") and fitted_before(models, checkpoint):
        identity = {**identity, "catalogue": before.get("catalogue")}  # all that the run has of it is in its memory
    unlike = differences(before, identity, models, database_file, vocabulary)
    if unlike:
        raise CannotResume(
            f"{path} is of another run: {'; '.join(unlike)}. Make them the same, or start anew without --resume"
        )
    try:
        check_fit(checkpoint, network, make_optimizer(network, learning_rate=1.0), steps_per_epoch)
    except WrongForm as error:
        raise CannotResume(f"{path} cannot be resumed from: {error}; choose another, or start anew") from error
    log.info("Going on after epoch %d, from %s.", checkpoint["epoch"], path)
    if any(before.get(name) != identity[name] for name in ("epochs", "lr")):
        log.info(
            "The learning rate follows another --epochs or --lr from here on, so this is not the same run any more."
        )
    return checkpoint


def _find(chosen: Path | None, folder: RunFolder) -> tuple[Path, Checkpoint]:
    """The checkpoint to go on from. One that a later run has moved aside, perhaps with the same command, is said to be
    where it is now."""
    if chosen is None:
        try:
            return newest_good(folder.checkpoints)
        except CannotResume as error:
            if moved := folder.moved_aside(folder.checkpoints / LATEST_CHECKPOINT):
                raise CannotResume(
                    f"{error}, or go on with the run that was moved aside:{as_flag('--resume', moved)}"
                ) from None
            raise
    is_gone = chosen.absolute().parent == folder.checkpoints.absolute() and not chosen.exists()
    if is_gone and (moved := folder.moved_aside(chosen)):
        has_newer = (folder.checkpoints / LATEST_CHECKPOINT).exists()
        newer = (
            "--resume without a file goes on with that run; to begin there again:" if has_newer else "to go on from it:"
        )
        raise CannotResume(f"{chosen} was moved aside by a later run: {newer}{as_flag('--resume', moved)}")
    return chosen, load_checkpoint(chosen)


def models_beside(chosen: Path | None, folder: RunFolder) -> Path:
    """The folder of the models of the run that the checkpoint `chosen`, or the newest of the folder, is of."""
    return (RunFolder(chosen.absolute().parent.parent) if chosen else folder).models


def fitted_before(models: Path, checkpoint: Checkpoint) -> BERT4Rec | None:
    """The best model of a run that goes on, so that its memory needs no fitting; None without a good file of it."""
    identity = checkpoint["resume"]["identity"]
    with contextlib.suppress(ModelFileError, OSError):
        model, saved = load_model(models / BEST_MODEL)
        return model if all(identity.get(name) == saved.get(name) for name in ("run", "catalogue")) else None
    return None


def kept_of_run(
    chosen: Path | None, folder: RunFolder, checkpoint: Checkpoint, data: Data
) -> tuple[BERT4Rec | None, People]:
    """Of a run that goes on: the model that `fitted_before` gives, and who was learnt from, before the run, too."""
    models = models_beside(chosen, folder)
    with contextlib.suppress(UserError, OSError):
        people = load_people(models / PEOPLE)
        if people is not None and people.data_fingerprint == data.fingerprint():
            return fitted_before(models, checkpoint), people
    return fitted_before(models, checkpoint), data.people()


def differences(
    before: Mapping[str, Any], now: Mapping[str, Any], models: Path, database_file: Path, vocabulary: Vocabulary
) -> list[str]:
    """What keeps a run from being resumed with these settings and data, each in a sentence; none where nothing does.

    before, now: `identity_of` both. models: the folder in which the run before has its people and its anime.
    vocabulary: that of now.
    """
    before, now = _with_split_seed(before), _with_split_seed(now)
    compared = [name for name in {**before, **now} if name not in (*MAY_CHANGE, "run")]
    unlike = [name for name in compared if before.get(name) != now.get(name)]
    if "seed" in unlike and before["split_seed"] == before.get("seed") and now["split_seed"] == now.get("seed"):
        unlike.remove("split_seed")  # it only follows the other
    said = [_setting(name, before, now) for name in unlike if name not in (*_OF_DATABASE, "network")]
    if "data" in unlike and before.get("from_model", now["from_model"]) != now["from_model"]:
        said.append("--from-model was given then, is not now" if before["from_model"] else "--from-model is given now")
    elif any(name in unlike for name in _OF_DATABASE):
        said += _of_database(before, now, models, database_file, vocabulary)
    if "data" in unlike and not said:
        said.append(
            "the lists are the same, but in another order, or not the same ones are held out: somebody has another"
            " name, or was taken out and came back, or this version of the program finds others to be there twice"
        )
    if "network" in unlike and not said:
        said.append("the network is that of another version of this program")
    return said


def _with_split_seed(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The identity with the seed that decides who is held out: --seed, where --split-seed is not set or not known."""
    split_seed = identity.get("split_seed")
    return {**identity, "split_seed": identity.get("seed") if split_seed is None else split_seed}


def _setting(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    def shown(value: Any) -> str:
        words = {None: "not known", True: "on", False: "off"}
        return words[value] if value is None or isinstance(value, bool) else plain(str(value), 40)

    flag = "--" + plain(name, 40).replace("_", "-")
    return f"{flag} was {shown(before.get(name))}, is {shown(now.get(name))} now"


def _of_database(
    before: Mapping[str, Any], now: Mapping[str, Any], models: Path, database_file: Path, vocabulary: Vocabulary
) -> list[str]:
    """What has changed in the database, counted if the run before has left its people and its anime."""
    said = []
    old, people = vocabulary, None
    same_anime, same_lists = (before.get(name) == now.get(name) for name in ("vocabulary", "data"))
    with contextlib.suppress(UserError, OSError):
        people = load_people(models / PEOPLE)
        if not same_anime:
            old = load_item_mappings(models / ITEM_MAPPINGS)
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
            changes = people.changes(people_in(database, old, people.salt))
        said += [str(changes)] if any(changes) else []
    elif (
        not same_lists and same_anime and all(before.get(name) == now.get(name) for name in ("split_seed", "val_ratio"))
    ):
        said.append("the lists in the database have changed since")
    if same_anime and before.get("catalogue") != now.get("catalogue") and before.get("memory") == now.get("memory"):
        said.append(
            "what the catalogue says of the anime has changed (genres, relations, popularity, …), and"
            f" {BEST_MODEL}, which has what was known of it, is gone or of another run"
        )
    return said
