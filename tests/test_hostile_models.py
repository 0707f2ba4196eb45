"""Model files that are well-formed but wrong: one line that says what, before anything large is made or run."""

from __future__ import annotations

import copy
import io
import os
import pickle
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from one_memory import fit_memory, fit_unordered_memory

from anime_bert4rec.lists.common_traits import CONTENT
from anime_bert4rec.lists.sequences import Sequences, Vocabulary
from anime_bert4rec.model import model_files as checkpoints
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.model_files import load_item_mappings, load_model, save_item_mappings, save_model
from anime_bert4rec.plots.anime_map import load_map_points
from anime_bert4rec.recommender import Recommender
from anime_bert4rec.support.errors import ModelFileError, UserError

NAN, INF = float("nan"), float("inf")
IDS, POPULARITY = [10, 20, 30, 40, 50, 60, 70], np.array([9, 5, 7, 1, 2, 0, 3], np.float32)


@pytest.fixture(scope="module", params=["no order", "order", "order, many items"])
def saved(tmp_path_factory, request):
    """A small model with a memory that ranks an unlisted item too, as its file holds it."""
    ordered = request.param != "no order"
    blocks = np.array([0, 1, 2, 0, 1]) if ordered else np.zeros(5, np.int64)
    lists = Sequences(np.array([1, 2, 3, 3, 4]), blocks, np.array([0, 3, 5]), np.arange(2))
    alike = Sequences(np.array([1, 7, 2, 7]), np.zeros(4, np.int64), np.array([0, 2, 4]), np.array([CONTENT, 1]))
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "order, many items":
            patch.setattr("anime_bert4rec.model.memory_fitting.MOST_ITEMS", 4)
        memory = fit_memory(lists, 7, max_seq_len=5, seed=0, alike=alike, in_catalogue=POPULARITY)
    assert memory.config.unlisted.items and bool(memory.config.likeness.groups) != ordered
    path = tmp_path_factory.mktemp("model") / "best_model.pth"
    unordered = fit_unordered_memory(lists, 7, seed=0, alike=alike, in_catalogue=POPULARITY) if ordered else None
    of_both = {"memory": memory.config, "unordered_memory": unordered and unordered.config}
    config = ModelConfig(7, 8, 2, 2, 5, ordered=ordered, **of_both)
    save_model(path, BERT4Rec(config, memory, unordered), epoch=3, val_loss=1.5)
    return torch.load(path, weights_only=True)


def refused(path, load=load_model):
    with pytest.raises(ModelFileError) as caught:
        load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 400
    return str(caught.value)


@pytest.fixture
def refuse(saved, tmp_path, monkeypatch):
    """Spoils a copy of the file and gives the message that it is refused with, without building a model."""

    def refuse(spoil, builds=False):
        changed = copy.deepcopy(saved)
        other = spoil(SimpleNamespace(**changed, **changed["model_config"], whole=changed))
        torch.save(other if isinstance(other, dict | list | int) else changed, tmp_path / "m.pth")
        if not builds:
            monkeypatch.setattr(checkpoints, "BERT4Rec", lambda *_: pytest.fail("a model was built"))
        return refused(tmp_path / "m.pth")

    return refuse


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("num_items", "hidden_size", "num_layers", "num_heads", "max_seq_len",
                                     "feed_forward_ratio")
          for value in (-1, 0, 3 * 10**7, 10**30, 2.0, True, "4", None, [4])),
        ("hidden_size", 9),
        *(("dropout", value) for value in (5, 1.0, -0.1, NAN, INF, "0.1", None, True)),
        *(("ordered", value) for value in (1, None, "yes")),
        *((name, value) for name in ("memory", "unordered_memory")
          for value in (5, [], "memory", {}, {"num_items": 7})),
        ("unknown", 1),
    ],
)  # fmt: skip
def test_a_size_that_no_model_has_is_refused_before_one_is_built(refuse, name, value):
    assert "m.pth is not a model of this program (" in refuse(lambda file: file.model_config.update({name: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("num_items", "table_size") for value in (-1, 10**7, 10**30, 1.5, True, "7")),
        *(("recency", value) for value in (NAN, -1, 2, "1", None)),
        *(("prior", value) for value in (NAN, INF, -1, [])),
        *(("knots", value) for value in (-1, 10**9, 1.5, True, None)),
        *(("list_weight", value) for value in (NAN, INF, -1.0, "1")),
        *(
            ("likeness", value)
            for value in (None, 5, {"groups": -1}, {"groups": 10**12}, {"memberships": "1"}, {"more": 1})
        ),
        *(("unlisted", value) for value in (None, 5, {"items": -1}, {"items": 10**12}, {"members": "1"}, {"more": 1})),
    ],
)
def test_a_size_that_no_memory_has_is_refused_before_one_is_built(refuse, name, value):
    refuse(lambda file: file.memory.update({name: value}))


