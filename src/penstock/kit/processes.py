"""What the kernel says of a process: its state and its memory. Linux; elsewhere nothing is known.

Runs in workers too: Python 3.8, standard library only.
"""

from __future__ import annotations

import os

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def is_stopped(pid: int) -> bool:
    """Whether somebody has suspended it (SIGSTOP). A process under a debugger does not count."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name in parentheses may hold anything; the state follows the last one.
            return file.read().rpartition(b")")[2].split()[0] == b"T"
    except (OSError, IndexError):
        return False


def resident_bytes(pid: int) -> int:
    """Its resident memory, shared pages included; 0 when unknown."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0
