"""The model files: written aside and renamed, and read without running anything that they might contain."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import IO, Any

import torch

from bert4rec import BERT4Rec, ModelConfig
from console import plain
from errors import UserError
from files import write_aside
from sequences import Vocabulary


class ModelFileError(UserError):
    """A model file that is missing, damaged or not ours."""


def save_model(
    path: Path, model: BERT4Rec, *, epoch: int, val_loss: float, data_fingerprint: str | None = None
) -> None:
    """`{"model_state_dict", "model_config", "epoch", "val_loss", "data_fingerprint"}`; the item memory is most of it.

    The fingerprint (`training_data.Data.fingerprint`) tells which users the model was trained on.
    """
    with write_aside(path) as file:
        saved = {"model_state_dict": model.state_dict(), "model_config": model.config.as_dict()}
        write_tensors({**saved, "epoch": epoch, "val_loss": val_loss, "data_fingerprint": data_fingerprint}, file)


def write_tensors(value: dict[str, Any], file: IO[bytes]) -> None:
    """`torch.save`, which hides what is wrong with the disk behind an error of its own, without that."""
    try:
        torch.save(value, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def load_model(path: Path) -> tuple[BERT4Rec, dict[str, Any]]:
    """The model, in evaluation mode on the CPU, and everything that was saved with it."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        model = BERT4Rec(ModelConfig.from_dict(saved["model_config"]))
        model.load_state_dict(saved["model_state_dict"])
    except FileNotFoundError:
        raise ModelFileError(f"{path} does not exist; train a model first: python train_model.py") from None
    except OSError:
        raise
    except Exception as error:  # whatever a damaged or hostile file makes the loader say
        raise ModelFileError(f"{path} is not a model of this program ({type(error).__name__})") from error
    return model.eval(), saved


def save_item_mappings(path: Path, vocabulary: Vocabulary) -> None:
    """A pickle of a plain dict of ints: index 0 is padding, items are 1 … N, the mask is N + 1."""
    item_to_idx = {int(anime_id): index for index, anime_id in enumerate(vocabulary.anime_ids, 1)}
    idx_to_item = {index: anime_id for anime_id, index in item_to_idx.items()}
    with write_aside(path) as file:
        pickle.dump({"item_to_idx": item_to_idx, "idx_to_item": idx_to_item, "num_items": vocabulary.num_items}, file)


class _PlainUnpickler(pickle.Unpickler):
    """Dicts, ints and strings need no class or function; a pickle that asks for one wants to run something."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def load_item_mappings(path: Path) -> Vocabulary:
    try:
        with path.open("rb") as file:
            mappings = _PlainUnpickler(file).load()
        vocabulary = Vocabulary.of(mappings["item_to_idx"])
        if mappings["item_to_idx"] != {int(a): k for k, a in enumerate(vocabulary.anime_ids, 1)}:
            raise ValueError("the indices are not those of the sorted ids")
    except FileNotFoundError:
        raise ModelFileError(f"{path} does not exist; train a model first: python train_model.py") from None
    except OSError:
        raise
    except Exception as error:
        raise ModelFileError(f"{path} does not hold item mappings ({plain(str(error))})") from error
    return vocabulary
