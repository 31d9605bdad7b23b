"""What is wrong with a process, judged from what is seen of it. No clock and no process here."""

from __future__ import annotations

from dataclasses import dataclass, field

PING_EVERY_S = 1.0
SILENT_S = 5.0
"""A gateway that answers no ping for so long is hung, and is replaced."""
STARTING_S = 60.0
"""How long a gateway may take to say its first word: a cold disk, a crowded machine."""


@dataclass
class Pulse:
    """Whether the gateway answers. Counted from a ping that has no answer, not from the last word: after the
    supervisor's own pause (SIGSTOP, a suspended machine) the last word is old, and nobody is to blame."""

    has_spoken: bool = False
    pinged: float = 0.0
    waits: bool = False

    def is_due(self, now: float) -> bool:
        """Whether to ping."""
        return not self.waits and now - self.pinged >= PING_EVERY_S

    def ping(self, now: float) -> None:
        """A ping is being sent."""
        self.pinged, self.waits = now, True

    def heard(self) -> None:
        """It has said something."""
        self.has_spoken, self.waits = True, False

    def is_silent(self, now: float) -> bool:
        """Whether it is hung."""
        return self.waits and now - self.pinged > (SILENT_S if self.has_spoken else STARTING_S)


@dataclass
class TwoLooks:
    """Acts upon what is seen at two looks in a row: a debugger's brief stop is no reason to kill, and of a worker
    that has just ended its nursery will tell more."""

    seen: set[int] = field(default_factory=set)

    def look(self, pids: set[int]) -> set[int]:
        """`pids` are all that are so now; those that were so before."""
        twice = pids & self.seen
        # Another process may be given the number of one that is acted upon.
        self.seen = pids - twice
        return twice


@dataclass
class MemoryLimit:
    """Which workers have outgrown `limit` (bytes; 0: no limit)."""

    limit: int
    born_with: dict[int, int] = field(default_factory=dict)
    is_hopeless: bool = False
    """Workers are over the limit when they have only loaded."""

    def born(self, pid: int, used: int) -> None:
        """A worker has joined, for the first time or again."""
        self.born_with.setdefault(pid, used)

    def ended(self, pid: int) -> None:
        """It is gone."""
        self.born_with.pop(pid, None)

    def has_outgrown(self, pid: int, used: int) -> bool:
        """Whether to replace it. Not one that was over the limit when it joined: so would be every other."""
        if not self.limit or used <= self.limit:
            return False
        if self.born_with.get(pid, 0) <= self.limit:
            return True
        self.is_hopeless = True
        return False
