"""The figures as a page of tables and as JSON."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.batch import workloads
from bench.batch.bars import BARS, Figures
from bench.batch.subjects import SUBJECTS, YARDSTICK
from bench.realtime import place

TITLES = {
    "throughput": "Rows a second",
    "small": "A small job: one file",
    "memory": "Memory as the data grows",
    "engines": "Engines",
}


def write(figures: Figures, folder: Path, *, command: str) -> str:
    """Write ``batch.json`` and ``batch.md`` to `folder`; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    page = "\n".join(_page(figures, command)) + "\n"
    (folder / "batch.md").write_text(page)
    (folder / "batch.json").write_text(json.dumps(as_json(figures, command), indent=1) + "\n")
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
    yield "# Batch scoring, measured"
    yield ""
    yield f"`{command}`, {time.strftime('%Y-%m-%d', time.gmtime())}, {_machine()}"
    yield ""
    yield (
        "Whole commands, from Parquet files of 20 float32 features and an id to Parquet files of id and "
        "probability, on two cores, one thread a process; every output is verified. Medians over rounds in "
        "which everybody has a turn; `x bare` is taken within each round. CPU is user and system time of the "
        "process tree, memory its largest proportional set size."
    )
    for bench, title in TITLES.items():
        for workload, rows in figures.rounds.kinds(bench):
            yield from ("", f"## {title}: {workloads.TITLES[workload]}, {rows:,} rows", "")
            yield from _runs(figures, bench, workload, rows)
    yield from _other_tables(figures)
    yield from _bars(figures)


def _runs(figures: Figures, bench: str, workload: str, rows: int) -> Iterator[str]:
    yield from _head(
        "subject", "rows/s", "x bare", "wall s", "working s", "CPU s", "peak MB", "differs by", "rounds"
    )
    found = figures.rounds.of(bench, workload, rows)
    for name in dict.fromkeys(name for one in found for name in one.runs):
        kind = (bench, workload, rows, name)
        median = figures.rounds.median
        ratio = figures.rounds.versus(
            bench, workload, rows, (name, YARDSTICK), lambda a, b: a.rows_per_s / b.rows_per_s
        )
        working = median(*kind, lambda run: run.working_s or 0.0)
        yield _row(
            SUBJECTS[name].title,
            _number(median(*kind, lambda run: run.rows_per_s), 0),
            _number(ratio, 3),
            _number(median(*kind, lambda run: run.reading.wall_s), 2),
            _number(working or None, 2),
            _number(median(*kind, lambda run: run.reading.cpu_s), 2),
            _number(median(*kind, lambda run: run.reading.peak_mb), 0),
            f"{max(one.runs[name].largest_difference for one in found if name in one.runs):.1g}",
            str(len(figures.rounds.of(*kind))),
        )
    steady = min(one.steadiness for one in found)
    yield ""
    yield f"Core speed, slowest over fastest: {steady:.2f}."


def _other_tables(figures: Figures) -> Iterator[str]:
    if figures.ledger:
        yield from ("", "## Ledger and commit", "")
        yield from _head("model", "mini-batches", "wall s", "ledger s", "publish s", "part of wall %")
        for one in figures.ledger:
            yield _row(
                workloads.TITLES[one.workload],
                f"{one.mini_batches:,}",
                _number(one.wall_s, 2),
                _number(one.ledger_s, 3),
                _number(one.publish_s, 3),
                _number(one.share, 2),
            )
    if figures.planning:
        yield from ("", "## Planning", "")
        yield from _head("files", "wall s", "peak MB")
        for each in figures.planning:
            yield _row(f"{each.files:,}", _number(each.wall_s, 2), _number(each.peak_mb, 0))
    if figures.skipped or figures.failures:
        yield from ("", "## Left out", "")
        for name, reason in figures.skipped.items():
            yield f"- {SUBJECTS[name].title}: {reason}"
        for failure in figures.failures:
            lines = failure.splitlines()
            yield f"- **failed**: {lines[0].replace(str(place.ROOT), '.')}"
            if len(lines) > 1:
                yield f"  `{lines[-1].strip()}`"


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
