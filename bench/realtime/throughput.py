"""Requests a second, latency and CPU, in rounds: every subject in turn, so that all see the same machine."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench.realtime import load, place, subjects
from bench.realtime.load import Slice
from bench.realtime.workloads import Workload

STEADY = 0.8
"""A round in which the core's slowest moment was below this part of its fastest is disturbed."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """One slice of every subject, in turn. `steadiness` is slowest over fastest core speed in the round."""

    workload: str
    connections: int
    steadiness: float
    slices: dict[str, Slice]


@dataclass(kw_only=True)
class Rounds:
    """All rounds, and the two ways to read them. Both give None where nothing was measured. Where a steady
    round exists, disturbed ones do not count."""

    rounds: list[Round] = field(default_factory=list)

    def of(self, workload: str, connections: int, *names: str) -> list[Round]:
        """The rounds of this kind that hold all of `names`."""
        found = [
            one
            for one in self.rounds
            if (one.workload, one.connections) == (workload, connections) and set(names) <= one.slices.keys()
        ]
        return [one for one in found if one.steadiness >= STEADY] or found

    def median(
        self, name: str, workload: str, connections: int, of: Callable[[Slice], float]
    ) -> float | None:
        """The median of a figure of one subject."""
        return _median(of(one.slices[name]) for one in self.of(workload, connections, name))

    def versus(
        self, name: str, other: str, workload: str, connections: int, compare: Callable[[Slice, Slice], float]
    ) -> float | None:
        """The median of a comparison made within each round: only there do both see the same machine."""
        found = self.of(workload, connections, name, other)
        return _median(compare(one.slices[name], one.slices[other]) for one in found)


def run(
    workload: Workload,
    names: Sequence[str],
    *,
    connections: Sequence[int],
    repeats: int,
    seconds: float,
    rotate: bool,
) -> list[Round]:
    """`repeats` rounds for each number of connections; a disturbed round is repeated, at most as often
    again. All servers stay up throughout; those that are not asked sleep."""
    rounds: list[Round] = []
    with ExitStack() as stack:
        servers = {name: stack.enter_context(subjects.running(name, workload)) for name in names}
        for server in servers.values():
            load.measure(server, workload, connections=max(connections), seconds=1)
        for count in connections:
            steady = attempts = 0
            while steady < repeats and attempts < 2 * repeats:
                attempts += 1
                speeds = [place.core_speed(place.cores()[0])]
                slices: dict[str, Slice] = {}
                for name, server in servers.items():
                    print(
                        f"{workload.name} {count:>4} connections, round {attempts}: {name}", file=sys.stderr
                    )
                    slices[name] = load.measure(
                        server, workload, connections=count, seconds=seconds, rotate=rotate
                    )
                    speeds.append(place.core_speed(place.cores()[0]))
                steadiness = min(speeds) / max(speeds)
                steady += steadiness >= STEADY
                rounds.append(
                    Round(workload=workload.name, connections=count, steadiness=steadiness, slices=slices)
                )
    return rounds


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return statistics.median(found) if found else None
