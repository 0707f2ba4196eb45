"""How well scores rank what people really chose: full ranking, seen items left out, and ties against the model.

    ranks = ranks_of(scores, seen=histories, targets=next_items)
    mean, error = mean_and_error(ranks.ndcg(10))

What a place gains is in model/ndcg.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anime_bert4rec.lists.sequences import ItemLists, flatten, list_of, part_of
from anime_bert4rec.model.ndcg import gains, ideal

Scorer = Callable[[ItemLists], np.ndarray]
"""Histories of U users → scores [U, N], column 0 of which belongs to item 1."""

NEVER = np.iinfo(np.int64).max
"""The rank of a target that cannot be recommended: its score is not a number, or the user has seen it."""

USERS_AT_ONCE = 1000


@dataclass(frozen=True)
class Ranks:
    """The ranks, from 1, of every target among all items that its user had not seen."""

    ranks: np.ndarray
    """int64 [T], ascending within a user; NEVER for what cannot be recommended."""
    users: np.ndarray
    """int64 [T]: whose target it is, 0 … U - 1, ascending."""
    num_users: int

    @property
    def num_targets(self) -> np.ndarray:
        return np.bincount(self.users, minlength=self.num_users)

    def hit_rate(self, k: int) -> np.ndarray:
        """1.0 for each user with a target among the first k, else 0.0: [U]."""
        return (self._sum(self.ranks <= k) > 0).astype(float)

    def recall(self, k: int) -> np.ndarray:
        """The share of each user's targets among the first k, of as many as k can hold: [U]."""
        return self._sum(self.ranks <= k) / np.minimum(self.num_targets, k)

    def ndcg(self, k: int) -> np.ndarray:
        """Each user's discounted gain of the first k, divided by the best that is possible within k: [U]."""
        return self._sum(gains(self.ranks, k)) / ideal(k)[np.minimum(self.num_targets, k)]

    def reciprocal_rank(self) -> np.ndarray:
        """1 / rank of each user's first target; its mean is the MRR: [U]."""
        first = np.full(self.num_users, NEVER)
        np.minimum.at(first, self.users, self.ranks)
        return np.where(first < NEVER, 1 / first, 0.0)

    def _sum(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.users, values, self.num_users)


def ranks_of(scores: np.ndarray, seen: ItemLists, targets: ItemLists) -> Ranks:
    """Rank each user's targets among all items but the `seen` ones, the worst way that ties allow.

    scores [U, N]. An item that isn't a target comes before every target whose score isn't higher, and so does one whose
    score isn't a number. Of several targets, the k-th best has k - 1 of its own kind before it. Raises ValueError for a
    user without targets.
    """
    if not len(scores) == len(seen) == len(targets):
        raise ValueError(f"{len(scores)} rows of scores, {len(seen)} histories and {len(targets)} targets")
    ranks, users = [], []
    for user, row in enumerate(scores):
        wanted = np.unique(list_of(targets, user)) - 1
        if not len(wanted):
            raise ValueError(f"user {user} has no target")
        possible = np.ones(len(row), bool)
        possible[list_of(seen, user) - 1] = False
        of_targets = row[wanted[possible[wanted]]]
        of_targets = -np.sort(-of_targets[~np.isnan(of_targets)])
        possible[wanted] = False
        others = np.sort(row[possible])  # what isn't a number comes last, as though it were the highest
        before = len(others) - np.searchsorted(others, of_targets, side="left")
        never = np.full(len(wanted) - len(of_targets), NEVER)
        ranks.append(np.concatenate([before + np.arange(1, len(of_targets) + 1), never]))
        users.append(np.full(len(wanted), user))
    empty = [np.zeros(0, np.int64)]
    return Ranks(np.concatenate(ranks or empty), np.concatenate(users or empty), len(scores))


def ranks_by(scorer: Scorer, histories: ItemLists, targets: ItemLists) -> Ranks:
    """The ranks of `targets` by a scorer that knows `histories`, some users at a time so that memory stays small."""
    parts = []
    for start in range(0, len(histories), USERS_AT_ONCE):
        some = part_of(histories, start, start + USERS_AT_ONCE)
        parts.append(ranks_of(scorer(some), some, part_of(targets, start, start + USERS_AT_ONCE)))
    return joined(parts)


def joined(parts: Sequence[Ranks]) -> Ranks:
    """The ranks of all users of the parts, one part after the other; at least one."""
    before = np.cumsum([0, *(part.num_users for part in parts)])
    users = [part.users + start for part, start in zip(parts, before, strict=False)]
    return Ranks(np.concatenate([part.ranks for part in parts]), np.concatenate(users), int(before[-1]))


def best_of(scores: np.ndarray, seen: ItemLists, k: int) -> np.ndarray:
    """The items of the k highest scores [U, N] of each user but the `seen` ones, highest first: [U, k]; 0 for none."""
    import torch  # which nothing else here needs; NumPy would take three times as long to find the best

    possible = np.fmax(scores, -np.inf)  # what isn't a number is the worst
    items, lengths = flatten(seen)
    possible[np.repeat(np.arange(len(possible)), lengths), items - 1] = -np.inf
    best, column = (part.numpy() for part in torch.from_numpy(possible).topk(min(k, possible.shape[1])))
    return np.where(best > -np.inf, column + 1, 0)


def mean_and_error(values: npt.ArrayLike, users: npt.ArrayLike | None = None) -> tuple[float, float]:
    """The mean and its standard error (0 for a single user).

    users: of whom each value is, where a user has several: these are right or wrong together, so that they tell less
    than as many of different users. By default each is of another.
    """
    values = np.asarray(values, float)
    of_user = np.arange(len(values)) if users is None else np.unique(users, return_inverse=True)[1]
    mean = values.mean()
    apart = np.bincount(of_user, values - mean)
    more = len(apart) / (len(apart) - 1) if len(apart) > 1 else 0.0
    return float(mean), float(np.sqrt(more * (apart**2).sum()) / len(values))
