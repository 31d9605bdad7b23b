"""Signals that stop a job: the first asks, the second insists. Driver only."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType


class Stopped(BaseException):
    """Somebody stopped the job; it can be resumed. No error, so that nobody takes it for one on its way."""


class Stops:
    """Counts SIGINT, SIGTERM and SIGHUP, unless whoever started us has them ignored (nohup).

    The first raises Stopped where it comes, for whatever is killed can be resumed; not within `draining`, where
    work is under way that can be finished. Later ones are only counted: what ends shall end in peace.
    """

    def __init__(self) -> None:
        self.count = 0
        self._asked: Callable[[], None] | None = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)

    @contextlib.contextmanager
    def draining(self, asked: Callable[[], None]) -> Iterator[None]:
        """Within, the first signal calls `asked`; whoever works there looks at `count`. Raises Stopped where one
        has come before, and what it raised was lost: Python drops what is raised in a finalizer."""
        if self.count:
            raise Stopped
        self._asked = asked
        try:
            yield
        finally:
            self._asked = None

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 1:
            return
        if self._asked is None:
            raise Stopped
        self._asked()
