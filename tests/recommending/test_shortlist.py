"""Which titles are shown, by hand: sequels, recaps, franchises, and what is in the way where nothing is left."""

from __future__ import annotations

from anime_bert4rec.lists.common_traits import franchises, prequels
from anime_bert4rec.lists.records import Anime, ListEntry, Relation
from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.recommending.person import Person
from anime_bert4rec.recommending.shortlist import Shortlists, related, why_nothing_is_left
from anime_bert4rec.recommending.wishes import Wishes, of_catalogue

CATALOGUE = [
    Anime(1, year=2010, genres=("Action", "Drama"), relations=(Relation(2, "SEQUEL"),)),
    Anime(2, year=2012, genres=("Action",), relations=(Relation(1, "PREQUEL"), Relation(3, "SEQUEL"))),
    Anime(3, year=2015, genres=("Action",)),  # says nothing of its prequel; 2 does
    Anime(4, year=2016, genres=("Drama",), is_adult=True),
    Anime(5, genres=("Drama",), relations=(Relation(900, "PREQUEL"),)),  # of something the catalogue lacks
    Anime(6, year=2020, genres=("Action",), relations=(Relation(1, "SIDE_STORY"), Relation(5, "CHARACTER"))),
]
EVERYTHING = [1, 2, 3, 4, 5, 6]


def ids(ranked, liked=(), with_sequels=False, **wishes):
    wishes = Wishes(of_catalogue(CATALOGUE, **wishes), with_sequels)
    return [anime.anime_id for anime in Shortlists(CATALOGUE).of(ranked, [Person.of_ids([*liked])], wishes)]


def of_list(**status):
    """A person whose list has the anime a1, a2, … with these statuses."""
    entries = [ListEntry(int(name[1:]), int(name[1:]), each) for name, each in status.items()]
    return Person.of_list(entries, Vocabulary.of(range(1, 9)))


def test_what_brings_several_franchises_together_makes_them_no_franchise():
    """A crossover, and a special that nobody said more about than that it belongs to its series."""
    others = tuple(Relation(each, "OTHER") for each in (2, 3))
    catalogue = [
        Anime(1, title_romaji="Isekai Quartet", relations=others),
        Anime(2, title_romaji="Overlord", relations=(Relation(1, "OTHER"), Relation(4, "OTHER"))),
        Anime(3, title_romaji="Youjo Senki", relations=(Relation(5, "SEQUEL"),)),
        Anime(4, title_romaji="Overlord: Ple Ple Pleiades"),
        Anime(5, title_romaji="Gekijouban Youjo Senki"),
    ]
    shortlists, nobody = Shortlists(catalogue), [Person.of_ids([3])]
    assert [each.anime_id for each in shortlists.of([4, 2, 1, 5], nobody, Wishes())] == [4, 1, 5]
    assert franchises(catalogue) == [1] * 5, "they have something in common all the same"


def test_titles_of_which_nothing_else_is_known_go_together_by_their_first_word():
    """Whatever its signs, in Latin letters or in English."""
    other = (Relation(1, "OTHER"),)
    titles = [("Gintama.", "Gintama"), ("GINTAMA: The Final", None), ("Yorinuki", "Gintama Special"), ("Haikyuu", None)]
    catalogue = [
        Anime(k, title_romaji=romaji, title_english=english, relations=other if k > 1 else ())
        for k, (romaji, english) in enumerate(titles, 1)
    ]
    assert list(Shortlists(catalogue).franchise.values()) == [1, 1, 1, 4]


def test_a_later_season_waits_for_its_prequel():
    assert ids([3, 2, 5]) == [5]
    assert ids([3, 2, 5], liked={1}) == [2, 5]
    assert ids([3, 2, 5], liked={2}) == [3, 5]


def test_one_of_several_prequels_is_enough():
    catalogue = [Anime(1), Anime(2), Anime(3, relations=(Relation(1, "PREQUEL"), Relation(2, "PREQUEL")))]

    def shown(liked):
        return [anime.anime_id for anime in Shortlists(catalogue).of([3], [Person.of_ids([*liked])], Wishes())]

    assert (shown(set()), shown({1}), shown({2, 9}), shown({1, 2})) == ([], [3], [3], [3])


