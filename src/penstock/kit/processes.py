"""What the kernel says of a process, and asks of us: its state, its memory, its group, its orphans. Linux;
elsewhere nothing is known.

Runs in workers too: Python 3.8, standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PR_SET_CHILD_SUBREAPER = 36


def is_stopped(pid: int) -> bool:
    """Whether somebody has suspended it (SIGSTOP). A process under a debugger does not count."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name in parentheses may hold anything; the state follows the last one.
            return file.read().rpartition(b")")[2].split()[0] == b"T"
    except (OSError, IndexError):
        return False


def is_gone(pid: int) -> bool:
    """Whether there is no such process; one that has ended and that its parent has not reaped is still there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def resident_bytes(pid: int) -> int:
    """Its resident memory, shared pages included; 0 when unknown."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def usable_processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int:
    """The memory that this process and its children may use: the machine's, or its control group's limit where
    that is lower; 0 when unknown."""
    found = []
    try:
        found.append(os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES)
    except (OSError, ValueError):
        return 0
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(path, "rb") as file:
                found.append(int(file.read()))
        except (OSError, ValueError):
            continue  # no limit ("max"), or no such control group
    return min(found)


def kill_group(leader: int) -> None:
    """Kill every process of the group that `leader` leads or led; none is fine."""
    with contextlib.suppress(OSError):
        os.killpg(leader, signal.SIGKILL)


def adopt_orphans() -> None:
    """From now on, descendants that lose their parent become children of this process (Linux; prctl(2)), as
    they do anyway where it is the first process of a container: it must reap them."""
    import ctypes  # here, because only one process needs it

    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def raise_descriptor_limit() -> None:
    """As many open files as the system's hard limit lets us have: every connection takes one, and the soft
    limit is kept low only for the sake of select(2)."""
    import resource

    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