@pytest.mark.parametrize("value", [("num_items", 8), ("table_size", 10**7), ("knots", -1), ("ordered", True)])
def test_a_size_that_no_second_memory_has_is_refused(refuse, saved, value):
    if saved["model_config"]["unordered_memory"]:
        refuse(lambda file: file.unordered_memory.update([value]))


def strided(weight):
    """Claims to have as many numbers as `weight`, and has one."""
    return torch.zeros(1, dtype=weight.dtype).expand(weight.shape)


@pytest.mark.parametrize("name", ["item_embedding.weight", "layers.1.distance", "memory.ease.table", "memory.kept",
                                  "memory.strength", "memory.popularity", "memory.likeness.franchise"])  # fmt: skip
@pytest.mark.parametrize(
    "change",
    [
        lambda weight: None,
        lambda weight: "text",
        lambda weight: weight.tolist(),
        lambda weight: torch.zeros(1),
        lambda weight: weight[:0],
        lambda weight: weight.new_zeros(3, *weight.shape),
        strided,
        *(lambda weight, kind=kind: weight.to(kind) for kind in
          (torch.int32, torch.int8, torch.float16, torch.float64, torch.bool, torch.complex64)),
        lambda weight: weight.long() if weight.is_floating_point() else weight.float(),
        lambda weight: weight.float().to_sparse(),
        lambda weight: weight.to("meta"),
        lambda weight: torch.quantize_per_tensor(weight.float(), 0.1, 0, torch.qint8),
        lambda weight: torch.nn.Parameter(weight.float()),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")  # of torch, about quantized tensors
def test_a_tensor_that_is_another_one_is_refused(refuse, saved, name, change):
    name = name if name in saved["model_state_dict"] else "memory.transitions.row_sum"
    refuse(lambda file: file.model_state_dict.update({name: change(file.model_state_dict[name])}), builds=True)


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_weight_that_is_no_number_is_refused(refuse, saved, value):
    for name, weight in saved["model_state_dict"].items():
        if weight.is_floating_point():
            told = refuse(lambda file, name=name: file.model_state_dict[name].view(-1)[-1:].fill_(value), builds=True)
            assert f"({name} has numbers that are not finite)" in told


@pytest.mark.parametrize("value", [-7, 10**6, 2**62])
@pytest.mark.parametrize(
    "name",
    ["kept", "column", "unlisted.columns", "likeness.franchise", "likeness.content"]
    + [f"{part}.{name}" for part in ("unlisted", "likeness") for name in ("members", "group_starts", "groups",
                                                                          "item_starts")]
    + ["transitions.row_starts", "transitions.followers"],
)  # fmt: skip
def test_a_place_that_there_is_not_is_refused(refuse, saved, name, value):
    for name in [each for each in saved["model_state_dict"] if each.endswith(f"memory.{name}")] or ["memory.kept"]:
        told = refuse(lambda file, name=name: file.model_state_dict[name][-1:].fill_(value), builds=True)
        assert f"{name} points to places that there are not" in told


def test_places_that_do_not_rise_where_they_have_to_are_refused(refuse, saved):
    starts, kept = "memory.unlisted.group_starts", saved["model_state_dict"]["memory.kept"]
    ones = torch.ones(2, dtype=torch.long)
    of_kept = ("memory.kept", kept.flip(0)), ("memory.kept", kept * 0)
    for name, wrong in ((starts, torch.tensor([2, 0])), (starts, ones), *of_kept):
        told = refuse(lambda file, name=name, wrong=wrong: file.model_state_dict.update({name: wrong}), builds=True)
        assert f"{name} does not rise" in told


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.model_state_dict.pop("item_bias"),
        lambda file: file.model_state_dict.update(more=torch.zeros(1)),
        lambda file: {},
        lambda file: [file.whole],
        lambda file: 5,
        lambda file: {**file.whole, "model_state_dict": None},
        lambda file: {**file.whole, "model_state_dict": [1]},
        lambda file: {**file.whole, "model_state_dict": {}},
        lambda file: {**file.whole, "model_config": None},
        lambda file: {**file.whole, "epoch": "3"},
        lambda file: {**file.whole, "val_loss": NAN},
        lambda file: {**file.whole, "data_fingerprint": 5},
    ],
)
def test_a_part_that_is_missing_or_another_is_refused(refuse, spoil):
    refuse(spoil, builds=True)


