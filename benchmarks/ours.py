"""This project's model in the benchmarks: all that touches it. Started by compare.py, called by fold_in.py."""

from __future__ import annotations

import argparse
import copy
import itertools
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import train_model  # before torch, for it tells the threads not to spin

# isort: split
import numpy as np
import torch
from contender import Run, parse, peak_memory_mb, seconds_of, top_10

from anime_bert4rec.evaluation.ranking import Scorer, ranks_by
from anime_bert4rec.lists.common_traits import groups_in_common, popularity_of
from anime_bert4rec.lists.records import Anime, Relation, Studio, Tag
from anime_bert4rec.lists.sequences import ItemLists, Sequences, Vocabulary, list_of
from anime_bert4rec.model.batches import Batch, WholeLists
from anime_bert4rec.model.bert4rec import BERT4Rec, Known
from anime_bert4rec.model.gate_fitting import GateFitting, most_positions
from anime_bert4rec.model.model_files import GATE
from anime_bert4rec.model.next_item_scorer import ModelScorer
from anime_bert4rec.model.products import multiply_in
from anime_bert4rec.model.training_data import Data
from anime_bert4rec.training.precision import choose_numbers
from anime_bert4rec.training.weights import AveragedWeights, linear_schedule, make_optimizer
from config import TrainingSettings