def test_of_several_seasons_before_it_the_latest_is_needed():
    """Where all of them are said to be its prequels; what is of another kind stands for none of them."""
    first, special = Anime(1, format="TV"), Anime(4, format="OVA", relations=(Relation(2, "PREQUEL"),))
    second = Anime(2, format="TV", relations=(Relation(1, "PREQUEL"),))
    third = Anime(3, format="TV", relations=tuple(Relation(each, "PREQUEL") for each in (1, 2, 4)))
    shortlists = Shortlists([first, second, third, special])

    def shown(*liked):
        return [anime.anime_id for anime in shortlists.of([3], [Person.of_ids(liked)], Wishes())]

    assert (shown(1), shown(2), shown(1, 2), shown(4)) == ([], [3], [3], [3])
    assert shortlists.continued_by([3]) == {1, 2, 4} and shortlists.continued_by([1, 2]) == {1}


def test_of_several_seasons_that_continue_the_same_one_the_earliest_comes_first():
    """As where the first season alone is named as the prequel of all others."""
    first = Relation(1, "PREQUEL")
    catalogue = [
        Anime(1, format="TV", start_date=2013_04_07),
        Anime(2, format="TV", start_date=2017_04_01, genres=("Drama",), relations=(first,)),
        Anime(3, format="TV", start_date=2021_01_10, relations=(first,)),
        Anime(4, format="MOVIE", start_date=2015_01_01, relations=(first,)),
        Anime(5, format="TV", relations=(first,)),  # nobody knows when
        Anime(6, format="TV", start_date=2022_04_01, relations=(Relation(3, "PREQUEL"),)),
    ]

    def shown(ranked, *liked, **wishes):
        wishes = Wishes(of_catalogue(catalogue, **wishes))
        return [each.anime_id for each in Shortlists(catalogue).of(ranked, [Person.of_ids(liked)], wishes)]

    assert (shown([3, 2], 1), shown([3], 1, 2), shown([3]), shown([6], 1, 3)) == ([2], [3], [], [6])
    assert (shown([3], 1), shown([4], 1), shown([5], 1)) == ([], [4], [5]), "only seasons whose days are known wait"
    assert shown([3, 2], 1, not_genre=["Drama"]) == [], "as for any other prequel"
    assert Shortlists(catalogue).continued_by([6]) == {1, 2, 3}


def test_the_season_before_must_have_been_finished_by_all():
    shortlists = Shortlists(
        [
            Anime(1, format="TV"),
            *(Anime(n, format="TV", start_date=2020_01_00 + n, relations=(Relation(1, "PREQUEL"),)) for n in (2, 3)),
        ]
    )

    def shown(*people):
        return [each.anime_id for each in shortlists.of([3], people, Wishes())]

    for status, expected in {"COMPLETED": [3], "CURRENT": [], "PAUSED": [], "DROPPED": []}.items():
        assert shown(of_list(a1="COMPLETED", a2=status)) == expected
    assert shown(Person.of_ids([1, 2]), Person.of_ids([1])) == []
    assert shown(Person.of_ids([1, 2]), Person.of_ids([2])) == [3]


def test_of_three_that_continue_each_other_in_a_circle_any_is_enough():
    circle = [Anime(n, relations=(Relation(n % 3 + 1, "PREQUEL"),)) for n in (1, 2, 3)]
    last = Anime(4, relations=tuple(Relation(n, "PREQUEL") for n in (1, 2, 3)))
    shortlists = Shortlists([*circle, last])

    def shown(*liked):
        return [anime.anime_id for anime in shortlists.of([4], [Person.of_ids(liked)], Wishes())]

    assert (shown(), shown(9), shown(2)) == ([], [], [4])


def test_two_that_continue_each_other_are_both_enough():
    circle = [Anime(1, relations=(Relation(2, "PREQUEL"),)), Anime(2, relations=(Relation(1, "PREQUEL"),))]
    third = Anime(3, relations=(Relation(1, "PREQUEL"), Relation(2, "PREQUEL")))
    shortlists = Shortlists([*circle, third])
    for liked in (1, 2):
        assert [each.anime_id for each in shortlists.of([3], [Person.of_ids([liked])], Wishes())] == [3]
    assert shortlists.continued_by([3]) == {1, 2}


def test_a_franchise_appears_once_with_its_best():
    assert ids(EVERYTHING) == [1, 5]
    assert ids([6, 1, 5]) == [6, 5]
    assert ids([3, 6, 2], liked={1, 2}) == [3]


def test_with_sequels_lifts_both():
    assert ids([3, 2, 1, 6, 5], with_sequels=True) == [3, 2, 1, 6, 5]


def test_what_the_filter_drops_does_not_stand_for_its_franchise():
    assert ids([1, 6], years=(2020, 2020)) == [6]


def test_ids_that_the_catalogue_lacks_are_left_out():
    assert ids([900, 1]) == [1]


def test_prequels_are_read_from_both_sides():
    assert prequels(CATALOGUE) == {2: {1}, 3: {2}}