def parts_of(path):
    with zipfile.ZipFile(path) as archive:
        return {part.filename: archive.read(part) for part in archive.infolist()}


def write_parts(path, parts, **how):
    with zipfile.ZipFile(path, "w", **how) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def test_a_bomb_is_not_unpacked(saved, tmp_path):
    torch.save(saved, tmp_path / "m.pth")
    write_parts(tmp_path / "m.pth", parts_of(tmp_path / "m.pth"), compression=zipfile.ZIP_DEFLATED)
    assert "(it is packed, as torch.save never does)" in refused(tmp_path / "m.pth")


def test_a_tensor_that_claims_more_than_it_has_is_refused(tmp_path):
    """torch's own loader would take memory for what it claims."""
    torch.save({"model_state_dict": {"a": torch.zeros(4)}}, tmp_path / "m.pth")
    parts = parts_of(tmp_path / "m.pth")
    store, shape = b"K\x04t", b"K\x04\x85"
    assert parts["m/data.pkl"].count(store) == parts["m/data.pkl"].count(shape) == 1
    billion = b"J" + (10**9).to_bytes(4, "little")
    for changes, told in (
        (((shape, billion + b"\x85"),), "larger than the numbers that it is made of"),
        (((store, billion + b"t"),), "claims another size than it has in the file"),
        (((store, billion + b"t"), (shape, billion + b"\x85")), "claims another size than it has in the file"),
    ):
        pickled = parts["m/data.pkl"]
        for old, new in changes:
            pickled = pickled.replace(old, new)
        write_parts(tmp_path / "m.pth", parts | {"m/data.pkl": pickled})
        assert told in refused(tmp_path / "m.pth")


def test_a_bit_that_has_flipped_in_the_weights_is_noticed(saved, tmp_path):
    torch.save(saved, tmp_path / "m.pth")
    whole = (tmp_path / "m.pth").read_bytes()
    embedding = saved["model_state_dict"]["item_embedding.weight"].numpy().tobytes()
    at = whole.index(embedding) + len(embedding) // 2
    (tmp_path / "m.pth").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    assert "(BadZipFile)" in refused(tmp_path / "m.pth")


@pytest.mark.parametrize("load", [load_item_mappings, load_model])
def test_what_is_cut_or_no_file_is_refused_at_once(saved, tmp_path, load):
    torch.save(saved, tmp_path / "whole")
    (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:-500])
    refused(tmp_path / "cut", load)
    if not hasattr(os, "mkfifo"):
        return
    os.mkfifo(tmp_path / "pipe")
    assert "(it is not a file)" in refused(tmp_path / "pipe", load)


