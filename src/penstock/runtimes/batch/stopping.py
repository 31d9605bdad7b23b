"""Signals that stop a job: the first asks, the second insists. Driver only."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType


class Stopped(Exception):
    """Somebody stopped the job; it can be resumed."""


class Stops:
    """Counts SIGINT and SIGTERM. `asked` is called at the first one; where it returns False, nothing is under way
    that could be finished, and Stopped is raised there and then."""

    def __init__(self, asked: Callable[[], bool]) -> None:
        self._asked = asked
        self.count = 0
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count == 1 and not self._asked():
            raise Stopped
