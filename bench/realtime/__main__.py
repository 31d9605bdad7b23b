"""Run the real-time benchmark.

    python -m bench.realtime                      all of it; about half an hour
    python -m bench.realtime --quick              everything for a second each
    python -m bench.realtime --only memory
    python -m bench.realtime --only throughput --subjects bare-batching,penstock --models ridge

Writes ``bench/results/realtime.{md,json}`` and prints the page. Bars that are missed are printed, not
raised: machines differ. It ends with 1 only where a server fails or answers wrongly.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from bench.realtime import (
    cold_start,
    connections,
    load,
    memory,
    place,
    report,
    subjects,
    throughput,
    tree,
    workloads,
)
from bench.realtime.bars import Figures

BENCHES = ("throughput", "cold-start", "memory", "connections")
OURS = ("penstock", "penstock-script")


def main(argv: list[str]) -> int:
    """Measure, write, print."""
    options = _parser().parse_args(argv)
    load.require_wrk()
    place.cores()
    names = [name for name in subjects.SUBJECTS if name in options.subjects]
    try:
        with place.alone():
            figures = measure(options, names)
    except tree.ServerError as error:
        print(error, file=sys.stderr)
        return 1
    command = shlex.join(["python", "-m", "bench.realtime", *argv])
    print(report.write(figures, options.results, command=command))
    return 0


def measure(options: argparse.Namespace, names: list[str]) -> Figures:
    """Every bench asked for, in turn."""
    figures = Figures()
    repeats = 1 if options.quick else options.repeats
    seconds = 1.0 if options.quick else options.seconds
    if "throughput" in options.only:
        for model in options.models:
            workload = workloads.prepare(model)
            figures.rounds.rounds += throughput.run(
                workload,
                # What does nothing measures us; the yardstick beside it says how much is the kernel's.
                [name for name in names if model != "nothing" or name in (subjects.YARDSTICK, *OURS)],
                connections=options.connections,
                repeats=repeats,
                seconds=seconds,
                rotate=options.rotate,
            )
    if set(options.only) - {"throughput"}:
        ridge = workloads.prepare("ridge")
        pair = [name for name in (subjects.YARDSTICK, "penstock") if name in names]
        if "cold-start" in options.only:
            figures.first_answer_s = cold_start.first_answer_s(pair, ridge, repeats=repeats)
            if "penstock" in names:
                figures.help_s = cold_start.help_s(repeats=2 * repeats + 1)
        if "memory" in options.only:
            for name in pair:
                for workers in (1, 8) if name == "penstock" else (1,):
                    key = f"{name}/{workers}"
                    figures.pss_mb[key] = memory.pss_mb(name, ridge, workers=workers, seconds=seconds)
        if "connections" in options.only and "penstock" in names:
            figures.crowd = connections.measure("penstock", ridge, repeats=repeats, seconds=seconds)
    return figures


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.realtime", description="The real-time benchmark.")

    def some_of(known: Iterable[str]) -> object:
        choices = tuple(known)

        def read(text: str) -> tuple[str, ...]:
            found = tuple(text.split(","))
            for name in found:
                if name not in choices:
                    raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(choices)}")
            return found

        return read

    def counts(text: str) -> tuple[int, ...]:
        return tuple(int(part) for part in text.split(","))

    def add(option: str, known: Iterable[str], what: str) -> None:
        everything = tuple(known)
        parser.add_argument(
            option,
            type=some_of(everything),  # type: ignore[arg-type]  # a callable, which argparse's stub narrows
            default=everything,
            metavar="NAME,...",
            help=f"{what}: {', '.join(everything)} (default: all)",
        )

    add("--only", BENCHES, "benches to run")
    add("--subjects", subjects.SUBJECTS, "who is measured")
    add("--models", workloads.FEATURES, "models for throughput")
    parser.add_argument("--connections", type=counts, default=(1, 32, 128), metavar="N,...", help="1,32,128")
    parser.add_argument("--repeats", type=int, default=5, help="rounds of each kind (5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one measurement (3)")
    parser.add_argument("--rotate", action="store_true", help="throughput with rows that take turns, not one")
    parser.add_argument("--quick", action="store_true", help="one round, a second each: does it all run?")
    parser.add_argument("--results", type=Path, default=place.RESULTS, metavar="FOLDER", help="output folder")
    return parser


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
