"""A training batch in two threads: the same gradients as in one, whichever thread is first."""

from __future__ import annotations

import os
import re
import signal
import threading
import time

import pytest
import torch
from small_lists import masked_at

from anime_bert4rec.model import two_threads as two_threads_of
from anime_bert4rec.model.batches import Batch
from anime_bert4rec.model.bert4rec import BERT4Rec, ModelConfig
from anime_bert4rec.model.two_threads import MOST_WEIGHTS, _two_threads, in_halves, in_two_threads, one_thread
from train_model import learn

ROWS, LENGTH, ITEMS = 7, 9, 40
FEW = 1  # weights


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    _two_threads.cache_clear()  # a thread that has computed nothing yet would take over the number set since it started
    yield
    torch.set_num_threads(before)


def a_batch(rows: int = ROWS) -> Batch:
    torch.manual_seed(5)
    items = torch.randint(1, ITEMS + 1, (rows, LENGTH))
    places = torch.randperm(rows * LENGTH)[: 2 * rows].sort().values
    targets = items.view(-1)[places].clone()
    items.view(-1)[places] = ITEMS + 1
    return masked_at(items, places, targets, seed=3)


def gradients(batch: Batch, dropout: float, halved: bool) -> tuple[torch.Tensor, list]:
    torch.manual_seed(1)
    model = BERT4Rec(ModelConfig(ITEMS, hidden_size=16, num_heads=2, max_seq_len=LENGTH, dropout=dropout))
    torch.nn.init.normal_(model.project.weight)
    scaler = torch.amp.GradScaler("cpu", enabled=False)

    def work(part: Batch):
        return learn(model, part, scaler)

    learnt = in_halves(batch, FEW, work) if halved else [work(batch)]
    return torch.cat([weight.grad.flatten() for weight in model.parameters()]), learnt


def test_one_thread_and_as_many_as_before_again():
    torch.set_num_threads(3)
    with pytest.raises(ValueError, match="no"), one_thread():
        assert torch.get_num_threads() == 1
        raise ValueError("no")
    assert torch.get_num_threads() == 3


def test_both_halves_together_have_the_gradients_and_the_losses_of_the_whole():
    (whole, [(loss, hits, count)]), (halved, halves) = (gradients(a_batch(), 0.0, halved) for halved in (False, True))
    assert len(halves) == 2
    torch.testing.assert_close(halved, whole, rtol=1e-4, atol=1e-6)
    assert sum(part[2] for part in halves) == count == 2 * ROWS
    assert sum(part[0] * part[2] for part in halves) / count == pytest.approx(loss.item())
    assert torch.equal(sum(part[1] for part in halves), hits)


def test_the_same_batch_gives_the_same_gradients_to_the_last_digit():
    first, _ = gradients(a_batch(), 0.3, True)
    for _ in range(20):
        again, _ = gradients(a_batch(), 0.3, True)
        assert torch.equal(again, first)


def test_the_halves_drop_out_different_units():
    seeds = set(in_halves(a_batch(), FEW, lambda part: part.seed))
    assert len(seeds) == 2


def test_two_threads_work_at_once_with_half_of_the_threads_each():
    together = threading.Barrier(2, timeout=60)

    def work(part: Batch) -> tuple[int, int]:
        together.wait()  # for ever, if the halves came one after the other
        return len(part.items), torch.get_num_threads()

    assert in_halves(a_batch(), FEW, work) == [(3, 1), (4, 1)]
    assert torch.get_num_threads() == 2


def test_one_row_or_one_thread_is_not_halved():
    assert in_halves(a_batch(1), FEW, lambda part: (len(part.items), part.weight)) == [(1, 1.0)]
    torch.set_num_threads(1)
    assert in_halves(a_batch(), FEW, lambda part: (len(part.items), part.weight)) == [(ROWS, 1.0)]


def test_more_weights_than_pay_for_themselves_are_not_halved():
    most = MOST_WEIGHTS * ROWS * LENGTH
    assert [len(in_halves(a_batch(), weights, id)) for weights in (most, most + 1)] == [2, 1]


def test_what_goes_wrong_in_a_half_is_raised():
    def work(part: Batch):
        raise MemoryError

    with pytest.raises(MemoryError):
        in_halves(a_batch(), FEW, work)


def test_ctrl_c_waits_for_what_has_begun():
    ended = []

    def work(part: int) -> None:
        if part == 0:
            signal.raise_signal(signal.SIGINT)
        time.sleep(0.3)
        ended.append(part)

    with pytest.raises(KeyboardInterrupt):
        in_two_threads(work, range(3))
    assert sorted(ended) == [0, 1, 2]


def test_a_single_part_is_done_in_the_own_thread_with_one_of_torchs():
    here = threading.get_ident()
    assert in_two_threads(lambda part: (threading.get_ident(), torch.get_num_threads(), part), [7]) == [(here, 1, 7)]
    assert torch.get_num_threads() == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_process_that_is_forked_off_has_threads_of_its_own():
    assert in_two_threads(abs, [-1, -2]) == [1, 2]
    child = os.fork()
    if not child:
        signal.alarm(20)
        os._exit(in_two_threads(abs, [-1, -2]) != [1, 2])
    assert os.waitpid(child, 0)[1] == 0


def test_a_thread_that_the_system_refuses_is_one_error_at_once(monkeypatch):
    start, started = threading.Thread.start, []

    def refuse_the_second(thread):
        started.append(thread)
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse_the_second)
        with pytest.raises(RuntimeError, match="can't start"):
            in_two_threads(abs, [-1, -2])
        started[0].join(20)
        assert not started[0].is_alive()
    assert in_two_threads(abs, [-1, -2]) == [1, 2]


def test_a_thread_that_begins_too_late_works_all_the_same(monkeypatch):
    one_at_a_time, say = threading.Lock(), torch.set_num_threads

    def say_late(number):
        with one_at_a_time:
            time.sleep(0.2)
            say(number)

    monkeypatch.setattr(two_threads_of, "LONGEST_START", 0.05)
    monkeypatch.setattr(torch, "set_num_threads", say_late)
    for _ in range(2):
        assert in_two_threads(abs, [-1, -2, -3]) == [1, 2, 3]


@pytest.mark.parametrize(("processes", "parts"), [(1, 2), (2, 1), (3, 1)])
def test_what_several_processes_share_is_not_halved_again(processes, parts):
    """Each would send its gradients twice, and wait for the other's."""
    assert len(in_halves(a_batch(), FEW, id, processes)) == parts


def mkl_threads(_: object) -> str:
    return re.findall(r"mkl_get_max_threads\(\) : (\d+)", torch.__config__.parallel_info())[0]


@pytest.mark.skipif("mkl_get_max_threads" not in torch.__config__.parallel_info(), reason="torch is without MKL")
@pytest.mark.usefixtures("two_threads")
def test_each_of_two_threads_has_one_of_mkls_also_after_work_in_one():
    """With two it adds up in another order, sometimes."""
    for _ in range(3):
        with one_thread():
            pass
        assert in_two_threads(mkl_threads, range(4)) == ["1"] * 4
