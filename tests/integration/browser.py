# SPDX-License-Identifier: Apache-2.0
"""
A real browser for tests: headless Chromium over WebDriver, with nothing but the standard library.

It says what a page complains about, what it loads, and where an element is; and it can be as narrow as a telephone.
"""

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from tests.integration.command import wait_for

# In a container there may be no room in /dev/shm; root needs the sandbox off; and it must not ask for updates.
_WORDS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--hide-scrollbars", "--no-proxy-server"),
)
_SECONDS = 180
_PORT = re.compile(r"on port ([1-9]\d*)\.?\n")  # 0 is what it was asked for


def is_there():
    return bool(shutil.which("chromium") and shutil.which("chromedriver"))


class Browser:
    """One window of a browser."""

    def __init__(self, address, session):
        self._base = f"{address}/session/{session}"
        self._ask = lambda path, data=None: ask(self._base + path, data)

    def cdp(self, command, **parameters):
        return self._ask("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def size(self, width, height, scheme="light", scripts=True):
        """Be that large, show light or dark, run scripts or not."""
        self.cdp(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.cdp("Emulation.setScriptExecutionDisabled", value=not scripts)

    def open(self, url):
        """Show a page, and forget what the one before complained about."""
        self.complaints()
        self.requests()
        self._ask("/url", {"url": url if "://" in str(url) else Path(url).resolve().as_uri()})

    def run(self, script, *arguments):
        """Run the body of a function in the page, ours and not the page's own."""
        return self._ask("/execute/sync", {"script": script, "args": list(arguments)})

    def box(self, selector):
        """Return where the first element is that matches, in the window; None where there is none, or it is hidden."""
        script = """
            const found = document.querySelector(arguments[0]);
            if (!found || !found.getClientRects().length) return null;
            const box = found.getBoundingClientRect();
            return {left: box.left, top: box.top, right: box.right, bottom: box.bottom};
        """
        return self.run(script, selector)

    def text(self, selector="body"):
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def width(self):
        """Return how wide the page is, which is more than the window where something sticks out."""
        return self.run("return document.documentElement.scrollWidth")

    def complaints(self):
        """Return what the console says since the last time."""
        return [entry["message"] for entry in self._ask("/se/log", {"type": "browser"})]

    def requests(self):
        """Return the addresses of what was asked for since the last time, but for what is in the page itself."""
        entries = [json.loads(entry["message"])["message"] for entry in self._ask("/se/log", {"type": "performance"})]
        found = [one["params"]["request"]["url"] for one in entries if one["method"] == "Network.requestWillBeSent"]
        return [url for url in found if not url.startswith("data:")]

    def picture(self, path, whole=True):
        """Write a picture of the page, of all of it or of the window."""
        taken = self.cdp(
            "Page.captureScreenshot", captureBeyondViewport=whole, **({"clip": self._clip()} if whole else {})
        )
        Path(path).write_bytes(base64.b64decode(taken["data"]))

    def _clip(self):
        size = self.cdp("Page.getLayoutMetrics")["cssContentSize"]
        return {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16000), "scale": 1}


def ask(url, data=None):
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=_SECONDS) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read().decode()) from error


@contextlib.contextmanager
def browser(directory):
    """Start a browser whose files are in a directory, and end it with all its processes."""
    environment = {**os.environ, "HOME": str(directory), "TMPDIR": str(directory)}
    log = Path(directory, "driver.log")
    with log.open("wb") as stream:
        argv = ["chromedriver", "--port=0", "--log-level=WARNING"]
        driver = subprocess.Popen(argv, stdout=stream, stderr=stream, env=environment, start_new_session=True)
    try:
        wait_for(lambda: _PORT.search(log.read_text()), _SECONDS)
        address = f"http://127.0.0.1:{_PORT.search(log.read_text())[1]}"
        options = {"args": [*_WORDS, f"--user-data-dir={directory}/profile"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        made = ask(f"{address}/session", {"capabilities": {"alwaysMatch": wanted}})
        try:
            yield Browser(address, made["sessionId"])
        finally:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            request = urllib.request.Request(f"{address}/session/{made['sessionId']}", method="DELETE")
            opener.open(request, timeout=_SECONDS).close()
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
