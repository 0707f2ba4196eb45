"""What the catalogue says of anime, for the item-to-item memory: what they have in common (genres, tags, studios,
franchise, …) and how popular they are."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.lists.sequences import Sequences, Vocabulary

LARGEST_GROUP = 1_000
"""A trait that more anime share says nothing about them, and is left out."""
FRANCHISE, CONTENT = -1, -2
"""The user ids of groups that are franchises, and of those of a genre or a tag, which say what an anime is about."""
KINDS = {"franchise": FRANCHISE, "genre": CONTENT, "tag": CONTENT}
_PARTICLES = frozenset(
    ["no", "ga", "wa", "wo", "o", "ni", "to", "de", "e", "mo", "na", "kara", "the", "of", "in", "and", "a"]
)


def groups_in_common(catalogue: Iterable[Anime], vocabulary: Vocabulary) -> Sequences:
    """The items of each group of anime with a trait in common, as though they were somebody's list."""
    groups: dict[tuple[str, object], list[int]] = defaultdict(list)
    anime = list(catalogue)
    items = vocabulary.encode(np.array([each.anime_id for each in anime], np.int64)).tolist()
    for each, item, franchise in zip(anime, items, franchises(anime), strict=True):
        # Not a set: the order of the groups is the order of summation, and must be the same in every process.
        for group in dict.fromkeys([*groups_of(each), ("franchise", franchise)]):
            groups[group].append(item)
    chosen = {group: members for group, members in groups.items() if 2 <= len(members) <= LARGEST_GROUP}
    lists = list(chosen.values())
    kinds = [KINDS.get(kind, number) for number, (kind, _) in enumerate(chosen)]
    flat = np.array([item for members in lists for item in members], np.int32)
    offsets = np.cumsum([0, *map(len, lists)])
    return Sequences(flat, np.zeros(len(flat), np.int32), offsets, np.array(kinds, np.int64))


def popularity_of(catalogue: Iterable[Anime], vocabulary: Vocabulary) -> np.ndarray:
    """How popular each item is by the catalogue: float32 [N], 0 where it doesn't know."""
    known = {anime.anime_id: anime.popularity or 0 for anime in catalogue}
    return np.array([known.get(anime_id, 0) for anime_id in vocabulary.anime_ids.tolist()], np.float32)


def groups_of(anime: Anime) -> Iterator[tuple[str, object]]:
    yield from (("genre", genre) for genre in anime.genres)
    yield from (("tag", tag.name) for tag in anime.tags)
    yield from (("studio", studio.studio_id) for studio in anime.studios)
    yield from (
        (name, value)
        for name, value in (("format", anime.format), ("year", anime.year), ("source", anime.source))
        if value is not None
    )
    if words := _words(anime):
        yield "first word", words[0]
        yield "first words", " ".join(words[:2])


def _words(anime: Anime) -> list[str]:
    """The words of the title, what particles join as one: what begins with "Ao no" has nothing in common by that."""
    words: list[str] = []
    goes_on = False
    for word in (anime.title_romaji or "").casefold().split():
        word = re.sub(r"^\W+|\W+$", "", word)
        if not word:
            continue
        is_particle = word in _PARTICLES
        if words and (goes_on or is_particle):
            words[-1] += " " + word
        else:
            words.append(word)
        goes_on = is_particle
    return words


def _begin_alike(one: Anime, other: Anime) -> bool:
    """Whether their titles begin with the same word, in Latin letters or in English; `Gintama.` is `Gintama`."""

    def first_words(anime: Anime) -> set[str]:
        titles = (re.sub(r"[\W_]+", " ", title or "").split() for title in (anime.title_romaji, anime.title_english))
        return {words[0].casefold() for words in titles if words}

    return not first_words(one).isdisjoint(first_words(other))


def franchises(anime: Sequence[Anime], by_crossovers: bool = True) -> list[int]:
    """The smallest id that relations lead to from each anime, in any number of steps: the same within a franchise.

    by_crossovers: whether a relation of kind OTHER also joins titles that don't begin with the same word. AniList gives
    that kind to crossovers of several franchises, but also to relations that it has no better name for.
    """
    of_id = {each.anime_id: each for each in anime}
    root = {each.anime_id: each.anime_id for each in anime}

    def find(anime_id: int) -> int:
        while root[anime_id] != anime_id:
            root[anime_id] = anime_id = root[root[anime_id]]
        return anime_id

    for each in anime:
        for relation in each.relations:
            if relation.anime_id not in root or relation.kind == "CHARACTER":  # a guest appearance joins what is apart
                continue
            if by_crossovers or relation.kind != "OTHER" or _begin_alike(each, of_id[relation.anime_id]):
                one, other = sorted((find(each.anime_id), find(relation.anime_id)))
                root[other] = one
    return [find(each.anime_id) for each in anime]


def prequels(catalogue: Sequence[Anime]) -> dict[int, set[int]]:
    """For each anime that directly continues others of the catalogue, the ids of these. Either side may say so."""
    known = {anime.anime_id for anime in catalogue}
    before: dict[int, set[int]] = {}
    for anime in catalogue:
        for relation in anime.relations:
            if relation.anime_id in known and relation.anime_id != anime.anime_id:
                if relation.kind == "PREQUEL":
                    before.setdefault(anime.anime_id, set()).add(relation.anime_id)
                elif relation.kind == "SEQUEL":
                    before.setdefault(relation.anime_id, set()).add(anime.anime_id)
    return before
