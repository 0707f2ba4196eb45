"""What an epoch adds up: losses and hits at masked positions, over all batches and all processes."""

from __future__ import annotations

import torch

from anime_bert4rec.model.masked_metrics import TOP_K, standard_errors
from anime_bert4rec.training.history import Result
from anime_bert4rec.training.processes import add_up


class Totals:
    """Sums over masked positions, kept on the device: reading one in the loop would make the GPU wait."""

    def __init__(self, device: torch.device) -> None:
        self.sums = torch.zeros(2 + len(TOP_K), dtype=torch.float64, device=device)
        self.squares = torch.zeros(3, len(TOP_K), dtype=torch.float64, device=device)
        """Of users, for the standard errors; only where they are wanted."""

    def add(self, loss: torch.Tensor, hits: torch.Tensor, count: int) -> None:
        """loss: the mean over `count` positions; hits: how many of them are right, for each k of TOP_K."""
        self.sums[0] += loss.detach() * count
        self.sums[1] += count
        self.sums[2:] += hits

    def result(self) -> Result:
        loss, count, *hits = add_up(self.sums).tolist()
        shares = [hit / count for hit in hits]
        errors = standard_errors(shares, count, add_up(self.squares).tolist())
        return Result(loss / count, dict(zip(TOP_K, shares, strict=True)), dict(zip(TOP_K, errors, strict=True)))
