"""An anime of which everything is known, to be stored, fetched or shown."""

from __future__ import annotations

from anime_bert4rec.lists.records import Anime, Relation, Studio, Tag

FULL_ANIME = Anime(
    anime_id=7,
    mal_id=2,
    title_romaji="Shingeki no Kyojin",
    title_english="Attack on Titan",
    title_native="進撃の巨人",
    format="TV",
    status="FINISHED",
    source="MANGA",
    episodes=25,
    duration=24,
    season="SPRING",
    year=2013,
    start_date=20130407,
    country="JP",
    average_score=85,
    mean_score=84,
    popularity=959_812,
    favourites=61_000,
    is_adult=True,
    cover_url="https://example.org/1.jpg",
    site_url="https://example.org/anime/1",
    synonyms=("AoT", "进击的巨人"),
    genres=("Action", "Drama"),
    tags=(Tag("Gore", 90, "Theme", is_adult=True, is_spoiler=True), Tag("Military")),
    studios=(Studio(7, "WIT", is_main=True), Studio(8, "Pony")),
    relations=(Relation(3, "SEQUEL"), Relation(3, "SAME_UNIVERSE"), Relation(4, "PREQUEL")),
)
