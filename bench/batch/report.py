"""The figures as a page of tables and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench import pages
from bench.batch import workloads
from bench.batch.bars import BARS, ROWS, Figures
from bench.batch.rounds import STEADY
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
    return pages.write("batch", folder, _page(figures, command), figures, BARS, command=command)


def _page(figures: Figures, command: str) -> Iterator[str]:
    yield from pages.title("Batch scoring, measured", command)
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
    yield from _cautions(figures)
    yield from pages.verdicts(figures, BARS)


def _cautions(figures: Figures) -> Iterator[str]:
    """What to know before the bars are believed."""
    sizes = [rows for _, rows in figures.rounds.kinds("throughput")]
    if sizes and max(sizes) != ROWS:
        yield from ("", f"Rows a second were promised at {ROWS:,} rows, and measured at {max(sizes):,}.")
    if any(one.steadiness < STEADY for one in figures.rounds.rounds):
        yield from ("", "The speed of the cores changed in some rounds: the machine was not free.")


def _runs(figures: Figures, bench: str, workload: str, rows: int) -> Iterator[str]:
    yield from pages.head(
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
        yield pages.row(
            SUBJECTS[name].title,
            pages.number(median(*kind, lambda run: run.rows_per_s), 0),
            pages.number(ratio, 3),
            pages.number(median(*kind, lambda run: run.reading.wall_s), 2),
            pages.number(working or None, 2),
            pages.number(median(*kind, lambda run: run.reading.cpu_s), 2),
            pages.number(median(*kind, lambda run: run.reading.peak_mb), 0),
            f"{max(one.runs[name].largest_difference for one in found if name in one.runs):.1g}",
            str(len(figures.rounds.of(*kind))),
        )
    steady = min(one.steadiness for one in found)
    yield ""
    yield f"Core speed, slowest over fastest: {steady:.2f}."


def _other_tables(figures: Figures) -> Iterator[str]:
    if figures.ledger:
        yield from ("", "## Ledger and commit", "")
        yield from pages.head("model", "mini-batches", "wall s", "ledger s", "publish s", "part of wall %")
        for one in figures.ledger:
            yield pages.row(
                workloads.TITLES[one.workload],
                f"{one.mini_batches:,}",
                pages.number(one.wall_s, 2),
                pages.number(one.ledger_s, 3),
                pages.number(one.publish_s, 3),
                pages.number(one.share, 2),
            )
    if figures.planning:
        yield from ("", "## Planning", "")
        yield from pages.head("files", "wall s", "peak MB")
        for each in figures.planning:
            yield pages.row(f"{each.files:,}", pages.number(each.wall_s, 2), pages.number(each.peak_mb, 0))
    if figures.skipped or figures.failures:
        yield from ("", "## Left out", "")
        for name, reason in figures.skipped.items():
            yield f"- {SUBJECTS[name].title}: {reason}"
        for failure in figures.failures:
            lines = failure.splitlines()
            yield f"- **failed**: {lines[0].replace(str(place.ROOT), '.')}"
            if len(lines) > 1:
                yield f"  `{lines[-1].strip()}`"
