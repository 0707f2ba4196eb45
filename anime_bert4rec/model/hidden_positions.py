"""What of a list a batch shows, and at which positions it asks for the item; on whole arrays, no loop over users.

There are three kinds of questions. Masks hide entries anywhere in a list, and what is before and after them is visible.
Cuts hide an entry and all that follow it, as when the next anime is to be named; one row serves many cuts at once (see
`BERT4Rec.read`). And of a list a few entries are shown, as of somebody who is new, and others are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from anime_bert4rec.lists.sequences import Sequences, flat_ranges

CUT_RATIO = 0.1
"""The share of the columns of a batch that are cut at."""
FEWEST_CUTS = 3
"""A batch has this many cuts even if the share is less, for a step would learn little of short lists."""
FEW_LOGITS = 2**21
"""A batch has fewer cuts than FEWEST_CUTS where so many would make more logits than this."""
CUT_RATIO_WITHOUT_MEMORY = 0.25
"""The share of the columns where the network answers without the memory: there, each cut costs less."""
WIDE_CUT_RATIO_WITHOUT_MEMORY = 0.5
"""The CUT_RATIO_WITHOUT_MEMORY where there is enough to learn from for a wide network, which learns more from cuts."""
FEWEST_CUTS_WITHOUT_MEMORY = 16
"""The FEWEST_CUTS where the network answers without the memory, up to LARGEST_LOGITS: of short lists it learns so much
more from all columns than from some that they are worth their time (benchmarks/LOG.md)."""
LARGEST_LOGITS = 2**26
"""A batch that is answered without the memory has no more than CUT_RATIO where it would have more logits than this."""
MASKED_BEFORE_CUTS = 0.15
"""The share of the items before a cut that look like masks to a network that also answers without the memory: it learns
fewer lists by heart. Masks do the same where there are no cuts."""
SHORT_SHARE = 0.7
"""The share of the lists without an order of which an epoch shows a few entries."""
MOST_GIVEN = 128
"""The most entries that are shown of such a list. How many is drawn from 1 on, each doubling as often as any other."""
MOST_ASKED = 30
"""The most other entries of such a list that are asked for."""
GIVEN_IN_VALIDATION = (1, 3, 10, 30)
"""How many entries of each list validation shows, beside those that it shows whole."""
CUTS_IN_VALIDATION = 4
"""At how many entries of a list in order validation asks with each number of GIVEN_IN_VALIDATION shown before them."""


@dataclass(frozen=True)
class BatchSettings:
    """How lists become batches. What is drawn, depends on these, on the epoch, and on nothing else."""

    num_items: int
    batch_size: int
    max_seq_len: int
    mask_prob: float
    """The share of the entries of a list that are masked."""
    seed: int
    cut_share: float = 0.0
    """The share of the batches that are cuts; the others are masks."""
    whole_lists: bool = False
    """Whether a batch comes with what is visible of whole lists, also outside its window."""
    memory_every: int = 1
    """The first batch in this many is answered by network and memory together, the others by the network without it;
    these have what only a memory needs left out. Where there are such batches, all cuts have `Batch.masked`."""
    cut_ratio_without_memory: float = CUT_RATIO_WITHOUT_MEMORY
    fewest_cuts: int | None = None
    """The fewest cuts of a batch, where lists are long enough; by default as FEWEST_CUTS and FEW_LOGITS say."""
    has_memory: bool = True
    """Whether the model has a memory at all."""
    short_share: float = 0.0
    """The share of the lists of which an epoch of training shows a few entries, the others being masked; only of lists
    without an order."""

    @property
    def mask(self) -> int:
        return self.num_items + 1

    def in_validation(self) -> BatchSettings:
        """Validation asks at masks only, and network and memory together."""
        return replace(self, cut_share=0.0, memory_every=1)

    def cut_ratio(self, size: int, columns: int, without_memory: bool) -> float:
        """The share of the columns that a batch of `size` positions is cut at."""
        fewest = self.fewest_cuts or max(1, min(FEWEST_CUTS, FEW_LOGITS // (self.batch_size * self.num_items)))
        ratio = max(CUT_RATIO, fewest / columns)
        if without_memory or not self.has_memory:
            wanted = FEWEST_CUTS_WITHOUT_MEMORY / columns
            if without_memory:
                wanted = max(self.cut_ratio_without_memory, wanted)
            ratio = max(ratio, min(wanted, LARGEST_LOGITS / size / self.num_items))
        return ratio


class ShuffledLists(NamedTuple):
    """Entries (flat indices of Sequences) of some lists, one list after the other."""

    entries: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray


def shuffled_lists(sequences: Sequences, users: np.ndarray, random: np.random.Generator | None) -> ShuffledLists:
    """The lists of `users`, in their stored order or, given `random`, with each block shuffled, to an order that does
    not depend on the stored one."""
    lengths = sequences.offsets[users + 1] - sequences.offsets[users]
    starts = np.cumsum(lengths) - lengths
    entries = flat_ranges(sequences.offsets[users], lengths)
    if random is not None:
        block = np.repeat(starts, lengths) + sequences.blocks[entries]
        entries = entries[np.lexsort((sequences.items[entries], block))]
        entries = entries[np.argsort(block + random.random(len(entries)))]
    return ShuffledLists(entries, starts, lengths)


def choose_windows(lists: ShuffledLists, longest: int, random: np.random.Generator | None) -> np.ndarray:
    """The entries of each list's window of at most `longest`, aligned at the end: int64 [B, longest window], -1 for
    padding. The newest entries or, given `random`, half the time a window anywhere."""
    kept = np.minimum(lists.lengths, longest)
    skipped = lists.lengths - kept
    if random is not None:
        anywhere = random.integers(0, skipped + 1)
        skipped = np.where(random.random(len(kept)) < 0.5, skipped, anywhere)
    windows = np.full((len(kept), kept.max()), -1, np.int64)
    inside = np.arange(windows.shape[1]) >= (windows.shape[1] - kept)[:, None]
    windows[inside] = lists.entries[flat_ranges(lists.starts + skipped, kept)]
    return windows


class HiddenPositions(NamedTuple):
    """The positions of a batch whose items are asked for, in the order of their rows and, in each, of their columns."""

    rows: np.ndarray
    """int64 [M]: the row of each position."""
    columns: np.ndarray
    """int64 [M]: the column of each position."""
    cuts: np.ndarray | None
    """int64 [S], ascending: the columns that all rows are cut at. None: the positions are masked."""


def choose_hidden(
    real: np.ndarray, settings: BatchSettings, random: np.random.Generator, *, is_cut: bool, without_memory: bool
) -> HiddenPositions:
    """What is asked of windows with these `real` entries [B, L]; what has a single column cannot be cut."""
    if is_cut and real.shape[1] > 1:
        return choose_cuts(real, settings.cut_ratio(real.size, real.shape[1], without_memory), random)
    rows, columns = choose_masked(real, settings.mask_prob, random).nonzero()
    return HiddenPositions(rows, columns, None)


def choose_masked(real: np.ndarray, mask_prob: float, random: np.random.Generator) -> np.ndarray:
    """Which of the `real` entries [B, L] to mask: in each row the share `mask_prob`, rounded, and at least one."""
    how_many = np.maximum(1, np.rint(mask_prob * real.sum(1))).astype(np.int64)
    noise = np.where(real, random.random(real.shape), np.inf)
    place = np.argsort(np.argsort(noise, axis=1), axis=1)
    return place < how_many[:, None]


def choose_cuts(real: np.ndarray, ratio: float, random: np.random.Generator) -> HiddenPositions:
    """Cuts at the share `ratio` of the columns, which ask where a row has an entry there and something before it.

    real: bool [B, L], L > 1, with the padding on the left.
    """
    length = real.shape[1]
    wanted = max(1, round(ratio * length))
    cuts = np.sort(random.permutation(length - 1)[:wanted]) + 1
    if not real[:, cuts - 1].any():
        cuts = np.array([length - 1])
    rows, place = (real[:, cuts] & real[:, cuts - 1]).nonzero()
    return HiddenPositions(rows, cuts[place], cuts)


def draw_given(lengths: np.ndarray, settings: BatchSettings, random: np.random.Generator) -> np.ndarray:
    """How many entries an epoch shows of each list: int64 [U], 0 for those that are masked."""
    most = np.minimum(lengths - 1, min(MOST_GIVEN, settings.max_seq_len - 1))
    able = np.flatnonzero(most > 0)
    short = random.permutation(able)[: int(settings.short_share * len(able))]
    given = np.zeros(len(lengths), np.int64)
    given[short] = np.minimum((most[short] + 1.0) ** random.random(len(short)), most[short])
    return given


class FewShown(NamedTuple):
    """Rows that show a few entries of a list each and ask for others; both are flat indices of Sequences."""

    shown: np.ndarray
    """int64 [R, K], aligned at the end, -1 for padding"""
    asked: np.ndarray
    """int64 [R, A], -1 behind the last"""


def show_few(lists: ShuffledLists, given: np.ndarray, random: np.random.Generator) -> FewShown:
    """A row for each list, of which `given` [B] entries are shown and up to MOST_ASKED others asked for, by chance."""
    row = np.repeat(np.arange(len(given)), lists.lengths)
    entries = lists.entries[np.lexsort((random.random(len(row)), row))]
    place = np.arange(len(row)) - lists.starts[row] - given[row]
    few = FewShown(np.full((len(given), given.max()), -1), np.full((len(given), MOST_ASKED), -1))
    shown, asked = place < 0, (place >= 0) & (place < MOST_ASKED)
    few.shown[row[shown], place[shown]] = entries[shown]
    few.asked[row[asked], place[asked]] = entries[asked]
    return few


def show_newest(lists: ShuffledLists, given: int, random: np.random.Generator) -> FewShown:
    """Up to CUTS_IN_VALIDATION rows for each list, all longer than `given`: each asks for an entry, and shows as many
    as `given` before it. Where there are four rows, one entry is from each quarter of those that can be asked for."""
    room = lists.lengths - given
    rows = np.minimum(room, CUTS_IN_VALIDATION)
    row = np.repeat(np.arange(len(room)), rows)
    part = np.arange(len(row)) - (np.cumsum(rows) - rows)[row] + random.random(len(row))
    target = lists.starts[row] + given + (part * room[row] / rows[row]).astype(np.int64)
    return FewShown(lists.entries[target[:, None] - np.arange(given, 0, -1)], lists.entries[target[:, None]])
