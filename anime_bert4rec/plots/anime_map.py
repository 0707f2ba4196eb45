"""Draws anime_map.png: the titles of the catalogue in the plane, those that go together near each other."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.model.item_space import placed_columns, vectors_of
from anime_bert4rec.plots import style
from anime_bert4rec.plots.map_layout import framed, place_labels, spread_apart
from anime_bert4rec.plots.matplotlib_settings import with_own_settings
from anime_bert4rec.support.text import plain

MOST_TITLES = 3_000
"""How many titles are on the map, the most popular ones."""
BY_MEMORY = "From the model's item-to-item memory (EASE): what is listed together, and what shares genres or studios."
BY_EMBEDDING = "From the item embeddings that the network has learnt."
LABELS = 60
"""How many titles have their name on the map at most."""
CANDIDATES = 600
"""How many of the most popular titles are tried, so that names are not only where these crowd."""
LONGEST_LABEL = 26
LABEL_SIZE = 7.5
ROOM, ROOM_OF_NAMED = 0.008, 0.04  # around a title, on a map that is 2 wide
OTHER = "other"
COLORS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#222222")
"""Okabe and Ito's eight, told apart with any colour vision; the shapes tell them apart in grey."""
SHAPES = ("o", "s", "^", "D", "v", "P", "X", "<")


@dataclass(frozen=True)
class MapPoints:
    anime_ids: np.ndarray
    points: np.ndarray
    """float [N, D]: titles that go together have a similar direction."""
    source: str
    """What the points are made from: a sentence for the caption."""


def load_map_points(models: Path, popularity: dict[int, int]) -> MapPoints:
    """The most popular titles of best_model.pth in the folder, as points. Raises UserError."""
    from anime_bert4rec.model.model_files import load_model_with_items  # brings torch along, which drawing doesn't need

    model, _, vocabulary = load_model_with_items(models)
    placed = placed_columns(model)
    seen = np.array([popularity.get(int(anime_id), 0) for anime_id in vocabulary.anime_ids[placed]])
    top = placed[_most_popular(seen)]
    source = BY_EMBEDDING if model.memory is None else BY_MEMORY
    return MapPoints(vocabulary.anime_ids[top], vectors_of(model, top), source)


def _most_popular(seen: np.ndarray) -> np.ndarray:
    """The positions, ascending, of the most popular titles that are on a list: of the rest lists tell nothing."""
    top = np.argsort(-seen, kind="stable")[:MOST_TITLES]
    return np.sort(top[seen[top] > 0])


def spread_out(place: np.ndarray) -> np.ndarray:
    """Places [N, 2] of `map_layout.force_layout`, the most popular title first, as they are on the map: -1 to 1,
    with room around each, most around those that have a name."""
    place = spread_apart(framed(place), np.where(np.arange(len(place)) < LABELS, ROOM_OF_NAMED, ROOM))
    return 2 * (place - place.min(0)) / np.maximum(np.ptp(place, axis=0), 1e-9) - 1 if len(place) > 1 else place


@with_own_settings
def anime_map(
    anime: Sequence[Anime], place: np.ndarray, popularity: np.ndarray, source: str, language: str = "english"
) -> Figure:
    """The map of `anime`, the most popular first, each a row of `place` [N, 2] and a number of `popularity` [N].

    place: what `spread_out` gives. source: what the places are made from, a sentence for the caption.
    """
    genres = main_genres(anime)
    caption = (
        f"{source}\nNear titles go together; the axes mean nothing. Coloured by the rarest of a title's genres among"
        " the eight\nmost common ones. Larger: more popular. The most popular ones whose name fits have it."
    )
    figure, (ax,) = style.new_figure(
        8.6, "Map of anime", f"{len(anime):,} anime", caption, left=0.2 / 8, right=1 - 0.2 / 8
    )
    style.axis_label(ax, "x", "")
    ax.grid(False)
    ax.set(xticks=[], yticks=[], xlim=(-1.04, 1.04), ylim=(-1.04, 1.04))
    for spine in ax.spines.values():
        spine.set_visible(False)
    size = 5 + 45 * popularity / max(float(popularity.max(initial=0)), 1)
    drawn = sorted({*genres} - {OTHER})
    looks = {OTHER: ("#bbbbbb", "o"), **dict(zip(drawn, zip(COLORS, SHAPES, strict=True), strict=False))}
    dots = {}
    for genre, (color, shape) in looks.items():
        of_genre = np.array([each == genre for each in genres], bool)
        if of_genre.any():
            dots[genre] = ax.scatter(
                place[of_genre, 0], place[of_genre, 1], s=size[of_genre], c=color, marker=shape, alpha=0.8,
                linewidths=0, zorder=1 if genre == OTHER else 2,
            )  # fmt: skip
    # The clusters overlap, so no label could stand beside one: here a legend is clearer.
    legend = ax.legend(
        list(dots.values()), [""] * len(dots),
        loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=5, frameon=False, handletextpad=0.1, columnspacing=1.2,
        prop={"family": style.FONT, "size": style.SMALL_SIZE}, labelcolor=style.INK, borderaxespad=0.0,
    )  # fmt: skip
    for text, genre in zip(legend.get_texts(), dots, strict=True):
        text.set_text(genre)  # here, for a label that begins with "_" would be left out
    for handle in filter(None, legend.legend_handles):
        handle.set(sizes=[36], alpha=1)
    names = [label_of(each, language) for each in anime[:CANDIDATES]]
    _write_names(figure, names, place[:CANDIDATES])
    return figure


def _write_names(figure: Figure, names: Sequence[str], place: np.ndarray) -> None:
    ax = figure.axes[0]
    renderer = FigureCanvasAgg(figure).get_renderer()
    points = ax.transData.transform(place) if len(place) else np.zeros((0, 2))
    font = FontProperties(family=style.FONT, size=LABEL_SIZE)
    point = style.DPI / 72
    sizes = []
    for name in names:
        width, height, _ = renderer.get_text_width_height_descent(name, font, False)
        sizes.append((width + 2 * point, height + point))
    area = ax.get_window_extent()
    boxes = place_labels(points, sizes, (area.x0, area.y0, area.x1, area.y1), 1.6 * point, LABELS)
    for name, box, (x, y) in zip(names, boxes, place, strict=True):
        if box:
            text = ax.annotate(
                name, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), xycoords="figure pixels", ha="center",
                va="center", color=style.INK, fontproperties=font, zorder=5,
            )  # fmt: skip
            text.set_bbox({"facecolor": "white", "alpha": 0.72, "edgecolor": "none", "pad": 0.4})
            ax.plot([x], [y], marker="o", markersize=2.5, color=style.INK, zorder=4, label="named")


def main_genres(anime: Sequence[Anime]) -> list[str]:
    """The main genre of each anime: the rarest of its genres among the eight that most titles have, or else OTHER."""
    names = [[style.drawable(genre, 20) for genre in each.genres] for each in anime]
    counts = Counter(itertools.chain.from_iterable(names))
    common = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[: len(COLORS)])
    return [
        min((genre for genre in of_one if genre in common), key=lambda genre: (common[genre], genre), default=OTHER)
        for of_one in names
    ]


def label_of(anime: Anime, language: str = "english") -> str:
    """The title in the language, else the English, the romaji or the native one: the first that the font can write."""
    titles = {"english": anime.title_english, "romaji": anime.title_romaji, "native": anime.title_native}
    for title in (titles[language], *titles.values()):
        text = plain(title or "", 200)
        if text and style.can_be_drawn(text):
            return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1].rstrip(" :,.-") + "…"
    return f"anime {anime.anime_id}"
