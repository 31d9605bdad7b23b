"""Rounds in which every subject has its turn, so that all see the same machine; ratios within a round."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from bench.batch import meter, subjects
from bench.batch.subjects import Run
from bench.batch.workloads import Workload
from bench.realtime import place

STEADY = 0.8
"""A round in which a core's slowest moment was below this part of its fastest is disturbed."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """One run of every subject, in turn. `bench` says what it is for."""

    bench: str
    workload: str
    rows: int
    steadiness: float
    """Slowest over fastest speed of the cores in the round; between the commands, not during them."""
    runs: dict[str, Run]


@dataclass(kw_only=True)
class Rounds:
    """All rounds, and the ways to read them: None where nothing was measured. Where a steady round exists,
    disturbed ones do not count."""

    rounds: list[Round] = field(default_factory=list)

    def kinds(self, bench: str) -> list[tuple[str, int]]:
        """Workloads and rows of `bench`, in the order in which they were measured."""
        return list(dict.fromkeys((one.workload, one.rows) for one in self.rounds if one.bench == bench))

    def of(self, bench: str, workload: str, rows: int, *names: str) -> list[Round]:
        """The rounds of this kind that hold all of `names`."""
        found = [
            one
            for one in self.rounds
            if (one.bench, one.workload, one.rows) == (bench, workload, rows)
            and set(names) <= one.runs.keys()
        ]
        return [one for one in found if one.steadiness >= STEADY] or found

    def median(
        self, bench: str, workload: str, rows: int, name: str, of: Callable[[Run], float]
    ) -> float | None:
        """The median of a figure of one subject."""
        return _median(of(one.runs[name]) for one in self.of(bench, workload, rows, name))

    def versus(
        self,
        bench: str,
        workload: str,
        rows: int,
        names: tuple[str, str],
        compare: Callable[[Run, Run], float],
    ) -> float | None:
        """The median of a comparison of two subjects made within each round."""
        ours, theirs = names
        found = self.of(bench, workload, rows, ours, theirs)
        return _median(compare(one.runs[ours], one.runs[theirs]) for one in found)


def run(
    bench: str,
    workload: Workload,
    names: Sequence[str],
    failures: list[str],
    *,
    repeats: int,
    patience: int = 2,
) -> Iterator[Round]:
    """`repeats` rounds, each as soon as it is over; a disturbed one is repeated, up to `patience` times as many
    in all. A subject that fails is left out from then on, its reason in `failures`."""
    steady = attempts = 0
    racing = list(names)
    while racing and steady < repeats and attempts < patience * repeats:
        attempts += 1
        speeds = [_speeds()]
        runs: dict[str, Run] = {}
        for name in tuple(racing):
            print(f"{bench}: {workload}, round {attempts}: {name}", file=sys.stderr, flush=True)
            # What the one before wrote is on its way to the disk; that is its cost and not the next one's.
            os.sync()
            try:
                runs[name] = subjects.run(name, workload)
            except (meter.CommandError, subjects.WrongAnswerError, LookupError) as error:
                print(error, file=sys.stderr, flush=True)
                failures.append(f"{name}, {bench}, {workload}: {error}")
                racing.remove(name)
            speeds.append(_speeds())
        steadiness = min(min(core) / max(core) for core in zip(*speeds, strict=True))
        steady += steadiness >= STEADY
        yield Round(
            bench=bench,
            workload=workload.name,
            rows=workload.rows,
            steadiness=steadiness,
            runs=runs,
        )


def _speeds() -> list[float]:
    """How fast each of the two cores is now."""
    return [place.core_speed(core) for core in place.cores()]


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return statistics.median(found) if found else None
