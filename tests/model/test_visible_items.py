"""What is visible at masks and before cuts, by hand."""

from __future__ import annotations

import torch
from small_lists import ITEMS, MASK, cut_at, masked_at

from anime_bert4rec.model.visible_items import count_visible, visible_at


def test_visible_is_what_is_shown_of_a_list_and_before_a_cut_what_is_before_it() -> None:
    items = torch.tensor([[0, 1, 2, MASK, 3], [4, MASK, 5, MASK, 6]])
    batch = masked_at(items, torch.tensor([3, 6, 8]))
    assert count_visible(batch, ITEMS).tolist() == [3, 3, 3]
    assert visible_at(batch, ITEMS).tolist() == [[0, 1, 2, 0, 3], [4, 0, 5, 0, 6], [4, 0, 5, 0, 6]]
    whole = batch._replace(visible=torch.tensor([[1, 2, 3, 7, ITEMS], [4, 5, 6, 0, 0]]))
    assert count_visible(whole, ITEMS).tolist() == [5, 3, 3]
    assert visible_at(whole, ITEMS)[0].tolist() == [1, 2, 3, 7, ITEMS], "what is beyond the window is visible, too"
    cut = cut_at(torch.tensor([[0, 1, 2, 3], [4, 5, 6, 7]]), torch.tensor([2, 4]), torch.tensor([0, 0, 1, 1]),
                 torch.tensor([0, 1, 0, 1]))  # fmt: skip
    assert count_visible(cut, ITEMS).tolist() == [1, 3, 2, 4]
    assert visible_at(cut, ITEMS).tolist() == [[0, 1, 0, 0], [0, 1, 2, 3], [4, 5, 0, 0], [4, 5, 6, 7]]
