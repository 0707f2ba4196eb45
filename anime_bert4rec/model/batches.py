"""Batches for training and validation: cut to length, masked, bucketed by length.

Each batch is a function of (seed, epoch, number of the batch) and of nothing else, so it makes no difference which
process prepares it or whether the run was interrupted before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from anime_bert4rec.lists.sequences import PAD, Sequences
from anime_bert4rec.model.hidden_positions import (
    MASKED_BEFORE_CUTS,
    BatchSettings,
    ShuffledLists,
    choose_hidden,
    choose_windows,
    draw_given,
    show_few,
    show_newest,
    shuffled_lists,
)

LENGTH_NOISE = 0.05
"""Lists whose lengths differ by this share may come into one batch: little padding, yet new batches every epoch."""

_VALIDATION = 2**32
"""Stands in the place of the epoch in the random seed of validation, whose masks are always the same."""


class WholeLists(NamedTuple):
    """Whole lists, one after the other."""

    items: Tensor
    """int64 [T]: item indices."""
    starts: Tensor
    """int64 [B]: where each list starts."""

    @property
    def lengths(self) -> Tensor:
        """int64 [B]: how many items each list has."""
        return F.pad(self.starts[1:], (0, 1), value=len(self.items)) - self.starts

    def padded(self) -> Tensor:
        """The items in a row for each list, padded at the end [B, longest, at least 1]."""
        lengths = self.lengths
        at = torch.arange(max(1, int(lengths.max())), device=self.items.device)
        items = F.pad(self.items, (0, 1), value=PAD)
        return items[torch.where(at < lengths[:, None], self.starts[:, None] + at, len(self.items))]

    def of_rows(self, first: int, last: int) -> WholeLists:
        start, stop = int(self.starts[first]), int(self.starts[last]) if last < len(self.starts) else len(self.items)
        return WholeLists(self.items[start:stop], self.starts[first:last] - start)


class Batch(NamedTuple):
    """Some users' lists, aligned at the end (padding on the left), with some of their items to be predicted."""

    items: Tensor
    """int64 [B, L]: item indices, PAD, or the mask; in a batch of cuts nothing is masked."""
    rows: Tensor
    """int64 [M], ascending: the row of each item that is to be predicted."""
    columns: Tensor
    """int64 [M], ascending in each row: its column; L for what comes next, behind all of them."""
    targets: Tensor | None = None
    """int64 [M]: the item index, 1 … N, to be predicted; not there where it isn't known. Where few items are given,
    [M, A]: all that are asked for at one position, PAD behind the last."""
    cuts: Tensor | None = None
    """int64 [S], ascending: the columns that all rows are cut at, which all `columns` are among; only of cuts."""
    masked: Tensor | None = None
    """bool [B, last cut]: which items before cuts look like masks to the network; not so to the memory."""
    visible: Tensor | None = None
    """int64 [B, any]: all that is visible of the whole lists, where memories that don't look at the order read them."""
    entries: Tensor | None = None
    """int64 [B, L]: which entry of the lists that the memory has counted each item is, -1 for none; only where lists
    are trained on."""
    lists: WholeLists | None = None
    """The whole lists of the rows, what is hidden included, as far as the memory has counted them, and else empty."""
    without_memory: bool = False
    """Whether the network is to answer without the memory."""
    given: int = 0
    """The most items that are shown of each list; 0 for lists that are shown but for what is hidden in them."""
    weight: float = 1.0
    """What the mean loss over the targets counts for, in the mean over processes: see `share_of`."""
    seed: int = 0
    """The seed of the random numbers that the model needs: what is dropped out is a function of the batch, too."""

    @property
    def all_visible(self) -> Tensor:
        """What is visible of the whole lists or, where only windows count, of these [B, any]; PAD and the mask too."""
        return self.items if self.visible is None else self.visible

    @property
    def num_targets(self) -> Tensor:
        """How many items are to be predicted in all."""
        assert self.targets is not None
        return (self.targets != PAD).sum()

    @property
    def places(self) -> Tensor:
        """Which of the cuts each of `columns` is, in a batch of cuts [M]."""
        assert self.cuts is not None
        return torch.searchsorted(self.cuts, self.columns)

    def to(self, device: torch.device) -> Batch:
        lists = self.lists and WholeLists(*(part.to(device) for part in self.lists))
        tensors: dict[str, Any] = {
            name: part.to(device) for name, part in self._asdict().items() if isinstance(part, Tensor)
        }
        return self._replace(**tensors, lists=lists)

    def only(self, chosen: Tensor) -> Batch:
        """The batch with only some of the items to predict. chosen: bool or ascending indices, of [M]."""
        targets = None if self.targets is None else self.targets[chosen]
        return self._replace(rows=self.rows[chosen], columns=self.columns[chosen], targets=targets)


