"""What anime have in common by the catalogue: genres, tags, studios, franchise, …; for the item-to-item memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from records import Anime
from sequences import Vocabulary

LARGEST_GROUP = 1_000
"""What more anime have in common says nothing about them."""


def alike_matrix(catalogue: Iterable[Anime], vocabulary: Vocabulary) -> Tensor:
    """float32 [N, N]: the sum over all groups that two items share of 1 / the size of the group."""
    groups: dict[tuple[str, object], list[int]] = defaultdict(list)
    anime = list(catalogue)
    index_of = dict(zip((each.anime_id for each in anime), index_list(anime, vocabulary), strict=True))
    for each, franchise in zip(anime, franchises(anime), strict=True):
        for group in {*groups_of(each), ("franchise", franchise)}:
            groups[group].append(index_of[each.anime_id])
    shared = [members for members in groups.values() if 2 <= len(members) <= LARGEST_GROUP]
    matrix = torch.zeros(len(shared), vocabulary.num_items)
    for row, members in enumerate(shared):
        matrix[row, torch.tensor(members) - 1] = len(members) ** -0.5
    return torch.sparse.mm(matrix.t().to_sparse(), matrix)


def index_list(anime: Sequence[Anime], vocabulary: Vocabulary) -> list[int]:
    return vocabulary.encode(np.array([each.anime_id for each in anime], np.int64)).tolist()


def groups_of(anime: Anime) -> Iterator[tuple[str, object]]:
    yield from (("genre", genre) for genre in anime.genres)
    yield from (("tag", tag.name) for tag in anime.tags)
    yield from (("studio", studio.studio_id) for studio in anime.studios)
    yield from (
        (name, value)
        for name, value in (("format", anime.format), ("year", anime.year), ("source", anime.source))
        if value is not None
    )
    words = (anime.title_romaji or "").casefold().replace(":", " ").split()
    if words:
        yield "first word", words[0]
        yield "first words", " ".join(words[:2])


def franchises(anime: Sequence[Anime]) -> list[int]:
    """For each anime the smallest id among those that relations lead to, in any number of steps."""
    root = {each.anime_id: each.anime_id for each in anime}

    def find(anime_id: int) -> int:
        while root[anime_id] != anime_id:
            root[anime_id] = anime_id = root[root[anime_id]]
        return anime_id

    for each in anime:
        for relation in each.relations:
            if relation.anime_id in root and relation.kind != "CHARACTER":  # a guest appearance joins what is apart
                one, other = sorted((find(each.anime_id), find(relation.anime_id)))
                root[other] = one
    return [find(each.anime_id) for each in anime]
