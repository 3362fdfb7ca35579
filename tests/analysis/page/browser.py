"""A headless Chromium, driven by the WebDriver protocol through chromedriver."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

DRIVER = shutil.which("chromedriver")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SECONDS_TO_START = 30
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip


class Browser:
    """One session."""

    def __init__(self, session: str) -> None:
        self._session = session

    def open(self, page: Path) -> None:
        self.command("POST", "/url", {"url": page.as_uri()})

    def resize(self, width: int, height: int) -> None:
        """The size of what is shown, as on a phone: a window cannot be that narrow."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        body = {"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics}
        self.command("POST", "/goog/cdp/execute", body)

    def script(self, code: str) -> Any:
        """The value that `code` returns."""
        return self.command("POST", "/execute/sync", {"script": code, "args": []})

    def click(self, xpath: str) -> None:
        element = self.command("POST", "/element", {"using": "xpath", "value": xpath})
        (reference,) = element.values()
        self.command("POST", f"/element/{reference}/click", {})

    def complaints(self) -> list[str]:
        """What the page has written to the console so far, errors and refusals included."""
        return [entry["message"] for entry in self.command("POST", "/se/log", {"type": "browser"})]

    def printed(self) -> str:
        """The page as PDF, in base64."""
        return str(self.command("POST", "/print", {}))

    def command(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return _request(method, f"{self._session}{path}", body)


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Start chromedriver on a free port of this machine, and stop it and its browser afterwards."""
    assert DRIVER is not None
    with subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as driver:
        assert driver.stdout is not None
        try:
            port = next(line.rsplit(" ", 1)[1].strip(".\n") for line in driver.stdout if "successfully on port" in line)
            server = f"http://127.0.0.1:{port}"
            options = {"args": [*ARGUMENTS, f"--user-data-dir={profile}"], "binary": CHROMIUM}
            wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            session = _started(server, {"capabilities": {"alwaysMatch": wanted}})
            yield Browser(session)
            _request("DELETE", session, None)
        finally:
            driver.terminate()


def _started(server: str, body: dict[str, Any]) -> str:
    deadline = time.monotonic() + SECONDS_TO_START
    while True:
        try:
            return f"{server}/session/{_request('POST', f'{server}/session', body)['sessionId']}"
        except (URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _request(method: str, url: str, body: dict[str, Any] | None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urlopen(request, timeout=60) as answer:
        return json.load(answer)["value"]
