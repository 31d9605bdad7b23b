"""Where things are: folders, cores, and the environment that every server is started with."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".build" / "bench"
SERVERS = Path(__file__).resolve().parent / "servers"
PEERS = ROOT / "bench" / "peers"
RESULTS = ROOT / "bench" / "results"

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


def cores() -> tuple[int, int]:
    """The core of the server tree and the core of the load. Exits where the machine has only one."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise SystemExit("The benchmark needs two cores: one for the server, one for the load.")
    return usable[0], usable[1]


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Within, no other benchmark of this checkout runs: two would measure each other, and write the same files."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def environment(**more: str) -> dict[str, str]:
    """This environment with one thread for every numerical library, and `more`."""
    return {**os.environ, **dict.fromkeys(_THREADS, "1"), **more}


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def core_speed(core: int) -> float:
    """How much work the `core` does now for one process, in arbitrary units: cores of shared machines run
    at full or half speed for minutes at a time, and numbers compare only where this did not change."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        start = time.perf_counter()
        for _ in range(10):
            sum(range(50_000))
        return 1.0 / (time.perf_counter() - start)
    finally:
        os.sched_setaffinity(0, before)
