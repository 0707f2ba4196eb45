"""The model files: written aside and renamed, and read without running anything that they might contain."""

from __future__ import annotations

import contextlib
import hashlib
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypedDict

import torch
from torch import Tensor

from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.memory_config import without_what_follows
from anime_bert4rec.model.predicted_scores import PredictedScores
from anime_bert4rec.model.recent_strengths import RecentStrengths
from anime_bert4rec.model.run_folder import BEST_MODEL, ITEM_MAPPINGS
from anime_bert4rec.model.tensor_file import read_plain, read_tensors
from anime_bert4rec.model.torch_settings import on_the_cpu_in_float32
from anime_bert4rec.support.errors import ModelFileError
from anime_bert4rec.support.forms import WrongForm, check
from anime_bert4rec.support.whole_files import write_aside

MARKS = {"data_fingerprint": "data", "items": "vocabulary", "run": "run", "catalogue": "catalogue"}
"""What a model file says of its run, and the name that `resume.identity_of` has for it."""
GATE = "gate.values"
"""The name of the weights in a model file that say what memory and network count for."""


def save_model(
    path: Path, model: BERT4Rec, *, epoch: int, val_loss: float, identity: Mapping[str, Any] | None = None
) -> None:
    """`{"model_state_dict", "model_config", "epoch", "val_loss", "data_fingerprint", "items", "run", "catalogue"}`, and
    `"predicted_scores"` and `"recent_strengths"` if the model has them; the item memory is most of it.

    identity: of the run (`resume.identity_of`). Of it are kept what tells which users the model was trained on
    (`training_data.Data.fingerprint`), of which anime it is (`mark_of`), of which run, and what of the catalogue the
    memory was made of (`training_data.Data.catalogue_fingerprint`).
    """
    known = identity or {}
    saved = {"model_state_dict": model.state_dict(), "model_config": model.config.as_dict()}
    if model.predicted_scores is not None:
        saved["predicted_scores"] = model.predicted_scores.tensors()
    if model.recent_strengths is not None:
        saved["recent_strengths"] = model.recent_strengths.tensors()
    marks = {name: known.get(of) for name, of in MARKS.items()}
    with write_aside(path) as file:
        write_tensors({**saved, "epoch": epoch, "val_loss": val_loss, **marks}, file)


def mark_of(vocabulary: Vocabulary) -> str:
    """Tells two vocabularies apart, and how many anime each has."""
    return f"{vocabulary.num_items} anime, {hashlib.sha256(vocabulary.anime_ids.tobytes()).hexdigest()[:16]}"


