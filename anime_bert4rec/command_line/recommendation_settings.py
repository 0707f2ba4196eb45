"""The settings of recommend.py: for whom, what, and which titles may be shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from anime_bert4rec.command_line.flags import Checked, setting
from anime_bert4rec.support.errors import SettingError

LARGEST_ID = 2**31 - 1
OUTPUT_FORMATS = ("table", "json", "csv", "jsonl")
FORMATS_OF_ALL = ("jsonl", "csv")


@dataclass(frozen=True, kw_only=True)
class PersonSettings(Checked):
    """Whom to recommend for."""

    user: tuple[str, ...] = setting(
        (),
        "an AniList name: the list in the database, or fetched when it isn't there or is older than 7 days; of several"
        " people, what suits all",
        metavar="NAME",
        several=True,
    )
    anime: tuple[int, ...] = setting(
        (), "AniList ids of anime that the person likes, in any order", at_least=1, at_most=LARGEST_ID, metavar="ID"
    )
    title: tuple[str, ...] = setting(
        (),
        "the same by title: romaji, English, native or a synonym, its season or initials; may be repeated",
        metavar="TEXT",
    )
    mal_xml: tuple[Path, ...] = setting(
        (), "MyAnimeList's export of a list (.xml or .xml.gz)", metavar="FILE", several=True
    )
    similar_to: str | None = setting(None, "titles like this one: an AniList id or a title", metavar="TITLE", once=True)
    all: bool = setting(False, "everybody in the database, into the file of --output")
    compare_with: str | None = setting(
        None,
        "compare that person with this one instead: what both like, what either could show the other",
        metavar="NAME",
        once=True,
    )
    refresh: bool = setting(False, "fetch the lists of --user and --compare-with anew")
    store: bool = setting(False, "store the lists that are fetched: the next training learns from them")


@dataclass(frozen=True, kw_only=True)
class RecommendationSettings(Checked):
    """What is recommended, and how it is shown."""

    top_k: int = setting(20, "how many titles", at_least=1, at_most=1_000_000, metavar="N")
    format: str = setting(
        "table", "table, json or csv; with --all jsonl or csv", choices=OUTPUT_FORMATS, metavar="FORMAT"
    )
    output: Path | None = setting(
        None, "the file of --all; stopped, the same command completes it", metavar="FILE", short="-o"
    )
    by: str = setting(
        "both",
        "list: rank by what is listed next; score: by the score that it would get; both: by both, where scores are"
        " known",
        choices=("list", "score", "both"),
        metavar="WHAT",
    )
    niche: float | None = setting(
        None,
        "rank less by popularity: 0 as the model does, 1 without it (default: 0; 1 for a title that is named, for it"
        " tells the model little else, and half of it with each further one)",
        at_least=0,
        at_most=1,
        metavar="X",
    )
    alike: float | None = setting(
        None,
        "rank more by what is like the titles of the list, by the lists that have it and by genres and tags: 0 as the"
        " model does, 10 hardly by anything else (default: 0; 6 for a title that is named, and half of it with each"
        " further one)",
        at_least=0,
        at_most=10,
        metavar="X",
    )
    diversity: float = setting(
        0.0,
        "spread over franchises, studios and genres: 0 not at all, 1 as far as can be",
        at_least=0,
        at_most=1,
        metavar="X",
    )
    language: str = setting(
        "romaji", "of titles: romaji, english or native", choices=("romaji", "english", "native"), metavar="LANGUAGE"
    )
    upcoming: bool = setting(False, "only titles that are not out yet, instead of those that are")
    at: str | None = setting(
        None, "the day that counts as today, such as 2026-10-04 (default: the day that it is in Japan)", metavar="DATE"
    )
    html: Path | None = setting(
        None, "also write them to a page: cards to filter and sort, and the place on the map", metavar="FILE"
    )
    covers: bool = setting(
        False, "with AniList's cover pictures, which a browser loads when the page of --html is opened"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.covers and not self.html:
            raise SettingError("--covers needs --html")


@dataclass(frozen=True, kw_only=True)
class WishSettings(Checked):
    """Which titles may be shown. All wishes hold at once."""

    genre: tuple[str, ...] = setting((), "only titles of this genre; of several: of all", metavar="GENRE", several=True)
    not_genre: tuple[str, ...] = setting((), "no titles of this genre", metavar="GENRE", several=True)
    tag: tuple[str, ...] = setting(
        (), "only titles with this tag of AniList's, such as Isekai; of several: with all", metavar="TAG", several=True
    )
    not_tag: tuple[str, ...] = setting((), "no titles with this tag", metavar="TAG", several=True)
    type: tuple[str, ...] = setting(
        (), "only titles of this type, such as TV or MOVIE; of several: of any", metavar="TYPE", several=True
    )
    episodes: str = setting("", "only titles with this many episodes: 12-26, 12, 12-, -26", metavar="RANGE")
    year: str = setting("", "only titles of these years: 2015-2020, 2015, 2015-", metavar="YEARS")
    min_score: float = setting(
        0.0,
        "only titles with this mean score on AniList or more: 75 of 100, or 7.5 of 10",
        at_least=0,
        at_most=100,
        metavar="X",
    )
    min_popularity: int = setting(
        0, "only titles that as many people of AniList have listed, or more", at_least=0, at_most=10**9, metavar="N"
    )
    planned: str | None = setting(
        None, "only: rank what is planned; no: leave it out", choices=("only", "no"), metavar="WHICH"
    )
    hide: tuple[str, ...] = setting(
        (), "never these: AniList ids or titles; kept, with --hide-file", metavar="TITLE", several=True
    )
    hide_file: Path | None = setting(None, "never the ids in this file, one a line; --hide adds to it", metavar="FILE")
    with_sequels: bool = setting(
        False, "also later seasons whose prequel was not finished and liked, and several titles of a franchise"
    )
    include_adult: bool = setting(False, "also adult titles")


def check_who(who: PersonSettings, what: RecommendationSettings) -> None:
    """Raises SettingError unless it is clear who is meant, and the flags that go with them are given."""
    people = who.user or who.anime or who.title or who.mal_xml
    if who.all and (people or who.similar_to is not None or who.compare_with):
        raise SettingError("--all goes with nobody else: give no --user, --anime, --title, --mal-xml or --similar-to")
    if not people and who.similar_to is None and not who.all:
        raise SettingError("for whom? Give --user, --anime, --title, --mal-xml, --similar-to or --all")
    if who.compare_with and len(set(who.user)) + len(who.mal_xml) + bool(who.anime or who.title) != 1:
        raise SettingError(
            "--compare-with compares one person with another: give one to --user or --mal-xml, or titles"
        )
    if people and who.similar_to is not None:
        raise SettingError("--similar-to goes with no list: give a title that is liked to --title")
    if who.similar_to is not None and (what.niche or what.alike or what.by == "score"):
        raise SettingError("--niche, --alike and --by score go with people, not with --similar-to")
    if what.by == "score" and (what.niche or what.alike):
        raise SettingError("--by score ranks by nothing else: give it without --niche and --alike")
    for flag, is_given in {"--refresh": who.refresh, "--store": who.store}.items():
        if is_given and not (who.user or who.compare_with):
            raise SettingError(f"{flag} goes with --user or --compare-with")
    if who.compare_with and what.format == "csv":
        raise SettingError("--compare-with is shown as a table or as JSON")
    if what.html is not None and (who.all or who.compare_with):
        raise SettingError(
            f"--html is the page of recommendations: not with {'--all' if who.all else '--compare-with'}"
        )
    if not who.all:
        for flag, is_given in {"--output": what.output is not None, "--format jsonl": what.format == "jsonl"}.items():
            if is_given:
                raise SettingError(f"{flag} goes with --all")
    elif what.output is None:
        raise SettingError("--all writes a file: say which with -o FILE")
    elif what.format not in FORMATS_OF_ALL:
        raise SettingError(f"--all needs --format {' or '.join(FORMATS_OF_ALL)}")
