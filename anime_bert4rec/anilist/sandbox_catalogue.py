"""The catalogue of the made-up AniList: a function of `SEED` and of nothing else.

A franchise has one or two themes (genres, tags, a usual source), a studio with a style, an appeal and a quality. It
starts with an entry title; sequels form a chain (PREQUEL, SEQUEL), films and specials hang on it (PARENT, SIDE_STORY),
each later and a little less popular than what it follows.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from anime_bert4rec.lists.dates import DAY_SECONDS, SEASONS, date_of, quarter_of
from anime_bert4rec.lists.records import Anime, Relation, Studio, Tag

SEED = 20_260_901
"""All random numbers of the sandbox start from it."""

CATALOGUE_SIZE = 20_800
"""Anime of the catalogue."""

LARGEST_FRANCHISE = 14
"""The most anime of one franchise."""

TODAY = 20_697
"""The day on which the sandbox stands still: 1 September 2026, in days since 1970 like every day below."""

# The share of the franchises that start with the format, its appeal, minutes, and choices of how many episodes.
FORMATS = {
    "TV": (0.44, 0.7, 24, (12, 12, 12, 13, 13, 24, 25, 26, 50)),
    "MOVIE": (0.14, 0.1, 100, (1,)),
    "OVA": (0.12, -0.5, 28, (1, 1, 2, 4, 6)),
    "ONA": (0.13, -0.2, 15, (1, 6, 12, 12)),
    "SPECIAL": (0.05, -0.8, 20, (1, 1, 2, 3)),
    "TV_SHORT": (0.05, -0.7, 4, (12, 13)),
    "MUSIC": (0.07, -1.3, 4, (1,)),
}
TV, MOVIE, OVA, ONA, SPECIAL, TV_SHORT, MUSIC = range(len(FORMATS))
SOURCES = ("MANGA", "LIGHT_NOVEL", "ORIGINAL", "VISUAL_NOVEL", "VIDEO_GAME", "NOVEL", "WEB_NOVEL", "OTHER")
# Genres, tags, the usual source, the share of the franchises (relative to the others'), and the appeal.
THEMES = (
    ("Action, Adventure, Supernatural", "Shounen, Super Power, Martial Arts, Demons, Ninja", "MANGA", 7, 0.5),
    ("Fantasy, Action, Adventure", "Isekai, Magic, Swordplay, Dragons, Reincarnation", "LIGHT_NOVEL", 8, 0.4),
    ("Romance, Comedy, Slice of Life", "School, Coming of Age, Love Triangle, Tsundere", "MANGA", 8, 0.3),
    ("Drama, Romance", "Shoujo, Josei, Tragedy, Primarily Adult Cast, Amnesia", "MANGA", 6, 0.1),
    ("Mecha, Sci-Fi, Action", "Real Robot, Super Robot, Military, War", "ORIGINAL", 6, -0.1),
    ("Sci-Fi, Psychological, Thriller", "Cyberpunk, Dystopian, Time Manipulation, Philosophy", "ORIGINAL", 5, 0.3),
    ("Sports, Drama", "Athletics, Baseball, Football, Volleyball", "MANGA", 5, 0.1),
    ("Music, Slice of Life", "Idol, Band, Classical Music, Dancing", "VIDEO_GAME", 6, -0.1),
    ("Horror, Mystery, Supernatural", "Gore, Ghost, Vampire, Survival, Zombie", "MANGA", 5, 0.1),
    ("Mystery, Thriller, Drama", "Detective, Crime, Police, Conspiracy, Gambling", "NOVEL", 5, 0.2),
    ("Mahou Shoujo, Fantasy, Comedy", "Henshin, Witch, Female Protagonist", "ORIGINAL", 5, -0.2),
    ("Slice of Life, Comedy", "Iyashikei, Cute Girls Doing Cute Things, Food, Camping", "MANGA", 7, 0.0),
    ("Comedy, Ecchi, Romance", "Female Harem, Maids, Slapstick, Nudity", "LIGHT_NOVEL", 6, 0.1),
    ("Adventure, Drama, Action", "Historical, Samurai, Politics, Mythology", "NOVEL", 5, 0.0),
    ("Supernatural, Drama, Fantasy", "Youkai, Urban Fantasy, Gods, Afterlife", "VISUAL_NOVEL", 6, 0.2),
    ("Comedy, Adventure", "Kids, Animals, Anthropomorphism, Educational", "OTHER", 8, -0.7),
    ("Sci-Fi, Adventure, Comedy", "Space, Aliens, Space Opera, Robots, Parody", "ORIGINAL", 5, 0.0),
    ("Hentai", "Nudity, Office Lady, Maids", "VISUAL_NOVEL", 3, -0.6),
)
ADULT = len(THEMES) - 1
STYLES = 6
"""Dimensions of what makes works alike beyond their themes."""

STUDIOS_A_THEME = 16
"""Studios that make works of one theme."""

SYLLABLES = re.findall(
    r"(\w+) (\w+)",
    "vo ヴォ, zu ズ, pya ピャ, lu ル, fi フィ, tsa ツァ, mo モ, be ベ, ki キ, ra ラ, ne ネ, dho ドォ, wi ウィ, "
    "ju ジュ, ga ガ, se セ, po ポ, nya ニャ, ti ティ, he ヘ, mu ム, zo ゾ, rya リャ, fe フェ, bu ブ, kwa クァ, "
    "chi チ, gu グ",
)
WORDS = re.findall(
    r"(\w+) (\w+) (\w+)",
    "Hoshi 星 Star, Kaze 風 Wind, Mori 森 Forest, Umi 海 Sea, Tsuki 月 Moon, Yuki 雪 Snow, Hikari 光 Light, "
    "Uta 歌 Song, Fune 船 Ship, Hana 花 Flower, Sora 空 Sky, Yume 夢 Dream, Kawa 川 River, Ishi 石 Stone, "
    "Neko 猫 Cat, Tobira 扉 Door, Shima 島 Island, Tsubasa 翼 Wing, Kage 影 Shadow, Machi 街 Town, Kagi 鍵 Key, "
    "Kagami 鏡 Mirror, Ame 雨 Rain",
)


class Row(NamedTuple):
    """One anime of the catalogue. The rows of a franchise stand side by side, sorted by date."""

    row: int
    first: int  # the row of the franchise's entry title
    parent: int  # the row of what it follows, its own for an entry title
    main: bool  # on the chain of sequels, not beside it
    number: int  # of the season
    theme: int
    theme2: int
    share: float  # of the first theme
    studio: int
    format: int
    episodes: int
    day: int  # of the first airing
    anime_id: int
    popularity: int
    favourites: int
    score: int  # 0: too few people have rated it
    quality: float
    updated: int  # unix seconds
    trending: int
    follow: float  # how likely somebody goes on to it from `parent`


class Catalogue(NamedTuple):
    """The rows of all anime, and arrays about those which begin a franchise (the entry titles)."""

    rows: list[Row]
    entry_rows: np.ndarray  # of the entry titles, by date
    entry_days: np.ndarray
    entry_traits: np.ndarray  # [themes + styles + 3, entries]; the last: decades since 2016, squared, log popularity


@functools.cache
def catalogue() -> Catalogue:
    """Return the catalogue, made on first use. Its popularities fall with rank about as AniList's do."""
    rng = np.random.default_rng(SEED)
    shares, appeals = np.array([theme[3:] for theme in THEMES], float).T
    format_shares, format_appeals = np.array([each[:2] for each in FORMATS.values()]).T
    count = CATALOGUE_SIZE  # of franchises: more than needed, and cut below
    theme, theme2 = rng.choice(len(THEMES), (2, count), p=shares / shares.sum())
    theme2 = np.where((theme == ADULT) | (theme2 == ADULT), theme, theme2)
    share = rng.uniform(0.55, 1.0, count)
    studio = theme * STUDIOS_A_THEME + (STUDIOS_A_THEME * rng.random(count) ** 2).astype(int)
    style = 0.8 * rng.normal(size=(studio.max() + 1, STYLES))[studio] + 0.6 * rng.normal(size=(count, STYLES))
    talent = rng.normal(size=count)
    first_format = np.where(theme == ADULT, OVA, rng.choice(len(FORMATS), count, p=format_shares))

    # Time is counted in quarters of a year since 1970, which are the seasons of television.
    now = (2026 - 1970) * 4 + 2
    size = rng.geometric(1 / (1 + 0.75 * np.exp(0.6 * talent) * (first_format != MUSIC))).clip(max=LARGEST_FRANCHISE)
    of = np.repeat(np.arange(count), size)
    is_entry = np.diff(of, prepend=-1) > 0
    begin = np.maximum(now - rng.exponential(4 * 12.0, count), 0).astype(int)
    quarter = begin[of] + _running_sum(rng.geometric(0.2, of.size), is_entry)
    kept = np.flatnonzero(quarter <= now + 3)[:CATALOGUE_SIZE]  # nobody has heard of anything later
    of, is_entry, quarter, row = of[kept], is_entry[kept], quarter[kept], np.arange(kept.size)
    first = np.maximum.accumulate(np.where(is_entry, row, 0))

    main = is_entry | (rng.random(row.size) < 0.6)
    number = 1 + _running_sum(main.astype(int), is_entry)
    parent = np.where(is_entry, row, np.maximum.accumulate(np.where(main, row, 0))[row - 1])
    beside = rng.choice([MOVIE, SPECIAL, OVA, ONA, TV_SHORT], row.size, p=[0.2, 0.38, 0.27, 0.1, 0.05])
    film = ~is_entry & (first_format[of] == TV) & (rng.random(row.size) < 0.12)
    form = np.where(main, np.where(film, MOVIE, first_format[of]), beside)
    episodes = np.choose(form, [rng.choice(choices, row.size) for *_, choices in FORMATS.values()])
    quarter_start = (np.datetime64("1970-01", "M") + 3 * quarter).astype("datetime64[D]").astype(int)
    day = quarter_start + rng.integers(0, np.where(form == TV, 14, 88))

    age = (TODAY - day) / 365.25
    pull = (talent + appeals[theme] + format_appeals[first_format])[of]
    pull -= np.where(main, 0.35, 0.4) * (number - 1) + 0.9 * ~main + np.abs(rng.normal(0, 0.08, row.size))
    pull -= 0.035 * np.maximum(age - 18, 0) + np.where(age < 0, 1.0, 0.4 * np.exp(-np.abs(age)))
    popularity = np.ceil(960_000 * np.exp(-0.146 * (1.0 + _ranks(-pull)) ** 0.42)).astype(int)
    quality = (0.75 * talent + 0.65 * rng.normal(size=count))[of] + rng.normal(0, 0.3, row.size)
    score = (66 + 8.5 * quality).round().clip(25, 94).astype(int)
    score[(age < 0) | (popularity < rng.integers(0, 400, row.size))] = 0
    ids = np.cumsum(rng.geometric(1 / 9, row.size))[_ranks(day + rng.normal(0, 150, row.size))]
    updated = DAY_SECONDS * TODAY - rng.exponential(DAY_SECONDS * 200, row.size).astype(int)
    favourites = (popularity * 0.03 * np.exp(0.6 * quality)).astype(int)
    trending = (popularity * np.exp(-np.abs(age))).astype(int)
    follow = (popularity / popularity[parent]).clip(0.03, 0.93)
    columns = [row, first, parent, main, number, theme[of], theme2[of], share[of], studio[of], form, episodes, day]
    columns += [ids, popularity, favourites, score, quality, updated, trending, follow]

    entries = np.flatnonzero(is_entry)[np.argsort(day[is_entry], kind="stable")]
    of, decades, one_hot = of[entries], 1.07 - age[entries] / 10, np.eye(len(THEMES))
    themes = share[of] * one_hot[:, theme[of]] + (1 - share[of]) * one_hot[:, theme2[of]]
    traits = [themes, style[of].T / np.sqrt(STYLES), decades, decades**2, np.log(popularity[entries])]
    rows = [Row(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]
    return Catalogue(rows, entries, day[entries], np.vstack(traits))


def _running_sum(steps: np.ndarray, is_first: np.ndarray) -> np.ndarray:
    """The sum of `steps` up to each place, starting again with 0 where `is_first`."""
    total = np.cumsum(steps)
    return total - total[is_first][np.cumsum(is_first) - 1]


def _ranks(keys: np.ndarray) -> np.ndarray:
    """Count for each key those of `keys` that come before it in ascending order."""
    return np.argsort(np.argsort(keys, kind="stable"))


def sorted_by(sort: str) -> list[Row]:
    """The catalogue in one of AniList's orders; what is unknown counts as 0."""
    name, sign = sort.removesuffix("_DESC"), -1 if sort.endswith("_DESC") else 1
    field = {"START_DATE": "day", "UPDATED_AT": "updated", "ID": "anime_id"}.get(name, name.lower())
    return sorted(catalogue().rows, key=lambda row: (sign * getattr(row, field), row.anime_id))


def as_record(row: Row) -> Anime:
    """Return the anime as AniList would describe it; some details are unknown, as in reality."""
    genres, tags, studio, source = _shared(row.first)
    romaji, english, native = _titles(row)
    ahead = row.day > TODAY
    dated = not ahead or row.row % 2 == 0
    date = date_of(row.day)
    mal_id = row.anime_id + 13_000 * (row.anime_id > 20_000)  # as in reality, only old ones are the same
    return Anime(
        anime_id=row.anime_id,
        mal_id=mal_id if row.row % 8 or row.popularity > 10_000 else None,
        title_romaji=romaji,
        title_english=english if row.row % 3 or row.popularity > 20_000 else None,
        title_native=native,
        format=list(FORMATS)[row.format],
        status="NOT_YET_RELEASED" if ahead else "RELEASING" if last_airing(row) > TODAY else "FINISHED",
        source=source,
        episodes=row.episodes if dated else None,
        duration=list(FORMATS.values())[row.format][2],
        season=SEASONS[quarter_of(date) % 4] if dated else None,
        year=date // 10_000 if dated else None,
        start_date=(date if row.row % 5 or date > 1990_00_00 else date // 10_000 * 10_000) if dated else None,
        country="JP",
        average_score=row.score or None,
        mean_score=row.score + row.row % 3 if row.score else None,
        popularity=row.popularity,
        favourites=row.favourites,
        is_adult=row.theme == ADULT,
        site_url=f"https://sandbox.invalid/anime/{row.anime_id}",
        synonyms=(native.replace("の", "之"),),
        genres=genres,
        tags=tags,
        studios=(studio,),
        relations=tuple(_relations(row)),
    )


def last_airing(row: Row) -> int:
    """Return the day of the last episode, with one a week."""
    return row.day + 7 * (row.episodes - 1)


def _relations(row: Row) -> Iterator[Relation]:
    for other in members(row.first):
        if other.row == row.parent != row.row:
            yield Relation(other.anime_id, "PREQUEL" if row.main else "PARENT")
        elif other.parent == row.row != other.row:
            yield Relation(other.anime_id, "SEQUEL" if other.main else "SIDE_STORY")


def members(first: int) -> list[Row]:
    """Return the rows of the franchise whose entry title is at the row `first`."""
    return [row for row in catalogue().rows[first : first + LARGEST_FRANCHISE] if row.first == first]


@functools.cache
def _shared(first: int) -> tuple[tuple[str, ...], tuple[Tag, ...], Studio, str]:
    """Return what all anime of a franchise have in common: genres, tags, studio and source."""
    entry, dice = catalogue().rows[first], random.Random(SEED + first)
    genres: set[str] = set()
    fits = {dice.choice(["Male Protagonist", "Female Protagonist", "Ensemble Cast"]): dice.random()}
    for theme, share in ((entry.theme2, 1 - entry.share), (entry.theme, entry.share)):
        main_genre, *more = THEMES[theme][0].split(", ")
        genres |= {genre for genre in more if dice.random() < 0.3 + 0.6 * share}
        genres |= {main_genre} if dice.random() < 2 * share else set()
        fits |= {tag: share for tag in THEMES[theme][1].split(", ") if dice.random() < 0.2 + 0.7 * share}
    ranks = {tag: int(45 + 40 * fit + dice.randrange(15)) for tag, fit in fits.items()}
    return (
        tuple(sorted(genres)),
        tuple(
            Tag(tag, ranks[tag], is_adult=entry.theme == ADULT) for tag in sorted(ranks, key=lambda tag: -ranks[tag])
        ),
        Studio(entry.studio + 1, f"Studio {_spelt(entry.studio, 2)[0]}", is_main=True),
        THEMES[entry.theme][2] if dice.random() < 0.6 else dice.choice(SOURCES),
    )


def _titles(row: Row) -> tuple[str, str, str]:
    """Romaji, English and native: a made-up name with a word, and what follows it with a number or another word."""
    latin, kana = _spelt(row.first * 10_007, 3)  # as 10,007 and 28 have no common factor, no two are the same
    (word, kanji, meaning), (word2, kanji2, meaning2) = WORDS[row.first % len(WORDS)], WORDS[row.row % len(WORDS)]
    romaji, english, native = f"{latin} no {word}", f"{meaning} of {latin}", f"{kana}の{kanji}"
    if row.row == row.first:
        return romaji, english, native
    if not row.main:
        return f"{romaji}: {word2}-hen", f"{english}: {meaning2} Arc", f"{native} {kanji2}編"
    if row.format == MOVIE:
        return f"{romaji} Movie {row.number}", f"{english} Movie {row.number}", f"劇場版 {native} {row.number}"
    return f"{romaji} {row.number}", f"{english} Season {row.number}", f"{native} 第{row.number}期"


def _spelt(number: int, length: int) -> tuple[str, str]:
    """Spell a number as a made-up word of `length` syllables, in Latin letters and in katakana."""
    n = len(SYLLABLES)
    latin, kana = zip(*(SYLLABLES[number // n**k % n] for k in range(length)), strict=True)
    return "".join(latin).capitalize(), "".join(kana)
