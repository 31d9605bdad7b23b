"""Waiting for a condition, never for time to pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], what: str, timeout_s: float = 60.0) -> T:
    """The first true value of `condition`; AssertionError naming `what` when it stays false."""
    deadline = time.monotonic() + timeout_s
    pause = 0.002
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def hold(folder: Path) -> Path:
    """A file in `folder`; scripts of tests wait for as long as it is there."""
    path = folder / "hold"
    path.touch()
    return path
