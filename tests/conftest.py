"""What all tests need: threads that wait without spinning, no GPU, and Ctrl-C."""

import functools
import logging
import os
import signal
import sys

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # files of tests run beside each other; see two_threads
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # runs are the same to the last digit on a CPU alone; see test_gpu.py
# A shell starts background jobs with Ctrl-C ignored, and so would be every script that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("here", deadline=None)  # that a machine is busy is no failure
settings.load_profile("here")


LONGEST_FIRST = (
    "test_faults.py",
    "plots/test_matplotlib_settings.py",
    "training/test_processes.py",
    "test_benchmarks.py",
    "test_train_model.py",
    "training/test_resume.py",
    "support/test_stopping.py",
    "training/test_batch_loading.py",
    "test_terminal.py",
    "test_evaluate.py",
    "test_end_to_end.py",
    "test_benchmarks_more.py",
    "test_changed_database.py",
)
"""Several processes take a file each: with a long one at the end, all but one would wait for it."""


def pytest_configure(config):
    config.option.loadscopereorder = False  # pytest-xdist would put the files with the most tests first


def pytest_collection_modifyitems(config, items):
    place = {config.rootpath / "tests" / name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.fixture(scope="session")
def db(tmp_path_factory):
    """60 people of the sandbox and 300 anime, which no test may change."""
    from small_runs import make_database  # here, for most tests need neither it nor torch

    return make_database(tmp_path_factory.mktemp("data"))


@pytest.fixture
def popular():
    """A recommender that knows only how popular each of five titles is."""
    from small_models import popular_recommender

    return popular_recommender()


@pytest.fixture(params=["ordered", "without an order"])
def knowing(request):
    """A recommender that knows 60 lists of six of 30 titles."""
    from small_models import knowing_recommender

    return knowing_recommender(request.param == "ordered")


@pytest.fixture(scope="module")
def two_threads():
    """Training as on most machines: each half of a batch in a thread of its own, also in processes that are started."""
    import torch

    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "2")
        torch.set_num_threads(2)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def fitted_once():
    """Runs with the same lists and settings fit their memory once; see small_runs."""
    from small_runs import fit_once

    with pytest.MonkeyPatch.context() as patch:
        fit_once(patch)
        yield


@pytest.fixture(scope="module")
def without_plots():
    """Runs in this process draw nothing; see small_runs."""
    from small_runs import draw_nothing

    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        yield


@pytest.fixture
def no_waiting(monkeypatch):
    """A request that fails is tried again at once."""
    from anime_bert4rec.anilist import connection

    monkeypatch.setattr(connection, "RETRY_WAITS", ())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small catalogue, lists and a model in bert.db and out/, which no test may change."""
    from small_recommendations import fill

    return fill(tmp_path_factory.mktemp("recommend"))


@pytest.fixture
def run(folder, capsys):
    """Runs recommend.py on `folder` with more flags; gives its exit code, stdout and stderr."""
    from small_recommendations import ask

    return functools.partial(ask, folder, capsys)


@pytest.fixture
def rows(run):
    """Runs recommend.py with more flags, and gives the rows of its JSON."""
    from small_recommendations import rows_of

    return lambda *flags: rows_of(run(*flags, "--format", "json"))


@pytest.fixture(autouse=True)
def as_quiet_as_before():
    """What a script's --quiet or --verbose has changed stays in a test."""
    yield
    script = sys.modules.get("anime_bert4rec.command_line.script")
    if script:
        script._screen_level, script.progress.quiet = logging.INFO, False


@pytest.fixture(autouse=True)
def as_many_threads_as_before():
    """Benchmarks set how many threads torch has, on which the last digits of a training run depend."""
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else None
    yield
    if torch and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
