"""prepare_dataset.py against an AniList on loopback: what is stored, what is said, and how it goes on after a break."""

from __future__ import annotations

import signal
import time
from dataclasses import replace

import pytest
import script_process
from loopback_anilist import LoopbackAniList, Reply, Reset
from loopback_graphql import media_of
from script_process import error_line

from anime_bert4rec.lists.database import Database
from anime_bert4rec.lists.records import Anime, CatalogueCursor, CataloguePage, Relation, Studio, Tag
from prepare_dataset import main


def catalogue(size):
    """Anime 1 … size, the first the most popular, so that the top n are ids 1 … n."""
    return [
        Anime(
            n,
            title_romaji=f"Title {n}",
            popularity=10_000 - n,
            average_score=n % 99 + 1,
            genres=("Drama", "Action")[: n % 3],
            tags=(Tag(f"Tag {n % 5}", n % 100),),
            studios=(Studio(n % 7 + 1, f"Studio {n % 7}", True),),
            relations=(Relation(n + 1, "SEQUEL"),),
        )
        for n in range(1, size + 1)
    ]


@pytest.fixture
def anilist(no_waiting):
    with LoopbackAniList(anime=catalogue(320)) as anilist:
        yield anilist


@pytest.fixture
def path(tmp_path):
    return tmp_path / "bert.db"


@pytest.fixture
def flags(anilist, path):
    return ["--db", str(path), "--api-url", anilist.url, "--requests-per-minute", "0"]


def stored(path):
    with Database.open(path, create=False) as database:
        return database.anime(database.anime_ids())


def pages(anilist, since=0):
    return [request.variables["page"] for request in anilist.requests[since:]]


def test_the_top_anime_are_stored_whole_and_the_summary_says_what_is_next(anilist, path, flags, capsys):
    assert main(["--count", "120", *flags]) == 0
    assert stored(path) == catalogue(120)
    assert pages(anilist) == [1, 2, 3]
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "Fetched 120 anime: 120 new, 0 updated.",
        f"{path} now holds 120 anime.",
        f"Next: put AniList names into datas_user.txt, then python load_users.py --db {path}",
    ]
    (line,) = captured.err.splitlines()
    assert line.startswith("AniList's terms")


def test_a_second_run_updates(anilist, path, flags, capsys):
    main(["--count", "100", *flags])
    anilist.world.media[0]["title"]["romaji"] = "Renamed"
    capsys.readouterr()
    assert main(["--count", "150", *flags]) == 0
    assert "Fetched 150 anime: 50 new, 100 updated." in capsys.readouterr().out
    assert len(stored(path)) == 150
    assert stored(path)[0].title_romaji == "Renamed"


def test_a_smaller_count_keeps_what_is_stored(path, flags, capsys):
    main(["--count", "150", *flags])
    capsys.readouterr()
    assert main(["--count", "10", *flags]) == 0
    out = capsys.readouterr().out
    assert "Fetched 10 anime: 0 new, 10 updated." in out
    assert "now holds 150 anime" in out


def test_after_a_lost_network_the_same_command_goes_on(anilist, path, flags, capsys):
    anilist.fail_next(None, None, Reset())
    assert main(["--count", "250", *flags]) == 1
    err = capsys.readouterr().err
    assert "100 of 250 anime saved; the same command goes on from there." in err
    assert err.splitlines()[-1].startswith("error: ") and "Traceback" not in err
    assert len(stored(path)) == 100

    before = len(anilist.requests)
    assert main(["--count", "250", *flags]) == 0
    assert pages(anilist, since=before) == [3, 4, 5]
    captured = capsys.readouterr()
    assert "Going on after the 100 anime of the interrupted run." in captured.err
    assert "Fetched 250 anime: 150 new, 0 updated, 100 by the interrupted run before." in captured.out
    assert stored(path) == catalogue(250)


def test_months_later_all_is_fetched_anew(anilist, path, flags, capsys, monkeypatch):
    anilist.fail_next(None, None, Reset())
    assert main(["--count", "150", *flags]) == 1
    changed = [replace(each, popularity=20_000) if each.anime_id == 300 else each for each in catalogue(320)]
    changed[0] = replace(changed[0], title_romaji="Renamed")
    anilist.world.media = [media_of(each) for each in changed]
    now = time.time() + 100 * 86_400
    monkeypatch.setattr(time, "time", lambda: now)
    capsys.readouterr()
    assert main(["--count", "150", *flags]) == 0
    captured = capsys.readouterr()
    assert "older than a day: begun anew" in captured.err and "Fetched 150 anime: 50 new, 100 updated." in captured.out
    assert stored(path)[0].title_romaji == "Renamed" and stored(path)[-1].anime_id == 300


@pytest.mark.parametrize(("days", "goes_on"), [(0.9, True), (1.1, False), (-1, False)])
def test_for_a_day_an_interrupted_run_is_gone_on_with(path, monkeypatch, days, goes_on):
    with Database.open(path, create=True) as database:
        first = database.resume_or_start_catalogue_fetch("ID", 100)
        database.save_catalogue_page(first.fetch_id, CataloguePage((Anime(1),), CatalogueCursor(2)))
        now = time.time() + days * 86_400
        monkeypatch.setattr(time, "time", lambda: now)
        fetch = database.resume_or_start_catalogue_fetch("ID", 100)
        assert (fetch.cursor.page, fetch.seen, fetch.given_up) == ((2, {1}, False) if goes_on else (1, set(), True))
        assert database.anime_ids() == [1]


