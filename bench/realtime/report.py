"""The figures as a page of tables and as JSON."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import statistics
import time
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

from bench.realtime import workloads
from bench.realtime.bars import BARS, Figures
from bench.realtime.subjects import SUBJECTS, YARDSTICK


def write(figures: Figures, folder: Path, *, command: str) -> str:
    """Write ``realtime.json`` and ``realtime.md`` to `folder`; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    page = "\n".join(_page(figures, command)) + "\n"
    (folder / "realtime.md").write_text(page)
    (folder / "realtime.json").write_text(json.dumps(as_json(figures, command), indent=1) + "\n")
    return page


def as_json(figures: Figures, command: str) -> dict[str, Any]:
    """Every figure of the run, and the verdicts."""
    return {
        "command": command,
        "machine": _machine(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **dataclasses.asdict(figures),
        "bars": [
            {
                "name": bar.name,
                "limit": bar.limit,
                "at_most": bar.at_most,
                "unit": bar.unit,
                "value": (value := bar.measure(figures)),
                "passes": None if value is None else bar.passes(value),
            }
            for bar in BARS
        ],
    }


def _page(figures: Figures, command: str) -> Iterator[str]:
    yield "# Real-time scoring, measured"
    yield ""
    yield f"`{command}`, {time.strftime('%Y-%m-%d', time.gmtime())}, {_machine()}"
    yield ""
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
    yield from _bars(figures)


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
    yield from _head(*head)
    for count in counts:
        rounds = figures.rounds.of(workload, count)
        for name in rounds[0].slices:
            ratio = figures.rounds.versus(
                name, YARDSTICK, workload, count, lambda a, b: a.requests_per_s / b.requests_per_s
            )

            cpu_ratio = figures.rounds.versus(
                name, YARDSTICK, workload, count, lambda a, b: b.cpu_us / a.cpu_us
            )
            yield _row(
                SUBJECTS[name].title,
                str(count),
                _number(figures.rounds.median(name, workload, count, attrgetter("requests_per_s")), 0),
                _number(ratio, 3),
                _number(figures.rounds.median(name, workload, count, attrgetter("p50_ms")), 3),
                _number(figures.rounds.median(name, workload, count, attrgetter("p90_ms")), 3),
                _number(figures.rounds.median(name, workload, count, attrgetter("p99_ms")), 3),
                _number(figures.rounds.median(name, workload, count, attrgetter("cpu_us")), 1),
                _number(cpu_ratio, 3),
                str(sum(one.slices[name].errors for one in rounds if name in one.slices)),
            )
        steady = min(one.steadiness for one in rounds)
        yield _row(f"({len(rounds)} rounds; core speed, slowest over fastest: {steady:.2f})", *[""] * 9)


def _other_tables(figures: Figures) -> Iterator[str]:
    if figures.first_answer_s:
        yield from ("", "## Cold start, Ridge", "")
        yield from _head("subject", "first answer s", "each")
        for name, times in figures.first_answer_s.items():
            each = " ".join(f"{one:.2f}" for one in times)
            yield _row(SUBJECTS[name].title, f"{statistics.median(times):.2f}", each)
    if figures.pss_mb:
        yield from ("", "## Memory, Ridge", "")
        yield from _head("subject", "workers", "PSS MB")
        for key, size in figures.pss_mb.items():
            name, workers = key.split("/")
            yield _row(SUBJECTS[name].title, workers, f"{size:.0f}")
    if figures.crowd:
        crowd = figures.crowd
        yield from ("", "## 2,000 idle and 500 slow connections, Ridge, 32 active", "")
        yield from _head(
            "memory MB",
            "throughput kept, each round",
            "CPU us without / with",
            "errors",
            "closed by the server",
        )
        closed = ", ".join(f"{count} {key}" for key, count in crowd.closed.items())
        yield _row(
            f"{crowd.growth_mb:.1f}",
            " ".join(f"{one:.2f}" for one in crowd.kept),
            " ".join(f"{one:.2f}" for one in crowd.cpu_kept),
            str(crowd.errors),
            closed,
        )


def _bars(figures: Figures) -> Iterator[str]:
    yield from ("", "## Bars", "")
    yield from _head("bar", "measured", "promised", "")
    for bar in BARS:
        value = bar.measure(figures)
        promised = f"{'at most' if bar.at_most else 'at least'} {bar.limit:g} {bar.unit}".rstrip()
        if value is None:
            yield _row(bar.name, "not measured", promised, "")
        else:
            verdict = "pass" if bar.passes(value) else "**MISS**"
            yield _row(bar.name, f"{value:.3g} {bar.unit}".rstrip(), promised, verdict)


def _machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return f"{os.cpu_count()} x {model}, Python {platform.python_version()}"


def _head(*cells: str) -> Iterator[str]:
    yield _row(*cells)
    yield _row(*["---"] * len(cells))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
