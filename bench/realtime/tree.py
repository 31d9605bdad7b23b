"""A server as a process tree: started on its core, asked, measured, stopped."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.realtime import place
from bench.realtime.workloads import Workload

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 20.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class ServerError(Exception):
    """A server that did not start, died, or answered wrongly; the message ends with its last lines."""


class Tree:
    """One running server: `port` it listens on, and the processes under `root`."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.name = name
        self.port = port
        self._process = process
        self._log = log

    def pids(self) -> list[int]:
        """The root process and everything below it, now."""
        children: dict[int, list[int]] = {}
        for pid, fields in _stats():
            children.setdefault(int(fields[1]), []).append(pid)
        found, queue = [], [self._process.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            queue += children.get(pid, [])
        return found

    def cpu_s(self) -> float:
        """CPU seconds of the whole tree since it started, user and system, reaped children included."""
        pids = set(self.pids())
        ticks = sum(sum(map(int, fields[11:15])) for pid, fields in _stats() if pid in pids)
        return ticks / _TICKS_PER_S

    def pss_mb(self) -> float:
        """Proportional set size of the whole tree in MB (10**6 bytes)."""
        total_kib = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                total_kib += next(int(line.split()[1]) for line in rollup.splitlines() if line[:4] == "Pss:")
        return total_kib * 1024 / 1e6

    def settled_pss_mb(self, *, timeout_s: float = 60.0) -> float:
        """`pss_mb` once the number of processes and the size have stopped moving for a second."""
        deadline = time.monotonic() + timeout_s
        history: list[tuple[int, float]] = []
        while time.monotonic() < deadline:
            history.append((len(self.pids()), self.pss_mb()))
            last = history[-5:]
            sizes = [size for _, size in last]
            if len(last) == 5 and len({n for n, _ in last}) == 1 and max(sizes) < 1.005 * min(sizes):
                break
            time.sleep(0.25)
        return history[-1][1]

    def ask(self, body: bytes, *, timeout_s: float = 10.0) -> list[float]:
        """The answer to one scoring request. Raises OSError or HTTPException while nobody listens, and
        ServerError for anything but 200 once somebody does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request("POST", "/score", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise ServerError(f"{self.name}: {response.status} {text[:300]!r}")
        answer: list[float] = json.loads(text)
        return answer

    def wait_until_it_answers(self, body: bytes) -> None:
        """Ask until there is a 200. Raises ServerError when the process ends or the time is over."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            if self._process.poll() is not None:
                raise ServerError(f"{self.name} ended with {self._process.returncode}.\n{self.last_lines()}")
            try:
                self.ask(body)
            except (OSError, http.client.HTTPException, ServerError) as error:
                if time.monotonic() > deadline:
                    message = f"{self.name} does not answer: {error}\n{self.last_lines()}"
                    raise ServerError(message) from error
                time.sleep(0.005)
            else:
                return

    def check(self, workload: Workload) -> None:
        """Raise ServerError unless every sample row gets the model's own answer."""
        for body, expected in zip(workload.bodies, workload.answers, strict=True):
            found = self.ask(body)
            if len(found) != len(expected) or not all(map(_close, found, expected)):
                raise ServerError(f"{self.name}: {body!r} gave {found}, the model says {expected}")

    def last_lines(self) -> str:
        """The end of what the server wrote."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-30:])

    def stop(self) -> None:
        """SIGTERM to the root, then SIGKILL to whatever of the tree is left."""
        pids = self.pids()
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait(STOP_TIMEOUT_S)


def start(name: str, argv: Sequence[str], port: int, *, cwd: Path, variables: dict[str, str]) -> Tree:
    """Start `argv` on the server core; its output goes to a log in the cache."""
    log = place.CACHE / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    pinned = ["taskset", "--cpu-list", str(place.cores()[0]), *argv]
    with log.open("wb") as output:
        process = subprocess.Popen(
            pinned,
            cwd=cwd,
            env=place.environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return Tree(name, process, port, log)


def _close(found: float, expected: float) -> bool:
    return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12)


def _stats() -> Iterator[tuple[int, list[str]]]:
    """Every process: its id, and the fields of /proc/PID/stat from the third (the state) on."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The second field, the name in parentheses, may itself hold blanks and parentheses.
                yield int(entry.name), (entry / "stat").read_text().rpartition(")")[2].split()