def share_of(batch: Batch, process: int, processes: int) -> Batch:
    """The rows that process `process` of `processes` takes of a batch with targets.

    The mean over the processes of the mean loss of each times its `weight` is the mean loss over all targets of the
    batch. A share without a target gets a row that another has too, at weight 0: each process has to take each step.
    Each has a seed of its own.
    """
    rows = len(batch.items)
    first, last = process * rows // processes, (process + 1) * rows // processes
    start, stop = torch.searchsorted(batch.rows, torch.tensor([first, last])).tolist()
    own = batch.only(torch.arange(start, stop))
    weight = processes * int(own.num_targets) / int(batch.num_targets)
    if start == stop:
        start, stop = 0, 1
        first = int(batch.rows[0])
        last = first + 1
    of_rows = {
        name: part[first:last]
        for name in ("items", "masked", "visible", "entries")
        if (part := getattr(batch, name)) is not None
    }
    return batch.only(torch.arange(start, stop))._replace(
        **of_rows,
        rows=batch.rows[start:stop] - first,
        lists=batch.lists and batch.lists.of_rows(first, last),
        weight=weight,
        seed=batch.seed + process,
    )


class Shares(Dataset[Batch]):
    """The shares of batches that one of several processes takes."""

    def __init__(self, whole: Dataset[Batch], process: int, processes: int) -> None:
        self.whole, self.process, self.processes = whole, process, processes

    def __len__(self) -> int:
        return len(self.whole)  # type: ignore[arg-type]

    def __getitem__(self, number: int) -> Batch:
        return share_of(self.whole[number], self.process, self.processes)


