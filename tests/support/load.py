"""Steady load that checks every answer: each request carries a number, and its answer must carry the same."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Tally:
    """What became of the requests. `cut`: the connection broke before an answer came. `wrong`: answers that
    were somebody else's. `gaps_s`: seconds between consecutive successes, over all callers."""

    statuses: Counter[int] = field(default_factory=Counter)
    cut: int = 0
    wrong: list[str] = field(default_factory=list)
    unanswered: int = 0
    longest_gap_s: float = 0.0
    bodies: Counter[str] = field(default_factory=Counter)

    @property
    def succeeded(self) -> int:
        """Answers with status 200."""
        return self.statuses[200]


class Load:
    """`callers` threads, each with a keep-alive connection, until the block ends."""

    def __init__(self, port: int, *, callers: int = 8, timeout_s: float = 20.0, **payload: object) -> None:
        self._port = port
        self._callers = callers
        self._timeout_s = timeout_s
        self._payload = payload
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._last = 0.0
        self.tally = Tally()
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(callers)]

    def __enter__(self) -> Load:
        self._last = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(self._timeout_s + 10)
            self.tally.unanswered += thread.is_alive()

    def body_of(self, number: int) -> str:
        """The request that carries `number`."""
        return json.dumps({"n": number, **self._payload})

    def number_in(self, answer: Any) -> tuple[int, str]:
        """The number that `answer` carries, and who says so."""
        return answer["n"], str(answer.get("by", ""))

    def _call(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self._timeout_s)
        while not self._stop.is_set():
            number = next(self._numbers)
            body = self.body_of(number)
            try:
                connection.request("POST", "/score", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                self._record(number, answer.status, answer.read())
            except TimeoutError:
                with self._lock:
                    self.tally.unanswered += 1
                return
            except (OSError, http.client.HTTPException):
                with self._lock:
                    self.tally.cut += 1
                connection.close()
        connection.close()

    def _record(self, number: int, status: int, body: bytes) -> None:
        now = time.monotonic()
        with self._lock:
            tally = self.tally
            tally.statuses[status] += 1
            if status != 200:
                return
            tally.longest_gap_s = max(tally.longest_gap_s, now - self._last)
            self._last = now
            found, by = self.number_in(json.loads(body))
            tally.bodies[by] += 1
            if found != number:
                tally.wrong.append(f"{number} got {body!r}")


class PlainLoad:
    """A few callers who send one row each and expect the same answer every time, without exception."""

    def __init__(self, port: int, expected: bytes, *, callers: int = 8) -> None:
        self._port = port
        self._expected = expected
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(callers)]
        self.succeeded = 0
        self.failures: list[str] = []

    def __enter__(self) -> PlainLoad:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _call(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self._stop.is_set():
            try:
                connection.request(
                    "POST", "/score", b'{"data": [[1, 2]]}', {"Content-Type": "application/json"}
                )
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                return
            if answer.status == 200 and body == self._expected:
                self.succeeded += 1
            else:
                self.failures.append(f"{answer.status} {body!r}")
        connection.close()


class NumberedLoad(Load):
    """Load for a model of one input that answers twice what it is given: every row is a number of its own."""

    def body_of(self, number: int) -> str:
        """The request that carries `number`."""
        return json.dumps({"data": [[number]]})

    def number_in(self, answer: Any) -> tuple[int, str]:
        """The number that `answer` carries, and who says so."""
        return round(answer[0] / 2), ""