def test_a_run_that_has_come_to_nothing_is_not_spoken_of(path, monkeypatch):
    with Database.open(path, create=True) as database:
        database.resume_or_start_catalogue_fetch("ID", 100)
        monkeypatch.setattr(time, "time", lambda: 10**10)
        assert not database.resume_or_start_catalogue_fetch("ID", 100).given_up


@pytest.mark.parametrize("count", [110, 200])
def test_the_count_may_change_for_an_interrupted_run(anilist, path, flags, count):
    anilist.fail_next(None, None, Reset())
    assert main(["--count", "150", *flags]) == 1
    assert main(["--count", str(count), *flags]) == 0
    assert stored(path) == catalogue(count)


def test_a_count_below_what_an_interrupted_run_has_needs_no_request(anilist, path, flags, capsys):
    anilist.fail_next(None, None, Reset())
    assert main(["--count", "150", *flags]) == 1
    before = len(anilist.requests)
    assert main(["--count", "60", *flags]) == 0
    assert pages(anilist, since=before) == []
    assert main(["--count", "60", *flags]) == 0  # and then it is over: this one is an update
    assert pages(anilist, since=before) == [1, 2]


def test_another_sort_starts_anew(anilist, path, flags):
    anilist.fail_next(None, Reset())
    assert main(["--count", "150", *flags]) == 1
    assert main(["--count", "60", "--sort", "ID_DESC", *flags]) == 0
    assert {anime.anime_id for anime in stored(path)} == {*range(1, 51), *range(261, 321)}


def test_a_catalogue_that_ends_before_the_count_says_so(path, flags, capsys):
    assert main(["--count", "1000", *flags]) == 0
    assert "There are no more" in capsys.readouterr().out
    assert len(stored(path)) == 320


def test_ctrl_c_says_what_is_saved_and_goes_on_later(path):
    with LoopbackAniList(anime=catalogue(320), delay=0.02) as anilist:
        flags = ["--db", path, "--api-url", anilist.url, "--requests-per-minute", 0, "--count", 320]
        process = script_process.start("prepare_dataset.py", *flags)
        script_process.wait_until(lambda: len(anilist.requests) == 4, process)
        process.send_signal(signal.SIGINT)
        code, _, err = script_process.finish(process)
        assert code == 130
        assert "Traceback" not in err
        saved = len(stored(path))
        assert saved in (150, 200)  # the fourth answer may have come in time
        assert f"{saved} of 320 anime saved; the same command goes on from there." in err
        code, out, _ = script_process.finish(script_process.start("prepare_dataset.py", *flags))
        assert code == 0
        assert f"{saved} by the interrupted run before" in out
        assert stored(path) == catalogue(320)


class TestMistakes:
    @pytest.mark.parametrize("bad", [["--count", "-1"], ["--count", "0"], ["--sort", "NOISE"], ["--timeout", "0"]])
    def test_a_setting_out_of_range_names_its_flag(self, bad, flags, path, capsys):
        assert main([*flags, *bad]) == 2
        assert bad[0] in error_line(capsys)
        assert not path.exists()

    def test_an_address_that_is_none(self, path, capsys):
        assert main(["--db", str(path), "--api-url", "nonsense"]) == 2
        assert "--api-url" in error_line(capsys)
        assert not path.exists()

    @pytest.mark.usefixtures("no_waiting")
    def test_nothing_listens(self, path, capsys):
        with LoopbackAniList() as anilist:
            url = anilist.url
        assert main(["--db", str(path), "--api-url", url]) == 1
        assert "could not be reached" in error_line(capsys)

    def test_html_instead_of_json(self, anilist, flags, capsys):
        anilist.fail_next(Reply(200, b"<html>\x1b[31mhello</html>", {"Content-Type": "text/html"}))
        assert main(flags) == 1
        assert "\x1b" not in error_line(capsys)

    def test_a_count_that_the_sort_does_not_reach(self, anilist, flags, capsys):
        assert main(["--count", "6000", "--sort", "SCORE_DESC", *flags]) == 1
        assert "5000" in error_line(capsys)
        assert anilist.requests == []

    def test_what_is_refused_leaves_an_interrupted_run_as_it_is(self, anilist, flags, capsys):
        anilist.fail_next(None, None, Reset())
        assert main(["--count", "250", "--sort", "SCORE_DESC", *flags]) == 1
        assert main(["--count", "6000", "--sort", "SCORE_DESC", *flags]) == 1
        before = len(anilist.requests)
        assert main(["--count", "250", "--sort", "SCORE_DESC", *flags]) == 0
        assert pages(anilist, since=before) == [3, 4, 5]

    def test_a_text_file_as_database(self, anilist, path, flags, capsys):
        path.write_text("my notes")
        assert main(flags) == 1
        assert "not a database of this program" in error_line(capsys)
        assert path.read_text() == "my notes"
        assert anilist.requests == []


def test_the_sandbox_needs_no_network(path, capsys):
    assert main(["--sandbox", "--count", "120", "--db", str(path), "--api-url", "http://127.0.0.1:9"]) == 0
    captured = capsys.readouterr()
    assert "Fetched 120 anime: 120 new, 0 updated." in captured.out
    assert f"Next: python load_users.py --sandbox --db {path}" in captured.out
    assert captured.err == ""
    assert len(stored(path)) == 120
