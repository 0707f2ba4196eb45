"""The Recommender: probabilities worked out by hand, reasons beside leaving titles out one by one, hostile files."""

from __future__ import annotations

import dataclasses
import itertools
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from fault_injection import Malicious
from small_models import IDS, knowing_model

from anime_bert4rec.lists.sequences import Vocabulary
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.model_files import mark_of, save_item_mappings, save_model
from anime_bert4rec.recommender import NothingToGoOn, Recommendation, Recommender
from anime_bert4rec.support.errors import ModelFileError


def save(folder, model, ids=IDS):
    save_item_mappings(folder / "models" / "item_mappings.pkl", Vocabulary.of(ids))
    save_model(folder / "models" / "best_model.pth", model, epoch=1, val_loss=1.0)


def test_scores_are_probabilities_among_what_is_not_in_the_history(popular):
    best = popular.recommend([30], top_k=3)
    assert [each.anime_id for each in best] == [20, 40, 10]  # of equals, the smaller id first
    assert [each.score for each in best] == pytest.approx([0.2 / 0.6, 0.2 / 0.6, 0.1 / 0.6])


def test_what_is_excluded_is_left_out_and_scores_are_probabilities_among_the_rest(popular):
    for exclude in ({20, 999}, {20, 30}):
        best = popular.recommend([30], exclude=exclude)
        assert [each.anime_id for each in best] == [40, 10, 50]
        assert [each.score for each in best] == pytest.approx([0.2 / 0.4, 0.1 / 0.4, 0.1 / 0.4])
    (together,) = popular.recommend_together([[30], [20]], 1, exclude={40})
    assert together.score == pytest.approx((0.1 / 0.4 * 0.1 / 0.6) ** 0.5), "the geometric mean of theirs"
    assert popular.recommend([30], exclude={10, 20, 40, 50}) == []


def test_records_are_plain_and_frozen(popular):
    (first,) = popular.recommend([30, 20], top_k=1)
    assert first == Recommendation(40, first.score)
    assert type(first.anime_id) is int and type(first.score) is float
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.score = 1.0


def test_unknown_ids_are_passed_over(popular):
    assert popular.recommend([-1, 7, 30, 2**70]) == popular.recommend([30])


@pytest.mark.parametrize(
    ("ids", "message"),
    [([], "the list is empty"), ([7], "does not know anime 7"), ([7, 8], "knows none of the 2 anime")],
)
def test_nothing_to_go_on_is_one_clear_line(popular, ids, message):
    with pytest.raises(NothingToGoOn, match=message):
        popular.recommend(ids)


def test_a_person_who_has_seen_everything_gets_nothing(popular):
    assert popular.recommend(IDS) == []
    assert popular.because(IDS, []) == []


def test_what_is_no_id_is_refused_instead_of_cut_to_one(knowing):
    for ids in ([5.7], ["5"], [None]):
        with pytest.raises(TypeError):
            knowing.recommend(ids)
        with pytest.raises(TypeError):
            knowing.recommend([3], exclude=ids)
    assert knowing.recommend(np.array([3, 4], np.int32)) == knowing.recommend([3, 4])


def test_many_at_once_are_as_one_by_one(knowing):
    histories = [[3, 4, 5], [], [20], [999], list(range(1, 20))]
    many = list(knowing.recommend_many(histories, 5, [[6], [], [], [], [25]]))
    assert many[1] == many[3] == []
    for at, exclude in ((0, [6]), (2, []), (4, [25])):
        alone = knowing.recommend(histories[at], 5, exclude)
        assert [each.anime_id for each in many[at]] == [each.anime_id for each in alone]
        assert [each.score for each in many[at]] == pytest.approx([each.score for each in alone], rel=1e-4)


def test_what_suits_several_people_by_hand(popular):
    """Of [30], 40 has .2 / .6 and 10 has .1 / .6; of [20] they have .2 / .8 and .1 / .8."""
    best = popular.recommend_together([[30], [20]])
    assert [each.anime_id for each in best] == [40, 10, 50], "neither what the one nor what the other has listed"
    assert [each.score for each in best] == pytest.approx([(1 / 12) ** 0.5, (1 / 48) ** 0.5, (1 / 48) ** 0.5])
    assert [each.anime_id for each in popular.recommend_together([[30], [20]], 1, exclude={40})] == [10]
    with pytest.raises(NothingToGoOn, match="knows none of the 2 anime"):
        popular.recommend_together([[30], [7, 8]])


