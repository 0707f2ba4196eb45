"""A model that a training begins with: what it has learnt of the anime that it knows, and who was held out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from anime_bert4rec.lists.people import People, Persons, load_people, salted
from anime_bert4rec.lists.sequences import PAD, Sequences, Vocabulary, split_users
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.model_files import load_model_with_items
from anime_bert4rec.model.run_folder import BEST_MODEL, RunFolder
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.text import as_argument

OF_ITEMS = ("item_bias", "alone_bias")
"""The weights that have a number for each item, beside the embeddings; of new items they are those of a new model."""


class CannotBeginWith(UserError):
    """The earlier model is of another kind than the one that is to be trained."""


@dataclass(frozen=True)
class EarlierModel:
    """The best model of an earlier run."""

    output: Path
    """The folder of the run."""
    model: BERT4Rec
    vocabulary: Vocabulary
    people: People

    @classmethod
    def load(cls, output: Path) -> EarlierModel:
        """The model in the output folder of a run. Raises UserError, also where it isn't known who was held out."""
        folder = RunFolder(output)
        if not (folder.models / BEST_MODEL).exists() and (earlier := folder.newest_moved_aside()):
            raise CannotBeginWith(
                f"{output} has no model yet; that of the run before is in {earlier} now: --from-model"
                f" {as_argument(earlier)}"
            )
        if not folder.models.is_dir():
            raise CannotBeginWith(f"{output} is no output folder of a run: it has no {folder.models.name}")
        if not (folder.models / BEST_MODEL).exists():
            raise CannotBeginWith(f"{output} has no model yet: name the output folder of a run that has come to one")
        model, saved, vocabulary = load_model_with_items(folder.models)
        people = load_people(folder.people_file)
        if people is None or saved.get("data_fingerprint") not in (None, people.data_fingerprint):
            raise CannotBeginWith(f"{output} doesn't say who was held out of its model: train without --from-model")
        return cls(output, model, vocabulary, people)

    def split(
        self, keys: Sequence[str], persons: Persons, val_ratio: float, split_seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the training and of the validation users: as they were then or, if they were away, before; of
        those who are new, as `split_users` has it. keys: of all `persons`, in their order."""
        hashes = salted(persons.hashes, self.people.salt)
        everybody, were_held_out = self.people.of_all_runs()
        known, held_out = np.isin(hashes, everybody), np.zeros(len(hashes), bool)
        held_out[known] = were_held_out[np.searchsorted(everybody, hashes[known])]
        new = np.flatnonzero(~known)
        held_out[new[split_users([keys[each] for each in new.tolist()], val_ratio, split_seed)[1]]] = True
        return np.flatnonzero(~held_out), np.flatnonzero(held_out)

    def check_form(self, now: ModelConfig, memory: bool) -> None:
        """Raises CannotBeginWith, in a line that names what is other, unless a network of the form `now` can take its
        weights over. memory: whether there is one now."""
        before, unlike = self.model.config, []
        for name in ("hidden_size", "num_layers", "num_heads", "max_seq_len"):
            then, wanted = getattr(before, name), getattr(now, name)
            if then != wanted:
                unlike.append(f"--{name.replace('_', '-')} was {then}, is {wanted} now")
        if (before.memory is not None) != memory:
            unlike.append("--no-memory was given now" if before.memory else "--no-memory was given then")
        elif before.ordered != now.ordered:
            unlike.append(f"its lists had {'an' if before.ordered else 'no'} order, and these have not the same")
        elif before.answers_alone != now.answers_alone or before.feed_forward_ratio != now.feed_forward_ratio:
            unlike.append("there are so many more or fewer lists now that another network suits them")
        if unlike:
            raise CannotBeginWith(
                f"{self.output} has another model: {'; '.join(unlike)}. Make them the same, or train without"
                " --from-model"
            )

    @torch.no_grad()
    def give_to(self, model: BERT4Rec, vocabulary: Vocabulary, alike: Sequences | None) -> None:
        """Give a new model of the same form the weights of this one: those of anime by their ids.

        The embedding of a new anime is the mean over the groups of `alike` that it is in, each taken at the mean of its
        anime that are known; without any of these, it stays that of a new model.
        """
        before = torch.from_numpy(self.vocabulary.encode(vocabulary.anime_ids).astype(np.int64))
        known, weights = before != PAD, dict(self.model.named_parameters())
        for name, weight in model.named_parameters():
            own = weights[name]
            if name in OF_ITEMS:
                weight[known] = own[before[known] - 1]
            elif name == "item_embedding.weight":
                weight[[0, -1]] = own[[0, -1]]
                weight[1:-1][known] = own[before[known]]
                if alike is not None:
                    has_some, mean = _means_of_alike(weight, known, alike)
                    weight[1:-1][has_some] = mean[has_some]
            else:
                weight.copy_(own)


def _means_of_alike(embedding: Tensor, known: Tensor, alike: Sequences) -> tuple[Tensor, Tensor]:
    """Which items are new and in a group with known ones, bool [N], and for each item the mean of its groups [N, D].

    embedding [N + 2, D]; known: bool [N].
    """
    items = torch.from_numpy(alike.items.astype(np.int64))
    group = torch.from_numpy(np.repeat(np.arange(len(alike)), alike.lengths))
    is_known = known[items - 1]
    count = torch.zeros(len(alike)).index_add_(0, group[is_known], torch.ones(int(is_known.sum())))
    sums = torch.zeros(len(alike), embedding.shape[1]).index_add_(0, group[is_known], embedding[items[is_known]])
    means = sums / count.clamp_min(1)[:, None]
    used = ~is_known & (count[group] > 0)
    groups_of = torch.zeros(len(known)).index_add_(0, items[used] - 1, torch.ones(int(used.sum())))
    of_item = torch.zeros(len(known), embedding.shape[1]).index_add_(0, items[used] - 1, means[group[used]])
    return groups_of > 0, of_item / groups_of.clamp_min(1)[:, None]
