"""The map: names, genres, that no name covers another, and what it is made from."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up_runs import shown_texts
from matplotlib.figure import Figure

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.item_memory import ItemMemory
from anime_bert4rec.model.memory_config import MemoryConfig
from anime_bert4rec.model.model_files import save_item_mappings, save_model
from anime_bert4rec.plots.anime_map import (
    BY_EMBEDDING,
    BY_MEMORY,
    anime_map,
    label_of,
    load_map_points,
    main_genres,
    spread_out,
)
from anime_bert4rec.plots.map_layout import force_layout
from anime_bert4rec.plots.style import can_be_drawn
from anime_bert4rec.support.errors import UserError


def some_anime(count: int) -> list[Anime]:
    genres = ("Action", "Comedy", "Drama", "Fantasy", "Horror", "Mecha", "Music", "Romance", "Sports", "Thriller")
    return [
        Anime(k, title_romaji=f"Title number {k}", genres=(genres[k % 10], genres[k % 3]) if k % 7 else ())
        for k in range(1, count + 1)
    ]


def drawn_map(anime: list[Anime], points: np.ndarray, popularity: np.ndarray) -> Figure:
    order = np.argsort(-popularity, kind="stable")
    place = spread_out(force_layout(points[order]))
    return anime_map([anime[each] for each in order], place, popularity[order], "Made up.")


@pytest.mark.parametrize("count", [1, 2, 5, 200])
def test_names_are_whole_and_cover_nothing(count: int) -> None:
    points = np.random.default_rng(0).normal(size=(count, 8))
    figure = drawn_map(some_anime(count), points, np.arange(count))
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown_texts(figure)]
    names = {name for name, _ in boxes if name.startswith("Title")}
    assert f"Title number {count}" in names  # the most popular one
    assert len(names) <= 60
    for (name, box), (other, another) in itertools.combinations(boxes, 2):
        assert not box.padded(-3).overlaps(another.padded(-3)), (name, other)  # 3 of 1,600 pixels: rounding
    for name, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height, name


def test_every_title_is_on_the_map_once() -> None:
    figure = drawn_map(some_anime(50), np.random.default_rng(0).normal(size=(50, 8)), np.zeros(50))
    drawn = figure.axes[0].collections
    assert sum(len(each.get_offsets()) for each in drawn) == 50
    assert len({tuple(each.get_facecolor()[0][:3]) for each in drawn}) == len(drawn)


def test_titles_that_the_font_lacks_are_in_romaji() -> None:
    native = Anime(5, title_romaji="Kimi no Na wa.", title_native="君の名は。")
    assert label_of(native) == "Kimi no Na wa."
    assert label_of(Anime(5, title_english="君の名は", title_romaji="Kimi no Na wa.")) == "Kimi no Na wa."
    assert label_of(Anime(5, title_native="君の名は。")) == "anime 5"
    both = Anime(5, title_romaji="Kimi no Na wa.", title_english="Your Name.", title_native="君の名は。")
    assert [label_of(both, each) for each in ("english", "romaji", "native")] == [
        "Your Name.",
        "Kimi no Na wa.",
        "Your Name.",
    ]
    assert label_of(Anime(5, title_romaji="a\x1b[31mb\n$x$")) == "ab $x$"
    assert label_of(Anime(5, title_romaji="x" * 300)) == "x" * 25 + "…"
    assert can_be_drawn("Pokémon ½") and not can_be_drawn("日本")


def test_a_title_with_dollars_is_no_formula() -> None:
    anime = [Anime(k, title_romaji=r"$\frac{$") for k in (1, 2)]
    drawn_map(anime, np.eye(2), np.ones(2)).draw_without_rendering()


def test_genres_are_what_they_are_called() -> None:
    hostile = ("$\\undefined{x$", "_hidden", "two\nlines\x1b[2J", "日本 e\u0301", "a genre of a length beyond measure")
    anime = [Anime(k, title_romaji="x", genres=(genre,)) for k, genre in enumerate(hostile)]
    legend = drawn_map(anime, np.eye(5), np.ones(5)).axes[0].get_legend()
    assert legend is not None
    shown = ["$\\undefined{x$", "_hidden", "a genre of a length…", "two lines", "□□ é"]
    assert [text.get_text() for text in legend.get_texts()] == shown
    assert not any(text.get_parse_math() for text in legend.get_texts())


def test_main_genres_are_the_rarest_of_the_common_ones() -> None:
    anime = [Anime(k, genres=("Action", "Drama")) for k in range(3)] + [Anime(9, genres=("Action",)), Anime(10)]
    assert main_genres(anime) == ["Drama"] * 3 + ["Action", "other"]
    # Ten genres of equal size: the first eight by name are the common ones.
    anime = [Anime(k, genres=(f"genre {k}",)) for k in range(10)]
    assert main_genres(anime) == [f"genre {k}" for k in range(8)] + ["other"] * 2


def saved(folder: Path, memory: ItemMemory | None) -> Path:
    torch.manual_seed(0)
    config = ModelConfig(num_items=6, hidden_size=4, num_heads=2, memory=memory.config if memory else None)
    save_model(folder / "best_model.pth", BERT4Rec(config, memory), epoch=1, val_loss=1.0)
    save_item_mappings(folder / "item_mappings.pkl", Vocabulary.of([10, 20, 30, 40, 50, 60]))
    return folder


def test_the_map_is_made_from_the_embeddings_where_there_is_no_memory(tmp_path: Path) -> None:
    known = load_map_points(saved(tmp_path, None), {20: 3, 30: 1, 40: 0})
    assert known.anime_ids.tolist() == [20, 30]  # those on a list
    assert (known.points.shape, known.source) == ((2, 4), BY_EMBEDDING)


def test_the_map_is_made_from_the_memory_where_there_is_one(tmp_path: Path) -> None:
    memory = ItemMemory(MemoryConfig(num_items=6, table_size=4, ordered=False, recency=1.0))
    memory.kept.copy_(torch.tensor([0, 1, 3, 5]))
    # 10 goes with 20 and 40 with 60: with P the table, the weight between i and j is -P_ij / P_jj.
    inverse = torch.eye(4)
    for i, j in ((0, 1), (1, 0), (2, 3), (3, 2)):
        inverse[i, j] = -0.5
    memory.ease.inverse = inverse
    known = load_map_points(saved(tmp_path, memory), dict.fromkeys(range(10, 70, 10), 1))
    assert (known.anime_ids.tolist(), known.source) == ([10, 20, 40, 60], BY_MEMORY)
    similar = known.points @ known.points.T
    assert similar[0, 1] > similar[0, 2] + 0.1 and similar[2, 3] > similar[1, 3] + 0.1


def test_files_of_two_runs_are_refused(tmp_path: Path) -> None:
    save_item_mappings(saved(tmp_path, None) / "item_mappings.pkl", Vocabulary.of([1, 2]))
    with pytest.raises(UserError, match="two runs"):
        load_map_points(tmp_path, {1: 1})
