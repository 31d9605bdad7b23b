"""The real azureml-inference-server-http and Penstock, started on the same scripts; raw exchanges with both.

The peer lives in an environment of its own (`support.peers`).
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from support import peers

SCRIPTS = peers.ROOT / "tests" / "data" / "scripts"
REQUIREMENTS = peers.requirements("azureml")
START_TIMEOUT_S = 150.0

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TRANSPORT = {
    "date",
    "server",
    "connection",
    "content-length",
    "transfer-encoding",
    "x-ms-server-version",
    "keep-alive",
}
"""Headers that say how an answer travels, not what it says; both servers have their own."""


@dataclass(frozen=True)
class Call:
    """One request."""

    body: bytes = b""
    method: str = "POST"
    path: str = "/score"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Seen:
    """One answer, made comparable: fresh ids and times are replaced by words."""

    status: int
    headers: dict[str, list[str]] = field(hash=False)
    body: bytes


def build_peer() -> Path:
    """The Python of an environment with the real server in it."""
    return peers.build("azureml")


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Server:
    """One process tree that serves one script; `log` is what it printed."""

    def __init__(
        self, argv: list[str], *, code: Path, port: int, log: Path, variables: dict[str, str]
    ) -> None:
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("AML_", "AZUREML_"))
        }
        environ.update({"AML_APP_ROOT": str(code), "PYTHONDONTWRITEBYTECODE": "1", **variables})
        self.port = port
        self.log = log
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                argv, cwd=code, env=environ, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )

    def wait_ready(self) -> None:
        """Return when ``GET /`` answers 200."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            assert self._process.poll() is None, f"the server ended:\n{self.log.read_text()}"
            with contextlib.suppress(OSError, http.client.HTTPException):
                if exchange(self.port, Call(method="GET", path="/")).status == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"not ready in {START_TIMEOUT_S} s:\n{self.log.read_text()}")

    def wait_exit(self) -> int:
        """The exit code of a server that cannot start."""
        return self._process.wait(START_TIMEOUT_S)

    def stop(self) -> None:
        """End the whole tree."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def start_theirs(python: Path, code: Path, script: str, log: Path, variables: dict[str, str]) -> Server:
    """The real server."""
    port = free_port()
    argv = [str(python.parent / "azmlinfsrv"), "--entry_script", script, "--port", str(port)]
    return Server(argv, code=code, port=port, log=log, variables=variables)


def start_ours(code: Path, script: str, log: Path, variables: dict[str, str], *options: str) -> Server:
    """``penstock serve`` on the same script."""
    port = free_port()
    penstock = str(Path(sys.executable).parent / "penstock")
    argv = [penstock, "serve", "--code", str(code), "--script", script, "--port", str(port), *options]
    return Server(argv, code=code, port=port, log=log, variables=variables)


@contextlib.contextmanager
def all_on(
    python: Path, script: Path, logs: Path, *, originals: bool, **variables: str
) -> Iterator[list[Server]]:
    """Theirs and ours on the same script, ready; with `originals` also ours with its worker in an environment
    that holds Flask and the real modules for which we have stand-ins."""
    code, name = script.parent, script.name
    servers = [start_theirs(python, code, name, logs / "theirs.log", variables)]
    servers.append(start_ours(code, name, logs / "ours.log", variables))
    if originals:
        log = logs / "ours_with_originals.log"
        servers.append(start_ours(code, name, log, variables, "--environment", str(REQUIREMENTS)))
    try:
        for server in servers:
            server.wait_ready()
        yield servers
    finally:
        for server in servers:
            server.stop()


def exchange(port: int, call: Call) -> Seen:
    """Send `call` exactly as it is, and read the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        lines = [f"{call.method} {call.path} HTTP/1.1", "Host: scoring.example:5001", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in call.headers]
        if call.body or call.method == "POST":
            lines.append(f"Content-Length: {len(call.body)}")
        sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + call.body)
        answer = http.client.HTTPResponse(sock, method=call.method)
        answer.begin()
        body = answer.read()
    headers: dict[str, list[str]] = {}
    for name, value in answer.getheaders():
        if name.lower() not in TRANSPORT:
            headers.setdefault(name.lower(), []).append(_comparable(name.lower(), value))
    return Seen(answer.status, headers, body)


def _comparable(name: str, value: str) -> str:
    if name == "x-ms-run-fn-exec-ms":
        return "<milliseconds>" if re.fullmatch(r"\d+\.\d{3}", value) else value
    return UUID.sub("<uuid>", value)
