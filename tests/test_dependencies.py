"""What is required is pinned to versions that were tested, and its licence is listed."""

from __future__ import annotations

import re

from config import PROJECT_DIR


def names(path):
    lines = (PROJECT_DIR / path).read_text(encoding="utf-8").splitlines()
    return {match[0].lower() for line in lines if (match := re.match(r"[A-Za-z][\w-]*", line))}


def test_five_packages_at_run_time():
    assert names("requirements.txt") == {"torch", "requests", "matplotlib", "numpy", "tqdm"}


def test_every_requirement_is_pinned():
    pinned = dict(re.findall(r"^([a-z][a-z0-9-]*)==(\S+)$", (PROJECT_DIR / "constraints.txt").read_text(), re.M))
    assert pinned["torch"] == "2.13.0"
    assert names("requirements.txt") | names("requirements-dev.txt") <= set(pinned)


def test_licences_are_listed():
    listed = (PROJECT_DIR / "docs" / "DEPENDENCIES.md").read_text(encoding="utf-8")
    run_time = (PROJECT_DIR / "constraints.txt").read_text().partition("# for the tests")[0]
    for name in re.findall(r"^([a-z][a-z0-9-]*)==", run_time, re.M):
        assert re.search(rf"(?<![\w-]){name} (\||\()", listed), name
