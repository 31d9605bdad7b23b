"""A headless Chromium, driven over its debugging pipe (Chrome DevTools Protocol): no driver, no download."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

COMMAND = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")

_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
    "--window-size=1200,1600",
)
_TIMEOUT_S = 30.0


class Page:
    """One open page. `complaints` are what its console logged as warnings and errors."""

    def __init__(self, send: int, receive: int) -> None:
        self._send = send
        self._receive = receive
        self._buffer = b""
        self._last = 0
        self._session = ""
        self.complaints: list[str] = []
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._ask(f"{domain}.enable")

    def open(self, url: str) -> None:
        """Go to `url`, and come back when it has loaded."""
        self._ask("Page.navigate", url=url)
        self.run(
            "new Promise(done => document.readyState === 'complete' && location.href !== 'about:blank'"
            " ? done() : addEventListener('load', done))"
        )

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise's when it is fulfilled."""
        answer = self._ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            heard = self._hear()
            if heard.get("id") == self._last:
                assert "error" not in heard, heard["error"]
                result: dict[str, Any] = heard["result"]
                return result
            if heard.get("method") == "Log.entryAdded":
                entry = heard["params"]["entry"]
                if entry["level"] in ("warning", "error"):
                    self.complaints.append(f"{entry['text']} {entry.get('url', '')}")
            elif heard.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(str(heard["params"]["exceptionDetails"]))

    def _hear(self) -> dict[str, Any]:
        deadline = time.monotonic() + _TIMEOUT_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._receive], [], [], max(deadline - time.monotonic(), 0))
            assert ready, "Chromium does not answer"
            data = os.read(self._receive, 1 << 16)
            assert data, "Chromium is gone"
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        heard: dict[str, Any] = json.loads(text)
        return heard


@contextlib.contextmanager
def browsing(profile: Path) -> Iterator[Page]:
    """A page of a Chromium whose profile is the folder `profile`; gone afterwards."""
    orders, send = os.pipe()
    receive, answers = os.pipe()
    # Chromium reads from descriptor 3 and writes to 4; the shell puts them there, by
    # path: dash knows descriptors of one digit only.
    process = subprocess.Popen(
        [
            "/bin/sh",
            "-c",
            f'exec "$@" 3</proc/self/fd/{orders} 4>/proc/self/fd/{answers}',
            "sh",
            COMMAND,
            *_OPTIONS,
            f"--user-data-dir={profile}",
        ],
        pass_fds=(orders, answers),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(orders)
    os.close(answers)
    try:
        yield Page(send, receive)
    finally:
        os.close(send)
        os.close(receive)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
