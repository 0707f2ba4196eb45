"""A catalogue whose titles are easily mixed up, for the tests of the search by title."""

from __future__ import annotations

from anime_bert4rec.lists.records import Anime, Relation


def anime(anime_id, romaji, english=None, native=None, *, year, popularity, format="TV", synonyms=(), **related):
    """`related`: the kinds of relations, in small letters, with the ids of whom they lead to."""
    relations = tuple(Relation(each, kind.upper()) for kind, ids in related.items() for each in ids)
    return Anime(
        anime_id,
        title_romaji=romaji,
        title_english=english,
        title_native=native,
        format=format,
        year=year,
        start_date=year * 10_000 + 401,
        popularity=popularity,
        synonyms=synonyms,
        relations=relations,
    )


TITAN, HERO, KAGUYA = "Shingeki no Kyojin", "Boku no Hero Academia", "Kaguya-sama wa Kokurasetai"
FMA, EVA = "Hagane no Renkinjutsushi", "Evangelion: 1.0 You Are (Not) Alone"
CHINESE = ("鬼灭之刃", "鬼滅之刃")
CATALOGUE = [
    anime(1, "Cowboy Bebop", native="カウボーイビバップ", year=1998, popularity=430, side_story=[5]),
    anime(5, "Cowboy Bebop: Tengoku no Tobira", "Cowboy Bebop: The Movie", year=2001, popularity=80, format="MOVIE"),
    anime(9, "Steins;Gate", year=2011, popularity=545, sequel=[10]),
    anime(10, "Steins;Gate 0", year=2018, popularity=206),
    anime(20, "NARUTO", "Naruto", "NARUTO -ナルト-", year=2002, popularity=660, sequel=[21]),
    anime(21, "NARUTO: Shippuuden", "Naruto: Shippuden", year=2007, popularity=558, sequel=[22]),
    anime(23, "ONE PIECE", year=1999, popularity=667),
    anime(
        24, "One Piece Special", native="ワンピース ～空島～", year=2018, popularity=22, format="SPECIAL", parent=[23]
    ),
    anime(25, "Dungeon Meshi 2nd Season", native="ダンジョン飯 第2期", year=2026, popularity=35),
    anime(26, "Delicious in Dungeon", year=2024, popularity=190),
    anime(22, "Boruto: NARUTO NEXT GENERATIONS", year=2017, popularity=210),
    anime(30, TITAN, "Attack on Titan", "進撃の巨人", year=2013, popularity=960, synonyms=("进击的巨人",), sequel=[31]),
    anime(31, f"{TITAN} Season 2", "Attack on Titan Season 2", year=2017, popularity=674, sequel=[32]),
    anime(32, f"{TITAN} Season 3", "Attack on Titan Season 3", year=2018, popularity=630, sequel=[33]),
    anime(33, f"{TITAN} Season 3 Part 2", "Attack on Titan Season 3 Part 2", year=2019, popularity=560, sequel=[34]),
    anime(34, f"{TITAN}: The Final Season", "Attack on Titan Final Season", year=2020, popularity=588, sequel=[35]),
    anime(35, f"{TITAN}: The Final Season Part 2", year=2022, popularity=393),
    anime(36, f"{TITAN} OVA", year=2013, popularity=123, format="OVA", parent=[30]),
    anime(40, HERO, "My Hero Academia", year=2016, popularity=804, synonyms=("我的英雄學院",)),
    anime(41, f"{HERO} 2", "My Hero Academia Season 2", year=2017, popularity=610),
    anime(50, "One Punch Man", year=2015, popularity=711, sequel=[51]),
    anime(51, "One Punch Man 2", year=2019, popularity=430),
    anime(52, "Monster Development Department", year=2022, popularity=30),
    anime(53, "BNA", "Brand New Animal", year=2020, popularity=150),
    anime(60, "Sword Art Online", year=2012, popularity=660, sequel=[61]),
    anime(61, "Sword Art Online II", year=2014, popularity=420, sequel=[62]),
    anime(62, "Sword Art Online Movie: Ordinal Scale", year=2017, popularity=181, format="MOVIE", sequel=[63]),
    anime(63, "Sword Art Online: Alicization", year=2018, popularity=266, sequel=[64]),
    anime(64, "Sword Art Online: Alicization - War of Underworld", year=2019, popularity=203),
    anime(70, "HUNTER×HUNTER", "Hunter x Hunter", year=1999, popularity=123),
    anime(71, "HUNTER×HUNTER (2011)", "Hunter x Hunter (2011)", year=2011, popularity=770, alternative=[70]),
    anime(72, "Fruits Basket", year=2001, popularity=93),
    anime(73, "Fruits Basket 1st Season", "Fruits Basket", year=2019, popularity=286),
    anime(74, "Fruits Basket 2nd Season", year=2020, popularity=174, prequel=[73]),
    anime(80, FMA, "Fullmetal Alchemist", year=2003, popularity=244),
    anime(81, f"{FMA}: FULLMETAL ALCHEMIST", "Fullmetal Alchemist: Brotherhood", year=2009, popularity=665),
    anime(90, "Fate/Zero", year=2011, popularity=325, sequel=[91]),
    anime(91, "Fate/stay night", year=2006, popularity=175),
    anime(92, "Fate/stay night: Unlimited Blade Works", year=2014, popularity=246, alternative=[91]),
    anime(93, "Fate/Apocrypha", year=2017, popularity=124, alternative=[91]),
    anime(100, "K-ON!", native="けいおん!", year=2009, popularity=257),
    anime(101, "K-ON!!", native="けいおん!!", year=2010, popularity=157),
    anime(102, "K", year=2012, popularity=163),
    anime(103, "86", "86 EIGHTY-SIX", "86-エイティシックス-", year=2021, popularity=281),
    anime(104, "86 EIGHTY-SIX Part 2", native="86-エイティシックス-(第2クール)", year=2021, popularity=172),
    anime(105, "91 Days", year=2016, popularity=185),
    anime(106, "Mob Psycho 100", year=2016, popularity=500, sequel=[107]),
    anime(107, "Mob Psycho 100 II", year=2019, popularity=415),
    anime(
        110,
        "Kimetsu no Yaiba",
        "Demon Slayer: Kimetsu no Yaiba",
        "鬼滅の刃",
        year=2019,
        popularity=910,
        synonyms=CHINESE,
    ),
    anime(111, f"{KAGUYA}: Renai Zunousen", "Kaguya-sama: Love is War", year=2019, popularity=509),
    anime(112, f"{KAGUYA}?: Renai Zunousen", "Kaguya-sama: Love is War?", year=2020, popularity=401),
    anime(113, "Re:Zero kara Hajimeru Isekai", "Re:ZERO -Starting Life in Another World-", year=2016, popularity=555),
    anime(114, "Kidou Senshi Gundam", "Mobile Suit Gundam", year=1979, popularity=44),
    anime(115, "Kidou Senshi Gundam: Suisei no Majo", year=2022, popularity=68),
    anime(116, "∀ Gundam", "Turn A Gundam", year=1999, popularity=20),
    anime(117, "DEATH NOTE", "Death Note", "デスノート", year=2006, popularity=875),
    anime(118, "Ginga Eiyuu Densetsu", "Legend of the Galactic Heroes", year=1988, popularity=79),
    anime(119, "Jujutsu Kaisen (TV)", "Jujutsu Kaisen", year=2020, popularity=870),
    anime(120, "Kimi no Na wa.", "Your Name.", year=2016, popularity=652, format="MOVIE", synonyms=("你的名字",)),
    anime(121, "Code Geass: Hangyaku no Lelouch", year=2006, popularity=450, sequel=[122]),
    anime(122, "Code Geass: Hangyaku no Lelouch R2", year=2008, popularity=333),
    anime(123, "Code Geass: Dakkan no Rozé", year=2024, popularity=31, format="ONA"),
    anime(124, "Shin Seiki Evangelion", "Neon Genesis Evangelion", year=1995, popularity=449, alternative=[125]),
    anime(125, "Evangelion Shin Movie: Jo", EVA, year=2007, popularity=130, format="MOVIE"),
    anime(126, "THE IDOLM@STER", year=2011, popularity=42),
    anime(127, "Ookami to Koushinryou", "Spice and Wolf", year=2008, popularity=170),
    anime(131, "Love Live! School idol project", year=2013, popularity=90),
    anime(132, "Love Live! Sunshine!!", year=2016, popularity=58, sequel=[133]),
    anime(133, "Love Live! Sunshine!! Season 2", year=2017, popularity=35),
    Anime(999),
    *(anime(1000 + n, f"Little known {n}", year=2000, popularity=n) for n in range(80)),
]
