"""Real Penstock servers for tests: the command as a user types it, in a process of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from penstock.bundle.launch import Launch
from support.waiting import until

PENSTOCK = str(Path(sys.executable).parent / "penstock")


@dataclass
class Reply:
    """One HTTP answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


class Server:
    """A running `penstock serve`. Its log is in `log`, complete after `stop`."""

    def __init__(
        self,
        arguments: list[str],
        *,
        variables: Mapping[str, str] = {},
        cwd: Path | None = None,
        launch: Launch | None = None,
    ) -> None:
        command = [PENSTOCK, "serve", *arguments, "--port", "0", "--log-format", "json"]
        inherited: tuple[int, ...] = ()
        if launch is not None:
            read, write = os.pipe()
            os.write(write, launch.to_json().encode())
            os.close(write)
            inherited = (read,)
            command = [
                sys.executable,
                "-m",
                "penstock.runtimes.realtime.supervisor",
                "--launch-fd",
                str(read),
            ]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, **variables},
            cwd=cwd,
            pass_fds=inherited,
        )
        for descriptor in inherited:
            os.close(descriptor)
        self.lines: list[str] = []
        self.port = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            text = line.decode("utf-8", "replace")
            self.lines.append(text)
            found = re.search(r'"url": "http://[^"]*:(\d+)"', text)
            if found and not self.port:
                self.port = int(found.group(1))

    @property
    def log(self) -> str:
        """Everything logged so far."""
        return "".join(self.lines)

    def records(self) -> list[dict[str, Any]]:
        """The log as JSON records."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    def wait_ready(self, timeout_s: float = 60.0) -> Server:
        """Until the first worker serves; AssertionError with the log when the server ends instead."""

        def ready() -> bool:
            if self.process.poll() is not None:
                self._reader.join(5)
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log}")
            return self.port != 0

        until(ready, "the server to be ready", timeout_s)
        return self

    def request(
        self,
        method: str,
        target: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] = {},
        timeout_s: float = 30.0,
    ) -> Reply:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request(method, target, body, dict(headers))
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def score(self, payload: Any, target: str = "/score", **headers: str) -> Reply:
        """POST `payload` as JSON."""
        return self.request(
            "POST", target, json.dumps(payload), {"Content-Type": "application/json", **headers}
        )

    def processes(self, role: str) -> list[psutil.Process]:
        """Live processes of the tree whose module is `role` (``gateway``, ``nursery``); ``worker`` for
        the nursery's children."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                is_nursery = "penstock.runtimes.realtime.nursery" in process.cmdline()
                parent = process.parent()
                forked = (
                    parent is not None
                    and is_nursery
                    and "penstock.runtimes.realtime.nursery" in parent.cmdline()
                )
                actual = "worker" if forked else "nursery" if is_nursery else "gateway"
                if actual == role and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def listening_port(self) -> int:
        """The port, of a server that does not say it yet: it is not ready."""

        def ports() -> list[int]:
            found = psutil.Process(self.process.pid).net_connections("tcp")
            return [each.laddr.port for each in found if each.status == psutil.CONN_LISTEN]

        return until(ports, "the listening socket")[0]

    def stop(self, timeout_s: float = 15.0) -> int:
        """SIGTERM and wait; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout_s)
        finally:
            self._reader.join(5)

    def kill(self) -> None:
        """End the tree without ceremony."""
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    process.kill()
        self.process.kill()
        self.process.wait(10)


@contextlib.contextmanager
def serving(
    *arguments: str,
    variables: Mapping[str, str] = {},
    cwd: Path | None = None,
    launch: Launch | None = None,
) -> Iterator[Server]:
    """A server that is ready, and is gone afterwards; `launch` in place of `arguments` goes past the command
    line, for what that has no option for."""
    server = Server(list(arguments), variables=variables, cwd=cwd, launch=launch)
    try:
        yield server.wait_ready()
    finally:
        if server.process.poll() is None:
            server.kill()
