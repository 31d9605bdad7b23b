"""Run the batch benchmark.

    python -m bench.batch                         all of it; about an hour and a half
    python -m bench.batch --quick                 tiny data, ours and the bare loop only; under a minute
    python -m bench.batch --only small,planning
    python -m bench.batch --only throughput --rows 1000000 --models lr --subjects bare,ours,dask

Writes ``bench/results/batch.{md,json}`` and prints the page. Bars that are missed are printed, not raised:
machines differ. It ends with 1 where a command fails or writes something wrong. Stopped with Ctrl-C, it writes
what it has, and ends with 1.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn, TypeVar

from bench.batch import meter, ours, overheads, report, rounds, shape, subjects, workloads
from bench.batch.bars import Figures
from bench.realtime import place

BENCHES = ("throughput", "small", "memory", "ledger", "planning", "engines")
PAIR = (subjects.YARDSTICK, "ours")

_Measured = TypeVar("_Measured")


def main(argv: list[str]) -> int:
    """Measure, write, print."""
    options = _options(argv)
    place.cores()
    shape.CACHE.mkdir(parents=True, exist_ok=True)
    meter.adopt_orphans()
    figures = Figures()
    with place.alone():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _stop)
        try:
            measure(options, figures)
        except KeyboardInterrupt as stop:
            figures.failures.append(f"stopped before the end by {stop}")
    command = shlex.join(["python", "-m", "bench.batch", *argv])
    print(report.write(figures, options.results, command=command))
    return 1 if figures.failures else 0


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt(signal.Signals(number).name)


def measure(options: argparse.Namespace, figures: Figures) -> None:
    """Every bench asked for, in turn."""
    present = [name for name in options.subjects if not _skip(name, figures)]
    pair = [name for name in PAIR if name in present]
    benches: dict[str, Callable[[], None]] = {
        "throughput": lambda: _race(options, figures, "throughput", options.rows, present),
        "small": lambda: _race(options, figures, "small", [options.small_rows], present),
        # The model has no part in how memory grows; the faster one makes 40 million rows bearable.
        "memory": lambda: _race(
            options, figures, "memory", options.memory_rows, pair, models=options.models[-1:], repeats=1
        ),
        "ledger": lambda: _ledger(options, figures),
        "planning": lambda: _planning(options, figures),
        "engines": lambda: _engines(options, figures),
    }
    for name, bench in benches.items():
        needs_ours = name in ("ledger", "planning", "engines")
        if name in options.only and ("ours" in present or not needs_ours):
            bench()


def _race(
    options: argparse.Namespace,
    figures: Figures,
    bench: str,
    sizes: Sequence[int],
    names: Sequence[str],
    *,
    models: Sequence[str] = (),
    repeats: int = 0,
) -> None:
    for model in models or options.models:
        for rows in sizes:
            workload = workloads.prepare(model, rows)
            patience = 1 if options.quick else 2
            found = rounds.run(
                bench,
                workload,
                names,
                figures.failures,
                repeats=repeats or options.rounds,
                patience=patience,
            )
            for one in found:
                figures.rounds.rounds.append(one)


def _engines(options: argparse.Namespace, figures: Figures) -> None:
    names = [name for name in ("ours-local", "ours-ray") if not _skip(name, figures)]
    _race(options, figures, "engines", options.rows[-1:], names, models=options.models[:1])


def _ledger(options: argparse.Namespace, figures: Figures) -> None:
    rows = options.mini_batches * ours.ROWS_A_MINI_BATCH
    for model in options.models:
        workload = workloads.prepare(model, rows, rows_a_group=ours.ROWS_A_MINI_BATCH)
        _try(
            figures,
            figures.ledger,
            f"ledger: {workload}",
            partial(overheads.ledger, workload),
        )


def _planning(options: argparse.Namespace, figures: Figures) -> None:
    for _ in range(options.rounds):
        what = f"planning: {options.files:,} files"
        if not _try(figures, figures.planning, what, partial(overheads.planning, options.files)):
            return


def _try(figures: Figures, into: list[_Measured], what: str, measure: Callable[[], _Measured]) -> bool:
    """Measure, and keep the figure or the failure."""
    print(what, file=sys.stderr, flush=True)
    try:
        into.append(measure())
    except (meter.CommandError, subjects.WrongAnswerError, LookupError) as error:
        print(error, file=sys.stderr, flush=True)
        figures.failures.append(f"{what}: {error}")
        return False
    return True


def _skip(name: str, figures: Figures) -> bool:
    """Whether `name` cannot run here; says so."""
    reason = subjects.SUBJECTS[name].missing()
    if reason:
        print(f"{name} is left out: {reason}", file=sys.stderr, flush=True)
        figures.skipped[name] = reason
    return bool(reason)


def _options(argv: list[str]) -> argparse.Namespace:
    """What was asked for; --quick changes what is not given."""
    parser = argparse.ArgumentParser(prog="python -m bench.batch", description="The batch benchmark.")

    def some_of(known: Iterable[str]) -> Callable[[str], tuple[str, ...]]:
        choices = tuple(known)

        def read(text: str) -> tuple[str, ...]:
            found = tuple(text.split(","))
            for name in found:
                if name not in choices:
                    raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(choices)}")
            return found

        return read

    def counts(text: str) -> tuple[int, ...]:
        return tuple(int(part.replace("_", "")) for part in text.split(","))

    def names(option: str, known: tuple[str, ...], what: str) -> None:
        more = f"{what}: {', '.join(known)} (default: all)"
        parser.add_argument(option, type=some_of(known), metavar="NAME,...", help=more)

    names("--only", BENCHES, "benches to run")
    names("--subjects", subjects.RACING, "who is measured")
    names("--models", tuple(workloads.TITLES), "models")
    parser.add_argument("--rows", type=counts, metavar="N,...", help="throughput, engines (10000000)")
    parser.add_argument("--small-rows", type=int, metavar="N", help="the small job (10000)")
    parser.add_argument("--memory-rows", type=counts, metavar="N,...", help="1000000,10000000,40000000")
    parser.add_argument("--mini-batches", type=int, metavar="N", help="for the ledger (10000)")
    parser.add_argument("--files", type=int, metavar="N", help="for planning (100000)")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each kind (3)")
    parser.add_argument(
        "--quick", action="store_true", help="tiny data, ours and the bare loop: does it run?"
    )
    parser.add_argument("--results", type=Path, default=place.RESULTS, metavar="FOLDER", help="output folder")
    options = parser.parse_args(argv)
    for name, value in (_QUICK if options.quick else _FULL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


_FULL = {
    "only": BENCHES,
    "subjects": subjects.RACING,
    "models": tuple(workloads.TITLES),
    "rows": (10_000_000,),
    "small_rows": 10_000,
    "memory_rows": (1_000_000, 10_000_000, 40_000_000),
    "mini_batches": 10_000,
    "files": 100_000,
    "rounds": 3,
}
_QUICK = {
    # Not memory, which only repeats the race at other sizes.
    "only": ("throughput", "small", "ledger", "planning"),
    "subjects": PAIR,
    "models": ("lr",),
    "rows": (50_000,),
    "small_rows": 10_000,
    "memory_rows": (10_000, 50_000),
    "mini_batches": 50,
    "files": 1_000,
    "rounds": 1,
}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