def test_several_people_are_ranked_by_the_product_of_their_scores(knowing):
    score = [{each.anime_id: each.score for each in knowing.recommend(ids, 30)} for ids in ([3, 4], [20])]
    product = {each: score[0][each] * score[1][each] for each in score[0].keys() & score[1].keys()}
    together = knowing.recommend_together([[3, 4], [20]], 30)
    assert [each.anime_id for each in together] == sorted(product, key=lambda each: (-product[each], each))
    assert [each.score**2 for each in together] == pytest.approx(
        [product[each.anime_id] for each in together], rel=1e-4
    )
    assert knowing.recommend_together([[3, 4]], 9) == knowing.recommend([3, 4], 9)


def test_what_is_known_of_people_together_is_one_a_person(knowing):
    for more in ({"scores": [{11: 50}]}, {"recents": [None] * 3}):
        with pytest.raises(ValueError, match="one a person, or none"):
            knowing.recommend_together([[11], [12]], **more)


def test_in_parts_each_gets_what_is_theirs(knowing, monkeypatch):
    histories, excludes = [[3, 4], [20], [], [7, 8, 9], [11]], [[5], [21], [1], [10], [12]]
    at_once = list(knowing.recommend_many(histories, 4, excludes))
    monkeypatch.setattr("anime_bert4rec.recommender.PEOPLE_AT_ONCE", 2)
    parts = list(knowing.recommend_many(histories, 4, excludes))
    assert [[each.anime_id for each in of_one] for of_one in parts] == [
        [each.anime_id for each in of_one] for of_one in at_once
    ]
    for of_one, exclude in zip(parts, excludes, strict=True):
        assert exclude[0] not in {each.anime_id for each in of_one}


def test_people_may_come_without_an_end_and_only_some_are_read_ahead(popular, monkeypatch):
    monkeypatch.setattr("anime_bert4rec.recommender.PEOPLE_AT_ONCE", 3)
    asked = itertools.count()
    came = popular.recommend_many(([30] for _ in asked), 1)
    assert [next(came)[0].anime_id for _ in range(4)] == [20] * 4
    assert next(asked) == 6, "two times three were read"


@pytest.mark.parametrize("excludes", [[[20]], [[20]] * 3])
def test_people_and_what_is_excluded_for_them_are_as_many(popular, excludes):
    with pytest.raises(ValueError, match="zip"):
        list(popular.recommend_many([[30], [30]], 1, excludes))


def test_scores_of_candidates_are_those_of_the_recommendations(popular, knowing):
    assert popular.scores([30], [20, 30, 999, 10, 20]) == [
        pytest.approx(expected) if expected is not None else None for expected in (1 / 3, 0, None, 1 / 6, 1 / 3)
    ]
    everything = {each.anime_id: each.score for each in knowing.recommend([3, 4, 5], 30)}
    assert knowing.scores([3, 4, 5], list(everything)) == list(everything.values())
    assert knowing.scores([3], []) == []
    with pytest.raises(NothingToGoOn, match="does not know anime 7"):
        popular.scores([7], [20])


def test_titles_of_the_same_lists_are_similar(knowing):
    ids, vectors = knowing.embeddings()
    assert ids.tolist() == list(range(1, 31)) and vectors.shape[0] == 30 and vectors.dtype == np.float32
    best = knowing.similar(15, top_k=4)
    assert {each.anime_id for each in best} == {13, 14, 16, 17}, "lists are of six neighbours"
    of = dict(zip(ids.tolist(), vectors, strict=True))
    for each in best:
        lengths = np.linalg.norm(of[15]) * np.linalg.norm(of[each.anime_id])
        assert each.cosine == pytest.approx(of[15] @ of[each.anime_id] / lengths)
    assert [each.cosine for each in best] == sorted((each.cosine for each in best), reverse=True)
    assert knowing.similar(15, 0) == [] and len(knowing.similar(15, 99)) == 29
    with pytest.raises(NothingToGoOn, match="does not know anime 99"):
        knowing.similar(99)
    vectors[:], ids[:] = 0, 0
    assert knowing.similar(15, top_k=4) == best, "the arrays are the caller's own"


