"""The bars, as data: what was promised, and how to read it off the figures."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.promises import Bar
from bench.realtime.connections import CrowdCost
from bench.realtime.load import Slice
from bench.realtime.subjects import YARDSTICK
from bench.realtime.throughput import Rounds


@dataclass(kw_only=True)
class Figures:
    """Everything that one run measured; what was left out is empty or None."""

    rounds: Rounds = field(default_factory=Rounds)
    first_answer_s: dict[str, list[float]] = field(default_factory=dict)
    help_s: float | None = None
    pss_mb: dict[str, float] = field(default_factory=dict)
    """By ``subject/workers``."""
    crowd: CrowdCost | None = None


def _times_faster(
    name: str, other: str, workload: str, connections: int
) -> Callable[[Figures], float | None]:
    def compare(ours: Slice, theirs: Slice) -> float:
        return ours.requests_per_s / theirs.requests_per_s

    return lambda figures: figures.rounds.versus(name, other, workload, connections, compare)


def _p50_over(name: str, other: str, workload: str, connections: int) -> Callable[[Figures], float | None]:
    def compare(ours: Slice, theirs: Slice) -> float:
        return ours.p50_ms - theirs.p50_ms

    return lambda figures: figures.rounds.versus(name, other, workload, connections, compare)


def _tail(name: str, workload: str, connections: int) -> Callable[[Figures], float | None]:
    return lambda figures: figures.rounds.median(
        name, workload, connections, lambda one: one.p99_ms / one.p50_ms
    )


def _cpu(name: str) -> Callable[[Figures], float | None]:
    return lambda figures: figures.rounds.median(name, "nothing", 32, lambda one: one.cpu_us)


def _cold_start_over(figures: Figures) -> float | None:
    ours, bare = figures.first_answer_s.get("penstock"), figures.first_answer_s.get(YARDSTICK)
    if not ours or not bare:
        return None
    return statistics.median(a - b for a, b in zip(ours, bare, strict=True))


def _memory(ours: str, other: str) -> Callable[[Figures], float | None]:
    def measure(figures: Figures) -> float | None:
        sizes = figures.pss_mb
        return sizes[ours] / sizes[other] if ours in sizes and other in sizes else None

    return measure


def _errors(figures: Figures) -> float | None:
    slices = [
        one
        for round_ in figures.rounds.rounds
        for name, one in round_.slices.items()
        if name.startswith("penstock")
    ]
    crowd = figures.crowd.errors if figures.crowd else 0
    return float(sum(one.errors for one in slices) + crowd) if slices else None


BARS = (
    Bar(
        name="no script, Ridge, 32 connections: requests/s over the bare batching loop's",
        limit=0.45,
        unit="x",
        measure=_times_faster("penstock", YARDSTICK, "ridge", 32),
    ),
    Bar(
        name="no script, Ridge, 128 connections: requests/s over the bare batching loop's",
        limit=0.45,
        unit="x",
        measure=_times_faster("penstock", YARDSTICK, "ridge", 128),
    ),
    Bar(
        name="no script, Ridge, 32 connections: requests/s over FastAPI's",
        limit=10,
        unit="x",
        measure=_times_faster("penstock", "fastapi", "ridge", 32),
    ),
    Bar(
        name="no script, Ridge, 32 connections: requests/s over azureml-inference-server-http's",
        limit=18,
        unit="x",
        measure=_times_faster("penstock", "azmlinfsrv", "ridge", 32),
    ),
    Bar(
        name="no script, Ridge, 1 connection: p50 above the bare batching loop's",
        limit=0.20,
        unit="ms",
        measure=_p50_over("penstock", YARDSTICK, "ridge", 1),
        at_most=True,
    ),
    Bar(
        name="no script, forest, 32 connections: requests/s over the bare batching loop's",
        limit=0.75,
        unit="x",
        measure=_times_faster("penstock", YARDSTICK, "forest", 32),
    ),
    Bar(
        name="`score.py`, Ridge, 32 connections: requests/s over azureml-inference-server-http's",
        limit=3,
        unit="x",
        measure=_times_faster("penstock-script", "azmlinfsrv", "ridge", 32),
    ),
    Bar(
        name="`score.py`, Ridge, 1 connection: requests/s over azureml-inference-server-http's",
        limit=2,
        unit="x",
        measure=_times_faster("penstock-script", "azmlinfsrv", "ridge", 1),
    ),
    Bar(
        name="a model that does nothing, 32 connections: CPU a request, all processes",
        limit=45,
        unit="us",
        measure=_cpu("penstock"),
        at_most=True,
    ),
    Bar(
        name="a script that does nothing, 32 connections: CPU a request, all processes",
        limit=45,
        unit="us",
        measure=_cpu("penstock-script"),
        at_most=True,
    ),
    *(
        Bar(
            name=f"{what}, {connections} connections: p99 over p50",
            limit=3,
            unit="x",
            measure=_tail(name, workload, connections),
            at_most=True,
        )
        for name, workload, what in (
            ("penstock", "nothing", "a model that does nothing"),
            ("penstock", "ridge", "no script, Ridge"),
        )
        for connections in (32, 128)
    ),
    Bar(
        name="cold start, Ridge: first answer after the bare loop's",
        limit=0.5,
        unit="s",
        measure=_cold_start_over,
        at_most=True,
    ),
    Bar(
        name="`penstock --help`",
        limit=0.15,
        unit="s",
        measure=lambda figures: figures.help_s,
        at_most=True,
    ),
    Bar(
        name="memory, one worker over the bare loop (PSS of the tree)",
        limit=1.25,
        unit="x",
        measure=_memory("penstock/1", f"{YARDSTICK}/1"),
        at_most=True,
    ),
    Bar(
        name="memory, eight workers over one (PSS of the tree)",
        limit=2,
        unit="x",
        measure=_memory("penstock/8", "penstock/1"),
        at_most=True,
    ),
    Bar(
        name="2,000 idle and 500 slow connections: memory of the tree",
        limit=30,
        unit="MB",
        measure=lambda figures: figures.crowd.growth_mb if figures.crowd else None,
        at_most=True,
    ),
    Bar(
        name="2,000 idle and 500 slow connections: part of the throughput kept at 32 active",
        limit=0.9,
        unit="x",
        measure=lambda figures: statistics.median(figures.crowd.kept) if figures.crowd else None,
    ),
    Bar(name="errors of ours in all of the above", limit=0, unit="", measure=_errors, at_most=True),
)
