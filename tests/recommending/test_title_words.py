"""What a title says by its words: letters that count, numbers of seasons and parts, initials."""

from __future__ import annotations

import pytest

from anime_bert4rec.recommending.title_words import Name, bare_title, fold, initials_fit, numbered, sound, subtitles_of


def test_marks_of_kana_are_letters_and_accents_are_not():
    assert fold("がっこう") != fold("かっこう")
    assert fold("ガ") == fold("カ\u3099")
    assert fold("Café's") == ["cafes"]
    assert fold("ＤＥＡＴＨ　ＮＯＴＥ Ⅱ") == ["death", "note", "ii"]
    assert fold("HUNTER×HUNTER") == ["hunter", "x", "hunter"]
    assert fold("Spice & Wolf") == ["spice", "and", "wolf"]


def test_long_vowels_are_spelt_in_several_ways():
    assert sound(["yuusha", "shounen", "ookami"]) == sound(["yusha", "shonen", "okami"])
    assert sound(["ii"]) == ["ii"]  # a Roman number


@pytest.mark.parametrize(
    ("title", "base", "season", "part", "final"),
    [
        ("Attack on Titan", "attack on titan", None, None, False),
        ("Attack on Titan Season 3 Part 2", "attack on titan", 3, 2, False),
        ("進撃の巨人 Season３ Part.2", "進撃の巨人", 3, 2, False),
        ("進撃の巨人第2期", "進撃の巨人", 2, None, False),
        ("鬼灭之刃 第二季", "鬼灭之刃", 2, None, False),
        ("刀劍神域II", "刀劍神域", 2, None, False),
        ("モブサイコⅢ", "モブサイコ", 3, None, False),
        ("フェイト/ゼロ 2ndシーズン", "フェイト ゼロ", 2, None, False),
        ("機動戦士ガンダム00 セカンドシーズン", "機動戦士ガンダム00", 2, None, False),
        ("Haikyuu!! Second Season", "haikyuu", 2, None, False),
        ("aot S2", "aot", 2, None, False),
        ("Overlord Ⅲ", "overlord", 3, None, False),
        ("Boku no Hero Academia 2", "boku no hero academia", 2, None, False),
        ("To LOVE-Ru Darkness 2nd", "to love ru darkness", 2, None, False),
        ("Log Horizon Dai 2 Series", "log horizon", 2, None, False),
        ("Initial D Fourth Stage", "initial d", 4, None, False),
        ("Shingeki no Kyojin: The Final Season Part 2", "shingeki no kyojin", None, 2, True),
        ("進撃の巨人 The Final Season完結編", "進撃の巨人 完結編", None, None, True),
        ("86-エイティシックス-(第2クール)", "86 エイティシックス", None, 2, False),
        ("Stone Ocean 2nd Cour", "stone ocean", None, 2, False),
        # numbers that are of the title
        ("86", "86", None, None, False),
        ("86 EIGHTY-SIX Part 2", "86 eighty six", None, 2, False),
        ("91 Days", "91 days", None, None, False),
        ("Mob Psycho 100", "mob psycho 100", None, None, False),
        ("Mob Psycho 100 II", "mob psycho 100", 2, None, False),
        ("Steins;Gate 0", "steins gate 0", None, None, False),
        ("Kidou Senshi Gundam 00", "kidou senshi gundam 00", None, None, False),
        ("Area 88", "area 88", None, None, False),
        ("Season 2", "season 2", None, None, False),
        ("Getter Robo G", "getter robo g", None, None, False),
    ],
)
def test_seasons_and_parts(title, base, season, part, final):
    found = numbered(fold(title))
    assert found[:4] == (fold(base), season, part, final)


@pytest.mark.parametrize(
    ("letters", "title", "fit"),
    [
        ("aot", "Attack on Titan", 1),
        ("hxh", "Hunter x Hunter", 1),
        ("logh", "Legend of the Galactic Heroes", 1),
        ("kny", "Kimetsu no Yaiba", 1),
        ("fmab", "Fullmetal Alchemist: Brotherhood", 0.1),
        ("jjk", "Jujutsu Kaisen", 0.1),
        ("opm", "Monster Development Department", 0),
        ("aot", "Attack on Titan Season 2", 0),
        ("at", "Attack on Titan", 1),  # small words need not be there
        ("mono", "Monster", 0),
    ],
)
def test_initials(letters, title, fit):
    assert initials_fit(letters, fold(title)) == fit


def test_subtitles_and_namesakes():
    assert subtitles_of("Re:ZERO -Starting Life in Another World-")[0] == "Re:ZERO"
    assert subtitles_of("Kaguya-sama: Love is War") == ["Kaguya-sama", "Love is War"]
    assert subtitles_of("86-エイティシックス-")[0].startswith("86")
    assert bare_title("HUNTER×HUNTER (2011)") == "HUNTER×HUNTER"
    assert bare_title("Jujutsu Kaisen (TV)") == "Jujutsu Kaisen"
    assert bare_title("(2011)") == "(2011)"


def test_the_share_of_a_title_that_words_are():
    name = Name(0, "Kaze no Machi: Umi", fold("Kaze no Machi: Umi"), is_title=True)
    of = {"umi": 3 / 14, "kaze": 4 / 11, "kaze umi": 7 / 14, "kaze no": 1, "mac": 0, "umi sora": 0, "kazen": 0.1}
    assert {typed: name.share(typed.split()) for typed in of} == pytest.approx(of)
