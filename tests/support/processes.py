"""Whether processes are gone, asked so that one that goes at that moment is no error."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import psutil


def are_gone(processes: Iterable[psutil.Process | int]) -> bool:
    """Whether none of them runs; where nobody reaps orphans, they stay as zombies."""
    for each in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(each) if isinstance(each, int) else each
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                return False
    return True
