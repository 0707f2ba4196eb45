"""Data that benchmarks are tried on: what is right can be told."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np


def two_kinds_of_people(folder: Path) -> list[str]:
    """90 people who have only even or only odd ones of 300 anime: the flags that name the files."""
    random = np.random.default_rng(0)
    catalogue = [
        {"id": n, "popularity": 900 - n, "genres": [], "relations": [["SEQUEL", n + 2]] if n < 3 else []}
        for n in range(1, 301)
    ]
    rows = [
        f"{'m' if person else 'a'}{person},{n},"
        for person in range(90)
        for n in np.flatnonzero(random.random(300) < 0.3 * (np.arange(300) % 2 == person % 2)) + 1
    ]
    texts = {
        "anilist_catalogue.jsonl.gz": "\n".join(map(json.dumps, catalogue)),
        "anime_lists.csv.gz": "\n".join(["user,anime_id,date", *rows]),
        "anime_scores.csv.gz": "user,anime_id,status\na0,1,PLANNING",
    }
    for name, text in texts.items():
        with gzip.open(folder / name, "wt") as file:
            file.write(text + "\n")
    return [f"--{kind}={folder / name}" for kind, name in zip(("catalogue", "data", "scores"), texts, strict=True)]
