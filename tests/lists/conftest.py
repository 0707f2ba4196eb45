"""What several tests of lists need: a file with lists in it, and what stands for a database."""

import pytest


@pytest.fixture
def write(tmp_path):
    """Writes a file, and returns its path."""

    def write(content, name="lists.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def db(tmp_path):
    """A file that stands for a database: what is kept beside it looks at nothing but its size and time."""
    path = tmp_path / "a.db"
    path.write_bytes(b"x")
    return path


@pytest.fixture
def folder(tmp_path):
    """The folder in which the lists of `db` are kept."""
    return tmp_path / "a.sequences"