def write_tensors(value: dict[str, Any], file: IO[bytes]) -> None:
    """`torch.save`, which hides what is wrong with the disk behind an error of its own, without that."""
    try:
        torch.save(value, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


class SavedModel(TypedDict):
    """The form of a model file; what earlier versions wrote had no fingerprint, no marks, no predicted scores and
    no strengths of recent starts."""

    model_state_dict: dict[str, Tensor]
    model_config: ModelConfig
    epoch: int
    val_loss: float


@on_the_cpu_in_float32()
def load_model(path: Path) -> tuple[BERT4Rec, dict[str, Any]]:
    """The model, in evaluation mode on the CPU, and everything that was saved with it. Raises ModelFileError."""
    with _refusing(path, "is not a model of this program"):
        saved = without_what_follows(read_tensors(path))
        check(saved, SavedModel, "the file")
        for mark in MARKS:
            check(saved.get(mark), str | None, mark)
        scores, recent = (saved.get(name) for name in ("predicted_scores", "recent_strengths"))
        check(scores, dict[str, Tensor] | None, "predicted_scores")
        check(recent, dict[str, Tensor] | None, "recent_strengths")
        model = _built(ModelConfig.from_dict(saved["model_config"]), saved["model_state_dict"])
        if scores is not None:
            model.predicted_scores = PredictedScores.of_tensors(scores, model.config.num_items)
        if recent is not None:
            model.recent_strengths = RecentStrengths.of_tensors(recent)
    return model.eval(), saved


@contextlib.contextmanager
def _refusing(path: Path, otherwise: str) -> Iterator[None]:
    """In the block, whatever a missing, damaged or hostile file leads to becomes a ModelFileError."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise ModelFileError(f"{path} does not exist; train a model first: python train_model.py") from None
    except OSError:
        raise
    except Exception as error:
        advice = "if an earlier version made it, train again: python train_model.py"
        raise ModelFileError(f"{path} {otherwise} ({why(error)}); {advice}") from error


def why(error: Exception) -> str:
    """What is wrong with a file, in words of our own, or only the name of the error: it may quote the file."""
    return str(error) if isinstance(error, WrongForm) else type(error).__name__


def _built(config: ModelConfig, weights: dict[str, Tensor]) -> BERT4Rec:
    """The model with these weights. Raises WrongForm before anything is made that is some times larger than they."""
    held = sum(weight.numel() for weight in weights.values())
    if config.num_layers > len(weights) or config.least_numbers() > held:
        raise WrongForm(f"its sizes are of a larger model than the {held:,} numbers in it make")
    with torch.random.fork_rng(devices=[]):  # a larger program's random numbers stay as they are
        model = BERT4Rec(config)
    if model.gate is not None:  # which models of earlier versions lack
        weights = {GATE: model.gate.values, **weights}
    check_weights(weights, model.state_dict())
    for name, limit in config.places().items():
        check_places(weights, name, limit)
    for memory in config.memories:
        check_counts(weights, f"{memory}.popularity", least=0)
        check_counts(weights, f"{memory}.popularity_prior", least=1e-6)
    model.load_state_dict(weights, assign=True)
    return model


def check_weights(weights: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> None:
    """Raises WrongForm unless these are finite tensors of the names, shapes and kinds that the others have."""
    missing = like.keys() - weights.keys()
    if missing or len(weights) > len(like):
        raise WrongForm(f"it lacks {min(missing)}" if missing else "it has tensors that no such model has")
    for name, weight in weights.items():
        if weight.shape != like[name].shape or weight.dtype != like[name].dtype:
            raise WrongForm(f"{name} is {_form(weight)} instead of {_form(like[name])}")
        if weight.is_floating_point() and weight.numel() and not torch.stack(weight.aminmax()).isfinite().all():
            raise WrongForm(f"{name} has numbers that are not finite")


def _form(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def check_places(weights: Mapping[str, Tensor], name: str, limit: int) -> None:
    """Raises WrongForm unless all of a tensor's numbers are from 0 to below the limit and, where they have to, rise."""
    places = weights[name]
    if len(places) and not 0 <= int(places.min()) <= int(places.max()) < limit:
        raise WrongForm(f"{name} points to places that there are not")
    if name.endswith("_starts") and len(places) and (places[0] != 0 or (places.diff() < 0).any()):
        raise WrongForm(f"{name} does not rise from 0")
    if name.endswith(("kept", "columns")) and (places.diff() <= 0).any():
        raise WrongForm(f"{name} does not rise")


def check_counts(weights: Mapping[str, Tensor], name: str, least: float) -> None:
    """Raises WrongForm for numbers of lists below the least that there can be."""
    if name in weights and len(weights[name]) and weights[name].min() < least:
        raise WrongForm(f"{name} is below what can be counted")


def save_item_mappings(path: Path, vocabulary: Vocabulary) -> None:
    """A pickle of a plain dict of ints: index 0 is padding, items are 1 … N, the mask is N + 1."""
    with write_aside(path) as file:
        pickle.dump(_mappings(vocabulary), file)


def _mappings(vocabulary: Vocabulary) -> dict[str, Any]:
    item_to_idx = {anime_id: index for index, anime_id in enumerate(vocabulary.anime_ids.tolist(), 1)}
    idx_to_item = {index: anime_id for anime_id, index in item_to_idx.items()}
    return {"item_to_idx": item_to_idx, "idx_to_item": idx_to_item, "num_items": vocabulary.num_items}


class SavedMappings(TypedDict):
    item_to_idx: dict[int, int]
    idx_to_item: dict[int, int]
    num_items: int


def load_item_mappings(path: Path) -> Vocabulary:
    """Raises ModelFileError unless the file is exactly what `save_item_mappings` writes of some ids."""
    with _refusing(path, "does not hold item mappings"):
        mappings = read_plain(path)
        check(mappings, SavedMappings, "the file")
        vocabulary = Vocabulary.of(mappings["item_to_idx"])
        if not vocabulary.num_items or vocabulary.anime_ids[0] < 1:
            raise WrongForm("it has no anime, or ids below 1")
        if any(mappings[name] != right for name, right in _mappings(vocabulary).items()):
            raise WrongForm("its indices do not number the ids in their order, or contradict each other")
    return vocabulary


def load_model_with_items(models: Path) -> tuple[BERT4Rec, dict[str, Any], Vocabulary]:
    """The best model of a folder as `load_model` gives it, and its items. Raises ModelFileError, also if they are not
    of one run."""
    vocabulary = load_item_mappings(models / ITEM_MAPPINGS)
    model, saved = load_model(models / BEST_MODEL)
    if model.config.num_items != vocabulary.num_items or saved.get("items") not in (None, mark_of(vocabulary)):
        raise ModelFileError(
            f"{models / BEST_MODEL} and {ITEM_MAPPINGS} beside it are of two runs: train again (python train_model.py)"
        )
    return model, saved, vocabulary
