"""Files of tensors: what shared its numbers shares them again; hostile ones are in test_hostile_models.py, too."""

from __future__ import annotations

import zipfile

import pytest
import torch

from anime_bert4rec.model.tensor_file import read_tensors
from anime_bert4rec.support.forms import WrongForm


def test_tensors_that_were_one_are_one_again(tmp_path):
    whole = torch.arange(6.0)
    torch.save({"whole": whole, "part": whole[2:].view(2, 2), "empty": torch.zeros(0, 3)}, tmp_path / "t")
    read = read_tensors(tmp_path / "t")
    assert read["part"].tolist() == [[2, 3], [4, 5]] and read["empty"].shape == (0, 3)
    read["whole"][2] = 7
    assert read["part"][0, 0] == 7


def test_numbers_of_two_kinds_are_refused(tmp_path):
    """A tensor of halves that takes the store of another, of floats, in place of its own."""
    torch.save({"floats": torch.ones(2), "halves": torch.ones(2).half()}, tmp_path / "t.pth")
    with zipfile.ZipFile(tmp_path / "t.pth") as archive:
        parts = {part.filename: archive.read(part) for part in archive.infolist()}
    own, others = (b"X\x01\0\0\0" + key for key in (b"1", b"0"))
    assert parts["t/data.pkl"].count(own) == parts["t/data.pkl"].count(others) == 1
    with zipfile.ZipFile(tmp_path / "t.pth", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content.replace(own, others) if name == "t/data.pkl" else content)
    with pytest.raises(WrongForm, match="the same numbers are of two kinds"):
        read_tensors(tmp_path / "t.pth")
