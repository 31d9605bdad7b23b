"""The bars, as data: what was promised, and how to read it off the figures."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.batch import shape
from bench.batch.overheads import LedgerCost, PlanningCost
from bench.batch.rounds import Rounds
from bench.batch.subjects import YARDSTICK, Run
from bench.batch.workloads import TITLES
from bench.promises import Bar

ROWS, SMALL_ROWS, MINI_BATCHES, FILES = 10_000_000, 10_000, 10_000, 100_000
"""The sizes for which something was promised. Costs that were measured at others say nothing about it; rows a
second are read at the largest size that was raced."""
MEMORY_FACTOR = 1.3
"""Of the bare loop's peak that ours may take, before the fixed part in the bar."""


@dataclass(kw_only=True)
class Figures:
    """Everything that one run measured; what was left out is empty."""

    rounds: Rounds = field(default_factory=Rounds)
    ledger: list[LedgerCost] = field(default_factory=list)
    planning: list[PlanningCost] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """Subjects that cannot run here, and why."""
    failures: list[str] = field(default_factory=list)
    """Commands that failed or wrote something wrong."""


def _times_faster(model: str, other: str) -> Callable[[Figures], float | None]:
    """At the largest number of rows that was raced."""

    def measure(figures: Figures) -> float | None:
        sizes = [rows for workload, rows in figures.rounds.kinds("throughput") if workload == model]
        if not sizes:
            return None
        return figures.rounds.versus(
            "throughput",
            model,
            max(sizes),
            ("ours", other),
            lambda ours, theirs: ours.rows_per_s / theirs.rows_per_s,
        )

    return measure


def _seconds_over_bare(model: str) -> Callable[[Figures], float | None]:
    def measure(figures: Figures) -> float | None:
        found = [
            figures.rounds.versus(
                "small",
                workload,
                rows,
                ("ours", YARDSTICK),
                lambda ours, theirs: ours.reading.wall_s - theirs.reading.wall_s,
            )
            for workload, rows in figures.rounds.kinds("small")
            if (workload, rows) == (model, SMALL_ROWS)
        ]
        return found[0] if found else None

    return measure


def _memory_over_bare(model: str) -> Callable[[Figures], float | None]:
    """MB above `MEMORY_FACTOR` times the bare loop's, where that is most."""

    def over(ours: Run, theirs: Run) -> float:
        return ours.reading.peak_mb - MEMORY_FACTOR * theirs.reading.peak_mb

    def measure(figures: Figures) -> float | None:
        found = [
            figures.rounds.versus(bench, workload, rows, ("ours", YARDSTICK), over)
            for bench in ("throughput", "memory")
            for workload, rows in figures.rounds.kinds(bench)
            if workload == model
        ]
        return max((one for one in found if one is not None), default=None)

    return measure


def _growth(figures: Figures) -> float | None:
    """Peak at the most rows over peak at the fewest; less than two files say nothing of how it goes on."""
    sizes = {
        rows: peak
        for workload, rows in figures.rounds.kinds("memory")
        if rows >= 2 * shape.ROWS_A_FILE
        and (peak := figures.rounds.median("memory", workload, rows, "ours", lambda run: run.reading.peak_mb))
    }
    return sizes[max(sizes)] / sizes[min(sizes)] if len(sizes) > 1 else None


def _ledger_share(model: str) -> Callable[[Figures], float | None]:
    def measure(figures: Figures) -> float | None:
        shares = [
            one.share for one in figures.ledger if (one.workload, one.mini_batches) == (model, MINI_BATCHES)
        ]
        return statistics.median(shares) if shares else None

    return measure


def _planning(of: Callable[[PlanningCost], float]) -> Callable[[Figures], float | None]:
    def measure(figures: Figures) -> float | None:
        found = [of(one) for one in figures.planning if one.files == FILES]
        return statistics.median(found) if found else None

    return measure


def _ray_over_local(figures: Figures) -> float | None:
    found = [
        figures.rounds.versus(
            "engines",
            workload,
            rows,
            ("ours-ray", "ours-local"),
            lambda ray, local: _work_s(ray) / _work_s(local),
        )
        for workload, rows in figures.rounds.kinds("engines")
    ]
    return max((one for one in found if one is not None), default=None)


def _work_s(run: Run) -> float:
    return run.reading.wall_s if run.working_s is None else run.working_s


def _failures(figures: Figures) -> float:
    return float(len(figures.failures))


_AGAINST = {
    YARDSTICK: ("the bare loop's", 0.90, 0.75),
    "dask": ("Dask's", 1.1, 2),
    "ray-data": ("Ray Data's", 1.6, 4),
    "spark": ("Spark's", 1.6, 4),
}

BARS = (
    *(
        Bar(
            name=f"{TITLES[model]}: rows/s over {whose}",
            limit=limits[index],
            unit="x",
            measure=_times_faster(model, other),
        )
        for index, model in enumerate(("hgb", "lr"))
        for other, (whose, *limits) in _AGAINST.items()
    ),
    *(
        Bar(
            name=f"{TITLES[model]}: peak memory above {MEMORY_FACTOR} times the bare loop's",
            limit=100,
            unit="MB",
            measure=_memory_over_bare(model),
            at_most=True,
        )
        for model in ("hgb", "lr")
    ),
    Bar(
        name="peak memory, most rows over fewest (flat as the data grows)",
        limit=1.15,
        unit="x",
        measure=_growth,
        at_most=True,
    ),
    *(
        Bar(
            name=f"{TITLES[model]}: 10,000 rows in one file, the whole command above the bare script",
            limit=1.0,
            unit="s",
            measure=_seconds_over_bare(model),
            at_most=True,
        )
        for model in ("hgb", "lr")
    ),
    *(
        Bar(
            name=f"{TITLES[model]}: ledger and commit, part of the wall time at 10,000 mini-batches",
            limit=3,
            unit="%",
            measure=_ledger_share(model),
            at_most=True,
        )
        for model in ("hgb", "lr")
    ),
    Bar(
        name="planning 100,000 files",
        limit=10,
        unit="s",
        measure=_planning(lambda one: one.wall_s),
        at_most=True,
    ),
    Bar(
        name="planning 100,000 files: peak memory",
        limit=200,
        unit="MB",
        measure=_planning(lambda one: one.peak_mb),
        at_most=True,
    ),
    Bar(
        name="`--engine ray` on one node: wall time over local's, start-up apart",
        limit=1.3,
        unit="x",
        measure=_ray_over_local,
        at_most=True,
    ),
    Bar(
        name="commands that failed or wrote something wrong",
        limit=0,
        unit="",
        measure=_failures,
        at_most=True,
    ),
)