Catalogue = Mapping[str, Mapping[str, Any]]
"""What the catalogue says about an anime, by its id as the lists have it: genres, tags, studios, …"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--precision", default=TrainingSettings.precision)
    parser.add_argument("--cut-share", type=float, default=TrainingSettings.cut_share)
    parser.add_argument(
        "--refit",
        action="store_true",
        help="before the test, train anew on the validation items too, as long as was best",
    )
    args, split = parse(parser)
    torch.set_num_threads(args.threads)
    settings = TrainingSettings(
        epochs=args.epochs,
        batch_size=args.batch,
        lr=args.lr,
        hidden_size=args.hidden,
        num_layers=args.layers,
        num_heads=args.heads,
        max_seq_len=args.max_len,
        dropout=args.dropout,
        mask_prob=args.mask_prob,
        memory=not args.no_memory,
        cut_share=args.cut_share,
        precision=args.precision,
        seed=args.seed,
        use_gpu=False,
    )
    data = Data(Vocabulary.of(range(1, split.num_items + 1)), split.training, split.training)
    run = Run(args, split, "")
    with run.preparing():
        model = train_model.build_model(data, settings)
    run.parameters = sum(p.numel() for p in model.parameters())

    fitting = gate_fitting(CountedScorer(model, 0), split.training, split.validation_items)

    def look_at_validation() -> None:
        model.to("cpu")  # where scorers are, wherever it is trained
        if fitting:
            fitting.fit(model)
        ranks = ranks_by(CountedScorer(model, 0), split.training, split.validation_items)
        run.validated(ranks, lambda: copy.deepcopy(model.state_dict()))
        model.to(args.device)

    look_at_validation()
    epochs = train(model, data, settings)
    while not run.finished():
        with run.epoch():
            next(epochs)
        if run.due():
            look_at_validation()
    peak = peak_memory_mb()

    model.to("cpu").load_state_dict(run.best_weights)
    scorer = CountedScorer(model, 1)  # the validation item
    top_10_seconds = seconds_of(lambda: top_10(scorer, split.known))
    more = {}
    if args.refit:
        clock = time.perf_counter()
        data = Data(data.vocabulary, split.known, split.known)
        model = train_model.build_model(data, settings)
        weights = copy.deepcopy(model.state_dict())
        for _ in itertools.islice(train(model, data, settings), int(run.best["epoch"])):
            weights = copy.deepcopy(model.state_dict())  # now, for after it the model has its own ones, not averaged
        model.load_state_dict(weights | {name: run.best_weights[name] for name in [GATE] if name in weights})
        scorer = CountedScorer(model, 0)
        more = {"refit_seconds": round(time.perf_counter() - clock, 2)}
    run.report(ranks_by(scorer, split.known, split.test_items), top_10_seconds, peak, **more)


def fit_with_memory(
    training: Sequences,
    histories: ItemLists,
    targets: ItemLists,
    *,
    item_names: Sequence[str],
    catalogue: Catalogue | None,
    seed: int,
    threads: int,
    epochs: int,
) -> tuple[Scorer, ModelScorer]:
    """The memory, in which nothing is trained, and the model, trained with the script's defaults.

    The epoch that ranks `targets` best, given `histories`, is the one that is kept.
    """
    torch.set_num_threads(threads)
    settings = TrainingSettings(epochs=epochs, seed=seed, use_gpu=False)
    vocabulary = Vocabulary.of(range(1, len(item_names) + 1))
    alike = in_catalogue = None
    if catalogue is not None:
        anime = anime_of(catalogue, item_names)
        alike, in_catalogue = groups_in_common(anime, vocabulary), popularity_of(anime, vocabulary)
    data = Data(vocabulary, training, training, alike, in_catalogue)
    model = train_model.build_model(data, settings)
    assert model.memory is not None
    memory = ModelScorer(MemoryOnly(model.config, model.memory))

    fitting = gate_fitting(ModelScorer(model), histories, targets)

    def ndcg() -> float:
        if fitting:
            fitting.fit(model)
        return float(ranks_by(ModelScorer(model), histories, targets).ndcg(10).mean())

    best, best_weights = ndcg(), copy.deepcopy(model.state_dict())
    look_every = max(1, epochs // 40)
    for epoch, _ in enumerate(train(model, data, settings), 1):
        if epoch % look_every == 0 and (now := ndcg()) > best:
            best, best_weights = now, copy.deepcopy(model.state_dict())
    model.load_state_dict(best_weights)
    return memory, ModelScorer(model)


def gate_fitting(scorer: ModelScorer, histories: ItemLists, targets: ItemLists) -> GateFitting | None:
    """What weighs memory and network after an epoch, by what these people go on with; None without a memory.

    As in train_model.py, it is fitted on a part of them, if they are many.
    """
    model = scorer.model
    if model.gate is None:
        return None
    users = np.random.default_rng(0).permutation(len(histories))[: most_positions(model.config.num_items)]
    questions = []
    for part in np.array_split(users, -(-len(users) // 256)):
        wanted = [torch.from_numpy(list_of(targets, user).astype(np.int64)) for user in part]
        padded = torch.nn.utils.rnn.pad_sequence(wanted, batch_first=True)
        questions.append(scorer.question([list_of(histories, user) for user in part])._replace(targets=padded))
    return GateFitting(model, questions, len(users))


class CountedScorer(ModelScorer):
    """Scores the people whose lists the item memory was made of, as though it had not been made of their own.

    newer: how many of the newest entries of each history are not in these lists. What comes after what in a list is not
    left out of the memory.
    """

    def __init__(self, model: BERT4Rec, newer: int) -> None:
        super().__init__(model)
        self.newer = newer

    def question(self, lists: list[np.ndarray]) -> Batch:
        counted = [own[: len(own) - self.newer] for own in lists]
        items, starts = np.concatenate(counted), np.cumsum([0, *map(len, counted[:-1])])
        whole = WholeLists(torch.from_numpy(items.astype(np.int64)), torch.from_numpy(starts))
        return super().question(lists)._replace(lists=whole)


class MemoryOnly(BERT4Rec):
    """A model whose logits are what its memory says of a batch."""

    def forward(self, batch: Batch, rank_unlisted: bool = False, known: Known | None = None) -> torch.Tensor:
        assert self.memory is not None
        return self.memory(batch, rank_unlisted)


def anime_of(catalogue: Catalogue, item_names: Sequence[str]) -> list[Anime]:
    """The catalogue's anime that are among the items, with the number of the item for an id."""
    studios: dict[str, int] = {}
    number = {name: item for item, name in enumerate(item_names, 1)}
    anime = []
    for item, name in enumerate(item_names, 1):
        entry = catalogue.get(name, {})
        anime.append(
            Anime(
                item,
                title_romaji=(entry.get("title") or {}).get("romaji"),
                format=entry.get("format"),
                source=entry.get("source"),
                year=entry.get("seasonYear"),
                popularity=entry.get("popularity"),
                genres=tuple(entry.get("genres") or ()),
                tags=tuple(Tag(tag) for tag in entry.get("tags") or ()),
                studios=tuple(Studio(studios.setdefault(s, len(studios)), s) for s in entry.get("studios") or ()),
                relations=tuple(
                    Relation(number[str(other)], kind)
                    for kind, other in entry.get("relations") or ()
                    if str(other) in number
                ),
            )
        )
    return anime


def train(model: BERT4Rec, data: Data, settings: TrainingSettings) -> Iterator[None]:
    """The loop of train_model.py; comes back after each epoch, with the averaged weights in the model."""
    multiply_in(choose_numbers(settings, model.item_bias.device), model)
    averaged = AveragedWeights(model)
    optimizer = make_optimizer(model, settings.lr)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    steps = settings.epochs * len(train_model.batches(data.training, data, settings, epoch=1))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, linear_schedule(steps))
    for epoch in range(1, settings.epochs + 1):
        loader = train_model.batches(data.training, data, settings, epoch)
        train_model.train_one_epoch(model, loader, optimizer, schedule, scaler)
        averaged.update(model)
        with averaged.used_by(model):
            yield


if __name__ == "__main__":
    main()
