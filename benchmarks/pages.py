"""How soon the pages show something, and how smoothly the map moves, in headless Chromium without a graphics card.

    python benchmarks/pages.py
    python benchmarks/pages.py --anime 300 3000 20000 --pictures shots

The pages are those of the tests, made up and with hostile titles. For each it prints the size, the first paint with
content in milliseconds after the page is asked for, and, where there is a map, the frames a second while it is
dragged. The least of a few openings and the best of a few drags, as other programs may use the processor, too.
--pictures keeps what each page looks like at 390, 800 and 1,600 pixels, light and dark.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]

from browser import Browser, chromium
from small_pages import a_person, a_report

from anime_bert4rec.command_line.script import script
from anime_bert4rec.support.errors import UserError

TRIES, SECONDS = 5, 1.5
WIDTHS = (390, 800, 1600)
PAINT = """
new Promise((done) => new PerformanceObserver((list) => {
  for (const each of list.getEntriesByName('first-contentful-paint')) done(Math.round(each.startTime));
}).observe({ type: 'paint', buffered: true }))
"""
COUNT_FRAMES = "window.counted = 0; (function next() { counted += 1; requestAnimationFrame(next); })()"


@script
def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 20, 200], help="recommendations of a person")
    parser.add_argument("--anime", type=int, nargs="+", default=[300, 3000, 20000], help="anime of the report's map")
    parser.add_argument("--pictures", type=Path, help="a folder for pictures of the pages")
    args = parser.parse_args(argv)
    if not chromium():
        raise UserError("there is no Chromium here: install one, or name it with CHROMIUM")
    pages = {f"person, {rows:,} titles": a_person(rows, max(300, rows)) for rows in args.rows}
    pages |= {f"report, {anime:,} anime": a_report(anime) for anime in args.anime}
    browser = Browser("--hide-scrollbars")
    try:
        with tempfile.TemporaryDirectory() as folder:
            for number, (name, html) in enumerate(pages.items()):
                path = Path(folder) / f"{number}.html"
                path.write_bytes(html.encode())
                said = f"{name}: {path.stat().st_size / 1000:,.0f} KB, first paint {first_paint(browser, path)} ms"
                moved = frames_a_second(browser)
                print(said + (f", {moved:.0f} frames a second" if moved else ""), flush=True)
                if args.pictures:
                    take_pictures(browser, path, args.pictures, name.replace(", ", "-").replace(" ", "-"))
    finally:
        browser.close()
    return 0


def first_paint(browser: Browser, path: Path) -> int:
    paints = []
    for _ in range(TRIES):
        browser.open(path)
        paints.append(int(browser.run(PAINT)))
    return min(paints)


def frames_a_second(browser: Browser) -> float | None:
    """While the map is dragged to and fro, the best of a few times; None where there is none."""
    where = "(() => { const box = document.querySelector('canvas')?.getBoundingClientRect();"
    where += " return box && [box.left + box.width / 2, box.top + box.height / 2]; })()"
    browser.run("document.querySelector('canvas')?.scrollIntoView({block: 'center'})")
    middle = browser.run(where)
    if not middle:
        return None
    browser.mouse("mousePressed", *middle, button="left", buttons=1, clickCount=1)
    browser.run(COUNT_FRAMES)
    best = 0.0
    for _ in range(TRIES):
        step, start, before = 0, time.perf_counter(), browser.run("counted")
        while (seconds := time.perf_counter() - start) < SECONDS:
            step += 1
            away = abs(step % 40 - 20)
            browser.mouse("mouseMoved", middle[0] + 3 * away, middle[1] + away, button="left", buttons=1)
        best = max(best, (browser.run("counted") - before) / seconds)
    browser.mouse("mouseReleased", *middle, button="left", clickCount=1)
    return best


def take_pictures(browser: Browser, path: Path, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for width in WIDTHS:
        for dark in (False, True):
            browser.open(path, width, 1000, dark=dark)
            browser.picture(folder / f"{name}-{width}-{'dark' if dark else 'light'}.png")


if __name__ == "__main__":
    raise SystemExit(main())