class MaskedBatches(Dataset[Batch]):
    """The batches of one epoch.

    In training (`epoch` given), what has no order is shuffled, a list longer than `max_seq_len` is cut to a window
    (half the time the newest, else a random one), and the masks are new in each epoch; of some lists only a few entries
    are shown, which no other lists share a batch with. In validation (`epoch=None`), the last `max_seq_len` entries are
    used in their stored order, with the same masks every time.

    counted: which of the lists the memory has counted (positions, ascending); all if not given. given: in validation,
    how many entries are shown of each list that has more; 0: all but the masks, of all lists.
    """

    def __init__(
        self,
        sequences: Sequences,
        settings: BatchSettings,
        epoch: int | None,
        counted: np.ndarray | None = None,
        given: int = 0,
    ) -> None:
        self.sequences, self.settings = sequences, settings
        self.first_counted = sequences.offsets[:-1]
        """Where each list starts among those that are counted; -1 if it isn't one of them."""
        if counted is not None:
            lengths = sequences.lengths[counted]
            self.first_counted = np.full(len(sequences), -1)
            self.first_counted[counted] = np.cumsum(lengths) - lengths
        self.training = epoch is not None
        self.seed = (settings.seed, _VALIDATION + given if epoch is None else epoch)
        random = np.random.default_rng(self.seed)
        self.given = np.zeros(len(sequences), np.int64)
        """How many entries are shown of each list; 0 for those that are masked or cut."""
        if self.training and settings.short_share:
            self.given = draw_given(sequences.lengths, settings, random)
        elif given:
            self.given[sequences.lengths > given] = given
        groups = (
            [np.flatnonzero(self.given)] if given else [np.flatnonzero(self.given == 0), np.flatnonzero(self.given)]
        )
        self.users_of_batch = self._plan([group for group in groups if len(group)], random)
        # In each epoch as many as it takes to have had the share so far: by chance, epochs would differ in difficulty.
        wanted = np.rint(settings.cut_share * len(self) * np.array([(epoch or 0) - 1, epoch or 0]))
        self.is_cut = random.permutation(len(self)) < wanted[1] - wanted[0]

    def __len__(self) -> int:
        return len(self.users_of_batch)

    def __getitem__(self, number: int) -> Batch:
        if not 0 <= number < len(self):
            raise IndexError(number)
        settings, users = self.settings, self.users_of_batch[number]
        source = np.random.SeedSequence((*self.seed, number + 1))
        random, seed = np.random.default_rng(source), int(source.generate_state(1)[0])
        in_training = random if self.training else None
        without_memory = number % settings.memory_every != 0
        lists = shuffled_lists(self.sequences, users, in_training)
        if self.given[users[0]]:
            return self._few_given(lists, users, random, seed)
        entries = choose_windows(lists, settings.max_seq_len, in_training)
        items = np.where(entries >= 0, self.sequences.items[entries], PAD)
        rows, columns, cuts = choose_hidden(
            items != PAD, settings, random, is_cut=bool(self.is_cut[number]), without_memory=without_memory
        )
        targets, hidden = items[rows, columns], entries[rows, columns]
        masked = None
        if cuts is None:
            items[rows, columns] = settings.mask
        elif settings.memory_every > 1:
            generator = torch.Generator().manual_seed(seed + 1)  # not the one of dropout
            masked = torch.rand(len(items), int(cuts[-1]), generator=generator) < MASKED_BEFORE_CUTS
        batch = Batch(
            _tensor(items),
            _tensor(rows),
            _tensor(columns),
            _tensor(targets),
            cuts=None if cuts is None else _tensor(cuts),
            masked=masked,
            without_memory=without_memory,
            seed=seed,
        )
        if without_memory:
            return batch
        if settings.whole_lists:
            batch = batch._replace(visible=_tensor(self._visible(lists, hidden)))
        return batch._replace(**self._counted(lists, entries, users)) if self.training else batch

    def _plan(self, groups: list[np.ndarray], random: np.random.Generator) -> list[np.ndarray]:
        """Which users make up each batch, none of more than one of the groups. Those of a group are of equal size: one
        user left over would make a step of its own."""
        lengths = np.minimum(self.sequences.lengths, self.settings.max_seq_len).astype(float)
        lengths[self.given > 0] = self.given[self.given > 0]
        if self.training:
            lengths *= 1 + LENGTH_NOISE * random.uniform(-1, 1, len(lengths))
        batches: list[np.ndarray] = []
        for users in groups:
            count = -(-len(users) // self.settings.batch_size)
            batches += np.array_split(users[np.argsort(lengths[users], kind="stable")], count)
        # Short and long lists by turns, so that halves and other shares of a batch take equally long.
        batches = [np.concatenate([batch[::2], batch[1::2]]) for batch in batches]
        return [batches[k] for k in random.permutation(len(batches))] if self.training else batches

    def _few_given(self, lists: ShuffledLists, users: np.ndarray, random: np.random.Generator, seed: int) -> Batch:
        """A few items of each list, and at one position behind them what is asked for: nothing else of the list is in
        the batch but what the memory needs to leave it out."""
        given, ordered = self.given[users], not self.settings.whole_lists
        entries, asked = show_newest(lists, given[0], random) if ordered else show_few(lists, given, random)
        if not ordered:
            entries = np.pad(entries, ((0, 0), (0, 1)), constant_values=-1)
        items = np.where(entries >= 0, self.sequences.items[entries], PAD)
        if not ordered:
            items[:, -1] = self.settings.mask
        rows, end = torch.arange(len(items)), int(given.max())
        batch = Batch(
            _tensor(items),
            rows,
            torch.full_like(rows, end),
            _tensor(np.where(asked >= 0, self.sequences.items[asked], PAD)),
            cuts=torch.tensor([end]) if ordered else None,
            given=end,
            seed=seed,
        )
        return batch._replace(**self._counted(lists, entries, users)) if self.training else batch

    def _visible(self, lists: ShuffledLists, hidden: np.ndarray) -> np.ndarray:
        """The items of the whole lists but for the `hidden` entries: int32 [B, longest list], padded at the end."""
        visible = np.full((len(lists.lengths), lists.lengths.max()), PAD, np.int32)
        visible[np.arange(visible.shape[1]) < lists.lengths[:, None]] = np.where(
            np.isin(lists.entries, hidden), PAD, self.sequences.items[lists.entries]
        )
        return visible

    def _counted(self, lists: ShuffledLists, entries: np.ndarray, users: np.ndarray) -> dict[str, Any]:
        """What of a batch the memory needs to leave its lists out of what it has counted; entries: of the windows."""
        first = self.first_counted[users, None]
        known = (entries >= 0) & (first >= 0)
        counted = np.where(known, entries - self.sequences.offsets[users, None] + first, -1)
        lengths = np.where(first[:, 0] >= 0, lists.lengths, 0)
        whole = self.sequences.items[lists.entries[np.repeat(lengths > 0, lists.lengths)]]
        return {
            "entries": _tensor(counted),
            "lists": WholeLists(_tensor(whole), _tensor(np.cumsum(lengths) - lengths)),
        }


def ask_what_comes_next(lists: Sequence[np.ndarray], mask: int, max_seq_len: int, ordered: bool) -> Batch:
    """A batch that asks what comes after the end of each list. lists: item indices, the newest last; none is empty."""
    rows = torch.arange(len(lists))
    if ordered:
        items = _aligned_at_the_end(lists, max_seq_len)
        end = items.shape[1]
        return Batch(items, rows, torch.full_like(rows, end), cuts=torch.tensor([end]))
    items = F.pad(_aligned_at_the_end(lists, max_seq_len - 1), (0, 1), value=mask)
    last = torch.full_like(rows, items.shape[1] - 1)
    return Batch(items, rows, last, visible=_aligned_at_the_end(lists, max(map(len, lists))))


def columns_of_masks(batch: Batch) -> tuple[Tensor, Tensor]:
    """The columns that are asked for in each list, filled up with column 0 [B, Q], and where each is in these [M]."""
    rows, lists = batch.rows, len(batch.items)
    first = torch.searchsorted(rows, torch.arange(lists, device=rows.device))
    place = torch.arange(len(rows), device=rows.device) - first[rows]
    columns = rows.new_zeros(lists, int(place.max()) + 1)
    columns[rows, place] = batch.columns
    return columns, rows * columns.shape[1] + place


def _aligned_at_the_end(lists: Sequence[np.ndarray], most: int) -> Tensor:
    """int64 [B, L]: the newest items of each list, at most `most`, behind padding."""
    width = min(most, max(map(len, lists)))
    window = np.full((len(lists), width), PAD)
    for row, items in zip(window, lists, strict=True):
        kept = items[-width:]
        row[width - len(kept) :] = kept
    return _tensor(window)


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array.astype(np.int64))
