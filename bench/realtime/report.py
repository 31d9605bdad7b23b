"""The figures as a page of tables and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

from bench import pages
from bench.realtime import workloads
from bench.realtime.bars import BARS, Figures
from bench.realtime.subjects import SUBJECTS, YARDSTICK


def write(figures: Figures, folder: Path, *, command: str) -> str:
    """Write ``realtime.json`` and ``realtime.md`` to `folder`; returns the page."""
    return pages.write("realtime", folder, _page(figures, command), figures, BARS, command=command)


def _page(figures: Figures, command: str) -> Iterator[str]:
    yield from pages.title("Real-time scoring, measured", command)
    yield (
        "Server tree on one core, wrk on another, one row a request. Medians over rounds in which every "
        "subject has its turn; ratios are taken within each round. CPU is user and system time of all "
        "processes of the server; `bare / CPU` is the bare loop's over it, which a busy machine disturbs least."
    )
    kinds = sorted({(one.workload, one.connections) for one in figures.rounds.rounds})
    for workload in workloads.TITLES:
        counts = [count for name, count in kinds if name == workload]
        if counts:
            yield from _throughput(figures, workload, counts)
    yield from _other_tables(figures)
    yield from pages.verdicts(figures, BARS)


def _throughput(figures: Figures, workload: str, counts: list[int]) -> Iterator[str]:
    yield from ("", f"## {workloads.TITLES[workload][0].upper()}{workloads.TITLES[workload][1:]}", "")
    head = (
        "subject",
        "connections",
        "requests/s",
        "x bare",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "CPU us",
        "bare / CPU",
        "errors",
    )
    yield from pages.head(*head)
    for count in counts:
        rounds = figures.rounds.of(workload, count)
        for name in rounds[0].slices:
            ratio = figures.rounds.versus(
                name, YARDSTICK, workload, count, lambda a, b: a.requests_per_s / b.requests_per_s
            )

            cpu_ratio = figures.rounds.versus(
                name, YARDSTICK, workload, count, lambda a, b: b.cpu_us / a.cpu_us
            )
            yield pages.row(
                SUBJECTS[name].title,
                str(count),
                pages.number(figures.rounds.median(name, workload, count, attrgetter("requests_per_s")), 0),
                pages.number(ratio, 3),
                pages.number(figures.rounds.median(name, workload, count, attrgetter("p50_ms")), 3),
                pages.number(figures.rounds.median(name, workload, count, attrgetter("p90_ms")), 3),
                pages.number(figures.rounds.median(name, workload, count, attrgetter("p99_ms")), 3),
                pages.number(figures.rounds.median(name, workload, count, attrgetter("cpu_us")), 1),
                pages.number(cpu_ratio, 3),
                str(sum(one.slices[name].errors for one in rounds if name in one.slices)),
            )
        steady = min(one.steadiness for one in rounds)
        yield pages.row(f"({len(rounds)} rounds; core speed, slowest over fastest: {steady:.2f})", *[""] * 9)


def _other_tables(figures: Figures) -> Iterator[str]:
    if figures.first_answer_s:
        yield from ("", "## Cold start, Ridge", "")
        yield from pages.head("subject", "first answer s", "each")
        for name, times in figures.first_answer_s.items():
            each = " ".join(f"{one:.2f}" for one in times)
            yield pages.row(SUBJECTS[name].title, f"{statistics.median(times):.2f}", each)
    if figures.pss_mb:
        yield from ("", "## Memory, Ridge", "")
        yield from pages.head("subject", "workers", "PSS MB")
        for key, size in figures.pss_mb.items():
            name, workers = key.split("/")
            yield pages.row(SUBJECTS[name].title, workers, f"{size:.0f}")
    if figures.crowd:
        crowd = figures.crowd
        yield from ("", "## 2,000 idle and 500 slow connections, Ridge, 32 active", "")
        yield from pages.head(
            "memory MB",
            "throughput kept, each round",
            "CPU us without / with",
            "errors",
            "closed by the server",
        )
        closed = ", ".join(f"{count} {key}" for key, count in crowd.closed.items())
        yield pages.row(
            f"{crowd.growth_mb:.1f}",
            " ".join(f"{one:.2f}" for one in crowd.kept),
            " ".join(f"{one:.2f}" for one in crowd.cpu_kept),
            str(crowd.errors),
            closed,
        )
