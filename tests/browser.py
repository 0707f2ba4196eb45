"""A headless Chromium for the tests of the pages, spoken to in its own protocol through two pipes: no other package.

https://chromedevtools.github.io/devtools-protocol/ names the methods and events.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PATIENCE = 60
"""Seconds until an answer must be there, on a machine that does much else."""
IN_PLACE = """
import fcntl, os, sys
to_read, to_write = map(int, sys.argv[1:3])
to_write = fcntl.fcntl(to_write, fcntl.F_DUPFD, 10)
os.dup2(to_read, 3)
os.set_inheritable(3, True)
os.dup2(to_write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Puts the pipes where the browser expects them, at the descriptors 3 and 4, and becomes the browser."""


def chromium() -> str | None:
    """The browser that is named by CHROMIUM, or found; None on Windows, where it has no such pipes."""
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    found = (shutil.which(name) for name in names if name and os.name == "posix")
    return next(filter(None, found), None)


class Browser:
    """A browser with one page. Everything that it says of requests and errors is kept in `events`."""

    def __init__(self, *flags: str) -> None:
        binary = chromium()
        assert binary
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        (to_read, self._to), (self._from, to_write) = os.pipe(), os.pipe()
        own = [f"--user-data-dir={self._folder.name}", "--remote-debugging-pipe", "--headless", "--no-sandbox"]
        own += ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage"]
        command = [sys.executable, "-c", IN_PLACE, str(to_read), str(to_write), binary, *own, *flags]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(command, pass_fds=(to_read, to_write), stdout=quiet, stderr=quiet)
        os.close(to_read)
        os.close(to_write)
        self.events: list[dict[str, Any]] = []
        self._session, self._rest, self._calls = "", b"", 0
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)
        self._folder.cleanup()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._calls += 1
        number = self._calls
        message = {"id": number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from], [], [], max(0, until - time.monotonic()))
            part = os.read(self._from, 2**20) if ready else b""
            assert part, "the browser says nothing"
            self._rest += part
        first, _, self._rest = self._rest.partition(b"\0")
        return json.loads(first)

    def open(self, path: Path, width: int = 1200, height: int = 900, language: str = "en", dark: bool = False) -> None:
        """Open a file, and wait until it is loaded and drawn."""
        agent = self.call("Browser.getVersion")["userAgent"]
        self.call("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=language)
        self.look(width, height, dark)
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        until = time.monotonic() + PATIENCE
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            assert time.monotonic() < until
            self.run("1")
            time.sleep(0.02)
        self.wait()

    def look(self, width: int, height: int, dark: bool = False, media: str = "screen") -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def run(self, script: str) -> Any:
        """The value of an expression in the page, or of what it promises."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self) -> None:
        """Until two more frames are drawn."""
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def press(self, key: str, text: str | None = None, code: int = 0) -> None:
        more = {"text": text} if text else {}
        number = {"windowsVirtualKeyCode": code} if code else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **more, **number)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, **number)
        self.wait()

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float) -> None:
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)
        self.wait()

    def requests(self) -> list[str]:
        """Where the page has asked for anything, but for itself."""
        sent = [event["params"] for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return [each["request"]["url"] for each in sent if each.get("type") != "Document"]

    def complaints(self) -> list[str]:
        """Errors and warnings of the page."""
        said = [event for event in self.events if event["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")]
        said += [event for event in self.events if event["method"] == "Runtime.consoleAPICalled"]
        return [json.dumps(event["params"])[:500] for event in said]

    def picture(self, path: Path, whole: bool = True) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]))
