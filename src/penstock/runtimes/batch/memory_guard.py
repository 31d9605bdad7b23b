"""How much memory a worker may take, and what is done with one that takes more. Pure.

A worker that has grown beyond its limit is replaced when it has done what it does; one that grows on is killed
before the kernel chooses somebody else.
"""

from __future__ import annotations

from penstock.runtimes.batch.reports import progress

UNLIMITED = 2**62

WORKERS_SHARE = 0.9
"""Of a machine's memory, for all workers together."""

BEYOND = 1.25
"""Times the limit at which a worker is killed."""


class MemoryGuard:
    """Watches the workers of one job. `said` is the limit of each in bytes, 0 where nobody said one: then it is its
    share of the `machine`'s bytes among `workers` (0: not known, no limit)."""

    def __init__(self, said: int, *, machine: int, workers: int) -> None:
        self._said = said
        self._machine = int(machine * WORKERS_SHARE)
        self._workers = workers
        self._limits: dict[str, int] = {}
        self._grown: set[str] = set()

    def born(self, worker: str, resident: int, *, is_shared: bool) -> str:
        """Begin to watch a worker that has loaded and takes `resident` bytes, together with the others if
        `is_shared`. Returns why it cannot work, or an empty text."""
        limit = self._limits[worker] = self._limit(resident if is_shared else 0)
        if resident <= limit:
            return ""
        what = "the limit of" if self._said else "its share of the machine's,"
        return (
            f"a worker that has only loaded takes {progress.size(resident)} of memory, more than {what} "
            f"{progress.size(limit)}"
        )

    def grown(self, worker: str, resident: int) -> str:
        """Hear what a worker takes now. Returns why it has to be killed at once, or an empty text."""
        limit = self._limits.get(worker, UNLIMITED)
        if resident <= limit:
            return ""
        self._grown.add(worker)
        if resident <= limit * BEYOND:
            return ""
        return f"it took {progress.size(resident)} of memory, more than the limit of {progress.size(limit)}"

    def is_to_go(self, worker: str) -> bool:
        """Whether a worker that is done with something shall get nothing more; says yes once."""
        if worker not in self._grown:
            return False
        self._grown.discard(worker)
        return True

    def _limit(self, shared: int) -> int:
        if self._said:
            return self._said
        if not self._machine:
            return UNLIMITED
        # All workers have together what they share: it is nobody's growth.
        return int(shared + max(self._machine - shared, 0) / self._workers)
