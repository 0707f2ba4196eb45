"""Draw the pictures of the documentation again, from the made-up AniList alone.

    python docs/make_pictures.py

takes half a minute. The pictures go to docs/pictures, small enough to be kept in the repository. Those of the pages
need Chromium, by the name that CHROMIUM has or `chromium`, and a font with Chinese and Japanese characters, such as
Noto Sans CJK: without one there are empty boxes.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image  # comes with matplotlib

PROJECT_DIR = Path(__file__).resolve().parent.parent
PICTURES = PROJECT_DIR / "docs" / "pictures"
WIDTH = 1200

COMMANDS = (
    "prepare_dataset.py --sandbox --count 600 --db sandbox.db",
    "load_users.py --sandbox --db sandbox.db",
    "train_model.py --sandbox --db sandbox.db --output-dir output --epochs 30 --hidden-size 64 --max-seq-len 100",
    "recommend.py --sandbox --db sandbox.db --output-dir output --user sandbox0001 --html person.html",
)
PAGES = {"person_page.png": ("person.html", 900), "report_page.png": ("output/report.html", 2990)}
"""The pages, and how many pixels of them are shown from the top."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for command in COMMANDS:
            script, *flags = shlex.split(command)
            subprocess.run([sys.executable, PROJECT_DIR / script, *flags], cwd=folder, check=True)
        PICTURES.mkdir(exist_ok=True)
        for path in sorted(Path(folder, "output", "plots").glob("*.png")):
            small(path).save(PICTURES / path.name, optimize=True)
            print(PICTURES / path.name)
        browser = shutil.which(os.environ.get("CHROMIUM", "chromium"))
        if browser:
            draw_pages(Path(folder), browser)


def draw_pages(folder: Path, browser: str) -> None:
    for name, (page, height) in PAGES.items():
        flags = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size=1200,{height}", "--lang=en"]
        command = [browser, *flags, f"--screenshot={folder / name}", f"{folder.resolve().as_uri()}/{page}"]
        subprocess.run(command, check=True, capture_output=True)
        small(folder / name).save(PICTURES / name, optimize=True)
        print(PICTURES / name)


def small(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        size = WIDTH, round(WIDTH * picture.height / picture.width)
        return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS).quantize(256, Image.Quantize.FASTOCTREE)


if __name__ == "__main__":
    main()