def test_a_title_that_the_model_knows_without_a_vector_is_not_said_to_be_unknown(monkeypatch):
    """Of a large catalogue, only the most popular titles have one."""
    monkeypatch.setattr("anime_bert4rec.model.memory_fitting.MOST_ITEMS", 20)
    some = Recommender(knowing_model(ordered=True), Vocabulary.of(range(1, 31)))
    with_vector, _ = some.embeddings()
    (without, *_) = set(range(1, 31)) - set(with_vector.tolist())
    assert len(with_vector) == 20 and some.knows(without)
    with pytest.raises(NothingToGoOn, match=f"anime {without} is on too few lists to have a vector"):
        some.similar(without)


def test_a_cosine_is_never_beyond_one(popular):
    weights = popular._score.model.item_embedding.weight
    for seed in range(20):
        with torch.no_grad():
            weights[1:-1] = torch.randn(8, generator=torch.Generator().manual_seed(seed))
        for each in Recommender(popular._score.model, Vocabulary.of(IDS)).similar(10):
            assert 1 - 1e-6 < each.cosine <= 1


def test_without_a_memory_the_embeddings_are_the_networks(popular):
    ids, vectors = popular.embeddings()
    assert ids.tolist() == IDS
    assert np.array_equal(vectors, popular._score.model.item_embedding.weight[1:-1].detach().numpy())


def test_the_last_place_of_a_title_counts(knowing):
    assert knowing.recommend([5, 3, 4, 5]) == knowing.recommend([3, 4, 5])


@pytest.mark.parametrize("exclude", [(), (1, 4, 13, 19, 22)])
def test_reasons_are_the_titles_without_which_the_score_falls_most(knowing, exclude):
    history = [2, 3, 11, 12, 20, 21]
    best = [each.anime_id for each in knowing.recommend(history, 4, exclude)]
    because = knowing.because(history, best, most=2, exclude=exclude)

    def share(ids, anime_id):
        """log of the score among what is neither in the whole history nor excluded."""
        ranked = knowing.recommend(ids, 30)
        everything = {each.anime_id: each.score for each in ranked if each.anime_id not in {*history, *exclude}}
        return np.log(everything[anime_id] / sum(everything.values()))

    for anime_id, reasons in zip(best, because, strict=True):
        lost = {
            left_out: share(history, anime_id) - share([each for each in history if each != left_out], anime_id)
            for left_out in history
        }
        expected = sorted((each for each in lost if lost[each] > 0), key=lambda each: -lost[each])[:2]
        assert list(reasons) == expected


def test_a_title_without_which_the_score_would_be_the_same_or_higher_is_no_reason(popular, knowing):
    assert popular.because([10, 20], [30, 40]) == [(), ()], "it says the same to everyone"
    history = [2, 3, 11, 12, 20, 21]
    everything = [each.anime_id for each in knowing.recommend(history, 30)]
    reasons = knowing.because(history, everything, most=6)
    assert any(len(of_one) < 6 for of_one in reasons), "some of the history speaks against some titles"


def test_a_neighbour_in_the_lists_is_the_reason(knowing):
    assert knowing.because([3, 20], [4, 21], most=1) == [(3,), (20,)]


def test_a_title_that_the_model_does_not_know_has_no_reasons(knowing):
    assert knowing.because([3, 20], [999, 4, -1, 10**30, 21], most=1) == [(), (3,), (), (), (20,)]
    assert knowing.because([3, 20], [999]) == [()]


def test_the_only_title_is_tried_against_an_empty_list(knowing):
    assert knowing.because([3], [4]) == [(3,)]


def test_a_title_of_the_history_has_no_reasons_and_warns_of_nothing(knowing):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert knowing.because([11, 12], [11, 13])[0] == ()
    assert knowing.because([11, 12], [13], most=-1) == [()]


