"""Chinese characters are one, however they are written."""

from __future__ import annotations

import pytest

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.recommending.title_characters import TRADITIONAL
from anime_bert4rec.recommending.title_search import TitleSearch
from anime_bert4rec.recommending.title_words import fold


def test_what_is_usual_stays_as_it_is():
    """Else what is typed and what is looked through could differ, for each is written anew once."""
    usual = "".join(TRADITIONAL.values())
    assert len(TRADITIONAL) > 1400 and usual.translate(TRADITIONAL) == usual
    assert all("\u4e00" <= each <= "\u9fff" for each in [*map(chr, TRADITIONAL), *usual])


@pytest.mark.parametrize(
    "same",
    [
        ("進擊的巨人", "进击的巨人", "進撃的巨人"),
        ("我的英雄學院", "我的英雄学院"),
        ("鋼之鍊金術師", "鋼之煉金術師", "钢之炼金术师"),
        ("咒術迴戰", "咒術回戰", "咒术回战"),
        ("最終季", "最终季"),
        ("機動戰士鋼彈", "机动战士钢弹", "機動戦士鋼弾"),
        ("葬送的芙莉蓮", "葬送的芙莉莲"),
        ("孤獨搖滾", "孤独摇滚", "孤独揺滾"),
        ("灌籃高手", "灌篮高手"),
        ("輝耀姬", "辉耀姬", "輝耀姫"),
        ("鬼滅之刃無限列車篇", "鬼灭之刃无限列车篇"),
        ("紫羅蘭永恆花園", "紫罗兰永恒花园"),
        ("涼宮春日的憂鬱", "凉宫春日的忧郁"),
        ("魔法少女小圓", "魔法少女小圆"),
        ("夏目友人帳", "夏目友人帐"),
    ],
)
def test_either_way_of_writing_is_the_same(same):
    assert len({tuple(fold(each)) for each in same}) == 1


def test_a_title_is_found_by_the_way_that_the_catalogue_lacks():
    one_piece = Anime(21, title_romaji="ONE PIECE", synonyms=("海贼王",), popularity=500)
    other = Anime(122052, title_native="海賊王女", popularity=50)
    titan = Anime(16498, title_native="進撃の巨人", synonyms=("进击的巨人",), popularity=900)
    search = TitleSearch([one_piece, other, titan, Anime(20958, title_native="進撃の巨人 Season2", popularity=600)])
    for typed, meant in (("海賊王", 21), ("海賊王女", 122052), ("進擊的巨人", 16498), ("進擊的巨人 第二季", 20958)):
        assert search.find(typed).anime.anime_id == meant, typed
