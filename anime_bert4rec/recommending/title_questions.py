"""What is said about titles that a person gave: which anime were taken, and what to type where it is not clear."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from anime_bert4rec.lists.records import Anime
from anime_bert4rec.recommending.rows import title_of
from anime_bert4rec.recommending.title_search import Match, TitleSearch
from anime_bert4rec.recommending.title_words import fold
from anime_bert4rec.support.errors import UserError
from anime_bert4rec.support.text import half_width, plain

SHOWN_MATCHES = 20
"""The number of candidates that are shown for a title."""

LONGEST_TITLE = 100
"""Of a text that was typed for a title, so many letters are repeated."""

_ADDRESS = re.compile(r"(?:https?://)?(?:www\.)?anilist\.co/anime/([0-9]{1,18})(?:[/?#]\S*)?", re.IGNORECASE)

log = logging.getLogger(__name__)


def anime_of_titles(wanted: Sequence[str], catalogue: Sequence[Anime], flag: str = "--anime") -> list[Anime]:
    """The one anime of each title, or of its address on AniList; which it is goes to stderr.

    Raises UserError unless all are clear, when the candidates for the others are on stderr, with `flag` and their ids.
    """
    if not wanted:
        return []
    search, by_id = TitleSearch(catalogue), {anime.anime_id: anime for anime in catalogue}
    ids = [_id_in_address(title) for title in wanted]
    found = [
        search.find(title) if number is None else Match(by_id.get(number))
        for title, number in zip(wanted, ids, strict=True)
    ]
    unclear = [(title, match) for title, match in zip(wanted, found, strict=True) if match.anime is None]
    for title, match in zip(wanted, found, strict=True):
        if match.anime:
            less_known = "".join(f"; not {described(other, flag)}, which fewer know" for other in match.others)
            log.info('"%s": %s%s', plain(title, LONGEST_TITLE), described(match.anime, flag), less_known)
    for title, match in unclear:
        _ask(title, match, flag)
    if any(fold(title) for title, _ in unclear) and not any(anime.synonyms for anime in catalogue):
        log.info("The catalogue has no synonyms (abbreviations, Chinese titles, …): prepare_dataset.py fetches them.")
    if unclear:
        raise UserError(_what_is_unclear(unclear, len(wanted), flag))
    return [match.anime for match in found if match.anime]


def id_of(wanted: str, catalogue: Sequence[Anime], flag: str) -> int:
    """The id that `flag` names: that in an address; a number is an id, if there is such an anime, and else a title."""
    in_address, digits = _id_in_address(wanted), half_width(wanted)
    if in_address is not None:
        return in_address
    number = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 19 else None
    if number is None:
        return anime_of_titles([wanted], catalogue, flag)[0].anime_id
    titled = TitleSearch(catalogue).find(wanted).anime
    if titled and titled.anime_id != number:
        if all(anime.anime_id != number for anime in catalogue):
            return anime_of_titles([wanted], catalogue, flag)[0].anime_id
        log.info("%s is taken for an id; the title is %s", wanted, described(titled, flag))
    return number


def _id_in_address(text: str) -> int | None:
    """The id in the address of an anime on AniList, as it stands under each recommendation."""
    found = _ADDRESS.fullmatch(text.strip())
    return int(found[1]) if found else None


def _ask(title: str, match: Match, flag: str) -> None:
    if not match.others:
        return
    log.warning('"%s" is no title here. Did you mean' if match.alike else '"%s" may be', plain(title, LONGEST_TITLE))
    for anime in match.others[:SHOWN_MATCHES]:
        log.warning("%s", described(anime, flag))
    if len(match.others) > SHOWN_MATCHES:
        log.warning("and %d more", len(match.others) - SHOWN_MATCHES)


def _what_is_unclear(unclear: Sequence[tuple[str, Match]], given: int, flag: str) -> str:
    what_to_do = f"give the id of the one that is meant to {flag}"
    (text, match), *more = unclear
    title = plain(text, LONGEST_TITLE)
    if more:
        return f"{len(unclear)} of {given} titles are not clear: {what_to_do}, instead of each"
    if match.others and not match.alike:
        several = f"may be {len(match.others):,} titles" if len(match.others) > 1 else "is too little to be sure"
        return f'"{title}" {several}: {what_to_do}'
    return f'no title of the catalogue matches "{title}"' + (f": {what_to_do}" if match.others else "")


def described(anime: Anime, flag: str) -> str:
    """A line about an anime that ends in what to type for it."""
    facts = ", ".join(plain(str(fact), 20) for fact in (anime.format, anime.year) if fact)
    english = plain(anime.title_english or "", 200)
    english = f" / {english}" if english and english != title_of(anime) else ""
    return f"{title_of(anime)}{english}" + (f" ({facts})" if facts else "") + f", {flag} {anime.anime_id}"