def test_sequels_of_what_is_watched_paused_or_dropped_wait():
    for status, expected in {"COMPLETED": [2], "REPEATING": [2], "CURRENT": [], "PAUSED": [], "DROPPED": []}.items():
        person = of_list(a1=status, a5="COMPLETED")
        assert [each.anime_id for each in Shortlists(CATALOGUE).of([2], [person], Wishes())] == expected
        with_sequels = Shortlists(CATALOGUE).of([2], [person], Wishes(with_sequels=True))
        assert [each.anime_id for each in with_sequels] == [2]


def test_sequels_of_what_was_finished_and_not_liked_are_left_out():
    """Of two scores, 80 and 50, the lower is 15 points below the mean."""
    for score, expected in {51: [2], 50: []}.items():
        entries = [ListEntry(1, 1, "COMPLETED", score=score), ListEntry(5, 5, "COMPLETED", score=80)]
        person = Person.of_list(entries, Vocabulary.of(range(1, 9)))
        assert [each.anime_id for each in Shortlists(CATALOGUE).of([2], [person], Wishes())] == expected
        with_sequels = Shortlists(CATALOGUE).of([2], [person], Wishes(with_sequels=True))
        assert [each.anime_id for each in with_sequels] == [2]


def test_side_stories_wait_only_for_what_is_unfinished():
    """2 and 3 are side stories of 1: who has dropped that doesn't want them, and who has not seen it may."""
    catalogue = [
        Anime(1, relations=(Relation(2, "SIDE_STORY"),)),
        Anime(2),
        Anime(3, relations=(Relation(1, "PARENT"),)),
    ]
    shortlists = Shortlists([*catalogue, Anime(5)])

    def shown(person):
        return [[each.anime_id for each in shortlists.of([anime_id], [person], Wishes())] for anime_id in (2, 3)]

    for status, expected in {
        "COMPLETED": [[2], [3]],
        "CURRENT": [[], []],
        "PAUSED": [[], []],
        "DROPPED": [[], []],
    }.items():
        assert shown(of_list(a1=status, a5="COMPLETED")) == expected
    assert shown(Person.of_ids([5])) == [[2], [3]]


def test_of_several_people_all_must_have_finished_what_a_title_continues():
    finished, unfinished, neither = of_list(a1="COMPLETED"), of_list(a1="CURRENT", a5="COMPLETED"), Person.of_ids([5])
    for people, expected in (([finished] * 2, [2]), ([finished, unfinished], []), ([neither, finished], [])):
        assert [each.anime_id for each in Shortlists(CATALOGUE).of([2], people, Wishes())] == expected


def test_recaps_of_what_somebody_has_seen_are_left_out():
    catalogue = [
        Anime(1, relations=(Relation(2, "SUMMARY"), Relation(3, "COMPILATION"))),
        Anime(2, relations=(Relation(1, "PARENT"),)),
        Anime(3),
        Anime(4, relations=(Relation(1, "CONTAINS"),)),
        Anime(5),
    ]
    assert related(catalogue, ("SUMMARY", "COMPILATION"), ("CONTAINS",)) == {2: {1}, 3: {1}, 4: {1}}

    def shown(*people):
        return [each.anime_id for each in Shortlists(catalogue).of([2, 3, 4, 5], people, Wishes(with_sequels=True))]

    assert shown(Person.of_ids([5])) == [2, 3, 4, 5]
    assert shown(Person.of_ids([1])) == shown(Person.of_ids([5]), of_list(a1="DROPPED")) == [5]


def test_where_nothing_is_left_it_counts_what_each_wish_is_in_the_way_of():
    def why(ranked, **wishes):
        person, wishes = Person.of_ids([5]), Wishes(of_catalogue(CATALOGUE, **wishes))
        return why_nothing_is_left(Shortlists(CATALOGUE), ranked, [person], wishes)

    unseen = [1, 2, 3, 4, 6]
    assert (
        why(unseen, genre=["Drama"], years=(2012, 2020))
        == "there would be 1 without --genre Drama, 1 with other --year, 1 with --include-adult"
    )
    assert why(unseen, genre=["Drama"], years=(2050, 2050)) == "there would be 1 with other --year"
    assert (
        why(unseen, genre=["Action"], years=(2012, 2012)) == "there would be 1 with other --year, 1 with --with-sequels"
    )
    two = "there would be 1 without --genre Action and with --include-adult"
    assert why([4], genre=["Action"], years=(2016, 2016)) == two
    more = "not even without two of the wishes would there be any"
    assert why([4], genre=["Action"], years=(2050, 2050)) == more
    nothing = "all that the model knows was watched, or cancelled"
    assert why([], years=(2050, 2050)) == why([], include_adult=True) == nothing