def test_a_key_that_would_take_for_ever_to_look_up_is_refused(tmp_path):
    """Tuples of tuples, forty deep: their hash is that of 2 ** 40 zeros."""
    bomb = b"K\x00\x85q\x00" + b"".join(b"0h" + bytes([n]) + b"h" + bytes([n]) + b"\x86q" + bytes([n + 1])
                                        for n in range(40))  # fmt: skip
    (tmp_path / "m.pkl").write_bytes(b"\x80\x02}" + bomb + b"K\x01s.")
    refused(tmp_path / "m.pkl", load_item_mappings)


@pytest.mark.parametrize(
    "pickled",
    [b"\x80\x04r\xff\xff\xff\xff.", b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b".", b"\x80\x04]" + b"(]" * 9],
)
def test_a_pickle_that_asks_for_much_memory_is_refused(tmp_path, pickled):
    (tmp_path / "m.pkl").write_bytes(pickled)
    refused(tmp_path / "m.pkl", load_item_mappings)


def mappings(item_to_idx, **changes):
    idx_to_item = {index: anime_id for anime_id, index in item_to_idx.items()}
    return {"item_to_idx": item_to_idx, "idx_to_item": idx_to_item, "num_items": len(item_to_idx)} | changes


@pytest.mark.parametrize(
    "spoilt",
    [
        mappings({}),
        mappings({10: 1, 20: 3}),
        mappings({10: 1, 20: 1}),
        mappings({10: 2, 20: 1}),
        mappings({10: 0, 20: 1}),
        mappings({10: 1, -20: 2}),
        mappings({0: 1, 20: 2}),
        mappings({10: 1, 2**70: 2}),
        mappings({"10": 1, "20": 2}),
        mappings({10: "1", 20: "2"}),
        mappings({10: 1.0, 20: 2.0}),
        mappings({True: 1, 20: 2}),
        mappings({10: 1, 20: 2}, num_items=3),
        mappings({10: 1, 20: 2}, num_items=True),
        mappings({10: 1, 20: 2}, num_items=None),
        mappings({10: 1, 20: 2}, idx_to_item={1: 10, 2: 30}),
        mappings({10: 1, 20: 2}, idx_to_item=None),
        mappings({10: 1, 20: 2}, idx_to_item=[10, 20]),
        {"item_to_idx": {10: 1}},
        [1, 2],
        7,
    ],
)
@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_mappings_that_contradict_each_other_are_refused(tmp_path, spoilt, protocol):
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(spoilt, protocol))
    refused(tmp_path / "m.pkl", load_item_mappings)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_mappings_saved_by_another_python_are_read(tmp_path, protocol):
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(mappings({10: 1, 300: 2, 70_000: 3, 2**40: 4}), protocol))
    assert load_item_mappings(tmp_path / "m.pkl").anime_ids.tolist() == [10, 300, 70_000, 2**40]


def test_finite_weights_that_lead_beyond_all_numbers_are_said_to_be_of_no_use(saved, tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    save_item_mappings(models / "item_mappings.pkl", Vocabulary.of(IDS))
    torch.save(saved, models / "best_model.pth")
    assert len(Recommender.load(tmp_path).recommend([10, 20])) == 5
    load_map_points(models, dict.fromkeys(IDS, 1))
    saved = copy.deepcopy(saved)
    saved["model_state_dict"]["item_embedding.weight"].fill_(3e38)
    saved["model_state_dict"]["memory.ease.diagonal"].fill_(1e-38)
    torch.save(saved, models / "best_model.pth")
    with pytest.raises(UserError, match="not numbers"):
        Recommender.load(tmp_path).recommend([10, 20])
    with pytest.raises(UserError, match="such as no training leaves"):
        load_map_points(models, dict.fromkeys(IDS, 1))


def test_a_model_given_as_a_stream_of_another_machine_is_refused(saved, tmp_path):
    buffer = io.BytesIO()
    torch.save(saved, buffer)
    (tmp_path / "m.pth").write_bytes(buffer.getvalue())
    load_model(tmp_path / "m.pth")  # whatever the folder in it is called
    parts = parts_of(tmp_path / "m.pth")
    write_parts(tmp_path / "m.pth", {name: b"big" if "byteorder" in name else part for name, part in parts.items()})
    assert "byte order" in refused(tmp_path / "m.pth")
