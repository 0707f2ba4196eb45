"""What several tests of pages need: a browser."""

import pytest


@pytest.fixture(scope="module")
def browser():
    from browser import Browser, chromium  # here, for most tests of pages need none

    if not chromium():
        pytest.skip("no Chromium here: the pages are not opened")
    started = Browser()
    yield started
    started.close()
