"""What is said of a run before its first epoch."""

from __future__ import annotations

import logging
from datetime import datetime

import numpy as np
import pytest

from anime_bert4rec.lists.sequences import Vocabulary, build_sequences
from anime_bert4rec.model.training_data import Data
from anime_bert4rec.training.run_report import log_start

DAY = 1_700_000_000 // 86_400 * 86_400


@pytest.mark.parametrize(("entries", "is_said"), [(9, False), (10, True)])
def test_a_run_says_that_the_times_of_one_sitting_are_no_order(
    entries: int, is_said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Each person has entered everything on one day, a minute apart."""
    vocabulary = Vocabulary(np.arange(1, 21))
    rows = [(user, 1 + k, k, None, None, DAY + 60 * k, None) for user in (1, 2) for k in range(entries)]
    lists = build_sequences(rows, vocabulary)
    with caplog.at_level(logging.INFO):
        log_start(Data(vocabulary, lists, lists), datetime(2026, 1, 1))
    says = [line for line in caplog.messages if line.startswith("Without an order: most entries")]
    assert len(says) == is_said
    assert caplog.messages[1] == f"2 users to train on, 2 to validate on, 20 anime, {4 * entries} entries."