def test_a_history_that_can_be_read_but_once_is_one_like_others(knowing):
    history = [11, 12]
    assert knowing.recommend(iter(history), 3) == knowing.recommend(history, 3) != []
    assert knowing.scores((each for each in history), [11, 13]) == knowing.scores(history, [11, 13])
    assert knowing.because(iter(history), [13]) == knowing.because(history, [13])
    assert knowing.because([], iter([13, 14])) == knowing.because([], [13, 14]) == [(), ()]
    with pytest.raises(NothingToGoOn, match="knows none of the 2 anime"):
        knowing.recommend(iter([90_001, 90_002]))


@pytest.mark.parametrize("alike", [-1.0, 10.5, float("nan")])
def test_reasons_refuse_what_recommendations_refuse(knowing, alike):
    for ask in (lambda: knowing.recommend([11, 12], alike=alike), lambda: knowing.because([11], [13], alike=alike)):
        with pytest.raises(ValueError, match="alike is from 0 to 10"):
            ask()


def test_five_thousand_titles_are_cut_to_what_the_model_sees(popular, knowing):
    ids = [*range(1_000, 6_000), *range(1, 25)]
    best = knowing.recommend(ids, 3)
    reasons = knowing.because(ids, [each.anime_id for each in best])
    assert len(best) == 3
    assert {each for of_one in reasons for each in of_one} <= set(range(17, 25))  # the newest 8


def test_threads_do_not_disturb_each_other(knowing):
    histories = [[k, k % 30 + 1] for k in range(1, 31)]
    alone = [knowing.recommend(each, 5) for each in histories]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda each: knowing.recommend(each, 5), histories * 3)) == alone * 3


def test_what_was_saved_is_loaded(tmp_path, popular):
    save(tmp_path, popular._score.model)
    assert Recommender.load(str(tmp_path)).recommend([30]) == popular.recommend([30])


def test_loading_draws_none_of_the_programs_random_numbers(tmp_path, popular):
    save(tmp_path, popular._score.model)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    Recommender.load(tmp_path)
    assert torch.equal(torch.rand(4), expected)


def test_a_model_and_mappings_that_do_not_fit_are_refused(tmp_path, popular):
    save(tmp_path, popular._score.model, [1, 2, 3])
    with pytest.raises(ModelFileError, match=r"of two runs: .*train_model\.py"):
        Recommender.load(tmp_path)


@pytest.mark.parametrize("name", ["item_mappings.pkl", "best_model.pth"])
@pytest.mark.parametrize("write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_file_that_would_run_something_is_refused(tmp_path, popular, name, write):
    save(tmp_path, popular._score.model)
    victim = tmp_path / "made by the file"
    write({"item_to_idx": Malicious(victim), "model_config": Malicious(victim)}, tmp_path / "models" / name)
    with pytest.raises(ModelFileError) as error:
        Recommender.load(tmp_path)
    assert name in str(error.value) and "\n" not in str(error.value)
    assert not victim.exists()


def test_a_model_and_the_items_of_another_run_are_told_apart(tmp_path):
    """Though both have as many anime: every title would be another's."""
    models, own = tmp_path / "models", Vocabulary.of([10, 20, 30])
    model = BERT4Rec(ModelConfig(num_items=3, hidden_size=8, num_layers=1, num_heads=2, max_seq_len=5, dropout=0.0))
    save_model(
        models / "best_model.pth", model, epoch=1, val_loss=1.0, identity={"data": "d", "vocabulary": mark_of(own)}
    )
    save_item_mappings(models / "item_mappings.pkl", own)
    assert Recommender.load(tmp_path).vocabulary.anime_ids.tolist() == [10, 20, 30]
    save_item_mappings(models / "item_mappings.pkl", Vocabulary.of([10, 20, 40]))
    with pytest.raises(ModelFileError, match="of two runs"):
        Recommender.load(tmp_path)


def test_nobody_together_is_nothing_to_go_on(knowing):
    with pytest.raises(NothingToGoOn, match="the list is empty"):
        knowing.recommend_together([])
