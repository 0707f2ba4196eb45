"""Puts a page together: HTML, style, texts, data and scripts in one file, which may load nothing and run nothing else.

Titles and names are strangers' text. They are in the page as JSON alone, without any character that HTML knows, and the
scripts make text of them, never markup.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from anime_bert4rec.support.whole_files import write_aside

FOLDER = Path(__file__).resolve().parent
SCRIPTS = {
    "person": ("common.js", "map.js", "person.js"),
    "report": ("common.js", "map.js", "charts.js", "report.js"),
}
"""The scripts of each kind of page, in the order in which they need each other."""


def page(kind: str, title: str, data: Mapping[str, Any], image_host: str | None = None) -> str:
    """The page as HTML.

    kind: a key of SCRIPTS. title: shown until a script sets it in the language of the browser. data: what the scripts
    read. image_host: the only host that pictures may come from; without one, nothing may come from anywhere.
    """
    style = _text("page.css")
    script = "\n".join(map(_text, SCRIPTS[kind]))
    return Template(_text("page.html")).substitute(
        kind=kind,
        policy=content_security_policy(style, script, image_host),
        title=escape(title),
        style=style,
        texts=json_in_html(json.loads(_text("texts.json"))),
        data=json_in_html(data),
        script=script,
    )


def content_security_policy(style: str, script: str, image_host: str | None) -> str:
    """A policy by which a page may use this style and this script, and pictures of the host if there is one."""
    images = [f"img-src https://{image_host}"] if image_host else []
    rules = ["default-src 'none'", f"script-src '{_hash(script)}'", f"style-src '{_hash(style)}'", *images]
    return "; ".join([*rules, "base-uri 'none'", "form-action 'none'"])


def json_in_html(value: Any) -> str:
    """JSON that can stand in a script element: no text in it ends the element, begins a comment or breaks a line.

    Raises ValueError for a number that is not finite, which JSON has not.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def write_page(path: Path, html: str) -> None:
    """Write the page in UTF-8, whole or not at all."""
    with write_aside(path) as file:
        file.write(html.encode())


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
