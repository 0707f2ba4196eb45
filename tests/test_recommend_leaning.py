"""recommend.py --niche and --alike: what they are by themselves, and that what is given arrives where it is ranked."""

import json

import pytest

import recommend
from anime_bert4rec.recommender import Recommender
from anime_bert4rec.recommending.asked_people import leaning_of, person_of_titles
from anime_bert4rec.recommending.person import Person

EVERYTHING = ("--top-k", 30, "--with-sequels", "--include-adult")
AS_SET, ONE, OF_ANN = frozenset({22, 13}), frozenset({22}), [3, 4]


@pytest.fixture(scope="module")
def ranked(folder):
    """The ids in the order in which the package ranks them."""
    recommender = Recommender.load(folder / "out")

    def ids(titles, niche, alike):
        return [each.anime_id for each in recommender.recommend(titles, 30, niche=niche, alike=alike)]

    return ids


@pytest.mark.parametrize(
    ("flags", "niche", "alike"),
    [
        ((), 0.5, 3),
        (("--niche", 0), 0, 3),
        (("--niche", 1), 1, 3),
        (("--alike", 0), 0.5, 0),
        (("--alike", 10), 0.5, 10),
        (("--niche", 0, "--alike", 0), 0, 0),
    ],
)
def test_titles_that_are_named(rows, ranked, flags, niche, alike):
    found = [row["anime_id"] for row in rows("--anime", *AS_SET, *EVERYTHING, *flags)]
    assert found == ranked(AS_SET, niche, alike)


def test_what_is_told_apart_here_ranks_differently(ranked):
    orders = {tuple(ranked(AS_SET, *leaning)) for leaning in ((0.5, 3), (0.5, 0), (0.5, 10), (0, 0), (1, 3))}
    assert len(orders) == 5
    assert ranked(ONE, 1, 6) != ranked(ONE, 1, 0) and ranked(OF_ANN, 0, 10) != ranked(OF_ANN, 0, 0)


def test_one_title_and_a_list(rows, ranked):
    for once in (("--anime", 22), ("--anime", 22, 22), ("--anime", 22, "--title", "Title 22")):
        assert [row["anime_id"] for row in rows(*once, *EVERYTHING)] == ranked(ONE, 1, 6)
    for flags, alike in (((), 0), (("--alike", 10), 10)):
        found = [row["anime_id"] for row in rows("--user", "Ann", *EVERYTHING, *flags)]
        assert found == ranked(OF_ANN, 0, alike)


def test_everybody(run, ranked, tmp_path):
    for flags, leaning in (((), (0, 0)), (("--niche", 1, "--alike", 10), (1, 10)), (("--alike", 10), (0, 10))):
        path = tmp_path / f"all_{leaning}.jsonl"
        assert run("--all", "--format", "jsonl", "-o", path, *EVERYTHING, *flags)[0] == 0
        first = json.loads(path.read_text("utf-8").splitlines()[0])
        assert first["name"] == "Ann"
        assert [each["anime_id"] for each in first["recommendations"]] == ranked(OF_ANN, *leaning)


def test_the_leaning_of_each_kind_of_people(knowing, popular):
    one, titles, three = (person_of_titles(ids, knowing.vocabulary) for ids in ([4], [4, 20], [4, 9, 20]))
    somebody = Person.of_ids([4, 20])
    assert leaning_of([one], knowing, None, None) == (1.0, 6.0)
    assert leaning_of([titles], knowing, None, None) == (0.5, 3.0), "each further title halves it"
    assert leaning_of([three], knowing, None, None) == (0.25, 1.5)
    assert leaning_of([titles], knowing, 0.0, None) == (0.0, 3.0)
    assert leaning_of([titles], knowing, None, 0.0) == (0.5, 0.0)
    for people, recommender in (([somebody], knowing), ([titles, somebody], knowing), ([titles], popular)):
        assert leaning_of(people, recommender, None, None) == (0.0, 0.0)
        assert leaning_of(people, recommender, 0.5, 2.0) == (0.5, 2.0)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--alike", "10.5"], "--alike"),
        (["--alike", "-1"], "--alike"),
        (["--by", "score", "--alike", "1"], "--by score ranks by nothing else"),
        (["--by", "score", "--niche", ".5"], "--by score ranks by nothing else"),
    ],
)
def test_what_makes_no_sense_is_refused(run, flags, message):
    code, _, err = run("--anime", 22, *flags)
    assert code == 2 and message in err


def test_reasons_know_of_it(rows, folder):
    """What a title owes to being like one that is named is a reason, too."""
    recommender = Recommender.load(folder / "out")
    for alike in (0, 10):
        found = rows("--user", "Ann", *EVERYTHING, "--alike", alike)
        wanted = recommender.because(OF_ANN, [row["anime_id"] for row in found], alike=alike)
        assert [tuple(each["anime_id"] for each in row["because"]) for row in found] == wanted


def test_beside_somebody_titles_are_ranked_as_lists_are(folder, monkeypatch):
    """So that both are ranked in the same way; what each could show the other follows from it."""
    asked = []
    monkeypatch.setattr(recommend, "leaning_of", lambda people, *_: asked.append(len(people)) or (0.0, 0.0))
    flags = [
        "--anime",
        "22",
        "--compare-with",
        "Ann",
        "--db",
        str(folder / "bert.db"),
        "--output-dir",
        str(folder / "out"),
    ]
    assert recommend.main(flags) == 0
    assert set(asked) == {2}
